"""Manifests: bytes to lines to chunks, and lines to bodies, whatever they were written with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clipferry.intake import manifest
from clipferry.intake.job_body import InvalidBody
from clipferry.intake.manifest import Index, Layout, Line, Lines, ManifestError, body_of, format_of, merge
from hypothesis import given, settings
from hypothesis import strategies as st

JSONL = Layout("jsonl")
NOTHING: dict[str, Any] = {}
CONTENTS = st.lists(
    st.sampled_from([b"", b" ", b"\r", b"{}", b'{"a":1}', b"\xff\xfe{}", b"x" * 40, "ünï".encode(), b"\xe2\x80\xa8"]),
    max_size=120,
)


def split(text: bytes, sizes: list[int], offset: int = 0, number: int = 1) -> list[Line]:
    """As read in blocks of these sizes, over and over."""
    lines, found, at = Lines(offset, number), [], 0
    while at < len(text):
        size = sizes[len(found) % len(sizes)] if sizes else len(text)
        found += lines.feed(text[at : at + size])
        at += size
    return [*found, *lines.end()]


def indexed(text: bytes, kind: str = "jsonl") -> Index:
    index = Index(kind)
    lines = split(text, [])
    for line in lines:
        index.add(line)
    index.close(len(text), len(lines) + 1)
    return index


class TestLines:
    @given(CONTENTS, st.lists(st.integers(1, 50), max_size=5), st.booleans(), st.booleans())
    def test_are_the_same_whatever_the_blocks(
        self, contents: list[bytes], sizes: list[int], crlf: bool, ended: bool
    ) -> None:
        text = (b"\r\n" if crlf else b"\n").join(contents) + (b"\n" if ended else b"")

        lines = split(text, sizes)

        assert lines == split(text, [])
        assert [text[line.start : line.end].rstrip(b"\n").removesuffix(b"\r") for line in lines] == [
            line.content for line in lines
        ]
        assert b"".join(text[line.start : line.end] for line in lines) == text
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))

    def test_a_byte_order_mark_is_no_part_of_the_first_line_and_of_no_other(self) -> None:
        first, second = split(b"\xef\xbb\xbf{}\n\xef\xbb\xbf{}", [])

        assert (first.content, second.content) == (b"{}", b"\xef\xbb\xbf{}")

    def test_a_line_beyond_the_bound_is_told_and_not_held(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(manifest, "LINE_MAX", 10)

        lines = split(b"0123456789\n" + b"x" * 11 + b"\nshort", [3])

        assert [line.content for line in lines] == [b"0123456789", None, b"short"]
        assert lines[1].end - lines[1].start == 12


class TestIndex:
    @settings(max_examples=60)
    @given(CONTENTS, st.integers(0, 100))
    def test_holds_every_line_that_is_not_blank_in_one_chunk(self, contents: list[bytes], broken_off: int) -> None:
        text = b"\n".join([b"{}", *contents])
        lines = split(text, [])
        index = Index("jsonl")
        for line in lines[:broken_off]:
            index.add(line)
        index = Index.parse(index.dump())  # another call goes on from whole chunks
        for line in split(text[index.offset :], [], index.offset, index.next_line):
            index.add(line)
        index.close(len(text), len(lines) + 1)

        again = [line for c in index.chunks for line in split(text[c.start : c.end], [], c.start, c.line)]

        wanted = [line for line in lines if not JSONL.blank(line.content)]
        assert [line for line in again if not JSONL.blank(line.content)] == wanted
        assert index.lines == len(wanted)
        assert index.chunks == indexed(text).chunks

    def test_chunks_are_bounded_in_lines_and_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(manifest, "CHUNK_BYTES", 1000)

        assert [c.line for c in indexed(b"{}\n" * 60).chunks] == [1, 26, 51]
        assert [c.line for c in indexed(b"x" * 600 + b"\n" + b"x" * 600 + b"\n{}").chunks] == [1, 3]

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (b"", "MANIFEST_EMPTY"),
            (b"\n \n\r\n", "MANIFEST_EMPTY"),
            (b"\xef\xbb\xbf", "MANIFEST_EMPTY"),
            ("{}".encode("utf-16"), "MANIFEST_UNREADABLE"),
            (b"\x1f\x8b\x08\x00", "MANIFEST_UNREADABLE"),
        ],
    )
    def test_refuses_what_is_no_manifest(self, text: bytes, code: str) -> None:
        with pytest.raises(ManifestError) as refused:
            indexed(text)

        assert refused.value.code == code

    def test_refuses_more_lines_than_a_batch_may_have(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(manifest, "LINES_MAX", 30)
        assert indexed(b"{}\n" * 30).lines == 30

        with pytest.raises(ManifestError, match="more than 30 lines"):
            indexed(b"{}\n" * 31)

    def test_a_csv_header_is_no_line(self) -> None:
        index = indexed(b"\xef\xbb\xbf\r\nvendor;account\r\npolyv;main\r\n;\r\n", "csv")

        assert index.layout == Layout("csv", ";", ("vendor", "account"))
        assert (index.lines, [c.line for c in index.chunks]) == (1, [3])

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            (b"vendor,colour", "'colour'"),
            (b"vendor,vendor", "twice: vendor"),
            (b'vendor,"label.a', "no CSV header"),
            (b"\xff", "no CSV header"),
            (b"vendor,", "''"),
            (b"label.,vendor", "'label.'"),
        ],
    )
    def test_a_csv_header_that_cannot_be_is_told(self, header: bytes, said: str) -> None:
        with pytest.raises(ManifestError, match=said):
            indexed(header + b"\npolyv\n", "csv")


def csv_body(line: str, *columns: str, defaults: dict[str, Any] | None = None) -> dict[str, Any]:
    return body_of(line.encode(), Layout("csv", ",", columns), defaults or NOTHING)


class TestBodies:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "at most"),
            (b"\xff{}", "byte 1 of the line"),
            (b"{", "is not JSON: Expecting"),
            (b"[]", "a JSON object"),
            (b"[" * 100_000, "can be read"),
            (b'{"a": 1} {', "Extra data at col"),
        ],
    )
    def test_a_line_that_is_no_body_says_why(self, content: bytes | None, said: str) -> None:
        with pytest.raises(InvalidBody, match=said):
            body_of(content, JSONL, NOTHING)

    def test_csv_cells_become_what_the_schema_wants(self) -> None:
        columns = ("vendor", "prefix", "deadline_seconds", "label.site", "request.iot_id", "request.record_duration")

        assert csv_body('linkvisual,"a, b",600,7,123,60', *columns) == {
            "vendor": "linkvisual",
            "destination": {"prefix": "a, b"},
            "deadline_seconds": 600,
            "labels": {"site": "7"},
            "request": {"iot_id": "123", "record_duration": 60},
        }

    def test_a_csv_list_is_json_or_its_one_item(self) -> None:
        one = csv_body("polyv,123", "vendor", "request.vids")
        two = csv_body('polyv,"[""a"", ""b""]"', "vendor", "request.vids")
        files = csv_body('cloudv,"{""fetch_url"": ""https://a.example/b.mp4""}"', "vendor", "request.files")

        assert [body["request"]["vids"] for body in (one, two)] == [["123"], ["a", "b"]]
        assert files["request"]["files"] == [{"fetch_url": "https://a.example/b.mp4"}]

    def test_an_empty_cell_is_an_absent_field(self) -> None:
        assert csv_body("polyv,,", "vendor", "account", "label.site") == {"vendor": "polyv"}

    def test_a_cell_that_cannot_be_stays_for_the_check_to_name(self) -> None:
        body = csv_body("linkvisual,soon,x", "vendor", "deadline_seconds", "request.record_duration")

        assert (body["deadline_seconds"], body["request"]["record_duration"]) == ("soon", "x")

    def test_columns_of_an_unknown_vendor_are_taken_as_they_are(self) -> None:
        assert csv_body("nobody,5", "vendor", "request.a")["request"] == {"a": 5}

    def test_the_types_follow_the_default_vendor_too(self) -> None:
        assert csv_body("77", "request.vids", defaults={"vendor": "polyv"}) == {
            "vendor": "polyv",
            "request": {"vids": ["77"]},
        }

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ('polyv,"never closed', "is not CSV"),
            ("polyv", "has 1 cells; the header names 2"),
            ("polyv,a,b", "has 3 cells; the header names 2"),
        ],
    )
    def test_a_csv_line_that_is_no_record_says_why(self, line: str, said: str) -> None:
        with pytest.raises(InvalidBody, match=said):
            csv_body(line, "vendor", "account")

    @given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\n")), st.integers()))
    def test_a_json_line_is_its_body(self, body: dict[str, int]) -> None:
        assert body_of(json.dumps(body, ensure_ascii=False).encode(), JSONL, NOTHING) == body


class TestDefaults:
    def test_lie_under_the_line(self) -> None:
        defaults = {"vendor": "polyv", "account": "main", "labels": {"a": "1", "b": "1"}, "deadline_seconds": 60}

        assert merge({"labels": {"b": "2"}, "deadline_seconds": 90}, defaults) == {
            "vendor": "polyv",
            "account": "main",
            "labels": {"a": "1", "b": "2"},
            "deadline_seconds": 90,
        }

    def test_an_account_is_for_its_vendor(self) -> None:
        assert "account" not in merge({"vendor": "ims"}, {"vendor": "polyv", "account": "main"})
        assert merge({"vendor": "polyv"}, {"vendor": "polyv", "account": "main"})["account"] == "main"
        assert merge({"vendor": "ims", "account": "x"}, {"vendor": "polyv", "account": "main"})["account"] == "x"

    def test_labels_that_are_none_stay_for_the_check(self) -> None:
        assert merge({"labels": 5}, {"labels": {"a": "1"}}) == {"labels": 5}


@pytest.mark.parametrize(
    ("key", "given_", "found"),
    [
        ("manifests/a.JSONL", None, "jsonl"),
        ("manifests/a.ndjson", None, "jsonl"),
        ("manifests/a.csv", None, "csv"),
        ("manifests/a.txt", None, None),
        ("manifests/a.txt", "csv", "csv"),
    ],
)
def test_the_format_is_the_keys_suffix_unless_it_is_said(key: str, given_: str | None, found: str | None) -> None:
    assert format_of(key, given_) == found
