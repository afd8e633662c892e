"""Bodies: what a record stands for, taken as it is meant or told in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clipferry.intake.checks import InvalidBody
from clipferry.intake.manifest.bodies import body_of, merge
from clipferry.intake.manifest.layout import ManifestLayout
from clipferry.intake.manifest.records import ManifestRecord
from hypothesis import given
from hypothesis import strategies as st

JSONL = ManifestLayout("jsonl")
NOTHING: dict[str, Any] = {}
URL, OTHER = "https://a.example/1.mp4", "https://a.example/2.mp4"


def json_body(content: bytes | str | None) -> dict[str, Any]:
    whole = content.encode() if isinstance(content, str) else content
    return body_of(ManifestRecord(1, 1, 0, 0, whole), JSONL, NOTHING)


def csv_body(record: str, *columns: str, defaults: dict[str, Any] | None = None, delimiter: str = ",") -> Any:
    layout = ManifestLayout("csv", delimiter, columns)
    return body_of(ManifestRecord(1, 1, 0, 0, record.encode()), layout, defaults or NOTHING)


def items(record: str, field: str = "request.upload_urls", vendor: str = "ims") -> Any:
    group, name = field.split(".")
    return csv_body(record, field, defaults={"vendor": vendor})[group][name]


class TestJson:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "at most 262144 bytes"),
            (b"\xff{}", "byte 1 of the line"),
            (b"{", "is not JSON: Expecting"),
            (b"[]", "is a JSON array"),
            (b"5", "a JSON object"),
            (b"[" * 100_000, "can be read"),
            (b"1" * 5000, "can be read"),
            (b'{"a": 1} {', "Extra data at column 10"),
            (b'{"a": 1}\r{"a": 2}', "lines end with LF or CRLF, not with CR alone"),
            (b'{"a": 1,}', "is not JSON"),
            (b'{"a": 1},,', "Extra data"),
            (b"# gates of hall 3", "is a comment; JSONL has none"),
            (b'// {"a": 1}', "is a comment; JSONL has none"),
            (b'\xef\xbb\xbf{"a": 1}', "U\\+FEFF, a byte order mark"),
        ],
    )
    def test_that_is_no_body_says_why(self, content: bytes | None, said: str) -> None:
        with pytest.raises(InvalidBody, match=said):
            json_body(content)

    @pytest.mark.parametrize("content", [' {"a": 1} ', '{"a": 1},', '{"a": 1} , \t'])
    def test_is_taken_with_a_comma_behind_it(self, content: str) -> None:
        assert json_body(content) == {"a": 1}

    @given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\n")), st.integers()))
    def test_is_its_body(self, body: dict[str, int]) -> None:
        assert json_body(json.dumps(body, ensure_ascii=False)) == body


class TestCsv:
    def test_cells_become_what_the_schema_wants(self) -> None:
        columns = ("vendor", "prefix", "deadline_seconds", "label.site", "request.iot_id", "request.record_duration")

        assert csv_body('linkvisual,"a, b",600,7,123,6e1', *columns) == {
            "vendor": "linkvisual",
            "destination": {"prefix": "a, b"},
            "deadline_seconds": 600,
            "labels": {"site": "7"},
            "request": {"iot_id": "123", "record_duration": 60.0},
        }

    @pytest.mark.parametrize(
        ("record", "wanted"),
        [
            (URL, [URL]),
            (f'"[""{URL}"", ""{OTHER}""]"', [URL, OTHER]),
            (f'"{URL}\n{OTHER}"', [URL, OTHER]),
            (f'"\r\n {URL} \r\n\r\n{OTHER}\r"', [URL, OTHER]),
            (f'"[\n""{URL}"",\n""{OTHER}""\n]"', [URL, OTHER]),
            ("https://a.example/get?u=https://b.example/v.mp4", ["https://a.example/get?u=https://b.example/v.mp4"]),
            (f'"[""{URL},{OTHER}""]"', [f"{URL},{OTHER}"]),
        ],
    )
    def test_a_list_is_json_or_one_item_a_line(self, record: str, wanted: list[str]) -> None:
        assert items(record) == wanted

    @pytest.mark.parametrize("between", [",", ", ", ";", "|", " ", "\t", "  ;  "])
    def test_several_urls_in_one_line_of_a_cell_are_told(self, between: str) -> None:
        for record in (f'"{URL}{between}{OTHER}"', f'"{OTHER}\n{URL}{between}{OTHER}"'):
            with pytest.raises(InvalidBody, match="holds several URLs in one line; write a list as JSON") as refused:
                items(record)
            assert [error.pointer for error in refused.value.errors] == ["/request/upload_urls"]

    def test_a_list_in_json_that_is_none_is_told(self) -> None:
        with pytest.raises(InvalidBody, match="begins like a list in JSON and is none"):
            items('"[""a"", ""b"""', "adopt.file_names", "linkvisual")

    def test_items_are_what_the_schema_wants_of_them(self) -> None:
        files = '"{""fetch_url"": ""https://a.example/b.mp4""}"'

        assert items("123\n", "request.vids", "polyv") == ["123"]
        assert items('"1\n2"', "request.vids", "polyv") == ["1", "2"]
        assert items(files, "request.files", "cloudv") == [{"fetch_url": "https://a.example/b.mp4"}]
        assert (
            items(f"{files[:-1]}\n{files[1:]}", "request.files", "cloudv")
            == [{"fetch_url": "https://a.example/b.mp4"}] * 2
        )
        assert csv_body("all", "request.renditions", defaults={"vendor": "cloudv"})["request"] == {"renditions": "all"}
        assert csv_body('"[1, 2]"', "request.renditions", defaults={"vendor": "cloudv"})["request"] == {
            "renditions": [1, 2]
        }

    @pytest.mark.parametrize("record", ["polyv", "polyv,", "polyv,,,", "polyv,,,,,,", ' polyv , "" ,\u00a0,\u3000'])
    def test_empty_cells_are_absent_fields_wherever_the_row_ends(self, record: str) -> None:
        assert csv_body(record, "vendor", "account", "label.site") == {"vendor": "polyv"}

    @pytest.mark.parametrize(
        ("record", "said"),
        [
            ("polyv,a,b", "cell 3 of 3 is not empty and has no column: the header names 2"),
            ("polyv,,,,,b", "cell 6 of 6 is not empty"),
            ('polyv,"never closed', "quotes do not pair"),
            ("#polyv,a", "begins with #; CSV has no comments"),
            ("# gates of hall 3", "begins with #"),
        ],
    )
    def test_a_row_that_is_no_record_says_why(self, record: str, said: str) -> None:
        with pytest.raises(InvalidBody, match=said):
            csv_body(record, "vendor", "account")

    def test_a_cell_in_quotes_may_begin_like_a_comment(self) -> None:
        assert csv_body('"#3"', "request.iot_id", defaults={"vendor": "linkvisual"})["request"] == {"iot_id": "#3"}

    def test_a_column_without_a_name_holds_nothing(self) -> None:
        assert csv_body("polyv,,v", "vendor", "", "request.vids") == {"vendor": "polyv", "request": {"vids": ["v"]}}
        with pytest.raises(InvalidBody, match="cell 2 of 3"):
            csv_body("polyv,x,v", "vendor", "", "request.vids")

    def test_every_cell_that_cannot_be_is_told(self) -> None:
        with pytest.raises(InvalidBody) as refused:
            csv_body(f'"[1","{URL} {URL}"', "request.vids", "adopt.upload_urls", defaults={"vendor": "polyv"})
        assert [error.pointer for error in refused.value.errors] == ["/request/vids"]
        with pytest.raises(InvalidBody) as refused:
            csv_body(f'"[1","{URL} {URL}"', "request.upload_urls", "adopt.upload_urls", defaults={"vendor": "ims"})
        assert [error.pointer for error in refused.value.errors] == ["/request/upload_urls", "/adopt/upload_urls"]

    def test_a_cell_of_another_type_stays_for_the_check_to_name(self) -> None:
        body = csv_body("linkvisual,soon,x", "vendor", "deadline_seconds", "request.record_duration")

        assert (body["deadline_seconds"], body["request"]["record_duration"]) == ("soon", "x")

    def test_a_text_that_looks_like_a_number_stays_text_where_text_is_wanted(self) -> None:
        assert csv_body("5,6,[7],true", "prefix", "account", "label.a", "label.b") == {
            "destination": {"prefix": "5"},
            "account": "6",
            "labels": {"a": "[7]", "b": "true"},
        }

    def test_columns_of_an_unknown_vendor_are_taken_as_they_are(self) -> None:
        assert csv_body("nobody,5", "vendor", "request.a")["request"] == {"a": 5}

    def test_the_types_follow_the_default_vendor_too(self) -> None:
        assert csv_body("77", "request.vids", defaults={"vendor": "polyv"}) == {
            "vendor": "polyv",
            "request": {"vids": ["77"]},
        }


class TestDefaults:
    def test_lie_under_the_record_field_by_field(self) -> None:
        defaults = {
            "vendor": "polyv",
            "account": "main",
            "labels": {"a": "1", "b": "1"},
            "destination": {"prefix": "site", "key": "{name}"},
            "deadline_seconds": 60,
        }

        assert merge({"labels": {"b": "2"}, "destination": {"prefix": "hall"}, "deadline_seconds": 90}, defaults) == {
            "vendor": "polyv",
            "account": "main",
            "labels": {"a": "1", "b": "2"},
            "destination": {"prefix": "hall", "key": "{name}"},
            "deadline_seconds": 90,
        }
        assert defaults["labels"] == {"a": "1", "b": "1"}

    @pytest.mark.parametrize("column", ["prefix", "destination.prefix"])
    def test_of_the_destination_are_kept_beside_a_column(self, column: str) -> None:
        defaults = {"vendor": "polyv", "destination": {"prefix": "site", "key": "{name}"}}

        assert csv_body("hall", column, defaults=defaults)["destination"] == {"prefix": "hall", "key": "{name}"}

    def test_an_account_is_for_its_vendor(self) -> None:
        assert "account" not in merge({"vendor": "ims"}, {"vendor": "polyv", "account": "main"})
        assert merge({"vendor": "polyv"}, {"vendor": "polyv", "account": "main"})["account"] == "main"
        assert merge({"vendor": "ims", "account": "x"}, {"vendor": "polyv", "account": "main"})["account"] == "x"

    def test_do_not_cover_what_is_no_object(self) -> None:
        assert merge({"labels": 5, "destination": None}, {"labels": {"a": "1"}, "destination": {"prefix": "x"}}) == {
            "labels": 5,
            "destination": None,
        }
