"""A schedule as a user puts it: every bad field named, templates filled by each firing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.intake.checks import InvalidBody
from clipferry.intake.schedule_body import Schedule, define, fill, time_zone
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.intake.test_job_body import BAD as BAD_JOBS
from tests.unit.intake.test_job_body import GOOD as JOB
from tests.unit.intake.test_job_body import IMS, JSON, request
from tests.unit.steps.aws import REPOSITORY

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NIGHTLY: dict[str, Any] = {"expression": "cron(0 2 * * ? *)", "job": JOB}
ONCE: dict[str, Any] = {"expression": "at(2026-11-21T13:00:00)", "job": JOB}

BAD = [
    ({}, "/expression"),
    ({}, "/job"),
    ({"expression": "cron(0 2 * * ? *)"}, "/job"),
    (NIGHTLY | {"expression": "cron(0 25 * * ? *)"}, "/expression"),
    (NIGHTLY | {"expression": 5}, "/expression"),
    (NIGHTLY | {"expression": None}, "/expression"),
    (NIGHTLY | {"expression": "x" * 257}, "/expression"),
    (NIGHTLY | {"expression": "cron(0 2 30 2 ? *)"}, "/expression"),
    (NIGHTLY | {"expression": "cron(0 2 * * ? 2026)", "start": "2027-01-01"}, "/expression"),
    (ONCE | {"expression": "at(2026-11-21T11:59:59)"}, "/expression"),
    (ONCE | {"expression": "at(2026-11-21T12:00:00)"}, "/expression"),
    (ONCE | {"time_zone": "Asia/Shanghai"}, "/expression"),  # there it is 20:00 already
    (ONCE | {"expression": "at(2027-03-28T02:30:00)", "time_zone": "Europe/Berlin"}, "/expression"),  # left out
    (ONCE | {"expression": "at(0001-01-01T00:00:00)", "time_zone": "Asia/Shanghai"}, "/expression"),
    (ONCE | {"start": "2026-11-22"}, "/start"),
    (ONCE | {"end": "2026-11-22"}, "/end"),
    (NIGHTLY | {"time_zone": "Europe/Bielefeld"}, "/time_zone"),
    (NIGHTLY | {"time_zone": ""}, "/time_zone"),
    (NIGHTLY | {"time_zone": "../UTC"}, "/time_zone"),
    (NIGHTLY | {"time_zone": "europe/berlin"}, "/time_zone"),
    (NIGHTLY | {"time_zone": "UTC\n"}, "/time_zone"),
    (NIGHTLY | {"time_zone": 1}, "/time_zone"),
    (NIGHTLY | {"start": "tomorrow"}, "/start"),
    (NIGHTLY | {"start": 1795226400}, "/start"),
    (NIGHTLY | {"start": "9999-12-31T23:59:59-12:00"}, "/start"),
    (NIGHTLY | {"start": "2027-01-02", "end": "2027-01-01"}, "/end"),
    (NIGHTLY | {"start": "2027-01-02", "end": "2027-01-02"}, "/end"),
    (NIGHTLY | {"start": "2026-01-01", "end": "2026-01-02"}, "/end"),
    (NIGHTLY | {"end": "2026-11-21T12:00:00Z"}, "/end"),
    (NIGHTLY | {"end": "soon"}, "/end"),
    (NIGHTLY | {"end": "2026-11-22"}, "/end"),  # the first firing is two hours later
    (NIGHTLY | {"start": "2026-12-01T02:00:01", "end": "2026-12-02"}, "/end"),
    (NIGHTLY | {"expression": "rate(2 days)", "start": "2026-11-20T01:00:00Z", "end": "2026-11-22T00:00:00Z"}, "/end"),
    (NIGHTLY | {"start": "2027-03-28T02:30:00", "time_zone": "Europe/Berlin"}, "/start"),  # left out by the clocks
    (NIGHTLY | {"end": "2027-03-28T02:30:00", "time_zone": "Europe/Berlin"}, "/end"),
    (NIGHTLY | {"start": "2200-01-01"}, "/start"),
    (NIGHTLY | {"end": "9999-12-31T23:59:59+14:00"}, "/end"),
    (NIGHTLY | {"start": "0001-01-01T00:00:00Z"}, "/start"),
    (NIGHTLY | {"enabled": "yes"}, "/enabled"),
    (NIGHTLY | {"enabled": 1}, "/enabled"),
    (NIGHTLY | {"colour": "red"}, "/colour"),
    (NIGHTLY | {"name": "another"}, "/name"),
    (NIGHTLY | {"job": [JOB]}, "/job"),
    (NIGHTLY | {"job": JOB | {"vendor": "nobody"}}, "/job/vendor"),
    (NIGHTLY | {"job": {"jobs": [JOB]}}, "/job/jobs"),
    (NIGHTLY | {"job": JOB | {"destination": {"prefix": "a/{datum}"}}}, "/job/destination/prefix"),
    (NIGHTLY | {"job": JOB | {"destination": {"prefix": "a/{date"}}}, "/job/destination/prefix"),
    (NIGHTLY | {"job": JOB | {"labels": {"a/b": "{0}"}}}, "/job/labels/a~1b"),
    (NIGHTLY | {"job": JOB | {"labels": {"{date}": "x"}}}, "/job/labels"),
    (NIGHTLY | {"job": JOB | {"labels": {"day": "x" * 119 + "{date}"}}}, "/job/labels/day"),
    (NIGHTLY | {"job": request(IMS, upload_urls=[f"https://a.example/{n}/{'x' * 2025}" for n in range(100)])}, "/job"),
    (NIGHTLY | {"half": "\ud800"}, "/half"),
    (NIGHTLY | {"ha\ud800lf": 1}, ""),
    (NIGHTLY | {"enabled": float("nan")}, "/enabled"),
]


def errors(body: dict[str, Any], name: str = "nightly") -> dict[str, str]:
    with pytest.raises(InvalidBody) as caught:
        define(name, body, NOW)
    return {error.pointer: error.detail for error in caught.value.errors}


@pytest.mark.parametrize(("body", "pointer"), BAD)
def test_a_bad_field_is_named_with_its_reason(body: dict[str, Any], pointer: str) -> None:
    assert errors(body)[pointer]


@pytest.mark.parametrize(("job", "pointer"), BAD_JOBS)
def test_a_job_that_post_refuses_is_refused_at_its_place(job: dict[str, Any], pointer: str) -> None:
    assert {f"/job{pointer}", ""} & set(errors(NIGHTLY | {"job": job}))


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", ".a", "-a", "nightly\n", "nächtlich"])
def test_a_bad_name_is_told(name: str) -> None:
    assert "1 to 64" in errors(NIGHTLY, name)["name"]


def test_every_bad_field_is_named_at_once_and_none_is_repeated() -> None:
    found = errors(
        {
            "expression": "cron(canary)",
            "time_zone": "canary",
            "start": "canary",
            "end": "canary",
            "enabled": "canary",
            "job": {"vendor": "canary"},
        }
    )
    assert set(found) == {"/expression", "/time_zone", "/start", "/end", "/enabled", "/job/vendor", "/job"}
    assert "canary" not in repr(list(found.values()))


def test_the_reasons_are_told_apart() -> None:
    assert "future" in errors(ONCE | {"expression": "at(2026-11-21T11:59:59)"})["/expression"]
    assert "never fires" in errors(NIGHTLY | {"expression": "cron(0 2 30 2 ? *)"})["/expression"]
    assert "after start" in errors(NIGHTLY | {"start": "2027-01-02", "end": "2027-01-01"})["/end"]
    assert "future" in errors(NIGHTLY | {"end": "2026-01-02"})["/end"]
    assert "{date}" in errors(NIGHTLY | {"job": JOB | {"labels": {"day": "{day}"}}})["/job/labels/day"]


def test_a_schedule_is_on_and_in_utc_unless_it_says_otherwise() -> None:
    assert define("nightly", NIGHTLY, NOW) == Schedule("nightly", "cron(0 2 * * ? *)", JOB)


def test_everything_said_is_understood() -> None:
    body = NIGHTLY | {
        "expression": "cron(0  2 ? * MON-FRI *)",
        "time_zone": "Asia/Shanghai",
        "enabled": False,
        "start": "2027-01-01",
        "end": "2027-06-30T12:00:00.5+02:00",
    }
    assert define("nightly", body, NOW) == Schedule(
        "nightly",
        "cron(0 2 ? * MON-FRI *)",
        JOB,
        "Asia/Shanghai",
        datetime(2026, 12, 31, 16, tzinfo=UTC),
        datetime(2027, 6, 30, 10, tzinfo=UTC),
        enabled=False,
    )


def test_what_is_shown_can_be_put_back() -> None:
    made = define("nightly", NIGHTLY | {"start": "2026-01-01"}, NOW)
    shown = made.public(NOW)
    assert define("nightly", shown, NOW) == made
    assert define("nightly", shown | {"created_at": "2026-11-21T12:00:00Z", "updated_at": None}, NOW) == made


OVER = [
    Schedule("nightly", "at(2026-11-20T13:00:00)", JOB),
    Schedule("nightly", "cron(0 2 * * ? 2025)", JOB),
    Schedule("nightly", "cron(0 2 * * ? *)", JOB, end=datetime(2026, 11, 1, tzinfo=UTC)),
    Schedule("nightly", "rate(5 minutes)", JOB, "Asia/Shanghai", end=datetime(2026, 11, 21, 12, tzinfo=UTC)),
    Schedule("nightly", "cron(0 2 * * ? *)", JOB, end=datetime(2026, 11, 22, 1, tzinfo=UTC)),  # one hour too early
]


@pytest.mark.parametrize("kept", OVER)
def test_a_schedule_that_is_over_can_be_put_back_and_switched_off(kept: Schedule) -> None:
    shown = kept.public(NOW)
    off = shown | {"enabled": False}

    assert define("nightly", shown, NOW, kept) == kept
    assert define("nightly", off, NOW, kept) == replace(kept, enabled=False)
    assert define("nightly", off, NOW, replace(kept, enabled=False)) == replace(kept, enabled=False)


@pytest.mark.parametrize("kept", OVER)
def test_a_schedule_that_is_over_is_not_switched_on_or_changed_without_a_word(kept: Schedule) -> None:
    shown = kept.public(NOW)
    for body, before in (
        (shown, replace(kept, enabled=False)),
        (shown | {"job": JOB | {"deadline_seconds": 77}}, kept),
    ):
        with pytest.raises(InvalidBody) as raised:
            define("nightly", body, NOW, before)
        assert {error.pointer for error in raised.value.errors} <= {"/end", "/expression"}


def test_a_job_that_is_kept_is_not_judged_again() -> None:
    """A newer release may be stricter: what an older one took can still be shown, put back, and switched off."""
    kept = Schedule("nightly", "cron(0 2 * * ? *)", {"vendor": "of-old"})
    assert define("nightly", kept.public(NOW) | {"enabled": False}, NOW, kept) == replace(kept, enabled=False)


def test_what_is_shown_of_a_signed_url_is_put_back_as_the_url_that_is_kept() -> None:
    job = request(IMS, upload_urls=["https://a.example/v.mp4?sig=canary"])
    kept = define("nightly", NIGHTLY | {"job": job}, NOW)
    assert define("nightly", kept.public(NOW), NOW, kept) == kept


def test_a_start_in_the_past_is_no_mistake() -> None:
    assert define("nightly", NIGHTLY | {"start": "2026-01-01"}, NOW).start == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_signature_in_the_job_is_not_shown() -> None:
    job = request(IMS, upload_urls=["https://a.example/v.mp4?sig=canary"])
    assert "canary" not in repr(define("nightly", NIGHTLY | {"job": job}, NOW).public(NOW))


@pytest.mark.parametrize("name", ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/Argentina/Salta", "Etc/GMT-3"])
def test_the_time_zones_of_the_iana_database_are_known(name: str) -> None:
    assert time_zone(name).utcoffset(NOW) is not None


NEXT = [
    ({}, "2026-11-22T02:00:00.000Z"),
    ({"time_zone": "Asia/Shanghai"}, "2026-11-21T18:00:00.000Z"),
    ({"enabled": False}, None),
    ({"start": "2027-01-01T02:00:00Z"}, "2027-01-01T02:00:00.000Z"),
    ({"start": "2026-01-01"}, "2026-11-22T02:00:00.000Z"),
    ({"expression": "rate(5 minutes)"}, None),
    ({"expression": "rate(5 minutes)", "start": "2026-11-21T11:58:00Z"}, "2026-11-21T12:03:00.000Z"),
    ({"expression": "rate(1 hour)", "start": "2026-11-20T12:00:00Z"}, "2026-11-21T13:00:00.000Z"),
    ({"expression": "rate(2 days)", "start": "2026-11-20T01:00:00Z"}, "2026-11-22T01:00:00.000Z"),
    ({"expression": "rate(2 days)", "start": "2027-01-01T00:00:00Z"}, "2027-01-01T00:00:00.000Z"),
    ({"expression": "at(2026-11-21T13:00:00)"}, "2026-11-21T13:00:00.000Z"),
    ({"expression": "at(2026-11-21T20:30:00)", "time_zone": "Asia/Shanghai"}, "2026-11-21T12:30:00.000Z"),
]


@pytest.mark.parametrize(("change", "next_at"), NEXT)
def test_the_next_firing_is_shown_where_it_is_known(change: dict[str, Any], next_at: str | None) -> None:
    assert define("nightly", NIGHTLY | change, NOW).public(NOW)["next_at"] == next_at


def test_an_at_that_has_fired_has_no_next_firing() -> None:
    assert define("once", ONCE, NOW).next_firing(NOW.replace(hour=14)) is None


def test_no_time_zones_of_the_machine_are_needed() -> None:
    command = (
        "import zoneinfo; zoneinfo.reset_tzpath(['/nowhere']); from clipferry.intake.schedule_body import time_zone; "
        "print(time_zone('Asia/Shanghai').utcoffset(__import__('datetime').datetime(2026, 1, 1)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", command],
        env={"PYTHONPATH": str(REPOSITORY / "layers/clipferry")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "8:00:00"


# -- templates ---------------------------------------------------------------------------------------------------------

TEMPLATE = JOB | {"destination": {"prefix": "gate/{date}/{time}"}, "labels": {"day": "{date}", "both": "{date}T{time}"}}


def test_each_firing_fills_in_its_own_time_in_the_schedules_zone() -> None:
    job = define("nightly", NIGHTLY | {"job": TEMPLATE}, NOW).job
    scheduled = datetime(2026, 11, 21, 18, 30, 5, tzinfo=UTC).astimezone(time_zone("Asia/Shanghai"))
    filled = fill(job, scheduled)
    assert filled["destination"] == {"prefix": "gate/2026-11-22/02-30-05"}
    assert filled["labels"] == {"day": "2026-11-22", "both": "2026-11-22T02-30-05"}
    assert filled["request"] == JOB["request"]
    assert job == TEMPLATE, "the template stays one"


def test_a_template_elsewhere_is_just_text() -> None:
    job = request(IMS, user_data="{date}") | {"destination": {"prefix": "a", "key": "{date}"}, "account": "{time}"}
    assert fill(job, NOW) == job


@given(JSON, st.datetimes(timezones=st.just(UTC)))
def test_filling_never_fails_whatever_was_kept(value: Any, scheduled: datetime) -> None:
    filled = fill({"destination": value, "labels": {"a": value}, "request": value}, scheduled)
    assert set(filled) == {"destination", "labels", "request"}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "expression": JSON | st.just("rate(1 day)"),
            "job": JSON | st.just(JOB),
            "time_zone": JSON,
            "start": JSON,
            "end": JSON,
            "enabled": JSON,
            "more": JSON,
            "name": JSON,
        },
    )
)
def test_no_body_whatever_is_more_than_invalid(body: dict[str, Any]) -> None:
    reasons = []
    try:
        define("nightly", body, NOW)
    except InvalidBody as invalid:
        reasons = [error.detail for error in invalid.errors]
    assert all(reasons)


# -- value by value ----------------------------------------------------------------------------------------------------

FULL = Schedule(
    "nightly",
    "rate(2 days)",
    JOB,
    "Asia/Shanghai",
    start=datetime(2026, 11, 20, 1, tzinfo=UTC),
    end=datetime(2026, 12, 1, tzinfo=UTC),
    created_at=datetime(2026, 11, 19, tzinfo=UTC),
    updated_at=datetime(2026, 11, 19, 1, tzinfo=UTC),
    token="secret",
)


def test_a_schedule_is_shown_whole_and_without_its_token() -> None:
    assert FULL.public(NOW) == {
        "name": "nightly",
        "expression": "rate(2 days)",
        "time_zone": "Asia/Shanghai",
        "start": "2026-11-20T01:00:00.000Z",
        "end": "2026-12-01T00:00:00.000Z",
        "enabled": True,
        "next_at": "2026-11-22T01:00:00.000Z",
        "job": JOB,
        "created_at": "2026-11-19T00:00:00.000Z",
        "updated_at": "2026-11-19T01:00:00.000Z",
    }
    assert "secret" not in repr(FULL)


@pytest.mark.parametrize(
    ("change", "next_firing"),
    [
        ({}, datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ({"end": datetime(2026, 11, 22, 1, tzinfo=UTC)}, datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ({"end": datetime(2026, 11, 22, 0, 59, 59, tzinfo=UTC)}, None),
        ({"expression": "at(2026-11-21T20:00:00)"}, None),
        ({"expression": "at(2026-11-21T20:00:01)"}, datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC)),
        ({"expression": "cron(0 8 21 11 ? *)", "start": datetime(2026, 11, 22, tzinfo=UTC)}, None),
        (
            {"expression": "cron(0 8 22 11 ? *)", "start": datetime(2026, 11, 22, tzinfo=UTC)},
            datetime(2026, 11, 22, tzinfo=UTC),
        ),
        ({"expression": "cron(0 20 21 11 ? 2026)", "start": None}, None),
        ({"expression": "cron(1 20 21 11 ? 2026)", "start": None}, datetime(2026, 11, 21, 12, 1, tzinfo=UTC)),
    ],
)
def test_the_next_firing_lies_behind_now_and_within_the_bounds(
    change: dict[str, Any], next_firing: datetime | None
) -> None:
    assert replace(FULL, **change).next_firing(NOW) == next_firing


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({}, datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ({"start": None}, None),
        ({"expression": "cron(0 2 * * ? *)"}, None),
        ({"expression": "cron(0 2 * * ? *)", "start": NOW}, None),
        (
            {"expression": "cron(0 2 * * ? *)", "start": NOW.replace(second=1)},
            NOW.replace(second=1),
        ),
    ],
)
def test_scheduler_is_asked_for_a_start_that_is_to_come(change: dict[str, Any], begins: datetime | None) -> None:
    assert replace(FULL, **change).begins(NOW) == begins


def test_who_asks_for_the_same_has_it_whatever_the_store_keeps_beside_it() -> None:
    asked = replace(FULL, created_at=None, updated_at=None, token=None)

    assert asked.wants_the_same(FULL)
    assert FULL.wants_the_same(replace(FULL, token="other", created_at=None, updated_at=None))
    assert not asked.wants_the_same(None)
    for change in ({"enabled": False}, {"end": None}, {"job": {}}, {"time_zone": "UTC"}, {"name": "x"}):
        assert not replace(asked, **change).wants_the_same(FULL)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [{"start": "1970-01-01T00:00:00Z"}, {"end": "2199-12-31T23:59:59Z"}])
def test_a_bound_in_the_first_and_the_last_year_is_taken(body: dict[str, Any]) -> None:
    assert define("nightly", NIGHTLY | body, NOW)


@pytest.mark.parametrize("name", ["a", "x" * 64, "0._-", "Nightly-2"])
def test_a_name_is_letters_digits_and_signs(name: str) -> None:
    assert define(name, NIGHTLY | {"name": name}, NOW).name == name


def test_an_end_at_the_first_firing_is_late_enough() -> None:
    assert define("nightly", NIGHTLY | {"end": "2026-11-22T02:00:00Z"}, NOW).end
    assert define("nightly", NIGHTLY | {"enabled": False, "end": "2026-11-21T13:00:00Z"}, NOW).enabled is False
    assert define("nightly", NIGHTLY | {"expression": "rate(1 day)", "end": "2026-11-21T12:00:01Z"}, NOW).end


def test_a_field_that_is_null_is_as_if_it_were_absent() -> None:
    body = NIGHTLY | dict.fromkeys(("time_zone", "start", "end", "enabled", "name", "next_at"))
    assert define("nightly", body, NOW) == define("nightly", NIGHTLY, NOW)


def test_what_people_read_in_the_job_may_hold_line_breaks() -> None:
    job = request(IMS, user_data={"note": "one\ntwo"})
    assert define("nightly", NIGHTLY | {"job": job}, NOW).job == job
    assert errors(NIGHTLY | {"job": request(IMS, user_data={"note": "one\x00two"})}) == {
        "/job/request/user_data/note": "holds U+0000 NULL"
    }
