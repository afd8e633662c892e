"""AWS services the bundle calls besides the table and the objects: executions, events, account secrets, schedules.

Every function imports this package first, so that an SDK which is too old is refused when the function starts.
"""

from clipferry.aws.sdk import check_sdk

check_sdk()
