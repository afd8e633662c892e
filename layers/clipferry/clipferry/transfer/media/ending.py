"""Checks whether a file ends where its format says, by a few small ranges of the file. The caller reads them.

The check of one format is a generator. It yields the next range that it needs, receives the bytes of that range (fewer
only at the end of the file), and returns the `End`. Ranges go forward, so that a check can also watch the bytes during
the copy. Where a check has to go back (audio with large tags at its end), it must be run on the stored file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum

WINDOW = 16 * 1024  # the least bytes of one range: a request for 16 bytes costs the same
MAX_READ = 1024 * 1024  # the most bytes of one range
MAX_READS = 200  # the most ranges of one file


class Ending(StrEnum):
    COMPLETE = "complete"  # the format's own structure ends where the file ends
    CUT = "cut"  # the structure continues after the end of the file, or a necessary part is missing
    OPEN = "open"  # the format does not mark its end
    UNPROVEN = "unproven"  # the format marks its end, but the file shows neither a complete nor a cut end


@dataclass(frozen=True)
class End:
    ending: Ending
    why: str = ""  # in words that follow "the file": "ends inside its mdat box"

    @property
    def whole(self) -> bool:
        """Whether nothing shows that the file is incomplete."""
        return self.ending in (Ending.COMPLETE, Ending.OPEN)


@dataclass(frozen=True)
class Span:
    """A range of bytes."""

    start: int
    length: int


Steps = Generator[Span, bytes, End]

COMPLETE = End(Ending.COMPLETE)
OPEN = End(Ending.OPEN)


def cut(why: str) -> End:
    return End(Ending.CUT, why)


def unproven(why: str) -> End:
    return End(Ending.UNPROVEN, why)


class EndCheck:
    """One running check. Give it each range that is `wanted`. When no range is wanted, `end` is set.

    Bytes of the head, and of the range that was read last, are not asked for again.
    """

    def __init__(self, steps: Steps, head: bytes, size: int, *, reads: int = MAX_READS) -> None:
        self._steps, self._size, self._reads_left = steps, size, reads
        self._known = [(0, head)]
        self._asked: Span | None = None
        self.wanted: Span | None = None  # what to read next
        self.end: End | None = None
        self._advance(None)

    def give(self, data: bytes) -> None:
        """The bytes of the range that was wanted; fewer where the file ends."""
        if self.wanted is None:
            raise RuntimeError("nothing was asked for")
        self._known[1:] = [(self.wanted.start, data)]
        self._advance(self._from_known(self._asked))

    def _advance(self, reply: bytes | None) -> None:
        """Run the generator until it needs bytes that are not known."""
        self.wanted = None
        try:
            while True:
                self._asked = next(self._steps) if reply is None else self._steps.send(reply)
                reply = self._from_known(self._asked)
                if reply is None:
                    break
        except StopIteration as stop:
            self.end = stop.value
            return
        if self._reads_left == 0:
            self.end = unproven("has more parts than are looked at")
            self._steps.close()
            return
        self._reads_left -= 1
        start, length = self._asked.start, min(max(self._asked.length, WINDOW), MAX_READ)
        self.wanted = Span(start, min(length, self._size - start))

    def _from_known(self, span: Span | None) -> bytes | None:
        """The bytes of a range, if the head or the range that was read last holds all of them; else None."""
        if span is None:
            return None
        end = min(span.start + min(span.length, MAX_READ), self._size)
        if span.start >= self._size:
            return b""
        for start, data in self._known:
            if start <= span.start and end <= start + len(data):
                return data[span.start - start : end - start]
        return None


class EndWatch:
    """Gives a check its ranges during a copy, from the file's bytes in their order."""

    def __init__(self, check: EndCheck) -> None:
        self._check, self._collected, self._missed = check, bytearray(), False

    @property
    def end(self) -> End | None:
        """None while it is not known, and when the check needed bytes that had passed before."""
        return None if self._missed else self._check.end

    def see(self, position: int, data: memoryview) -> None:
        """The file's bytes from `position` on."""
        while (span := self._check.wanted) is not None and not self._missed:
            start = span.start + len(self._collected) - position
            if start < 0:
                self._missed = True
            if start < 0 or start >= len(data):
                return
            self._collected += data[start : start + span.length - len(self._collected)]
            if len(self._collected) < span.length:
                return
            self._check.give(bytes(self._collected))
            self._collected.clear()


def check_end(steps: Steps, read: Callable[[int, int], bytes], head: bytes, size: int) -> End:
    """Run a check to its end with `read(start, length)`."""
    check = EndCheck(steps, head, size)
    while check.wanted is not None:
        check.give(read(check.wanted.start, check.wanted.length))
    if check.end is None:
        raise RuntimeError("a check that wants nothing has an end")
    return check.end


def nothing_to_check(end: End = OPEN) -> Steps:
    """The check of a format that does not mark its end."""
    return end
    yield Span(0, 0)
