"""Records: where each ends, whatever the blocks it was read in, and that nothing inside of a cell is one."""

from __future__ import annotations

import csv
import io
import tracemalloc
from itertools import cycle
from time import process_time

import pytest
from clipferry.intake.manifest import csv_records, records
from clipferry.intake.manifest.csv_records import CsvSplitter, cells_of
from clipferry.intake.manifest.layout import ManifestLayout
from clipferry.intake.manifest.records import BrokenQuotes, LineSplitter, ManifestRecord, RecordSplitter
from hypothesis import example, given, settings
from hypothesis import strategies as st

SIZES = st.lists(st.integers(1, 40), max_size=5)
CELLS = st.text(st.sampled_from('ab",;\t|\r\n ü€😀#='), max_size=8) | st.text(max_size=5)


def split(text: bytes, splitter: RecordSplitter, sizes: list[int] | None = None) -> list[ManifestRecord]:
    """As read in blocks of these sizes, over and over."""
    found, at = list[ManifestRecord](), 0
    for size in cycle(sizes or [len(text) + 1]):
        if at >= len(text):
            break
        found += splitter.feed(text[at : at + size])
        at += size
    return [*found, *splitter.end()]


def csv_split(text: bytes | str, delimiter: str = ",", sizes: list[int] | None = None) -> list[ManifestRecord]:
    whole = text.encode() if isinstance(text, str) else text
    return split(whole, CsvSplitter(delimiters=delimiter), sizes)


def contents(text: bytes | str, delimiter: str = ",") -> list[bytes | None]:
    return [record.content for record in csv_split(text, delimiter)]


class TestLines:
    @given(
        st.lists(st.sampled_from([b"", b" ", b"\r", b"{}", b'{"a":"', b"\xff\xfe{}", b"x" * 40, b"\xe2\x80\xa8"])),
        SIZES,
        st.booleans(),
        st.booleans(),
    )
    def test_are_the_same_whatever_the_blocks(
        self, written: list[bytes], sizes: list[int], crlf: bool, ended: bool
    ) -> None:
        text = (b"\r\n" if crlf else b"\n").join(written) + (b"\n" if ended else b"")

        found = split(text, LineSplitter(), sizes)

        assert found == split(text, LineSplitter())
        assert b"".join(text[record.start : record.end] for record in found) == text
        assert [text[r.start : r.end].rstrip(b"\n").removesuffix(b"\r") for r in found] == [r.content for r in found]
        assert [record.line for record in found] == list(range(1, len(found) + 1))

    def test_a_byte_order_mark_is_no_part_of_the_first_line_and_of_no_other(self) -> None:
        first, second = split(b"\xef\xbb\xbf{}\n\xef\xbb\xbf{}", LineSplitter())

        assert (first.content, second.content) == (b"{}", b"\xef\xbb\xbf{}")

    def test_a_line_beyond_the_bound_is_told_and_not_held(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "RECORD_MAX", 10)

        first, second, third = split(b"0123456789\n" + b"x" * 11 + b"\nshort", LineSplitter(), [3])

        assert (first.content, second.content, third.content) == (b"0123456789", None, b"short")
        assert second.end - second.start == 12


class TestCsv:
    @settings(max_examples=300)
    @given(
        st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        st.sampled_from(",;\t|"),
        st.sampled_from(["\r\n", "\n", "\r"]),
        st.booleans(),
        SIZES,
        st.integers(0, 12),
    )
    def test_a_table_that_pythons_writer_wrote_is_read_back_however_it_is_cut(
        self, rows: list[list[str]], quoting: int, delimiter: str, newline: str, bom: bool, sizes: list[int], cut: int
    ) -> None:
        written = io.StringIO()
        # With CRLF the writer puts every cell with a line break in quotes; what it writes is then ended as wanted.
        writer = csv.writer(written, quoting=quoting, delimiter=delimiter, lineterminator="\r\n")  # type: ignore[arg-type]
        starts, pieces = list[int](), list[str]()
        rows = [[cell.replace("\ud800", "") for cell in row] for row in rows]
        for row in rows:
            before = written.tell()
            writer.writerow(row)
            written.seek(before)
            pieces.append(written.read().removesuffix("\r\n") + newline)
            starts.append(sum(piece.count("\n") + piece.count("\r") - piece.count("\r\n") for piece in pieces[:-1]))
        text = (b"\xef\xbb\xbf" if bom and rows else b"") + "".join(pieces).encode()

        found = csv_split(text, delimiter, sizes)

        assert [cells_of((record.content or b"").decode(), delimiter) for record in found] == rows
        assert [record.line for record in found] == [start + 1 for start in starts]
        assert b"".join(text[record.start : record.end] for record in found) == text
        assert found == csv_split(text, delimiter)
        if found and cut < len(found):  # another call goes on at a border between two records
            layout = ManifestLayout("csv", delimiter, newline="\r" if newline == "\r" else "\n")
            border = found[cut]
            if border.start:
                splitter = layout.splitter(border.start, border.line)
                assert split(text[border.start :], splitter, sizes) == found[cut:]

    @settings(max_examples=300)
    @given(st.text(st.sampled_from('a",\r\n \t'), max_size=60), SIZES)
    @example('"a" \r\n"b', [1])
    def test_any_text_is_divided_the_same_way_whatever_the_blocks(self, text: str, sizes: list[int]) -> None:
        def outcome(sizes: list[int] | None) -> object:
            try:
                return csv_split(text, ",", sizes)
            except BrokenQuotes as error:
                return error.line

        assert outcome(sizes) == outcome(None)

    def test_a_line_break_in_quotes_ends_no_record(self) -> None:
        text = 'a,"first\nevil,60\r\nevil,60\rlast"\r\nb,60\r\n'

        first, second = csv_split(text)

        assert (first.line, first.last_line, second.line, second.content) == (1, 4, 5, b"b,60")
        assert cells_of((first.content or b"").decode(), ",") == ["a", "first\nevil,60\r\nevil,60\rlast"]

    @pytest.mark.parametrize(
        "text", ['gate-1, "first\nevil,60\nlast" ,60\ngate-2,60\n', 'gate-1,"a""\nevil,60\n""",60\ngate-2,60\n']
    )
    def test_blanks_around_quotes_and_doubled_quotes_end_no_cell(self, text: str) -> None:
        found = csv_split(text)

        assert [record.content for record in found][1:] == [b"gate-2,60"]
        assert [record.line for record in found] == [1, 4]

    @pytest.mark.parametrize(
        "text",
        [
            'gate-1,"he said "stop\nevil,60\nnow",60\ngate-2,60\n',
            'gate-1,"he said "stop", then\nevil,60\nleft",60\ngate-2,60\n',
            'gate-1,"say "hi"\nevil,60\nx",1\ngate-2,60\n',
            'gate-1,"5" disk\nevil,60\nend",60\ngate-2,60\n',
            'gate-1,""hi", he said\nevil,60\nbye",60\ngate-2,60\n',
            '"gate-1" north\nevil,60\nend"\ngate-2,60\n',
            'gate-1,"a" "b\nevil,60\n",60\ngate-2,60\n',
            'gate-1,"open\nevil,60\ngate-2,"north",60\n',
        ],
    )
    def test_where_nobody_can_tell_what_is_inside_of_a_cell_the_reading_ends(self, text: str) -> None:
        for sizes in ([1], [3], None):
            with pytest.raises(BrokenQuotes, match=r"on line 1 holds, on line [13], a quote in a quoted cell"):
                csv_split(text, ",", sizes)

    def test_a_quote_in_a_cell_without_quotes_stands_for_itself(self) -> None:
        assert contents('5" disk,6"\nb,"7"') == [b'5" disk,6"', b'b,"7"']
        assert cells_of('5" disk,6"', ",") == ['5" disk', '6"']

    @pytest.mark.parametrize(
        "text", ['a,"open', 'a\n\nb,"open\nc\n', '"a""', '"', 'a\r\n"\r\n\r\n', 'b,60\n"never""x\nc,d']
    )
    def test_a_quote_that_is_never_closed_names_the_line_on_which_its_record_begins(self, text: str) -> None:
        before = text.replace("\r\n", "\n").split('"')[0]

        with pytest.raises(BrokenQuotes) as refused:
            csv_split(text)

        assert refused.value.line == before.count("\n") + 1

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            (b"a\rb\r", [b"a", b"b"]),
            (b"a\r\nb\r\n", [b"a", b"b"]),
            (b"a\nb\rc\n", [b"a", b"b\rc"]),  # the first line break says how lines end
            (b"a\rb\nc\r", [b"a", b"b\nc"]),
            (b"a\rb\r\nc\r", [b"a", b"b", b"c"]),
            (b"a\r\r\nb", [b"a", b"", b"b"]),
            (b'"a"\rb', [b'"a"', b"b"]),
            (b'"a\r"\n"b\r"\rc\n', [b'"a\r"', b'"b\r"\rc']),
            (b"a\n\r\nb", [b"a", b"", b"b"]),
        ],
    )
    def test_lines_end_as_the_first_one_does(self, text: bytes, wanted: list[bytes]) -> None:
        for sizes in ([1], [2], [3], None):
            try:
                assert [record.content for record in csv_split(text, ",", sizes)] == wanted
            except BrokenQuotes:
                assert b'"b\r"\rc' in text

    def test_a_byte_order_mark_before_a_quoted_cell_is_no_part_of_it(self) -> None:
        for sizes in ([1], [2], None):
            first, _ = csv_split(b'\xef\xbb\xbf"a,\nb",1\nc,2', ",", sizes)
            assert (first.start, first.content) == (0, b'"a,\nb",1')

    def test_a_record_beyond_the_bound_is_told_and_not_held_wherever_it_breaks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(csv_records, "RECORD_MAX", 10)
        long = 'x,"' + "1\r\n" * 30 + '","""y" , \t"z\n"'
        text = f"a,b\r\n{long}\r\n{'u' * 30}\r\nlast,1"

        for sizes in ([1], [2], [7], [64], None):
            found = csv_split(text, ",", sizes)
            assert [(record.line, record.content) for record in found] == [
                (1, b"a,b"),
                (2, None),
                (34, None),
                (35, b"last,1"),
            ]

    def test_a_bad_quote_in_a_record_beyond_the_bound_is_told_with_its_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(csv_records, "RECORD_MAX", 10)

        for sizes in ([1], [7], None):
            with pytest.raises(BrokenQuotes, match=r"on line 2 holds, on line 32, a quote in a quoted cell"):
                csv_split('a,b\n"' + "1\n" * 30 + '" x\n', ",", sizes)

    def test_a_record_without_an_end_is_given_up_wherever_it_breaks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(csv_records, "RECORD_MAX", 10)
        monkeypatch.setattr(csv_records, "ENDLESS", 100)

        for sizes in ([1], [7], [64], None):
            assert len(csv_split(f"a\n{'x' * 98},\n{'x' * 98}\r\nb", ",", sizes)) == 4
            with pytest.raises(BrokenQuotes, match="on line 2 has no end within 100 bytes"):
                csv_split(f"a\n{'x' * 100},\nb", ",", sizes)
            with pytest.raises(BrokenQuotes, match="on line 2 opens a quote that is not closed within 100 bytes"):
                csv_split('a\n"' + "x\n" * 60, ",", sizes)

    def test_memory_and_time_do_not_grow_with_the_manifest_or_a_record(self) -> None:
        row = b'gate-3,"one\n' + b'""two"", three\n' * 20 + b'",60,' + b'5" ' * 40 + b"\n"

        def peak(block: bytes, times: int, before: bytes = b"") -> tuple[int, float]:
            splitter, began = CsvSplitter(delimiters=","), process_time()
            tracemalloc.start()
            assert not list(splitter.feed(before))
            for _ in range(times):
                for _ in splitter.feed(block):
                    pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most, process_time() - began

        few, many = peak(row * 200, 5), peak(row * 200, 50)
        assert many[0] < 1.2 * few[0]
        assert many[1] < 30 * few[1] + 0.5
        assert peak(b'""x\n ' * 10_000, 200, b'"')[0] < 8 * records.RECORD_MAX
        assert peak(b'5" ' * 20_000, 200, b"a")[0] < 8 * records.RECORD_MAX
        assert peak(b"  , " * 20_000, 200, b"a")[0] < 8 * records.RECORD_MAX
        assert peak(b" " * 50_000, 200)[0] < 8 * records.RECORD_MAX
