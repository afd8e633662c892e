"""Public list prices of us-east-1 in USD, without free tiers and volume discounts, as published in early 2025."""

GB_SECOND = 0.0000166667  # Lambda, x86
INVOCATION = 0.20e-6
TRANSITION = 25e-6  # Step Functions, standard workflows
WRITE_UNIT, READ_UNIT = 0.625e-6, 0.125e-6  # DynamoDB, on demand
PUT, GET = 5e-6, 0.4e-6  # S3 standard: PUT, POST and LIST; GET
API_CALL = 3.50e-6  # API Gateway, REST
EVENT = 1.00e-6  # EventBridge, custom
SECRET_CALL = 5e-6  # Secrets Manager
