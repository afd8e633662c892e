"""What an error of a write means for what was to be written: is the item at fault, or may the same write work later?"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException, TransactWriteError

from clipferry.store.job_records import NotFound, Superseded

#: Of a request (DynamoDB, "Error handling"), and of one item in a transaction (TransactWriteItems,
#: "CancellationReasons"): an item over 400 KB, a key over 2,048 bytes, one item twice in a transaction.
_AT_FAULT = ("ValidationException", "ValidationError", "ItemCollectionSizeLimitExceeded")


def refusal_of(error: Exception) -> str | None:
    """Why DynamoDB refuses an item for what it is, in its own words; None when it does not."""
    reasons = error.cancellation_reasons if isinstance(error, TransactWriteError) else []
    for reason in reasons:
        if reason is not None and reason.code in _AT_FAULT:
            return reason.message or reason.code
    if isinstance(error, PynamoDBException) and error.cause_response_code in _AT_FAULT:
        return error.cause_response_message or error.cause_response_code
    return None


def may_work_later(error: Exception) -> bool:
    """Whether AWS or the network is at fault, or the row moved on meanwhile."""
    failed = (PynamoDBException, ClientError, BotoCoreError, OSError, NotFound, Superseded)
    return isinstance(error, failed) and refusal_of(error) is None
