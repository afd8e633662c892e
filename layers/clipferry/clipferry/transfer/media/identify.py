"""Which format some bytes are of, and the check of its end: every format's own module is asked in turn."""

from __future__ import annotations

from dataclasses import dataclass

from clipferry.transfer.media.audio_frames import KINDS, behind_id3, frames_end, identify_frames
from clipferry.transfer.media.ending import MAX_READS, End, EndCheck, Ending, Steps, nothing_to_check
from clipferry.transfer.media.formats import M2TS, TS, Format
from clipferry.transfer.media.iso_boxes import identify_iso, is_iso, iso_end
from clipferry.transfer.media.not_media import NotMedia, identify_other, identify_text
from clipferry.transfer.media.transport_stream import identify_ts, ts_end

HEAD = 4096  # bytes with which most formats are certain
HEAD_MAX = 1024 * 1024  # bytes of the beginning that are looked at in the worst case
_SEARCHED = 64 * 1024  # bytes in which the beginning of a stream is looked for behind garbage


def identify(head: bytes, size: int | None = None) -> Format | NotMedia | None:
    """What a file is by its first bytes; None when nobody knows. `size` is the whole file's in bytes, when known.

    `head` holds as many bytes as `head_wanted` asks for, or the whole file.
    """
    if (text := identify_text(head)) is not None:
        return text
    if (other := identify_other(head, size)) is not None:
        return other
    frames = None
    return (
        identify_iso(head, size)
        or identify_ts(head, size)
        or ((frames := identify_frames(head, size)) and frames.format)
        or None
    )


def head_wanted(head: bytes, size: int | None = None) -> int:
    """How many of the first bytes `identify` needs, by those that are there; at most HEAD_MAX."""
    if len(head) < HEAD:
        return HEAD
    if tagged := behind_id3(head):
        return min(tagged + HEAD, HEAD_MAX)
    if len(head) >= _SEARCHED or identify(head, size) is not None:
        return len(head)
    return _SEARCHED


def end_check(kind: Format, head: bytes, size: int, *, reads: int = MAX_READS) -> EndCheck:
    """The check whether a file of `size` bytes, of which `head` holds the first, ends as its format says."""
    return EndCheck(_steps(kind, head, size), head, size, reads=reads)


def _steps(kind: Format, head: bytes, size: int, *, segment: bool = False) -> Steps:
    if is_iso(kind):
        return iso_end(kind, size, segment=segment)
    if kind in (TS, M2TS):
        return ts_end(head, size)
    for frames in KINDS:
        if frames.format is kind:
            return frames_end(frames, size)
    return nothing_to_check()


@dataclass(frozen=True)
class Inspection:
    """What a whole byte string is. `initialisation`: it holds no media data but what a player needs before them."""

    format: Format | None  # None: it is no media, or nobody knows it
    end: End
    what: str  # in words that follow "the source sends"
    initialisation: bool = False


def inspect(data: bytes) -> Inspection:
    """Look at bytes that are all there is, such as a segment of an HLS video."""
    found = identify(data[:HEAD_MAX], len(data))
    if found is None:
        return Inspection(None, End(Ending.OPEN), describe(data))
    if isinstance(found, NotMedia):
        return Inspection(None, End(Ending.OPEN), found.what)
    check = EndCheck(_steps(found, data[:HEAD_MAX], len(data), segment=True), data, len(data))
    if check.end is None:
        raise RuntimeError("a check of bytes that are all known has an end")
    first = is_iso(found) and b"moov" in data[:HEAD_MAX] and b"mdat" not in data
    return Inspection(found, check.end, found.name, first)


def describe(head: bytes) -> str:
    """What these bytes are, in words that follow "the source sends"; nothing of them is quoted."""
    found = identify(head, None)
    if found is None:
        return "data in no format that is known here"
    return found.what if isinstance(found, NotMedia) else found.name
