"""What every door checks: depth, size and rules, in linear time, and no more told than a reader takes in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from clipferry.intake.checks import (
    BODY_MAX,
    DEPTH_MAX,
    ERRORS_SHOWN,
    FieldError,
    InvalidBody,
    broken,
    read_object,
    too_deep,
    unfit_values,
)
from clipferry.intake.job_body import ADOPT_MAX, BODY_SCHEMA, check, new_job
from clipferry.vendors import VENDORS, vendor_class

from tests.unit.intake.test_job_body import CLOUDV, GOOD, IMS, NOON, adopt, request


def nested(levels: int, kind: str = "list") -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


@pytest.mark.parametrize("kind", ["list", "object"])
def test_a_body_is_taken_to_a_depth_and_no_deeper(kind: str) -> None:
    assert check(request(IMS, user_data={"a": nested(DEPTH_MAX - 3, kind)})) == []
    for levels in (DEPTH_MAX - 2, 471, 100_000):
        (error,) = check(request(IMS, user_data={"a": nested(levels, kind)}))
        assert error == FieldError("", f"must not be nested more than {DEPTH_MAX} levels deep")


def test_depth_is_no_matter_of_breadth() -> None:
    assert not too_deep([[n, {"a": n}] for n in range(10_000)])
    assert too_deep([1, 2, {"a": nested(DEPTH_MAX)}])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "nested"),
        ('{"a":' * 1_000_000, "bytes"),
        (json.dumps({"a": nested(DEPTH_MAX + 1)}), "nested"),
        ("[]", "JSON object"),
        ("", "JSON object"),
        ("{", "JSON object"),
        ('{"a": ' + "9" * 5000 + "}", "JSON object"),
        ('{"a": "' + "x" * BODY_MAX + '"}', "bytes"),
        ('{"a": "' + "片" * (BODY_MAX // 4) + '"}', "ASCII"),
        ('"\ud800', "JSON object"),
    ],
)
def test_a_text_that_is_no_body_is_told_why(text: str, told: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        read_object(text)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 200


def many() -> dict[str, Callable[[], Any]]:
    """Bodies with as many mistakes as fit into a body."""
    return {
        "items": lambda: request(CLOUDV, files=[1] * 80_000),
        "items of items": lambda: request(IMS, media_metadata=[{"a" + str(n): 1 for n in range(200)}] * 100),
        "fields": lambda: GOOD | {f"a{n}": 1 for n in range(20_000)},
        "fields of a request": lambda: request(GOOD, **{f"a{n}": 1 for n in range(20_000)}),
        "labels": lambda: GOOD | {"labels": {f"a={n}": 1 for n in range(15_000)}},
        "characters": lambda: request(IMS, user_data={"a": ["\x00"] * 25_000}),
        "characters below a long key": lambda: request(IMS, user_data={"a" * 100_000: ["\x00"] * 15_000}),
        "keys": lambda: request(IMS, user_data={f"\x00{n}": 1 for n in range(15_000)}),
        "numbers": lambda: request(IMS, user_data={"a": [1e300] * 25_000}),
        "renditions": lambda: adopt("cloudv", task_id="t", renditions=[{"a": 1}, 1.5, "x", None, [2]] * 8_000),
    }


@pytest.mark.parametrize("kind", many())
def test_of_many_mistakes_the_first_are_told_and_the_others_counted_in_short_time(kind: str) -> None:
    body = many()[kind]()
    started = time.process_time()

    with pytest.raises(InvalidBody) as caught:
        new_job(body, NOON)

    assert time.process_time() - started < 2
    problem = caught.value.problem()
    assert 0 < len(problem["errors"]) <= ERRORS_SHOWN
    assert len(json.dumps(problem)) < 100_000
    assert problem.get("more_errors", 0) == max(0, len(caught.value.errors) - ERRORS_SHOWN)


def test_how_many_more_mistakes_there_are_is_told() -> None:
    with pytest.raises(InvalidBody) as caught:
        new_job(GOOD | {f"a{n:03d}": 1 for n in range(150)}, NOON)

    problem = caught.value.problem()
    assert [len(problem["errors"]), problem["more_errors"]] == [100, 50]
    assert problem["detail"].endswith("; and 50 more")
    assert caught.value.problem(20)["more_errors"] == 130
    assert "more_errors" not in InvalidBody([FieldError("", "x")]).problem()


def test_a_mistake_among_more_values_than_are_told_of_is_counted() -> None:
    assert len(unfit_values(["\x00"] * 1000)) == 1000


def test_a_key_is_named_as_far_as_it_goes_and_without_the_query_of_a_url() -> None:
    long, signed = "k" * 50_000, "https://a.example/v?can'4ry"

    pointers = [error.pointer for error in check(GOOD | {long: 1, signed: 1, "a/b~": 1})]

    assert "4ry" not in repr(pointers)
    assert "/https:~1~1a.example~1v" in pointers
    assert "/a~1b~0" in pointers
    assert max(map(len, pointers)) < 200


HOSTILE = (
    "https://" + "a" * 32_000 + " ",
    "a" * 64_000 + "\n",
    " " * 64_000 + "!",
    "/" * 64_000 + "\x00",
    "a/" * 32_000,
)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_long_text_anywhere_in_a_body_is_judged_in_short_time(vendor: str) -> None:
    described = vendor_class(vendor)
    started = time.process_time()
    for text in HOSTILE:
        for way, schema in (("request", described.request_schema), ("adopt", described.adopt_schema)):
            for name, field in schema["properties"].items():
                for value in (text, [text, text], [{"fetch_url": text, "SourceURL": text}]):
                    assert isinstance(check({"vendor": vendor, way: {name: value}}), list), (name, field)
    assert time.process_time() - started < 4 * len(HOSTILE)


def test_items_of_all_types_are_compared_in_linear_time() -> None:
    schema = {"type": "array", "uniqueItems": True}
    mixed = [n if n % 3 else {"n": n} if n % 2 else [n] for n in range(30_000)]
    started = time.process_time()

    assert broken(schema, mixed) == []
    assert broken(schema, [*mixed, [6]]) == [FieldError("", "must not hold the same item twice")]
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("items", "unique"),
    [([1, True], True), ([1, 1.0], False), ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False), ([[], {}], True)],
)
def test_items_are_the_same_when_json_schema_says_so(items: list[Any], unique: bool) -> None:
    assert (broken({"uniqueItems": True}, items) == []) is unique


def test_a_rule_without_words_is_not_shown_to_a_user_as_a_pattern() -> None:
    def patterns(schema: Any) -> list[Any]:
        if isinstance(schema, list):
            return [found for item in schema for found in patterns(item)]
        if not isinstance(schema, dict):
            return []
        own = [schema] if "pattern" in schema and isinstance(schema["pattern"], str) else []
        return own + [found for item in schema.values() for found in patterns(item)]

    schemas = [
        BODY_SCHEMA,
        *(vendor_class(v).request_schema for v in VENDORS),
        *(vendor_class(v).adopt_schema for v in VENDORS),
    ]
    for schema in schemas:
        for found in patterns(dict(schema)):
            assert "x-problem" in found, found


def test_work_to_adopt_leaves_room_for_the_vendors_ids_in_the_row() -> None:
    body = adopt("linkvisual", iot_id="cam-1", file_names=[f"{n}" + "片" * 1000 for n in range(40)])

    assert [error.pointer for error in check(body)] == ["/adopt"]
    assert check(adopt("linkvisual", iot_id="cam-1", file_names=["片" * (ADOPT_MAX // 500)] * 50)) == []


@pytest.mark.parametrize("place", ["/labels/site", "/destination/prefix"])
def test_what_is_shown_as_it_is_holds_no_credentials(place: str) -> None:
    _, field, name = place.split("/")
    planted = "ftp:u:canary@a.example/v" if name == "prefix" else "https://u:canary@a.example/v"

    assert [error.pointer for error in check(GOOD | {field: {name: planted}})] == [place]
    assert check(GOOD | {field: {name: "site-a/gate@3"}}) == []


def test_a_labels_key_holds_no_equals_sign() -> None:
    assert [error.pointer for error in check(GOOD | {"labels": {"a=b": "c"}})] == ["/labels"]
    assert check(GOOD | {"labels": {"a": "b=c"}}) == []
