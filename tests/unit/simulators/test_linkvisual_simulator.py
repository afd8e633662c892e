"""The LinkVisual simulator, judged by Alibaba's own SDK with both of its signature generations, and by hand."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest
import requests
from alibabacloud_linkvisual20180120 import models
from alibabacloud_linkvisual20180120.client import Client
from alibabacloud_tea_openapi.exceptions import (
    AlibabaCloudException,
    ClientException,
    ServerException,
    ThrottlingException,
)
from alibabacloud_tea_openapi.models import Config
from clipferry.vendors.alibaba import Acs3Auth

from local.simulators.alibaba import rpc_signature
from local.simulators.base import Fault
from local.simulators.linkvisual import LinkVisualSimulator


@pytest.fixture
def sim():
    with LinkVisualSimulator(media="small") as simulator:
        yield simulator


def sdk(sim: LinkVisualSimulator, signature: str | None = None, **changes: Any) -> Client:
    secret = {**sim.secret(), **changes}
    return Client(
        Config(
            access_key_id=secret["access_key_id"],
            access_key_secret=secret["access_key_secret"],
            security_token=secret.get("security_token"),
            region_id="cn-shanghai",
            endpoint=sim.url.removeprefix("http://"),
            protocol="HTTP",
            signature_algorithm=signature,
        )
    )


def rpc(sim: LinkVisualSimulator, method: str, form: bool = False, **params: str) -> requests.Response:
    """A call signed the older way, by hand."""
    secret = sim.secret()
    common = {
        "AccessKeyId": secret["access_key_id"],
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": hashlib.md5(str(time.perf_counter_ns()).encode()).hexdigest(),
        "Version": "2018-01-20",
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    given = {**common, **params}
    given.setdefault("Signature", rpc_signature(method, given, secret["access_key_secret"]))
    if form:
        return requests.request(method, sim.url, data=given, timeout=10)
    return requests.request(method, f"{sim.url}/?{urlencode(given, quote_via=quote)}", timeout=10)


# --- the official SDK ---


@pytest.mark.parametrize("signature", [None, "v2"])
def test_the_official_sdk_goes_the_whole_way(sim, signature):
    client, camera = sdk(sim, signature), {"iot_id": "cam 1*~+录像"}
    made = client.trigger_record(
        models.TriggerRecordRequest(record_duration=2000, pre_record_duration=5, stream_type=1, **camera)
    ).body
    assert (made.success, made.code) == (True, "200")
    query = models.QueryRecordByRecordIdRequest(record_id=made.data, **camera)
    assert client.query_record_by_record_id(query).body.data == []
    sim.advance(1803)
    assert len(client.query_record_by_record_id(query).body.data) == 1
    sim.advance(200)
    files = client.query_record_by_record_id(query).body.data
    assert [(f.begin_time < f.end_time, bool(f.vod_url)) for f in files] == [(True, True)] * 2
    wanted = models.QueryRecordDownloadUrlRequest(file_name=files[1].file_name, **camera)
    first = client.query_record_download_url(wanted).body.data
    assert (first.status, first.progress, first.url) == (1, 0, None)
    sim.advance(3)
    assert client.query_record_download_url(wanted).body.data.progress == 50
    sim.advance(3)
    done = client.query_record_download_url(wanted).body.data
    assert (done.status, done.progress) == (0, 100)
    with urllib.request.urlopen(done.url, timeout=10) as answer:
        content = answer.read()
    assert hashlib.sha256(content).hexdigest() == sim.expected[files[1].file_name]["sha256"]
    assert content[4:8] == b"ftyp"
    assert sim.signatures == {"v1" if signature else "v3": 7}


@pytest.mark.parametrize("signature", [None, "v2"])
def test_the_official_sdk_stops_a_recording_and_pages_through_what_there_is(sim, signature):
    client, camera = sdk(sim, signature), {"iot_id": "cam"}
    for _ in range(3):
        made = client.trigger_record(models.TriggerRecordRequest(record_duration=60, **camera)).body.data
    sim.advance(20)
    client.stop_triggered_record(models.StopTriggeredRecordRequest(record_id=made, **camera))
    sim.advance(10)
    now = int(time.time())
    query = {"begin_time": now - 100, "end_time": now + 100, "record_type": 2, **camera}
    stopped = client.query_record(models.QueryRecordRequest(**query)).body.data
    assert len(stopped.list) == 1
    sim.advance(60)
    pages = [
        client.query_record(models.QueryRecordRequest(current_page=page, page_size=2, **query)).body.data.list
        for page in (1, 2, 3)
    ]
    assert [len(page) for page in pages] == [2, 1, 0]
    assert {(f.record_type, f.stream_type, f.file_size > 0) for page in pages for f in page} == {(2, 0, True)}
    other = models.QueryRecordRequest(**{**query, "record_type": 0})
    assert client.query_record(other).body.data.list == []


@pytest.mark.parametrize("signature", [None, "v2"])
def test_business_failures_are_returned_to_the_sdk_and_not_raised(sim, signature):
    client = sdk(sim, signature)
    offline = client.trigger_record(models.TriggerRecordRequest(iot_id="offline-1", record_duration=60)).body
    assert (offline.success, offline.code, offline.error_message) == (False, "403", "device status error.")
    unknown = models.QueryRecordByRecordIdRequest(iot_id="cam", record_id="nobody")
    assert client.query_record_by_record_id(unknown).body.error_message == "Record not exist."
    foreign = models.QueryRecordDownloadUrlRequest(iot_id="foreign-1", file_name="x")
    assert client.query_record_download_url(foreign).body.error_message == "tenant auth error."
    assert sim.tasks == []


@pytest.mark.parametrize("signature", [None, "v2"])
@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (Fault("throttle"), ClientException, "Throttling.User"),
        (Fault("throttle", retry_after=2), ThrottlingException, "Throttling.User"),
        (Fault("status", status=503), ServerException, "ServiceUnavailable"),
        (Fault("refuse", status=400, code="iot.vision.DeviceOffline"), ClientException, "iot.vision.DeviceOffline"),
    ],
)
def test_gateway_errors_become_the_sdks_exceptions(sim, signature, fault, error, code):
    sim.fail_next("TriggerRecord", fault)
    with pytest.raises(error) as raised:
        sdk(sim, signature).trigger_record(models.TriggerRecordRequest(iot_id="cam", record_duration=60))
    assert raised.value.code == code
    assert getattr(raised.value, "retry_after", None) == (2000 if fault.retry_after else None)


@pytest.mark.parametrize("signature", [None, "v2"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"access_key_secret": "wrong"}, "SignatureDoesNotMatch"),
        ({"access_key_id": "nobody"}, "InvalidAccessKeyId.NotFound"),
    ],
)
def test_wrong_keys_are_refused(sim, signature, changes, code):
    with pytest.raises(AlibabaCloudException) as raised:
        sdk(sim, signature, **changes).trigger_record(models.TriggerRecordRequest(iot_id="cam", record_duration=60))
    assert raised.value.code == code
    assert sim.tasks == []


def test_a_security_token_is_demanded_when_the_account_has_one():
    with LinkVisualSimulator(security_token="temporary") as sim:
        request = models.TriggerRecordRequest(iot_id="cam", record_duration=60)
        for signature in (None, "v2"):
            assert sdk(sim, signature).trigger_record(request).body.success
            with pytest.raises(AlibabaCloudException) as raised:
                sdk(sim, signature, security_token="stale").trigger_record(request)
            assert raised.value.code == "InvalidSecurityToken.Malformed"


@pytest.mark.parametrize("signature", [None, "v2"])
def test_a_clock_beyond_the_window_is_refused(sim, signature):
    request = models.TriggerRecordRequest(iot_id="cam", record_duration=60)
    sim.clock.skew = 890
    assert sdk(sim, signature).trigger_record(request).body.success
    sim.clock.skew = 910
    with pytest.raises(AlibabaCloudException) as raised:
        sdk(sim, signature).trigger_record(request)
    assert raised.value.code == "InvalidTimeStamp.Expired"


# --- by hand ---


@pytest.mark.parametrize(("method", "form"), [("GET", False), ("POST", False), ("POST", True)])
def test_the_older_signature_is_verified_wherever_the_parameters_are(sim, method, form):
    given = {
        "Action": "TriggerRecord",
        "Format": "JSON",
        "IotId": "a b+*~/录",
        "RecordDuration": "60",
        "SignatureType": "",
    }
    assert rpc(sim, method, form, **given).json()["Success"] is True
    assert sim.tasks[0]["device"] == "a b+*~/录"
    wrong = rpc(sim, method, form, **given, Signature="d3Jvbmc=")
    assert (wrong.status_code, wrong.json()["Code"]) == (400, "SignatureDoesNotMatch")


def test_xml_is_the_older_clients_default(sim):
    made = ElementTree.fromstring(rpc(sim, "GET", Action="TriggerRecord", IotId="cam", RecordDuration="4000").text)
    assert (made.tag, made.findtext("Success"), made.findtext("Code")) == ("TriggerRecordResponse", "true", "200")
    sim.advance(5000)
    record_id = made.findtext("Data") or ""
    listed = ElementTree.fromstring(
        rpc(sim, "GET", Action="QueryRecordByRecordId", IotId="cam", RecordId=record_id, Format="XML").text
    )
    assert len(listed.findall("Data/FileName")) == len(listed.findall("Data")) == 3
    error = rpc(sim, "GET", Action="TriggerRecord", IotId="cam")
    assert error.status_code == 400
    assert ElementTree.fromstring(error.text).findtext("Code") == "MissingParameter"


def test_a_request_played_again_is_refused(sim):
    secret = sim.secret()
    auth = Acs3Auth(secret["access_key_id"], secret["access_key_secret"])
    headers = {"x-acs-action": "TriggerRecord", "x-acs-version": "2018-01-20"}
    params = {"IotId": "cam", "RecordDuration": "60"}
    request = requests.Request("POST", sim.url, params=params, headers=headers, auth=auth).prepare()
    with requests.Session() as session:
        assert session.send(request, timeout=5).json()["Success"] is True
        again = session.send(request, timeout=5)
        assert (again.status_code, again.json()["Code"]) == (400, "SignatureNonceUsed")
    assert len(sim.tasks) == 1


@pytest.mark.parametrize("change", ["header", "query", "body", "path"])
def test_nothing_signed_may_be_changed_on_the_way(sim, change):
    secret = sim.secret()
    auth = Acs3Auth(secret["access_key_id"], secret["access_key_secret"])
    headers = {"x-acs-action": "TriggerRecord", "x-acs-version": "2018-01-20"}
    params = {"IotId": "cam", "RecordDuration": "60"}
    request = requests.Request("POST", sim.url, params=params, headers=headers, auth=auth).prepare()
    match change:
        case "header":
            request.headers["x-acs-extra"] = "not signed"
        case "query":
            request.url = f"{request.url}0"
        case "body":
            request.prepare_body("a=1", None)
        case "path":
            request.url = (request.url or "").replace("/?", "/x?")
    with requests.Session() as session:
        answer = session.send(request, timeout=5)
    assert answer.json()["Code"] == "SignatureDoesNotMatch"
    assert sim.tasks == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"IotId": "cam", "RecordDuration": "9"}, "InvalidParameter.RecordDuration"),
        ({"IotId": "cam", "RecordDuration": "7201"}, "InvalidParameter.RecordDuration"),
        ({"IotId": "cam", "RecordDuration": "ten"}, "InvalidParameter.RecordDuration"),
        ({"IotId": "cam", "RecordDuration": "60", "PreRecordDuration": "11"}, "InvalidParameter.PreRecordDuration"),
        ({"IotId": "cam", "RecordDuration": "60", "StreamType": "2"}, "InvalidParameter.StreamType"),
        ({"IotId": "cam"}, "MissingParameter"),
        ({"RecordDuration": "60"}, "MissingParameter"),
        ({"ProductKey": "p", "RecordDuration": "60"}, "MissingParameter"),
        ({"IotId": "cam", "RecordDuration": "60", "Version": "2017-01-01"}, "NoSuchVersion"),
        ({"IotId": "cam", "RecordDuration": "60", "Timestamp": "yesterday"}, "InvalidTimeStamp.Format"),
        ({"IotId": "cam", "RecordDuration": "60", "SignatureMethod": "HMAC-MD5"}, "InvalidParameter"),
    ],
)
def test_wrong_parameters_are_refused(sim, params, code):
    assert rpc(sim, "GET", **{"Action": "TriggerRecord", "Format": "JSON", **params}).json()["Code"] == code
    assert sim.tasks == []


def test_an_unknown_operation_is_refused(sim):
    answer = rpc(sim, "GET", Action="MakeCoffee", Format="json")
    assert (answer.status_code, answer.json()["Code"]) == (404, "InvalidAction.NotFound")


def test_too_many_calls_in_a_second_are_refused():
    with LinkVisualSimulator(rates={"TriggerRecord": 2}, throttling_status=429) as sim:
        codes = [
            rpc(sim, "GET", Action="TriggerRecord", Format="json", IotId="cam", RecordDuration="60").status_code
            for _ in range(3)
        ]
        assert codes == [200, 200, 429]
        sim.advance(1.1)
        assert rpc(sim, "GET", Action="TriggerRecord", IotId="cam", RecordDuration="60").status_code == 200


def test_fifty_cameras_record_at_once(sim):
    sim.settings.rates.clear()

    def trigger(number: int) -> str:
        answer = rpc(sim, "POST", Action="TriggerRecord", Format="json", IotId=f"cam-{number}", RecordDuration="60")
        return str(answer.json()["Data"])

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(trigger, range(50)))
    assert len(ids) == len(sim.tasks) == len({e["sha256"] for e in sim.expected.values()}) == 50


def test_its_state_is_json(sim):
    rpc(sim, "GET", Action="TriggerRecord", IotId="cam", RecordDuration="4000")
    state = json.loads(json.dumps(sim.state()))
    assert len(state["expected"]) == 3
    assert state["tasks"][0]["device"] == "cam"
