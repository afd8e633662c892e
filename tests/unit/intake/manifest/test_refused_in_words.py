"""What users read when a record or a whole manifest is refused: the whole sentence, and the code."""

from __future__ import annotations

from typing import Any

import pytest
from clipferry.intake.checks import FieldError, InvalidBody
from clipferry.intake.manifest import csv_records, division
from clipferry.intake.manifest.bodies import body_of
from clipferry.intake.manifest.csv_records import CsvError, CsvSplitter, cells_of
from clipferry.intake.manifest.division import ManifestDivision
from clipferry.intake.manifest.layout import COLUMNS_MAX, ManifestError, ManifestLayout, read_header
from clipferry.intake.manifest.records import BrokenQuotes, ManifestRecord

from tests.unit.intake.manifest.test_division import divided

KNOWN = (
    "vendor, account, deadline_seconds, on_uncertain, destination.prefix, label.<key>, request.<field>, adopt.<field>"
)
_ARRAY = "the manifest is one JSON array; in JSONL each line is one object, without brackets around them"
_OPEN = "a quote in a quoted cell that is not doubled, or leaves a quote open before it"
_TEXT = "the manifest must be plain UTF-8; it begins like"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "must be at most 262144 bytes"),
        (b"{}\xff", "must be UTF-8; byte 3 of the line is not"),
        (b"#", "is a comment; JSONL has none"),
        (b"//", "is a comment; JSONL has none"),
        (b"\xef\xbb\xbf{}", "begins with U+FEFF, a byte order mark, which may stand at the manifest's beginning only"),
        (b"{", "is not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b"{}\r{}", "is not JSON: Extra data at column 4; lines end with LF or CRLF, not with CR alone"),
        (b"[" * 100_000, "is not JSON that can be read"),
        (b"[]", "is a JSON array; each line is one JSON object, without brackets around them"),
        (b"5", "must be a JSON object"),
    ],
)
def test_a_line_of_jsonl_that_is_no_body_is_told(content: bytes | None, said: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        body_of(ManifestRecord(1, 1, 0, 0, content), ManifestLayout("jsonl"), {})
    assert refused.value.errors == [FieldError("", said)]


_LISTS = 'holds several URLs in one line; write a list as JSON (["…", "…"]) or one item a line'


@pytest.mark.parametrize(
    ("record", "columns", "errors"),
    [
        ("#", ("vendor",), [("", "begins with #; CSV has no comments (a cell that begins so has to stand in quotes)")]),
        ('"a', ("vendor",), [("", "holds a quoted cell whose quotes do not pair")]),
        (
            "ims,a,b",
            ("vendor", ""),
            [("", "cell 2 of 3 is not empty and has no column: the header names 1")],
        ),
        ("ims,,b", ("vendor",), [("", "cell 3 of 3 is not empty and has no column: the header names 1")]),
        (
            'ims,"https://a.example/1 https://a.example/2"',
            ("vendor", "request.upload_urls"),
            [("/request/upload_urls", _LISTS)],
        ),
        (
            "ims,[",
            ("vendor", "request.upload_urls"),
            [
                (
                    "/request/upload_urls",
                    "begins like a list in JSON and is none (Expecting value: line 1 column 2 (char 1))",
                )
            ],
        ),
    ],
)
def test_a_row_of_csv_that_is_no_body_is_told(
    record: str, columns: tuple[str, ...], errors: list[tuple[str, str]]
) -> None:
    with pytest.raises(InvalidBody) as refused:
        body_of(ManifestRecord(1, 1, 0, 0, record.encode()), ManifestLayout("csv", ",", columns), {})
    assert refused.value.errors == [FieldError(*error) for error in errors]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is too long"),
        (b"vendor,\xff", "is not UTF-8"),
        (b' {"vendor": 1}', "begins with {, as a line of JSONL does"),
        (b" # vendor", "begins with #; CSV has no comments"),
        (b'"vendor', "holds a quoted cell whose quotes do not pair"),
        (b"vendor,colour,size", f"names unknown ones: 'colour', 'size'; known are {KNOWN}"),
        (b"a,b,c,d,e,f," + b"x" * 90, f"names unknown ones: 'a', 'b', 'c', 'd', 'e'; known are {KNOWN}"),
        (b"vendor," + b"x" * 90, f"names unknown ones: '{'x' * 80}'; known are {KNOWN}"),
        (b"vendor,prefix,destination.prefix,vendor", "names some twice: 'destination.prefix', 'vendor'"),
        (
            ",".join(["vendor", *(f"label.{n}" for n in range(COLUMNS_MAX))]).encode(),
            f"names more than {COLUMNS_MAX}",
        ),
    ],
)
def test_a_header_that_cannot_be_is_told(content: bytes | None, why: str) -> None:
    with pytest.raises(ManifestError) as refused:
        read_header(content, 3, None, None)
    assert (refused.value.code, refused.value.message) == (
        "MANIFEST_UNREADABLE",
        f"line 3, which must name the columns, {why}",
    )
    assert str(refused.value) == refused.value.message


def test_as_many_columns_as_there_may_be_are_read() -> None:
    names = ["vendor", *(f"label.{n}" for n in range(COLUMNS_MAX - 1))]
    assert read_header(",".join(names).encode(), 1, None, None) == ManifestLayout("csv", ",", tuple(names))
    assert read_header(b"vendor;;account;;", 1, None, "\r").columns == ("vendor", "", "account")


@pytest.mark.parametrize(
    ("text", "kind", "code", "message"),
    [
        (b"", "jsonl", "MANIFEST_EMPTY", "the manifest has no line that is not blank"),
        (b"\xff\xfe{\x00", "jsonl", "MANIFEST_UNREADABLE", f"{_TEXT} UTF-16 (little-endian)"),
        (b"\xfe\xff\x00{", "jsonl", "MANIFEST_UNREADABLE", f"{_TEXT} UTF-16 (big-endian)"),
        (b"\xff\xfe\x00\x00{\x00\x00\x00", "jsonl", "MANIFEST_UNREADABLE", f"{_TEXT} UTF-32 (little-endian)"),
        (b"\x00\x00\xfe\xff\x00\x00\x00{", "jsonl", "MANIFEST_UNREADABLE", f"{_TEXT} UTF-32 (big-endian)"),
        (
            b"{\x00}\x00",
            "jsonl",
            "MANIFEST_UNREADABLE",
            f"{_TEXT} UTF-16 or UTF-32 without a byte order mark, or like no text",
        ),
        (b"[\n", "jsonl", "MANIFEST_UNREADABLE", _ARRAY),
        (
            b"vendor,request.vids\na\nvendor,request.vids,account",
            "csv",
            "MANIFEST_UNREADABLE",
            "line 3 is another header; a manifest has one",
        ),
        (
            b'vendor\na\n"b',
            "csv",
            "MANIFEST_UNREADABLE",
            "the record that begins on line 3 opens a quote that is never closed",
        ),
        (
            b'vendor\na\n"b\n" c',
            "csv",
            "MANIFEST_UNREADABLE",
            f"the record that begins on line 3 holds, on line 4, {_OPEN}",
        ),
    ],
)
def test_a_manifest_that_cannot_be_divided_is_told(text: bytes, kind: str, code: str, message: str) -> None:
    with pytest.raises(ManifestError) as refused:
        divided(text, kind)
    assert (refused.value.code, refused.value.message) == (code, message)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x1f\x8b", "gzip"),
        (b"PK\x03\x04", "a zip archive, as .xlsx files are"),
        (b"\xd0\xcf\x11\xe0", "an Office document, as .xls files are"),
        (b"%PDF", "PDF"),
        (b"PAR1", "Parquet"),
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
        (b"BZh", "bzip2"),
        (b"\xfd7zX", "xz"),
    ],
)
def test_a_manifest_in_another_format_is_told_by_its_name(head: bytes, name: str) -> None:
    with pytest.raises(ManifestError) as refused:
        divided(head, "csv")
    assert refused.value.message == f"{_TEXT} {name}"


def test_a_manifest_that_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "LINES_MAX", 2)
    with pytest.raises(ManifestError) as refused:
        ManifestDivision("jsonl").feed(b"{}\n" * 3)
    assert (refused.value.code, refused.value.message) == (
        "MANIFEST_TOO_LONG",
        "more than 2 lines; split the manifest",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [("a\n" + "x" * 101 + "\n", "has no end"), ('a\n"' + "x" * 101 + '"\n', "opens a quote that is not closed")],
)
def test_a_record_without_an_end_is_told(text: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "ENDLESS", 100)
    splitter: Any = CsvSplitter(line=7)
    with pytest.raises(BrokenQuotes) as refused:
        list(splitter.feed(text.encode()))
    assert str(refused.value) == f"the record that begins on line 8 {why} within 100 bytes"
    assert refused.value.line == 8


def test_cells_whose_quotes_do_not_pair_are_told_whole() -> None:
    with pytest.raises(CsvError) as refused:
        cells_of('a,"b" c', ",")
    assert str(refused.value) == "holds a quoted cell whose quotes do not pair"
