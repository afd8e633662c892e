"""No URL keeps its query, whatever its characters and whatever text it stands in."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from clipferry.redaction import CUT, DEPTH_SHOWN, bare, redact
from hypothesis import given
from hypothesis import strategies as st

#: Secrets with everything that is legal in a query, and what is not but is seen there. Each part of each must go.
SECRETS = (
    "can'ary",
    'can"ary',
    "can ary",
    "can\nary",
    "can\r\n\tary",
    "can<b>ary</b>",
    "can(ary)[ary]{ary}",
    "can,ary;ary|ary\\ary^ary`ary",
    "can片段ary",
    "can%2Fary%27ary",
    "can/ary?ary#ary",
    "can&u=https://b.example/ary&ary",
    "can=ary==",
    "can.ary, ary",
    "can\u2028ary\u200bary\x00ary",
)
#: Ways to write one URL, its secret in place of {0}.
URLS = (
    "https://a.example/v.mp4?Signature={0}",
    "HTTPS://A.EXAMPLE/v.mp4?{0}",
    "http://a.example?{0}",
    "https://a.example/v.mp4#{0}",
    "https://a.example/my video.mp4?{0}",
    "https://a.example/片段.mp4?{0}",
    "https://a.example:8443/v.mp4?{0}",
    "https://[2001:db8::1]:8443/v.mp4?{0}",
    "//a.example/v.mp4?{0}",
    "https:a.example/v.mp4?{0}",
    "https:/a.example/v.mp4?{0}",
    "https:\\\\a.example\\v.mp4?{0}",
    "ht\ntps://a.exa\nmple/v.mp4?{0}",
    "https:/\n/a.example/v.mp4?{0}",
    "rtsp://a.example/v?{0}",
    "oss+custom.1://a.example/v?{0}",
    "https://u:p@a.example/v.mp4?{0}",
    "https://u:p?{0}@a.example/v.mp4",
    "https://u:p#{0}@a.example/v.mp4",
    "https://u:{0}@a.example/v.mp4?x",
    "a.example/v.mp4?{0}",
    "/v.mp4?{0}",
    "v?sign={0}",
    "https%3A%2F%2Fa.example%2Fv.mp4%3Fsign%3D{0}",
    "https%3a%2f%2fa.example%2fv.mp4%3f{0}",
    "https%253A%252F%252Fa.example%252Fv.mp4%253Fsign%253D{0}",
    "https://b.example/to/https%3A%2F%2Fa.example%2Fv.mp4%3Fsign%3D{0}",
    "https:\\/\\/a.example\\/v.mp4?{0}",
    "https:\\u002f\\u002fa.example\\u002fv.mp4\\u003f{0}",
    "https:&#x2F;&#47;a.example&#47;v.mp4&#63;{0}",
    "https://a.example/v.mp4？{0}",
)
TEXTS = (
    "{0}",
    " {0}",
    "GET {0} failed: 403",
    '{{"url": "{0}", "code": 3}}',
    "<a href='{0}'>here</a>",
    "({0})",
    "first https://b.example/x.mp4, then {0}",
)


@pytest.mark.parametrize("url", URLS)
def test_nothing_of_a_query_stays_whatever_it_holds_and_wherever_it_stands(url: str) -> None:
    for secret in SECRETS:
        for text in TEXTS:
            planted = text.format(url.format(secret))
            assert "ary" not in redact(planted), planted
            assert "can" not in redact(planted), planted


PASSWORDS = ("can'ary", "can@ary", "can/ary", "can?ary", "can#ary", "can ary", "can%40ary", "1")
PIECES = ("https://", "/", "\\/", "https:", "@//", "//a:", "?a", "/a", "?", "#", "%25", "%3A", "&#0", "\\u00", "//\n")


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_password_of_a_url_stays(password: str) -> None:
    for user in ("u", "", "u@x"):
        shown = redact(f"asked https://{user}:{password}@a.example/v.mp4 twice")
        assert not [part for part in ("can", "ary", f":{password}") if part in shown], shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a.example/v.mp4?Signature=abc", "https://a.example/v.mp4"),
        ("https://a.example/v.mp4", "https://a.example/v.mp4"),
        ("https://a.example:8443 gave nothing", "https://a.example:8443 gave nothing"),
        ("https://a.example: connection reset", "https://a.example: connection reset"),
        ("https://user:pw@a.example/v.mp4", "https://a.example/v.mp4"),
        ("GET https://a.example/v.mp4?Signature=abc#f failed", "GET https://a.example/v.mp4…"),
        ("s3://videos/site a/gate(3)/v.mp4", "s3://videos/site a/gate(3)/v.mp4"),
        ("schedule#nightly", "schedule#nightly"),
        ("camera #3: is it on? no", "camera #3: is it on? no"),
        ("a/b, c#1", "a/b, c#1"),
        ("", ""),
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text(), st.text(min_size=1))
def test_redacted_twice_is_redacted_once(before: str, after: str) -> None:
    once = redact(f"{before}https://a.example/v?{after}")
    assert redact(once) == once


@pytest.mark.parametrize("piece", [*PIECES, "a@", " "])
def test_a_long_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    def seconds(length: int) -> float:
        text, best = piece * (length // len(piece)), 60.0
        for _ in range(3):
            started = time.process_time()
            redact(text)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(256_000) < 10 * max(seconds(64_000), 0.002)


def test_keys_and_whatever_a_value_holds_are_redacted() -> None:
    signed = "https://a.example/v?canary"

    class Strange:
        def __str__(self) -> str:
            return signed

    value = {signed: [signed, (signed, {"x": signed})], "n": 1, "t": True, "f": 1.5, "none": None, "o": Strange()}

    shown = bare(value)

    assert "canary" not in json.dumps(shown)
    assert (shown["n"], shown["t"], shown["f"], shown["none"]) == (1, True, 1.5, None)


def test_a_value_nested_without_end_is_shown_as_far_as_it_goes() -> None:
    deep: Any = "https://a.example/v?canary"
    for _ in range(100_000):
        deep = [deep]

    shown = json.dumps(bare(deep))

    assert shown == "[" * DEPTH_SHOWN + json.dumps(CUT) + "]" * DEPTH_SHOWN
