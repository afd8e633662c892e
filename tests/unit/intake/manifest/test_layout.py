"""Layouts: the header of CSV, whatever its delimiter, and what is no record."""

from __future__ import annotations

import pytest
from clipferry.intake.manifest.csv_records import CsvError, cells_of
from clipferry.intake.manifest.layout import (
    COLUMNS_MAX,
    ManifestError,
    ManifestLayout,
    given_delimiter,
    read_header,
    refuse_binary,
)

GATES = ManifestLayout("csv", ";", ("request.iot_id", "request.record_duration"))


class TestTheHeader:
    @pytest.mark.parametrize(
        ("header", "delimiter", "columns"),
        [
            ("vendor,account", ",", ("vendor", "account")),
            ("vendor;label.a", ";", ("vendor", "label.a")),
            ("vendor\tprefix", "\t", ("vendor", "prefix")),
            ("vendor|destination.prefix", "|", ("vendor", "destination.prefix")),
            ('"vendor" ; "request.iot_id"', ";", ("vendor", "request.iot_id")),
            (" vendor , label.a b ", ",", ("vendor", "label.a b")),
            ("request.vids", ",", ("request.vids",)),
            ("request.vids;;;", ";", ("request.vids",)),
            ("vendor,,request.vids,,", ",", ("vendor", "", "request.vids")),
            ("adopt.task_id;vendor;;;", ";", ("adopt.task_id", "vendor")),
        ],
    )
    def test_says_the_delimiter_and_the_columns(self, header: str, delimiter: str, columns: tuple[str, ...]) -> None:
        found = read_header(header.encode(), 1, None, "\n")

        assert (found.delimiter, found.columns) == (delimiter, columns)

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            (b"vendor,colour", "names unknown ones: 'colour'"),
            (b"vendor;colour;account", "names unknown ones: 'colour'"),
            (b"vendor,vendor", "names some twice: 'vendor'"),
            (b"prefix,destination.prefix", "names some twice: 'destination.prefix'"),
            (b"destination.bucket", "unknown ones: 'destination.bucket'"),
            (b"label.,vendor", "unknown ones: 'label.'"),
            (b"label.a=b,vendor", "unknown ones: 'label.a=b'"),
            (b"label." + b"x" * 65, "unknown ones: 'label.xxx"),
            (b"request." + b"x" * 65, "unknown ones: 'request.xxx"),
            (b'vendor,"label.a', "quotes do not pair"),
            (b"\xff", "is not UTF-8"),
            (None, "is too long"),
            (b'{"vendor": "polyv"}', "as a line of JSONL does"),
            (b"# exported today", "CSV has no comments"),
            (b"https://a.example/v.mp4,60", "names unknown ones"),
            (",".join(f"label.{n}" for n in range(COLUMNS_MAX + 1)).encode(), f"more than {COLUMNS_MAX}"),
        ],
    )
    def test_that_cannot_be_is_told_with_its_line(self, header: bytes | None, said: str) -> None:
        with pytest.raises(ManifestError, match=said) as refused:
            read_header(header, 3, None, "\n")

        assert refused.value.message.startswith("line 3, which must name the columns,")
        assert refused.value.code == "MANIFEST_UNREADABLE"

    @pytest.mark.parametrize(
        ("line", "delimiter"),
        [(b"sep=;", ";"), (b'"sep=,"', ","), (b"SEP=\t", "\t"), (b"sep=|  ", "|"), (b"sep=", None), (b"sep=:", None)],
    )
    def test_may_have_a_line_before_it_that_says_the_delimiter(self, line: bytes, delimiter: str | None) -> None:
        assert given_delimiter(line) == delimiter


class TestWhatIsNoRecord:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b";",
            b'""; ""',
            b' ;"\r\n";;;',
            b"request.iot_id;request.record_duration",
            b'"request.iot_id"; "request.record_duration";;',
            b"\xef\xbb\xbfrequest.iot_id;request.record_duration",
        ],
    )
    def test_is_blank_or_the_header_once_more(self, content: bytes) -> None:
        assert GATES.skips(content)

    @pytest.mark.parametrize(
        "content", [b"gate;60", b",", b"request.iot_id;60", b"vendor", b"request.record_duration;request.iot_id", None]
    )
    def test_is_nothing_else(self, content: bytes | None) -> None:
        assert not GATES.skips(content)

    def test_of_jsonl_is_a_blank_line(self) -> None:
        assert [ManifestLayout("jsonl").skips(content) for content in (b" \t", b"{}", b",", None)] == [
            True,
            False,
            False,
            False,
        ]


@pytest.mark.parametrize(
    ("text", "delimiter", "cells"),
    [
        ("", ",", [""]),
        ("a,b,", ",", ["a", "b", ""]),
        ('"a","",""""', ",", ["a", "", '"']),
        (' "a" ,b', ",", ["a", "b"]),
        ("\t", "\t", ["", ""]),
        ('"a\t"\t "b"', "\t", ["a\t", "b"]),
        ('a"b;"c;d"', ";", ['a"b', "c;d"]),
        (' a "b" ', ",", [' a "b" ']),
        ('X"a","b"', ",", ['X"a"', "b"]),
        ('X"a"\t"b"', "\t", ['X"a"', "b"]),
    ],
)
def test_cells_are_read_as_rfc_4180_says(text: str, delimiter: str, cells: list[str]) -> None:
    assert cells_of(text, delimiter) == cells


@pytest.mark.parametrize("text", ['"a', '"a"b', 'x,"a" b', '"a""'])
def test_cells_whose_quotes_do_not_pair_are_told(text: str) -> None:
    with pytest.raises(CsvError, match="quotes do not pair"):
        cells_of(text, ",")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("{}".encode("utf-16"), "UTF-16 \\(little-endian\\)"),
        (b"\xfe\xff\x00{", "UTF-16 \\(big-endian\\)"),
        ("{}".encode("utf-32"), "UTF-32 \\(little-endian\\)"),
        ("{}".encode("utf-16-le"), "UTF-16 or UTF-32 without a byte order mark"),
        ("{}".encode("utf-16-be"), "UTF-16 or UTF-32 without a byte order mark"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "xlsx"),
        (b"\xd0\xcf\x11\xe0", "xls"),
    ],
)
def test_what_is_no_text_is_told_by_its_name(head: bytes, name: str) -> None:
    with pytest.raises(ManifestError, match=name):
        refuse_binary(head)


def test_the_first_releases_layout_is_read_by_its_rules() -> None:
    """It took each line for a record, whatever stood in quotes."""
    stored = {"format": "csv", "delimiter": ";", "columns": ["request.vids", "label.a"]}

    layout = ManifestLayout.parse(stored)

    records = list(layout.splitter(100, 7).feed(b'"a\nb";c\n'))
    assert [(record.line, record.start, record.content) for record in records] == [(7, 100, b'"a'), (8, 103, b'b";c')]
    assert [layout.skips(content) for content in (b",;", b"request.vids;label.a")] == [True, False]
    assert ManifestLayout.parse(layout.stored()) == layout


@pytest.mark.parametrize(
    ("layout", "records"),
    [
        (ManifestLayout("jsonl"), [(7, b'"a'), (8, b'b"'), (9, b"c\rd")]),
        (ManifestLayout("csv", rules=1), [(7, b'"a'), (8, b'b"'), (9, b"c\rd")]),
        (ManifestLayout("csv"), [(7, b'"a\nb"'), (9, b"c\rd")]),
    ],
)
def test_records_are_read_as_the_layout_says(layout: ManifestLayout, records: list[tuple[int, bytes]]) -> None:
    splitter = layout.splitter(100, 7)

    found = [*splitter.feed(b'"a\nb"\nc\rd\n'), *splitter.end()]

    assert [(record.line, record.content) for record in found] == records
    assert (found[0].start, found[-1].end) == (100, 110)


def test_records_of_csv_are_read_by_the_delimiter_and_the_line_breaks_of_their_layout() -> None:
    splitter = ManifestLayout("csv", ";", newline="\r").splitter(100, 7)

    found = [*splitter.feed(b'a,"b;"c\rd"\re\nf\r'), *splitter.end()]

    assert [(record.line, record.content) for record in found] == [(7, b'a,"b;"c\rd"'), (9, b"e\nf")]
