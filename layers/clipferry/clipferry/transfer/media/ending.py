"""Does a file end where its format says? Decided by reading a few small ranges of it; nothing is read here.

A check of one format is a generator: it yields the next range it wants, is sent those bytes (fewer only where the file
ends), and returns the `End`. Ranges go forward, so that a check can also watch the bytes as they pass; where one has to
go back (behind audio with large tags at its end), the check has to be run on the stored file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum

WINDOW = 16 * 1024  # bytes that are read at least: one request costs the same for 16 bytes
MAX_READ = 1024 * 1024  # bytes of one range at the most
MAX_READS = 200  # ranges of one file


class Ending(StrEnum):
    COMPLETE = "complete"  # the format's own structure ends where the file ends
    CUT = "cut"  # the structure goes on, or what it needs is missing
    OPEN = "open"  # the format has nothing that says where it ends
    UNPROVEN = "unproven"  # it should say so, and neither a whole nor a cut end was found


@dataclass(frozen=True)
class End:
    ending: Ending
    why: str = ""  # in words that follow "the file": "ends inside its mdat box"

    @property
    def whole(self) -> bool:
        """As far as the format can tell."""
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
    """One check under way: give it each range that is `wanted` until none is; then there is an `end`.

    What lies in the head, or in the range read last, is not asked for again.
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
        """Run the generator for as long as what it wants is known."""
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
        """The bytes of a range, where what was read last holds all of them that the file has."""
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
    """Gives a check the ranges that it wants while the file's bytes pass in order."""

    def __init__(self, check: EndCheck) -> None:
        self._check, self._collected, self._missed = check, bytearray(), False

    @property
    def end(self) -> End | None:
        """None while it is not known, and where bytes that were wanted had passed before."""
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
    """The check of a format that has no end of its own."""
    return end
    yield Span(0, 0)
