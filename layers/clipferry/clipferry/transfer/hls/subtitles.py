"""Leaves out renditions of subtitles that cannot be copied, with a warning, so that the video is still stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.interface import Code, CopyWarning, WarningCode

ATTEMPTS = 2  # failed attempts with a temporary cause, after which subtitles are left out
_MAX_WHY = 300  # characters

_TEMPORARY = frozenset({Code.SOURCE_UNAVAILABLE, Code.SOURCE_THROTTLED, Code.SOURCE_CHANGED, Code.SHORT_BODY})
_OURS = frozenset({Code.STORAGE_UNAVAILABLE, Code.STORAGE_REFUSED, Code.DESTINATION_TAKEN})


class RenditionLeftOut(Exception):
    """A rendition of subtitles was given up during the copy. The plan must be made again without it."""


class RenditionFailed(Exception):
    """A part of a rendition of subtitles could not be copied. The rendition has a folder and a name for users."""

    def __init__(self, folder: str, label: str, failure: AttemptFailed | Hopeless) -> None:
        super().__init__(str(failure))
        self.folder, self.label, self.failure = folder, label, failure


@dataclass
class Subtitles:
    """The renditions that were left out, kept from call to call. A rendition is known by its folder, which stays.

    Not safe to use from several threads.
    """

    left_out: dict[str, str] = field(default_factory=dict)  # folder → its name for users, and the reason
    failures: int = 0  # attempts that failed because of subtitles

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Subtitles:
        """From a saved checkpoint."""
        return cls(dict(value.get("left_out", {})), int(value.get("failures", 0)))

    def leave_out(self, folder: str, label: str, error: AttemptFailed | Hopeless) -> None:
        """Give the rendition up. Raises the error again when it is no reason to do so, or not yet."""
        if isinstance(error, AttemptFailed):
            if error.code in _OURS:
                raise error
            if error.code in _TEMPORARY and self.failures < ATTEMPTS:
                self.failures += 1
                raise error
        self.left_out[folder] = f"subtitles {label[:60]!r}: {error}"[:_MAX_WHY]

    @property
    def warnings(self) -> tuple[CopyWarning, ...]:
        """One for each rendition that was left out."""
        return tuple(
            CopyWarning(WarningCode.SUBTITLES_LEFT_OUT, f"the video is stored without its {why}")
            for why in self.left_out.values()
        )
