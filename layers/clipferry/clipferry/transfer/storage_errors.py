"""What an error of S3 means for a copy: repeat the call, fail the attempt, begin a new upload, or only wait."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from clipferry.transfer.errors import AttemptFailed, StorageThrottled, Taken, UploadLost
from clipferry.transfer.interface import Code

#: S3 or KMS throttles.
_THROTTLED = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "KMS.ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
#: Answers after which a repetition may succeed. Other refusals of S3 would come again.
_TRANSIENT = _THROTTLED | {
    "InternalError",
    "InternalServerError",
    "ServiceUnavailable",
    "RequestTimeout",
    "OperationAborted",
    "RequestTimeTooSkewed",
    "IncompleteBody",
}
_LOST = frozenset({"NoSuchUpload"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
#: Another operation on the key came first. "On a 409 failure you should re-initiate the multipart upload with
#: CreateMultipartUpload and re-upload each part" (CompleteMultipartUpload), "you should retry the upload" (PutObject):
#: docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html, If-None-Match.
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
_DAMAGED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"})


def status_of(error: ClientError) -> int:
    """The HTTP status; 0 when there was no answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def worth_repeating(error: Exception) -> bool:
    """Whether the same call may soon succeed. An error without an answer of S3 is a network error."""
    if not isinstance(error, ClientError):
        return True
    code = _code(error)
    if code in _CONFLICT:
        return not _completes(error)
    return code in _TRANSIENT or code in _DAMAGED or status_of(error) >= 500 or status_of(error) == 429


def translated(error: ClientError | BotoCoreError | ResponseParserError) -> Exception:
    """The error to raise in place of one that remained after all repetitions."""
    if not isinstance(error, ClientError):
        return AttemptFailed(Code.STORAGE_UNAVAILABLE, f"no usable answer from S3 ({type(error).__name__})")
    code = _code(error)
    what = f"S3 {error.operation_name}: {code or status_of(error)}"
    if _completes(error) and code in _TAKEN:
        return Taken(what)
    if code in _LOST or (_completes(error) and code in _CONFLICT):
        return UploadLost(what)
    if code in _DAMAGED:
        return AttemptFailed(Code.EVIDENCE_MISMATCH, f"{what}: S3 computed another checksum than we did", fresh=True)
    if code in _THROTTLED or status_of(error) == 429:
        return StorageThrottled(what)
    return AttemptFailed(Code.STORAGE_UNAVAILABLE if worth_repeating(error) else Code.STORAGE_REFUSED, what)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _completes(error: ClientError) -> bool:
    return bool(error.operation_name == "CompleteMultipartUpload")
