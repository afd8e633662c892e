"""The state of one call that copies one file: its arguments and its progress.

State that a later call needs is saved early: the stem before an upload exists, the upload before a part is sent, the
finished digests before the completion. `save` raises CopySuperseded when another call copies the file now.
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
        self.watch: EndWatch | None = None  # checks the file's end, in the call that began its copy
        self.copied = 0  # bytes of the present upload that are in S3
        self._came_with = (0, self._digested)  # bytes in S3 and in the digests when this call began
        self._written = self.point.upload  # the upload that the caller's checkpoint names
        self._began = self._saved_at = time.monotonic()

    @property
    def ref(self) -> UploadRef:
        """The present upload."""
        if self.point.upload is None:
            raise RuntimeError("no upload has begun")
        return self.point.upload

    @property
    def facts(self) -> Facts:
        """The facts that the source declared when the copy began."""
        if self.point.facts is None:
            raise RuntimeError("the source has not been looked at")
        return self.point.facts

    @property
    def crc(self) -> Crc:
        """The checksum with which the upload was begun. Raises UploadLost when this machine cannot compute it."""
        method = crc_named(self.ref.algorithm)
        if method is None:
            raise UploadLost(f"this machine cannot compute {self.ref.algorithm}")
        return method

    @property
    def seconds(self) -> float:
        """Since this call began."""
        return time.monotonic() - self._began

    def resume(self, copied: int) -> None:
        """Continue an upload of which S3 has so many bytes."""
        self.copied = copied
        self._came_with = (copied, self._digested)

    @property
    def got_further(self) -> bool:
        """Whether this call has made progress: it stored complete parts in S3, or read back bytes of the object."""
        return (self.copied, self._digested) > self._came_with

    @property
    def _digested(self) -> int:
        return int((self.point.digests or {}).get("position", 0))

    @property
    def pinned(self) -> bool:
        """Whether all answers must have the ETag or date of the first one; False for the last start of a copy."""
        return self.point.starts <= self.options.max_starts

    def digests(self, state: dict[str, Any] | None) -> Digests:
        """The digests of `state`, or new ones, with those that the source's own checksums need."""
        digests = Digests.restore(self.crc, state, md5=self.facts.wants_md5, crc64=self.facts.wants_crc64)
        digests.observer = self.watch.see if self.watch else None
        return digests

    def save(self) -> None:
        self._saved_at = time.monotonic()
        self.call.save(self.point.as_dict(), self.copied)
        self._written = self.point.upload

    def save_when_due(self) -> None:
        """Save, unless the last save was a few seconds ago."""
        if time.monotonic() - self._saved_at >= self.options.save_every:
            self.save()

    def discard_upload(self) -> None:
        """Remove the upload from the checkpoint, then abort it, because its parts are useless.

        The order matters: the save proves that no other call copies the file, so no other call continues the upload.
        """
        upload = self.point.upload
        self.point.forget_upload()
        self.watch = None
        self.resume(0)
        self.save()
        if upload:
            self._abort(upload)

    def let_go(self) -> None:
        """Another call has the file and the upload in the checkpoint now. Abort only an upload that was not saved."""
        if self.point.upload and self.point.upload != self._written:
            self._abort(self.point.upload)

    def _abort(self, upload: UploadRef) -> None:
        with suppress(AttemptFailed):  # the call that ends the file, or the sweep, aborts it later
            self.storage.abort(upload)
