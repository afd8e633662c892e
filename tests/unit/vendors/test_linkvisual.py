"""LinkVisual against its simulator: recordings of every length and kind, failures, lost replies, odd replies."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jsonschema
import pytest
import requests
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    LookStatus,
    Task,
    TriggerUncertain,
    VendorAuthFailed,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.linkvisual.vendor import LinkVisual
from hypothesis import given, settings
from hypothesis import strategies as st

from local.simulators.base import Fault
from local.simulators.linkvisual import LinkVisualSimulator
from tests.conformance.replies import Answering, mutated, never_misread, reply
from tests.conformance.walk import Walk

READY, RUNNING, FAILED, EMPTY, UNKNOWN = (
    LookStatus.READY,
    LookStatus.RUNNING,
    LookStatus.FAILED,
    LookStatus.EMPTY,
    LookStatus.UNKNOWN,
)


@pytest.fixture
def sim():
    with LinkVisualSimulator(media="small") as simulator:
        yield simulator


def recording(sim: LinkVisualSimulator, seconds: int = 60, camera: str = "cam-1", **request: Any) -> Walk:
    return Walk(LinkVisual, sim, request={"iot_id": camera, "record_duration": seconds, **request})


def adopting(sim: LinkVisualSimulator, camera: str = "cam-1", **adopt: Any) -> Walk:
    return Walk(LinkVisual, sim, adopt={"iot_id": camera, **adopt})


def recorded(sim: LinkVisualSimulator, seconds: int = 60, camera: str = "cam-1") -> Walk:
    """A walk whose recording was made and uploaded."""
    walk = recording(sim, seconds, camera)
    walk.start()
    walk.wait(seconds + 20)
    return walk


def downloaded(walk: Walk, ref: str) -> str:
    remote = walk.locate(ref)
    assert remote is not None
    return hashlib.sha256(requests.get(remote.url, timeout=10).content).hexdigest()


# --- what may be asked for ---


@pytest.mark.parametrize(
    "request_",
    [
        {"iot_id": "cam", "record_duration": 10},
        {"iot_id": "cam", "record_duration": 7200, "pre_record_duration": 10, "stream_type": 1, "iot_instance_id": "i"},
        {"product_key": "p", "device_name": "d", "record_duration": 60, "pre_record_duration": 0, "stream_type": 0},
    ],
)
def test_every_parameter_of_the_vendors_page_is_accepted(request_):
    jsonschema.Draft202012Validator(LinkVisual.request_schema).validate(request_)


@pytest.mark.parametrize(
    "request_",
    [
        {"iot_id": "cam", "record_duration": 9},
        {"iot_id": "cam", "record_duration": 7201},
        {"iot_id": "cam", "record_duration": "abc"},
        {"iot_id": "cam"},
        {"record_duration": 60},
        {"iot_id": "cam", "product_key": "p", "device_name": "d", "record_duration": 60},
        {"product_key": "p", "record_duration": 60},
        {"device_name": "d", "record_duration": 60},
        {"iot_id": "", "record_duration": 60},
        {"iot_id": "cam", "record_duration": 60, "pre_record_duration": 11},
        {"iot_id": "cam", "record_duration": 60, "stream_type": 2},
        {"iot_id": "cam", "record_duration": 60, "colour": "red"},
    ],
)
def test_requests_outside_the_vendors_limits_are_invalid(request_):
    assert not jsonschema.Draft202012Validator(LinkVisual.request_schema).is_valid(request_)


@pytest.mark.parametrize(
    ("adopt", "valid"),
    [
        ({"iot_id": "cam", "record_id": "r"}, True),
        ({"product_key": "p", "device_name": "d", "file_names": ["a/b"]}, True),
        ({"iot_id": "cam"}, False),
        ({"iot_id": "cam", "record_id": "r", "file_names": ["a"]}, False),
        ({"iot_id": "cam", "file_names": []}, False),
        ({"record_id": "r"}, False),
    ],
)
def test_an_adoption_names_a_camera_and_either_a_record_or_files(adopt, valid):
    assert jsonschema.Draft202012Validator(LinkVisual.adopt_schema).is_valid(adopt) is valid


def test_every_field_is_described_and_alternatives_say_what_is_wrong():
    for schema in (LinkVisual.request_schema, LinkVisual.adopt_schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert all(field["description"] for field in schema["properties"].values())
        assert all(rule["x-problem"] for rule in schema["allOf"])


def test_it_is_registered():
    assert vendor_class("linkvisual") is LinkVisual


# --- a recording ---


def test_a_recording_is_ready_when_its_mp4_is_made(sim):
    walk = recording(sim)
    submitted = walk.start()
    assert submitted.first_look == 65
    assert submitted.refs == {"record_id": sim.tasks[0]["record_id"]}
    assert walk.look(30).status is RUNNING
    listed = walk.look(40)
    assert (listed.status, [f.status for f in listed.files]) == (RUNNING, [RUNNING])
    ready = walk.look(10)
    assert (ready.status, ready.progress, ready.code) == (READY, 100, None)
    (file,) = ready.files
    assert downloaded(walk, file.ref) == sim.expected[file.ref]["sha256"]


def test_the_first_look_leaves_out_what_was_recorded_before_the_trigger(sim):
    assert recording(sim, 60, pre_record_duration=10).start().first_look == 55


def test_the_whole_request_reaches_the_vendor(sim):
    request = {
        "product_key": "p",
        "device_name": "d",
        "record_duration": 100,
        "pre_record_duration": 4,
        "stream_type": 1,
    }
    Walk(LinkVisual, sim, request=request).start()
    (made,) = sim.recordings.values()
    assert (made.device, made.begin, made.end, made.stream_type) == ("d@p", -4, 96, 1)


def test_seventy_minutes_are_three_files_each_ready_in_its_time(sim):
    walk = recording(sim, 4200)
    walk.start()
    seen = []
    while not seen or seen[-1][0] is RUNNING:
        look = walk.look(100)
        seen.append((look.status, sum(f.status is READY for f in look.files)))
    assert [ready for _, ready in seen] == sorted(ready for _, ready in seen)
    assert {(RUNNING, 1), (RUNNING, 2)} <= set(seen)
    assert seen[-1] == (READY, 3)
    hashes = {downloaded(walk, file.ref) for file in walk.task.files}
    assert hashes == {e["sha256"] for e in sim.expected.values()}
    assert len(hashes) == 3


def test_a_long_recording_is_looked_at_whenever_one_of_its_files_can_be_there(sim):
    walk = recording(sim, 4200, pre_record_duration=10)
    assert walk.start().first_look == 1795
    assert walk.look(1795 + 10).retry_after is None  # its MP4 is still being made
    look = walk.look(30)
    assert look.retry_after == pytest.approx(3595 - 1835, abs=1)
    assert [file.status for file in look.files] == [LookStatus.READY]
    assert walk.look(look.retry_after + 10).retry_after is None
    assert walk.look(30).retry_after == pytest.approx(4195 - 3635, abs=1)


def test_a_look_costs_one_listing_and_one_question_for_each_file_still_being_made(sim):
    walk = recorded(sim, 4200)
    walk.look()
    assert sim.calls == {"TriggerRecord": 1, "QueryRecordByRecordId": 1, "QueryRecordDownloadUrl": 3}
    walk.look(10)
    walk.look(10)
    assert sim.calls == {"TriggerRecord": 1, "QueryRecordByRecordId": 1, "QueryRecordDownloadUrl": 6}


def test_the_accounts_instance_is_used_unless_the_request_names_another():
    with LinkVisualSimulator(iot_instance_id="iot-1") as sim:
        recording(sim).start()
        with pytest.raises(VendorRefused, match="tenant auth error"):
            recording(sim, iot_instance_id="iot-2").start()


@pytest.mark.parametrize(
    "quirk",
    [
        {"code_as_integer": True},
        {"numbers_as_strings": True},
        {"status_zero_early": True},
        {"null_url": True},
        {"before_upload": "error"},
        {"by_record_id": False},
        {"zone_hours": 8.0, "by_record_id": False},
        {"throttling_status": 429},
        {"signature_status": 403},
        {"security_token": "temporary"},
    ],
)
def test_a_recording_succeeds_under_every_reading_of_the_vendors_pages(quirk):
    with LinkVisualSimulator(media="small", **quirk) as sim:
        walk = recording(sim, 2000)
        walk.start()
        look = walk.look_until_settled(every=60)
        assert (look.status, len(look.files), look.code) == (READY, 2, None)
        assert {downloaded(walk, f.ref) for f in look.files} == {e["sha256"] for e in sim.expected.values()}


def test_an_account_may_name_the_zone_of_the_vendors_times():
    with LinkVisualSimulator(media="small", zone_hours=-3.5, by_record_id=False) as sim:
        request = {"iot_id": "cam", "record_duration": 60}
        walk = Walk(LinkVisual, sim, request=request, timezone_offset="-03:30")
        walk.start()
        assert walk.look_until_settled().status is READY
        broken = Walk(LinkVisual, sim, request=request, timezone_offset="Shanghai")
        with pytest.raises(VendorRefused) as raised:
            broken.start()
        assert raised.value.kind == "ACCOUNT_MALFORMED"


# --- ready is proven ---


def download_reply(data: Any) -> LinkVisual:
    answers = {
        "QueryRecordByRecordId": {"Success": True, "Code": "200", "Data": [{"FileName": "f/1"}]},
        "QueryRecordDownloadUrl": {"Success": True, "Code": "200", "Data": data},
    }
    outbound = Answering(lambda asked: reply(json.dumps(answers[asked.headers["x-acs-action"]]).encode()))
    return LinkVisual(Account("a", {"access_key_id": "k", "access_key_secret": "s"}), outbound)  # type: ignore[arg-type]


def a_task(**changes: Any) -> Task:
    given = {
        "key": "0" * 32,
        "request": {"iot_id": "cam", "record_duration": 60},
        "adopt": None,
        "refs": {"record_id": "r-1"},
        "triggered_at": datetime.now(UTC),
        "elapsed": 100.0,
    }
    return Task(**{**given, **changes})


URL = "https://b.oss-cn-shanghai.aliyuncs.com/transcode%2Fx.mp4?OSSAccessKeyId=k&Expires=1893456000&Signature=s"


@pytest.mark.parametrize(
    ("data", "file", "task"),
    [
        ({"Status": 0, "Progress": 100, "Url": URL}, READY, READY),
        ({"Status": "0", "Progress": "100", "Url": URL}, READY, READY),
        ({"Status": 0, "Progress": 0, "Url": URL}, RUNNING, RUNNING),
        ({"Status": 0, "Progress": 100}, RUNNING, RUNNING),
        ({"Status": 0, "Progress": 100, "Url": ""}, RUNNING, RUNNING),
        ({"Status": 0, "Progress": 100, "Url": "null"}, RUNNING, RUNNING),
        ({"Status": 0, "Progress": 100, "Url": "transcode/x.mp4"}, FAILED, READY),
        ({"Status": 0, "Progress": 40, "Url": "transcode/x.mp4"}, RUNNING, RUNNING),
        ({"Status": 1, "Progress": 100, "Url": URL}, RUNNING, RUNNING),
        ({"Status": 1, "Progress": 40}, RUNNING, RUNNING),
        ({"Status": -1, "Progress": 40}, FAILED, READY),
        ({"Status": "-1"}, FAILED, READY),
        ({"Status": 7, "Progress": 100, "Url": URL}, UNKNOWN, UNKNOWN),
        (None, UNKNOWN, UNKNOWN),
    ],
)
def test_a_file_is_ready_only_at_status_0_and_progress_100_and_with_a_url(data, file, task):
    look = download_reply(data).poll(a_task())
    assert (look.files[0].status, look.status) == (file, task)


def test_what_cannot_be_a_url_fails_the_file_by_name():
    data = {"Status": 0, "Progress": 100, "Url": "transcode/x.mp4"}
    (file,) = download_reply(data).poll(a_task()).files
    assert (file.code, file.name in file.message) == ("FILE_URL_INVALID", True)
    with pytest.raises(VendorRefused) as refused:
        download_reply(data).locate(a_task(), KnownFile("f/1", "f/1", False, True))
    assert refused.value.kind == "FILE_URL_INVALID"


def test_a_url_is_located_afresh_with_its_expiry():
    remote = download_reply({"Status": 0, "Progress": 100, "Url": URL}).locate(
        a_task(), KnownFile("f/1", "f/1", False, True)
    )
    assert remote is not None
    assert (remote.url, remote.expires_at) == (URL, datetime(2030, 1, 1, tzinfo=UTC))
    assert "Signature" not in repr(remote)


def test_a_file_that_is_no_longer_there_is_not_located():
    assert download_reply({"Status": 1, "Progress": 3}).locate(a_task(), KnownFile("f/1", "f/1", False, True)) is None


def test_a_file_whose_mp4_failed_since_is_a_refusal():
    with pytest.raises(VendorRefused) as raised:
        download_reply({"Status": -1}).locate(a_task(), KnownFile("f/1", "f/1", False, True))
    assert raised.value.kind == "VENDOR_FILE_FAILED"


def test_status_minus_1_fails_that_file_alone(sim):
    walk = recording(sim, 4200, "broken-1")
    walk.start()
    assert walk.look_until_settled(every=60).status is READY
    first, second, third = walk.seen.values()
    assert [f.status for f in (first, second, third)] == [READY, FAILED, READY]
    assert (second.code, second.vendor_code) == ("VENDOR_FILE_FAILED", "-1")


# --- when it is whole ---


def test_a_recording_without_files_is_given_up_only_after_its_grace(sim):
    walk = recording(sim, 60, "empty-1")
    walk.start()
    assert walk.look(355).status is RUNNING
    look = walk.look(10)
    assert (look.status, look.code) == (EMPTY, "NO_RECORDING")


def test_a_recording_without_files_of_which_the_vendor_knows_nothing_is_no_recording():
    with LinkVisualSimulator(before_upload="error") as sim:
        walk = recording(sim, 60, "empty-1")
        walk.start()
        assert walk.look(200).status is RUNNING
        look = walk.look(200)
        assert (look.status, look.code, look.vendor_code) == (EMPTY, "NO_RECORDING", "400")


def test_fewer_files_than_expected_are_taken_after_the_grace_and_said_so(sim):
    walk = recording(sim, 4200, "short-1")
    walk.start()
    early = walk.look(4300), walk.look(10)
    assert [look.status for look in early] == [RUNNING, RUNNING]
    assert early[1].files[0].status is READY
    look = walk.look(300)
    assert (look.status, look.code) == (READY, "RECORDING_INCOMPLETE")
    assert "1 of 3" in (look.message or "")


def test_a_file_of_an_earlier_recording_of_the_job_is_asked_about_beside_those_found(sim):
    """After a retry whose reply was lost: the new recording is known by its files, and the old one's are left."""
    old = recorded(sim)
    old.look(0)
    new = recording(sim, 60)
    new.task = replace(new.task, refs={"file_names": ["of/another"]}, files=old.task.files)
    look = new.look(0)
    assert {file.ref for file in look.files} == {"of/another", *(file.ref for file in old.task.files)}


def test_a_camera_that_divides_finely_is_listed_again_however_much_was_known_before():
    with LinkVisualSimulator(file_seconds=30) as sim:
        walk = recording(sim, 600)
        walk.start()
        early = walk.look(200)
        assert (early.status, len(early.files)) == (RUNNING, 6)
        walk.look(20)
        look = walk.look(500)
        assert len(sim.tasks) == 1
        assert len({file.ref for file in early.files} | {file.ref for file in look.files}) == 20
        assert walk.look(20).status is READY


def test_files_that_come_late_one_by_one_are_waited_for():
    with LinkVisualSimulator(file_seconds=30, upload_delay=100) as sim:
        walk = recording(sim, 600)
        walk.start()
        assert walk.look(640).status is RUNNING
        assert walk.look_until_settled(every=20).status is READY
        assert len(walk.task.files) == 20


def test_what_a_finely_divided_recording_lacks_is_told_in_seconds():
    with LinkVisualSimulator(file_seconds=30) as sim:
        walk = recording(sim, 600)
        walk.start()
        (made,) = sim.recordings.values()
        del made.files[12:]
        assert walk.look(700).status is RUNNING
        look = walk.look(210)
        assert (look.status, look.code) == (READY, "RECORDING_INCOMPLETE")
        assert "12 files cover 360 of 600 seconds" in (look.message or "")


def test_enough_files_that_cover_clearly_less_than_asked_for_settle_first(sim):
    walk = recording(sim, 1000)
    walk.start()
    walk.wait(400)
    assert walk.vendor.abort(walk.task) is True
    walk.wait(10)
    seen = [walk.look(10).status for _ in range(2)]
    assert seen == [RUNNING, RUNNING]
    assert walk.look(700).status is READY


def test_stopping_a_recording_shortens_it(sim):
    walk = recording(sim, 3600)
    walk.start()
    walk.wait(100)
    assert walk.vendor.abort(walk.task) is True
    (made,) = sim.recordings.values()
    assert 99 < made.end < 101


def test_a_recording_of_someone_elses_is_not_stopped(sim):
    walk = recorded(sim)
    other = adopting(sim, record_id=walk.task.refs["record_id"])
    other.start()
    assert other.vendor.abort(other.task) is False
    assert sim.calls["StopTriggeredRecord"] == 0


# --- adopting ---


def test_a_record_id_is_adopted_without_a_call(sim):
    made = recorded(sim, 4200)
    calls = sum(sim.calls.values())
    walk = adopting(sim, record_id=made.task.refs["record_id"])
    walk.start()
    assert sum(sim.calls.values()) == calls
    look = walk.look_until_settled()
    assert (look.status, len(look.files)) == (READY, 3)
    assert len(sim.tasks) == 1


def test_file_names_are_adopted_and_nothing_else(sim):
    made = recorded(sim, 4200)
    names = [file.name for file in sim.recordings[made.task.refs["record_id"]].files]
    walk = adopting(sim, file_names=[names[2], names[0], names[2]])
    walk.start()
    look = walk.look_until_settled()
    assert [file.ref for file in look.files] == [names[2], names[0]]
    assert sim.calls["QueryRecordByRecordId"] == 0


def test_an_adopted_recording_still_going_on_is_waited_for(sim):
    made = recording(sim, 4200)
    made.start()
    made.wait(1900)
    walk = adopting(sim, record_id=made.task.refs["record_id"])
    walk.start()
    assert walk.look(0).status is RUNNING
    early = walk.look(100)
    assert (early.status, [f.status for f in early.files]) == (RUNNING, [READY])
    look = walk.look_until_settled(every=60)
    assert (look.status, len(look.files)) == (READY, 3)


@pytest.mark.parametrize("adopt", [{"record_id": "nobody-knows"}, {"file_names": ["nobody-knows"]}])
def test_an_id_that_the_vendor_does_not_know_is_named_after_a_grace(sim, adopt):
    walk = adopting(sim, **adopt)
    walk.start()
    assert walk.look(30).status is RUNNING
    look = walk.look(40)
    assert (look.status, look.code) == (FAILED, "VENDOR_TASK_NOT_FOUND")
    assert "nobody-knows" in (look.message or "")


def test_one_unknown_name_among_known_ones_fails_alone(sim):
    made = recorded(sim)
    name = sim.recordings[made.task.refs["record_id"]].files[0].name
    walk = adopting(sim, file_names=[name, "nobody-knows"])
    walk.start()
    look = walk.look_until_settled()
    assert [(f.status, f.code) for f in look.files] == [(READY, None), (FAILED, "VENDOR_TASK_NOT_FOUND")]


def test_a_record_id_cannot_be_adopted_where_records_cannot_be_listed():
    with LinkVisualSimulator(by_record_id=False) as sim:
        walk = adopting(sim, record_id="r-1")
        walk.start()
        look = walk.look(100)
        assert (look.status, look.code) == (FAILED, "VENDOR_REFUSED")
        assert "file_names" in (look.message or "")


# --- the vendor's no ---


@pytest.mark.parametrize(
    ("camera", "kind", "words"),
    [("offline-1", "DEVICE_OFFLINE", "device status error"), ("foreign-1", "VENDOR_REFUSED", "tenant auth error")],
)
def test_a_refused_trigger_carries_the_vendors_code_and_text(sim, camera, kind, words):
    with pytest.raises(VendorRefused, match=words) as raised:
        recording(sim, camera=camera).start()
    assert (raised.value.kind, raised.value.code) == (kind, "403")
    assert raised.value.request_id


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        ("403", "Device Status Error", VendorRefused),
        ("iot.vision.DeviceOffline", "", VendorRefused),
        ("403", "request forbidden.", VendorRefused),
        ("400", "RecordDuration is mandatory for this action", VendorRefused),
        ("400", "device not found", VendorRefused),
        ("403", "RAM system auth error.", VendorAuthFailed),
        ("500", "The request has failed due to a temporary failure of the server.", VendorUnavailable),
        ("503", "busy", VendorUnavailable),
        ("iot.vision.RequestTrafficControl", "Request traffic control.", VendorThrottled),
        ("429", "", VendorThrottled),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_both_failure_channels_say_the_same(sim, code, message, error, status):
    sim.fail_next("TriggerRecord", Fault("refuse", code=code, message=message, status=status))
    with pytest.raises(error) as raised:
        recording(sim).start()
    assert type(raised.value) is error
    assert raised.value.code == code
    assert not sim.tasks


def test_wrong_credentials_are_an_auth_failure(sim):
    walk = Walk(LinkVisual, sim, request={"iot_id": "c", "record_duration": 60}, access_key_secret="wrong")
    with pytest.raises(VendorAuthFailed) as raised:
        walk.start()
    assert raised.value.code == "SignatureDoesNotMatch"
    assert "wrong" not in raised.value.message
    walk = Walk(LinkVisual, sim, request={"iot_id": "c", "record_duration": 60}, access_key_id="nobody")
    with pytest.raises(VendorAuthFailed):
        walk.start()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html"),
        Fault("html", status=200),
        Fault("empty"),
        Fault("truncated"),
        Fault("status", status=500),
        Fault("status", status=503),
        Fault("reset_before"),
        Fault("reset_after"),
        Fault("body", body="[]"),
        Fault("body", body='{"Success": true}'),
    ],
)
def test_a_trigger_without_a_readable_reply_is_never_known_not_to_have_acted(sim, fault):
    sim.fail_next("TriggerRecord", fault)
    with pytest.raises(VendorUnavailable) as raised:
        recording(sim).start()
    assert raised.value.reached is True


def test_a_trigger_that_never_left_is_known_not_to_have_acted(sim):
    walk = recording(sim)
    sim.stop()
    with pytest.raises(VendorUnavailable) as raised:
        walk.start()
    assert raised.value.reached is False


@pytest.mark.parametrize("operation", ["QueryRecordByRecordId", "QueryRecordDownloadUrl"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("html"), VendorUnavailable),
        (Fault("throttle", retry_after=3), VendorThrottled),
        (Fault("refuse", code="403", message="device status error."), VendorUnavailable),
    ],
)
def test_a_look_that_fails_is_an_error_to_try_again(sim, operation, fault, error):
    walk = recorded(sim)
    sim.fail_next(operation, fault)
    with pytest.raises(error):
        walk.look()
    walk.look()
    assert walk.look(10).status is READY


def test_what_a_look_learnt_before_it_was_throttled_is_not_lost(sim):
    walk = recorded(sim, 4200)
    walk.look()
    walk.wait(10)
    name = sim.recordings[walk.task.refs["record_id"]].files[0].name
    answer = {"Success": True, "Code": "200", "Data": {"Status": 0, "Progress": 100, "Url": f"{sim.url}/x.mp4"}}
    sim.fail_next("QueryRecordDownloadUrl", Fault("body", body=json.dumps(answer)))
    sim.fail_next("QueryRecordDownloadUrl", Fault("throttle", retry_after=3))
    look = walk.look()
    assert (look.status, look.retry_after) == (RUNNING, 3)
    assert [(f.ref == name, f.status) for f in look.files] == [(True, READY), (False, RUNNING), (False, RUNNING)]


def test_a_file_the_vendor_refuses_to_make_fails_alone_with_its_words(sim):
    walk = recorded(sim, 2000)
    sim.fail_next("QueryRecordDownloadUrl", Fault("refuse", code="403", message="request forbidden."))
    assert walk.look_until_settled().status is READY
    first, second = walk.seen.values()
    assert (first.status, first.code, first.vendor_code) == (FAILED, "VENDOR_REFUSED", "403")
    assert "request forbidden" in (first.message or "")
    assert second.status is READY


# --- the lost trigger ---


def lost(sim: LinkVisualSimulator, seconds: int = 60, camera: str = "cam-1") -> Walk:
    """A walk whose trigger acted while its reply was lost."""
    walk = recording(sim, seconds, camera)
    sim.fail_next("TriggerRecord", Fault("reset_after"))
    with pytest.raises(VendorUnavailable):
        walk.start()
    return walk


def test_a_lost_trigger_is_found_once_its_recording_is_listed(sim):
    walk = lost(sim, 2000)
    with pytest.raises(TriggerUncertain) as early:
        walk.vendor.find(walk.task)
    assert early.value.look_again == pytest.approx(2005)
    walk.wait(2005)
    with pytest.raises(TriggerUncertain) as unlisted:
        walk.vendor.find(walk.task)
    assert unlisted.value.look_again == 30
    walk.wait(30)
    found = walk.vendor.find(walk.task)
    (made,) = sim.recordings.values()
    assert found is not None
    assert found.refs == {"file_names": [file.name for file in made.files]}
    assert sim.calls["TriggerRecord"] == 1


def test_a_lost_trigger_is_found_though_the_camera_divides_finely(sim):
    sim.settings.file_seconds = 30
    walk = lost(sim, 100)
    walk.wait(135)
    found = walk.vendor.find(walk.task)
    (made,) = sim.recordings.values()
    assert found is not None
    assert found.refs == {"file_names": [file.name for file in made.files]}
    assert len(made.files) == 4


def test_a_camera_that_is_offline_at_the_lookup_is_asked_about_later(sim):
    walk = lost(sim)
    walk.wait(100)
    sim.fail_next("QueryRecord", Fault("refuse", code="9201", message="device offline"))
    with pytest.raises(VendorUnavailable):
        walk.vendor.find(walk.task)
    assert walk.vendor.find(walk.task) is not None


def test_a_lost_trigger_that_recorded_nothing_stays_uncertain(sim):
    walk = lost(sim, camera="empty-1")
    walk.wait(400)
    with pytest.raises(TriggerUncertain) as raised:
        walk.vendor.find(walk.task)
    assert raised.value.look_again is None


def test_two_recordings_that_fit_are_not_guessed_between(sim):
    walk = lost(sim)
    recording(sim).start()
    walk.wait(100)
    with pytest.raises(TriggerUncertain, match="2 recordings"):
        walk.vendor.find(walk.task)


def test_recordings_of_other_times_and_lengths_are_not_taken(sim):
    recording(sim, 60).start()
    sim.clock.skew += 120  # the camera's clock goes on while the job's trigger is only now written down
    walk = lost(sim, 3000)
    walk.task = Task(**{**vars(walk.task), "triggered_at": datetime.now(UTC) + timedelta(seconds=120)})
    recording(sim, 100).start()
    walk.wait(3100)
    found = walk.vendor.find(walk.task)
    assert found is not None
    assert len(found.refs["file_names"]) == 2


def test_a_shorter_recording_of_another_job_is_not_taken_for_a_lost_one(sim):
    walk = recording(sim, 1000)
    sim.fail_next("TriggerRecord", Fault("reset_before"))
    with pytest.raises(VendorUnavailable):
        walk.start()
    recording(sim, 60).start()
    walk.wait(1400)
    with pytest.raises(TriggerUncertain, match="no recording"):
        walk.vendor.find(walk.task)


def test_searching_goes_through_every_page():
    zone = timezone(timedelta(hours=8))
    start = datetime.now(UTC).replace(microsecond=0)

    def entry(number: int) -> dict[str, str]:
        begin = start + timedelta(seconds=30 * number)
        shown = [t.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") for t in (begin, begin + timedelta(seconds=20))]
        return {"FileName": f"f{number}", "BeginTime": shown[0], "EndTime": shown[1]}

    pages = [[entry(n) for n in range(50, 100)], [entry(n) for n in range(10, 50)], []]

    def answer(asked):
        listed = pages[int(asked.params["CurrentPage"]) - 1]
        return reply(json.dumps({"Success": True, "Code": "200", "Data": {"List": listed}}).encode())

    outbound = Answering(answer)
    vendor = LinkVisual(Account("a", {"access_key_id": "k", "access_key_secret": "s"}), outbound)  # type: ignore[arg-type]
    task = a_task(
        request={"iot_id": "cam", "record_duration": 20}, refs={}, triggered_at=start + timedelta(seconds=330)
    )
    with pytest.raises(TriggerUncertain):
        vendor.find(task)
    assert [asked.params["CurrentPage"] for asked in outbound.asked] == ["1", "2"]
    sent = outbound.asked[0].params
    assert (sent["RecordType"], sent["PageSize"]) == ("2", "50")
    assert int(sent["BeginTime"]) < task.triggered_at.timestamp() < int(sent["EndTime"])


# --- any reply ---

ENVELOPE = {"RequestId": "R", "Code": "200", "Success": True, "ErrorMessage": ""}
LISTED = [
    {"FileName": "1_cam_0/a", "BeginTime": "2025-01-02 11:04:05", "EndTime": "2025-01-02 11:34:05", "VodUrl": "x"},
    {"FileName": "2_cam_0/b", "BeginTime": "2025-01-02 11:34:05", "EndTime": "2025-01-02 11:44:05"},
]
SAMPLES = {
    "TriggerRecord": [{**ENVELOPE, "Data": "fc82774fa749485bad7d719f96700000"}],
    "StopTriggeredRecord": [ENVELOPE],
    "QueryRecordByRecordId": [
        {**ENVELOPE, "Data": LISTED},
        {**ENVELOPE, "Success": False, "Code": "400", "ErrorMessage": "Record not exist."},
    ],
    "QueryRecord": [{**ENVELOPE, "Data": {"Page": 1, "PageSize": 50, "List": LISTED}}],
    "QueryRecordDownloadUrl": [
        {**ENVELOPE, "Data": {"Status": 0, "Progress": 100, "Url": URL}},
        {**ENVELOPE, "Data": {"Status": 1, "Progress": 40}},
        {**ENVELOPE, "Data": {"Status": -1, "Progress": 0}},
        {**ENVELOPE, "Success": False, "Code": "403", "ErrorMessage": "device status error."},
        {"RequestId": "R", "Code": "Throttling.User", "Message": "Request was denied.", "HostId": "h"},
    ],
}


@settings(max_examples=300, deadline=None)
@given(
    replies=st.fixed_dictionaries({action: mutated(samples) for action, samples in SAMPLES.items()}),
    status=st.sampled_from([200] * 8 + [400, 403, 500]),
    elapsed=st.sampled_from([0.0, 100.0, 5000.0, 1e6]),
)
def test_no_reply_whatever_breaks_it_or_is_ready_without_a_url(replies, status, elapsed):
    outbound = Answering(lambda asked: reply(replies[asked.headers["x-acs-action"]], status))
    vendor = LinkVisual(Account("a", {"access_key_id": "k", "access_key_secret": "s"}), outbound)  # type: ignore[arg-type]
    triggered_at = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    device = {"iot_id": "cam"}
    never_misread(
        vendor,
        [
            a_task(request={**device, "record_duration": 2400}, elapsed=elapsed, triggered_at=triggered_at),
            a_task(request=None, adopt={**device, "record_id": "r-1"}, elapsed=elapsed),
            a_task(request=None, adopt={**device, "file_names": ["a"]}, refs={"file_names": ["a"]}, elapsed=elapsed),
        ],
    )
