"""A segment must be what its playlist promises: media, whole, of the format of those beside it. Else it is no copy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clipferry.transfer.interface import Code, Retry, Stored

from local.simulators.media import pixel
from tests.unit.transfer.hls_films import film, playlist, sounds
from tests.unit.transfer.hls_world import M3U8, QUICK, S3, TS, Copy, Library, played, s3_bucket

PIXEL = b"".join(pixel().read())
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d4944415478da63fcffff3f0300050001a5f645400000000049454e44ae426082"
)
PAGE = "<!DOCTYPE html><html><body>The link has expired.</body></html>"
WRONG = {
    "error text": b"Error 502: no upstream is available at the moment\n" * 10,
    "a GIF": PIXEL,
    "a padded GIF": PIXEL + bytes(2000),
    "a PNG": PNG,
    "HTML in UTF-16": (PAGE * 20).encode("utf-16"),
    "HTML in UTF-16 without a mark": (PAGE * 20).encode("utf-16-le"),
    "HTML": (PAGE * 20).encode(),
    "FFs": b"\xff" * 18_800,
    "zeros": bytes(18_800),
    "JSON": json.dumps({"code": 403, "message": "expired" * 100}).encode(),
    "XML": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>' * 10,
    "gzip": gzip.compress(b"x" * 50_000, 1) * 3,
    "nothing": b"",
    "half a packet": b"\x47" + bytes(100),
    "a playlist": playlist(["a.ts"]).encode() * 3,
    "subtitles": b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n" * 10,
}


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture
def library() -> Iterator[Library]:
    with Library() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("films")
    return {
        "ts": film(home / "ts"),
        "fmp4": film(home / "fmp4", "-hls_segment_type", "fmp4"),
        "aac": sounds(home / "aac", ["aac"], "adts"),
        "ac3": sounds(home / "ac3", ["ac3"], "ac3"),
    }


def second_segment(folder: Path) -> str:
    lines = (folder / "index.m3u8").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")][1]


def refused(library: Library, s3: S3, *codes: Code) -> None:
    result = Copy(library, s3)()
    assert isinstance(result, Retry), result
    assert result.code in codes
    assert "segment" in result.message
    assert "index.m3u8" not in s3.objects()


@pytest.mark.parametrize("name", ["ts", "fmp4", "aac", "ac3"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_something_else_in_place_of_a_segment_is_never_stored(library, s3, films, name, wrong):
    library.put_folder("/v", films[name])
    library.put(f"/v/{second_segment(films[name])}", wrong, "")
    refused(library, s3, Code.NOT_A_VIDEO, Code.CONTAINER_CUT)


@pytest.mark.parametrize("name", ["ts", "fmp4", "aac", "ac3"])
@pytest.mark.parametrize("lost", [1, 50, 200])
def test_a_segment_that_is_cut_is_never_stored(library, s3, films, name, lost):
    library.put_folder("/v", films[name])
    segment = second_segment(films[name])
    library.put(f"/v/{segment}", (films[name] / segment).read_bytes()[:-lost], "")
    refused(library, s3, Code.CONTAINER_CUT)


@pytest.mark.parametrize(("name", "other"), [("ts", "fmp4"), ("ts", "aac"), ("fmp4", "ts"), ("aac", "ac3")])
def test_a_segment_of_another_format_than_those_beside_it_is_never_stored(library, s3, films, name, other):
    library.put_folder("/v", films[name])
    replaced = (films[other] / second_segment(films[other])).read_bytes()
    library.put(f"/v/{second_segment(films[name])}", replaced, "")
    refused(library, s3, Code.NOT_A_VIDEO)


def test_a_format_that_changes_between_two_calls_is_found_and_got_over(library, s3, films, tmp_path):
    library.put_folder("/v", films["ts"])
    library.put("/v/index0.ts", (films["aac"] / "part0").read_bytes(), "")
    library.downloads.remove("/v/index1.ts")
    library.downloads.remove("/v/index2.ts")
    copy = Copy(library, s3, options=replace(QUICK, connections=1))
    assert copy().code == Code.HLS_SEGMENT_MISSING
    assert "v0/00001.aac" in s3.objects()
    library.put_folder("/v", films["ts"])
    result = copy()
    assert (type(result), result.code) == (Retry, Code.NOT_A_VIDEO)
    assert ".aac" in result.message
    assert isinstance(copy(), Stored)
    assert len(played(s3.save(tmp_path))) == 30


@pytest.mark.parametrize("wrong", ["init.mp4", "index0.m4s"])
def test_an_initialisation_section_and_a_segment_do_not_stand_for_each_other(library, s3, films, wrong):
    library.put_folder("/v", films["fmp4"])
    right = {"init.mp4": "index1.m4s", "index0.m4s": "init.mp4"}[wrong]
    library.put(f"/v/{right}", (films["fmp4"] / wrong).read_bytes(), "")
    refused(library, s3, Code.NOT_A_VIDEO)


@pytest.mark.parametrize("wrong", ["half", "error"])
def test_a_byte_range_that_is_no_segment_is_never_stored(library, s3, films, wrong):
    body = (films["ts"] / "index0.ts").read_bytes()
    length = len(body)
    second = f"{length - 50}@{length}" if wrong == "half" else f"{len(WRONG['error text'])}@{2 * length}"
    library.put("/v/all", body * 2 + WRONG["error text"], "")
    tags = [f"#EXT-X-BYTERANGE:{length}@0", "#EXTINF:1,", "all", f"#EXT-X-BYTERANGE:{second}", "#EXTINF:1,", "all"]
    library.put("/v/index.m3u8", playlist([], *tags), M3U8)
    refused(library, s3, Code.CONTAINER_CUT, Code.NOT_A_VIDEO)


def test_a_segment_larger_than_a_part_is_refused_as_well(library, s3):
    packets = TS * 40_000  # 7.5 MB
    options = replace(QUICK, part_size=5 * 1024 * 1024)
    library.put("/v/a", packets[:-30], "")
    library.put("/v/index.m3u8", playlist(["a"]), M3U8)
    result = Copy(library, s3, options=options)()
    assert (type(result), result.code, s3.objects()) == (Retry, Code.CONTAINER_CUT, {})
    assert s3.client.list_multipart_uploads(Bucket="bucket").get("Uploads", []) == []
    library.put("/v/a", b"Error 502\n" * 700_000, "")
    result = Copy(library, s3, options=options)()
    assert (type(result), result.code, s3.objects()) == (Retry, Code.NOT_A_VIDEO, {})


def test_a_packet_stream_behind_something_else_is_copied_because_players_find_it(library, s3, films, tmp_path):
    """A picture in front hides segments on picture hosts; players look for the first packet."""
    library.put_folder("/v", films["ts"])
    for path in films["ts"].glob("*.ts"):
        library.put(f"/v/{path.name}", PNG + path.read_bytes(), "image/png")
    assert isinstance(Copy(library, s3)(), Stored)
    assert len(played(s3.save(tmp_path))) == 30


@pytest.mark.parametrize("frames", [1, 2])
def test_the_last_frames_of_a_silence_are_a_segment_though_they_are_few_bytes(library, s3, frames):
    silence = bytes.fromhex("fff14c80022ffcdf0c8000011b34001c")[:17]
    silence += bytes(17 - len(silence))
    library.put("/v/a", silence * 20, "")
    library.put("/v/b", silence * frames, "")
    library.put("/v/index.m3u8", playlist(["a", "b"]), M3U8)
    assert isinstance(Copy(library, s3)(), Stored)
    assert s3.read("v0/00002.aac") == silence * frames


def test_evidence_that_is_too_weak_shows_at_the_first_segment(library, s3):
    library.put_video(count=30)
    result = Copy(library, s3, options=replace(QUICK, minimum_evidence="vendor-md5"))()
    assert result.code == Code.EVIDENCE_TOO_WEAK
    assert library.calls["download"] < 15
