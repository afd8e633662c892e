"""What bytes are: which media format, with which type and extension, and whether they end where that format says.

Pure: nothing is read or written here. Files, segments, playlists and originals are told by the same rules, from their
bytes alone, never from a name or a header. `identify` tells from the first bytes, `end_check` says which ranges to
read to know whether the rest is there, `inspect` does both for bytes that are all in memory.
"""

from __future__ import annotations

from clipferry.transfer.media.ending import End, EndCheck, Ending, EndWatch, Span, check_end
from clipferry.transfer.media.formats import HLS, Family, Format
from clipferry.transfer.media.identify import (
    HEAD,
    HEAD_MAX,
    Inspection,
    describe,
    end_check,
    head_wanted,
    identify,
    inspect,
)
from clipferry.transfer.media.not_media import SMALLEST, NotMedia
from clipferry.transfer.media.promise import promised

__all__ = [
    "HEAD",
    "HEAD_MAX",
    "HLS",
    "SMALLEST",
    "End",
    "EndCheck",
    "EndWatch",
    "Ending",
    "Family",
    "Format",
    "Inspection",
    "NotMedia",
    "Span",
    "check_end",
    "describe",
    "end_check",
    "head_wanted",
    "identify",
    "inspect",
    "promised",
]
