"""Stands in for the transfer: real uploads to the mocked bucket, in as many outcomes as a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipferry import transfer
from clipferry.transfer.checkpoint import Checkpoint
from clipferry.transfer.evidence import Facts
from clipferry.transfer.upload import UploadRef

BODY = b"clip"
PART_SIZE = 2


class Copying:
    """`results` holds what the next outcomes come to: a transfer result, an exception, something to do before one
    (a callable that gets the checkpoint and `save`), or a whole copy (None)."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.copied: list[str] = []  # stems, one entry a whole copy
        self.options: transfer.Options | None = None  # of the last outcome
        self.outbound: Any = None
        self.during: Callable[[], None] = lambda: None  # runs between the upload and its completion

    def copy(
        self,
        *,
        locate: Callable[[], Any],
        destination: transfer.Destination,
        s3: Any,
        checkpoint: dict[str, Any],
        save: Callable[[dict[str, Any], int], None],
        options: transfer.Options,
        outbound: Any,
        **_: Any,
    ) -> Any:
        self.options, self.outbound = options, outbound
        result = self.results.pop(0) if self.results else None
        if isinstance(result, BaseException):
            raise result
        if callable(result):
            return result(checkpoint, save)
        if result is not None:
            return result
        if locate() is None:
            return transfer.More(5)
        bucket, key = destination.bucket, destination.stem + ".mp4"
        begun = checkpoint.get("upload")
        made_by = {"Bucket": bucket, "Key": key, "Metadata": dict(destination.metadata)}
        upload = begun["upload_id"] if begun else s3.create_multipart_upload(**made_by)["UploadId"]
        ref = UploadRef(key, upload, "token", PART_SIZE, "CRC32", "FULL_OBJECT", "video/mp4")
        point = Checkpoint(destination.stem, facts=Facts(size=len(BODY)), upload=ref).as_dict()
        try:
            save(point, PART_SIZE)
            self.during()
            s3.list_parts(Bucket=bucket, Key=key, UploadId=upload)  # where moto says that an upload is no more
            part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=BODY)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)
        except transfer.CopySuperseded:
            if not begun:  # else it is the upload of whoever has taken over
                self.abandon(s3, bucket, point)
            raise
        except (s3.exceptions.NoSuchUpload, KeyError):  # completed by another outcome, or ended by the job's end
            save({}, 0)
            return transfer.More(1)
        self.copied.append(destination.stem)
        return transfer.Stored(key, len(BODY), {"level": "content-length", "sha256": "00"}, "video/mp4")

    def abandon(self, s3: Any, bucket: str, checkpoint: dict[str, Any], **_: Any) -> None:
        if upload := checkpoint.get("upload"):
            try:
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["key"], UploadId=upload["upload_id"])
            except s3.exceptions.NoSuchUpload:
                return
