"""Polyv: what is sent, and what each reply is taken for."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
from clipferry.outbound.client import AddressRefused, Headers, NoReply, NotSent, Outbound, Reply
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    LookStatus,
    Task,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.polyv.api import sign
from clipferry.vendors.polyv.vendor import Polyv
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.replies import Answering, mutated, never_misread
from tests.conformance.replies import reply as mutated_reply

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "wangsu_polyv.json").read_text())
SECRET = {"vendor": "polyv", "app_id": "testAppId01", "app_secret": "testSecret01"}
TASK_ID = "16661c08b9564c1ea6f4544ccd568e58"
URL = "https://video-dl-2.videocc.net/1b44/6/one.mp4?auth_key=1694663401-a-b-c"
NOW = datetime.now(UTC)


class Scripted:
    """An outbound that answers from a list and remembers what was sent."""

    def __init__(self, *answers: Reply | Exception) -> None:
        self.answers, self.sent, self.origin = list(answers), [], self

    def call(
        self,
        method: str,
        url: str,
        *,
        hosts: Any,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        operation: str = "",
    ):
        form = {k: v[0] for k, v in parse_qs(data or "").items()}
        self.sent.append((method, url, {**(params or {}), **form}))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, Headers([(k.replace("_", "-"), v) for k, v in headers.items()]), content)


def ok(data: Any) -> Reply:
    return reply({"requestId": "r1", "code": 200, "status": "success", "error": None, "data": data})


def refusal(code: int, error: int, desc: str = "no", status: int = 200, **headers: str) -> Reply:
    body = {"requestId": "r1", "code": code, "status": "error", "error": {"code": error, "desc": desc}, "data": None}
    return reply(body, status, **headers)


def item(vid: str, status: str, url: str | None = None, success: datetime | None = None) -> dict[str, Any]:
    millis = int(success.timestamp() * 1000) if success else None
    return {"vid": vid, "url": url, "status": status, "createTime": 1694663401000, "successTime": millis}


def polyv(*answers: Reply | Exception) -> tuple[Polyv, Scripted]:
    outbound = Scripted(*answers)
    return Polyv(Account("polyv", SECRET), outbound), outbound


def requested(*vids: str, elapsed: float = 30.0, files: tuple[KnownFile, ...] = (), **request: Any) -> Task:
    return Task("0" * 32, {"vids": list(vids), **request}, None, {"task_id": TASK_ID}, NOW, elapsed, files)


def adopted(elapsed: float = 0.0, files: tuple[KnownFile, ...] = ()) -> Task:
    return Task("0" * 32, None, {"task_id": TASK_ID}, {"task_id": TASK_ID}, NOW, elapsed, files)


def known(vid: str, **detail: Any) -> KnownFile:
    return KnownFile(vid, f"{vid}.mp4", settled=False, ready=True, detail=detail)


# --- the signature ---


@pytest.mark.parametrize(
    ("params", "secret", "vector"),
    [
        (
            {
                "ts": "1552447784505",
                "userId": "e6b23c6f51",
                "videoId": "e6b23c6f51c4b1cb9f0302a92ed42440_e",
                "viewerId": "abcd1234",
                "viewerIp": "127.0.0.1",
            },
            "abc",
            "polyv_md5_doc_example_secret_abc",
        ),
        (
            {"appId": "testAppId01", "taskId": TASK_ID, "timestamp": "1700000000000"},
            "testSecret01",
            "polyv_md5_get",
        ),
        (
            {
                "appId": "testAppId01",
                "expireDays": "1",
                "timestamp": "1700000000000",
                "vids": "1b448be32370f4822ac40fd926112a66_1,1b448be32305bb29879b1eb06abd9fa1_1",
            },
            "testSecret01",
            "polyv_md5_create",
        ),
    ],
)
def test_signature_equals_the_published_one(params, secret, vector):
    assert sign(params, secret) == VECTORS[vector][1]


def test_empty_values_and_the_signature_itself_are_not_signed():
    assert sign({"a": "1", "b": "", "sign": "X"}, "s") == sign({"a": "1"}, "s")


def test_the_secret_is_never_sent():
    client, outbound = polyv(ok({"taskId": TASK_ID}))
    client.trigger(requested("v1"))
    assert SECRET["app_secret"] not in json.dumps(outbound.sent)


# --- starting and adopting ---


def test_create_sends_each_vid_once_and_returns_the_task_id():
    client, outbound = polyv(ok({"taskId": TASK_ID}))
    submitted = client.trigger(requested("v1", "v2", "v1", expire_days=7))
    (method, url, sent) = outbound.sent[0]
    assert (method, url) == ("POST", "https://api.polyv.net/v3/video/source-file-task/create")
    assert (sent["vids"], sent["expireDays"], sent["appId"]) == ("v1,v2", "7", "testAppId01")
    assert submitted.refs == {"task_id": TASK_ID}
    assert submitted.complete


def test_a_retry_asks_for_what_is_not_settled_only():
    client, outbound = polyv(ok({"taskId": TASK_ID}))
    stored = KnownFile("v1", "v1.mp4", settled=True, ready=False)
    client.trigger(requested("v1", "v2", files=(stored,)))
    assert outbound.sent[0][2]["vids"] == "v2"


def test_sources_stay_three_days_when_the_user_did_not_say():
    client, outbound = polyv(ok({"taskId": TASK_ID}))
    client.trigger(requested("v1"))
    assert outbound.sent[0][2]["expireDays"] == "3"


def test_a_task_without_an_id_is_no_task():
    client, _ = polyv(ok({}))
    with pytest.raises(VendorUnavailable) as caught:
        client.trigger(requested("v1"))
    assert caught.value.reached


def test_a_lost_create_may_be_repeated():
    client, outbound = polyv()
    assert client.find(requested("v1")) is None
    assert outbound.sent == []


def test_adopting_costs_no_call():
    client, outbound = polyv()
    assert client.adopt(adopted()).refs == {"task_id": TASK_ID}
    assert outbound.sent == []


def test_a_task_cannot_be_stopped():
    client, _ = polyv()
    assert client.abort(requested("v1")) is False


@pytest.mark.parametrize(
    "request_",
    [
        {"vids": []},
        {"vids": [f"v{n}" for n in range(101)]},
        {"vids": ["v1"], "expire_days": 0},
        {"vids": ["v1"], "expire_days": 8},
        {"vids": ["a,b"]},
        {"vids": ["v1"], "extra": 1},
        {},
    ],
)
def test_schema_refuses(request_):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(request_, Polyv.request_schema)


@pytest.mark.parametrize("request_", [{"vids": ["v1"] * 100}, {"vids": ["v1", "v1"], "expire_days": 1}])
def test_schema_admits(request_):
    jsonschema.validate(request_, Polyv.request_schema)


def test_every_property_is_described():
    for schema in (Polyv.request_schema, Polyv.adopt_schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert all(p["description"] for p in schema["properties"].values())


def test_the_registry_knows_polyv():
    assert vendor_class("polyv") is Polyv


# --- looking ---


def test_each_video_settles_by_itself():
    client, _ = polyv(ok([item("a", "SUCCESS", URL), item("b", "PROCESS"), item("c", "INIT"), item("d", "FAIL")]))
    look = client.poll(requested("a", "b", "c", "d"))
    assert look.status is LookStatus.RUNNING
    assert look.progress == 50
    assert [(f.ref, f.status) for f in look.files] == [
        ("a", LookStatus.READY),
        ("b", LookStatus.RUNNING),
        ("c", LookStatus.RUNNING),
        ("d", LookStatus.FAILED),
    ]
    assert look.files[0].name == "a.mp4"
    assert look.files[3].code == "VENDOR_FILE_FAILED"


def test_done_when_every_video_succeeded_or_failed():
    client, _ = polyv(ok([item("a", "SUCCESS", URL), item("b", "FAIL")]))
    assert client.poll(requested("a", "b")).status is LookStatus.READY


def test_success_without_url_keeps_waiting():
    client, _ = polyv(ok([item("a", "SUCCESS", None, NOW)]))
    look = client.poll(requested("a"))
    assert (look.status, look.files[0].status) == (LookStatus.RUNNING, LookStatus.RUNNING)


@pytest.mark.parametrize("url", ["", " ", "null", "None", "-", {}, [], False])
def test_success_with_something_that_stands_for_no_url_keeps_waiting(url):
    client, _ = polyv(ok([item("a", "SUCCESS", url)]))
    assert client.poll(requested("a")).files[0].status is LookStatus.RUNNING


@pytest.mark.parametrize("url", ["/relative.mp4", "ftp://host/x", "https://", "http://[", "https://a b/c", 7, {"u": 1}])
def test_what_cannot_be_a_url_fails_the_video_by_name(url):
    client, _ = polyv(*[ok([item("a", "SUCCESS", url)])] * 2)
    (file,) = client.poll(requested("a")).files
    assert (file.status, file.code, "of a cannot" in file.message) == (LookStatus.FAILED, "FILE_URL_INVALID", True)
    with pytest.raises(VendorRefused) as refused:
        client.locate(requested("a"), KnownFile("a", "a", False, True))
    assert refused.value.kind == "FILE_URL_INVALID"


def test_a_url_with_characters_that_are_not_encoded_is_ready_and_encoded():
    client, _ = polyv(*[ok([item("a", "SUCCESS", "//dl.videocc.net/u/录像 100%.mp4?auth_key=1-a%2Fb")])] * 2)
    (file,) = client.poll(requested("a")).files
    assert (file.status, file.name) == (LookStatus.READY, "a.mp4")
    remote = client.locate(requested("a"), KnownFile("a", "a", False, True))
    assert remote.url == "https://dl.videocc.net/u/%E5%BD%95%E5%83%8F%20100%25.mp4?auth_key=1-a%2Fb"


def test_an_unknown_status_is_said_to_be_unknown():
    client, _ = polyv(
        ok([item("a", "THAWING"), item("b", "SUCCESS", URL)]), ok([item("a", "THAWING"), item("b", "INIT")])
    )
    assert client.poll(requested("a", "b")).status is LookStatus.UNKNOWN
    assert client.poll(requested("a", "b")).status is LookStatus.RUNNING


def test_a_video_listed_twice_is_one_file():
    client, _ = polyv(ok([item("a", "SUCCESS", URL), item("a", "PROCESS")]))
    look = client.poll(requested("a", "a"))
    assert [(f.ref, f.status) for f in look.files] == [("a", LookStatus.READY)]


def test_a_video_that_the_task_does_not_list_is_waited_for_then_failed():
    client, _ = polyv(ok([item("a", "SUCCESS", URL)]), ok([item("a", "SUCCESS", URL)]))
    assert client.poll(requested("a", "b", elapsed=599)).files[1].status is LookStatus.RUNNING
    look = client.poll(requested("a", "b", elapsed=601))
    assert look.status is LookStatus.READY
    assert look.files[1].code == "VENDOR_FILE_MISSING"


def test_numbers_may_be_strings_and_keys_may_be_missing():
    body = {"code": "200", "status": "success", "data": [{"vid": "a", "status": "success", "url": URL}]}
    client, _ = polyv(reply(body))
    assert client.poll(requested("a")).files[0].status is LookStatus.READY


# --- tasks that are not there ---


def test_an_unknown_adopted_task_is_named():
    client, _ = polyv(refusal(400, 2001, "task not exist"))
    with pytest.raises(VendorRefused) as caught:
        client.poll(adopted())
    assert caught.value.kind == "VENDOR_TASK_NOT_FOUND"
    assert TASK_ID in caught.value.message
    assert caught.value.request_id == "r1"


@pytest.mark.parametrize("answer", [ok([]), ok(None), refusal(400, 2001)])
def test_a_task_just_created_may_be_unknown_for_a_while(answer):
    client, _ = polyv(answer, answer)
    look = client.poll(requested("a", elapsed=59))
    assert (look.status, list(look.files)) == (LookStatus.RUNNING, [])
    with pytest.raises(VendorRefused) as caught:
        client.poll(requested("a", elapsed=61))
    assert caught.value.kind == "VENDOR_TASK_NOT_FOUND"


def test_an_empty_list_for_an_adopted_task_is_final_after_the_grace():
    client, _ = polyv(ok([]), ok([]))
    assert client.poll(adopted(elapsed=5)).status is LookStatus.RUNNING
    with pytest.raises(VendorRefused):
        client.poll(adopted(elapsed=61))


def test_an_empty_list_for_a_task_seen_before_is_a_bad_reply():
    client, _ = polyv(ok([]))
    with pytest.raises(VendorUnavailable):
        client.poll(requested("a", elapsed=3600, files=(known("a"),)))


# --- where a file is ---


def test_the_url_is_good_for_a_day_at_most():
    client, _ = polyv(ok([item("a", "SUCCESS", URL, NOW)]))
    before = datetime.now(UTC)
    remote = client.locate(requested("a", expire_days=7), known("a"))
    assert remote.url == URL
    assert before <= remote.expires_at - timedelta(hours=24) <= datetime.now(UTC)


def test_the_url_is_not_good_for_longer_than_the_source():
    success = NOW - timedelta(hours=20)
    client, _ = polyv(ok([item("a", "SUCCESS", URL, success)]))
    remote = client.locate(requested("a", expire_days=1), known("a"))
    assert abs(remote.expires_at - success - timedelta(days=1)) < timedelta(seconds=1)


@pytest.mark.parametrize("listed", [[item("a", "PROCESS")], [item("a", "SUCCESS", None)], [item("b", "INIT")]])
def test_a_file_that_is_not_there_at_the_moment_has_no_place(listed):
    client, _ = polyv(ok(listed))
    assert client.locate(requested("a"), known("a")) is None


def test_after_its_days_a_source_without_url_needs_a_new_task():
    success = NOW - timedelta(days=2)
    client, _ = polyv(ok([item("a", "SUCCESS", None, success)]))
    with pytest.raises(VendorRefused) as caught:
        client.locate(requested("a", expire_days=1), known("a"))
    assert caught.value.kind == "SOURCE_EXPIRED"
    assert "retry this job to create one" in caught.value.message


def test_expiry_is_remembered_from_the_look_that_saw_the_success():
    client, _ = polyv(ok([item("a", "FAIL")]))
    succeeded = (NOW - timedelta(days=8)).isoformat()
    with pytest.raises(VendorRefused) as caught:
        client.locate(requested("a", expire_days=7), known("a", succeeded_at=succeeded))
    assert caught.value.kind == "SOURCE_EXPIRED"


def test_a_look_fails_a_source_that_expired_unfetched():
    client, _ = polyv(ok([item("a", "SUCCESS", None, NOW - timedelta(days=8))]))
    look = client.poll(adopted())
    assert (look.status, look.files[0].code) == (LookStatus.READY, "SOURCE_EXPIRED")
    assert "start a job that requests this video" in look.files[0].message


# --- errors ---


@pytest.mark.parametrize("code", [101, 102, 103, 104, 105])
@pytest.mark.parametrize("body_code", [400, 403])
def test_account_errors_are_auth_failures_whatever_the_http_status(code, body_code):
    client, _ = polyv(refusal(body_code, code, "denied", status=body_code))
    with pytest.raises(VendorAuthFailed) as caught:
        client.trigger(requested("v1"))
    assert (caught.value.code, caught.value.request_id) == (str(code), "r1")


def test_an_invalid_vid_is_refused_in_the_vendors_words():
    client, _ = polyv(refusal(400, 2000, "invalid vid"))
    with pytest.raises(VendorRefused, match="invalid vid") as caught:
        client.trigger(requested("v1"))
    assert caught.value.code == "2000"


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"<html>502</html>", 502),
        reply(b"", 200),
        reply(b'{"code":20', 200),
        reply([1], 200),
        reply({}, 200),
        refusal(500, 500),
        reply(b"<html></html>", 200),
        reply(b"[" * 100_000, 200),
        reply({"code": 200}, 200),
    ],
)
def test_garbage_and_server_trouble_are_tried_again(answer):
    client, _ = polyv(answer)
    with pytest.raises(VendorUnavailable) as caught:
        client.poll(requested("a"))
    assert caught.value.reached


@pytest.mark.parametrize(("trouble", "reached"), [(NotSent("refused"), False), (NoReply("timed out"), True)])
def test_network_trouble_says_whether_it_reached_polyv(trouble, reached):
    client, _ = polyv(trouble)
    with pytest.raises(VendorUnavailable) as caught:
        client.trigger(requested("v1"))
    assert caught.value.reached is reached


def test_an_endpoint_that_is_no_url_is_refused_for_good():
    client = Polyv(Account("polyv", {**SECRET, "endpoint": "http://[::1"}), Outbound(allow_private=True))
    with pytest.raises(VendorRefused) as caught:
        client.trigger(requested("v1"))
    assert caught.value.kind == "ADDRESS_REFUSED"


def test_a_refused_address_is_refused_for_good():
    client, _ = polyv(AddressRefused("refused 10.0.0.1"))
    with pytest.raises(VendorRefused) as caught:
        client.trigger(requested("v1"))
    assert caught.value.kind == "ADDRESS_REFUSED"


@pytest.mark.parametrize(
    "answer",
    [reply(b"Forbidden", 403), reply(b"<html>", 429), refusal(429, 429), refusal(403, 403, "Too many requests")],
)
def test_the_block_is_respected_for_five_minutes(answer):
    client, _ = polyv(answer)
    with pytest.raises(VendorThrottled) as caught:
        client.poll(requested("a"))
    assert caught.value.retry_after == 300


def test_the_vendors_own_hint_goes_before_the_five_minutes():
    client, _ = polyv(reply(b"", 429, Retry_After="17"))
    with pytest.raises(VendorThrottled) as caught:
        client.poll(requested("a"))
    assert caught.value.retry_after == 17


def test_a_connection_refused_while_blocked_is_the_block():
    client, _ = polyv(reply(b"Forbidden", 403), NotSent("connection refused"))
    for _ in range(2):
        with pytest.raises(VendorThrottled) as caught:
            client.poll(requested("a"))
        assert caught.value.retry_after == 300


def test_a_wrong_clock_is_learned_from_the_reply_and_tried_once_more():
    theirs = datetime.now(UTC) + timedelta(minutes=10)
    date = format_datetime(theirs, usegmt=True)
    client, outbound = polyv(refusal(400, 100, "invalid timestamp", Date=date), ok({"taskId": TASK_ID}))
    assert client.trigger(requested("v1")).refs == {"task_id": TASK_ID}
    first, second = (int(sent[2]["timestamp"]) / 1000 for sent in outbound.sent)
    assert abs(first - time.time()) < 5
    assert abs(second - theirs.timestamp()) < 5
    assert outbound.sent[0][2]["sign"] != outbound.sent[1][2]["sign"]


def test_a_clock_that_cannot_be_learned_proves_nothing_about_an_earlier_copy_of_the_call():
    client, outbound = polyv(refusal(400, 100))
    with pytest.raises(VendorUnavailable) as caught:
        client.trigger(requested("v1"))
    assert caught.value.reached
    assert len(outbound.sent) == 1


# --- anything at all ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([URL, "SUCCESS"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ITEMS = st.fixed_dictionaries(
    {
        "vid": st.sampled_from(["a", "b"]) | JSON,
        "status": st.sampled_from(["INIT", "PROCESS", "SUCCESS", "FAIL", "success", "ODD", None]) | JSON,
        "url": st.sampled_from([URL, None, ""]) | JSON,
    },
    optional={"createTime": JSON, "successTime": st.integers(0, 2**62) | JSON},
)
ERRORS = st.fixed_dictionaries({"code": st.integers(99, 2002)}) | JSON
BODIES = st.fixed_dictionaries(
    {"code": st.sampled_from([200, "200", 400, 403, 500]) | JSON, "data": st.lists(ITEMS | JSON, max_size=4) | JSON},
    optional={"status": JSON, "error": ERRORS, "requestId": JSON},
)


class Probe(Scripted):
    """Every download is denied, so that an expired source is one."""

    def stream(self, url: str, **_: Any):
        raise NoReply("nobody there")


@settings(max_examples=400, deadline=None)
@given(body=BODIES | JSON, status=st.sampled_from([200, 400, 403, 404, 429, 500]), elapsed=st.sampled_from([0.0, 9e5]))
def test_no_reply_whatever_breaks_it_or_is_ready_without_a_url(body, status, elapsed):
    client = Polyv(Account("polyv", SECRET), Probe(*[reply(json.dumps(body).encode(), status)] * 20))
    with suppress(VendorError):
        client.trigger(requested("a"))
    for task in (requested("a", "b", elapsed=elapsed), adopted(elapsed)):
        with suppress(VendorError):
            for file in client.poll(task).files:
                if file.status is LookStatus.READY:
                    remote = client.locate(task, known(file.ref, **file.detail))
                    assert remote.url.startswith(("http://", "https://"))


SAMPLES = [
    {"requestId": "r1", "code": 200, "status": "success", "error": None, "data": {"taskId": TASK_ID}},
    {
        "requestId": "r1",
        "code": 200,
        "status": "success",
        "error": None,
        "data": [
            item("a", "SUCCESS", URL, NOW),
            item("b", "PROCESS"),
            item("c", "SUCCESS", URL, NOW - timedelta(days=30)),
        ],
    },
    {"requestId": "r1", "code": 200, "status": "success", "error": None, "data": [item("a", "FAIL"), item("b", "ODD")]},
    {"requestId": "r1", "code": 403, "status": "error", "error": {"code": 104, "desc": "invalid signature"}},
    {"requestId": "r1", "code": 400, "status": "error", "error": {"code": 100, "desc": "invalid timestamp"}},
]


@settings(max_examples=400, deadline=None)
@given(content=mutated(SAMPLES), status=st.sampled_from([200, 200, 400, 403, 500]), elapsed=st.sampled_from([0.0, 9e5]))
def test_well_formed_replies_with_anything_changed_are_never_misread(content, status, elapsed):
    client = Polyv(Account("polyv", SECRET), Answering(lambda _: mutated_reply(content, status)))
    never_misread(client, [requested("a", "b", elapsed=elapsed), adopted(elapsed)])


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=60), status=st.integers(200, 599))
def test_no_bytes_whatever_break_it(raw, status):
    client, _ = polyv(reply(raw, status))
    with pytest.raises(VendorError):
        client.poll(requested("a"))
