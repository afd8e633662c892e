"""Values: equal numbers are equal, and what no door takes is found wherever it lies."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
from clipferry.intake.values import WHOLE_MAX, bad_values, canonical, fingerprint, fingerprints, parts_of, prose_fields
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.integers(-(2**63), WHOLE_MAX) | st.floats(-(2.0**52), 2.0**52)


def value_errors(body: object, prose: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """The bad values in a body: (JSON Pointer of RFC 6901, what is wrong)."""
    for way, told in bad_values(body, prose):
        yield "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts_of(way)), told


@pytest.mark.parametrize(
    "texts",
    [
        ["10", "10.0", "1e1", "1E+1", "0.1e2", "100e-1"],
        ["0", "-0", "0.0", "-0.0", "0e9", "-0e-9"],
        ["0.1", "1e-1", "0.10", "0.1000000000000000055"],
        ["9007199254740991", "9007199254740991.0"],
        ["-3", "-3.0", "-30e-1"],
    ],
)
def test_equal_numbers_are_one_value(texts: list[str]) -> None:
    bodies = [json.loads(f'{{"a": {{"b": [{text}, "x"]}}}}') for text in texts]

    assert len({fingerprint(body) for body in bodies}) == 1
    assert {repr(canonical(body)) for body in bodies} == {repr({"a": {"b": [json.loads(texts[0]), "x"]}})}


@pytest.mark.parametrize(("one", "other"), [("1", "true"), ("0", "false"), ("1", '"1"'), ("1", "1.5"), ("0", "null")])
def test_what_differs_stays_apart(one: str, other: str) -> None:
    assert fingerprint(json.loads(f'{{"a": {one}}}')) != fingerprint(json.loads(f'{{"a": {other}}}'))


@given(st.dictionaries(st.text(), NUMBERS | st.text(st.characters(exclude_categories=[])) | st.lists(NUMBERS)))
def test_the_form_of_a_body_is_settled_once_and_its_order_does_not_count(body: dict[str, Any]) -> None:
    settled = canonical(body)

    assert settled == body
    assert canonical(settled) == settled
    assert fingerprint(settled) == fingerprint(body) == fingerprint(dict(reversed(body.items())))


@given(NUMBERS, NUMBERS)
def test_numbers_that_pass_are_one_value_exactly_when_they_are_equal(one: float, other: float) -> None:
    assert (fingerprint({"n": one}) == fingerprint({"n": other})) is (one == other)
    assert not list(value_errors([one, other]))


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400, 2.0**53, 1e17, -1e300, math.inf, -math.inf, math.nan])
def test_a_number_that_cannot_be_read_exactly_is_refused(number: float) -> None:
    assert [place for place, _ in value_errors({"a": [0, number]})] == ["/a/1"]


def test_the_first_releases_fingerprint_is_known_beside_the_present_one() -> None:
    body = {"vendor": "polyv", "request": {"vids": ["a"], "expire_days": 3.0}}

    assert fingerprints(body) == (
        fingerprint(body),
        "03f56ba1d40dff18b36c03d140e07de5a482641dc4dcad2988fba61b683b882c",
    )
    assert len(set(fingerprints({"expire_days": 3}))) == 1


def test_a_value_is_found_at_any_depth_and_a_key_by_what_holds_it() -> None:
    deep: Any = "a\u200b"
    for _ in range(100_000):
        deep = [deep]

    assert [len(place) for place, _ in value_errors(deep)] == [200_000]
    assert list(value_errors({"a/b": {"c~": {"d\x00": 1}, "e": "\ufeff"}})) == [
        ("/a~1b/c~0", "has a key that holds U+0000 NULL"),
        ("/a~1b/e", "holds U+FEFF ZERO WIDTH NO-BREAK SPACE (a byte order mark)"),
    ]


def test_looking_through_a_body_takes_linear_time() -> None:
    body = {"k" * 100_000: [{"x": "y"}] * 50_000, "t": "\u200d👨" * 50_000}
    began = process_time()

    list(value_errors(body, frozenset({"t"})))

    assert process_time() - began < 2


def test_what_is_wrong_is_told_in_the_order_in_which_it_was_written() -> None:
    body = {"z": "\x00", "a": ["\x00", {"y": "\x00", "b": 2**64}], "m\x00": 1, "c": float("nan")}

    assert [place for place, _ in value_errors(body)] == ["", "/z", "/a/0", "/a/1/y", "/a/1/b", "/c"]


def test_a_field_of_prose_may_hold_line_breaks_in_all_that_it_holds() -> None:
    text = "one\ntwo"

    assert list(value_errors({"note": text, "notes": [text, {"a": text}]}, frozenset({"note", "notes"}))) == []
    assert [place for place, _ in value_errors({"note": text, "id": text}, frozenset({"note"}))] == ["/id"]
    assert [place for place, _ in value_errors({"note": text})] == ["/note"]
    assert [place for place, _ in value_errors({"a": {"b": text}, "note": text}, frozenset({"note"}))] == ["/a/b"]
    assert list(value_errors({"note": {"a\nb": 1}}, frozenset({"note"}))) == []


def test_fields_of_prose_are_found_at_any_depth_of_a_schema() -> None:
    item = {"type": "object", "properties": {"title": {"x-prose": True}, "url": {}}}
    schema = {"properties": {"note": {"x-prose": True}, "id": {"x-prose": False}, "all": {"items": item}, "one": item}}

    assert prose_fields(schema) == {"note", "title"}
    assert prose_fields({"items": item}) == {"title"}
    assert prose_fields({}) == frozenset()


@pytest.mark.parametrize("value", [True, False, None, 0, -1, 0.5, "", "x", [], {}])
def test_ordinary_values_are_taken(value: Any) -> None:
    assert list(value_errors({"a": value})) == []
