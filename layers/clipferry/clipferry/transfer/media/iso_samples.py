"""Where the last sample of a movie lies, by the sample tables in its `moov` box (ISO/IEC 14496-12 §8.6 and §8.7)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from clipferry.transfer.media.ending import Span

_CONTAINERS = frozenset({b"trak", b"mdia", b"minf", b"dinf", b"stbl"})
_BOXES_MAX = 500  # in one movie box: more are not looked at
_LAST_SAMPLES = 4096  # of the last chunk that are added up

Reading = Generator[Span, bytes, None]


@dataclass
class _Track:
    """What the tables of one track say of its last chunk. The tables are read in the order in which they come."""

    elsewhere: bool = False  # its samples lie in another file
    chunk: int = 0  # where the last chunk begins
    samples: int = 0  # how many samples it has
    size: int = 1  # bytes of these samples; 1 where they cannot be added up

    @property
    def end(self) -> int:
        return 0 if self.elsewhere or not self.chunk else self.chunk + self.size

    def read(self, kind: bytes, at: int, length: int) -> Reading:
        """Take what a table says. `at`: where the box's content begins; `length`: of that content, bytes."""
        match kind:
            case b"dref":
                entry = yield Span(at, 20)
                self.elsewhere = len(entry) == 20 and not entry[19] & 1
            case b"stsc":
                last = yield from _last_entry(at, length, 12)
                self.samples = int.from_bytes(last[4:8], "big")
            case b"stsz":
                yield from self._sizes(at, length)
            case b"stco" | b"co64":
                last = yield from _last_entry(at, length, 4 if kind == b"stco" else 8)
                self.chunk = int.from_bytes(last, "big")

    def _sizes(self, at: int, length: int) -> Reading:
        header = yield Span(at, 12)
        each, total = int.from_bytes(header[4:8], "big"), int.from_bytes(header[8:12], "big")
        if each:  # in QuickTime, a size of 1 means compressed sound: it is no size
            self.size = each * self.samples if each > 1 and self.samples <= total else 1
        elif 0 < self.samples <= min(total, _LAST_SAMPLES) and 12 + 4 * total <= length:
            last = yield Span(at + 12 + 4 * (total - self.samples), 4 * self.samples)
            self.size = sum(int.from_bytes(last[i : i + 4], "big") for i in range(0, len(last), 4)) or 1


def _last_entry(at: int, length: int, each: int) -> Generator[Span, bytes, bytes]:
    """The last entry of a table whose entries have `each` bytes; no bytes when the table is empty or too long."""
    count = int.from_bytes((yield Span(at + 4, 4)), "big")
    if count == 0 or 8 + count * each > length:
        return b""
    return (yield Span(at + 8 + (count - 1) * each, each))


def samples_end(start: int, end: int) -> Generator[Span, bytes, int]:
    """The byte behind the last sample of all tracks, as far as the tables tell; 0 when they tell nothing.

    `start` and `end` bound the content of the movie box.
    """
    tracks, ends, at = [_Track()], [end], start
    for _ in range(_BOXES_MAX):
        while ends and at >= ends[-1]:
            ends.pop()
        if not ends:
            break
        header = yield Span(at, 8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length < 8 or at + length > ends[-1]:
            break
        if kind == b"trak":
            tracks.append(_Track())
        if kind in _CONTAINERS:
            ends.append(at + length)
            at += 8
        else:
            yield from tracks[-1].read(kind, at + 8, length - 8)
            at += length
    return max(track.end for track in tracks)
