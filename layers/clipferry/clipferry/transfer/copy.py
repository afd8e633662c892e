"""The functions for callers: `copy` starts or continues the copy of one file, `abandon` ends its uploads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clipferry.outbound.client import Outbound
from clipferry.transfer.errors import AttemptFailed, IsPlaylist
from clipferry.transfer.file_copy import FileCopy
from clipferry.transfer.interface import CopyCall, Destination, Options, Result
from clipferry.transfer.upload import Storage, UploadRef
from clipferry.vendors.contract import Remote

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def copy(
    *,
    locate: Callable[[], Remote | None],
    destination: Destination,
    outbound: Outbound,
    hosts: Sequence[str],
    s3: S3Client,
    checkpoint: dict[str, Any],
    save: Callable[[dict[str, Any], int], None],
    time_left: Callable[[], float],
    options: Options | None = None,
) -> Result:
    """Start or continue the copy of one file, as far as the time allows.

    `locate` gives a new URL and must not start vendor work; None: not available now. Another thread may call it, one
    call at a time. `hosts`: the allowed host suffixes of the URL. `checkpoint`: the last one that `save` got ({} at
    first). `save(checkpoint, bytes_copied)` is called from this thread at least every 5 s of copying and may raise
    CopySuperseded. Errors of `save` and `locate` pass to the caller; the upload stays, so that another call can
    continue. `time_left`: seconds until this function must have returned.

    Stored: the copy is complete and proven. More: call again. Retry: a failed attempt, which the caller counts. Failed:
    final. After Stored or Failed the caller stores the end, and then calls `abandon` for uploads of crashed calls.
    """
    call = CopyCall(locate, destination, outbound, hosts, s3, checkpoint, save, time_left, options or Options())
    if checkpoint.get("upload"):
        return FileCopy(call).run()
    first = [locate()]  # the vendor's answer says whether it is a file or a playlist

    def located() -> Remote | None:
        return first.pop() if first else locate()

    call = replace(call, locate=located)
    if checkpoint.get("kind") == "hls" or (first[0] is not None and first[0].kind == "hls"):
        return _copy_hls(call)
    try:
        return FileCopy(call).run()
    except IsPlaylist as error:  # by its bytes, whatever the vendor calls it
        first.append(error.remote)
        return _copy_hls(call)


def _copy_hls(call: CopyCall) -> Result:
    from clipferry.transfer.hls.hls_copy import HlsCopy  # here: most copies need none of it

    return HlsCopy(call).run()


def abandon(s3: S3Client, bucket: str, checkpoint: dict[str, Any], *, expected_owner: str | None = None) -> None:
    """Abort all uploads that the copy with this checkpoint may have begun, also those that the checkpoint lacks.

    May be repeated. Raises botocore's ClientError or BotoCoreError when S3 refuses.
    """
    if not checkpoint.get("stem"):
        return
    storage = Storage(s3, Destination(bucket, checkpoint["stem"], expected_owner=expected_owner), Options())
    try:
        if checkpoint.get("upload"):
            storage.abort(UploadRef.parse(checkpoint["upload"]))
        storage.abort_all()
    except AttemptFailed as error:
        raise (error.__cause__ or error) from None
