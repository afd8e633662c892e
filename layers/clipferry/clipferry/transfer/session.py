"""One call's work on one file: what it was given, and where it stands.

Whatever must be known afterwards is saved before it is needed: the stem before an upload exists, the upload before a
part is sent, the finished digests before completion. `save` raises CopySuperseded when the file is no longer this
call's.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from clipferry.transfer.checkpoint import Checkpoint
from clipferry.transfer.checksums import Crc, Digests, crc_named
from clipferry.transfer.errors import AttemptFailed, UploadLost
from clipferry.transfer.evidence import Facts, level_named
from clipferry.transfer.interface import CopyCall
from clipferry.transfer.media import EndWatch
from clipferry.transfer.pump import Clock
from clipferry.transfer.upload import Storage, UploadRef


class Session:
    def __init__(self, call: CopyCall) -> None:
        self.call, self.options = call, call.options
        self.minimum = level_named(call.options.minimum_evidence)
        self.storage = Storage(call.s3, call.destination, call.options)
        self.clock = Clock(call.time_left)
        self.point = Checkpoint.parse(call.checkpoint, call.destination.stem)
        self.watch: EndWatch | None = None  # over the file's end, in the call that began its copy
        self.copied = 0  # bytes of the present upload that are in S3
        self._came_with = (0, self._digested)  # bytes of the upload in S3 and in the digests when this call began
        self._written = self.point.upload  # the upload that the caller's checkpoint names
        self._began = self._saved_at = time.monotonic()

    @property
    def ref(self) -> UploadRef:
        """The upload under way."""
        if self.point.upload is None:
            raise RuntimeError("no upload has begun")
        return self.point.upload

    @property
    def facts(self) -> Facts:
        """What the source declared when the copy began."""
        if self.point.facts is None:
            raise RuntimeError("the source has not been looked at")
        return self.point.facts

    @property
    def crc(self) -> Crc:
        """The checksum that the upload was begun with. Raises UploadLost when this machine cannot compute it."""
        method = crc_named(self.ref.algorithm)
        if method is None:
            raise UploadLost(f"this machine cannot compute {self.ref.algorithm}")
        return method

    @property
    def seconds(self) -> float:
        """Since this call began."""
        return time.monotonic() - self._began

    def resume(self, copied: int) -> None:
        """Go on with an upload of which S3 has so many bytes."""
        self.copied = copied
        self._came_with = (copied, self._digested)

    @property
    def got_further(self) -> bool:
        """Whether this call leaves more of the file than it found: whole parts in S3, or bytes that were read back."""
        return (self.copied, self._digested) > self._came_with

    @property
    def _digested(self) -> int:
        return int((self.point.digests or {}).get("position", 0))

    @property
    def pinned(self) -> bool:
        """Whether all answers must carry the ETag or date of the first one; False for the last start of a copy."""
        return self.point.starts <= self.options.max_starts

    def digests(self, state: dict[str, Any] | None) -> Digests:
        """The digests of `state`, or new ones, with all that the source's own checksums are compared with."""
        digests = Digests.restore(self.crc, state, md5=self.facts.wants_md5, crc64=self.facts.wants_crc64)
        digests.observer = self.watch.see if self.watch else None
        return digests

    def save(self) -> None:
        self._saved_at = time.monotonic()
        self.call.save(self.point.as_dict(), self.copied)
        self._written = self.point.upload

    def save_when_due(self) -> None:
        """Save, unless that was done a moment ago."""
        if time.monotonic() - self._saved_at >= self.options.save_every:
            self.save()

    def discard_upload(self) -> None:
        """The parts in S3 are of no use any more: the checkpoint forgets the upload, and it is aborted.

        In this order: the save proves that the file is still this call's, and nobody else goes on with the upload.
        """
        upload = self.point.upload
        self.point.forget_upload()
        self.watch = None
        self.resume(0)
        self.save()
        if upload:
            self._abort(upload)

    def let_go(self) -> None:
        """The file is somebody else's now, and so is the upload that the checkpoint names: abort only another one."""
        if self.point.upload and self.point.upload != self._written:
            self._abort(self.point.upload)

    def _abort(self, upload: UploadRef) -> None:
        with suppress(AttemptFailed):  # not now: whoever ends the file, or the sweep, aborts what is left
            self.storage.abort(upload)
