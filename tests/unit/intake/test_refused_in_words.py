"""What users read when a body, an expression, a query or a manifest is refused: the whole sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.intake.batch_body import check_batch
from clipferry.intake.checks import BODY_MAX, FieldError, InvalidBody, broken, read_object
from clipferry.intake.job_body import ADOPT_MAX, check
from clipferry.intake.job_query import BadQuery, parse_file_query, parse_query
from clipferry.intake.schedule_body import define
from clipferry.intake.schedule_expressions import BadExpression, parse

from tests.unit.intake.test_job_body import GOOD, IMS, adopt, request
from tests.unit.intake.test_values import value_errors

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
VENDORS = "linkvisual, ims, cloudv, polyv"
NAME = "1 to 64 letters, digits, dots, dashes and underscores, and start with a letter or a digit"


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"type": "integer"}, "x", "must be of type integer"),
        ({"enum": ["a", 2]}, "x", "must be one of a, 2"),
        ({"minimum": 3}, 2, "must be at least 3"),
        ({"maximum": 3}, 4, "must be at most 3"),
        ({"minItems": 1}, [], "must have at least 1 items"),
        ({"maxItems": 1}, [1, 2], "must have at most 1 items"),
        ({"minLength": 2}, "a", "must have at least 2 characters"),
        ({"maxLength": 2}, "abc", "must have at most 2 characters"),
        ({"pattern": "^a$"}, "b", "must match ^a$"),
        ({"pattern": "^a$", "x-problem": "must be an a"}, "b", "must be an a"),
        ({"minLength": 2, "x-problem": "must be an a"}, "b", "must have at least 2 characters"),
        ({"not": {}, "x-problem": "give none"}, "b", "give none"),
        ({"anyOf": [{"type": "null"}], "x-problem": "give one"}, "b", "give one"),
        ({"oneOf": [{"type": "null"}], "x-problem": "give one"}, "b", "give one"),
        ({"oneOf": [{"type": "null"}]}, "b", "breaks the rule oneOf"),
        ({"dependentRequired": {"a": ["b"]}, "x-problem": "give b with a"}, {"a": 1}, "give b with a"),
        ({"propertyNames": {"pattern": "^b$", "x-problem": "has a key"}}, {"a": 1}, "has a key"),
        ({"uniqueItems": True}, [1, 1], "must not hold the same item twice"),
        ({"maxProperties": 1}, {"a": 1, "b": 2}, "must have at most 1 entries"),
        ({"minProperties": 1}, {}, "must have at least 1 entries"),
        ({"const": 5}, 6, "must be 5"),
        ({"multipleOf": 5}, 6, "breaks the rule multipleOf"),
    ],
)
def test_a_broken_limit_is_told(schema: dict[str, Any], value: object, said: str) -> None:
    assert broken(schema, value, "/x") == [FieldError("/x", said)]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"maxLength": 2, "pattern": "^a"}, "bcd"),
        ({"maxItems": 1, "items": {"type": "string"}}, [1, 2]),
        ({"maxItems": 1, "uniqueItems": True}, [1, 1]),
        ({"maxProperties": 1, "propertyNames": {"minLength": 2}}, {"a": 1, "b": 1}),
        ({"maxProperties": 1, "additionalProperties": {"type": "string"}}, {"a": 1, "b": 1}),
    ],
)
def test_of_what_is_too_long_nothing_but_its_length_is_told(schema: dict[str, Any], value: object) -> None:
    (error,) = broken(schema, value)
    assert error.detail.startswith("must have at most")


def test_at_its_longest_a_value_is_checked_whole() -> None:
    assert broken({"maxLength": 2, "pattern": "^a"}, "bc") == [FieldError("", "must match ^a")]
    assert broken({"maxItems": 1, "items": {"type": "string"}}, [1]) == [FieldError("/0", "must be of type string")]
    assert broken({"maxItems": 2, "uniqueItems": True}, [1, 1]) == [FieldError("", "must not hold the same item twice")]
    assert broken({"uniqueItems": False}, [1, 1]) == []


def test_missing_and_unknown_fields_are_told_at_their_places() -> None:
    schema = {"properties": {"a": {}, "b": {}}, "required": ["a", "b"], "additionalProperties": False}

    assert sorted(broken(schema, {"b": 1, "d": 1, "c": 1}, "/x"), key=lambda error: error.pointer) == [
        FieldError("/x/a", "is required"),
        FieldError("/x/c", "is not a known field"),
        FieldError("/x/d", "is not a known field"),
    ]
    assert broken({"additionalProperties": False}, {"c": 1}) == [FieldError("/c", "is not a known field")]


def body_errors(body: object) -> list[tuple[str, str]]:
    return [(error.pointer, error.detail) for error in check(body)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (5, [("", "must be of type object")]),
        ({"request": {}}, [("/vendor", "is required")]),
        ({"vendor": "x", "request": {}}, [("/vendor", f"must be one of {VENDORS}")]),
        ({"vendor": 5, "request": {}}, [("/vendor", "must be of type string")]),
        ({"vendor": "ims"}, [("", "give exactly one of request and adopt")]),
        (GOOD | {"account": "-"}, [("/account", f"must have {NAME}")]),
        (GOOD | {"request": 5}, [("/request", "must be of type object")]),
        (GOOD | {"deadline_seconds": 9}, [("/deadline_seconds", "must be at least 10")]),
        (GOOD | {"on_uncertain": "x"}, [("/on_uncertain", "must be one of fail, retrigger")]),
        (
            GOOD | {"labels": {"a": "ftp:u:canary@a.example"}},
            [("/labels/a", "must not hold a URL with credentials or a query")],
        ),
        (
            GOOD | {"destination": {"prefix": "ftp:u:canary@a.example/v"}},
            [("/destination/prefix", "must not hold a URL with credentials or a query")],
        ),
        (
            adopt("linkvisual", iot_id="cam-1", file_names=["片" * 500] * 50),
            [("/adopt", f"must be at most {ADOPT_MAX} bytes, written in ASCII")],
        ),
        (
            request(IMS, user_data={"a": "x" * BODY_MAX}),
            [("", f"must be at most {BODY_MAX} bytes, written in ASCII")],
        ),
        ({"a": {"b": float("nan")}}, [("/a/b", "must be a finite number"), ("/vendor", "is required")]),
    ],
)
def test_a_bad_job_body_is_told(body: object, told: list[tuple[str, str]]) -> None:
    found = body_errors(body)
    assert [error for error in found if error in told] == told, found
    if len(told) == 1 and told[0][0]:
        assert found == told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "must be a JSON object"),
        ("{", "must be a JSON object"),
        ("[" * 100_000, "must not be nested more than 32 levels deep"),
        (" " * BODY_MAX + "{", f"must be at most {BODY_MAX} bytes"),
    ],
)
def test_a_text_that_is_no_body_is_told(text: str, said: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        read_object(text)
    assert refused.value.errors == [FieldError("", said)]
    assert str(refused.value) == f"/: {said}"


def test_a_text_of_the_greatest_size_is_read() -> None:
    assert read_object("{}" + " " * (BODY_MAX - 2)) == {}
    with pytest.raises(InvalidBody, match="bytes"):
        read_object("{}" + " " * (BODY_MAX - 1))


def test_a_problem_says_what_is_wrong_once_as_text_and_once_as_fields() -> None:
    errors = InvalidBody([FieldError("", "a"), FieldError("/b", "c"), FieldError("/d", "e")])

    assert errors.problem(2) == {
        "type": "about:blank",
        "status": 400,
        "title": "the request is invalid",
        "detail": "/: a; /b: c; and 1 more",
        "errors": [{"pointer": "", "detail": "a"}, {"pointer": "/b", "detail": "c"}],
        "more_errors": 1,
    }
    assert errors.problem(3)["detail"] == "/: a; /b: c; /d: e"
    assert errors.more(3) == {}
    assert InvalidBody([FieldError("", "a")] * 101).more() == {"more_errors": 1}
    assert InvalidBody([FieldError("", "a")] * 100).more() == {}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (2**64 - 1, None),
        (2**64, "must be a number of at most 64 bits; or write it as text"),
        (-(2**63), None),
        (-(2**63) - 1, "must be a number of at most 64 bits; or write it as text"),
        (float("nan"), "must be a finite number"),
        (float("inf"), "must be a finite number"),
        (float("-inf"), "must be a finite number"),
        (2.0**53 - 1, None),
        (
            -(2.0**53),
            "beyond 9007199254740991, a number must be written with all its digits, and without a point or an exponent",
        ),
    ],
)
def test_a_number_that_cannot_be_is_told(number: float, said: str | None) -> None:
    assert list(value_errors([number])) == ([("/0", said)] if said else [])


# -- expressions -------------------------------------------------------------------------------------------------------

_MINUTES = "the field minutes of cron() takes 0-59"
_RATE = "rate() takes a whole number above 0 and minutes, hours or days, as in rate(5 minutes)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "x",
            "must be cron(minutes hours day-of-month month day-of-week year), rate(value unit) "
            "or at(yyyy-mm-ddThh:mm:ss)",
        ),
        ("cron(0)", "cron() takes six fields, minutes hours day-of-month month day-of-week year, not 1"),
        ("cron(0 0 * * * *)", "exactly one of day-of-month and day-of-week of cron() must be ?"),
        ("cron(60 0 * * ? *)", _MINUTES),
        ("cron(00060 0 * * ? *)", _MINUTES),
        ("cron(0 24 * * ? *)", "the field hours of cron() takes 0-23"),
        ("cron(0 0 0 * ? *)", "the field day-of-month of cron() takes 1-31"),
        ("cron(0 0 1 0 ? *)", "the field month of cron() takes 1-12 or JAN-DEC"),
        ("cron(0 0 ? 1 0 *)", "the field day-of-week of cron() takes 1-7 or SUN-SAT"),
        ("cron(0 0 1 1 ? 1969)", "the field year of cron() takes 1970-2199"),
        ("cron(0 0 1 1 ? 2027-2026)", "the field year of cron() holds a range that ends before it starts"),
        ("cron(0/60 0 * * ? *)", "the field minutes of cron() takes steps from 1 to 59"),
        ("cron(0/0 0 * * ? *)", "the field minutes of cron() takes steps from 1 to 59"),
        (
            "cron(0 0 ? * 3#6 *)",
            "the field day-of-week of cron() takes one day#turn alone, with a turn from 1 to 5, as in 3#2 or TUE#2",
        ),
        (
            "cron(0 0 ? * 1/2 *)",
            "the field day-of-week of cron() takes no steps; write the days, as in MON,WED,FRI",
        ),
        ("rate(0 days)", _RATE),
        ("rate(1000000 days)", _RATE),
        ("rate(1 days)", "rate() of 1 takes the unit day, as in rate(1 day)"),
        ("rate(2 day)", "rate() of 2 takes the unit days, as in rate(2 days)"),
        ("at(2027)", "at() takes a time without an offset, as in at(2027-01-31T08:00:00)"),
        ("at(2027-02-30T08:00:00)", "at() holds a date or time that does not exist"),
        ("at(2200-01-01T00:00:00)", "at() takes years up to 2199"),
    ],
)
def test_an_expression_that_cannot_be_is_told(text: str, said: str) -> None:
    with pytest.raises(BadExpression) as refused:
        parse(text)
    assert str(refused.value) == said


CRON: dict[str, Any] = {"expression": "cron(0 2 * * ? *)", "job": GOOD}
ONCE: dict[str, Any] = {"expression": "at(2026-11-21T13:00:00)", "job": GOOD}
TIME = "must be a time in ISO 8601, such as 2027-01-31T08:00:00Z"
GAP = {"time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (ONCE | {"start": "2026-11-22"}, {"/start": "does not go with at(), which fires once"}),
        (ONCE | {"end": "2026-11-22"}, {"/end": "does not go with at(), which fires once"}),
        (ONCE | {"expression": "at(2026-11-21T12:00:00)"}, {"/expression": "at() must be in the future"}),
        (
            ONCE | GAP | {"expression": "at(2027-03-28T02:30:00)"},
            {"/expression": "at() holds a time that does not exist in this time zone: the clocks go forward"},
        ),
        (CRON | {"start": "2027-01-02", "end": "2027-01-02"}, {"/end": "must be after start"}),
        (CRON | {"end": "2026-11-21T12:00:00Z"}, {"/end": "must be in the future"}),
        (
            CRON | {"end": "2026-11-22T01:59:59Z"},
            {"/end": "is before the first firing, which would be at 2026-11-22T02:00:00.000Z"},
        ),
        (
            CRON | {"expression": "cron(0 2 30 2 ? *)"},
            {"/expression": "cron() never fires: no such time is to come"},
        ),
        (CRON | {"start": "tomorrow"}, {"/start": TIME}),
        (CRON | {"end": "9999-12-31T23:59:59-12:00"}, {"/end": TIME}),
        (CRON | {"start": "1969-12-31T23:59:59Z"}, {"/start": "must lie in the years 1970 to 2199"}),
        (CRON | {"start": "2200-01-01T00:00:00Z"}, {"/start": "must lie in the years 1970 to 2199"}),
        (
            CRON | GAP | {"start": "2027-03-28T02:30:00"},
            {
                "/start": "is a time that does not exist in this time zone: the clocks go forward; "
                "give another, or UTC",
            },
        ),
        (
            CRON | {"time_zone": "Mars"},
            {"/time_zone": "must be a time zone of the IANA database, such as UTC or Asia/Shanghai"},
        ),
        (CRON | {"name": "other"}, {"/name": "must be the name in the path"}),
        (
            CRON | {"job": GOOD | {"labels": {"a": "{x}"}}},
            {"/job/labels/a": "knows the templates {date} and {time}, and no other braces"},
        ),
        (
            CRON | {"job": GOOD | {"labels": {"a": "x}"}}},
            {"/job/labels/a": "knows the templates {date} and {time}, and no other braces"},
        ),
        (CRON | {"job": GOOD | {"labels": {"a": "{date}"}, "colour": 1}}, {"/job/colour": "is not a known field"}),
        (
            CRON | {"job": request(IMS, user_data={"a": "x" * 200 * 1024})},
            {"/job": "must be at most 204800 bytes, written in ASCII"},
        ),
        (CRON | {"a": {"b": "\x00"}}, {"/a/b": "holds U+0000 NULL", "/a": "is not a known field"}),
    ],
)
def test_a_schedule_that_cannot_be_is_told(body: dict[str, Any], told: dict[str, str]) -> None:
    with pytest.raises(InvalidBody) as refused:
        define("nightly", body, NOW)
    assert {error.pointer: error.detail for error in refused.value.errors} == told


def test_a_schedules_bad_name_is_told() -> None:
    with pytest.raises(InvalidBody) as refused:
        define("a b", CRON | {"name": "c"}, NOW)
    assert refused.value.errors == [FieldError("name", f"must have {NAME}")]


# -- queries and batches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vendor": ["x"]}, f"vendor must be one of {VENDORS}"),
        (
            {"status": ["x"]},
            "status must be one of QUEUED, TRIGGERING, WAITING, DOWNLOADING, SUCCEEDED, PARTIAL, FAILED, TIMED_OUT, "
            "CANCELLED",
        ),
        ({"since": ["2027"], "until": ["2026"]}, "since must be a time in ISO 8601, such as 2026-01-31T08:00:00Z"),
        ({"since": ["2027-01-02"], "until": ["2027-01-01"]}, "since must not be after until"),
        ({"next_token": ["x"]}, "next_token is not one of ours"),
        (
            {"next_token": ["WyJ4IiwgInkiXQ"]},
            "next_token is not one of ours, or belongs to a listing with other filters",
        ),
        ({"x": ["1"]}, "x is not a known parameter"),
        ({"x" * 101: ["1"]}, "x" * 100 + " is not a known parameter"),
        ({"batch": ["x" * 1025]}, "batch must be at most 1024 bytes of characters that can be seen"),
        ({"next_token": ["x" * 4097]}, "next_token must be at most 4096 bytes of characters that can be seen"),
        ({"batch": ["x", "y"]}, "batch is given more than once"),
        ({"label": ["=x"]}, "label must be key=value"),
        ({"label": ["a=x"], "schedule": ["s"]}, "schedule cannot be combined with label"),
        ({"schedule": ["s"], "batch": ["b"]}, "batch cannot be combined with schedule"),
        ({"limit": ["101"]}, "limit must be a whole number from 1 to 100"),
    ],
)
def test_a_query_that_cannot_be_is_told(given: dict[str, list[str]], said: str) -> None:
    with pytest.raises(BadQuery) as refused:
        parse_query(given)
    assert str(refused.value) == said
    assert said == f"{refused.value.parameter} {refused.value.detail}"


def test_a_files_id_that_cannot_be_is_told() -> None:
    with pytest.raises(BadQuery) as refused:
        parse_file_query({"files_after": ["100"]})
    assert str(refused.value) == "files_after must be the id of a file, such as f100"


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        (
            {"manifest": {"key": "manifests/a.csv", "bucket": "b"}},
            "/manifest/bucket",
            "must be this stack's own bucket",
        ),
        ({"manifest": {"key": f"manifests/{'é' * 450}.csv"}}, "/manifest/key", "must be at most 900 bytes"),
        (
            {"manifest": {"key": "manifests/https://u:p@a.example/v.csv"}},
            "/manifest/key",
            "must not hold a URL with credentials or a query",
        ),
        (
            {"manifest": {"key": "manifests/a"}},
            "/format",
            "is required when the key does not end in .jsonl, .ndjson, .csv",
        ),
        (
            {"manifest": {"key": "manifests/a.csv"}, "defaults": {"vendor": "x"}},
            "/defaults/vendor",
            f"must be one of {VENDORS}",
        ),
        (
            {"manifest": {"key": "a.csv"}},
            "/manifest/key",
            "must begin with manifests/ and hold no control characters",
        ),
    ],
)
def test_a_batch_that_cannot_be_is_told(body: dict[str, Any], pointer: str, said: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        check_batch(body, "videos")
    assert refused.value.errors == [FieldError(pointer, said)]
