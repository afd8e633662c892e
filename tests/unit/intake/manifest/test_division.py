"""Chunks: every record in exactly one, whatever the blocks and however often the reading is broken off."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from typing import Any

import pytest
from clipferry.intake.manifest import division as module
from clipferry.intake.manifest.division import ManifestChunk, ManifestDivision
from clipferry.intake.manifest.layout import ManifestError, ManifestLayout
from clipferry.intake.manifest.records import ManifestRecord
from hypothesis import given, settings
from hypothesis import strategies as st

HEADER = "request.user_data,label.a"
CELLS = st.text(st.sampled_from('ab",;\r\n é'), max_size=6)
JSON_LINES = st.lists(
    st.sampled_from([b"", b" ", b"\r", b"{}", b'{"a":1}', b"\xff{}", b"x" * 40, "ünï".encode(), b"\xe2\x80\xa8"]),
    max_size=120,
)


def divided(text: bytes, kind: str = "jsonl", size: int = 0, rules: int = module.RULES) -> ManifestDivision:
    division = ManifestDivision(kind, rules)
    for at in range(0, len(text), size or len(text) or 1):
        division.feed(text[at : at + (size or len(text))])
    division.finish()
    return division


def records_of(text: bytes, division: ManifestDivision) -> list[ManifestRecord]:
    """As the chunks are read again, one by one."""
    found = list[ManifestRecord]()
    for chunk in division.chunks:
        splitter = division.layout.splitter(chunk.start, chunk.line)
        found += [*splitter.feed(text[chunk.start : chunk.end]), *splitter.end()]
    return [record for record in found if not division.layout.skips(record.content)]


def broken_off(text: bytes, kind: str, size: int, every: int) -> ManifestDivision:
    """Read by calls that take in so many blocks each; one that got no further has the time for more."""
    division, blocks = ManifestDivision(kind), every
    while True:
        at, begun = division.offset, division.offset
        for _ in range(blocks):
            division.feed(text[at : at + size])
            at += size
        if at >= len(text):
            division.finish()
            return division
        blocks = every if division.offset > begun else 2 * blocks
        division = ManifestDivision.parse(division.dump())


@settings(max_examples=80, deadline=None)
@given(JSON_LINES, st.integers(1, 300), st.integers(1, 4))
def test_every_line_that_is_not_blank_lies_in_one_chunk(lines: list[bytes], size: int, every: int) -> None:
    text = b"\n".join([b"{}", *lines])

    division = divided(text)

    wanted = [(n, line.removesuffix(b"\r")) for n, line in enumerate([b"{}", *lines], 1) if line.strip(b" \r")]
    assert [(record.line, record.content) for record in records_of(text, division)] == wanted
    assert division.lines == len(wanted)
    assert divided(text, size=size).chunks == broken_off(text, "jsonl", size, every).chunks == division.chunks


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(CELLS, CELLS), max_size=80),
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.sampled_from(["", "sep=,", "\n \n"]),
    st.integers(1, 200),
    st.integers(1, 4),
)
def test_every_record_of_csv_lies_in_one_chunk_whatever_its_cells_hold(
    rows: list[tuple[str, str]], newline: str, before: str, size: int, every: int
) -> None:
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in [("first", "x"), *rows]]
    lines = [*([before.replace("\n", newline)] if before else []), HEADER, *map(",".join, quoted), ""]
    text = ("\ufeff" + newline.join(lines)).encode()

    division = divided(text, "csv")

    found = records_of(text, division)
    wanted = [row for row in [("first", "x"), *rows] if (row[0] + row[1]).strip(' \t\r\n",')]
    read = [tuple(next(csv.reader(io.StringIO((r.content or b"").decode(), newline="")))) for r in found]
    assert read == wanted
    assert division.lines == len(wanted)
    assert divided(text, "csv", size).chunks == broken_off(text, "csv", size, every).chunks == division.chunks


def test_chunks_are_bounded_in_records_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)

    assert [c.line for c in divided(b"{}\n" * 60).chunks] == [1, 26, 51]
    assert [c.line for c in divided(b"x" * 600 + b"\n" + b"x" * 600 + b"\n{}").chunks] == [1, 3]


@pytest.mark.parametrize(
    ("text", "kind", "code", "said"),
    [
        (b"", "jsonl", "MANIFEST_EMPTY", "no line"),
        (b"\n \n\r\n", "jsonl", "MANIFEST_EMPTY", "no line"),
        (b"\xef\xbb\xbf", "jsonl", "MANIFEST_EMPTY", "no line"),
        (b"\xef\xbb\xbf", "csv", "MANIFEST_EMPTY", "no line"),
        (b"vendor,request.vids\n,,,\n", "csv", "MANIFEST_EMPTY", "no line"),
        ("{}".encode("utf-16"), "jsonl", "MANIFEST_UNREADABLE", "UTF-16"),
        ("{}\n".encode("utf-16-le") * 9, "jsonl", "MANIFEST_UNREADABLE", "UTF-16"),
        ("vendor".encode("utf-16"), "csv", "MANIFEST_UNREADABLE", "UTF-16"),
        (b"\x1f\x8b\x08\x00", "jsonl", "MANIFEST_UNREADABLE", "gzip"),
        (b"[", "jsonl", "MANIFEST_UNREADABLE", "one JSON array"),
        (b'\n[{"vendor": "polyv"},\n{"vendor": "polyv"}]', "jsonl", "MANIFEST_UNREADABLE", "one JSON array"),
        (b'request.vids\n\na\n"b\nc\n', "csv", "MANIFEST_UNREADABLE", "begins on line 4 opens a quote"),
        (b'request.vids\na\n"b\nc" d\n', "csv", "MANIFEST_UNREADABLE", "begins on line 3 holds, on line 4, a quote"),
        (b"request.vids\na\nvendor,request.vids\nb,c", "csv", "MANIFEST_UNREADABLE", "line 3 is another header"),
        (b"sep=;\nvendor,request.vids\n", "csv", "MANIFEST_UNREADABLE", "line 2, .* unknown ones: 'vendor,request"),
        (b"sep=;\nsep=;\n", "csv", "MANIFEST_UNREADABLE", "line 2, .* unknown"),
    ],
)
def test_what_cannot_be_divided_is_refused_as_a_whole(text: bytes, kind: str, code: str, said: str) -> None:
    for size in (1, 3, len(text)):
        with pytest.raises(ManifestError, match=said) as refused:
            divided(text, kind, size)
        assert refused.value.code == code


def test_a_json_array_on_a_line_of_its_own_is_a_line_like_others() -> None:
    assert divided(b"[1]\n{}\n[").lines == 3


def test_more_records_than_a_batch_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 30)
    assert divided(b"{}\n" * 30).lines == 30

    with pytest.raises(ManifestError, match="more than 30 lines"):
        divided(b"{}\n" * 31)


@pytest.mark.parametrize("before", ["", "\n\n", "sep=;\n", "\r\nsep=;\r\n\r\n"])
def test_a_header_is_no_record_and_may_come_again(before: str) -> None:
    text = f"\ufeff{before}request.vids;label.a;;\na\n;;\nrequest.vids;label.a\n\ufeffrequest.vids;label.a\nb;;;\n"

    division = divided(text.encode(), "csv")

    assert division.layout == ManifestLayout("csv", ";", ("request.vids", "label.a"))
    first = text[: text.index("request")].count("\n") + 2
    found = records_of(text.encode(), division)
    assert [(record.line, record.content) for record in found] == [(first, b"a"), (first + 4, b"b;;;")]


def test_a_chunk_is_read_with_the_line_breaks_of_its_manifest() -> None:
    """Where lines end with LF, a CR inside of a cell begins no record, also if it is the first break of a chunk."""
    text = b"request.vids,label.a\n" + b"a\revil,b\n" * 30

    division = divided(text, "csv")

    assert len(division.chunks) == 2
    assert [record.content for record in records_of(text, division)] == [b"a\revil,b"] * 30


def test_the_first_releases_chunks_of_a_manifest_are_found_again_by_its_rules() -> None:
    text = b'vendor,account\r\n"a\nb",c\n;\n' + b"d,e\n" * 30
    stored: dict[str, Any] = {
        "format": "csv",
        "layout": {"format": "csv", "delimiter": ",", "columns": ["vendor", "account"]},
        "chunks": [[16, 118, 2]],
        "lines": 25,
        "offset": 118,
        "next_line": 28,
    }

    whole = divided(text, "csv", rules=1)
    gone_on = ManifestDivision.parse(json.dumps(stored), 1)
    gone_on.feed(text[118:])
    gone_on.finish()

    assert [(c.start, c.end, c.line) for c in whole.chunks] == [(16, 118, 2), (118, 146, 28)]
    assert (gone_on.chunks, gone_on.lines) == (whole.chunks, whole.lines)


def test_memory_grows_with_the_number_of_chunks_alone() -> None:
    row = f'gate-3,"{"x" * 2000}\n""y""\n"\r\n'.encode()

    def peak(rows: int) -> int:
        division = ManifestDivision("csv")
        division.feed(f"{HEADER}\r\n".encode())
        tracemalloc.start()
        for _ in range(rows // 100):
            division.feed(row * 100)
        division.finish()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert division.lines == rows
        return most

    assert peak(4000) - peak(1000) < 3000 / module.CHUNK_LINES * 1024


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_was_divided_in_one_call_is_gone_on_with_in_another(kind: str) -> None:
    header = b"\nsep=;\nrequest.vids;label.a\n" if kind == "csv" else b"\n"
    text = header + b"{}\n" * 60

    first = ManifestDivision(kind)
    first.feed(text[:150])
    stored = json.loads(first.dump())
    second = ManifestDivision.parse(first.dump())
    second.feed(text[second.offset :])
    second.finish()

    whole = divided(text, kind)
    assert (second.chunks, second.lines, second.layout) == (whole.chunks, whole.lines, whole.layout)
    assert stored == {
        "format": kind,
        "layout": first.layout.stored() | {"columns": list(first.layout.columns)},
        "delimiter": ";" if kind == "csv" else None,
        "chunks": [[len(header) if kind == "csv" else 0, len(header) + 75, 4 if kind == "csv" else 1]],
        "lines": 25,
        "offset": len(header) + 75,
        "next_line": header.count(b"\n") + 26,
    }


def test_a_division_of_which_nothing_is_in_a_chunk_begins_anew() -> None:
    first = ManifestDivision("csv")
    first.feed(b"\xef\xbb\xbf")
    second = ManifestDivision.parse(first.dump())
    second.feed(b"\xef\xbb\xbfrequest.vids\na\n")
    second.finish()

    assert second.lines == 1
    assert (second.chunks[0].start, second.chunks[0].line) == (16, 2)


def test_chunks_are_numbered_from_zero_and_end_where_the_next_one_begins() -> None:
    chunks = divided(b"{}\n" * 60).chunks

    assert chunks == [ManifestChunk(0, 0, 75, 1), ManifestChunk(1, 75, 150, 26), ManifestChunk(2, 150, 180, 51)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [(b'{"a": [1]}\n[', 2), (b"[1, 2]\n{}", 2), (b" [1]", 1), (b"[" * 100_000, 1), (b"x\n[", 2)],
)
def test_a_line_that_is_no_beginning_of_an_array_is_a_line(text: bytes, lines: int) -> None:
    assert divided(text).lines == lines


@pytest.mark.parametrize("text", [b"[{}", b" \t[", b"\n\n[\n{}\n]", b'["a",\n'])
def test_an_array_over_several_lines_is_refused_at_its_first_one(text: bytes) -> None:
    with pytest.raises(ManifestError, match="one JSON array"):
        divided(text)


@pytest.mark.parametrize(("newline", "kept"), [(b"\n", "\n"), (b"\r\n", "\n"), (b"\r", "\r")])
def test_how_lines_end_is_kept_with_the_columns(newline: bytes, kept: str) -> None:
    assert divided(newline.join([b"request.vids", b"a", b""]), "csv").layout.newline == kept


def test_a_delimiter_that_was_said_is_known_in_the_next_call() -> None:
    first = ManifestDivision("csv")
    first.feed(b"sep=;\nrequest")
    second = ManifestDivision.parse(first.dump())
    second.feed(b"request.vids\na\n")
    second.finish()

    assert (second.offset, second.layout.delimiter, second.chunks[0].line) == (21, ";", 3)


def test_a_division_that_was_stored_before_its_header_was_read_goes_on() -> None:
    stored = {"format": "csv", "layout": None, "chunks": [], "lines": 0, "offset": 0, "next_line": 1}
    division = ManifestDivision.parse(json.dumps(stored), 1)
    division.feed(b"request.vids\na\n")
    division.finish()

    assert division.layout == ManifestLayout("csv", ",", ("request.vids",), rules=1)
