"""Leaves out renditions of subtitles that cannot be copied, with a warning, so that the video is still stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.interface import Code, CopyWarning, WarningCode

ATTEMPTS = 2  # failed attempts at subtitles that something temporary may be the cause of, before they are left out
_MAX_WHY = 300  # characters

_TEMPORARY = frozenset({Code.SOURCE_UNAVAILABLE, Code.SOURCE_THROTTLED, Code.SOURCE_CHANGED, Code.SHORT_BODY})
_OURS = frozenset({Code.STORAGE_UNAVAILABLE, Code.STORAGE_REFUSED, Code.DESTINATION_TAKEN})


class RenditionLeftOut(Exception):
    """A rendition of subtitles was given up in the middle of the copy: the rest is to be planned without it."""


class RenditionFailed(Exception):
    """A part of a rendition of subtitles, known by its folder and by what users call it, could not be copied."""

    def __init__(self, folder: str, label: str, failure: AttemptFailed | Hopeless) -> None:
        super().__init__(str(failure))
        self.folder, self.label, self.failure = folder, label, failure


@dataclass
class Subtitles:
    """What is decided, from one call to the next. Renditions are known by their folder, which no plan changes.

    Not safe to use from several threads.
    """

    left_out: dict[str, str] = field(default_factory=dict)  # folder → what users call it, and why
    failures: int = 0  # attempts that failed for their sake

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Subtitles:
        """From a saved checkpoint."""
        return cls(dict(value.get("left_out", {})), int(value.get("failures", 0)))

    def leave_out(self, folder: str, label: str, error: AttemptFailed | Hopeless) -> None:
        """Give the rendition up; raises the error again where it is no reason to, or not yet."""
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
