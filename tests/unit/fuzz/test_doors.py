"""Whatever comes in at a door, the answer is one of the contract's, in time, small enough, and tells no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clipferry.steps.schedule import ScheduleInvalid
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.functions.conftest import Functions, proxy_event
from tests.unit.fuzz.hostile import (
    REPLY_MAX,
    SECONDS,
    SECRET,
    as_text,
    changed,
    fuzzed,
    in_time,
    long_texts,
    short_texts,
    texts,
    values,
)
from tests.unit.intake.test_job_body import CLOUDV, GOOD, IMS, POLYV, adopt

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

BODIES: list[Any] = [
    GOOD,
    POLYV,
    CLOUDV,
    IMS,
    adopt("linkvisual", iot_id="c", file_names=["a", "b"]),
    adopt("cloudv", task_id="t", renditions=[1, 2]),
    adopt("ims", job_ids=["a"]),
    adopt("polyv", task_id="t"),
    {
        **GOOD,
        "labels": {"site": "gate"},
        "destination": {"prefix": "a/b"},
        "deadline_seconds": 60,
        "on_uncertain": "fail",
    },
    {
        **IMS,
        "request": {**IMS["request"], "user_data": {"a": [1]}, "media_metadata": [{"SourceURL": "x", "Title": "y"}]},
    },
    {"vendor": "scripted", "request": {"url": "https://media.example/a"}},
]
SCHEDULES: list[Any] = [
    {"expression": "cron(0 2 ? * MON-FRI *)", "time_zone": "Asia/Shanghai", "end": "2027-06-30T00:00:00", "job": GOOD},
    {"expression": "rate(5 minutes)", "start": "2027-01-01T00:00:00Z", "enabled": False, "job": POLYV},
    {"expression": "at(2027-01-31T08:00:00)", "job": {**IMS, "labels": {"at": "{date} {time}"}}},
]
BATCHES: list[Any] = [
    {"manifest": {"key": "manifests/a.csv", "bucket": "videos", "etag": "x"}, "format": "csv"},
    {"manifest": {"key": "manifests/a.jsonl"}, "defaults": {"vendor": "ims", "labels": {"a": "b"}, "account": "x"}},
]
noise = st.binary(max_size=50).map(lambda raw: raw.decode("latin-1"))
FORMS = ["/jobs/{}", "/jobs/{}/retry", "/batches/{}/cancel", "/schedules/{}", "/{}", f"/jobs/{'0' * 26}/files/{{}}/url"]
ROUTES = [("POST", "/jobs", BODIES), ("PUT", "/schedules/nightly", SCHEDULES), ("POST", "/batches", BATCHES)]
ROUTES += [("POST", "/batches/uploads", [{"format": "csv"}, {}])]


def answered(functions: Functions, event: dict[str, Any], *statuses: int) -> None:
    with in_time():
        reply = functions.call("api", event)
    sent = json.dumps(reply)
    assert reply["statusCode"] in statuses, sent[:500]
    assert len(sent) < REPLY_MAX
    assert SECRET not in sent
    functions.replies.clear()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
@fuzzed(25)
@given(data=st.data())
def test_any_body_is_answered(functions: Functions, route: Any, data: st.DataObject) -> None:
    method, path, samples = route
    body = as_text(data.draw(changed(samples)))
    headers = data.draw(st.one_of(st.none(), st.dictionaries(st.just("Idempotency-Key"), texts, max_size=1)))

    answered(functions, proxy_event(method, path, body, headers=headers), 200, 201, 202, 400, 409)


@fuzzed(20)
@given(text=st.one_of(texts, long_texts, noise), base64=st.booleans())
def test_any_text_is_answered(functions: Functions, text: str, base64: bool) -> None:
    answered(functions, proxy_event("POST", "/jobs", text) | {"isBase64Encoded": base64}, 400)


@fuzzed(25)
@given(
    path=st.sampled_from(["/jobs", "/schedules", "/schedules/a/jobs", f"/jobs/{'0' * 26}", "/vendors"]),
    query=st.dictionaries(
        st.one_of(st.sampled_from(["vendor", "status", "label", "since", "until", "limit", "next_token"]), texts),
        st.lists(texts, min_size=1, max_size=3),
        max_size=4,
    ),
)
def test_any_query_is_answered(functions: Functions, path: str, query: dict[str, list[str]]) -> None:
    event = proxy_event("GET", path) | {
        "queryStringParameters": {name: given[-1] for name, given in query.items()},
        "multiValueQueryStringParameters": query,
    }
    answered(functions, event, 200, 400, 404)


@fuzzed(25)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    form=st.sampled_from(FORMS),
    text=st.one_of(short_texts, long_texts),
)
def test_any_path_is_answered(functions: Functions, method: str, form: str, text: str) -> None:
    answered(functions, proxy_event(method, form.replace("{}", text)), 200, 204, 400, 404)


INPUTS: list[Any] = [
    BODIES[-1],
    {"jobs": BODIES[:3], "firing": "1"},
    {"firing": "1", "input": BODIES[-1]},
    {"schedule": "nightly", "scheduled_time": "2026-11-21T08:00:00Z", "time_zone": "Asia/Shanghai", "job": BODIES[-1]},
]


@fuzzed(25)
@given(event=st.one_of(changed(INPUTS), values))
def test_any_input_of_a_rule_makes_jobs_or_is_refused(functions: Functions, event: Any) -> None:
    said: Any = ""
    with in_time(3 * SECONDS):  # it may hold several jobs
        try:
            said = functions.call("schedule", event)
        except ScheduleInvalid as error:
            said = str(error)
    assert SECRET not in repr(said)
