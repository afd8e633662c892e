"""Stands in for the transfer: real uploads to the mocked bucket, in as many legs as a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipferry import transfer

BODY = b"clip"


class Copying:
    """`results` holds what the next legs come to: a transfer result, an exception, or a whole copy (None)."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.copied: list[str] = []  # stems, one entry a whole copy
        self.options: transfer.Options | None = None  # of the last leg
        self.during: Callable[[], None] = lambda: None  # runs between the upload and its completion

    def copy(self, *, locate: Callable[[], Any], destination: transfer.Destination, s3: Any, checkpoint: dict[str, Any],
             save: Callable[[dict[str, Any], int], None], options: transfer.Options, **_: Any) -> Any:  # fmt: skip
        self.options = options
        result = self.results.pop(0) if self.results else None
        if isinstance(result, BaseException):
            raise result
        if result is not None:
            return result
        if locate() is None:
            return transfer.More(5)
        bucket, key = destination.bucket, destination.stem + ".mp4"
        upload = checkpoint.get("upload") or s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        try:
            save({"stem": destination.stem, "upload": upload, "key": key, "facts": {"size": len(BODY)}}, 2)
            self.during()
            s3.list_parts(Bucket=bucket, Key=key, UploadId=upload)  # where moto says that an upload is no more
            part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=BODY)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)
        except transfer.Superseded:
            self.abandon(s3, bucket, {"upload": upload, "key": key})
            raise
        except s3.exceptions.NoSuchUpload:  # completed by a leg that could not say so, or ended by the job's end
            save({}, 0)
            return transfer.More(1)
        self.copied.append(destination.stem)
        return transfer.Stored(key, len(BODY), {"level": "content-length", "sha256": "00"}, "video/mp4")

    def abandon(self, s3: Any, bucket: str, checkpoint: dict[str, Any], **_: Any) -> None:
        if checkpoint.get("upload"):
            try:
                s3.abort_multipart_upload(Bucket=bucket, Key=checkpoint["key"], UploadId=checkpoint["upload"])
            except s3.exceptions.NoSuchUpload:
                return
