"""ISO base media files (MP4, QuickTime, 3GP, fragments, HEIC, AVIF): their kind, and whether all boxes are complete.

Sources: ISO/IEC 14496-12 (boxes, fragments), QuickTime File Format, ISO/IEC 23008-12 (images), mp4ra.org (brands).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from clipferry.transfer.media.ending import COMPLETE, End, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import (
    AVIF,
    F4V,
    HEIC,
    ISO_SEGMENT,
    M4A,
    M4V,
    MJ2,
    MOV,
    MP4,
    THREE_G2,
    THREE_GP,
    Family,
    Format,
)
from clipferry.transfer.media.iso_samples import samples_end

#: Boxes that may come before the box that shows the kind of the file.
_LEADING = frozenset({b"free", b"skip", b"wide", b"uuid", b"pdin", b"meta", b"emsg", b"pnot", b"PICT", b"prft"})
_FRAGMENT = frozenset({b"styp", b"moof", b"sidx", b"ssix"})
_KNOWN = _LEADING | _FRAGMENT | frozenset({b"ftyp", b"moov", b"mdat", b"mfra", b"udta", b"idat", b"imda", b"sefd"})
_BRANDS = {
    b"qt  ": MOV,
    b"M4A ": M4A,
    b"M4B ": M4A,
    b"M4P ": M4A,
    b"F4A ": M4A,
    b"F4B ": M4A,
    b"M4V ": M4V,
    b"M4VH": M4V,
    b"M4VP": M4V,
    b"F4V ": F4V,
    b"F4P ": F4V,
    b"f4v ": F4V,
    b"mjp2": MJ2,
    b"mj2s": MJ2,
    b"avif": AVIF,
    b"avis": AVIF,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), HEIC),
}
ISO_FORMATS = frozenset({MP4, ISO_SEGMENT, MOV, THREE_GP, THREE_G2, *_BRANDS.values()})
_IMAGE_BRANDS = (b"mif1", b"msf1", b"miaf", b"mif2")  # an image, of the kind that a compatible brand names
_FRAGMENTS_WALKED = 32  # before the rest is judged by the end of the file
_JUNK_MAX = 4096  # bytes that are no boxes, behind a movie whose samples cannot be found
_TAIL = 1024 * 1024  # bytes in which the last fragment is looked for
_CANDIDATES = 8


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int
    body: int  # where its content begins
    end: int | None  # None: it reaches to the end of the file


def read_box(header: bytes, start: int) -> Box | None:
    """The box with these first bytes (16, or at least 8 at the end of the file); None when it is no box."""
    length, kind, body = int.from_bytes(header[:4], "big"), header[4:8], 8
    if len(header) < 8 or not all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind):
        return None
    if length == 1:
        length, body = int.from_bytes(header[8:16], "big"), 16
        if len(header) < 16:
            return None
    if length == 0:
        return Box(kind, start, start + body, None)
    return Box(kind, start, start + body, start + length) if length >= body else None


def identify_iso(head: bytes, size: int | None) -> Format | None:
    """The kind of ISO base media file with this beginning; None when it is none."""
    first = read_box(head[:16], 0)
    if first is None or first.kind not in _KNOWN or not _fits(first, size):
        return None
    box: Box | None = first
    fragment = False
    for _ in range(64):  # boxes before the one that tells
        if box is None or box.kind == b"ftyp":
            break
        fragment = fragment or box.kind in _FRAGMENT
        if box.kind in (b"moof", b"moov", b"mdat") or box.end is None or box.end + 8 > len(head):
            break
        box = read_box(head[box.end : box.end + 16], box.end)
    if box is None or not _fits(box, size):
        return None  # no box follows the first box
    if box.kind == b"ftyp":
        return _by_brand(head, box)
    if fragment or box.kind == b"moof" or first.kind in (b"emsg", b"prft", b"mfra", b"imda"):
        return ISO_SEGMENT
    return MOV  # QuickTime alone has no ftyp: "Movie files ... the file type compatibility atom"


def _fits(box: Box, size: int | None) -> bool:
    """Whether this can be a box of the file. Only media data may be longer than the file: then the file is cut."""
    return box.end is None or size is None or box.end <= size or box.kind in (b"mdat", b"moov", b"moof")


def _by_brand(head: bytes, ftyp: Box) -> Format | None:
    length = (ftyp.end or 0) - ftyp.body
    if length < 8:
        return None
    brands = [head[at : at + 4] for at in range(ftyp.body, min(ftyp.end or 0, len(head) - 3, ftyp.body + 256), 4)]
    major, compatible = brands[0], brands[2:]
    if major in _IMAGE_BRANDS:
        return next((_BRANDS[brand] for brand in compatible if _BRANDS.get(brand) in (HEIC, AVIF)), HEIC)
    if major.startswith(b"3g2"):
        return THREE_G2
    if major.startswith((b"3gp", b"3gr", b"3gs", b"3ge", b"3gg", b"3gh")):
        return THREE_GP
    found = _BRANDS.get(major, MP4)
    return M4A if found is MP4 and _only_sound(head) else found


def _only_sound(head: bytes) -> bool:
    """Whether the movie box has only tracks of sound. False when the head does not hold the whole box."""
    at = head.find(b"moov", 4) - 4
    box = read_box(head[at : at + 16], at) if at >= 0 else None
    if box is None or box.end is None or box.end > len(head):
        return False
    movie, kinds, found = head[box.body : box.end], set(), -1
    while (found := movie.find(b"hdlr", found + 1)) >= 0:
        kinds.add(movie[found + 12 : found + 16])
    return b"soun" in kinds and not kinds & {b"vide", b"pict", b"auxv"}


# -- the end ----------------------------------------------------------------------------------------------------------


@dataclass
class _Seen:
    segment: bool = False
    kinds: set[bytes] = field(default_factory=set)
    fragments: int = 0
    last: Box | None = None
    samples: int = 0  # where the last sample of the movie box's tracks ends, as far as it tells
    indexed: int = 0  # where the last fragment ends by the index of fragments


def iso_end(kind: Format, size: int, *, segment: bool = False) -> Steps:
    """Follow the boxes to the end of the file. A `segment` may hold a movie box alone: an initialisation section."""
    seen, at = _Seen(segment=segment), 0
    while at < size:
        if seen.fragments > _FRAGMENTS_WALKED:
            return (yield from _last_fragments(seen, size))
        box = read_box((yield Span(at, 16)), at)
        if box is None:
            return _behind_boxes(kind, seen, at, size, (yield Span(at, 16)))
        if box.kind == b"mdat" and box.end is None:
            box = Box(box.kind, box.start, box.body, size)
        yield from _look_inside(box, seen, size)
        seen.kinds.add(box.kind)
        seen.fragments += box.kind == b"moof"
        seen.last = box
        end = size if box.end is None else box.end
        if end > size:
            return _too_long(kind, seen, box, size)
        at = end
    return _judged(kind, seen, size)


def _look_inside(box: Box, seen: _Seen, size: int) -> Generator[Span, bytes, None]:
    end = size if box.end is None else box.end
    if box.kind == b"moov" and end <= size:
        ends = yield from samples_end(box.body, end)
        seen.samples = max(seen.samples, ends)
    elif box.kind == b"sidx" and not seen.indexed and end <= size and end - box.start <= _TAIL:
        seen.indexed = _indexed(box, end, (yield Span(box.start, end - box.start)))


def _indexed(box: Box, end: int, content: bytes) -> int:
    """Where the bytes that a segment index refers to end (ISO/IEC 14496-12 §8.16.3)."""
    body = content[box.body - box.start :]
    wide = 8 if body[:1] == b"\x01" else 4
    offset_at, count_at = 12 + wide, 12 + 2 * wide + 2
    offset = int.from_bytes(body[offset_at : offset_at + wide], "big")
    count = int.from_bytes(body[count_at : count_at + 2], "big")
    entries = body[count_at + 2 : count_at + 2 + 12 * count]
    if len(entries) < 12 * count:
        return 0
    sizes = (int.from_bytes(entries[at : at + 4], "big") & 0x7FFFFFFF for at in range(0, len(entries), 12))
    return end + offset + sum(sizes)


def _judged(kind: Format, seen: _Seen, size: int) -> End:
    """The verdict when the boxes reach the end of the file: is everything there that a player needs?"""
    if kind.family is Family.IMAGE:
        whole = b"mdat" in seen.kinds and seen.kinds & {b"meta", b"moov"}
        return COMPLETE if whole else cut("lacks its meta box or its image data")
    if not seen.kinds & {b"moov", b"moof"}:
        return cut("has no moov box")
    if not seen.kinds & {b"mdat", b"imda"} and not (seen.segment and b"moof" not in seen.kinds):
        return cut("has no media data")
    if seen.last is not None and seen.last.kind == b"moof":
        return cut("ends behind the moof box of a fragment, without its media data")
    if seen.samples > size:
        return cut(f"ends at byte {size}, its last sample at byte {seen.samples}")
    if seen.indexed > size and seen.fragments:
        return cut(f"ends at byte {size}, its last fragment at byte {seen.indexed}")
    return COMPLETE


def _too_long(kind: Format, seen: _Seen, box: Box, size: int) -> End:
    """The verdict when a box is longer than the file. An unknown box behind a complete movie comes from a device."""
    if box.kind not in _KNOWN and seen.samples and _judged(kind, seen, size) == COMPLETE:
        return COMPLETE
    name = box.kind.decode("latin-1")
    return cut(f"ends inside its {name} box, {(box.end or size) - size} bytes before that box's end")


def _behind_boxes(kind: Format, seen: _Seen, at: int, size: int, found: bytes) -> End:
    """The verdict when something is no box. Players stop there: the movie is complete if all samples lie before it."""
    verdict = _judged(kind, seen, at)
    if verdict == COMPLETE and not seen.samples and len(found) < 8 and any(found):
        return cut("ends inside the header of a box")
    if verdict != COMPLETE or seen.samples or size - at <= _JUNK_MAX:
        return verdict
    return unproven(f"has something that is no box from byte {at} on")


def _last_fragments(seen: _Seen, size: int) -> Steps:
    """The verdict by the last bytes: the boxes from one of the last fragments on."""
    if seen.indexed > size:
        return cut(f"ends at byte {size}, its last fragment at byte {seen.indexed}")
    start = max(0, size - _TAIL)
    tail = yield Span(start, size - start)
    at, overshot = len(tail), False
    for _ in range(_CANDIDATES):
        at = tail.rfind(b"moof", 0, at)
        if at < 4:
            break
        reached = _chain(tail, at - 4)
        if reached == len(tail):
            return COMPLETE
        overshot = overshot or (reached or 0) > len(tail)
    if overshot:
        return cut("ends inside its last fragment")
    return unproven("has no fragment in its last bytes")


def _chain(data: bytes, at: int) -> int | None:
    """Where the boxes from here on end; behind `data` when the last one is longer. None: no fragment is here."""
    kinds: list[bytes] = []
    while at < len(data):
        box = read_box(data[at : at + 16], at)
        if box is None or box.kind not in _KNOWN:
            return None
        kinds.append(box.kind)
        at = len(data) if box.end is None else box.end
    return at if b"mdat" in kinds else len(data) + 1
