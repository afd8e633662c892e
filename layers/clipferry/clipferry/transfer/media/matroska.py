"""Matroska and WebM (RFC 9559 over EBML, RFC 8794): video or audio, and whether the segment is complete."""

from __future__ import annotations

from dataclasses import dataclass

from clipferry.transfer.media.ending import COMPLETE, Span, Steps, cut, unproven
from clipferry.transfer.media.formats import MKA, MKV, WEBM, WEBM_AUDIO, Format

_EBML, _SEGMENT, _CLUSTER, _TRACKS = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B
_TOP = frozenset(  # children of the segment
    {0x114D9B74, 0x1549A966, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF}
)
_IN_CLUSTER = frozenset({0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854, 0xAF, 0xEC, 0xBF})
_CLUSTER_ID = _CLUSTER.to_bytes(4, "big")
_CLUSTERS_WALKED = 32  # before the rest is judged by the end of the file
_TAIL = 1024 * 1024  # bytes in which the last cluster is looked for
_CANDIDATES = 8
_HEADER = 12  # bytes: an id of up to 4, a length of up to 8


@dataclass(frozen=True)
class Element:
    id: int
    body: int  # where its content begins
    end: int | None  # None: its length is not known


def read_element(data: bytes, at: int, base: int = 0) -> Element | None:
    """The element at `data[at]`; positions in it count from `base` on. None when there is none, or it is cut."""
    first = data[at] if at < len(data) else 0
    id_length = 9 - first.bit_length()
    if not 1 <= id_length <= 4 or at + id_length >= len(data):
        return None
    length_at = at + id_length
    first = data[length_at]
    length_length = 9 - first.bit_length()
    body = length_at + length_length
    if not 1 <= length_length <= 8 or body > len(data):
        return None
    bits = 7 * length_length
    length = int.from_bytes(data[length_at:body], "big") & ((1 << bits) - 1)
    end = None if length == (1 << bits) - 1 else base + body + length
    return Element(int.from_bytes(data[at:length_at], "big"), base + body, end)


def identify_matroska(head: bytes) -> Format | None:
    ebml = read_element(head, 0)
    if ebml is None or ebml.id != _EBML or ebml.end is None:
        return None
    webm = b"\x42\x82\x84webm" in head[: ebml.end] or b"webm" in head[ebml.body : min(ebml.end, 4096)]
    kinds = _track_kinds(head, ebml.end) or set()
    if kinds and 1 not in kinds and 2 in kinds:
        return WEBM_AUDIO if webm else MKA
    return WEBM if webm else MKV


def tracks_known(head: bytes) -> bool:
    """Whether the head of a Matroska file reaches the list of its tracks."""
    ebml = read_element(head, 0)
    return ebml is None or ebml.id != _EBML or ebml.end is None or _track_kinds(head, ebml.end) is not None


def _track_kinds(head: bytes, at: int) -> set[int] | None:
    """The types of the tracks (1 video, 2 audio); None when the head does not reach them."""
    segment = read_element(head, at)
    if segment is None or segment.id != _SEGMENT:
        return None
    at = segment.body
    while (child := read_element(head, at)) is not None:
        if child.id == _CLUSTER:
            return set()
        if child.end is None:
            return None
        if child.id == _TRACKS:
            return _entries(head, child.body, child.end) if child.end <= len(head) else None
        at = child.end
    return None


def _entries(head: bytes, at: int, end: int) -> set[int]:
    kinds, ends = set[int](), [end]
    while at < ends[-1] and (element := read_element(head, at)) is not None and element.end is not None:
        if element.id == 0xAE:  # TrackEntry: its children come next
            at = element.body
            continue
        if element.id == 0x83:  # TrackType
            kinds.add(int.from_bytes(head[element.body : element.end], "big"))
        at = element.end
    return kinds


def matroska_end(size: int) -> Steps:
    """By the length of the segment; by its clusters when it has no length (a live recording)."""
    ebml = read_element((yield Span(0, _HEADER)), 0)
    at = (ebml.end if ebml else None) or size
    segment = read_element((yield Span(at, _HEADER)), 0, at)
    while segment is not None and segment.id in (0xEC, 0xBF) and segment.end is not None:  # Void, CRC-32
        at = segment.end
        segment = read_element((yield Span(at, _HEADER)), 0, at)
    if segment is None or segment.id != _SEGMENT:
        return cut("has no segment")
    if segment.end is None:
        return (yield from _clusters(segment.body, size))
    if segment.end > size:
        return cut(f"ends {segment.end - size} bytes before its segment does")
    return COMPLETE


def _clusters(at: int, size: int) -> Steps:
    """Follow the children of a segment without a length."""
    clusters = 0
    while at < size:
        element = read_element((yield Span(at, _HEADER)), 0, at)
        if element is None or element.id not in _TOP:
            return cut(f"has something unreadable at byte {at}") if clusters else cut("has no media data")
        clusters += element.id == _CLUSTER
        if element.end is None or clusters > _CLUSTERS_WALKED:
            return (yield from _last_cluster(at, size))
        at = element.end
    if at > size:
        return cut(f"ends {at - size} bytes before its last cluster does")
    return COMPLETE if clusters else cut("has no media data")


def _last_cluster(at: int, size: int) -> Steps:
    """The last cluster, found in the last bytes, and what is in it."""
    start = max(at, size - _TAIL)
    tail = yield Span(start, size - start)
    at, overshot = len(tail), False
    for _ in range(_CANDIDATES):
        at = tail.rfind(_CLUSTER_ID, 0, at)
        if at < 0:
            break
        reached = _chain(tail, at)
        if reached == len(tail):
            return COMPLETE
        overshot = overshot or reached is not None
    return cut("ends inside its last cluster") if overshot else unproven("has no cluster in its last bytes")


def _chain(data: bytes, at: int) -> int | None:
    """Where the elements from here on end, behind `data` when one is cut. None: no cluster is here."""
    inside = False
    while at < len(data):
        element = read_element(data, at)
        if element is None:
            return len(data) + 1 if inside and len(data) - at < _HEADER else None
        if element.id == _CLUSTER:
            inside, at = True, element.body if element.end is None else element.end
        elif element.end is None or element.id not in (_IN_CLUSTER | _TOP if inside else _TOP):
            return None
        else:
            at = element.end
    return at
