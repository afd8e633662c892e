"""IMS: what is sent, and what each reply is taken for."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
from clipferry.outbound.client import Headers, NoReply, Reply
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    LookStatus,
    Sighting,
    Task,
    TriggerUncertain,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.ims.replies import Listing, Record, Source, best
from clipferry.vendors.ims.vendor import Ims
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.replies import Answering, Asked, mutated, never_misread
from tests.conformance.replies import reply as mutated_reply

KEY = "ab" * 16
NOW = datetime.now(UTC).replace(microsecond=0)
SECRET = {"vendor": "ims", "access_key_id": "id", "access_key_secret": "secret", "region": "cn-beijing"}
OSS = "https://outin-1.oss-cn-beijing.aliyuncs.com/sv/a.mp4?Expires=1&OSSAccessKeyId=x&Signature=y"
A, B = "https://media.example.com/a.mp4?token=secret1", "https://media.example.com/b.mp4"


class Scripted:
    """An outbound that answers by action: from a list in order, or by a function of the parameters."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.sent = answers, []
        self.origin = self

    def call(
        self, method: str, url: str, *, hosts: Any, params: Any, data: Any, headers: Any, auth: Any, operation: str
    ) -> Reply:
        action = headers["x-acs-action"]
        sent = dict(params or {k: v[0] for k, v in parse_qs(data, keep_blank_values=True).items()})
        self.sent.append((action, url, sent))
        answer = self.answers[action]
        answer = answer(sent) if isinstance(answer, Callable) else answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else reply(answer)

    def named(self, action: str) -> list[dict[str, str]]:
        return [sent for name, _, sent in self.sent if name == action]


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, Headers([(k.replace("_", "-"), v) for k, v in headers.items()]), content)


def ims(**answers: Any) -> tuple[Ims, Scripted]:
    outbound = Scripted(**answers)
    return Ims(Account("ims", SECRET), outbound), outbound


def task(*urls: str, jobs: Any = (), elapsed: float = 60.0, files: Any = (), **request: Any) -> Task:
    refs = {"jobs": list(jobs)} if jobs else {}
    return Task(
        KEY, {"upload_urls": list(urls), **request}, None, refs, NOW - timedelta(seconds=elapsed), elapsed, files
    )


def adopted(**adopt: list[str]) -> Task:
    return Task(KEY, None, adopt, {}, NOW, 60.0)


def entry(index: int) -> dict[str, Any]:
    return {"index": index, "job_id": f"j{index}", "media_id": f"m{index}"}


def info(job: str, status: str = "DOWNLOADING", url: str = B, **more: Any) -> dict[str, Any]:
    return {
        "JobId": job,
        "UploadURL": url,
        "MediaId": job.replace("j", "m"),
        "Status": status,
        "ErrorCode": "",
        "ErrorMessage": "",
        "FileSize": "0",
        "CreationTime": "2021-11-07T10:03:37Z",
        "CompleteTime": "",
        "UserData": "",
        **more,
    }


def infos(*entries: Any, absent: Any = ()) -> dict[str, Any]:
    return {"RequestId": "r1", "NonExists": list(absent), "URLUploadInfoList": list(entries)}


def media(url: Any = OSS, kind: str = "source_file", of: str = "m0", **more: Any) -> dict[str, Any]:
    basic = {"FileName": "a.mp4", "FileUrl": url, "FileSize": "64610", "FileType": kind, "FileStatus": "Normal", **more}
    return {"RequestId": "r1", "MediaInfo": {"MediaId": of, "FileInfoList": [{"FileBasicInfo": basic}]}}


def submitted(urls: str) -> dict[str, Any]:
    """A reply to UploadMediaByURL that names a job for each URL."""
    given = [parse_qs(f"u={u}")["u"][0] for u in urls.split(",")]
    return {"UploadJobs": [{"JobId": f"job-{u}", "MediaId": f"media-{u}", "SourceURL": u} for u in given]}


def accept(sent: dict[str, str]) -> dict[str, Any]:
    return submitted(sent["UploadURLs"])


# --- submitting ---


def test_urls_are_encoded_and_joined():
    client, outbound = ims(UploadMediaByURL=accept)
    given = client.trigger(task("https://media.example.com/a%20b.mp4?x=1,2", B))
    action, endpoint, sent = outbound.sent[0]
    assert (action, endpoint) == ("UploadMediaByURL", "https://ice.cn-beijing.aliyuncs.com/")
    assert sent["UploadURLs"] == (
        "https%3A%2F%2Fmedia.example.com%2Fa%2520b.mp4%3Fx%3D1%2C2,https%3A%2F%2Fmedia.example.com%2Fb.mp4"
    )
    assert given.complete
    assert [job["index"] for job in given.refs["jobs"]] == [0, 1]


def test_an_account_without_a_region_is_in_shanghai():
    client, outbound = ims(UploadMediaByURL=accept)
    client = Ims(Account("ims", {k: v for k, v in SECRET.items() if k != "region"}), outbound)
    client.trigger(task(B))
    assert outbound.sent[0][1] == "https://ice.cn-shanghai.aliyuncs.com/"


def test_a_hundred_urls_are_five_calls_each_with_its_refs():
    client, outbound = ims(UploadMediaByURL=accept)
    work = task(*(f"https://media.example.com/{n}.mp4" for n in range(100)))
    sizes = []
    while True:
        given = client.trigger(work)
        sizes.append(len(given.refs["jobs"]))
        work = replace(work, refs=given.refs)
        if given.complete:
            break
    assert sizes == [20, 40, 60, 80, 100]
    assert len({job["job_id"] for job in given.refs["jobs"]}) == 100
    assert len(outbound.sent) == 5


def test_the_same_url_twice_is_one_upload():
    client, outbound = ims(UploadMediaByURL=accept)
    assert len(client.trigger(task(A, B, A)).refs["jobs"]) == 2
    assert outbound.sent[0][2]["UploadURLs"].count("a.mp4") == 1


def test_a_retry_submits_only_what_is_not_settled():
    client, _ = ims(UploadMediaByURL=accept)
    stored = KnownFile("https://media.example.com/a.mp4", "a.mp4", settled=True, ready=False)
    given = client.trigger(task(A, B, files=(stored,)))
    assert [job["index"] for job in given.refs["jobs"]] == [1]
    assert given.complete


def test_refs_hold_ids_and_no_urls():
    client, _ = ims(UploadMediaByURL=lambda _: {"UploadJobs": [{"JobId": "j", "MediaId": "m", "SourceURL": f"{A}\n"}]})
    assert client.trigger(task(A)).refs == {"jobs": [{"index": 0, "job_id": "j", "media_id": "m"}]}


def test_jobs_are_matched_by_url_and_failing_that_by_order():
    by_url = {"UploadJobs": [{"JobId": "b", "SourceURL": B}, {"JobId": "a", "SourceURL": A}]}
    by_order = {"UploadJobs": [{"JobId": "a"}, {"JobId": "b"}]}
    for answer in (by_url, by_order):
        client, _ = ims(UploadMediaByURL=[answer])
        assert [job["job_id"] for job in client.trigger(task(A, B)).refs["jobs"]] == ["a", "b"]


def test_a_url_left_out_of_the_reply_is_submitted_again():
    client, _ = ims(UploadMediaByURL=[{"UploadJobs": [{"JobId": "b", "SourceURL": B}]}])
    given = client.trigger(task(A, B))
    assert not given.complete
    assert given.refs["jobs"] == [{"index": 1, "job_id": "b"}]


def test_a_reply_without_jobs_is_in_doubt():
    client, _ = ims(UploadMediaByURL=[{"UploadJobs": []}])
    with pytest.raises(VendorUnavailable) as caught:
        client.trigger(task(A))
    assert caught.value.reached


def test_a_refused_first_chunk_fails_the_job_a_later_one_its_files():
    refusal = reply({"Code": "InvalidParameter.UploadURLs", "Message": "bad URL", "RequestId": "r9"}, 400)
    client, _ = ims(UploadMediaByURL=[refusal, refusal])
    with pytest.raises(VendorRefused, match="bad URL"):
        client.trigger(task(A))
    given = client.trigger(task(A, B, jobs=[entry(0)]))
    assert given.complete
    client, _ = ims(GetUrlUploadInfos=[infos(info("j0"))])
    look = client.poll(task(A, B, jobs=given.refs["jobs"]))
    assert {f.status: f.code for f in look.files} == {
        LookStatus.RUNNING: None,
        LookStatus.FAILED: "VENDOR_FILE_REFUSED",
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {"Extend": {"clipferry": KEY}}),
        (
            {"Extend": {"localId": "7"}, "MessageCallback": {"CallbackURL": "http://cb.example.com"}},
            {"Extend": {"localId": "7", "clipferry": KEY}, "MessageCallback": {"CallbackURL": "http://cb.example.com"}},
        ),
        ({"Extend": "text"}, {"Extend": "text"}),
    ],
)
def test_our_key_joins_the_users_data_without_hurting_it(given, sent):
    client, outbound = ims(UploadMediaByURL=accept)
    client.trigger(task(B, **({} if given is None else {"user_data": given})))
    assert json.loads(outbound.sent[0][2]["UserData"]) == sent


def test_user_data_given_as_text_is_sent_word_for_word():
    client, outbound = ims(UploadMediaByURL=accept)
    client.trigger(task(B, user_data='{"MessageCallback":"{"not json}'))
    assert outbound.sent[0][2]["UserData"] == '{"MessageCallback":"{"not json}'


def test_each_chunk_carries_the_metadata_of_its_own_urls():
    client, outbound = ims(UploadMediaByURL=accept)
    urls = [f"https://media.example.com/{n}.mp4" for n in range(21)]
    metadata = [{"SourceURL": urls[0], "Title": "first"}, {"SourceURL": urls[20], "Title": "last"}]
    first = client.trigger(task(*urls, media_metadata=metadata))
    client.trigger(task(*urls, media_metadata=metadata, jobs=first.refs["jobs"]))
    assert [json.loads(sent["MediaMetaData"])[0]["Title"] for _, _, sent in outbound.sent] == ["first", "last"]


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"SourceURL": A, "Title": "x"}, "SourceURL"),
        ({"SourceURL": B, "Title": "标" * 43}, "Title has 129 bytes"),
        ({"SourceURL": B, "Title": "x", "Description": "标" * 342}, "Description has 1026 bytes"),
        ({"SourceURL": B, "Title": "x", "Tags": ",".join("t" * 17)}, "16 tags"),
        ({"SourceURL": B, "Title": "x", "Tags": "t" * 33}, "32 bytes"),
    ],
)
def test_metadata_that_ims_would_refuse_is_refused_before_any_call(metadata, named):
    client, outbound = ims()
    with pytest.raises(VendorRefused, match=named) as caught:
        client.trigger(task(B, media_metadata=[metadata]))
    assert caught.value.kind == "REQUEST_INVALID"
    assert outbound.sent == []


# --- the schemas ---


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"upload_urls": []},
        {"upload_urls": [B] * 101},
        {"upload_urls": ["ftp://x/a.mp4"]},
        {"upload_urls": B},
        {"upload_urls": ["https://[bad/a.mp4"]},
        {"upload_urls": ["https://"]},
        {"upload_urls": ["http://a/b c"]},
        {"upload_urls": [B], "user_data": 7},
        {"upload_urls": [B], "media_metadata": [{"Title": "x"}]},
        {"upload_urls": [B], "media_metadata": [{"SourceURL": B, "Title": ""}]},
        {"upload_urls": [B], "more": 1},
    ],
)
def test_request_schema_refuses(request_):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(request_, Ims.request_schema)


@pytest.mark.parametrize(
    "request_", [{"upload_urls": [A, B]}, {"upload_urls": ["http://u:p@127.0.0.1:80/x.mp4?a=[1]#f"]}]
)
def test_request_schema_admits(request_):
    jsonschema.validate(request_, Ims.request_schema)


@pytest.mark.parametrize(
    "adopt",
    [{}, {"job_ids": ["a"], "upload_urls": [B]}, {"job_ids": []}, {"job_ids": ["a"] * 101}, {"job_ids": ["a,b"]}],
)
def test_adopt_schema_refuses(adopt):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(adopt, Ims.adopt_schema)


def test_every_property_is_described():
    for schema in (Ims.request_schema, Ims.adopt_schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert all(p["description"] for p in schema["properties"].values())


def test_the_registry_knows_ims():
    assert vendor_class("ims") is Ims


# --- finding what a lost trigger did ---


def found_by_url(*entries: Any) -> Callable[[dict[str, str]], dict[str, Any]]:
    def answer(sent: dict[str, str]) -> dict[str, Any]:
        urls = [parse_qs(f"u={u}")["u"][0] for u in sent["UploadURLs"].split(",")]
        there = [e for e in entries if e["UploadURL"] in urls]
        return infos(*there, absent=[u for u in urls if u not in {e["UploadURL"] for e in there}])

    return answer


def test_an_upload_that_arrived_is_found_by_our_key():
    ours = info("j7", url=A, UserData=f'{{"Extend":{{"clipferry":"{KEY}"}}}}')
    other = info("j8", url=A, UserData='{"Extend":{"clipferry":"' + "cd" * 16 + '"}}')
    client, _ = ims(GetUrlUploadInfos=found_by_url(other, ours))
    found = client.find(task(A))
    assert found.complete
    assert found.refs == {"jobs": [{"index": 0, "job_id": "j7", "media_id": "m7"}]}


def test_what_ims_does_not_know_is_left_to_be_submitted():
    ours = info("j7", url=A, UserData=KEY)
    client, _ = ims(GetUrlUploadInfos=found_by_url(ours))
    found = client.find(task(A, B))
    assert not found.complete
    assert [job["index"] for job in found.refs["jobs"]] == [0]
    assert ims(GetUrlUploadInfos=found_by_url())[0].find(task(A, B)) is None


def test_a_lost_second_chunk_keeps_the_first():
    client, outbound = ims(GetUrlUploadInfos=found_by_url())
    found = client.find(task(A, B, jobs=[entry(0)]))
    assert (found.complete, found.refs["jobs"]) == (False, [entry(0)])
    assert "b.mp4" in outbound.sent[0][2]["UploadURLs"]
    assert "a.mp4" not in outbound.sent[0][2]["UploadURLs"]


@pytest.mark.parametrize(
    ("created", "user_data", "ours"),
    [(NOW - timedelta(seconds=61), "mine", True), (NOW - timedelta(hours=1), "mine", False), (NOW, "", True)],
)
def test_text_user_data_is_correlated_by_time(created, user_data, ours):
    stamp = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    client, _ = ims(GetUrlUploadInfos=found_by_url(info("j7", url=B, CreationTime=stamp, UserData=user_data)))
    assert (client.find(task(B, user_data="mine")) is not None) is ours


def test_an_upload_with_someone_elses_data_is_not_ours():
    stamp = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    client, _ = ims(GetUrlUploadInfos=found_by_url(info("j7", url=B, CreationTime=stamp, UserData='{"Extend":{}}')))
    assert client.find(task(B)) is None


def test_right_after_the_trigger_absence_proves_nothing():
    client, _ = ims(GetUrlUploadInfos=found_by_url())
    with pytest.raises(TriggerUncertain) as caught:
        client.find(task(B, elapsed=4))
    assert caught.value.look_again == 15


def test_a_url_neither_listed_nor_absent_stays_uncertain_and_not_for_ever():
    client, outbound = ims(GetUrlUploadInfos=lambda _: infos())
    with pytest.raises(TriggerUncertain) as caught:
        client.find(task(A, B))
    assert caught.value.look_again
    assert len(outbound.sent) == 2  # the crowded batch, then the URL by itself
    with pytest.raises(TriggerUncertain) as caught:
        client.find(task(A, elapsed=601))
    assert caught.value.look_again is None


# --- adopting ---


def test_adopting_job_ids_costs_no_call_and_counts_each_once():
    client, outbound = ims()
    assert [j["job_id"] for j in client.adopt(adopted(job_ids=["x", "y", "x"])).refs["jobs"]] == ["x", "y"]
    assert outbound.sent == []


def test_of_many_uploads_of_a_url_the_newest_success_is_adopted():
    records = [
        info(f"j{n}", "UPLOAD_FAIL", CreationTime=f"2025-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in range(100)
    ]
    records[40]["Status"], records[60]["Status"] = "SUCCESS", "Normal"
    client, _ = ims(GetUrlUploadInfos=[infos(*records)])
    assert client.adopt(adopted(upload_urls=[B])).refs["jobs"][0]["job_id"] == "j60"


def test_without_a_success_the_newest_upload_is_adopted():
    older = info("j1", "DOWNLOAD_FAIL", CreationTime="2025-01-01 08:00:00")
    newer = info("j2", "PENDING", CreationTime="2025-01-01T09:00:00Z")
    client, _ = ims(GetUrlUploadInfos=[infos(newer, older)])
    assert client.adopt(adopted(upload_urls=[B])).refs["jobs"][0]["job_id"] == "j2"


def test_a_url_crowded_out_by_another_is_asked_for_alone():
    def answer(sent: dict[str, str]) -> dict[str, Any]:
        return infos(info("j1", url=A)) if "a.mp4" in sent["UploadURLs"] else infos(info("j2", url=B))

    client, _ = ims(GetUrlUploadInfos=answer)
    assert [j["job_id"] for j in client.adopt(adopted(upload_urls=[A, B])).refs["jobs"]] == ["j1", "j2"]


def test_a_full_reply_may_lack_the_best_upload_of_any_url():
    crowd = [info(f"j{n}", "UPLOAD_FAIL", url=A) for n in range(99)]

    def answer(sent: dict[str, str]) -> dict[str, Any]:
        if "," in sent["UploadURLs"]:
            return infos(*crowd, info("old", "SUCCESS", url=B))
        newest = info("new", "SUCCESS", url=B, CreationTime="2025-01-01T00:00:00Z")
        return infos(*crowd) if "a.mp4" in sent["UploadURLs"] else infos(info("old", "SUCCESS", url=B), newest)

    client, _ = ims(GetUrlUploadInfos=answer)
    assert client.adopt(adopted(upload_urls=[A, B])).refs["jobs"][1]["job_id"] == "new"


def test_a_file_keeps_its_ref_when_its_url_is_submitted_anew():
    client, _ = ims(GetUrlUploadInfos=lambda sent: infos(info(sent["JobIds"], url=A)))
    refs = {client.poll(task(A, jobs=[{"index": 0, "job_id": job}])).files[0].ref for job in ("j0", "j9")}
    assert refs == {"https://media.example.com/a.mp4"}


def test_urls_are_recognised_encoded_and_with_stray_blanks():
    encoded = info("j1", url="https%3A%2F%2Fmedia.example.com%2Fa.mp4%3Ftoken%3Dsecret1 \n")
    client, _ = ims(GetUrlUploadInfos=[infos(encoded)])
    assert client.adopt(adopted(upload_urls=[A])).refs["jobs"][0]["job_id"] == "j1"


def test_adopting_unknown_urls_names_them_without_their_query():
    client, _ = ims(GetUrlUploadInfos=found_by_url())
    with pytest.raises(VendorRefused, match=r"media\.example\.com/a\.mp4") as caught:
        client.adopt(adopted(upload_urls=[A]))
    assert caught.value.kind == "VENDOR_TASK_NOT_FOUND"
    assert "secret1" not in caught.value.message


def test_one_unknown_url_fails_its_own_file_only():
    client, _ = ims(GetUrlUploadInfos=found_by_url(info("j0", url=B)))
    work = adopted(upload_urls=[A, B])
    work = replace(work, refs=client.adopt(work).refs)
    client, _ = ims(GetUrlUploadInfos=[infos(info("j0", url=B))])
    look = client.poll(work)
    assert look.status is LookStatus.RUNNING
    assert {f.ref: f.code for f in look.files} == {B: None, "https://media.example.com/a.mp4": "VENDOR_TASK_NOT_FOUND"}


# --- looking ---


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        *[
            (raw, LookStatus.RUNNING)
            for raw in (
                "PENDING",
                "PROCESSING",
                "DOWNLOADING",
                "DOWNLOAD_SUCCESS",
                "UPLOADING",
                "UPLOAD_SUCCESS",
                "pending",
            )
        ],
        *[(raw, LookStatus.FAILED) for raw in ("DOWNLOAD_FAIL", "UPLOAD_FAIL", "PrepareFail", "TRANSCODE_FAILED")],
        *[(raw, LookStatus.READY) for raw in ("SUCCESS", "Normal", "success")],
        *[(raw, LookStatus.UNKNOWN) for raw in ("Init", "", "42")],
    ],
)
def test_statuses(raw, status):
    assert Record.parse(info("j0", raw)).status is status


def test_normal_with_an_error_code_is_not_a_success():
    assert Record.parse(info("j0", "Normal", ErrorCode="200")).status is LookStatus.READY
    assert Record.parse(info("j0", "Normal", ErrorCode="InternalError")).status is LookStatus.UNKNOWN


def test_success_is_ready_only_with_a_source_file():
    answers = [infos(info("j0", "SUCCESS", FileSize="64610"))] * 5
    not_yet = [
        {"MediaInfo": {"FileInfoList": []}},
        media(""),
        media(kind="transcode_file"),
        media(FileStatus="Uploading"),
    ]
    client, _ = ims(GetUrlUploadInfos=answers, GetMediaInfo=[*not_yet, media()])
    looks = [client.poll(task(B, jobs=[entry(0)])) for _ in range(5)]
    assert [look.status for look in looks] == [LookStatus.RUNNING] * 4 + [LookStatus.READY]
    (file,) = looks[-1].files
    assert (file.ref, file.name, file.size) == (B, "b.mp4", 64610)
    assert file.detail == {"job_id": "j0", "media_id": "m0"}


def test_only_open_uploads_are_asked_about_ten_a_call():
    def answer(sent: dict[str, str]) -> dict[str, Any]:
        return infos(*(info(job) for job in sent["JobIds"].split(",")))

    urls = [f"https://media.example.com/{n}.mp4" for n in range(25)]
    past = [KnownFile(urls[0], "", settled=True, ready=False), KnownFile(urls[1], "", settled=False, ready=True)]
    client, outbound = ims(GetUrlUploadInfos=answer)
    look = client.poll(task(*urls, jobs=[entry(n) for n in range(25)], files=past))
    assert [len(sent["JobIds"].split(",")) for sent in outbound.named("GetUrlUploadInfos")] == [10, 10, 3]
    assert (len(look.files), look.progress) == (23, 8)


def test_a_look_makes_a_bounded_number_of_calls():
    def answer(sent: dict[str, str]) -> dict[str, Any]:
        return infos(*(info(job, "SUCCESS") for job in sent["JobIds"].split(",")))

    urls = [f"https://media.example.com/{n}.mp4" for n in range(100)]
    client, outbound = ims(GetUrlUploadInfos=answer, GetMediaInfo=lambda sent: media(of=sent["MediaId"]))
    look = client.poll(task(*urls, jobs=[entry(n) for n in range(100)]))
    assert [len(sent["JobIds"].split(",")) for sent in outbound.named("GetUrlUploadInfos")] == [10] * 10
    assert len(outbound.named("GetMediaInfo")) == 25
    assert (look.status, look.progress) == (LookStatus.RUNNING, 25)


def test_a_limit_met_on_the_way_keeps_what_was_seen():
    throttled = reply({"Code": "Throttling.User", "Message": "slow"}, 400, x_acs_retry_after="7000")
    ready = infos(*(info(f"j{n}", "UPLOAD_FAIL", f"https://media.example.com/{n}.mp4") for n in range(10)))
    urls = [f"https://media.example.com/{n}.mp4" for n in range(20)]
    work = task(*urls, jobs=[entry(n) for n in range(20)])
    client, _ = ims(GetUrlUploadInfos=[ready, throttled, throttled])
    look = client.poll(work)
    assert (look.status, len(look.files), look.retry_after) == (LookStatus.RUNNING, 10, 7)
    assert isinstance(look.cut_short, VendorThrottled)
    with pytest.raises(VendorThrottled):
        client.poll(work)


def test_a_failed_upload_says_why_without_the_urls_query():
    bad = info("j0", "DOWNLOAD_FAIL", A, ErrorCode="URLInvalidError", ErrorMessage=f"cannot fetch {A}")
    client, _ = ims(GetUrlUploadInfos=[infos(bad)])
    (file,) = client.poll(task(A, jobs=[entry(0)])).files
    assert (file.code, file.vendor_code) == ("VENDOR_FILE_FAILED", "URLInvalidError")
    assert "cannot fetch" in file.message
    assert "secret1" not in file.message


def test_unknown_statuses_are_said_to_be_unknown():
    client, _ = ims(GetUrlUploadInfos=[infos(info("j0", "REVIEWING"))])
    assert client.poll(task(B, jobs=[entry(0)])).status is LookStatus.UNKNOWN


@pytest.mark.parametrize("absent", [["j0"], ["['j0']"], ["['j0', 'j1']"], [["j0", "j1"]], [{"ExistId": "j0"}], "j0"])
def test_an_unknown_job_fails_after_a_grace_and_is_named(absent):
    client, _ = ims(GetUrlUploadInfos=[{"NonExists": absent}] * 2)
    assert client.poll(task(B, jobs=[entry(0)], elapsed=59)).status is LookStatus.RUNNING
    look = client.poll(task(B, jobs=[entry(0)], elapsed=60))
    assert (look.status, look.code) == (LookStatus.FAILED, "VENDOR_TASK_NOT_FOUND")


def test_one_unknown_job_of_several_fails_its_own_file():
    client, _ = ims(GetUrlUploadInfos=[infos(info("y"), absent=["x"])])
    work = adopted(job_ids=["x", "y"])
    look = client.poll(replace(work, refs=client.adopt(work).refs))
    assert look.status is LookStatus.RUNNING
    assert {f.ref: f.code for f in look.files} == {"x": "VENDOR_TASK_NOT_FOUND", "y": None}


def test_media_not_registered_yet_keeps_waiting_and_not_for_ever():
    missing = reply({"Code": "InvalidMedia.NotFound", "Message": "no media"}, 404)
    long_ago = info("j0", "SUCCESS", CompleteTime="2021-11-26 21:47:37")
    client, _ = ims(GetUrlUploadInfos=[infos(long_ago)] * 2, GetMediaInfo=[missing] * 2)
    assert client.poll(task(B, jobs=[entry(0)], elapsed=60)).status is LookStatus.RUNNING
    look = client.poll(task(B, jobs=[entry(0)], elapsed=601))
    assert (look.status, look.files[0].code) == (LookStatus.READY, "VENDOR_FILE_MISSING")


def test_two_urls_that_differ_in_their_query_alone_are_two_files():
    first, second = "https://media.example.com/a.mp4?n=1", "https://media.example.com/a.mp4?n=2"
    client, _ = ims(GetUrlUploadInfos=[infos(info("j0", url=first), info("j1", url=second))])
    look = client.poll(task(first, second, jobs=[entry(0), entry(1)]))
    assert len({f.ref for f in look.files}) == 2


# --- where a file is ---


def test_oss_urls_are_fetched_over_https():
    assert Source.parse(media(OSS.replace("https:", "http:")), "m0").url.url == OSS
    local = "http://127.0.0.1:9000/a.mp4"
    assert Source.parse(media(local), "m0").url.url == local


def test_a_url_that_is_not_encoded_is_encoded():
    bare = OSS.partition("?")[0].rpartition("/")[0]
    source = Source.parse(media(bare + "/录 像 100%.mp4"), "m0")
    assert source.url.url == bare + "/%E5%BD%95%20%E5%83%8F%20100%25.mp4"


@pytest.mark.parametrize("url", ["a.mp4", "ftp://a.example/b", "https://", {"a": 1}, 7])
def test_what_cannot_be_a_url_fails_the_file_by_name(url):
    client, _ = ims(GetUrlUploadInfos=[infos(info("j0", "SUCCESS"))], GetMediaInfo=[media(url)] * 2)
    (file,) = client.poll(task(B, jobs=[entry(0)])).files
    assert (file.status, file.code) == (LookStatus.FAILED, "FILE_URL_INVALID")
    assert file.name in file.message
    known = KnownFile(B, "b.mp4", settled=False, ready=True, detail={"media_id": "m0"})
    with pytest.raises(VendorRefused) as refused:
        client.locate(task(B), known)
    assert refused.value.kind == "FILE_URL_INVALID"


def test_locating_asks_for_a_fresh_url():
    client, outbound = ims(GetMediaInfo=[media(), media(None)])
    file = KnownFile(B, "b.mp4", settled=False, ready=True, detail={"media_id": "m0"})
    remote = client.locate(task(B), file)
    assert (remote.url, remote.size) == (OSS, 64610)
    assert outbound.sent[0][2] == {"MediaId": "m0"}
    assert client.locate(task(B), file) is None


def test_an_upload_cannot_be_stopped():
    assert ims()[0].abort(task(B)) is False


# --- lenient reading ---


@pytest.mark.parametrize("stamp", ["2021-11-26T21:47:37Z", "2021-11-26 21:47:37", "2021-11-27T05:47:37+08:00"])
def test_both_time_formats(stamp):
    assert Record.parse(info("j0", CompleteTime=stamp)).completed_at == datetime(2021, 11, 26, 21, 47, 37, tzinfo=UTC)


def test_records_without_times_are_the_oldest():
    old, new = Record.parse(info("j1", CreationTime="")), Record.parse(info("j2"))
    assert best([old, new]) is new
    assert best([]) is None


def test_garbage_is_tried_again():
    for answer in (b"<html>", b"", b'{"RequestId":', b"[]", {"RequestId": "r"}):
        client, _ = ims(GetUrlUploadInfos=[reply(answer)])
        with pytest.raises(VendorUnavailable):
            client.poll(task(B, jobs=[entry(0)]))


def test_network_trouble_is_tried_again():
    client, _ = ims(GetUrlUploadInfos=[NoReply("timed out")])
    with pytest.raises(VendorUnavailable):
        client.poll(task(B, jobs=[entry(0)]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([OSS, A, "j0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
STATUSES = st.sampled_from(["PENDING", "SUCCESS", "Normal", "UPLOAD_FAIL", "ODD", "success"]) | JSON
INFOS = st.fixed_dictionaries(
    {"JobId": st.sampled_from(["j0", "j1", "j9"]) | JSON, "Status": STATUSES},
    optional={name: JSON for name in info("j0") if name not in ("JobId", "Status")},
)
LISTS = st.fixed_dictionaries(
    {"URLUploadInfoList": st.lists(INFOS | JSON, max_size=4) | JSON}, optional={"NonExists": JSON}
)
FILES = st.fixed_dictionaries(
    {
        "FileType": st.sampled_from(["source_file", "transcode_file"]) | JSON,
        "FileUrl": st.sampled_from([OSS, ""]) | JSON,
    },
    optional={"FileStatus": st.just("Normal") | JSON, "FileSize": JSON, "FileName": JSON},
)
MEDIA = st.fixed_dictionaries(
    {
        "MediaInfo": st.fixed_dictionaries(
            {"FileInfoList": st.lists(st.fixed_dictionaries({"FileBasicInfo": FILES | JSON}))}
        )
    }
)
JOBS = st.fixed_dictionaries(
    {"UploadJobs": st.lists(st.dictionaries(st.sampled_from(["JobId", "MediaId", "SourceURL"]), JSON))}
)


@settings(max_examples=400, deadline=None)
@given(listed=LISTS | JSON, shown=MEDIA | JSON, jobs=JOBS | JSON, elapsed=st.sampled_from([0.0, 9e5]))
def test_no_reply_whatever_breaks_it_or_is_ready_without_a_url(listed, shown, jobs, elapsed):
    client, _ = ims(
        GetUrlUploadInfos=lambda _: reply(listed),
        GetMediaInfo=lambda _: reply(shown),
        UploadMediaByURL=lambda _: reply(jobs),
    )
    work = task(A, B, jobs=[entry(0), entry(1)], elapsed=elapsed)
    for act in (client.trigger, client.find):
        with suppress(VendorError):
            act(task(A, B, elapsed=elapsed))
    with suppress(VendorError):
        client.adopt(adopted(upload_urls=[A, B]))
    with suppress(VendorError):
        for file in client.poll(work).files:
            assert isinstance(file, Sighting)
            if file.status is LookStatus.READY:
                remote = client.locate(work, KnownFile(file.ref, file.name, False, True, file.detail))
                assert remote.url.startswith(("http://", "https://"))


SAMPLES = [
    {
        "RequestId": "r1",
        "UploadJobs": [
            {"JobId": "j0", "MediaId": "m0", "SourceURL": A},
            {"JobId": "j1", "MediaId": "m1", "SourceURL": B},
        ],
    },
    infos(info("j0", "SUCCESS", A), info("j1", "Normal", ErrorCode="200", ErrorMessage="Success", FileSize="64610")),
    infos(info("j0", "DOWNLOAD_FAIL", A, ErrorCode="URLInvalidError"), absent=["['j1']"]),
    media(),
    {"RequestId": "r1", "Code": "Throttling.User", "Message": "slow down"},
]


@settings(max_examples=400, deadline=None)
@given(data=st.data(), elapsed=st.sampled_from([0.0, 9e5]))
def test_well_formed_replies_with_anything_changed_are_never_misread(data, elapsed):
    answers: dict[str, Reply] = {}

    def answer(asked: Asked) -> Reply:
        action = asked.headers["x-acs-action"]
        if action not in answers:
            status = data.draw(st.sampled_from([200, 200, 200, 400, 503]))
            answers[action] = mutated_reply(data.draw(mutated(SAMPLES)), status)
        return answers[action]

    work = task(A, B, jobs=[entry(0), entry(1)], elapsed=elapsed)
    by_url = replace(adopted(upload_urls=[A, B]), refs=work.refs, elapsed=elapsed)
    never_misread(Ims(Account("ims", SECRET), Answering(answer)), [task(A, B, elapsed=elapsed), work, by_url])


@settings(max_examples=200, deadline=None)
@given(value=JSON)
def test_lists_of_anything_are_read(value):
    listing = Listing.parse({"NonExists": value, "URLUploadInfoList": value})
    assert all(isinstance(name, str) for name in listing.absent)
