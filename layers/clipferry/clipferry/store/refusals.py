"""What an error of a write means: does DynamoDB refuse the item itself, or may the same write succeed later?"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException, TransactWriteError

from clipferry.store.job_records import NotFound, Superseded

#: Error codes that refuse the item itself, for example an item over 400 KB, a key over 2,048 bytes, or one item twice
#: in a transaction. See DynamoDB, "Error handling", and TransactWriteItems, "CancellationReasons".
_AT_FAULT = ("ValidationException", "ValidationError", "ItemCollectionSizeLimitExceeded")


def refusal_of(error: Exception) -> str | None:
    """DynamoDB's message when it refuses the item itself; None for any other error."""
    reasons = error.cancellation_reasons if isinstance(error, TransactWriteError) else []
    for reason in reasons:
        if reason is not None and reason.code in _AT_FAULT:
            return reason.message or reason.code
    if isinstance(error, PynamoDBException) and error.cause_response_code in _AT_FAULT:
        return error.cause_response_message or error.cause_response_code
    return None


def may_work_later(error: Exception) -> bool:
    """Whether the cause is AWS, the network, or a change of the row meanwhile."""
    failed = (PynamoDBException, ClientError, BotoCoreError, OSError, NotFound, Superseded)
    return isinstance(error, failed) and refusal_of(error) is None
