"""Splits a manifest's bytes into records, as a stream. A record of JSONL is a line; for CSV see `csv_records`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from clipferry.intake.checks import BODY_MAX

RECORD_MAX = BODY_MAX  # bytes
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ManifestRecord:
    """One record and its place in the manifest."""

    line: int  # the line on which it begins, from 1
    last_line: int
    start: int  # bytes
    end: int  # bytes, after its line break
    content: bytes | None  # without its line break; None when it is longer than RECORD_MAX


class RecordSplitter(Protocol):
    """Gives the records that end in each block of bytes. It holds at most one record of RECORD_MAX bytes in memory."""

    def feed(self, block: bytes) -> Iterator[ManifestRecord]:
        """Raises BrokenQuotes."""
        ...

    def end(self) -> Iterator[ManifestRecord]:
        """The last record, if no line break ends it. Raises BrokenQuotes."""
        ...


class BrokenQuotes(Exception):
    """From the record that begins on `line` on, it cannot be known what is inside of quotes."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"the record that begins on line {line} {why}")
        self.line = line


class LineSplitter:
    """Splits at LF or CRLF: each line is a record."""

    def __init__(self, start: int = 0, line: int = 1) -> None:
        self._start, self._line = start, line
        self._held, self._size, self._too_long = bytearray(), 0, False

    def feed(self, block: bytes) -> Iterator[ManifestRecord]:
        at = 0
        while (found := block.find(b"\n", at)) >= 0:
            self._hold(block[at:found])
            yield self._record(1)
            at = found + 1
        self._hold(block[at:])

    def end(self) -> Iterator[ManifestRecord]:
        if self._size:
            yield self._record(0)

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > RECORD_MAX:
            self._held.clear()
            self._too_long = True
        else:
            self._held += piece

    def _record(self, line_break: int) -> ManifestRecord:
        content = bytes(self._held)
        if self._start == 0:
            content = content.removeprefix(BOM)
        line, start, end = self._line, self._start, self._start + self._size + line_break
        record = ManifestRecord(line, line, start, end, None if self._too_long else content.removesuffix(b"\r"))
        self._start, self._line = end, line + 1
        self._held.clear()
        self._size, self._too_long = 0, False
        return record
