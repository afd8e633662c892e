"""Public list prices of us-east-1 in USD, without free tiers and volume discounts, as published in early 2025."""

GB_SECOND = 0.0000166667  # Lambda, x86
INVOCATION = 0.20e-6
TRANSITION = 25e-6  # Step Functions, standard workflows
WRITE_UNIT, READ_UNIT = 0.625e-6, 0.125e-6  # DynamoDB, on demand
PUT, GET = 5e-6, 0.4e-6  # S3 standard: PUT, POST and LIST; GET
API_CALL = 3.50e-6  # API Gateway, REST
EVENT = 1.00e-6  # EventBridge, custom
SECRET_CALL = 5e-6  # Secrets Manager
ALARM, METRIC, DASHBOARD, SECRET = 0.10, 0.30, 3.00, 0.40  # a month: CloudWatch, Secrets Manager


def standing(alarms: int, metrics: int) -> float:
    """USD a month of a stack with no job and no account: its alarms, its dashboard and the sweep with its metrics."""
    runs = 30 * 24 * 12  # every five minutes
    sweep = runs * (INVOCATION + 0.5 * 1.0 * GB_SECOND + 5 * READ_UNIT + PUT)  # 512 MB, a second each
    return alarms * ALARM + metrics * METRIC + DASHBOARD + sweep
