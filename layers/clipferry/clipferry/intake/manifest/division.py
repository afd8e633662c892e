"""Divides a manifest into chunks: ranges of bytes that begin and end between two records.

The chunks depend only on the content. They do not depend on the blocks in which it is read, or on interruptions of the
reading. So each record of the batch is in exactly one chunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from clipferry.intake.manifest.csv_records import DELIMITERS, CsvSplitter
from clipferry.intake.manifest.layout import (
    HEAD,
    RULES,
    ManifestError,
    ManifestLayout,
    given_delimiter,
    header_of,
    read_header,
    refuse_binary,
)
from clipferry.intake.manifest.records import BrokenQuotes, ManifestRecord, RecordSplitter

LINES_MAX = 1_000_000
CHUNK_LINES = 25  # a few seconds' work; after a crash a call repeats at most so many lines
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ManifestChunk:
    """The records that one call submits: the bytes [start, end); `line` is the number of the first line."""

    number: int
    start: int
    end: int
    line: int


class ManifestDivision:
    """Finds the chunks of a manifest while its bytes are read. Another call can continue from what `dump` gives.

    `rules`: see `ManifestLayout`; when a batch is divided again, the same rules are used.
    """

    def __init__(self, kind: str, rules: int = RULES) -> None:
        self.layout = ManifestLayout(kind, rules=rules)
        self.chunks: list[ManifestChunk] = []
        self.lines = 0  # records in the chunks
        self.offset, self.next_line = 0, 1  # each record before this is in a chunk, or left out
        self._open = 0  # records of the chunk that is being filled
        self._delimiter: str | None = None  # from a line `sep=;` before the header
        self._head: bytes | None = b""  # the manifest's first bytes; None after they were checked
        self._splitter: RecordSplitter | None = None

    def feed(self, block: bytes) -> None:
        """Read the next bytes, from `offset` on. Raises ManifestError."""
        if self._head is not None:
            self._head += block
            if len(self._head) >= HEAD:
                self._feed_head()
            return
        self._add_all(lambda records: records.feed(block))

    def finish(self) -> None:
        """End the division, after the last byte. Raises ManifestError."""
        self._feed_head()
        self._add_all(lambda records: records.end())
        self._close_chunk()
        if not self.lines:
            raise ManifestError("MANIFEST_EMPTY", "the manifest has no line that is not blank")

    def _feed_head(self) -> None:
        head, self._head = self._head, None
        if head:
            refuse_binary(head)
            self.feed(head)

    def _add_all(self, read: Callable[[RecordSplitter], Iterator[ManifestRecord]]) -> None:
        try:
            for record in read(self._records()):
                self._add(record)
        except BrokenQuotes as error:
            raise ManifestError("MANIFEST_UNREADABLE", str(error)) from None

    def _records(self) -> RecordSplitter:
        if self._splitter is None:
            if self._header_to_come and self.layout.rules == RULES:
                self._splitter = CsvSplitter(self.offset, self.next_line, self._delimiter or DELIMITERS)
            else:
                self._splitter = self.layout.splitter(self.offset, self.next_line)
            self._seen = self.offset, self.next_line
        return self._splitter

    @property
    def _header_to_come(self) -> bool:
        return self.layout.format == "csv" and not self.layout.columns

    def _add(self, record: ManifestRecord) -> None:
        self._seen = record.end, record.last_line + 1
        if not self.layout.skips(record.content):
            if self._header_to_come:
                self._read_header(record)
                return
            self._refuse(record)
            self._open += 1
        if self._open >= CHUNK_LINES or record.end - self.offset >= CHUNK_BYTES:
            self._close_chunk()

    def _close_chunk(self) -> None:
        """End a chunk after the last record. Blank records alone make no chunk."""
        end, next_line = self._seen
        if self._open:
            self.chunks.append(ManifestChunk(len(self.chunks), self.offset, end, self.next_line))
        self.lines, self._open = self.lines + self._open, 0
        self.offset, self.next_line = end, next_line

    def _read_header(self, record: ManifestRecord) -> None:
        if self._delimiter is None and (given := given_delimiter(record.content)):
            self._delimiter = given
        else:
            newline = self._splitter.newline if isinstance(self._splitter, CsvSplitter) else None
            found = read_header(record.content, record.line, self._delimiter, newline)
            self.layout = replace(found, rules=self.layout.rules)
        if isinstance(self._splitter, CsvSplitter):
            self._splitter.delimiters = self._delimiter or self.layout.delimiter
        self._close_chunk()

    def _refuse(self, record: ManifestRecord) -> None:
        """Raises ManifestError for a record that makes the whole manifest unreadable."""
        if self.lines + self._open >= LINES_MAX:
            raise ManifestError("MANIFEST_TOO_LONG", f"more than {LINES_MAX} lines; split the manifest")
        if self.layout.format == "csv":
            if self.layout.rules == RULES and header_of(record.content, self.layout):
                message = f"line {record.line} is another header; a manifest has one"
                raise ManifestError("MANIFEST_UNREADABLE", message)
        elif not self.lines + self._open and _opens_array(record.content):
            message = "the manifest is one JSON array; in JSONL each line is one object, without brackets around them"
            raise ManifestError("MANIFEST_UNREADABLE", message)

    def dump(self) -> str:
        """The progress as JSON, up to the last whole chunk."""
        return json.dumps(
            {
                "format": self.layout.format,
                "layout": self.layout.stored(),
                "delimiter": self._delimiter,
                "chunks": [[chunk.start, chunk.end, chunk.line] for chunk in self.chunks],
                "lines": self.lines,
                "offset": self.offset,
                "next_line": self.next_line,
            }
        )

    @classmethod
    def parse(cls, text: str | bytes, rules: int = RULES) -> ManifestDivision:
        """The division from what `dump` gave, in this release or the first one."""
        stored = json.loads(text)
        found = cls(stored["format"], rules)
        if stored["layout"]:
            found.layout = ManifestLayout.parse(stored["layout"])
        found.chunks = [ManifestChunk(number, *place) for number, place in enumerate(stored["chunks"])]
        found.lines, found.offset, found.next_line = stored["lines"], stored["offset"], stored["next_line"]
        found._delimiter = stored.get("delimiter")
        if found.offset:
            found._head = None
        return found


def _opens_array(content: bytes | None) -> bool:
    """Whether a line begins a JSON array that continues on the next lines."""
    if content is None or not content.lstrip().startswith(b"["):
        return False
    try:
        json.loads(content)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False
