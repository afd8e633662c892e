"""The IMS simulator as Alibaba's own SDK and plain HTTP see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
from alibabacloud_ice20201109 import models
from alibabacloud_ice20201109.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from alibabacloud_tea_openapi.models import Config

from local.simulators.faults import Fault
from local.simulators.ims import ImsSimulator

URL = "https://media.example.com/门 1.mp4?a=1,2"


@pytest.fixture
def sim() -> Iterator[ImsSimulator]:
    with ImsSimulator() as simulator:
        yield simulator


def sdk(sim: ImsSimulator, signature: str = "v3", **config: Any) -> Client:
    given = {
        "access_key_id": sim.settings.access_key_id,
        "access_key_secret": sim.settings.access_key_secret,
        "region_id": "cn-shanghai",
        "endpoint": sim.url.removeprefix("http://"),
        "protocol": "HTTP",
        "signature_algorithm": "v2" if signature == "v1" else None,
    }
    return Client(Config(**{**given, **config}))


def upload(client: Client, *urls: str, **more: Any) -> Any:
    joined = ",".join(quote(url, safe="") for url in urls)
    return client.upload_media_by_url(models.UploadMediaByURLRequest(upload_urls=joined, **more)).body


def infos(client: Client, **query: Any) -> Any:
    return client.get_url_upload_infos(models.GetUrlUploadInfosRequest(**query)).body


@pytest.mark.parametrize("signature", ["v1", "v3"])
def test_the_official_sdk_uploads_follows_and_fetches(sim, signature):
    client = sdk(sim, signature)
    sim.settings.work_seconds = 40.0
    (job,) = upload(client, URL, user_data='{"Extend":{"localId":"7"}}').upload_jobs
    assert job.source_url == URL
    listed = infos(client, job_ids=f"{job.job_id},deadbeef")
    assert listed.non_exists == ["deadbeef"]
    (info,) = listed.urlupload_info_list
    assert (info.status, info.media_id, info.user_data) == ("PENDING", job.media_id, '{"Extend":{"localId":"7"}}')
    sim.advance(60)
    (info,) = infos(client, upload_urls=quote(URL, safe="")).urlupload_info_list
    assert (info.status, info.file_size) == ("SUCCESS", str(sim.expected[URL]["size"]))
    shown = client.get_media_info(models.GetMediaInfoRequest(media_id=job.media_id)).body.media_info
    (file,) = shown.file_info_list
    assert file.file_basic_info.file_type == "source_file"
    body = requests.get(file.file_basic_info.file_url, timeout=5)
    assert len(body.content) == int(file.file_basic_info.file_size)
    assert body.headers["x-oss-hash-crc64ecma"]
    assert body.content[4:8] == b"ftyp"
    assert sim.signatures[signature] == 4


@pytest.mark.parametrize("signature", ["v1", "v3"])
def test_a_wrong_secret_is_refused(sim, signature):
    with pytest.raises(ClientException) as caught:
        upload(sdk(sim, signature, access_key_secret="wrong"), URL)
    assert caught.value.code == "SignatureDoesNotMatch"
    assert sim.tasks == []


def test_an_unknown_key_is_refused(sim):
    with pytest.raises(ClientException) as caught:
        upload(sdk(sim, access_key_id="nobody"), URL)
    assert caught.value.code == "InvalidAccessKeyId.NotFound"


def test_a_clock_sixteen_minutes_off_is_refused(sim):
    sim.clock.skew = 960
    with pytest.raises(ClientException) as caught:
        upload(sdk(sim), URL)
    assert caught.value.code == "InvalidTimeStamp.Expired"


@pytest.mark.parametrize(
    ("urls", "more", "code"),
    [
        ([f"https://media.example.com/{n}.mp4" for n in range(21)], {}, "InvalidParameter.UploadURLs"),
        (["ftp://media.example.com/a.mp4"], {}, "InvalidParameter.UploadURLs"),
        (["https://media.example.com/live"], {}, "InvalidParameter.UploadURLs"),
        ([], {}, "MissingParameter"),
        ([URL], {"media_meta_data": "no json"}, "InvalidParameter.MediaMetaData"),
        (
            [URL],
            {"media_meta_data": json.dumps([{"SourceURL": "https://x/y.mp4", "Title": "t"}])},
            "InvalidParameter.MediaMetaData",
        ),
        (
            [URL],
            {"media_meta_data": json.dumps([{"SourceURL": URL, "Title": "标" * 43}])},
            "InvalidParameter.MediaMetaData",
        ),
    ],
)
def test_bad_submissions_are_refused_whole(sim, urls, more, code):
    with pytest.raises(ClientException) as caught:
        upload(sdk(sim), *urls, **more)
    assert caught.value.code == code
    assert sim.tasks == []


def test_metadata_may_give_the_extension_the_url_lacks(sim):
    url = "https://media.example.com/live"
    metadata = json.dumps([{"SourceURL": url, "Title": "t", "FileExtension": "mp4"}])
    assert len(upload(sdk(sim), url, media_meta_data=metadata).upload_jobs) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "MissingParameter"),
        ({"job_ids": ",".join("abcdefghijk")}, "InvalidParameter.JobIds"),
        ({"upload_urls": ",".join("abcdefghijk")}, "InvalidParameter.UploadURLs"),
    ],
)
def test_bad_queries_are_refused(sim, query, code):
    with pytest.raises(ClientException) as caught:
        infos(sdk(sim), **query)
    assert caught.value.code == code


def test_job_ids_go_before_urls(sim):
    client = sdk(sim)
    upload(client, URL)
    listed = infos(client, job_ids="deadbeef", upload_urls=quote(URL, safe=""))
    assert (listed.non_exists, listed.urlupload_info_list) == (["deadbeef"], [])


def test_every_upload_of_a_url_is_listed_up_to_a_hundred(sim):
    client = sdk(sim)
    for _ in range(6):
        upload(client, *[URL] * 20)
    records = infos(client, upload_urls=quote(URL, safe="")).urlupload_info_list
    assert len(records) == 100
    assert len({r.media_id for r in records}) == 100


def test_all_statuses_are_passed_through():
    with ImsSimulator(time_scale=1000) as sim:
        client = sdk(sim)
        (job,) = upload(client, URL).upload_jobs
        seen = []
        for _ in range(21):
            seen.append(infos(client, job_ids=job.job_id).urlupload_info_list[0].status)
            sim.advance(1)
    assert list(dict.fromkeys(seen)) == [
        "PENDING",
        "PROCESSING",
        "DOWNLOADING",
        "DOWNLOAD_SUCCESS",
        "UPLOADING",
        "UPLOAD_SUCCESS",
        "SUCCESS",
    ]


@pytest.mark.parametrize("status", ["DOWNLOAD_FAIL", "UPLOAD_FAIL"])
def test_failures_carry_a_code(status):
    with ImsSimulator(failing={URL: status}) as sim:
        client = sdk(sim)
        (job,) = upload(client, URL).upload_jobs
        sim.advance(60)
        (info,) = infos(client, job_ids=job.job_id).urlupload_info_list
        assert (info.status, bool(info.error_code), bool(info.complete_time)) == (status, True, True)


def test_the_quirks_of_the_documented_sample():
    quirks = {"final_status": "Normal", "success_error": "sample", "time_format": "space", "non_exists": "quoted"}
    with ImsSimulator(**quirks, url_echo="newline") as sim:
        client = sdk(sim)
        (job,) = upload(client, URL).upload_jobs
        sim.advance(60)
        listed = infos(client, job_ids=f"{job.job_id},deadbeef")
        (info,) = listed.urlupload_info_list
        assert (info.status, info.error_code, info.error_message) == ("Normal", "200", "Success")
        assert info.complete_time[10] == " "
        assert listed.non_exists == ["['deadbeef']"]
        assert job.source_url.endswith("\n")


def test_the_original_appears_some_seconds_after_success():
    with ImsSimulator(time_scale=1000) as sim:
        client = sdk(sim)
        (job,) = upload(client, URL).upload_jobs
        sim.advance(21)
        request = models.GetMediaInfoRequest(media_id=job.media_id)
        assert infos(client, job_ids=job.job_id).urlupload_info_list[0].status == "SUCCESS"
        assert client.get_media_info(request).body.media_info.file_info_list == []
        sim.advance(3)
        assert len(client.get_media_info(request).body.media_info.file_info_list) == 1


def test_throttling_carries_its_hint(sim):
    sim.fail_next("UploadMediaByURL", Fault("throttle", retry_after=3))
    with pytest.raises(ThrottlingException) as caught:
        upload(sdk(sim), URL)
    assert (caught.value.code, caught.value.retry_after) == ("Throttling.User", 3000)
    assert sim.tasks == []


def test_calls_above_the_rate_are_refused():
    with ImsSimulator(time_scale=1000, rates={"GetUrlUploadInfos": 2}) as sim:
        client = sdk(sim)
        for _ in range(2):
            infos(client, job_ids="deadbeef")
        with pytest.raises(ClientException, match="flow control"):
            infos(client, job_ids="deadbeef")
        sim.advance(1)
        assert infos(client, job_ids="deadbeef").non_exists


def test_server_errors_reach_the_sdk_as_such(sim):
    sim.fail_next("UploadMediaByURL", Fault("status", status=503))
    with pytest.raises(ServerException):
        upload(sdk(sim), URL)


def test_a_captured_request_cannot_be_replayed(sim):
    from clipferry.vendors.alibaba import Acs3Auth

    auth = Acs3Auth(sim.settings.access_key_id, sim.settings.access_key_secret)
    headers = {"x-acs-action": "GetUrlUploadInfos", "x-acs-version": "2020-11-09", "Accept": "application/json"}
    request = requests.Request("POST", sim.url + "/", params={"JobIds": "a"}, headers=headers, auth=auth).prepare()
    with requests.Session() as session:
        assert session.send(request, timeout=5).status_code == 200
        replayed = session.send(request, timeout=5)
    assert (replayed.status_code, replayed.json()["Code"]) == (400, "SignatureNonceUsed")


def test_expected_knows_a_file_by_all_its_names(sim):
    (job,) = upload(sdk(sim), URL).upload_jobs
    expected = sim.expected
    assert expected[URL] == expected[job.job_id] == expected[job.media_id] == expected[URL.partition("?")[0]]
