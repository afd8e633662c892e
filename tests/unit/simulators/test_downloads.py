"""The file server of the simulators: signed URLs, ranges and preconditions by RFC 9110, faults."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pytest
import requests

from local.simulators.base import Fault, Request, Response, Simulator, json_response
from local.simulators.downloads import DownloadArea
from local.simulators.media import clip, crc64

PATH = "/transcode/a b+录.mp4"


class Files(Simulator):
    vendor = "files"

    def operation(self, request: Request) -> str:
        return "none"

    def answer(self, operation: str, request: Request) -> Response:
        return json_response({}, 404)

    def secret(self) -> dict[str, str]:
        return {}


@pytest.fixture
def sim():
    with Files() as simulator:
        simulator.downloads.publish("f", PATH, clip(unique="download tests"))
        yield simulator


@pytest.fixture
def url(sim):
    return sim.downloads.url(sim.url, PATH, 60)


def get(url: str, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(url, headers=named, timeout=10, allow_redirects=False)


def test_a_file_is_served_whole_with_what_oss_says_about_it(sim, url):
    answer = get(url)
    expected = sim.expected["f"]
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).hexdigest() == expected["sha256"]
    assert int(answer.headers["Content-Length"]) == expected["size"] == len(answer.content)
    assert answer.headers["ETag"] == f'"{expected["md5"].upper()}"'
    assert answer.headers["x-oss-hash-crc64ecma"] == str(crc64(answer.content))
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=100-", 100, -1), ("bytes=-5", -5, -1), ("bytes=50-99999999", 50, -1)],
)
def test_a_range_is_served_as_asked(sim, url, asked, first, last):
    whole = get(url).content
    answer = get(url, Range=asked)
    start, end = first % len(whole), last % len(whole)
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{end}/{len(whole)}"
    assert answer.content == whole[start : end + 1]


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=-"])
def test_ranges_that_make_no_sense_here_are_ignored(url, asked):
    assert get(url, Range=asked).status_code == 200


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(sim, url, asked):
    answer = get(url, Range=asked)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{sim.expected['f']['size']}")


def test_preconditions_are_evaluated_before_ranges(url):
    etag, modified = (get(url).headers[name] for name in ("ETag", "Last-Modified"))
    part = {"Range": "bytes=0-9"}
    old = "Thu, 01 Jan 1970 00:00:00 GMT"
    assert get(url, If_Match=etag, **part).status_code == 206
    assert get(url, If_Match='"other", ' + etag, **part).status_code == 206
    assert get(url, If_Match='"other"', **part).status_code == 412
    assert get(url, If_Unmodified_Since=modified).status_code == 200
    assert get(url, If_Unmodified_Since=old).status_code == 412
    assert get(url, If_None_Match=etag).status_code == 304
    assert get(url, If_None_Match='"other"').status_code == 200
    assert get(url, If_Modified_Since=modified).status_code == 304
    assert get(url, If_Modified_Since="no date").status_code == 200
    assert get(url, If_Range=etag, **part).status_code == 206
    assert get(url, If_Range=modified, **part).status_code == 206
    assert get(url, If_Range='"other"', **part).status_code == 200
    assert get(url, If_Range=f"W/{etag}", **part).status_code == 200


def tampered(url: str, **changes: str) -> str:
    parts = urlsplit(url)
    query = {**{k: v[0] for k, v in parse_qs(parts.query).items()}, **changes}
    return urlunsplit(parts._replace(query=requests.compat.urlencode(query)))


def test_a_url_is_good_for_its_file_its_method_and_its_time_only(sim, url):
    expires = int(time.time()) + 3600
    assert get(tampered(url, Expires=str(expires))).status_code == 403
    assert get(tampered(url, Signature="x")).status_code == 403
    assert get(tampered(url, Expires="soon")).status_code == 403
    assert get(url.partition("?")[0]).status_code == 403
    assert requests.head(url, timeout=10).status_code == 403
    sim.clock.skew = 61
    answer = get(url)
    assert answer.status_code == 403
    assert "expired" in answer.text


@pytest.mark.parametrize("style", ["auth_key", "open"])
def test_other_kinds_of_urls_work_and_expire_as_they_do(sim, style):
    area = DownloadArea(sim.clock, style=style)
    area.publish("g", "/v/1.mp4", clip())
    sim.downloads = area
    url = area.url(sim.url, "/v/1.mp4", 60)
    assert get(url).status_code == requests.head(url, timeout=10).status_code == 200
    assert get(url.partition("?")[0]).status_code == (200 if style == "open" else 403)
    sim.clock.skew = 61
    assert get(url).status_code == (200 if style == "open" else 403)


def test_a_file_may_be_invisible_for_a_while(sim):
    sim.downloads.publish("late", "/late.mp4", clip(), visible_after=30)
    url = sim.downloads.url(sim.url, "/late.mp4", 60)
    assert get(url).status_code == 404
    sim.advance(31)
    assert get(url).status_code == 200
    sim.downloads.remove("/late.mp4")
    assert get(url).status_code == 404


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("missing"), 404),
        (Fault("expired"), 403),
        (Fault("status", status=503), 503),
        (Fault("html"), 200),
        (Fault("throttle", retry_after=3), 503),
        (Fault("no_ranges"), 200),
        (Fault("no_length"), 200),
        (Fault("redirect", location="http://127.0.0.1/x"), 302),
        (Fault("body", body="tiny"), 200),
    ],
)
def test_a_download_fault_happens_once(sim, url, fault, status):
    sim.fail_next("download:f", fault)
    assert get(url, Range="bytes=0-9").status_code == status
    assert get(url, Range="bytes=0-9").status_code == 206
    assert sim.calls["download"] == 2


@pytest.mark.parametrize("kind", ["short", "reset"])
def test_a_body_may_end_early(sim, url, kind):
    sim.fail_next("download", Fault(kind, after=1000))
    with requests.get(url, stream=True, timeout=10) as answer:
        assert int(answer.headers["Content-Length"]) == sim.expected["f"]["size"]
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            assert answer.content


def test_a_range_may_be_answered_wrongly(sim, url):
    sim.fail_next("download", Fault("wrong_range"))
    answer = get(url, Range="bytes=100-199")
    assert answer.status_code == 206
    assert not answer.headers["Content-Range"].startswith("bytes 100-199/")


def test_a_file_may_change_and_stays_changed_and_playable(sim, url):
    before = get(url).headers["ETag"]
    sim.fail_next("download", Fault("changed"))
    assert get(url, If_Match=before).status_code == 412
    after = get(url)
    assert after.headers["ETag"] != before
    assert hashlib.sha256(after.content).hexdigest() == sim.expected["f"]["sha256"]
    assert after.content.endswith(b"\x00\x00\x00\x08free")


def test_a_body_may_be_compressed_without_being_asked(sim, url):
    sim.fail_next("download", Fault("gzip"))
    answer = get(url, Accept_Encoding="identity")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert hashlib.sha256(answer.content).hexdigest() == sim.expected["f"]["sha256"]


def test_a_connection_may_be_slow(sim, url):
    sim.downloads.rate, sim.downloads.first_byte = 400_000, 0.05
    started = time.monotonic()
    assert get(url).status_code == 200
    assert time.monotonic() - started > sim.expected["f"]["size"] / 400_000
