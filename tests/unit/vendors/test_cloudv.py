"""Cloud VoD: what is sent, and what each reply is taken for."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
from clipferry.outbound.client import AddressRefused, Headers, NoReply, NotSent, Reply
from clipferry.vendors import vendor_class
from clipferry.vendors.cloudv.look import NO_URL_GRACE, UNKNOWN_GRACE
from clipferry.vendors.cloudv.vendor import CloudV
from clipferry.vendors.contract import (
    Account,
    CallRepeated,
    KnownFile,
    Look,
    LookStatus,
    Task,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = {"vendor": "cloudv", "access_key": "testAccessKey0001", "secret_key": "testSecretKey0001"}
MEDIA = "https://video.example.com/base/"
SOURCE = "https://source.example.com/clips/a.mp4?signature=s3cr3t"
KEY = "0bf4cc34824004b1c4cb48fed63d620a"
TASK_ID = "983af870015e10001885297a00000000"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
RUNNING, READY, FAILED, UNKNOWN = LookStatus.RUNNING, LookStatus.READY, LookStatus.FAILED, LookStatus.UNKNOWN


class Scripted:
    """An outbound that answers from a list and remembers what was sent."""

    def __init__(self, *answers: Reply | Exception) -> None:
        self.answers, self.sent = list(answers), []
        self.origin = self

    def call(self, method: str, url: str, *, hosts: Any, data: bytes, headers: dict[str, str], operation: str) -> Reply:
        is_json = headers["Content-Type"].startswith("application/json")
        form = json.loads(data) if is_json else {k: v[0] for k, v in parse_qs(data.decode()).items()}
        self.sent.append((url, form, headers))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, Headers([(k.replace("_", "-"), v) for k, v in headers.items()]), content)


def ok(data: Any) -> Reply:
    return reply({"code": 200, "message": "操作成功", "data": data})


def no(code: Any, message: str = "参数错误", status: int = 200, **headers: str) -> Reply:
    return reply({"code": code, "message": message}, status, X_WS_RequestId="req-1", **headers)


def entry(clarity: Any = 1, url: str | None = "pullvideo/x/a.mp4", server_type: Any = -1, size: Any = 5384542) -> Any:
    return {"clarity": clarity, "serverType": server_type, "fileUrl": url, "fileSize": size, "bitrate": 412}


def item(pull: Any = 2, command: Any = 2, *entries: Any, url: str = SOURCE, **more: Any) -> dict[str, Any]:
    info = {"videoId": "v1", "duration": 105, "videoFileList": list(entries)} if entries else None
    return {
        "fetchUrl": url,
        "fileName": "a.mp4",
        "md5": "",
        "pullStatus": pull,
        "cmdStatus": command,
        "videoInfo": info,
        **more,
    }


def task_data(*items: Any, status: Any = 2, **more: Any) -> dict[str, Any]:
    return {
        "taskId": TASK_ID,
        "transNo": KEY,
        "timestamp": 1505803059873,
        "status": status,
        "items": list(items),
        **more,
    }


def cloudv(*answers: Reply | Exception, **secret: str) -> tuple[CloudV, Scripted]:
    outbound = Scripted(*answers)
    return CloudV(Account("cloudv", {**SECRET, "media_base_url": MEDIA, **secret}), outbound), outbound


def without_base(*answers: Reply | Exception) -> tuple[CloudV, Scripted]:
    return cloudv(*answers, media_base_url="")


def requested(*urls: str, elapsed: float = 400.0, files: tuple[KnownFile, ...] = (), **request: Any) -> Task:
    body = {"files": [{"fetch_url": url} for url in urls or (SOURCE,)], **request}
    refs = {"task_id": TASK_ID, "trans_no": KEY}
    return Task(KEY, body, None, refs, datetime.now(UTC), elapsed, files)


def adopted(**adopt: Any) -> Task:
    refs = {key: value for key, value in adopt.items() if key != "renditions"}
    return Task("f" * 32, None, adopt, refs, datetime.now(UTC), 0.0)


def look_at(data: Any, task: Task | None = None, **secret: str) -> Look:
    vendor, _ = cloudv(ok(data), **secret)
    return vendor.poll(task or requested())


# --- requests ---


def valid(schema: str, body: Any) -> bool:
    return jsonschema.Draft202012Validator(getattr(CloudV, schema)).is_valid(body)


@pytest.mark.parametrize(
    "body",
    [
        {"files": [{"fetch_url": "http://x.example/a.mp4"}]},
        {"files": [{"fetch_url": "HTTPS://x/a", "file_name": "../ü🎬\0.", "md5": MD5.upper()}] * 50},
        {"files": [{"fetch_url": SOURCE}], "cmd": "{a:b}", "workflow_id": "w", "fetch_ts": 0, "renditions": "all"},
        {"files": [{"fetch_url": SOURCE}], "renditions": [1, 5]},
    ],
)
def test_good_requests(body):
    assert valid("request_schema", body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"files": []},
        {"files": [{"fetch_url": SOURCE}] * 51},
        {"files": [{}]},
        {"files": [{"fetch_url": "ftp://x/a"}]},
        {"files": [{"fetch_url": "x"}]},
        {"files": [{"fetch_url": "http:///a"}]},
        {"files": [{"fetch_url": "https://x/a b"}]},
        {"files": [{"fetch_url": SOURCE, "md5": "xyz"}]},
        {"files": [{"fetch_url": SOURCE, "size": 1}]},
        {"files": [{"fetch_url": SOURCE}], "fetch_ts": 2},
        {"files": [{"fetch_url": SOURCE}], "renditions": []},
        {"files": [{"fetch_url": SOURCE}], "renditions": [6]},
        {"files": [{"fetch_url": SOURCE}], "renditions": [1, 1]},
        {"files": [{"fetch_url": SOURCE}], "renditions": "hd"},
        {"files": [{"fetch_url": SOURCE}], "surprise": 1},
    ],
)
def test_bad_requests(body):
    assert not valid("request_schema", body)


def test_adopting_takes_exactly_one_id():
    assert valid("adopt_schema", {"task_id": TASK_ID})
    assert valid("adopt_schema", {"trans_no": KEY, "renditions": [2]})
    for body in ({}, {"task_id": "a", "trans_no": "b"}, {"task_id": ""}, {"trans_no": "x" * 33}, {"task_id": "a b"}):
        assert not valid("adopt_schema", body)


def test_every_property_is_described_and_every_alternative_says_its_problem():
    def walk(schema: Any) -> None:
        for name, inner in schema.get("properties", {}).items():
            assert inner.get("description"), name
            walk(inner)
            walk(inner.get("items", {}))
        assert not {"oneOf", "anyOf", "not"} & schema.keys() or schema["x-problem"]

    walk(CloudV.request_schema)
    walk(CloudV.adopt_schema)


def test_it_is_registered():
    assert vendor_class("cloudv") is CloudV


# --- trigger, find, adopt ---


def sent_files(form: dict[str, str]) -> Any:
    return json.loads(base64.urlsafe_b64decode(form["fileList"]))


def test_a_trigger_sends_the_files_under_a_key_of_our_own():
    vendor, outbound = cloudv(ok({"tranNo": KEY, "taskId": TASK_ID}))
    files = [{"fetch_url": SOURCE, "file_name": "ü?>~.mp4", "md5": MD5}, {"fetch_url": "http://x/b.flv"}]
    task = Task(KEY, {"files": [*files, files[0]], "cmd": "{a:b}", "workflow_id": "w7", "fetch_ts": 0}, None, {}, None)
    submitted = vendor.trigger(task)
    assert submitted.refs == {"task_id": TASK_ID, "trans_no": KEY}
    assert submitted.complete
    ((url, form, headers),) = outbound.sent
    assert url == "https://api.cloudv.haplat.net/vod/videoManage/pullVideo"
    assert sent_files(form) == [
        {"fileName": "ü?>~.mp4", "fetchUrl": SOURCE, "md5": MD5},
        {"fetchUrl": "http://x/b.flv"},
    ]
    assert not set("+/") & set(form.pop("fileList"))
    assert form == {"transNo": KEY, "cmd": "{a:b}", "workflowId": "w7", "fetchTs": "0"}
    assert headers["Authorization"].startswith("WS3-HMAC-SHA256 Credential=testAccessKey0001, SignedHeaders=")


def test_the_open_api_gateway_gets_json_and_its_own_headers():
    vendor, outbound = cloudv(ok({"taskId": TASK_ID}), endpoint="https://api.cdnetworks.com")
    vendor.trigger(requested(fetch_ts=1))
    ((url, form, headers),) = outbound.sent
    assert url == "https://api.cdnetworks.com/vod/videoManage/pullVideo"
    assert form["fetchTs"] == 1
    assert headers["x-cnc-auth-method"] == "AKSK"
    assert headers["Authorization"].startswith("CNC-HMAC-SHA256 ")


@pytest.mark.parametrize("data", [{"tranNo": KEY}, {"taskId": None}, {}, None, [], "x"])
def test_a_task_without_an_id_is_followed_by_its_trans_no(data):
    vendor, outbound = cloudv(ok(data), ok(task_data(item(1, 1), status=1)))
    submitted = vendor.trigger(requested())
    assert submitted.refs == {"trans_no": KEY}
    vendor.poll(replace(requested(), refs=submitted.refs))
    assert outbound.sent[1][1] == {"transNo": KEY}


def test_a_used_trans_no_is_looked_up_and_its_task_adopted():
    vendor, outbound = cloudv(no(1000, "transNo重复"), ok(task_data(item(1, 1), status=1)))
    assert vendor.trigger(requested()).refs == {"task_id": TASK_ID, "trans_no": KEY}
    assert outbound.sent[1][1] == {"transNo": KEY}


def test_a_refused_trigger_that_left_nothing_behind_is_refused():
    vendor, _ = cloudv(no(1000), no(1000))
    with pytest.raises(VendorRefused, match="参数错误") as caught:
        vendor.trigger(requested())
    assert (caught.value.code, caught.value.request_id) == ("1000", "req-1")


@pytest.mark.parametrize("absent", [no(1000), no("1404"), no(1000, status=404), ok(None), ok({})])
def test_a_task_that_the_vendor_does_not_know_is_provably_absent(absent):
    assert cloudv(absent)[0].find(requested()) is None


@pytest.mark.parametrize("names", [{"transNo": KEY}, {"tranNo": KEY}])
def test_a_task_is_found_by_its_key(names):
    vendor, outbound = cloudv(ok({"taskId": TASK_ID, "status": "1", "items": None, **names}))
    found = vendor.find(requested())
    assert found is not None
    assert found.refs == {"task_id": TASK_ID, "trans_no": KEY}
    assert outbound.sent[0][1] == {"transNo": KEY}


@pytest.mark.parametrize("failure", [NoReply("x"), reply(b"<html>", 502), reply(b'{"code": 2'), no(429, status=429)])
def test_find_does_not_guess(failure):
    with pytest.raises((VendorUnavailable, VendorThrottled)):
        cloudv(failure)[0].find(requested())


def test_a_retry_asks_only_for_what_is_not_stored():
    first, second = look_at(task_data(item(1, 1), item(1, 1, url="http://x/b"), status=1)).files
    files = (KnownFile(first.ref, "a", settled=True, ready=False), KnownFile(second.ref, "b", False, False))
    vendor, outbound = cloudv(ok({"taskId": "t2"}))
    vendor.trigger(requested(SOURCE, "http://x/b", files=files))
    assert sent_files(outbound.sent[0][1]) == [{"fetchUrl": "http://x/b"}]
    vendor, _ = cloudv(ok(task_data(item(2, 2, entry(), url="http://x/b"))))
    look = vendor.poll(requested(SOURCE, "http://x/b", files=files))
    assert (look.status, [file.ref for file in look.files]) == (READY, [second.ref])


@pytest.mark.parametrize(
    ("adopt", "asked"), [({"task_id": "t"}, {"taskId": "t"}), ({"trans_no": "n"}, {"transNo": "n"})]
)
def test_adopting_makes_no_call_and_asks_by_the_given_id(adopt, asked):
    vendor, outbound = cloudv(ok(task_data(item(2, 2, entry()), **asked)))
    submitted = vendor.adopt(adopted(**adopt))
    assert (submitted.refs, outbound.sent) == (adopt, [])
    assert vendor.poll(adopted(**adopt)).status is READY
    assert outbound.sent[0][1] == asked


# --- looks ---


def test_the_sample_of_the_vendors_page():
    sample = item(
        2, 2, entry(1, "pullvideo/201709/983a/testpull1.flv", -1), entry(2, "pullvideo/201709/983e-01.m3u8", 0, 929)
    )
    look = look_at(task_data(sample), requested(renditions="all"))
    original, fluent = look.files
    assert look.status is READY
    assert (original.status, original.kind, original.size, original.name) == (READY, "file", 5384542, "a.mp4")
    assert (fluent.status, fluent.kind, fluent.size, fluent.name) == (READY, "hls", None, "a-ld.m3u8")


@pytest.mark.parametrize(
    ("pull", "command", "status", "code"),
    [
        (1, 1, RUNNING, None),
        ("1", "1", RUNNING, None),
        (2, 1, READY, None),
        ("2", None, READY, None),
        (2.0, 3, READY, None),
        (3, 3, FAILED, "VENDOR_FILE_FAILED"),
        ("3", "", FAILED, "VENDOR_FILE_FAILED"),
        (7, 1, UNKNOWN, None),
        (None, None, UNKNOWN, None),
        ("done", 2, UNKNOWN, None),
        (True, True, UNKNOWN, None),
    ],
)
def test_an_original_settles_by_its_own_pull_status(pull, command, status, code):
    look = look_at(task_data(item(pull, command, entry())))
    assert [(file.status, file.code) for file in look.files] == [(status, code)]
    assert look.status is (READY if status in (READY, FAILED) else status)


def test_completed_is_not_success():
    look = look_at(task_data(item(3, 3), item(2, 2, entry(), url="http://x/b")), requested(SOURCE, "http://x/b"))
    assert (look.status, look.progress) == (READY, 100)
    assert [file.status for file in look.files] == [FAILED, READY]


@pytest.mark.parametrize(("status", "expected"), [(1, READY), ("2", READY), (None, READY), (9, READY)])
def test_all_that_was_asked_for_being_settled_is_enough(status, expected):
    assert look_at(task_data(item(2, 2, entry()), status=status)).status is expected


@pytest.mark.parametrize(("status", "expected"), [(1, RUNNING), (2, READY), (None, UNKNOWN), (9, UNKNOWN)])
def test_an_adopted_task_may_have_more_to_come(status, expected):
    assert look_at(task_data(item(2, 2, entry()), status=status), adopted(task_id=TASK_ID)).status is expected


def test_a_completed_task_without_items_is_empty():
    look = look_at(task_data())
    assert (look.status, look.code) == (LookStatus.EMPTY, "NO_FILES")


def test_a_running_task_without_items_is_running():
    assert look_at(task_data(status=1)).status is RUNNING


def test_a_file_that_a_completed_task_does_not_list_has_failed():
    look = look_at(task_data(item(2, 2, entry())), requested(SOURCE, "http://x/lost.mp4"))
    assert [(file.status, file.code, file.name) for file in look.files] == [
        (READY, None, "a.mp4"),
        (FAILED, "VENDOR_FILE_FAILED", "lost.mp4"),
    ]


def test_refs_do_not_depend_on_the_order_of_the_items():
    items = [item(1, 1, url=f"http://x/{n}") for n in "abca"]
    forward, backward = (look_at(task_data(*order, status=1)).files for order in (items, items[::-1]))
    assert {file.ref for file in forward} == {file.ref for file in backward}
    assert len({file.ref for file in forward}) == 4


@pytest.mark.parametrize("server_type", [-1, 1, "-1", "1"])
def test_the_original_is_the_clarity_1_entry_of_the_original_server_type(server_type):
    entries = [entry(1, "pc.mp4", 0), entry("1", "original.mp4", server_type), entry(2, "ld.mp4", 0)]
    (file,) = look_at(task_data(item(2, 2, *entries))).files
    assert file.detail["path"] == "original.mp4"


def test_renditions_wait_for_the_command_and_originals_do_not():
    data = task_data(item(2, 1, entry()), status=1)
    assert [f.status for f in look_at(data, requested(renditions=[1, 4])).files] == [READY, RUNNING]
    look = look_at(data, requested(renditions="all"))
    assert (look.status, [f.status for f in look.files]) == (RUNNING, [READY])


def test_a_rendition_that_is_missing_after_completion_has_failed():
    look = look_at(task_data(item(2, 3, entry(), entry(2, "x.mp4", 0))), requested(renditions=[2, 4]))
    assert [(f.status, f.code) for f in look.files] == [(READY, None), (FAILED, "RENDITION_MISSING")]


def test_all_says_so_when_the_command_failed():
    look = look_at(task_data(item(2, 3, entry())), requested(renditions="all"))
    assert [(f.status, f.code) for f in look.files] == [(READY, None), (FAILED, "VENDOR_COMMAND_FAILED")]
    assert "VENDOR_COMMAND_FAILED" not in CloudV.spent_codes


def test_a_file_of_an_earlier_look_that_a_completed_task_does_not_list_is_not_waited_for():
    known = (
        KnownFile("0123456789ab:1", "gone.mp4", False, False),
        KnownFile("0123456789ab:2", "kept.mp4", True, False),
    )
    look = look_at(task_data(item(2, 2, entry())), requested(files=known))
    assert [(f.name, f.status, f.code) for f in look.files] == [
        ("a.mp4", READY, None),
        ("gone.mp4", FAILED, "VENDOR_FILE_FAILED"),
    ]


def test_two_entries_of_one_clarity_are_two_files():
    entries = [entry(4, "pc.mp4", 0), entry(4, "mobile.mp4", 2)]
    first, again = (
        {f.ref: f.detail["path"] for f in look_at(task_data(item(2, 2, *order)), requested(renditions=[4])).files}
        for order in (entries, entries[::-1])
    )
    assert (len(first), first) == (2, again)


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [("", None, None), (None, None, None), (MD5.upper(), None, MD5), ("x", MD5, MD5), ("", MD5.upper(), MD5)],
)
def test_an_md5_is_only_taken_for_the_original(given, asked, expected):
    task = requested(renditions=[1, 2])
    if asked:
        task.request["files"][0]["md5"] = asked
    look = look_at(task_data(item(2, 2, entry(), entry(2, "b.mp4", 0), md5=given)), task)
    assert [file.md5 for file in look.files] == [expected, None]


@pytest.mark.parametrize("size", [0, -1, "x", None, "929 "])
def test_a_size_that_is_none_is_not_believed(size):
    (file,) = look_at(task_data(item(2, 2, entry(size=size)))).files
    assert file.size == (929 if size == "929 " else None)


def test_names_come_as_the_vendor_gives_them():
    for name in ("../../etc/passwd", "x" * 1000, "🎬.mp4", "trailing.", "nul\0l"):
        (file,) = look_at(task_data(item(1, 1, fileName=name), status=1)).files
        assert file.name == name
    (file,) = look_at(task_data(item(1, 1, fileName="", url="http://x/%E5%BD%95.mp4?x=1"), status=1)).files
    assert file.name == "录.mp4"


# --- unknown tasks ---


@pytest.mark.parametrize("answer", [no(1000, "任务不存在"), ok(None), no(1000, status=404)])
def test_an_unknown_task_is_named(answer):
    look = cloudv(answer)[0].poll(adopted(task_id="feedbeef"))
    assert (look.status, look.code) == (FAILED, "VENDOR_TASK_NOT_FOUND")
    assert "feedbeef" in (look.message or "")


def test_a_new_task_may_be_unknown_for_a_while():
    assert cloudv(no(1000))[0].poll(requested(elapsed=10)).status is RUNNING
    assert cloudv(no(1000))[0].poll(requested(elapsed=UNKNOWN_GRACE)).code == "VENDOR_TASK_NOT_FOUND"


# --- where the files are ---


def located(vendor: CloudV, task: Task, file: Any) -> Any:
    return vendor.locate(task, KnownFile(file.ref, file.name, False, True, json.loads(json.dumps(dict(file.detail)))))


def test_a_relative_file_url_is_joined_to_the_media_domain_without_another_call():
    vendor, outbound = cloudv(ok(task_data(item(2, 2, entry(url="/pull/a b#1录.mp4"), md5=MD5))))
    (file,) = vendor.poll(requested()).files
    remote = located(vendor, requested(), file)
    assert remote.url == "https://video.example.com/base/pull/a%20b%231%E5%BD%95.mp4"
    assert (remote.size, remote.md5, remote.kind, len(outbound.sent)) == (5384542, MD5, "file", 1)


@pytest.mark.parametrize(
    "url", ["https://cdn.example.com/a.M3U8?auth_key=1-2-3", "//cdn.example.com/a.m3u8?auth_key=1"]
)
def test_an_absolute_file_url_is_used_as_it_is_and_never_kept(url):
    data = task_data(item(2, 2, entry(url=url)))
    vendor, _ = cloudv(ok(data), ok(data))
    (file,) = vendor.poll(requested()).files
    assert (file.kind, file.size) == ("hls", None)
    assert "cdn.example.com" not in json.dumps(dict(file.detail))
    remote = located(vendor, requested(), file)
    assert remote.url == (url if url.startswith("https") else "https:" + url)
    assert remote.kind == "hls"


def test_without_a_media_domain_the_publish_code_names_the_url():
    urls = [{"urlType": "mobile", "originUrl": "https://m/x"}, {"urlType": "PC", "originUrl": "https://pc/a.mp4?k=1"}]
    published = ok({"videoId": "v1", "encrypt": 0, "videoUrl": urls})
    vendor, outbound = without_base(ok(task_data(item(2, 2, entry()))), published, published)
    (file,) = vendor.poll(requested()).files
    assert file.status is READY
    assert located(vendor, requested(), file).url == "https://pc/a.mp4?k=1"
    assert outbound.sent[1][1] == {"videoId": "v1", "codeType": "4"}
    assert "https://pc" not in json.dumps(dict(file.detail))


def test_each_clarity_has_its_own_published_url():
    names = {2: "fluentUrl", 3: "sdUrl", 4: "highUrl", 5: "hdPullUrl"}
    published = ok({"videoUrl": {"urlType": "PC", **{name: f"https://pc/{name}.mp4" for name in names.values()}}})
    task = requested(renditions=[2, 3, 4, 5])
    data = task_data(item(2, 2, *(entry(clarity, "x.mp4", 0) for clarity in names)))
    vendor, _ = without_base(ok(data), *[published] * 8)
    for file, name in zip(vendor.poll(task).files, names.values(), strict=True):
        assert located(vendor, task, file).url == f"https://pc/{name}.mp4"


@pytest.mark.parametrize("url", ["ftp://x/a.mp4", "https://", "http://[", "javascript://x/%0a", "//", "https://a b/c"])
def test_what_cannot_be_a_url_fails_the_file_by_name_at_the_next_look(url):
    vendor, _ = without_base(ok(task_data(item(2, 2, entry(url=url)))))
    (file,) = vendor.poll(requested()).files
    assert (file.status, file.code) == (FAILED, "FILE_URL_INVALID")
    assert "cannot be used" in file.message


def test_a_published_url_that_cannot_be_one_fails_the_file():
    published = ok({"videoUrl": [{"urlType": "PC", "originUrl": "rtmp://pc/a"}, {"originUrl": ""}]})
    vendor, _ = without_base(ok(task_data(item(2, 2, entry(url="")))), published)
    assert vendor.poll(requested()).files[0].code == "FILE_URL_INVALID"
    usable = ok({"videoUrl": [{"urlType": "PC", "originUrl": "rtmp://pc/a"}, {"originUrl": "//m/a b.mp4"}]})
    data = ok(task_data(item(2, 2, entry(url=""))))
    vendor, _ = without_base(data, usable, data, usable)
    (file,) = vendor.poll(requested()).files
    assert located(vendor, requested(), file).url == "https://m/a%20b.mp4"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("100%.mp4", "100%25.mp4"),
        ("/50%-录像 1.mp4", "50%25-%E5%BD%95%E5%83%8F%201.mp4"),
        ("a%20b.mp4", "a%20b.mp4"),
        ("a#1.mp4", "a%231.mp4"),
        ("a.mp4?sign=x%2By&name=录 像", "a.mp4?sign=x%2By&name=%E5%BD%95%20%E5%83%8F"),
    ],
)
def test_a_path_on_the_media_domain_is_encoded_where_it_is_not(address, path):
    vendor, _ = cloudv(*[ok(task_data(item(2, 2, entry(url=address))))] * 2)
    (file,) = vendor.poll(requested()).files
    assert located(vendor, requested(), file).url == MEDIA + path


@pytest.mark.parametrize("url", [None, "", "null", "-"])
@pytest.mark.parametrize("published", [no(1502), ok({"videoUrl": None}), ok([]), NoReply("x"), no(429, status=429)])
def test_ready_without_a_url_keeps_waiting(url, published):
    vendor, _ = without_base(ok(task_data(item(2, 2, entry(url=url)))), published)
    look = vendor.poll(requested())
    assert (look.status, look.files[0].status) == (RUNNING, RUNNING)


def test_a_url_that_never_comes_fails_the_file():
    data, published = task_data(item(2, 2, entry(url=""))), no(1535, "no permission")
    vendor, _ = without_base(ok(data), published, ok(data), published)
    (first,) = vendor.poll(requested(elapsed=5000)).files
    known = KnownFile(first.ref, first.name, False, False, first.detail)
    (later,) = vendor.poll(requested(elapsed=5001 + NO_URL_GRACE, files=(known,))).files
    assert (first.status, later.status, later.code, later.vendor_code) == (RUNNING, FAILED, "NO_FILE_URL", "1535")


def test_video_info_that_comes_late_is_waited_for():
    assert look_at(task_data(item(2, 2))).files[0].status is RUNNING
    assert look_at(task_data(item(2, 2), status=1)).files[0].detail == {}


def test_a_batch_that_finishes_at_once_keeps_the_call_budget():
    urls = [f"http://x/{n}" for n in range(25)]
    data = task_data(*(item(2, 2, entry(), url=url) for url in urls))
    published = ok({"videoUrl": [{"urlType": "PC", "originUrl": "https://pc/a.mp4"}]})
    files: tuple[KnownFile, ...] = ()
    ready = []
    for _ in range(3):
        vendor, outbound = without_base(ok(data), *[published] * 30)
        look = vendor.poll(requested(*urls, files=files))
        assert len(outbound.sent) <= 11
        files = tuple(KnownFile(f.ref, f.name, False, f.status is READY, f.detail) for f in look.files)
        ready.append(sum(file.ready for file in files))
        assert (look.retry_after is None) == (ready[-1] == 25)
    assert (ready, look.status) == ([10, 20, 25], READY)


def test_locating_what_has_gone_gives_nothing():
    signed = task_data(item(2, 2, entry(url="https://cdn/a.mp4?sign=1")))
    vendor, _ = cloudv(ok(signed), no(1000))
    (file,) = vendor.poll(requested()).files
    assert located(vendor, requested(), file) is None


def test_a_bad_media_domain_is_the_accounts_fault():
    with pytest.raises(VendorRefused) as caught:
        look_at(task_data(item(2, 2, entry())), media_base_url="video.example.com")
    assert caught.value.kind == "ACCOUNT_MALFORMED"


def test_the_hosts_that_the_account_names_are_trusted():
    vendor, _ = cloudv(endpoint="http://127.0.0.1:9003")
    assert vendor.trusted_hosts == ("video.example.com", "127.0.0.1")
    assert without_base()[0].trusted_hosts == ()


# --- errors ---


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (NotSent("refused"), VendorUnavailable),
        (NoReply("reset"), VendorUnavailable),
        (AddressRefused("private"), VendorRefused),
        (reply(b"<html>bad gateway</html>", 502), VendorUnavailable),
        (reply(b""), VendorUnavailable),
        (reply(b'{"code": 200, '), VendorUnavailable),
        (reply([]), VendorUnavailable),
        (reply({"data": {}}), VendorUnavailable),
        (reply({"code": None}), VendorUnavailable),
        (reply({"code": 200}, 302), VendorUnavailable),
        (reply(b"nope", 404), VendorUnavailable),
        (no(500), VendorUnavailable),
        (no("503"), VendorUnavailable),
        (no(1000, status=500), VendorUnavailable),
        (no(429), VendorThrottled),
        (no(1000, status=429), VendorThrottled),
        (no(403, "请求过于频繁"), VendorThrottled),
        (no(1, "x", 403, Retry_After="3"), VendorThrottled),
        (no(403, "limit exceeded", 403), VendorThrottled),
        (no(403, "permission limited", 403), VendorAuthFailed),
        (no(403, "signature", 403), VendorAuthFailed),
        (reply(b"<html>", 403), VendorUnavailable),
        (no(1000, "该transNo已存在"), CallRepeated),
        (no(1000, "系统繁忙，请稍后重试"), VendorUnavailable),
        (no(1000, status=503, Retry_After="3"), VendorUnavailable),
        (reply(b"<html>", 429), VendorThrottled),
        (no(401, status=401), VendorAuthFailed),
        (no(1301), VendorAuthFailed),
        (no("1301"), VendorAuthFailed),
        (no(1000, status=400), VendorRefused),
        (no("InvalidParameter"), VendorRefused),
    ],
)
def test_every_answer_is_one_of_the_contracts_errors(answer, error):
    with pytest.raises(error):
        cloudv(answer, no(1000))[0].trigger(requested())


def test_only_an_unsent_request_may_be_repeated_blindly():
    for answer, reached in ((NotSent("x"), False), (NoReply("x"), True), (reply(b"", 502), True)):
        with pytest.raises(VendorUnavailable) as caught:
            cloudv(answer)[0].trigger(requested())
        assert caught.value.reached is reached


def test_a_throttle_hint_is_passed_on():
    with pytest.raises(VendorThrottled) as caught:
        cloudv(no(429, status=429, Retry_After="17"))[0].poll(requested())
    assert caught.value.retry_after == 17


def test_a_403_of_an_account_that_just_worked_is_too_many_calls():
    vendor, _ = cloudv(ok(task_data(item(1, 1), status=1)), no(403, "forbidden", 403), no(403, "bad signature", 403))
    vendor.poll(requested())
    with pytest.raises(VendorThrottled):
        vendor.poll(requested())
    with pytest.raises(VendorAuthFailed):
        vendor.poll(requested())


def test_a_success_is_told_by_its_code_alone():
    assert look_at(task_data(item(2, 2, entry()))).status is READY
    odd = reply({"code": "200", "message": "error", "data": task_data(item(2, 2, entry()))})
    assert cloudv(odd)[0].poll(requested()).status is READY
    with pytest.raises(VendorRefused):
        cloudv(no(1000, "操作成功"), no(1000))[0].trigger(requested())


def test_secrets_and_signed_urls_are_in_no_message():
    for answer in (no(1000, f"bad url {SOURCE}"), no(1301, SOURCE), no(403, SOURCE, 403), reply(SOURCE.encode(), 500)):
        with pytest.raises(VendorError) as caught:
            cloudv(answer, answer)[0].trigger(requested())
        shown = f"{caught.value.message} {caught.value!r}"
        assert "s3cr3t" not in shown
        assert SECRET["secret_key"] not in shown


# --- the clock ---


@pytest.mark.parametrize("refusal", [(401, 401), (403, 403), (1301, 200), (1000, 200)])
@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_clock_error_is_mended_by_the_replys_date(refusal, skew):
    code, status = refusal
    refused = no(code, "timestamp", status, Date=formatdate(time.time() + skew, usegmt=True))
    vendor, outbound = cloudv(refused, ok({"taskId": TASK_ID}), ok({"taskId": TASK_ID}))
    vendor.trigger(requested())
    vendor.trigger(requested())
    times = [int(headers["X-WS-Timestamp"]) - time.time() for _, _, headers in outbound.sent]
    assert times == pytest.approx([0, skew, skew], abs=5)


@pytest.mark.parametrize("words", ["transNo重复", "the task already exists", "duplicate request"])
def test_a_pull_that_the_vendor_had_before_is_not_sent_again_though_its_clock_is_another(words):
    date = formatdate(time.time() + 3600, usegmt=True)
    vendor, outbound = cloudv(no(1000, words, Date=date), ok(task_data(item(1, 1), status=1)))
    assert vendor.trigger(requested()).refs["task_id"] == TASK_ID
    assert ["transNo" in sent for _, sent, _ in outbound.sent] == [True, True]
    assert "files" not in str(outbound.sent[1][1])


@pytest.mark.parametrize("answer", [reply(b"<html>", 502), reply(b"", 408), reply(b"", 425), reply(b"", 503)])
def test_a_pull_whose_answer_proves_nothing_is_a_doubt(answer):
    vendor, outbound = cloudv(answer, answer)
    with pytest.raises(VendorUnavailable) as raised:
        vendor.trigger(requested())
    assert (raised.value.reached, len(outbound.sent)) == (True, 1)


@pytest.mark.parametrize("date", ["now", "", "yesterday"])
def test_a_refusal_that_the_clock_does_not_explain_is_not_repeated(date):
    date = formatdate(time.time(), usegmt=True) if date == "now" else date
    vendor, outbound = cloudv(no(403, "signature", 403, Date=date))
    with pytest.raises(VendorAuthFailed):
        vendor.poll(requested())
    assert len(outbound.sent) == 1


# --- anything else ---


junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just([]) | st.just({})
numbers = st.sampled_from([1, 2, 3, "1", "2", "3", 0, 7, -1, "-1"]) | junk
addresses = (
    st.sampled_from(
        [
            "a/b.mp4",
            "a/b.m3u8",
            "https://c/x.mp4",
            "//c/x",
            "http://[",
            "?",
            "#",
            "ftp://x",
            "\ud800",
            " ",
            "a?sign=1",
        ]
    )
    | junk
)
entries = (
    st.fixed_dictionaries(
        {},
        optional={
            "clarity": numbers,
            "serverType": numbers,
            "fileUrl": addresses,
            "fileSize": numbers | junk,
        },
    )
    | junk
)
infos = (
    st.fixed_dictionaries(
        {},
        optional={
            "videoId": st.just("v1") | junk,
            "videoFileList": st.lists(entries, max_size=4) | entries,
        },
    )
    | junk
)
items = (
    st.fixed_dictionaries(
        {},
        optional={
            "fetchUrl": st.sampled_from([SOURCE, "http://x/b", "http://["]) | junk,
            "fileName": st.text() | junk,
            "md5": st.just(MD5) | junk,
            "pullStatus": numbers,
            "cmdStatus": numbers,
            "videoInfo": infos,
        },
    )
    | junk
)
tasks = (
    st.fixed_dictionaries(
        {},
        optional={
            "taskId": st.just(TASK_ID) | junk,
            "transNo": junk,
            "tranNo": junk,
            "status": numbers,
            "items": st.lists(items, max_size=4) | items,
            "timestamp": junk,
        },
    )
    | junk
)
published = (
    st.fixed_dictionaries(
        {},
        optional={
            "videoUrl": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "urlType": st.just("PC") | junk,
                        "originUrl": addresses,
                        "highUrl": addresses,
                    },
                )
                | junk,
                max_size=2,
            )
            | junk
        },
    )
    | junk
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from([200, "200", 1000, 1301, 429, 403, 500]) | junk,
        "message": st.text() | junk,
        "data": tasks,
    },
)


def wire(value: Any) -> bytes:
    return json.dumps(value).encode()


class Endless(Scripted):
    def __init__(self, first: Reply, others: Reply) -> None:
        super().__init__(first)
        self.others = others

    def call(self, method: str, url: str, **options: Any) -> Reply:
        if not self.answers:
            self.answers.append(self.others)
        return super().call(method, url, **options)


@settings(max_examples=1000, deadline=None)
@given(
    st.one_of(tasks.map(lambda data: ({"code": 200, "data": data})), envelopes, junk),
    published,
    st.sampled_from([200, 200, 200, 403, 404, 500]),
    st.sampled_from(["original", "all", [1, 4]]),
    st.booleans(),
    st.integers(0, 2000),
)
def test_any_reply_is_a_look_or_one_of_the_contracts_errors(body, urls, status, renditions, based, cut):
    content = wire(body)
    outbound = Endless(
        reply(content[: cut or None] if cut < 100 else content, status), reply({"code": 200, "data": urls})
    )
    secret = {**SECRET, "media_base_url": MEDIA} if based else SECRET
    vendor, task = CloudV(Account("cloudv", secret), outbound), requested(renditions=renditions)  # type: ignore[arg-type]
    try:
        look = vendor.poll(task)
    except VendorError:
        return
    assert len({file.ref for file in look.files}) == len(look.files)
    for file in look.files:
        json.dumps(dict(file.detail)).encode()
        f"{file.ref}{file.name}{file.raw_status}".encode()
        if file.status is READY:
            outbound.answers = [reply(content, status)] if not file.detail.get("path") else []
            remote = located(vendor, task, file)
            assert remote.url.startswith(("http://", "https://"))
    if look.status is READY:
        assert look.files
        assert all(file.status in (READY, FAILED) for file in look.files)


@settings(max_examples=300, deadline=None)
@given(st.one_of(envelopes, junk), st.sampled_from([200, 403, 404, 500]))
def test_any_reply_to_the_other_verbs_is_a_submission_or_one_of_the_contracts_errors(body, status):
    for verb in ("trigger", "find"):
        vendor = CloudV(Account("cloudv", SECRET), Endless(reply(wire(body), status), no(1000)))  # type: ignore[arg-type]
        try:
            submitted = getattr(vendor, verb)(requested())
        except VendorError:
            continue
        assert submitted is None or submitted.refs["trans_no"] == KEY
