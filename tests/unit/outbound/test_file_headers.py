"""An account's headers for its files: which may be named, who gets them, and who never does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clipferry.outbound.address_guard import check_url
from clipferry.outbound.client import USER_AGENT, Outbound
from clipferry.outbound.file_headers import HEADERS_MAX, FileHeaders, problem_with

from tests.unit.outbound.test_client import serving

SECRET = "s3cr3t-token"
HEADERS = {"Referer": "https://player.example.com/", "X-Token": SECRET, "user-agent": "Player/1 (x; y)"}


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    way_out = Outbound(allow_private=True)
    yield way_out
    way_out.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        HEADERS,
        {"Authorization": "Basic dTpw", "Cookie": "a=b; c=d", "Origin": "https://a.example"},
        {f"X-{number}": "v" for number in range(HEADERS_MAX)},
        {"X-Long": "v" * 4096},
    ],
)
def test_headers_that_a_file_host_may_want_are_accepted(headers: object) -> None:
    assert problem_with(headers) is None


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (["Referer"], "object"),
        ("Referer: x", "object"),
        ({f"X-{number}": "v" for number in range(HEADERS_MAX + 1)}, "more than 20"),
        *(({name: SECRET}, "not a header's") for name in ("", "X Y", "X:", "X\r\nY", "Ü", "x" * 65)),
        *(
            ({name: SECRET}, f"may not hold {name}")
            for name in (
                "Host",
                "range",
                "If-Range",
                "If-Match",
                "Content-Length",
                "Content-Type",
                "Transfer-Encoding",
                "Connection",
                "Accept-Encoding",
                "Proxy-Authorization",
                "Expect",
                "TE",
                "Upgrade",
            )
        ),
        ({"Referer": "a", "referer": "b"}, "twice"),
        *(
            ({"X-Token": value}, "value of X-Token")
            for value in ("", " a", "a ", f"{SECRET}\r\nHost: b", f"{SECRET}\n", f"{SECRET}\0", f"{SECRET}片", 7, None)
        ),
        ({"X-Token": SECRET * 400}, "value of X-Token"),
    ],
)
def test_headers_that_make_no_sense_are_named_without_their_values(headers: object, said: str) -> None:
    problem = problem_with(headers)
    assert problem is not None
    assert said in problem
    assert SECRET not in problem


def test_the_host_that_the_vendor_names_gets_them_in_place_of_the_usual_ones(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"there")) as (url, seen):
        headers = FileHeaders(HEADERS)
        headers.trust(url)
        with outbound.sending(headers).stream(url, hosts=[], headers={"Range": "bytes=0-4"}):
            pass
    sent = seen[0].headers
    assert {name: sent[name] for name in HEADERS} == HEADERS
    assert (sent.get_all("User-Agent"), sent["Range"]) == ([HEADERS["user-agent"]], "bytes=0-4")


def test_a_dot_behind_a_host_makes_no_other_host_of_it() -> None:
    headers = FileHeaders(HEADERS)
    headers.trust("https://A.example.com./v")
    assert headers.of(check_url("https://a.example.com./v", ["example.com"])) == HEADERS
    assert headers.of(check_url("https://b.example.com/v", ["example.com"])) == {}


def test_a_host_that_nobody_named_gets_none(outbound: Outbound) -> None:
    """As one that a playlist alone refers to; a host on the vendor's list is none that the account has named."""
    with serving(lambda h: h.reply(200, b"there")) as (url, seen):
        headers = FileHeaders(HEADERS, ["example.com"])
        headers.trust("https://127.0.0.2/")
        headers.trust("https://[broken")
        with outbound.sending(headers).stream(url, hosts=["127.0.0.1"]):
            pass
    assert not {"Referer", "X-Token"} & set(seen[0].headers)
    assert seen[0].headers["User-Agent"] == USER_AGENT


def test_hosts_that_the_account_or_the_deployment_names_get_them(outbound: Outbound) -> None:
    headers = FileHeaders(HEADERS, ["127.0.0.1"])
    with serving(lambda h: h.reply(200, b"there")) as (url, seen), outbound.sending(headers).stream(url, hosts=[]):
        pass
    assert seen[0].headers["X-Token"] == SECRET


def test_a_redirect_to_the_same_origin_keeps_them_and_one_to_another_carries_none(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"there")) as (there, last):

        def answer(h: object) -> None:
            path = "/again" if h.path == "/v" else f"{there}/v"  # type: ignore[attr-defined]
            h.reply(302, Location=path)  # type: ignore[attr-defined]

        with serving(answer) as (url, seen):
            headers = FileHeaders(HEADERS, ["127.0.0.1"])
            with outbound.sending(headers).stream(url + "/v", hosts=[], headers={"Range": "bytes=0-4"}) as stream:
                assert stream.read(9) == b"there"
    assert [h.headers["X-Token"] for h in seen] == [SECRET, SECRET]
    assert not {"Referer", "X-Token"} & set(last[0].headers)
    assert (last[0].headers["User-Agent"], last[0].headers["Range"]) == (USER_AGENT, "bytes=0-4")


def test_an_api_call_carries_none(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"{}")) as (url, seen):
        outbound.sending(FileHeaders(HEADERS, ["127.0.0.1"])).call("GET", url, hosts=[])
    assert "X-Token" not in seen[0].headers


def test_idle_connections_are_closed_for_all_ways_out_made_from_one(outbound: Outbound) -> None:
    with serving(lambda h: h.reply(200, b"12345")) as (url, seen):
        other = outbound.sending(FileHeaders({}))
        for way_out in (other, outbound):
            with way_out.stream(url, hosts=[]) as stream:
                stream.read(9)
            other.close()
        with outbound.stream(url, hosts=[]) as stream:
            assert stream.read(9) == b"12345"
    assert len({h.client_address for h in seen}) == 3
