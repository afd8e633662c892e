"""The query of a listing and its tokens."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime

import pytest
from clipferry.intake.job_query import LIMIT_DEFAULT, BadQuery, Query, page_token, parse_file_query
from clipferry.intake.job_query import parse_query as parse
from clipferry.jobs.statuses import JobStatus
from clipferry.store.job_records import Listing
from hypothesis import given
from hypothesis import strategies as st


def parse_query(parameters: dict[str, str]) -> Query:
    """Of a query that gives each parameter once."""
    return parse({name: [value] for name, value in parameters.items()})


LAST = "2026-11-21T12:00:00.000Z#01K0000000000000000000000A"


def test_without_parameters_everything_is_listed() -> None:
    query = parse_query({})
    assert (query.listing.vendor, query.listing.status, query.limit, query.before) == (None, None, LIMIT_DEFAULT, None)


def test_filters_are_read() -> None:
    query = parse_query(
        {
            "vendor": "ims",
            "status": "FAILED",
            "label": "site=gate=3",
            "limit": "7",
            "since": "2026-11-21T01:00:00+01:00",
            "until": "2026-11-22",
        }
    )
    assert (query.listing.vendor, query.listing.status) == ("ims", JobStatus.FAILED)
    assert query.listing.tag == "label#site=gate=3"
    assert query.listing.since.isoformat() == "2026-11-21T00:00:00+00:00"  # type: ignore[union-attr]
    assert query.listing.until.isoformat() == "2026-11-22T00:00:00+00:00"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"vendor": "nobody"}, "vendor"),
        ({"status": "DONE"}, "status"),
        ({"status": "failed"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"label": "site"}, "label"),
        ({"label": "=x"}, "label"),
        ({"label": "a=b", "batch": "1"}, "batch"),
        ({"since": "yesterday"}, "since"),
        ({"since": "0001-01-01T00:00:00+23:59"}, "since"),
        ({"since": "2026-11-22", "until": "2026-11-21"}, "since"),
        ({"colour": "red"}, "colour"),
        ({"next_token": "x"}, "next_token"),
        ({"next_token": "é"}, "next_token"),
        ({"label": "a=" + "x" * 1023}, "label"),
        ({"label": "a=\u200b"}, "label"),
        ({"schedule": "片" * 400}, "schedule"),
        ({"batch": "\x00"}, "batch"),
        ({"limit": "9" * 5000}, "limit"),
        ({"vendor": "\ud800"}, "vendor"),
    ],
)
def test_what_cannot_be_is_named(parameters: dict[str, str], named: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_query(parameters)
    assert caught.value.parameter == named


def test_several_labels_are_all_asked_for_in_any_order() -> None:
    one, other = (parse({"label": labels}) for labels in (["site=gate", "day=1", "site=gate"], ["day=1", "site=gate"]))

    assert one.listing == other.listing
    assert one.listing.labels == ("day=1", "site=gate")
    assert one.listing.tag == "label#day=1"


def test_a_token_belongs_to_all_labels_of_its_listing() -> None:
    token = page_token(parse({"label": ["a=1", "b=2"]}), LAST)

    assert parse({"label": ["b=2", "a=1"], "next_token": [token]}).before == LAST
    with pytest.raises(BadQuery):
        parse({"label": ["a=1"], "next_token": [token]})


@pytest.mark.parametrize("name", ["vendor", "status", "schedule", "batch", "since", "until", "limit", "next_token"])
def test_any_other_parameter_is_given_once(name: str) -> None:
    with pytest.raises(BadQuery, match=f"{name} is given more than once"):
        parse({name: ["a", "b"]})


def test_the_name_of_an_unknown_parameter_is_told_without_what_it_may_hide() -> None:
    with pytest.raises(BadQuery) as caught:
        parse_query({"https://a.example/v?canary": "1"})
    assert "canary" not in str(caught.value)


def test_the_files_after_one_are_asked_for_by_its_id() -> None:
    assert (parse_file_query({}), parse_file_query({"files_after": ["f0999"]})) == (0, 999)
    for bad in (
        {"files_after": ["999"]},
        {"files_after": ["f" + "9" * 10]},
        {"after": ["f1"]},
        {"files_after": ["f1"] * 2},
    ):
        with pytest.raises(BadQuery):
            parse_file_query(bad)


def test_a_token_goes_on_where_the_page_ended() -> None:
    query = parse_query({"vendor": "ims"})
    token = page_token(query, LAST)
    assert parse_query({"vendor": "ims", "next_token": token}).before == LAST
    assert parse_query({"vendor": "ims", "next_token": token, "limit": "3"}).before == LAST


def test_a_token_belongs_to_its_listing() -> None:
    token = page_token(parse_query({"vendor": "ims"}), LAST)
    for other in ({}, {"vendor": "polyv"}, {"vendor": "ims", "status": "FAILED"}):
        with pytest.raises(BadQuery):
            parse_query(other | {"next_token": token})


@given(st.data())
def test_a_token_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    token = page_token(parse_query({}), LAST)
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters().filter(lambda letter: letter != token[at]))
    changed = token[:at] + letter + token[at + 1 :]
    if _decoded(changed) == _decoded(token):  # the last character holds bits that mean nothing
        return
    with pytest.raises(BadQuery):
        parse_query({"next_token": changed})


@pytest.mark.parametrize("value", ["[" * 9000, '["a"]', "7", "null", '{"a": 1}', '["x", "y"]', f'["{LAST}", null]'])
def test_json_that_is_no_token_is_refused(value: str) -> None:
    with pytest.raises(BadQuery):
        parse_query({"next_token": base64.urlsafe_b64encode(value.encode()).decode()})


def _decoded(token: str) -> object:
    try:
        return json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        return token


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_", "listing"),
    [
        ({}, Listing()),
        ({"vendor": ["polyv"]}, Listing(vendor="polyv")),
        ({"status": ["QUEUED"]}, Listing(status=JobStatus.QUEUED)),
        ({"schedule": ["nightly"]}, Listing(tag="schedule#nightly")),
        ({"batch": ["b1"]}, Listing(tag="batch#b1")),
        ({"label": ["a="]}, Listing(tag="label#a=", labels=("a=",))),
        ({"since": ["2026-11-21T12:00:00"]}, Listing(since=NOON)),
        ({"until": ["2026-11-21T20:00:00+08:00"]}, Listing(until=NOON)),
        ({"since": ["2026-11-21T12:00:00Z"], "until": ["2026-11-21T12:00:00Z"]}, Listing(since=NOON, until=NOON)),
        ({"vendor": []}, Listing()),
    ],
)
def test_what_is_asked_for_is_what_is_listed(given_: dict[str, list[str]], listing: Listing) -> None:
    assert parse(given_) == Query(listing, LIMIT_DEFAULT, None)


@pytest.mark.parametrize("limit", [1, 2, 99, 100])
def test_a_page_may_have_from_one_to_a_hundred_jobs(limit: int) -> None:
    assert parse_query({"limit": str(limit)}).limit == limit


def test_values_are_taken_up_to_their_bounds() -> None:
    assert parse_query({"batch": "x" * 1024}).listing.tag == "batch#" + "x" * 1024
    with pytest.raises(BadQuery, match="is not one of ours"):
        parse_query({"next_token": "x" * 4096})
    assert parse_file_query({"files_after": ["f" + "9" * 9]}) == 999_999_999


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"since": "2026-11-21"}, {"since": "2026-11-22"}),
        ({"until": "2026-11-21"}, {"until": "2026-11-22"}),
        ({"label": "a=1"}, {"label": "a=2"}),
        ({"batch": "a"}, {"schedule": "a"}),
        ({"status": "QUEUED"}, {"status": "FAILED"}),
    ],
)
def test_a_token_goes_with_its_filters_alone(one: dict[str, str], other: dict[str, str]) -> None:
    token = page_token(parse_query(one), LAST)

    assert "=" not in token
    assert parse_query(one | {"next_token": token}).before == LAST
    with pytest.raises(BadQuery):
        parse_query(other | {"next_token": token})


@pytest.mark.parametrize("last", ["x", LAST + "A", LAST.lower(), " " + LAST])
def test_a_token_names_a_place_of_a_listing(last: str) -> None:
    with pytest.raises(BadQuery, match="belongs to a listing with other filters"):
        parse_query({"next_token": page_token(parse_query({}), last)})


def test_a_token_holds_no_other_characters() -> None:
    token = page_token(parse_query({}), LAST)
    for changed in (token + "!", token[:9] + "." + token[9:]):
        with pytest.raises(BadQuery):
            parse_query({"next_token": changed})


def test_a_time_without_an_offset_is_utc_wherever_this_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert parse_query({"since": "2026-11-21T12:00:00"}).listing.since == NOON
    finally:
        monkeypatch.undo()
        time.tzset()
