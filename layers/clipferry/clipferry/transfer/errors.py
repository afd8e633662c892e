"""What can stop a copy midway, sorted by what has to happen next. Inside this package only."""

from __future__ import annotations

from clipferry.transfer.interface import Code
from clipferry.vendors.contract import Remote


class Stopped(Exception):
    """The time is over, or the copy was called off: nothing is wrong."""


class NotThere(Exception):
    """The source is ready, people say, but not to be found at the moment."""


class SourceChanged(Exception):
    """The source is no longer the one that was begun with: another ETag, size or digest."""


class IsPlaylist(Exception):
    """The source is an HLS playlist: what it lists is to be copied. `remote`: where the vendor says it is."""

    def __init__(self, remote: Remote) -> None:
        super().__init__("the source is a playlist")
        self.remote = remote


class UploadLost(Exception):
    """The multipart upload cannot be completed any more: somebody completed or aborted it, or S3 gave it up."""


class Taken(Exception):
    """An object stands under the key already."""


class AttemptFailed(Exception):
    """This attempt failed; another may succeed after the wait (seconds).

    `fresh`: it has to begin from nothing. `no_ranges`: and must not ask for parts of the file.
    """

    def __init__(
        self, code: Code, message: str, *, wait: float = 0.0, fresh: bool = False, no_ranges: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.wait = code, message, wait
        self.fresh, self.no_ranges = fresh or no_ranges, no_ranges


class StorageThrottled(AttemptFailed):
    """S3 asked to slow down, time and again. Nobody's fault: it is waited for and counts as no attempt."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.STORAGE_UNAVAILABLE, message)


class Hopeless(Exception):
    """No attempt can succeed."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
