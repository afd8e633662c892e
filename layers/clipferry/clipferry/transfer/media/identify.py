"""Finds the format of bytes, and the check of its end, by asking the module of each format in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clipferry.transfer.media import formats
from clipferry.transfer.media.audio_files import amr_end, declared_length, flac_end, identify_audio_file
from clipferry.transfer.media.audio_frames import KINDS, frames_end, identify_frames
from clipferry.transfer.media.chunks import (
    LAYOUTS,
    asf_header,
    chunks_end,
    identify_chunks,
    riff_length,
    sectors_end,
    sized_end,
)
from clipferry.transfer.media.elementary_video import identify_jpeg, identify_video, jpeg_length, video_end
from clipferry.transfer.media.ending import MAX_READS, End, EndCheck, Ending, Steps, nothing_to_check
from clipferry.transfer.media.flv import flv_end, identify_flv
from clipferry.transfer.media.formats import Format
from clipferry.transfer.media.iso_boxes import ISO_FORMATS, identify_iso, iso_end
from clipferry.transfer.media.matroska import identify_matroska, matroska_end, tracks_known
from clipferry.transfer.media.not_media import SMALLEST, NotMedia, identify_other, identify_text
from clipferry.transfer.media.ogg import identify_ogg, ogg_end
from clipferry.transfer.media.other_files import bmp_length, identify_file, mxf_end, swf_length, trailer_end
from clipferry.transfer.media.program_stream import identify_ps, ps_end
from clipferry.transfer.media.tags import behind_id3
from clipferry.transfer.media.transport_stream import identify_ts, ts_end

HEAD = 4096  # first bytes that are enough for most formats
HEAD_MAX = 1024 * 1024  # the most first bytes that are looked at
_SEARCHED = 64 * 1024  # bytes that are searched for the beginning of a stream behind garbage


def identify(head: bytes, size: int | None = None) -> Format | NotMedia | None:
    """The format of a file, by its first bytes; None when it is not known. `size`: bytes of the whole file, if known.

    `head` holds as many bytes as `head_wanted` asks for, or the whole file.
    """
    if (len(head) if size is None else size) >= SMALLEST and (found := _by_first_bytes(head, size)):
        return found
    if head[:1] > b"\x7f" and (found := _by_pattern(head, size)):  # no ASCII text begins so: a pattern proves more
        return found
    return identify_text(head) or identify_other(head, size) or _by_pattern(head, size)


def _by_first_bytes(head: bytes, size: int | None) -> Format | None:
    """Formats with a signature at their beginning."""
    return (
        identify_iso(head, size)
        or identify_matroska(head)
        or identify_chunks(head)
        or identify_flv(head)
        or identify_ogg(head)
        or identify_audio_file(head)
        or identify_file(head, size)
    )


def _by_pattern(head: bytes, size: int | None) -> Format | None:
    """Formats without a signature: a pattern that repeats. Something else may come before it."""
    found = identify_video(head) or identify_jpeg(head) or identify_ts(head, size) or identify_ps(head, size)
    if found is None and (frames := identify_frames(head, size)):
        return frames.format
    return found


def head_wanted(head: bytes, size: int | None = None) -> int:
    """How many of the first bytes `identify` needs, as far as `head` shows; at most HEAD_MAX."""
    if len(head) < HEAD:
        return HEAD
    if tagged := behind_id3(head):
        return min(tagged + HEAD, HEAD_MAX)
    if header := asf_header(head):
        return max(len(head), min(header, _SEARCHED))
    if identify_jpeg(head) is formats.JPEG and jpeg_length(head) is None:
        return min(16 * len(head), HEAD_MAX)
    if len(head) < _SEARCHED and (identify(head, size) is None or not tracks_known(head)):
        return _SEARCHED
    return len(head)


def end_check(kind: Format, head: bytes, size: int, *, reads: int = MAX_READS) -> EndCheck:
    """The check whether a file of `size` bytes ends as its format says. `head`: its first bytes."""
    return EndCheck(_CHECKS.get(kind, _no_check)(kind, head, size), head, size, reads=reads)


Check = Callable[[Format, bytes, int], Steps]


def _no_check(kind: Format, head: bytes, size: int) -> Steps:
    return nothing_to_check()


def _swf_end(kind: Format, head: bytes, size: int) -> Steps:
    return sized_end(swf_length(head), size) if head.startswith(b"FWS") else nothing_to_check()


def _declared_end(kind: Format, head: bytes, size: int) -> Steps:
    length = declared_length(kind, head)
    return sized_end(length, size) if length else nothing_to_check()


_CHECKS: dict[Format, Check] = {
    **dict.fromkeys(ISO_FORMATS, lambda kind, head, size: iso_end(kind, size)),
    **dict.fromkeys(
        (formats.MKV, formats.MKA, formats.WEBM, formats.WEBM_AUDIO), lambda kind, head, size: matroska_end(size)
    ),
    **{kind: lambda kind, head, size: chunks_end(LAYOUTS[kind], size) for kind in LAYOUTS},
    **{frames.format: lambda kind, head, size: frames_end(kind, size) for frames in KINDS},
    **dict.fromkeys((formats.TS, formats.M2TS), lambda kind, head, size: ts_end(head, size)),
    **dict.fromkeys((formats.OGG, formats.OGV, formats.OPUS), lambda kind, head, size: ogg_end(size)),
    **dict.fromkeys((formats.AMR, formats.AMR_WB), lambda kind, head, size: amr_end(kind, size)),
    **dict.fromkeys((formats.GIF, formats.PNG), lambda kind, head, size: trailer_end(kind, size)),
    **dict.fromkeys((formats.AU, formats.W64, formats.DSF), _declared_end),
    **dict.fromkeys(
        (
            formats.H264,
            formats.H265,
            formats.H266,
            formats.MPEG_VIDEO,
            formats.MPEG4_VIDEO,
            formats.VC1,
            formats.MJPEG,
            formats.JPEG,
            formats.DV,
        ),
        video_end,
    ),
    formats.PS: lambda kind, head, size: ps_end(size),
    formats.VCD: lambda kind, head, size: sectors_end(size),
    formats.FLV: lambda kind, head, size: flv_end(size),
    formats.FLAC: lambda kind, head, size: flac_end(head, size),
    formats.MXF: lambda kind, head, size: mxf_end(head, size),
    formats.SWF: _swf_end,
    formats.WEBP: lambda kind, head, size: sized_end(riff_length(head), size),
    formats.BMP: lambda kind, head, size: sized_end(bmp_length(head), size),
}


@dataclass(frozen=True)
class Inspection:
    """The verdict about a whole byte string. `initialisation`: it holds what a player needs before the media data."""

    format: Format | None  # None: it is no media, or not known
    end: End
    what: str  # in words that follow "the source sends"
    initialisation: bool = False


def inspect(data: bytes) -> Inspection:
    """Look at a whole byte string, such as a segment of an HLS video."""
    head = data[:HEAD_MAX]
    found = identify(head, len(data))
    if not isinstance(found, Format):
        return Inspection(None, End(Ending.OPEN), _words(found))
    if found not in ISO_FORMATS:
        return Inspection(found, _end(_CHECKS.get(found, _no_check)(found, head, len(data)), data), found.name)
    alone = _end(iso_end(found, len(data), segment=True), data)
    whole = _end(iso_end(found, len(data)), data)
    return Inspection(found, alone, found.name, initialisation=alone.whole and not whole.whole)


def _end(steps: Steps, data: bytes) -> End:
    end = EndCheck(steps, data, len(data)).end
    if end is None:
        raise RuntimeError("a check of bytes that are all known has an end")
    return end


def describe(head: bytes) -> str:
    """What these bytes are, in words that follow "the source sends"; nothing of them is quoted."""
    return _words(identify(head, None))


def _words(found: Format | NotMedia | None) -> str:
    if found is None:
        return "data in no format that is known here"
    return found.what if isinstance(found, NotMedia) else found.name
