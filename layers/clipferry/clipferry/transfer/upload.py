"""One multipart upload in S3: begin, upload parts, list them, complete on a condition, abort.

Each part has a checksum. If the store supports FULL_OBJECT, the whole object has one too, which S3 checks at the
completion; for a store that answers COMPOSITE that type is used. AWS limits: 10,000 parts, 5 MiB to 5 GiB each
(docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
"""

from __future__ import annotations

import random
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from clipferry.transfer.checksums import Crc, crc_named, object_crc
from clipferry.transfer.errors import AttemptFailed, Stopped, UploadLost
from clipferry.transfer.interface import Code, Destination, Options
from clipferry.transfer.media import Format
from clipferry.transfer.storage_errors import status_of, translated, worth_repeating

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADERS = 8  # parts that are sent at once; one connection to S3 transfers about 50 to 90 MB/s
MAX_PARTS = 10_000
MAX_PART = 5 * 1024**3
MAX_OBJECT = MAX_PARTS * MAX_PART
_MIB = 1024**2
_ATTEMPTS = 5
_BACKOFF_MAX = 8.0
_TOKEN = "transfer"  # noqa: S105 - the name of a metadata field: which upload made this object

_NO_TAG = re.compile(r"[^\w\s+\-=.:/@]")  # docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html


def client_config(connections: int = 16) -> Config:
    """The configuration for the S3 client of a transfer.

    Short timeouts and few retries, because the transfer retries itself; botocore adds no checksums of its own.
    """
    return Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"total_max_attempts": 2, "mode": "standard"},
        max_pool_connections=max(10, UPLOADERS, connections),
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


_UNSIGNED_PAYLOAD = Config(s3={"payload_signing_enabled": False})


def _hide_body(request: Any, **_: Any) -> None:
    """Before signing: let the signature cover the part's checksum, and not its 8 MiB of payload.

    Over http botocore would hash each byte, and its CRT signer copies the whole body even if it does not hash it.
    """
    request.context["client_config"] = _UNSIGNED_PAYLOAD
    request.context["part_body"], request.data = request.data, b""


def _restore_body(request: Any, **_: Any) -> None:
    request.data = request.context.pop("part_body", request.data)


def part_size_for(size: int | None, smallest: int) -> int:
    """Bytes of a part, in whole MiB, so that 10,000 parts hold the file. Raises ValueError above S3's object limit."""
    if size is None:
        return 2 * smallest  # enough for 160 GB at 8 MiB
    if size > MAX_OBJECT:
        raise ValueError(f"{size} bytes are more than one S3 object can hold ({MAX_OBJECT})")
    needed = -(-size // MAX_PARTS)
    return smallest if needed <= smallest else -(-needed // _MIB) * _MIB


@dataclass(frozen=True)
class Part:
    number: int
    size: int
    etag: str
    crc: int | None  # None: the store did not say


@dataclass(frozen=True)
class UploadRef:
    """An upload as the checkpoint stores it."""

    key: str
    upload_id: str
    token: str
    part_size: int
    algorithm: str  # CRC64NVME or CRC32
    checksum_type: str  # FULL_OBJECT or COMPOSITE
    content_type: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> UploadRef:
        known = {name: value[name] for name in cls.__dataclass_fields__}
        return cls(**{**known, "part_size": int(known["part_size"])})


@dataclass(frozen=True)
class Existing:
    """The object that has a key."""

    size: int
    etag: str
    token: str | None  # of the upload that made it
    same_file: bool = False  # an earlier copy of the same file made it, by the metadata that the copies give


class Storage:
    """The S3 calls for one file. Safe to use from many threads."""

    def __init__(self, s3: S3Client, destination: Destination, options: Options) -> None:
        self._s3, self._to, self._options = s3, destination, options
        owner = destination.expected_owner
        self._bucket: dict[str, Any] = {"Bucket": destination.bucket}
        if owner:
            self._bucket["ExpectedBucketOwner"] = owner
        self.stopped = threading.Event()
        events = s3.meta.events
        events.register("before-sign.s3.UploadPart", _hide_body, unique_id="clipferry-hide-body")
        events.register_last("request-created.s3", _restore_body, unique_id="clipferry-restore-body")

    def begin(self, kind: Format, part_size: int) -> UploadRef:
        """CreateMultipartUpload, with all properties of the object except its tags."""
        crc, token, key = object_crc(), secrets.token_hex(8), self._to.stem + kind.extension
        how: dict[str, Any] = {}
        if self._to.storage_class:
            how["StorageClass"] = self._to.storage_class
        if self._to.kms_key_id:
            how |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._to.kms_key_id}
        if self._to.file_name:
            how["ContentDisposition"] = content_disposition(self._to.file_name, kind.extension)
        metadata = self._own_metadata()
        reply = self._with_retries(
            self._s3.create_multipart_upload,
            Key=key,
            ContentType=kind.content_type,
            Metadata={**metadata, _TOKEN: token},
            ChecksumAlgorithm=crc.name,
            ChecksumType="FULL_OBJECT",
            **how,
        )
        return UploadRef(
            key=key,
            upload_id=reply["UploadId"],
            token=token,
            part_size=part_size,
            algorithm=crc.name,
            checksum_type=reply.get("ChecksumType", "FULL_OBJECT"),
            content_type=kind.content_type,
        )

    def put(self, ref: UploadRef, number: int, body: bytearray | bytes, crc: int) -> Part:
        """UploadPart with its checksum, so that S3 refuses damaged bytes."""
        method = _crc(ref)
        reply = self._with_retries(
            self._s3.upload_part,
            Key=ref.key,
            UploadId=ref.upload_id,
            PartNumber=number,
            Body=body,
            **{f"Checksum{method.name}": method.encode(crc)},
        )
        return Part(number, len(body), reply["ETag"], crc)

    def parts(self, ref: UploadRef) -> dict[int, Part]:
        """ListParts, all pages. Raises UploadLost."""
        method, found, marker = _crc(ref), {}, 0
        while True:
            reply = self._with_retries(
                self._s3.list_parts, Key=ref.key, UploadId=ref.upload_id, PartNumberMarker=marker, MaxParts=1000
            )
            for entry in reply.get("Parts", []):
                text = entry.get(f"Checksum{method.name}")
                crc = method.decode(text) if text else None
                found[entry["PartNumber"]] = Part(entry["PartNumber"], entry["Size"], entry["ETag"], crc)
            if not reply.get("IsTruncated"):
                return found
            marker = int(reply["NextPartNumberMarker"])

    def complete(self, ref: UploadRef, parts: list[Part], crc: int | None) -> str:
        """CompleteMultipartUpload, only if no object has the key; the object's ETag.

        S3 compares the size, and the checksum of the whole when there is one. Raises Taken, UploadLost (also when
        another operation on the key came in between: S3 wants a new upload then), AttemptFailed.
        """
        method = _crc(ref)
        proof: dict[str, Any] = {"MpuObjectSize": sum(part.size for part in parts)}
        if ref.checksum_type == "FULL_OBJECT":
            proof["ChecksumType"] = "FULL_OBJECT"
        if (checksum := self._object_checksum(ref, parts, crc)) is not None:
            proof[f"Checksum{method.name}"] = checksum
        listed = []
        for part in parts:
            entry: dict[str, Any] = {"PartNumber": part.number, "ETag": part.etag}
            if part.crc is not None:
                entry[f"Checksum{method.name}"] = method.encode(part.crc)
            listed.append(entry)
        reply = self._with_retries(
            self._s3.complete_multipart_upload,
            Key=ref.key,
            UploadId=ref.upload_id,
            MultipartUpload={"Parts": listed},
            IfNoneMatch="*",
            **proof,
        )
        return str(reply["ETag"])

    def _object_checksum(self, ref: UploadRef, parts: list[Part], crc: int | None) -> str | None:
        method = _crc(ref)
        if ref.checksum_type == "FULL_OBJECT":
            return None if crc is None else method.encode(crc)
        if any(part.crc is None for part in parts):
            return None
        joined = b"".join((part.crc or 0).to_bytes(method.width // 8, "big") for part in parts)
        return f"{method.encode(method.of(joined))}-{len(parts)}"

    def abort(self, ref: UploadRef) -> None:
        """AbortMultipartUpload; no error when the upload does not exist any more."""
        self._abort(ref.key, ref.upload_id)

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            self._with_retries(self._s3.abort_multipart_upload, Key=key, UploadId=upload_id)
        except UploadLost:
            return

    def abort_all(self) -> None:
        """Abort all uploads for this file, also those of other calls: ListMultipartUploads under the stem."""
        for key, upload_id in list(self._uploads()):
            self._abort(key, upload_id)

    def _uploads(self) -> Iterator[tuple[str, str]]:
        stem = self._to.stem
        markers: dict[str, Any] = {}
        while True:
            reply = self._with_retries(self._s3.list_multipart_uploads, Prefix=stem, **markers)
            for upload in reply.get("Uploads", []):
                if upload["Key"][len(stem) :].startswith((".", "/")):  # f0011 begins with f001 too
                    yield upload["Key"], upload["UploadId"]
            if not reply.get("IsTruncated"):
                return
            markers = {"KeyMarker": reply["NextKeyMarker"], "UploadIdMarker": reply["NextUploadIdMarker"]}

    def existing(self, key: str) -> Existing | None:
        """HeadObject; None when there is no object (or, without the right to list the bucket, when S3 will not say)."""
        try:
            reply = self._with_retries(self._s3.head_object, Key=key)
        except AttemptFailed as error:
            if isinstance(error.__cause__, ClientError) and status_of(error.__cause__) in (403, 404):
                return None
            raise
        metadata, own = reply.get("Metadata", {}), self._own_metadata()
        same_file = bool(own) and own.items() <= metadata.items()
        return Existing(reply["ContentLength"], reply["ETag"], metadata.get(_TOKEN), same_file)

    def _own_metadata(self) -> dict[str, str]:
        return {name: quote(value, safe=" /:;,.=+-_()") for name, value in self._to.metadata.items()}

    def read_back(self, key: str, etag: str, start: int, length: int) -> bytearray:
        """GetObject: `length` bytes of exactly this object, from `start` on."""
        buffer, filled = bytearray(length), 0
        wanted = f"bytes={start}-{start + length - 1}"
        try:
            with (
                self._with_retries(self._s3.get_object, Key=key, IfMatch=etag, Range=wanted)["Body"] as body,
                memoryview(buffer) as view,
            ):
                while filled < length and (chunk := body.read(min(_MIB, length - filled))):
                    view[filled : filled + len(chunk)] = chunk
                    filled += len(chunk)
        except BotoCoreError as error:
            raise translated(error) from error
        if filled != length:
            raise AttemptFailed(Code.STORAGE_UNAVAILABLE, "S3 sent less of the object than asked for")
        return buffer

    def delete(self, key: str, etag: str) -> None:
        """DeleteObject of exactly this object, because it is not the vendor's file."""
        self._with_retries(self._s3.delete_object, Key=key, IfMatch=etag)

    def tag(self, key: str) -> None:
        """PutObjectTagging, if there are tags. A separate call, because some S3-like stores ignore tags of uploads."""
        if tags := tag_set(self._to.tags):
            self._with_retries(self._s3.put_object_tagging, Key=key, Tagging={"TagSet": tags})

    def _with_retries(self, call: Callable[..., Any], **params: Any) -> Any:
        """Make the call; repeat it with backoff while S3 throttles or fails."""
        for attempt in range(1, _ATTEMPTS + 1):
            if self.stopped.is_set():
                raise Stopped
            try:
                return call(**self._bucket, **params)
            except (ClientError, BotoCoreError, ResponseParserError) as error:
                failure = translated(error)
                if attempt == _ATTEMPTS or not worth_repeating(error):
                    raise failure from error
            pause = min(_BACKOFF_MAX, self._options.backoff * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            self.stopped.wait(pause)
        raise AssertionError("unreachable")


def tag_set(labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Labels as tags that S3 accepts: at most 10, keys of 128 and values of 256 characters, allowed characters only."""
    cleaned = {_NO_TAG.sub("_", name)[:128]: _NO_TAG.sub("_", value)[:256] for name, value in sorted(labels.items())}
    allowed = [(name, value) for name, value in cleaned.items() if name and not name.lower().startswith("aws:")]
    return [{"Key": name, "Value": value} for name, value in allowed[:10]]


def content_disposition(name: str, extension: str) -> str:
    """RFC 6266: the vendor's file name with the extension that fits the bytes, in ASCII and in UTF-8."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(char for char in name if char.isprintable() and char not in '"')[:120].strip() or "video"
    if not name.lower().endswith(extension):
        name += extension
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    encoded = quote(name, safe="")
    return f'attachment; filename="{plain}"' + (f"; filename*=UTF-8''{encoded}" if plain != name else "")


def _crc(ref: UploadRef) -> Crc:
    method = crc_named(ref.algorithm)
    if method is None:
        raise UploadLost(f"the upload was begun with {ref.algorithm}, which this machine cannot compute")
    return method
