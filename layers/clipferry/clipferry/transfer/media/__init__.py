"""Finds out from bytes alone which media format they have, with its type and extension, and whether they are complete.

Pure: nothing is read or written here. The same rules apply to files, segments, playlists and originals. A name or an
HTTP header is never used. `identify` finds the format from the first bytes. `end_check` says which ranges to read in
order to know whether the rest is there. `inspect` does both, for bytes that are all in memory.
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
