"""Splits CSV into records (RFC 4180, section 2), as a stream in linear time and bounded memory; and records into cells.

A record ends at a line break outside of quotes, so that a quoted cell may hold line breaks. All lines end with LF or
CRLF, or all end with CR; the first line decides. A quoted cell begins with a quote at the start of the cell (blanks may
come before it). It ends with a quote before a delimiter or a line break (blanks may come between). Each other quote
inside of it must be doubled. After a quote that is not doubled it cannot be known what is inside of a cell and what is
a record, so the reading stops there. In a cell without quotes a quote has no special meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache

from clipferry.intake.manifest.records import BOM, RECORD_MAX, BrokenQuotes, ManifestRecord

DELIMITERS = ",;\t|"
ENDLESS = 64 * 1024**2  # bytes; in a longer record a quote was probably not closed
LF, CR = "\n", "\r"

_INSIDE = re.compile(rb'(?:[^"]++|"")*+')  # of a quoted cell


class _Place(Enum):
    """Where in a record the reading is."""

    CELL_BEGINS = "where a quote, behind blanks maybe, begins a quoted cell"
    PLAIN = "outside of quotes"
    LINE_BREAK = "at the line break that ends the record"
    QUOTED = "inside of a quoted cell"
    AFTER_QUOTE = "behind a quote in a quoted cell that is not doubled, so that the cell must end here"


class CsvSplitter:
    """A `RecordSplitter`.

    `delimiters`: a cell may begin after each of them. These are all delimiters until the header was read, then only the
    header's. `newline` is LF (for CRLF too) or CR; None until the first line break.
    """

    def __init__(self, start: int = 0, line: int = 1, delimiters: str = DELIMITERS, newline: str | None = None) -> None:
        self.delimiters, self.newline = delimiters, newline
        self._buffer = bytearray()  # from the start of the present record on, unless the record is too long
        self._offset = start  # of the buffer in the manifest
        self._start, self._line = start, line  # of the present record
        self._first = self._at = 0  # in the buffer: where the record begins, and how far it has been read
        self._bom = b"" if start else BOM
        self._begin()

    def _begin(self) -> None:
        self._place = _Place.CELL_BEGINS
        self._has_quotes = False
        self._dropped, self._dropped_breaks = False, 0

    def feed(self, block: bytes) -> Iterator[ManifestRecord]:
        self._buffer += block
        if self._bom:
            if len(self._buffer) < len(self._bom) and self._bom.startswith(self._buffer):
                return
            self._skip_bom()
        yield from self._records(last=False)
        self._forget()

    def end(self) -> Iterator[ManifestRecord]:
        self._skip_bom()
        yield from self._records(last=True)
        if self._place is _Place.QUOTED:
            raise BrokenQuotes(self._line, "opens a quote that is never closed")
        if self._dropped or len(self._buffer) > self._first:
            yield self._record(len(self._buffer), len(self._buffer))

    def _skip_bom(self) -> None:
        if self._bom and self._buffer.startswith(self._bom):
            self._first = self._at = len(self._bom)
        self._bom = b""

    def _records(self, last: bool) -> Iterator[ManifestRecord]:
        while (found := self._find_end(last)) is not None:
            yield self._record(*found)

    def _find_end(self, last: bool) -> tuple[int, int] | None:
        """Where the present record ends, and where the next one begins; None when more bytes are needed to know."""
        while True:
            match self._place:
                case _Place.CELL_BEGINS:
                    decided = self._begin_cell(last)
                case _Place.QUOTED:
                    decided = self._find_quote(last)
                case _Place.AFTER_QUOTE:
                    decided = self._leave_quote(last)
                case _Place.PLAIN:
                    decided = self._leave_plain()
                case _Place.LINE_BREAK:
                    size = self._line_break(last)
                    return (self._at, self._at + size) if size else None
            if not decided:
                return None

    # Each of these moves on as far as the bytes so far allow. False: more bytes are needed to decide.

    def _begin_cell(self, last: bool) -> bool:
        """Whether the cell that begins here is quoted."""
        self._at = _skip(_blanks(self.delimiters), self._buffer, self._at)
        if self._at == len(self._buffer) and not last:
            return False
        self._place = _Place.PLAIN
        if self._buffer[self._at : self._at + 1] == b'"':
            self._at, self._has_quotes, self._place = self._at + 1, True, _Place.QUOTED
        return True

    def _find_quote(self, last: bool) -> bool:
        """Find the next quote that is not doubled."""
        self._at = _skip(_INSIDE, self._buffer, self._at)
        if len(self._buffer) - self._at < (1 if last else 2):  # no quote, or the next byte may double it
            return False
        self._at, self._place = self._at + 1, _Place.AFTER_QUOTE
        return True

    def _leave_quote(self, last: bool) -> bool:
        """Whether the cell ends here. Raises BrokenQuotes."""
        buffer = self._buffer
        at = self._at = _skip(_blanks_and_cr(self.delimiters, self.newline), buffer, self._at)
        if at == len(buffer) and not last:
            return False
        if at < len(buffer) and chr(buffer[at]) not in self.delimiters + (self.newline or LF + CR):
            here = self._line + self._dropped_breaks + _line_breaks(bytes(buffer[self._first : at]))
            why = f"holds, on line {here}, a quote in a quoted cell that is not doubled"
            raise BrokenQuotes(self._line, f"{why}, or leaves a quote open before it")
        self._place = _Place.PLAIN
        return True

    def _leave_plain(self) -> bool:
        """Whether a quoted cell begins or the line ends first."""
        found = _plain_end(self.delimiters, self.newline).search(self._buffer, self._at)
        if found is None:
            rest = bytes(self._buffer[self._at :]).rstrip(_blanks_of(self.delimiters).encode())
            if rest and chr(rest[-1]) in self.delimiters:
                self._place = _Place.CELL_BEGINS
            self._at = len(self._buffer)
        elif found.group().endswith(b'"'):
            self._at, self._has_quotes, self._place = found.end(), True, _Place.QUOTED
        else:
            self._at, self._place = found.start(), _Place.LINE_BREAK
        return found is not None

    def _line_break(self, last: bool) -> int:
        """The length of the line break at this place; 0 when the next byte is needed to know."""
        following = self._buffer[self._at + 1 : self._at + 2]
        if self._buffer[self._at] == ord(LF):
            self.newline = LF
            return 1
        if not following and not last:
            return 0
        if self.newline is None:
            self.newline = LF if following == b"\n" else CR
        return 2 if following == b"\n" else 1

    def _record(self, end: int, following: int) -> ManifestRecord:
        content = bytes(self._buffer[self._first : end])
        if self.newline == LF:
            content = content.removesuffix(b"\r")
        last_line = self._line + self._dropped_breaks + (_line_breaks(content) if self._has_quotes else 0)
        after = self._offset + following
        self._refuse_endless(after)
        whole = None if self._dropped or len(content) > RECORD_MAX else content
        record = ManifestRecord(self._line, last_line, self._start, after, whole)
        self._start, self._line = after, last_line + 1
        self._first = self._at = following
        self._begin()
        return record

    def _refuse_endless(self, read: int) -> None:
        """Raises BrokenQuotes."""
        if read - self._start > ENDLESS:
            why = "opens a quote that is not closed" if self._has_quotes else "has no end"
            raise BrokenQuotes(self._line, f"{why} within {ENDLESS} bytes")

    def _forget(self) -> None:
        """Drop the bytes before the present record; if the record is too long, drop its bytes too."""
        self._refuse_endless(self._offset + self._at)
        if self._at - self._first > RECORD_MAX:
            read = self._at - (self._buffer[self._at - 1] == ord(CR))  # an LF after it belongs to the same line break
            if self._has_quotes:
                self._dropped_breaks += _line_breaks(bytes(self._buffer[self._first : read]))
            self._dropped, self._first = True, read
        del self._buffer[: self._first]
        self._offset += self._first
        self._first, self._at = 0, self._at - self._first


def _blanks_of(delimiters: str) -> str:
    return " " if "\t" in delimiters else " \t"


@cache
def _blanks(delimiters: str) -> re.Pattern[bytes]:
    return re.compile(f"[{_blanks_of(delimiters)}]*".encode())


@cache
def _blanks_and_cr(delimiters: str, newline: str | None) -> re.Pattern[bytes]:
    """Where lines end with LF, a CR counts as a blank."""
    return re.compile(f"[{_blanks_of(delimiters)}{CR if newline == LF else ''}]*".encode())


@cache
def _plain_end(delimiters: str, newline: str | None) -> re.Pattern[bytes]:
    """What ends the text outside of quotes: a line break, or a delimiter with a quote after it."""
    return re.compile(f'[{newline or LF + CR}]|[{delimiters}][{_blanks_of(delimiters)}]*"'.encode())


def _skip(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    found = pattern.match(buffer, at)
    return found.end() if found else at


def _line_breaks(content: bytes) -> int:
    return content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")


# -- cells -------------------------------------------------------------------------------------------------------------


class CsvError(Exception):
    """A record or a cell is invalid; the message says why."""


def cells_of(text: str, delimiter: str) -> list[str]:
    """The cells of one record, without blanks around quotes. Raises CsvError."""
    pattern, found, at = _cell(delimiter), list[str](), 0
    while at <= len(text):
        cell = pattern.match(text, at)
        if cell is None or (cell.end() < len(text) and text[cell.end()] != delimiter):
            raise CsvError("holds a quoted cell whose quotes do not pair")
        found.append(cell[1].replace('""', '"') if cell[1] is not None else cell[2])
        at = cell.end() + 1
    return found


@cache
def _cell(delimiter: str) -> re.Pattern[str]:
    """The pattern of one cell: its first group holds the text of a quoted cell, its second that of a plain cell."""
    end, blanks = re.escape(delimiter), _blanks_of(delimiter)
    quoted = rf'[{blanks}]*+"((?:[^"]++|"")*+)"[{blanks}\r]*+(?={end}|\Z)'
    return re.compile(rf'{quoted}|(?![{blanks}]*+")([^{end}]*+)')
