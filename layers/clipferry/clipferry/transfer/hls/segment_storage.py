"""The objects of one HLS copy in S3, all under `{stem}/`. The metadata of the segments are the copy's checkpoint.

S3 calls: PutObject, HeadObject and DeleteObject, besides those of the multipart writer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from posixpath import splitext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from clipferry.transfer.checksums import object_crc
from clipferry.transfer.errors import AttemptFailed
from clipferry.transfer.evidence import level_named
from clipferry.transfer.interface import Code, Destination, Level, Options
from clipferry.transfer.upload import Storage, tag_set

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SHA256, _MARK, _EVIDENCE, _UNVERIFIED = "sha256", "hls-plan", "evidence", "unverified"  # metadata of a stored segment


@dataclass(frozen=True)
class Copied:
    """A segment that is in S3."""

    size: int  # bytes
    sha256: str
    level: Level
    suffix: str  # the extension of its name
    complete: bool = True  # its structure is complete

    def metadata(self, mark: str) -> dict[str, str]:
        """The metadata of the object. `mark`: the plan under which it was copied."""
        own = {_SHA256: self.sha256, _MARK: mark, _EVIDENCE: self.level.value}
        return own if self.complete else {**own, _UNVERIFIED: "true"}


class SegmentStorage(Storage):
    """Safe to use from many threads."""

    def __init__(self, s3: S3Client, destination: Destination, options: Options) -> None:
        super().__init__(s3, destination, options)
        self._client = s3

    def put_object(
        self, name: str, body: bytes | bytearray, crc: int, content_type: str, metadata: dict[str, str]
    ) -> str:
        """PutObject with a checksum, so that S3 refuses damaged bytes. Returns the ETag."""
        how: dict[str, Any] = {}
        if self._to.storage_class:
            how["StorageClass"] = self._to.storage_class
        if self._to.kms_key_id:
            how |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._to.kms_key_id}
        if tags := tag_set(self._to.tags):
            how["Tagging"] = urlencode([(tag["Key"], tag["Value"]) for tag in tags])
        own = self._own_metadata()
        method = object_crc()
        reply = self._with_retries(
            self._client.put_object,
            Key=self.key(name),
            Body=body,
            ContentType=content_type,
            Metadata={**own, **metadata},
            **{f"Checksum{method.name}": method.encode(crc)},
            **how,
        )
        return str(reply["ETag"])

    def key(self, name: str) -> str:
        return f"{self._to.stem}/{name}"

    def found(self, name: str, mark: str) -> Copied | None:
        """HeadObject: the segment that an earlier call has stored under the same plan; None when there is none."""
        try:
            reply = self._with_retries(self._client.head_object, Key=self.key(name))
        except AttemptFailed as error:
            if error.code is Code.STORAGE_REFUSED:  # not there; without the right to list, S3 says "forbidden"
                return None
            raise
        metadata = reply.get("Metadata", {})
        if metadata.get(_MARK) != mark or not {_SHA256, _EVIDENCE} <= metadata.keys():
            return None
        level, size = level_named(metadata[_EVIDENCE]), int(reply["ContentLength"])
        return Copied(size, metadata[_SHA256], level, splitext(name)[1], _UNVERIFIED not in metadata)

    def discard(self, name: str) -> None:
        """DeleteObject: an object that does not belong to this copy after all."""
        self._with_retries(self._client.delete_object, Key=self.key(name))

    def for_large(self, stem: str) -> Storage:
        """The multipart writer of a segment larger than one part. It is not stopped with the rest: it must clean up."""
        return Storage(self._client, replace(self._to, stem=self.key(stem), file_name=""), self._options)
