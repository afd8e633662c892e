"""The routes of /schedules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clipferry.aws import scheduler
from clipferry.intake.schedule_body import Schedule
from clipferry.vendors import VENDORS

from tests.unit.functions.conftest import Functions
from tests.unit.intake.test_schedule_body import BAD, NOW
from tests.unit.steps.aws import GROUP, client

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

JOB: dict[str, Any] = {"vendor": "scripted", "request": {"url": "https://media.example/a.mp4"}}
NIGHTLY: dict[str, Any] = {"expression": "cron(0 2 * * ? *)", "time_zone": "Asia/Shanghai", "job": JOB}


def fires(functions: Functions, name: str, at: str) -> dict[str, Any]:
    """As EventBridge Scheduler would call the function."""
    text = client("scheduler").get_schedule(GroupName=GROUP, Name=name)["Target"]["Input"]
    fired: dict[str, Any] = functions.call("schedule", json.loads(text.replace("<aws.scheduler.scheduled-time>", at)))
    return fired


def test_a_schedule_is_put_shown_replaced_and_deleted(functions: Functions) -> None:
    made = functions.api("PUT", "/schedules/nightly", NIGHTLY)
    assert (made.status, made.headers["Location"]) == (201, "/v1/schedules/nightly")
    assert (
        made.body.items()
        >= {
            "name": "nightly",
            "expression": "cron(0 2 * * ? *)",
            "time_zone": "Asia/Shanghai",
            "start": None,
            "end": None,
            "enabled": True,
            "job": JOB,
        }.items()
    )
    again = functions.api("PUT", "/schedules/nightly", NIGHTLY)
    assert (again.status, again.body) == (200, made.body)
    silent = functions.api("PUT", "/schedules/nightly", made.body | {"enabled": False})
    assert (silent.status, silent.body["enabled"], silent.body["created_at"]) == (200, False, made.body["created_at"])
    assert functions.api("GET", "/schedules/nightly").body == silent.body
    assert functions.api("DELETE", "/schedules/nightly").status == 204
    for method in ("GET", "DELETE"):
        gone = functions.api(method, "/schedules/nightly")
        assert (gone.status, gone.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_schedule_whose_time_is_over_is_put_back_unchanged_and_switched_off(functions: Functions) -> None:
    over = Schedule("nightly", "cron(0 2 * * ? *)", JOB, "Asia/Shanghai", end=NOW.replace(year=2025))
    scheduler.put(over, NOW)
    shown = functions.api("GET", "/schedules/nightly").body
    again = functions.api("PUT", "/schedules/nightly", shown)
    assert (again.status, again.body) == (200, shown)
    off = functions.api("PUT", "/schedules/nightly", shown | {"enabled": False})
    assert (off.status, off.body["enabled"], off.body["end"]) == (200, False, shown["end"])
    assert functions.api("PUT", "/schedules/nightly", off.body | {"enabled": True}).status == 400


def test_nothing_but_schedules_needs_the_scheduler(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("a client was made")

    monkeypatch.setattr(scheduler, "_client", refuse)
    job_id = functions.api("POST", "/jobs", JOB).body["job_id"]
    assert functions.api("GET", f"/jobs/{job_id}").status == functions.api("GET", "/vendors").status == 200
    assert functions.api("GET", "/schedules").status == 500


def test_bad_input_is_named_and_leaves_nothing_behind(functions: Functions) -> None:
    functions.world.time = NOW
    for body, pointer in BAD:
        answer = functions.api("PUT", "/schedules/nightly", body)
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json"), body
        assert pointer in [error["pointer"] for error in answer.body["errors"]], body
    assert functions.api("PUT", "/schedules/.nightly", NIGHTLY).body["errors"][0]["pointer"] == "name"
    assert functions.world.edge.effects == []


@pytest.mark.parametrize("body", ["", "{", "[]", "null"])
def test_a_body_that_is_no_schedule_at_all(functions: Functions, body: str) -> None:
    assert functions.api("PUT", "/schedules/nightly", body).status == 400


def test_schedules_are_listed_to_the_end_without_their_jobs(functions: Functions) -> None:
    assert functions.api("GET", "/schedules").body == {"schedules": [], "next_token": None}
    for name in ("a", "b", "c"):
        functions.api("PUT", f"/schedules/{name}", NIGHTLY)
    found, query = [], {"limit": "2"}
    while True:
        page = functions.api("GET", "/schedules", query=query)
        assert page.status == 200
        found += page.body["schedules"]
        if page.body["next_token"] is None:
            break
        query["next_token"] = page.body["next_token"]
    assert sorted(schedule["name"] for schedule in found) == ["a", "b", "c"]
    assert all(schedule["expression"] == NIGHTLY["expression"] and "job" not in schedule for schedule in found)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"vendor": "ims"}])
def test_a_bad_query_is_named(functions: Functions, query: dict[str, str]) -> None:
    answer = functions.api("GET", "/schedules", query=query)
    assert (answer.status, answer.body["errors"][0]["parameter"]) == (400, next(iter(query)))


def test_a_token_of_somebody_else_is_named(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise client("scheduler").exceptions.ValidationException({"Error": {}}, "ListSchedules")

    monkeypatch.setattr(client("scheduler"), "list_schedules", refuse)
    answer = functions.api("GET", "/schedules", query={"next_token": "tampered"})
    assert (answer.status, answer.body["errors"][0]["parameter"]) == (400, "next_token")


def test_the_jobs_of_a_schedule_are_listed_newest_first_even_when_it_is_gone(functions: Functions) -> None:
    functions.api("PUT", "/schedules/nightly", NIGHTLY | {"job": JOB | {"labels": {"day": "{date}"}}})
    empty = functions.api("GET", "/schedules/nightly/jobs")
    assert (empty.status, empty.body) == (200, {"jobs": [], "next_token": None})
    made = []
    for day in (20, 21, 22):
        made += fires(functions, "nightly", f"2026-11-{day}T18:00:00Z")["job_ids"]
        functions.world.wait(60)
    functions.api("POST", "/jobs", JOB)
    functions.api("DELETE", "/schedules/nightly")
    first = functions.api("GET", "/schedules/nightly/jobs", query={"limit": "2"}).body
    rest = functions.api("GET", "/schedules/nightly/jobs", query={"next_token": first["next_token"]}).body
    listed = first["jobs"] + rest["jobs"]
    assert [job["job_id"] for job in listed] == made[::-1]
    assert [job["labels"]["day"] for job in listed] == ["2026-11-23", "2026-11-22", "2026-11-21"]
    assert functions.api("GET", "/jobs", query={"schedule": "nightly"}).body["jobs"] == listed
    assert functions.api("GET", "/schedules/nightly/jobs", query={"status": "QUEUED"}).body["jobs"] == listed


def test_the_jobs_of_a_schedule_that_never_was_are_not_found(functions: Functions) -> None:
    assert functions.api("GET", "/schedules/nobody/jobs").status == 404
    answer = functions.api("GET", "/schedules/nobody/jobs", query={"schedule": "other"})
    assert (answer.status, answer.body["errors"][0]["parameter"]) == (400, "schedule")


def test_a_full_account_is_a_conflict(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ServiceQuotaExceededException"}}, "CreateSchedule")

    monkeypatch.setattr(client("scheduler"), "create_schedule", full)
    answer = functions.api("PUT", "/schedules/nightly", NIGHTLY)
    assert (answer.status, answer.headers["Content-Type"]) == (409, "application/problem+json")


def test_a_schedule_that_fires_in_vain_is_counted_and_told_of(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    functions.api("PUT", "/schedules/nightly", NIGHTLY)
    functions.world.monkeypatch.delitem(VENDORS, "scripted")
    assert fires(functions, "nightly", "2026-11-20T18:00:00Z")["job_ids"] == []
    (event,) = functions.world.edge.sent
    assert (event["type"], event["errors"][0]["pointer"]) == ("Clipferry Schedule Rejected", "/job/vendor")
    assert '"SchedulesRejected":[1.0]' in capsys.readouterr().out.replace(" ", "")
    assert "a firing created no job" in functions.log.getvalue()
