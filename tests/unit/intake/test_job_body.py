"""A job's body: every bad field named, nothing echoed, defaults filled in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clipferry.intake.checks import BODY_MAX, InvalidBody
from clipferry.intake.job_body import ADOPT_MAX, check, new_job
from clipferry.intake.values import fingerprint
from clipferry.jobs.job import DEADLINE_MAX, DEADLINE_MIN
from clipferry.jobs.statuses import JobStatus
from clipferry.vendors import VENDORS, vendor_class
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
CAMERA = {"iot_id": "cam-1", "record_duration": 60}
GOOD: dict[str, Any] = {"vendor": "linkvisual", "request": CAMERA}
POLYV: dict[str, Any] = {"vendor": "polyv", "request": {"vids": ["a"]}}
CLOUDV: dict[str, Any] = {"vendor": "cloudv", "request": {"files": [{"fetch_url": "https://a.example/v.mp4"}]}}
IMS: dict[str, Any] = {"vendor": "ims", "request": {"upload_urls": ["https://a.example/v.mp4"]}}


def request(body: dict[str, Any], **values: Any) -> dict[str, Any]:
    fields = body["request"] | values
    return body | {"request": {name: value for name, value in fields.items() if value is not ...}}


def adopt(vendor: str, **values: Any) -> dict[str, Any]:
    return {"vendor": vendor, "adopt": values}


BAD = [
    (request(GOOD, record_duration=9), "/request/record_duration"),
    (request(GOOD, record_duration=7201), "/request/record_duration"),
    (request(GOOD, record_duration="abc"), "/request/record_duration"),
    (request(GOOD, record_duration=...), "/request/record_duration"),
    (request(GOOD, iot_id=...), "/request"),
    (request(GOOD, product_key="p", device_name="d"), "/request"),
    (request(GOOD, iot_id=..., product_key="p"), "/request"),
    (request(GOOD, pre_record_duration=11), "/request/pre_record_duration"),
    (request(GOOD, colour="red"), "/request/colour"),
    (GOOD | {"vendor": "nobody"}, "/vendor"),
    ({"request": CAMERA}, "/vendor"),
    (GOOD | {"vendor": 7}, "/vendor"),
    (GOOD | {"colour": "red"}, "/colour"),
    (GOOD | {"adopt": {"record_id": "r"}}, ""),
    ({"vendor": "linkvisual"}, ""),
    (GOOD | {"request": "camera"}, "/request"),
    (GOOD | {"deadline_seconds": 9}, "/deadline_seconds"),
    (GOOD | {"deadline_seconds": 30 * 86_400 + 1}, "/deadline_seconds"),
    (GOOD | {"deadline_seconds": True}, "/deadline_seconds"),
    (GOOD | {"on_uncertain": "maybe"}, "/on_uncertain"),
    (GOOD | {"account": "../other"}, "/account"),
    (GOOD | {"account": "linkvisual\n"}, "/account"),
    (GOOD | {"destination": {"prefix": "a/../b"}}, "/destination/prefix"),
    (GOOD | {"destination": {"prefix": "/a"}}, "/destination/prefix"),
    (GOOD | {"destination": {"prefix": "a\n"}}, "/destination/prefix"),
    (GOOD | {"destination": {"prefix": "x" * 513}}, "/destination/prefix"),
    (GOOD | {"destination": {"bucket": "other"}}, "/destination/bucket"),
    (GOOD | {"labels": {"a": 1}}, "/labels/a"),
    (GOOD | {"labels": {"a": "line\n"}}, "/labels/a"),
    (GOOD | {"labels": {"aws:a": "b"}}, "/labels"),
    (GOOD | {"labels": {"a=b": "c", "a": "b=c"}}, "/labels"),
    (GOOD | {"labels": {"=": ""}}, "/labels"),
    (GOOD | {"labels": {str(n): "" for n in range(9)}}, "/labels"),
    (GOOD | {"labels": {"a/b": "?"}}, "/labels/a~1b"),
    (GOOD | {"labels": {"half": "\ud800"}}, "/labels/half"),
    (GOOD | {"labels": {"ha\ud800lf": "x"}}, "/labels"),
    (GOOD | {"deadline_seconds": float("nan")}, "/deadline_seconds"),
    (request(IMS, user_data={"a": [1e400]}), "/request/user_data/a/0"),
    (request(POLYV, vids=[]), "/request/vids"),
    (request(POLYV, vids=[str(n) for n in range(101)]), "/request/vids"),
    (request(POLYV, expire_days=0), "/request/expire_days"),
    (request(POLYV, expire_days=8), "/request/expire_days"),
    (request(CLOUDV, files=[CLOUDV["request"]["files"][0]] * 51), "/request/files"),
    (request(CLOUDV, files=[{"fetch_url": "ftp://a.example/v"}]), "/request/files/0/fetch_url"),
    (request(CLOUDV, files=[{"fetch_url": "https://"}]), "/request/files/0/fetch_url"),
    (request(CLOUDV, files=[{"fetch_url": "javascript:alert(1)"}]), "/request/files/0/fetch_url"),
    (request(CLOUDV, files=[]), "/request/files"),
    (request(POLYV, expire_days=1.5), "/request/expire_days"),
    (adopt("cloudv"), "/adopt"),
    (adopt("cloudv", task_id="1", trans_no="2"), "/adopt"),
    (adopt("linkvisual", iot_id="cam-1", record_id="r", file_names=["f"]), "/adopt"),
    (adopt("linkvisual", record_id="r"), "/adopt"),
    (request(IMS, upload_urls=[]), "/request/upload_urls"),
    (request(IMS, upload_urls=["ftp://a.example/v.mp4"]), "/request/upload_urls/0"),
    (request(IMS, upload_urls=["https://a.example/v.mp4", "v.mp4"]), "/request/upload_urls/1"),
    (request(IMS, upload_urls=[f"https://a.example/{n}" for n in range(101)]), "/request/upload_urls"),
]


@pytest.mark.parametrize(("body", "pointer"), BAD)
def test_a_bad_field_is_named(body: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        new_job(body, NOON)
    assert pointer in [error.pointer for error in caught.value.errors]
    assert all(error.detail for error in caught.value.errors)


@pytest.mark.parametrize("body", [GOOD, POLYV, CLOUDV, IMS, adopt("polyv", task_id="t")])
def test_a_good_body_has_no_errors(body: dict[str, Any]) -> None:
    assert check(body) == []


def test_every_bad_field_is_named_at_once() -> None:
    body = request(GOOD, record_duration=9, pre_record_duration=11) | {"deadline_seconds": 1, "colour": "red"}
    assert {error.pointer for error in check(body)} == {
        "/request/record_duration",
        "/request/pre_record_duration",
        "/deadline_seconds",
        "/colour",
    }


def test_no_error_repeats_the_value() -> None:
    body = GOOD | {"account": "canary!", "labels": {"x": "canary?"}, "request": {"iot_id": "c", "canary": "canary"}}
    errors = check(body)
    assert errors
    assert not any("canary" in error.detail for error in errors)


def test_a_body_that_no_row_could_hold_is_refused() -> None:
    assert [e.pointer for e in check(request(IMS, user_data="é" * (BODY_MAX // 4)))] == [""]


def test_defaults_are_filled_in() -> None:
    job = new_job(GOOD, NOON)
    assert (job.status, job.account, job.on_uncertain, job.prefix) == (JobStatus.QUEUED, "linkvisual", "fail", "")
    assert job.deadline_seconds == vendor_class("linkvisual").default_deadline + 60
    assert job.deadline_at - job.created_at == timedelta(seconds=job.deadline_seconds)
    assert job.created_at.microsecond == 123_000


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_describes_every_field_it_takes(vendor: str) -> None:
    for schema in (vendor_class(vendor).request_schema, vendor_class(vendor).adopt_schema):
        assert schema["additionalProperties"] is False
        assert all(field.get("description") for field in schema["properties"].values())


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "vendor": st.sampled_from(list(VENDORS)) | JSON,
            "request": JSON,
            "adopt": JSON,
            "labels": JSON,
            "account": JSON,
            "destination": JSON,
            "deadline_seconds": JSON,
            "on_uncertain": JSON,
            "more": JSON,
        },
    )
)
def test_no_body_whatever_is_more_than_invalid(body: dict[str, Any]) -> None:
    for error in check(body):
        assert error.detail
        assert f"{error.pointer} {error.detail}".encode()


def test_a_whole_number_is_an_integer_however_it_is_spelled() -> None:
    """To JSON Schema 60.0 is an integer; to a vendor it is not."""
    body = json.loads('{"vendor": "polyv", "request": {"vids": ["a"], "expire_days": 3.0}}')
    assert repr(new_job(body, NOON).request) == "{'vids': ['a'], 'expire_days': 3}"
    body = json.loads('{"vendor": "cloudv", "adopt": {"task_id": "t", "renditions": [1.0, 4e0]}}')
    assert repr(new_job(body, NOON).adopt) == "{'task_id': 't', 'renditions': [1, 4]}"


def test_a_character_that_nobody_sees_is_named_once_and_beside_every_other_mistake() -> None:
    body = request(GOOD, iot_id="gate\u200b-3", record_duration=9) | {"labels": {"a\u0000": "b"}}

    assert [(error.pointer, error.detail) for error in check(body)] == [
        ("/request/iot_id", "holds U+200B ZERO WIDTH SPACE"),
        ("/labels", "has a key that holds U+0000 NULL"),
        ("/request/record_duration", "must be at least 10"),
    ]


def test_what_people_read_may_hold_line_breaks_and_the_joiners_of_their_script() -> None:
    title = {"SourceURL": "https://a.example/v.mp4", "Title": "می\u200cخواهم ☀\ufe0f", "Description": "one\ntwo"}

    assert check(request(IMS, media_metadata=[title], user_data={"note": "one\r\n\ttwo"})) == []
    assert [e.pointer for e in check(request(IMS, media_metadata=[title | {"Title": "a\u200b"}]))] == [
        "/request/media_metadata/0/Title"
    ]


@pytest.mark.parametrize("name", ["v\u202e4pm.mp4", "v\n.mp4", "v\u200d.mp4"])
def test_a_files_name_is_one_line_that_reads_as_it_is_stored(name: str) -> None:
    assert [e.pointer for e in check(request(CLOUDV, files=[{"fetch_url": "https://a.example/v", "file_name": name}]))]


@pytest.mark.parametrize("name", ["👨\u200d👩\u200d👧.mp4", "1\ufe0f\u20e3.mp4", "می\u200cخواهم.mp4", "ünï 视频.mp4"])
def test_a_files_name_may_be_in_any_script(name: str) -> None:
    assert check(request(CLOUDV, files=[{"fetch_url": "https://a.example/v", "file_name": name}])) == []


def test_everything_that_is_given_is_in_the_job() -> None:
    body = CLOUDV | {
        "account": "second",
        "destination": {"prefix": "site-a/gate-3"},
        "deadline_seconds": 600,
        "on_uncertain": "retrigger",
        "labels": {"site": "gate-3"},
    }

    job = new_job(body, NOON, seed="a seed", source="a batch", line=7)

    milliseconds = NOON.replace(microsecond=123_000)
    assert (job.vendor, job.account, job.status) == ("cloudv", "second", JobStatus.QUEUED)
    assert (job.created_at, job.updated_at) == (milliseconds, milliseconds)
    assert (job.deadline_seconds, job.deadline_at) == (600, milliseconds + timedelta(seconds=600))
    assert (job.prefix, job.on_uncertain, job.labels) == ("site-a/gate-3", "retrigger", {"site": "gate-3"})
    assert (job.request, job.adopt) == (CLOUDV["request"], None)
    assert (job.source, job.line, job.fingerprint) == ("a batch", 7, fingerprint(body))
    assert job.job_id == new_job(GOOD, NOON, seed="a seed").job_id


def test_what_is_not_given_has_its_default() -> None:
    job = new_job(adopt("polyv", task_id="t"), NOON)

    assert (job.account, job.prefix, job.on_uncertain, job.labels) == ("polyv", "", "fail", {})
    assert (job.request, job.adopt, job.source, job.line) == (None, {"task_id": "t"}, None, None)
    assert job.deadline_seconds == vendor_class("polyv").deadline_for(None)
    assert job.job_id != new_job(adopt("polyv", task_id="t"), NOON).job_id


@pytest.mark.parametrize("seconds", [DEADLINE_MIN, DEADLINE_MAX])
def test_a_deadline_at_its_bounds_is_taken(seconds: int) -> None:
    assert new_job(GOOD | {"deadline_seconds": seconds}, NOON).deadline_seconds == seconds


def test_work_to_adopt_is_taken_up_to_its_bound() -> None:
    def of_bytes(size: int) -> dict[str, Any]:
        names = ["片" * 400] * 49
        rest = size - len(json.dumps({"iot_id": "cam-1", "file_names": [*names, ""]}))
        return adopt("linkvisual", iot_id="cam-1", file_names=[*names, "片" * (rest // 6) + "x" * (rest % 6)])

    assert check(of_bytes(ADOPT_MAX)) == []
    assert [error.pointer for error in check(of_bytes(ADOPT_MAX + 1))] == ["/adopt"]


def test_a_body_is_taken_up_to_its_bound() -> None:
    def of_bytes(size: int) -> dict[str, Any]:
        return request(IMS, user_data={"a": "x" * (size - len(json.dumps(request(IMS, user_data={"a": ""}))))})

    assert check(of_bytes(BODY_MAX)) == []
    assert [error.pointer for error in check(of_bytes(BODY_MAX + 1))] == [""]
