"""Errors that end a copy early, by what has to happen next. Used only inside this package."""

from __future__ import annotations

from clipferry.transfer.interface import Code
from clipferry.vendors.contract import Remote


class Stopped(Exception):
    """The time is over, or the copy was stopped. This is not a failure."""


class NotThere(Exception):
    """The source is reported ready, but it was not found."""


class SourceChanged(Exception):
    """The source has changed since the copy began: another ETag, size or digest."""


class IsPlaylist(Exception):
    """The source is an HLS playlist, so its segments have to be copied. `remote`: the URL that the vendor gave."""

    def __init__(self, remote: Remote) -> None:
        super().__init__("the source is a playlist")
        self.remote = remote


class UploadLost(Exception):
    """The multipart upload cannot be completed any more: it was completed or aborted, or S3 asks for a new one."""


class Taken(Exception):
    """Another object already has the key."""


class AttemptFailed(Exception):
    """This attempt failed; another may succeed after the wait (seconds).

    `fresh`: the next attempt has to start from the first byte. `no_ranges`: and without requests for ranges.
    """

    def __init__(
        self, code: Code, message: str, *, wait: float = 0.0, fresh: bool = False, no_ranges: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.wait = code, message, wait
        self.fresh, self.no_ranges = fresh or no_ranges, no_ranges


class StorageThrottled(AttemptFailed):
    """S3 throttled the calls again and again. The copy waits, and this does not count as a failed attempt."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.STORAGE_UNAVAILABLE, message)


class Hopeless(Exception):
    """No attempt can succeed."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
