"""Wangsu's signature: the published vectors, and the vendor's own signing code on requests nobody thought of."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from clipferry.vendors.cloudv.gateway import CNC, WS3, Scheme, canonical_request, scheme_of, sign, signed_headers
from clipferry.vendors.contract import Account, VendorRefused
from hypothesis import given
from hypothesis import strategies as st
from wangsu.common.auth.AkSkAuth import AkSkAuth
from wangsu.common.auth.HttpRequestMsg import HttpRequestMsg
from wangsu.common.Constant.Constant import Constant

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "wangsu_polyv.json").read_text())
HOST, SECRET, AT = "api.cloudv.haplat.net", "testSecretKey0001", 1700000000
QUERY, PULL = "/vod/videoManage/pullVideoQuery", "/vod/videoManage/pullVideo"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.parametrize(
    ("vector", "method", "path", "query", "content_type"),
    [
        ("ws3_1", "POST", QUERY, "", f"{JSON}; charset=utf-8"),
        ("ws3_2", "POST", PULL, "", f"{FORM}; charset=utf-8"),
        ("ws3_3_GET", "GET", QUERY, "taskId=983af870015e10001885297a00000000", FORM),
    ],
)
def test_published_vectors_are_reproduced(vector, method, path, query, content_type):
    expected = VECTORS[vector]
    canonical = canonical_request(method, path, query, content_type, HOST, expected.get("body", "").encode())
    assert canonical == expected["canonical_request"]
    assert sign(WS3, SECRET, AT, canonical) == expected["signature"]


def test_the_official_clients_headers_are_reproduced():
    body = VECTORS["ws3_1"]["body"].encode()
    ours = signed_headers(CNC, "testAccessKey0001", SECRET, "POST", VECTORS["cnc_sdk"]["url"], JSON, body, AT)
    assert {k.lower(): v for k, v in ours.items()} == {k.lower(): v for k, v in VECTORS["cnc_sdk"]["headers"].items()}
    ws3 = signed_headers(WS3, "testAccessKey0001", SECRET, "POST", VECTORS["cnc_sdk"]["url"], JSON, body, AT)
    assert ws3["Authorization"].endswith("Signature=" + VECTORS["ws3_via_sdk_json_ct"]["signature"])


hosts = st.from_regex(r"[A-Za-z0-9-]{1,20}(\.[a-z]{2,5}){1,2}(:[0-9]{2,5})?", fullmatch=True)
queries = st.text(st.characters(codec="ascii", min_codepoint=33, exclude_characters="#?"), max_size=40)
content_types = st.sampled_from([JSON, FORM, f"{JSON}; charset=UTF-8", f"{FORM};charset=utf-8"])


@given(
    st.sampled_from([WS3, CNC]),
    st.sampled_from(["GET", "POST"]),
    hosts,
    queries,
    content_types,
    st.text(),
    st.text(min_size=1),
    st.integers(0, 2**33),
)
def test_any_request_is_signed_as_the_official_code_signs_it(
    scheme, method, host, query, content_type, body, secret, at
):
    before = Constant.HEAD_SIGN_ALGORITHM
    message = HttpRequestMsg()
    message.method, message.uri, message.body = method, f"{PULL}?{query}", body if method == "POST" else None
    message.headers = {"Content-Type": content_type, "Host": host}
    try:
        Constant.HEAD_SIGN_ALGORITHM = scheme.label
        official = AkSkAuth.get_signature(message, secret, str(at))
    finally:
        Constant.HEAD_SIGN_ALGORITHM = before
    sent = body.encode() if method == "POST" else b""
    assert sign(scheme, secret, at, canonical_request(method, PULL, query, content_type, host, sent)) == official


def test_the_port_is_part_of_what_is_signed():
    url = f"http://127.0.0.1:9003{QUERY}"
    headers = signed_headers(WS3, "ak", "sk", "POST", url, JSON, b"{}", AT)
    assert headers["Host"] == "127.0.0.1:9003"
    expected = sign(WS3, "sk", AT, canonical_request("POST", QUERY, "", JSON, "127.0.0.1:9003", b"{}"))
    assert headers["Authorization"].endswith(f"Signature={expected}")


def account(**secret: str) -> Account:
    return Account("cloudv", {"access_key": "ak", "secret_key": "sk", **secret})


@pytest.mark.parametrize(
    ("secret", "scheme"),
    [
        ({}, WS3),
        ({"endpoint": "https://api.cloudv.haplat.net"}, WS3),
        ({"endpoint": "https://open.chinanetcenter.com"}, CNC),
        ({"endpoint": "https://api.cdnetworks.com/"}, CNC),
        ({"endpoint": "https://evilapi.cdnetworks.com.example.com"}, WS3),
        ({"endpoint": "http://127.0.0.1:9003", "auth": "cnc"}, CNC),
        ({"endpoint": "https://api.cdnetworks.com", "auth": "WS3"}, WS3),
    ],
)
def test_the_account_decides_how_it_is_signed(secret, scheme):
    assert scheme_of(account(**secret)) is scheme


def test_an_unknown_scheme_is_the_accounts_fault():
    with pytest.raises(VendorRefused) as caught:
        scheme_of(account(auth="basic"))
    assert caught.value.kind == "ACCOUNT_MALFORMED"


@pytest.mark.parametrize("scheme", [WS3, CNC])
def test_each_gateway_gets_the_body_that_its_documentation_shows(scheme: Scheme):
    parameters = {"fileList": "W10=", "fetchTs": 0}
    content_type, body = scheme.encode(parameters)
    if content_type == JSON:
        assert json.loads(body) == parameters
    else:
        assert parse_qs(body.decode()) == {"fileList": ["W10="], "fetchTs": ["0"]}
