"""A manifest: many job bodies in one object, one a line. Pure: bytes in, bodies or problems out.

JSONL: a line is a job body as `POST /jobs` takes it. CSV: the first line names the columns (separated by `,`, `;` or a
tab), each further line is one body:

    vendor, account, on_uncertain, deadline_seconds   the body's fields
    prefix                                            destination.prefix
    label.<key>                                       a label
    request.<field>, adopt.<field>                    a field of the vendor's request, as GET /vendors describes it

An empty cell is an absent field. Where the schema wants anything but text a cell holds JSON (`60`, `["a", "b"]`); where
it wants a list, a cell that is none is its one item. A line is a record: no field may hold a line break, so that a
quote which is never closed spoils its own line and none of those after it.

Both are UTF-8, with or without a byte order mark, lines ended by LF or CRLF. Blank lines are no lines of the batch, but
count for the line numbers. A batch's `defaults` lie under every line: the line's own fields win, labels are united, and
a default account is for lines of the default vendor only.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clipferry.intake.job_body import BODY_MAX, BODY_SCHEMA, FieldError, InvalidBody
from clipferry.vendors import VENDORS, vendor_class

PREFIX = "manifests/"  # where manifests lie in the bucket; the functions may read nothing else
FORMATS = ("jsonl", "csv")
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
LINES_MAX = 1_000_000
BYTES_MAX = 5 * 1024**3  # what S3 takes in one PUT
LINE_MAX = BODY_MAX
CHUNK_LINES = 25  # a few seconds' work, and what a crash lets one call do again
CHUNK_BYTES = 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_NOT_TEXT = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x1f\x8b": "gzip", b"PK\x03\x04": "a zip archive"}
_COLUMN = re.compile(r"^(vendor|account|on_uncertain|deadline_seconds|prefix|label\..+|(request|adopt)\.[A-Za-z_]+)$")
_DEFAULTS = ("vendor", "account", "destination", "labels", "deadline_seconds", "on_uncertain")
BATCH_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "manifest": {
            "type": "object",
            "properties": {
                "bucket": {"type": "string", "description": "the stack's own, which is the default"},
                "key": {"type": "string", "pattern": f"^{PREFIX}[^\\x00-\\x1f]+$(?!\\n)", "maxLength": 900},
                "etag": {"type": "string", "maxLength": 128, "description": "refuse any other content"},
            },
            "required": ["key"],
            "additionalProperties": False,
        },
        "format": {"enum": list(FORMATS), "description": "by the key's suffix when absent"},
        "defaults": {
            "type": "object",
            "properties": {name: BODY_SCHEMA["properties"][name] for name in _DEFAULTS},
            "additionalProperties": False,
        },
    },
    "required": ["manifest"],
    "additionalProperties": False,
}


class ManifestError(Exception):
    """The manifest as a whole cannot be: nothing of it is submitted."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Line:
    """One line and where it lies. `content` is None when it is longer than LINE_MAX."""

    number: int
    start: int
    end: int  # behind its line break
    content: bytes | None


@dataclass(frozen=True)
class Chunk:
    """Lines that one call submits: the bytes [start, end), the first of which is line number `line`."""

    number: int
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Layout:
    """How to read a line."""

    format: str
    delimiter: str = ","
    columns: tuple[str, ...] = ()

    def blank(self, content: bytes | None) -> bool:
        """Whether a line holds nothing: of CSV one whose cells are all empty, as spreadsheets leave them behind."""
        return content is not None and not content.strip(b' \t\r\n,;"' if self.format == "csv" else b" \t\r\n")


class Lines:
    """Splits blocks of bytes into lines, holding no more than one line of at most LINE_MAX."""

    def __init__(self, offset: int = 0, number: int = 1) -> None:
        self._start, self._number = offset, number
        self._held, self._size, self._too_long = bytearray(), 0, False

    def feed(self, block: bytes) -> Iterator[Line]:
        """The lines that end in this block."""
        at = 0
        while (found := block.find(b"\n", at)) >= 0:
            self._hold(block[at:found])
            yield self._line(1)
            at = found + 1
        self._hold(block[at:])

    def end(self) -> Iterator[Line]:
        """The last line, if no line break ends it."""
        if self._size:
            yield self._line(0)

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > LINE_MAX:
            self._held.clear()
            self._too_long = True
        else:
            self._held += piece

    def _line(self, line_break: int) -> Line:
        content = bytes(self._held)
        if self._start == 0:
            content = content.removeprefix(_BOM)
        end = self._start + self._size + line_break
        line = Line(self._number, self._start, end, None if self._too_long else content.removesuffix(b"\r"))
        self._start, self._number = end, self._number + 1
        self._held.clear()
        self._size, self._too_long = 0, False
        return line


@dataclass
class Index:
    """The chunks of a manifest, found line by line. What it holds is enough to go on in another call.

    Every record is in exactly one chunk, whatever the blocks it was read in and however often it was broken off.
    """

    format: str
    layout: Layout | None = None
    chunks: list[Chunk] = field(default_factory=list)
    lines: int = 0  # that are not blank, in the chunks; a CSV header is none
    offset: int = 0  # up to here every line is in a chunk, or blank
    next_line: int = 1
    _open: int = 0  # lines of the chunk that is being filled

    def add(self, line: Line) -> None:
        """Take in the next line. Raises ManifestError."""
        if line.start == 0:
            _refuse_what_is_no_text(line.content or b"")
        if self.layout is None and not Layout(self.format).blank(line.content):
            self.layout = Layout("jsonl") if self.format == "jsonl" else _header(line.content)
            if self.format == "csv":
                self._pass(line)
                return
        if self.layout and not self.layout.blank(line.content):
            self._open += 1
            if self.lines + self._open > LINES_MAX:
                raise ManifestError("MANIFEST_TOO_LONG", f"more than {LINES_MAX} lines; split the manifest")
        if self._open >= CHUNK_LINES or line.end - self.offset >= CHUNK_BYTES:
            self._pass(line)

    def close(self, end: int, next_line: int) -> None:
        """After the last line."""
        self._pass(Line(next_line - 1, end, end, b""))
        if not self.lines:
            raise ManifestError("MANIFEST_EMPTY", "the manifest has no line that is not blank")

    def _pass(self, line: Line) -> None:
        if self._open:
            self.chunks.append(Chunk(len(self.chunks), self.offset, line.end, self.next_line))
        self.lines, self._open = self.lines + self._open, 0
        self.offset, self.next_line = line.end, line.number + 1

    def dump(self) -> str:
        """As far as whole chunks go."""
        layout = asdict(self.layout) if self.layout else None
        chunks = [[c.start, c.end, c.line] for c in self.chunks]
        return json.dumps(
            {
                "format": self.format,
                "layout": layout,
                "chunks": chunks,
                "lines": self.lines,
                "offset": self.offset,
                "next_line": self.next_line,
            }
        )

    @classmethod
    def parse(cls, text: str | bytes) -> Index:
        found = json.loads(text)
        chunks = [Chunk(number, *ranges) for number, ranges in enumerate(found.pop("chunks"))]
        layout = found.pop("layout")
        return cls(**found, chunks=chunks, layout=read_layout(layout) if layout else None)


def read_layout(stored: Mapping[str, Any]) -> Layout:
    """A layout as it was written down."""
    return Layout(stored["format"], stored["delimiter"], tuple(stored["columns"]))


def format_of(key: str, given: str | None) -> str | None:
    """The manifest's format; None when nobody says."""
    return given or next((kind for suffix, kind in SUFFIXES.items() if key.lower().endswith(suffix)), None)


def body_of(content: bytes | None, layout: Layout, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The job body that a line stands for, the defaults under it. Raises InvalidBody."""
    if content is None:
        raise _invalid(f"must be at most {LINE_MAX} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"must be UTF-8; byte {error.start + 1} of the line is not") from None
    return merge(_from_cells(text, layout, defaults) if layout.format == "csv" else _from_json(text), defaults)


def merge(body: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A line's own fields over the defaults."""
    under = dict(defaults)
    if "vendor" in under and body.get("vendor", under["vendor"]) != under["vendor"]:
        under.pop("account", None)
    merged = {**under, **body}
    if isinstance(body.get("labels"), dict) and "labels" in under:
        merged["labels"] = {**under["labels"], **body["labels"]}
    return merged


def _from_json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise _invalid(f"is not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):
        raise _invalid("is not JSON that can be read") from None
    if not isinstance(body, dict):
        raise _invalid("must be a JSON object")
    return body


def _from_cells(text: str, layout: Layout, defaults: Mapping[str, Any]) -> dict[str, Any]:
    cells = [cell.strip() for cell in _cells(text, layout.delimiter)]
    if len(cells) != len(layout.columns):
        raise _invalid(f"has {len(cells)} cells; the header names {len(layout.columns)} columns")
    given = {column: cell for column, cell in zip(layout.columns, cells, strict=True) if cell}
    vendor = given.get("vendor", defaults.get("vendor"))
    body: dict[str, Any] = {}
    for column, cell in given.items():
        room, _, name = column.partition(".")
        match room:
            case "prefix":
                body["destination"] = {"prefix": cell}
            case "label":
                body.setdefault("labels", {})[name] = cell
            case "request" | "adopt":
                body.setdefault(room, {})[name] = _value(cell, _property(vendor, room, name))
            case _:
                body[room] = _value(cell, BODY_SCHEMA["properties"][room])
    return body


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise _invalid(f"is not CSV: {error}") from None


def _property(vendor: Any, room: str, name: str) -> Mapping[str, Any]:
    """What the vendor's schema says of a field; nothing for one that it does not know, which the check will name."""
    if vendor not in VENDORS:
        return {}
    described = vendor_class(vendor)
    schema = described.request_schema if room == "request" else described.adopt_schema
    found: Mapping[str, Any] = schema.get("properties", {}).get(name, {})
    return found


def _value(cell: str, schema: Mapping[str, Any]) -> Any:
    """A cell as the schema wants it; one that cannot be stays text, and the check will say what it must be."""
    wanted = schema.get("type", ())
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if "string" in wanted:
        return cell
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        value = cell
    if "array" in wanted and not isinstance(value, list):
        return [_value(cell, schema.get("items", {}))]
    return value


def _header(content: bytes | None) -> Layout:
    """The columns a CSV manifest names. Raises ManifestError."""
    try:
        text = (content or b"").decode()
        delimiter = max(",;\t", key=text.count)
        columns = tuple(cell.strip() for cell in _cells(text, delimiter))
    except (UnicodeDecodeError, InvalidBody):
        raise ManifestError("MANIFEST_UNREADABLE", "the first line is no CSV header in UTF-8") from None
    unknown = [name[:80] for name in columns if not _COLUMN.match(name)]
    if unknown:
        told = ", ".join(map(repr, unknown[:5]))
        raise ManifestError("MANIFEST_UNREADABLE", f"the header names unknown columns: {told}")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ManifestError("MANIFEST_UNREADABLE", f"the header names columns twice: {', '.join(twice[:5])}")
    return Layout("csv", delimiter, columns)


def _refuse_what_is_no_text(content: bytes) -> None:
    for magic, name in _NOT_TEXT.items():
        if content.startswith(magic):
            raise ManifestError("MANIFEST_UNREADABLE", f"the manifest must be plain UTF-8; it begins like {name}")


def _invalid(detail: str) -> InvalidBody:
    return InvalidBody([FieldError("", detail)])
