"""S3 in memory: objects, multipart uploads, conditional writes and listings, by the API's words.

Takes an operation and its parameters as a client would, and answers or raises as a client does. What it leaves out:
versions, lifecycle, access, and the checksums of parts (it keeps them and gives them back).
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from tests.models.dynamodb import Refused

_STATUS = {"NoSuchUpload": 404, "NoSuchKey": 404, "404": 404, "PreconditionFailed": 412, "412": 412}
_CHECKSUMS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA256")


@dataclass
class Object:
    body: bytes
    etag: str
    modified: datetime
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    content_type: str = "binary/octet-stream"


@dataclass
class Upload:
    key: str
    begun: datetime
    metadata: dict[str, str]
    content_type: str
    algorithm: str
    kind: str
    parts: dict[int, tuple[bytes, str, dict[str, str]]] = field(default_factory=dict)  # body, ETag, checksums


class S3:
    """One bucket. `new_id` names uploads."""

    def __init__(self, now: Callable[[], datetime], new_id: Callable[[], str], min_part: int = 5 * 1024 * 1024) -> None:
        self.objects: dict[str, Object] = {}
        self.uploads: dict[str, Upload] = {}
        self._now, self._new_id, self._min_part = now, new_id, min_part

    def call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """As `client._make_api_call`. Raises ClientError."""
        do = getattr(self, f"_{operation}", None)
        if do is None:
            raise NotImplementedError(f"S3's {operation}")
        try:
            reply: dict[str, Any] = do(asked)
        except Refused as refusal:
            metadata: Any = {"HTTPStatusCode": _STATUS.get(refusal.code, 400)}
            said: Any = {"Error": {"Code": refusal.code, "Message": refusal.message}, "ResponseMetadata": metadata}
            raise ClientError(said, operation) from None
        return {**reply, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}}

    # -- objects ------------------------------------------------------------------------------------------------------

    def _check(self, key: str, asked: Mapping[str, Any]) -> None:
        """The conditions of a write."""
        there = self.objects.get(key)
        if asked.get("IfNoneMatch") == "*" and there:
            raise Refused("PreconditionFailed")
        if wanted := asked.get("IfMatch"):
            if there is None:
                raise Refused("NoSuchKey")
            if there.etag.strip('"') != wanted.strip('"'):
                raise Refused("PreconditionFailed")

    def _PutObject(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._check(asked["Key"], asked)
        body = asked.get("Body", b"")
        body = bytes(body.encode() if isinstance(body, str) else body)
        made = Object(body, _etag(body), self._now(), dict(asked.get("Metadata", {})))
        made.content_type = asked.get("ContentType", made.content_type)
        self.objects[asked["Key"]] = made
        return {"ETag": made.etag}

    def _found(self, asked: Mapping[str, Any], missing: str) -> Object:
        found = self.objects.get(asked["Key"])
        if found is None:
            raise Refused(missing)
        if asked.get("IfMatch") and asked["IfMatch"].strip('"') != found.etag.strip('"'):
            raise Refused("PreconditionFailed" if missing == "NoSuchKey" else "412")
        return found

    def _HeadObject(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = self._found(asked, "404")
        return {**_described(found), "ContentLength": len(found.body)}

    def _GetObject(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = self._found(asked, "NoSuchKey")
        body, more = found.body, {}
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("Range", "")):
            first, last = int(span[1]), min(int(span[2] or len(body)), len(body) - 1)
            if first >= len(found.body):
                raise Refused("InvalidRange")
            body, more = body[first : last + 1], {"ContentRange": f"bytes {first}-{last}/{len(found.body)}"}
        stream = StreamingBody(io.BytesIO(body), len(body))  # type: ignore[arg-type]
        return {**_described(found), **more, "ContentLength": len(body), "Body": stream}

    def _DeleteObject(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked.get("IfMatch"):
            self._check(asked["Key"], asked)
        self.objects.pop(asked["Key"], None)
        return {}

    def _DeleteObjects(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        for each in asked["Delete"]["Objects"]:
            self.objects.pop(each["Key"], None)
        return {}

    def _PutObjectTagging(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        found = self._found(asked, "NoSuchKey")
        found.tags = {tag["Key"]: tag["Value"] for tag in asked["Tagging"]["TagSet"]}
        return {}

    def _ListObjectsV2(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        prefix, delimiter, most = asked.get("Prefix", ""), asked.get("Delimiter"), asked.get("MaxKeys", 1000)
        after = asked.get("ContinuationToken", "")
        found: list[tuple[str, bool]] = []  # key or folder
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            rest = key[len(prefix) :]
            folder = delimiter and delimiter in rest
            entry = (prefix + rest.partition(delimiter)[0] + delimiter, True) if folder else (key, False)
            if entry not in found[-1:] and entry[0] > after:
                found.append(entry)
        page = found[:most]
        reply: dict[str, Any] = {"IsTruncated": len(found) > most, "KeyCount": len(page)}
        if reply["IsTruncated"]:
            reply["NextContinuationToken"] = page[-1][0]
        if folders := [{"Prefix": name} for name, is_folder in page if is_folder]:
            reply["CommonPrefixes"] = folders
        if keys := [name for name, is_folder in page if not is_folder]:
            reply["Contents"] = [
                {"Key": key, "Size": len(self.objects[key].body), "ETag": self.objects[key].etag} for key in keys
            ]
        return reply

    # -- uploads ------------------------------------------------------------------------------------------------------

    def _CreateMultipartUpload(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, kind = self._new_id(), asked.get("ChecksumType", "FULL_OBJECT")
        algorithm, content_type = asked.get("ChecksumAlgorithm", "CRC64NVME"), asked.get("ContentType", "")
        metadata = dict(asked.get("Metadata", {}))
        self.uploads[name] = Upload(asked["Key"], self._now(), metadata, content_type, algorithm, kind)
        return {"UploadId": name, "Key": asked["Key"], "ChecksumType": kind, "ChecksumAlgorithm": algorithm}

    def _upload(self, asked: Mapping[str, Any]) -> Upload:
        upload = self.uploads.get(asked["UploadId"])
        if upload is None or upload.key != asked["Key"]:
            raise Refused("NoSuchUpload")
        return upload

    def _UploadPart(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        upload, body = self._upload(asked), bytes(asked["Body"])
        checksums = {name: asked[name] for name in _CHECKSUMS if name in asked}
        upload.parts[asked["PartNumber"]] = (body, _etag(body), checksums)
        return {"ETag": _etag(body)}

    def _ListParts(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        upload, after, most = self._upload(asked), int(asked.get("PartNumberMarker", 0)), asked.get("MaxParts", 1000)
        numbers = sorted(number for number in upload.parts if number > after)
        page = numbers[:most]
        reply: dict[str, Any] = {"IsTruncated": len(numbers) > most}
        if page:
            reply["NextPartNumberMarker"] = page[-1]
            reply["Parts"] = [
                {"PartNumber": n, "Size": len(upload.parts[n][0]), "ETag": upload.parts[n][1], **upload.parts[n][2]}
                for n in page
            ]
        return reply

    def _CompleteMultipartUpload(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        upload = self._upload(asked)
        self._check(upload.key, asked)
        listed = [(part["PartNumber"], part["ETag"]) for part in asked["MultipartUpload"]["Parts"]]
        if [number for number, _ in listed] != sorted({number for number, _ in listed}):
            raise Refused("InvalidPartOrder")
        if not listed or any(n not in upload.parts or upload.parts[n][1] != etag for n, etag in listed):
            raise Refused("InvalidPart")
        bodies = [upload.parts[number][0] for number, _ in listed]
        if any(len(body) < self._min_part for body in bodies[:-1]):
            raise Refused("EntityTooSmall")
        whole = b"".join(bodies)
        if asked.get("MpuObjectSize", len(whole)) != len(whole):
            raise Refused("InvalidRequest")
        digests = b"".join(hashlib.md5(body).digest() for body in bodies)
        etag = f'"{hashlib.md5(digests).hexdigest()}-{len(bodies)}"'
        self.objects[upload.key] = Object(whole, etag, self._now(), upload.metadata, {}, upload.content_type)
        del self.uploads[asked["UploadId"]]
        return {"ETag": etag, "Key": upload.key}

    def _AbortMultipartUpload(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._upload(asked)
        del self.uploads[asked["UploadId"]]
        return {}

    def _ListMultipartUploads(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        prefix = asked.get("Prefix", "")
        found = sorted((u.key, u.begun, name) for name, u in self.uploads.items() if u.key.startswith(prefix))
        if not found:
            return {"IsTruncated": False}
        uploads = [{"Key": key, "UploadId": name, "Initiated": begun} for key, begun, name in found]
        return {"IsTruncated": False, "Uploads": uploads}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _described(found: Object) -> dict[str, Any]:
    return {
        "ETag": found.etag,
        "Metadata": dict(found.metadata),
        "ContentType": found.content_type,
        "LastModified": found.modified.astimezone(UTC),
    }
