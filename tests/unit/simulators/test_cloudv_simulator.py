"""The Cloud VoD simulator, seen by the vendor's own client and by anybody with curl."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
import requests
from wangsu.common.auth.AkSkAuth import AkSkAuth
from wangsu.common.auth.AkSkConfig import AkSkConfig
from wangsu.common.Constant.Constant import Constant
from wangsu.uploadassets import models

from local.simulators.cloudv import CloudVSimulator
from local.simulators.faults import Fault

FILES = [{"fetchUrl": "https://source.example.com/a.mp4", "fileName": "a.mp4"}]
QUERY, PULL = "/vod/videoManage/pullVideoQuery", "/vod/videoManage/pullVideo"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.fixture
def sim() -> Iterator[CloudVSimulator]:
    with CloudVSimulator() as simulator:
        yield simulator


def file_list(*files: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(files or FILES).encode()).decode()


def call(
    sim: CloudVSimulator,
    path: str,
    parameters: Any,
    *,
    method: str = "POST",
    content_type: str = FORM,
    key: str = "simCloudVKey",
    secret: str = "simCloudVSecret",
    at: float = 0.0,
    **headers: str,
) -> Any:
    """A request signed by the page's own words, apart from both the client's and the simulator's code."""
    text = parameters if isinstance(parameters, str) else urlencode(parameters)
    body, query = (text, "") if method == "POST" else ("", text)
    host, timestamp = sim.url.removeprefix("http://"), str(int(time.time() + at))
    canonical = (
        f"{method}\n{path}\n{unquote(query)}\ncontent-type:{content_type.lower()}\nhost:{host}\n\ncontent-type;host\n"
        + hashlib.sha256(body.encode()).hexdigest()
    )
    to_sign = f"WS3-HMAC-SHA256\n{timestamp}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = f"WS3-HMAC-SHA256 Credential={key}, SignedHeaders=content-type;host, Signature={signature}"
    sent = {
        "Content-Type": content_type,
        "X-WS-AccessKey": key,
        "X-WS-Timestamp": timestamp,
        "Authorization": authorization,
        **headers,
    }
    return requests.request(method, sim.url + path, params=query or None, data=body or None, headers=sent, timeout=5)


# --- the vendor's own client ---


def sdk(sim: CloudVSimulator, path: str, request: Any, secret: str = "simCloudVSecret") -> dict[str, Any]:
    config = AkSkConfig()
    config.access_key, config.secret_key = "simCloudVKey", secret
    config.end_point, config.uri, config.method = sim.url.removeprefix("http://"), path, "POST"
    return json.loads(AkSkAuth.invoke(config, json.dumps(request.to_map())))


@pytest.fixture(params=["cnc", "ws3"])
def _generation(request, monkeypatch) -> None:
    """The client speaks CNC; with three constants changed it speaks WS3."""
    monkeypatch.setattr(Constant, "HTTPS_REQUEST_PREFIX", "http://")
    if request.param == "ws3":
        monkeypatch.setattr(Constant, "HEAD_SIGN_ALGORITHM", "WS3-HMAC-SHA256")
        monkeypatch.setattr(Constant, "HEAD_SIGN_ACCESS_KEY", "X-WS-AccessKey")
        monkeypatch.setattr(Constant, "HEAD_SIGN_TIMESTAMP", "X-WS-Timestamp")


@pytest.mark.usefixtures("_generation")
def test_the_official_client_submits_a_task_and_sees_it_through():
    with CloudVSimulator(spelling="numbers") as sim:
        pull = models.PullVideoRequest(trans_no="0" * 32, file_list=file_list(), cmd="{workflowCode:hls}")
        reply = sdk(sim, PULL, pull)
        submitted = models.PullVideoResponse().from_map(reply)
        submitted.validate()
        assert (submitted.code, submitted.data.tran_no) == (200, "0" * 32)
        running = sdk(sim, QUERY, models.PullVideoQueryRequest(task_id=submitted.data.task_id))
        assert (running["data"]["status"], running["data"]["items"][0]["videoInfo"]) == (1, None)
        sim.advance(60)
        done = models.PullVideoQueryResponse().from_map(
            sdk(sim, QUERY, models.PullVideoQueryRequest(trans_no="0" * 32))
        )
        done.data.items[0].md_5 = ""  # its validate() wants every field, also those the vendor leaves empty
        done.validate()
        item = done.data.items[0]
        assert (done.data.status, item.pull_status, item.cmd_status) == (2, 2, 2)
        assert [file.clarity for file in item.video_info.video_file_list] == [1, 2, 3, 4]


@pytest.mark.usefixtures("_generation")
def test_the_official_client_with_a_wrong_secret_is_refused(sim):
    request = models.PullVideoQueryRequest(task_id="x")
    assert sdk(sim, QUERY, request, secret="another")["code"] == 403


# --- signatures and the clock ---


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_form_parameters_are_taken_from_query_and_body(sim, method):
    reply = call(sim, PULL, {"fileList": file_list(), "transNo": "t1"}, method=method).json()
    assert (reply["code"], reply["data"]["tranNo"]) == (200, "t1")


@pytest.mark.parametrize("body", ['{"transNo": "t1"}', '{transNo:"t1"}'])
def test_json_is_read_with_and_without_quoted_keys(sim, body):
    call(sim, PULL, {"fileList": file_list(), "transNo": "t1"})
    assert call(sim, QUERY, body, content_type="application/json; charset=utf-8").json()["data"]["transNo"] == "t1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another"},
        {"key": "another"},
        {"at": -301},
        {"at": 301},
        {"Authorization": ""},
        {"X-WS-AccessKey": "another"},
        {"Authorization": "WS3-HMAC-SHA256 Credential=simCloudVKey"},
        {"Content-Type": "application/json"},
    ],
)
@pytest.mark.parametrize(("auth_reply", "expected"), [("401", (401, 401)), ("403", (403, 403)), ("200", (200, 1301))])
def test_a_wrong_signature_or_clock_is_refused(wrong, auth_reply, expected):
    with CloudVSimulator(auth_reply=auth_reply) as sim:
        reply = call(sim, PULL, {"fileList": file_list()}, **wrong)
        assert (reply.status_code, reply.json()["code"]) == expected
        assert "Date" in reply.headers
        assert sim.tasks == []


def test_five_minutes_less_a_second_are_accepted(sim):
    assert call(sim, PULL, {"fileList": file_list()}, at=-298).json()["code"] == 200


# --- parameters ---


@pytest.mark.parametrize(
    "encoded",
    [
        file_list(*FILES),
        file_list(*FILES).rstrip("="),
        base64.encodebytes(json.dumps(FILES * 9).encode()).decode(),
        base64.b64encode(json.dumps(FILES).encode()).decode(),
    ],
)
def test_file_lists_are_decoded_leniently(sim, encoded):
    assert call(sim, PULL, {"fileList": encoded}).json()["code"] == 200


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"fileList": "%%%"},
        {"fileList": base64.b64encode(b"{}").decode()},
        {"fileList": file_list(*FILES * 51)},
        {"fileList": file_list({"fetchUrl": "ftp://x/y.mp4"})},
        {"fileList": file_list({"fileName": "x"})},
        {"fileList": file_list(), "transNo": "x" * 33},
    ],
)
def test_a_bad_file_list_is_a_parameter_error_over_http_200(sim, parameters):
    reply = call(sim, PULL, parameters)
    assert (reply.status_code, reply.json()["code"]) == (200, 1000)


@pytest.mark.parametrize(("setting", "expected"), [("reject", (1000, 1)), ("same", (200, 1))])
def test_a_trans_no_makes_one_task(setting, expected):
    with CloudVSimulator(reused_trans_no=setting) as sim:
        parameters = {"fileList": file_list(), "transNo": "t1"}
        call(sim, PULL, parameters)
        assert (call(sim, PULL, parameters).json()["code"], len(sim.tasks)) == expected


def test_an_md5_that_is_not_the_sources_fails_the_item(sim):
    url = FILES[0]["fetchUrl"]
    good, bad = {"fetchUrl": url, "md5": sim.source_md5(url)}, {"fetchUrl": url, "md5": "0" * 32}
    call(sim, PULL, {"fileList": file_list(good, bad), "transNo": "t"})
    sim.advance(60)
    items = call(sim, QUERY, {"transNo": "t"}).json()["data"]["items"]
    assert [int(item["pullStatus"]) for item in items] == [2, 3]


# --- limits ---


@pytest.mark.parametrize(("reply", "expected"), [("429", (429, 429)), ("403", (403, 403)), ("code", (200, 429))])
def test_too_many_calls_are_refused_and_punished(reply, expected):
    with CloudVSimulator(rate_limit=3, rate_reply=reply, rate_hint=7, punish_seconds=600) as sim:
        assert [call(sim, QUERY, {"taskId": "x"}).json()["code"] for _ in range(3)] == [1000] * 3
        refused = call(sim, QUERY, {"taskId": "x"})
        assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (*expected, "7")
        sim.advance(310)
        assert call(sim, QUERY, {"taskId": "x"}).json()["code"] != 1000
        sim.advance(600)
        assert call(sim, QUERY, {"taskId": "x"}).json()["code"] == 1000


def test_each_operation_may_have_a_limit_of_its_own():
    with CloudVSimulator(operation_limit=2) as sim:
        assert [call(sim, QUERY, {"taskId": "x"}).json()["code"] for _ in range(3)] == [1000, 1000, 429]
        assert call(sim, PULL, {"fileList": file_list()}).json()["code"] == 200


# --- what is served ---


@pytest.mark.parametrize("style", ["relative", "absolute", "signed"])
def test_every_file_of_a_finished_task_can_be_fetched_and_is_what_was_expected(style):
    with CloudVSimulator(url_style=style, always_transcode=True) as sim:
        call(sim, PULL, {"fileList": file_list(), "transNo": "t"})
        sim.advance(60)
        files = call(sim, QUERY, {"transNo": "t"}).json()["data"]["items"][0]["videoInfo"]["videoFileList"]
        base = sim.secret()["media_base_url"] if style == "relative" else ""
        original = requests.get(base + files[0]["fileUrl"], timeout=5).content
        expected = sim.expected[FILES[0]["fetchUrl"] + "#1"]
        assert hashlib.sha256(original).hexdigest() == expected["sha256"]
        assert int(files[0]["fileSize"]) == expected["size"]
        for file in files[1:]:
            assert requests.get(base + file["fileUrl"], timeout=5).text.startswith("#EXTM3U")


def test_publish_codes_name_absolute_urls_and_their_errors(sim):
    call(sim, PULL, {"fileList": file_list(), "transNo": "t"})
    path, video = "/vod/videoManage/getPublishCode", sim.tasks[0].items[0].video_id
    assert call(sim, path, {"videoId": video, "codeType": "4"}).json()["code"] == 1502
    sim.advance(60)
    urls = call(sim, path, {"videoId": video, "codeType": "4"}).json()["data"]["videoUrl"]
    assert requests.get(urls[1]["originUrl"], timeout=5).status_code == 200
    assert call(sim, path, {"videoId": video, "codeType": "9"}).json()["code"] == 1532
    assert call(sim, path, {"codeType": "4"}).json()["code"] == 1503


def test_faults_are_told_in_the_vendors_words(sim):
    sim.fail_next("pullVideoQuery", Fault("throttle", retry_after=5))
    sim.fail_next("pullVideoQuery", Fault("refuse", code="1301"))
    throttled, refused = (call(sim, QUERY, {"taskId": "x"}) for _ in range(2))
    assert (throttled.status_code, throttled.json()["code"], throttled.headers["Retry-After"]) == (429, 429, "5")
    assert (refused.status_code, refused.json()["code"]) == (200, 1301)
