"""How the records of a manifest are read: for CSV the delimiter, the columns and the line breaks; and which to skip.

The columns of CSV:

    vendor, account, on_uncertain, deadline_seconds   the body's fields
    destination.<field>, or prefix for destination.prefix
    label.<key>                                       a label
    request.<field>, adopt.<field>                    a field of the vendor's request, as GET /vendors describes it

A column without a name may hold only empty cells; such columns at the end are ignored. The delimiter is the one with
which each name of the header is known, or the one in a first line `sep=;`, as spreadsheets write it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clipferry.intake.job_body import BODY_SCHEMA
from clipferry.intake.manifest.csv_records import DELIMITERS, LF, CsvError, CsvSplitter, cells_of
from clipferry.intake.manifest.records import BOM, LineSplitter, RecordSplitter

COLUMNS_MAX = 200
RULES = 2  # rules 1 are those of the first release, in which each line of CSV was a record
BLANKS = " \t\r\n\u00a0\u3000"  # removed from both ends of a cell

_FIELDS: Mapping[str, Any] = BODY_SCHEMA["properties"]
_PLAIN = [name for name, schema in _FIELDS.items() if schema.get("type") != "object"]
_DESTINATION = _FIELDS["destination"]["properties"]
_COLUMN = re.compile(
    rf"({'|'.join(_PLAIN)}|prefix|destination\.({'|'.join(_DESTINATION)})|label\.[\w .:/+@-]{{1,64}}"
    r"|(request|adopt)\.[A-Za-z_][A-Za-z0-9_]{0,63})"
)
_KNOWN = ", ".join(
    [*_PLAIN, *(f"destination.{name}" for name in _DESTINATION), "label.<key>", "request.<field>", "adopt.<field>"]
)
#: How a header may begin. A quick test, because a check of each cell of each record would take too long.
_LIKE_A_HEADER = re.compile(
    rb"(\xef\xbb\xbf)?[\s\",;|]*(%s|prefix|(destination|label|request|adopt)\.)" % "|".join(_PLAIN).encode()
)
_SEPARATOR_LINE = re.compile(rb"\"?sep=([%s])\"?\s*" % DELIMITERS.encode(), re.IGNORECASE)
_NOT_TEXT = {
    b"\xff\xfe\x00\x00": "UTF-32 (little-endian)",
    b"\x00\x00\xfe\xff": "UTF-32 (big-endian)",
    b"\xff\xfe": "UTF-16 (little-endian)",
    b"\xfe\xff": "UTF-16 (big-endian)",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive, as .xlsx files are",
    b"\xd0\xcf\x11\xe0": "an Office document, as .xls files are",
    b"%PDF": "PDF",
    b"PAR1": "Parquet",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"BZh": "bzip2",
    b"\xfd7zX": "xz",
}
HEAD = max(map(len, _NOT_TEXT))  # bytes that are needed to recognise these


class ManifestError(Exception):
    """The manifest as a whole cannot be read; no further line of it is submitted."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class ManifestLayout:
    """How to read a record. CSV without `columns`: the header has not been read yet."""

    format: str
    delimiter: str = ","
    columns: tuple[str, ...] = ()
    newline: str = LF
    rules: int = RULES

    def skips(self, content: bytes | None) -> bool:
        """Whether a record is left out: a blank one, or a repetition of the CSV header.

        A CSV record is blank when all its cells are empty; spreadsheets write such rows.
        """
        if content is None:
            return False
        if self.format != "csv":
            return not content.strip(b" \t\r\n")
        if self.rules < RULES:
            return not content.strip(b' \t\r\n,;"')
        delimiters = self.delimiter if self.columns else DELIMITERS
        return not content.strip(b' \t\r\n"' + delimiters.encode()) or header_of(content, self) == self.columns

    def splitter(self, start: int, line: int) -> RecordSplitter:
        """Reads the records that begin at byte `start`, on line `line`."""
        if self.format != "csv" or self.rules < RULES:
            return LineSplitter(start, line)
        return CsvSplitter(start, line, self.delimiter, self.newline)

    def stored(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> ManifestLayout:
        """The layout from what `stored` gave. The first release stored neither line breaks nor rules."""
        values = {"rules": 1, "newline": LF, **stored}
        return cls(**{**values, "columns": tuple(values["columns"])})


def refuse_binary(head: bytes) -> None:
    """Check the first HEAD bytes of a manifest. Raises ManifestError when they are not text in UTF-8."""
    found = next((name for magic, name in _NOT_TEXT.items() if head.startswith(magic)), None)
    if found is None and b"\x00" in head:
        found = "UTF-16 or UTF-32 without a byte order mark, or like no text"
    if found:
        raise ManifestError("MANIFEST_UNREADABLE", f"the manifest must be plain UTF-8; it begins like {found}")


def given_delimiter(content: bytes | None) -> str | None:
    """The delimiter, if a record is a line such as `sep=;`, by which spreadsheets name it."""
    found = _SEPARATOR_LINE.fullmatch(content or b"")
    return found[1].decode() if found else None


def read_header(content: bytes | None, line: int, delimiter: str | None, newline: str | None) -> ManifestLayout:
    """The layout that a CSV header describes. Raises ManifestError."""
    try:
        if content is None:
            raise CsvError("is too long")
        delimiter, columns = _columns(content.decode(), delimiter)
        _refuse_columns(columns)
    except UnicodeDecodeError:
        raise _unreadable(line, "is not UTF-8") from None
    except CsvError as error:
        raise _unreadable(line, str(error)) from None
    return ManifestLayout("csv", delimiter, columns, newline or LF)


def _unreadable(line: int, why: str) -> ManifestError:
    return ManifestError("MANIFEST_UNREADABLE", f"line {line}, which must name the columns, {why}")


def _columns(text: str, delimiter: str | None) -> tuple[str, tuple[str, ...]]:
    """The delimiter of a header, and its columns. It is the delimiter with which each name is known.

    No name holds a delimiter, so at most one delimiter fits, unless there is only one name. Raises CsvError.
    """
    for begin, told in (("{", "begins with {, as a line of JSONL does"), ("#", "begins with #; CSV has no comments")):
        if text.lstrip().startswith(begin):
            raise CsvError(told)
    candidates = delimiter or sorted(DELIMITERS, key=text.count, reverse=True)
    for candidate in candidates:
        try:
            columns = _names(text, candidate)
        except CsvError:
            continue
        if not _unknown(columns):
            return candidate, columns
    return candidates[0], _names(text, candidates[0])


def _refuse_columns(columns: tuple[str, ...]) -> None:
    """Raises CsvError."""
    if unknown := _unknown(columns):
        raise CsvError(f"names unknown ones: {_told(unknown)}; known are {_KNOWN}")
    fields = [field_of(name) for name in columns if name]
    if twice := sorted({name for name in fields if fields.count(name) > 1}):
        raise CsvError(f"names some twice: {_told(twice)}")
    if len(columns) > COLUMNS_MAX:
        raise CsvError(f"names more than {COLUMNS_MAX}")


def field_of(column: str) -> str:
    """The body's field that a column names; `prefix` is short for `destination.prefix`."""
    return "destination.prefix" if column == "prefix" else column


def header_of(content: bytes | None, layout: ManifestLayout) -> tuple[str, ...] | None:
    """The columns that a record names, if it is a header: each cell is a column, and one belongs to a request."""
    if content is None or not _LIKE_A_HEADER.match(content):
        return None
    try:
        columns = _names(content.removeprefix(BOM).decode(), layout.delimiter)
    except (UnicodeDecodeError, CsvError):
        return None
    if columns == layout.columns:
        return columns
    of_a_request = any(name.startswith(("request.", "adopt.")) for name in columns)
    return columns if of_a_request and not _unknown(columns) else None


def _names(text: str, delimiter: str) -> tuple[str, ...]:
    """A header's cells, without the empty ones at its end."""
    names = [cell.strip(BLANKS) for cell in cells_of(text, delimiter)]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _unknown(columns: tuple[str, ...]) -> list[str]:
    return [name for name in columns if name and not _COLUMN.fullmatch(name)]


def _told(names: list[str]) -> str:
    return ", ".join(repr(name[:80]) for name in names[:5])
