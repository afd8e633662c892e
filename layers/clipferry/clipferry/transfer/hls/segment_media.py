"""Checks the format and the completeness of a segment by its bytes; of an encrypted segment, by a few of them. Pure.

A segment that is no media, or is cut, is a failed attempt. So is a segment of another format than the others of its
section: then one of them is not what the playlist promises.
"""

from __future__ import annotations

import codecs
import threading
from dataclasses import dataclass

from clipferry.transfer.errors import AttemptFailed
from clipferry.transfer.hls.aes import BLOCK
from clipferry.transfer.hls.decryption import Decrypted, Read
from clipferry.transfer.hls.references import Encryption, Kind, Reference
from clipferry.transfer.interface import Code
from clipferry.transfer.media import (
    HEAD,
    HEAD_MAX,
    SMALLEST,
    End,
    Ending,
    Family,
    Format,
    describe,
    end_check,
    identify,
    inspect,
)
from clipferry.transfer.media.audio_frames import identify_frames
from clipferry.transfer.media.ending import COMPLETE, cut, unproven
from clipferry.transfer.media.formats import AC3, ADTS, EAC3, ISO_SEGMENT, M2TS, MP3, TS, VTT
from clipferry.transfer.media.iso_boxes import ISO_FORMATS, read_box
from clipferry.transfer.media.transport_stream import identify_ts

_ALL = 16 * 1024  # bytes: a longer encrypted segment is not decrypted whole, but at its beginning and its end
_ALL_INIT = 256 * 1024  # … an initialisation section, which is all head
_END = 4 * 1024  # bytes that show whether packets or frames are whole at the end

#: What segments of video and sound are (RFC 8216 §3); M2TS is MPEG-TS as well.
_PLAYED = frozenset(
    {TS, M2TS, ADTS, MP3, AC3, EAC3, *(kind for kind in ISO_FORMATS if kind.family is not Family.IMAGE)}
)


_ISO_SUFFIXES = frozenset(kind.extension for kind in ISO_FORMATS)


class FormatsDiffer(AttemptFailed):
    """Segments of one section have different formats. It is not known which of them is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.NOT_A_VIDEO, message)


@dataclass(frozen=True)
class Expected:
    """What a segment has to be, by its playlist."""

    reference: Reference
    subtitles: bool = False
    key: bytes | None = None  # what it is encrypted with


@dataclass(frozen=True)
class SegmentMedia:
    format: Format
    complete: bool  # its structure is complete, or its format does not mark its end


def examine(data: bytes, expected: Expected) -> SegmentMedia:
    """A segment that is all in memory. Raises AttemptFailed (NOT_A_VIDEO, CONTAINER_CUT)."""
    kind = format_of(data, len(data), expected)
    plain = _all_plain(data, expected) if kind in ISO_FORMATS and not expected.subtitles else None
    if plain is None:
        return SegmentMedia(kind, is_complete(kind, _reader(data), len(data), expected))
    seen = inspect(plain)
    if seen.initialisation and expected.reference.kind is Kind.SEGMENT:
        raise _refused("it is an initialisation section, without any media")
    return SegmentMedia(kind, _judged(seen.end, expected.reference))


def format_of(first: bytes, size: int | None, expected: Expected) -> Format:
    """The format of a segment by its first bytes, HEAD or more. `size`: of the whole segment in bytes, when known.

    Raises AttemptFailed (NOT_A_VIDEO, CONTAINER_CUT).
    """
    when, head = "", first[:HEAD_MAX]
    if expected.key is not None:
        if size is not None:
            require_blocks(size)
        plain = _decrypted(_reader(first), len(first), expected.reference.encryption, expected.key)
        size = plain.size if size == len(first) else size
        head = plain.read(0, HEAD if size is None else min(HEAD, size))
        when = " when it is decrypted with the key that its playlist names"
    if expected.subtitles:
        return _subtitles(head, size)
    found = _played_format(head, size)
    if found is None or (expected.key is not None and not _begins(found, head)):
        raise _refused(f"it is {describe(head)}{when}")
    if found is ISO_SEGMENT and expected.reference.kind is Kind.INIT:
        raise _refused("it is a segment in place of an initialisation section (EXT-X-MAP)")
    return found


def _played_format(head: bytes, size: int | None) -> Format | None:
    """The format of a segment of video or sound; None when it is neither."""
    found = identify(head, size)
    if isinstance(found, Format) and found in _PLAYED:
        return found
    if packets := identify_ts(head[:HEAD], size):  # behind other bytes, too: players also find it there
        return packets
    frames = identify_frames(head, size) if size is not None and size < SMALLEST else None  # the last bit of a silence
    return frames.format if frames is not None and frames.format in _PLAYED else None


def is_complete(kind: Format, read: Read, size: int, expected: Expected) -> bool:
    """Whether a segment of `size` bytes is complete. False: its format marks its end, but this end was not found.

    Raises AttemptFailed (CONTAINER_CUT) when the segment is cut.
    """
    if expected.subtitles:
        return True
    if expected.key is None:
        return _judged(_end(kind, read, size), expected.reference)
    require_blocks(size)
    plain = _decrypted(read, size, expected.reference.encryption, expected.key)
    end = _end_of_boxes(plain) if kind in ISO_FORMATS else _end(kind, plain.read, plain.size, looked_at=_END)
    return _judged(end, expected.reference)


def _end(kind: Format, read: Read, size: int, *, looked_at: int = HEAD_MAX) -> End:
    """The verdict of the format's own check. Of each range, only the last `looked_at` bytes are read."""
    check = end_check(kind, read(0, min(HEAD, size)), size)
    while (wanted := check.wanted) is not None:
        length = min(wanted.length, looked_at)
        skipped = wanted.length - length
        check.give(bytes(skipped) + read(wanted.start + skipped, length))
    return check.end or unproven("has more parts than are looked at")


def _end_of_boxes(plain: Decrypted) -> End:
    """Follow the boxes; only their headers are decrypted."""
    kinds, at = set(), 0
    while at < plain.size:
        box = read_box(plain.read(at, 16), at)
        if box is None:
            return cut(f"has something that is no box at byte {at}")
        kinds.add(box.kind)
        at = plain.size if box.end is None else box.end
    if at > plain.size:
        return cut(f"ends {at - plain.size} bytes before its last box does")
    return COMPLETE if kinds & {b"mdat", b"moov"} else cut("has no media data")


def require_blocks(size: int) -> None:
    """Raises AttemptFailed when the length shows that the encrypted segment is cut."""
    if size == 0 or size % BLOCK:
        why = f"it should be encrypted with AES-128, and its {size} bytes are no whole number of blocks of {BLOCK}"
        raise AttemptFailed(Code.CONTAINER_CUT if size else Code.NOT_A_VIDEO, why)


class Sections:
    """The format of each section's segments, by their extensions. Safe to use from many threads."""

    def __init__(self) -> None:
        self._suffixes: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def require_same(self, folder: str, section: int, suffix: str) -> None:
        """Take note of a segment. Raises FormatsDiffer when another segment of its section has another format."""
        with self._lock:
            other = self._suffixes.setdefault((folder, section), suffix)
        if other != suffix and not {other, suffix} <= _ISO_SUFFIXES:
            raise FormatsDiffer(f"its format ({suffix}) is not that of the segments beside it ({other})")


def _decrypted(read: Read, size: int, encryption: Encryption | None, key: bytes) -> Decrypted:
    """The decrypted segment, with the initialisation vector that makes it media, when several are possible."""
    candidates = [Decrypted(read, size, key, iv) for iv in (encryption.ivs if encryption else ())]
    fitting = (plain for plain in candidates if isinstance(identify(plain.read(0, HEAD), size), Format))
    return candidates[0] if len(candidates) == 1 else next(fitting, candidates[0])


def _all_plain(data: bytes, expected: Expected) -> bytes | None:
    """All bytes of a segment without its encryption; None where decrypting them would take too long."""
    if expected.key is None:
        return data
    if len(data) > (_ALL_INIT if expected.reference.kind is Kind.INIT else _ALL):
        return None
    plain = _decrypted(_reader(data), len(data), expected.reference.encryption, expected.key)
    return plain.read(0, plain.size)


def _begins(kind: Format, head: bytes) -> bool:
    """Whether the format begins with the first byte. With a wrong initialisation vector it does not."""
    first = {TS: b"\x47", ADTS: b"\xff", MP3: b"\xff", AC3: b"\x0b\x77", EAC3: b"\x0b\x77"}.get(kind, b"")
    return head.startswith((first, b"ID3"))


def _reader(data: bytes) -> Read:
    return lambda start, length: data[start : start + length]


def _judged(end: End, reference: Reference) -> bool:
    """The result of `is_complete`, by the check of the end. A picture that is cut out of a segment may lack its end."""
    if end.ending is Ending.CUT and not reference.cut_out:
        raise AttemptFailed(Code.CONTAINER_CUT, f"it {end.why}")
    return reference.cut_out or end.ending is not Ending.UNPROVEN


def _subtitles(head: bytes, size: int | None) -> Format:
    """Check subtitles. Empty ones and other formats than WebVTT are accepted, what cannot be subtitles is refused."""
    if not head.replace(codecs.BOM_UTF8, b"").strip():
        return VTT
    found = identify(head, size)
    if isinstance(found, Format) and (found.family is Family.SUBTITLES or found in ISO_FORMATS):
        return found
    raise _refused(f"it is {describe(head)}, no subtitles")


def _refused(why: str) -> AttemptFailed:
    return AttemptFailed(Code.NOT_A_VIDEO, why)
