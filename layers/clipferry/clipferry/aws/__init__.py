"""Calls of AWS services besides DynamoDB and S3: executions, events, account secrets, schedules, logs.

Each function imports this package first, so that a function with an SDK that is too old does not start.
"""

from clipferry.aws.sdk import check_sdk

check_sdk()
