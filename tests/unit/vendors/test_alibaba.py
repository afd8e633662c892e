"""Alibaba's RPC calls: the signature against vectors and the official code; what the gateway's errors are taken for."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
from alibabacloud_openapi_util.client import Client as OpenApiUtil
from alibabacloud_tea_openapi.utils import Utils
from clipferry.outbound.client import AddressRefused, Headers, NoReply, NotSent, Outbound, Reply
from clipferry.vendors.alibaba import Acs3Auth, RpcClient, authorization
from clipferry.vendors.contract import (
    Account,
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from local.simulators.alibaba import rpc_signature
from local.simulators.base import Fault
from local.simulators.linkvisual import LinkVisualSimulator

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "alibaba.json").read_text())
KEY_ID, SECRET = "testAccessKeyId", "testAccessKeySecret"
EMPTY = hashlib.sha256(b"").hexdigest()
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9.]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PARAMS = st.dictionaries(NAMES, VALUES, max_size=6)


def signed_request(params: dict[str, str], data: str | None = None, **options: Any) -> requests.PreparedRequest:
    auth = Acs3Auth(
        KEY_ID, SECRET, now=lambda: datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), nonce=lambda: "n" * 32, **options
    )
    headers = {"x-acs-action": "TriggerRecord", "x-acs-version": "2018-01-20"}
    if data is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    url = "https://linkvisual.cn-shanghai.aliyuncs.com/"
    return requests.Request("POST", url, params=params, data=data, headers=headers, auth=auth).prepare()


# --- signatures ---


@pytest.mark.parametrize("name", ["v3_1_TriggerRecord", "v3_2_GetUrlUploadInfos"])
def test_the_acs3_vectors_are_reproduced(name):
    vector = VECTORS[name]
    url = f"https://{vector['headers']['host']}/?{urlencode(vector['query'])}"
    headers = {"x-acs-content-sha256": EMPTY, **vector["headers"]}
    assert authorization("POST", url, headers, EMPTY, KEY_ID, SECRET) == vector["authorization"]


def test_the_published_acs3_vector_is_reproduced():
    query = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": EMPTY,
    }
    url = f"https://ecs.cn-shanghai.aliyuncs.com/?{urlencode(query)}"
    signed = authorization("POST", url, headers, EMPTY, "YourAccessKeyId", "YourAccessKeySecret")
    assert signed.endswith("Signature=" + VECTORS["published_v3_doc"]["want"])


@pytest.mark.parametrize(
    ("name", "method"), [("rpc_1_TriggerRecord_POST", "POST"), ("rpc_2_QueryRecordDownloadUrl_GET", "GET")]
)
def test_the_older_signature_that_the_simulator_verifies_reproduces_its_vectors(name, method):
    assert rpc_signature(method, VECTORS[name]["params"], SECRET) == VECTORS[name]["signature"]


@pytest.mark.parametrize(
    ("vector", "secret", "params"),
    [
        (
            "published_rpc_vod_doc",
            "testAccessKeySecret",
            {
                "AccessKeyId": "testAccessKeyId",
                "Action": "GetVideoPlayAuth",
                "Format": "JSON",
                "Version": "2017-03-21",
                "SignatureNonce": "8f8a035d-6496-4268-afd4-67c22837e38d",
                "Timestamp": "2017-10-10T12:02:54Z",
                "VideoId": "5aed81b74ba84920be578cdfe004af4b",
            },
        ),
        (
            "published_rpc_ecs_doc",
            "testsecret",
            {
                "AccessKeyId": "testid",
                "Action": "DescribeDedicatedHosts",
                "Format": "JSON",
                "RegionId": "cn-beijing",
                "SignatureNonce": "edb2b34af0af9a6d14deaf7c1a5315eb",
                "Timestamp": "2023-03-13T08:34:30Z",
                "Version": "2014-05-26",
            },
        ),
    ],
)
def test_the_published_vectors_of_the_older_signature_are_reproduced(vector, secret, params):
    common = {"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0"}
    assert rpc_signature("GET", {**common, **params}, secret) == VECTORS[vector]["want"]


@settings(max_examples=200, deadline=None)
@given(params=PARAMS, token=st.sampled_from([None, "temporary-token"]))
def test_any_query_is_signed_as_the_official_code_signs_it(params, token):
    request = signed_request(params, security_token=token)
    headers = {n.lower(): v for n, v in request.headers.items() if n.lower().startswith("x-acs-") or n == "Host"}
    theirs = SimpleNamespace(method="POST", pathname="/", query=params, headers=headers)
    assert request.headers["Authorization"] == Utils.get_authorization(
        theirs, "ACS3-HMAC-SHA256", EMPTY, KEY_ID, SECRET
    )
    assert ("x-acs-security-token" in headers) == bool(token)


@settings(max_examples=100, deadline=None)
@given(params=PARAMS)
def test_any_form_is_signed_as_the_official_code_signs_it(params):
    body = urlencode(params)
    request = signed_request({}, data=body)
    payload = hashlib.sha256(body.encode()).hexdigest()
    wanted = ("host", "content-type")
    headers = {
        n.lower(): v for n, v in request.headers.items() if n.lower().startswith("x-acs-") or n.lower() in wanted
    }
    theirs = SimpleNamespace(method="POST", pathname="/", query={}, headers=headers)
    assert headers["x-acs-content-sha256"] == payload
    assert request.headers["Authorization"] == Utils.get_authorization(
        theirs, "ACS3-HMAC-SHA256", payload, KEY_ID, SECRET
    )


@settings(max_examples=100, deadline=None)
@given(params=PARAMS, method=st.sampled_from(["GET", "POST"]))
def test_the_simulator_verifies_what_the_official_code_signs_in_the_older_way(params, method):
    assert rpc_signature(method, params, SECRET) == OpenApiUtil.get_rpcsignature(params, method, SECRET)


def test_each_use_has_a_nonce_of_its_own():
    auth = Acs3Auth(KEY_ID, SECRET)
    nonces = set()
    for _ in range(3):
        request = requests.Request("POST", "http://127.0.0.1:9001/", auth=auth).prepare()
        nonces.add(request.headers["x-acs-signature-nonce"])
        assert request.headers["Host"] == "127.0.0.1:9001"
    assert len(nonces) == 3


# --- calls ---


class Scripted:
    """An outbound that answers from a list, signs like the real one and remembers what was sent."""

    def __init__(self, *answers: Reply | Exception) -> None:
        self.answers, self.sent = list(answers), []
        self.origin = self

    def call(self, method, url, *, hosts, params=None, data=None, headers=None, auth=None, operation=""):
        request = requests.Request(method, url, params=params, data=data, headers=headers, auth=auth).prepare()
        self.sent.append((request, list(hosts)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, Headers([(k.replace("_", "-"), v) for k, v in headers.items()]), content)


def client(*answers: Reply | Exception, **secret: str) -> tuple[RpcClient, Scripted]:
    outbound = Scripted(*answers)
    account = Account("a", {"access_key_id": KEY_ID, "access_key_secret": SECRET, **secret})
    endpoint = "https://linkvisual.cn-shanghai.aliyuncs.com"
    return RpcClient(account, outbound, endpoint=endpoint, hosts=["linkvisual.cn-shanghai.aliyuncs.com"]), outbound


def refused(status: int, code: str, message: str = "said", **headers: str) -> Reply:
    return reply({"RequestId": "R-1", "Code": code, "Message": message}, status, **headers)


def call(rpc: RpcClient) -> dict[str, Any]:
    return rpc.call("TriggerRecord", "2018-01-20", {"IotId": "cam", "RecordDuration": 60, "StreamType": None})


def test_parameters_travel_in_the_query_and_absent_ones_not_at_all():
    rpc, outbound = client(reply({"Data": 1}))
    assert call(rpc) == {"Data": 1}
    request, _ = outbound.sent[0]
    assert dict(parse_qsl(urlsplit(request.url).query)) == {"IotId": "cam", "RecordDuration": "60"}
    assert request.headers["x-acs-action"] == "TriggerRecord"
    assert request.headers["x-acs-version"] == "2018-01-20"


def test_long_parameters_travel_as_a_form():
    rpc, outbound = client(reply({}))
    rpc.call("UploadMediaByURL", "2020-11-09", {"UploadURLs": "u" * 9000})
    request, _ = outbound.sent[0]
    assert urlsplit(request.url).query == ""
    assert dict(parse_qsl(request.body)) == {"UploadURLs": "u" * 9000}


def test_an_endpoint_of_the_account_is_used_and_allowed():
    rpc, outbound = client(reply({}), endpoint="http://127.0.0.1:9001")
    call(rpc)
    request, hosts = outbound.sent[0]
    assert request.url.startswith("http://127.0.0.1:9001/?")
    assert "127.0.0.1" in hosts


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(404, "InvalidAccessKeyId.NotFound"), VendorAuthFailed),
        (refused(403, "SignatureDoesNotMatch"), VendorAuthFailed),
        (refused(400, "InvalidSecurityToken.Expired"), VendorAuthFailed),
        (refused(403, "Forbidden.RAM"), VendorAuthFailed),
        (refused(403, "NoPermission"), VendorAuthFailed),
        (refused(403, "OperationDenied.Suspended"), VendorRefused),
        (refused(403, "Forbidden.RiskControl"), VendorRefused),
        (refused(400, "MissingParameter"), VendorRefused),
        (refused(400, "InvalidParameter.UploadURLs"), VendorRefused),
        (refused(404, "InvalidAction.NotFound"), VendorRefused),
        (refused(400, "Throttling"), VendorThrottled),
        (refused(503, "Throttling.User"), VendorThrottled),
        (refused(429, "iot.vision.RequestTrafficControl"), VendorThrottled),
        (reply(b"slow down", 429), VendorThrottled),
        (refused(500, "InternalError"), VendorUnavailable),
        (refused(503, "ServiceUnAvailable"), VendorUnavailable),
        (refused(400, "ServiceUnavailable"), VendorUnavailable),
        (reply(b"<html>bad gateway</html>", 502), VendorUnavailable),
        (reply(b"<html>welcome</html>"), VendorUnavailable),
        (reply(b""), VendorUnavailable),
        (reply(b'{"RequestId": "tru'), VendorUnavailable),
        (reply(b"[" * 100_000), VendorUnavailable),
        (reply([1, 2]), VendorUnavailable),
        (reply(b"<html>forbidden</html>", 403), VendorUnavailable),
        (reply(b"", 302, Location="http://elsewhere"), VendorUnavailable),
    ],
)
def test_each_failing_reply_becomes_its_error(answer, error):
    rpc, _ = client(answer)
    with pytest.raises(error) as raised:
        call(rpc)
    assert type(raised.value) is error


def test_a_refusal_keeps_the_vendors_code_words_and_request_id():
    rpc, _ = client(refused(400, "InvalidParameter.UploadURLs", "Specified parameter UploadURLs is not valid."))
    with pytest.raises(VendorRefused) as raised:
        call(rpc)
    assert raised.value.code == "InvalidParameter.UploadURLs"
    assert raised.value.request_id == "R-1"
    assert raised.value.message == "TriggerRecord: Specified parameter UploadURLs is not valid."


def test_the_text_that_was_signed_and_urls_with_queries_are_never_repeated():
    words = "no match https://x.example/a?Signature=zzz server string to sign is:SecurityToken%3Dprivate"
    rpc, _ = client(refused(400, "SignatureDoesNotMatch", words))
    with pytest.raises(VendorAuthFailed) as raised:
        call(rpc)
    assert "private" not in raised.value.message
    assert "zzz" not in raised.value.message


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"x_acs_retry_after": "1500"}, 1.5), ({"Retry_After": "7"}, 7.0), ({}, None)]
)
def test_the_gateways_hint_when_to_come_back_is_passed_on(headers, seconds):
    rpc, _ = client(refused(429, "Throttling.User", **headers))
    with pytest.raises(VendorThrottled) as raised:
        call(rpc)
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    ("trouble", "error", "reached"),
    [
        (NotSent("cannot connect to x"), VendorUnavailable, False),
        (NoReply("x did not answer in time"), VendorUnavailable, True),
        (AddressRefused("refused host x"), VendorRefused, None),
    ],
)
def test_trouble_on_the_way_says_whether_the_vendor_was_reached(trouble, error, reached):
    rpc, _ = client(trouble)
    with pytest.raises(error) as raised:
        call(rpc)
    assert getattr(raised.value, "reached", None) is reached
    assert reached is not None or raised.value.kind == "ADDRESS_REFUSED"


def test_a_clock_that_is_off_is_corrected_by_the_replys_date_and_stays_corrected():
    expired = refused(400, "InvalidTimeStamp.Expired", Date="Sat, 21 Nov 2026 02:00:00 GMT")
    rpc, outbound = client(expired, reply({}), reply({}))
    call(rpc)
    call(rpc)
    dates = [request.headers["x-acs-date"] for request, _ in outbound.sent]
    assert len(dates) == 3
    assert all(date.startswith("2026-11-21T02:00:0") for date in dates[1:])


def test_a_clock_that_cannot_be_corrected_is_trouble_after_a_bounded_number_of_calls():
    expired = refused(400, "InvalidTimeStamp.Expired", Date="Sat, 21 Nov 2026 02:00:00 GMT")
    rpc, outbound = client(*[expired] * 9)
    with pytest.raises(VendorUnavailable):
        call(rpc)
    assert len(outbound.sent) == 3


def test_a_nonce_that_was_used_is_replaced_by_a_new_one():
    rpc, outbound = client(refused(400, "SignatureNonceUsed"), reply({"Data": "id"}))
    assert call(rpc) == {"Data": "id"}
    nonces = {request.headers["x-acs-signature-nonce"] for request, _ in outbound.sent}
    assert len(nonces) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ERRORS = st.fixed_dictionaries({}, optional={name: JSON for name in ("Code", "Message", "RequestId", "ErrorMessage")})


@settings(max_examples=300, deadline=None)
@given(body=ERRORS | JSON, status=st.sampled_from([200, 204, 301, 400, 401, 403, 404, 429, 500, 503]), hint=st.text())
def test_no_reply_whatever_raises_anything_but_the_contracts_errors(body, status, hint):
    rpc, _ = client(*[reply(body, status, x_acs_retry_after=hint, Date=hint)] * 3)
    with suppress(VendorError):
        assert call(rpc) == body


# --- over the wire ---


def test_calls_are_accepted_by_a_gateway_that_verifies_everything():
    with LinkVisualSimulator(security_token="temporary") as sim:
        rpc = RpcClient(Account("a", sim.secret()), Outbound(allow_private=True), endpoint="", hosts=[])
        odd = {"IotId": "a b+c&d=e~*/录像", "RecordDuration": "60"}
        assert rpc.call("TriggerRecord", "2018-01-20", odd)["Success"] is True
        assert rpc.call("TriggerRecord", "2018-01-20", {**odd, "Padding": "录" * 5000})["Success"] is True
        assert sim.tasks[0]["device"] == sim.tasks[1]["device"] == odd["IotId"]


@pytest.mark.parametrize("skew", [-86_400, 3600])
def test_a_gateway_in_another_hour_is_met(skew):
    with LinkVisualSimulator() as sim:
        sim.clock.skew = skew
        rpc = RpcClient(Account("a", sim.secret()), Outbound(allow_private=True), endpoint="", hosts=[])
        for _ in range(2):
            rpc.call("TriggerRecord", "2018-01-20", {"IotId": "cam", "RecordDuration": 60})
        assert sim.calls["TriggerRecord"] == 3
        assert len(sim.tasks) == 2


def test_throttling_over_the_wire_carries_its_hint():
    with LinkVisualSimulator() as sim:
        sim.fail_next("TriggerRecord", Fault("throttle", retry_after=2.5))
        rpc = RpcClient(Account("a", sim.secret()), Outbound(allow_private=True), endpoint="", hosts=[])
        with pytest.raises(VendorThrottled) as raised:
            call(rpc)
        assert raised.value.retry_after == 2.5
