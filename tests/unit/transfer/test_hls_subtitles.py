"""Subtitles never cost the video: odd ones are stored as they are, those that cannot be copied are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clipferry.transfer.interface import Code, Retry, Stored, WarningCode

from local.simulators.faults import Fault
from tests.unit.transfer.hls_films import encrypt, film, playlist
from tests.unit.transfer.hls_world import M3U8, QUICK, S3, Copy, Library, played, s3_bucket
from tests.unit.transfer.source_server import Behaviour, SourceServer

CUE = "WEBVTT\n\n00:00.100 --> 00:01.000\nHello\n\n"
SRT = "1\n00:00:00,100 --> 00:00:01,000\nHello\n\n"
TTML = '<?xml version="1.0"?>\n<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p>Hello</p></div></body></tt>'
MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en",URI="en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1,SUBTITLES="subs",RESOLUTION=160x120
film.m3u8
"""


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture
def library() -> Iterator[Library]:
    with Library() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = film(tmp_path_factory.mktemp("video") / "film")
    (folder / "index.m3u8").rename(folder / "film.m3u8")
    return folder


def put(library: Library, video: Path, *parts: str | bytes, master: str = MASTER) -> None:
    library.put_folder("/v", video)
    library.put("/v/index.m3u8", master, M3U8)
    for number, part in enumerate(parts):
        library.put(f"/v/{number}.vtt", part, "text/vtt")
    library.put("/v/en.m3u8", playlist(f"{number}.vtt" for number in range(len(parts))), M3U8)


def stored(result: Any) -> Stored:
    assert isinstance(result, Stored), result
    return result


def left_out(result: Any, s3: S3, words: str) -> None:
    """The video is there, the master playlist is valid without subtitles, and a warning says which and why."""
    (warning,) = stored(result).warnings
    assert warning.code == WarningCode.SUBTITLES_LEFT_OUT
    assert "English" in warning.message
    assert words in warning.message
    master = s3.read("index.m3u8").decode()
    assert "SUBTITLES" not in master
    assert "#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=160x120" in master


@pytest.mark.parametrize(
    ("part", "suffix", "content_type"),
    [
        (CUE, ".vtt", "text/vtt"),
        ("", ".vtt", "text/vtt"),
        ("WEBVTT", ".vtt", "text/vtt"),
        ("WEBVTT\n", ".vtt", "text/vtt"),
        ("\n" + CUE, ".vtt", "text/vtt"),
        ("\r\n\r\n" + CUE, ".vtt", "text/vtt"),
        ("\ufeff" + CUE, ".vtt", "text/vtt"),
        ("\ufeff", ".vtt", "text/vtt"),
        ("\n\n", ".vtt", "text/vtt"),
        (CUE.encode("utf-16"), ".vtt", "text/vtt"),
        (SRT, ".srt", "application/x-subrip"),
        ("\ufeff" + SRT.replace("\n", "\r\n"), ".srt", "application/x-subrip"),
        (TTML, ".ttml", "application/ttml+xml"),
    ],
)
def test_odd_subtitles_are_stored_as_they_are(library, s3, video, tmp_path, part, suffix, content_type):
    put(library, video, part, CUE)
    result = stored(Copy(library, s3)())
    assert result.warnings == ()
    assert s3.read(f"v0/00001{suffix}") == (part if isinstance(part, bytes) else part.encode())
    assert s3.content_type(f"v0/00001{suffix}") == content_type
    assert 'SUBTITLES="subs"' in s3.read("index.m3u8").decode()
    if suffix == ".vtt":
        assert len(played(s3.save(tmp_path))) == 30


@pytest.mark.parametrize("part", ["<html><body>404</body></html>", '{"error": 1}', b"GIF89a" + bytes(40), "Not found"])
def test_what_are_no_subtitles_is_left_out(library, s3, video, tmp_path, part):
    put(library, video, CUE, part)
    left_out(Copy(library, s3)(), s3, "segment 2 of")
    assert len(played(s3.save(tmp_path))) == 30


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#EXTM3U\n#EXTINF:1,\n0.vtt\n", "EXT-X-ENDLIST"),
        ("<html>", "HTML"),
        ("#EXTM3U\n#EXT-X-ENDLIST\n", "lists nothing"),
        (playlist(["0.vtt"], '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"'), "SAMPLE-AES"),
        (playlist(["0.vtt"], '#EXT-X-KEY:METHOD=AES-128,URI="gone"'), "missing"),
        (playlist(["gone.vtt"]), "missing"),
        (playlist(["http://169.254.169.254/a.vtt"]), "169.254.169.254"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfilm.m3u8\n", "master"),
        (MASTER, "itself"),
    ],
)
def test_a_playlist_of_subtitles_that_cannot_be_copied_is_left_out(library, s3, video, text, words):
    put(library, video, CUE)
    library.put("/v/en.m3u8", text, M3U8)
    left_out(Copy(library, s3)(), s3, words)


@pytest.mark.parametrize("uri", ["", "data:,", "http://[", "gone.m3u8", "index.m3u8"])
def test_subtitles_without_a_playlist_are_left_out(library, s3, video, uri):
    put(library, video, CUE, master=MASTER.replace("en.m3u8", uri))
    left_out(Copy(library, s3)(), s3, "English")
    assert len(s3.objects()) == 5


def test_the_other_subtitles_of_a_group_stay(library, s3, video):
    second = MASTER.splitlines()[1].replace("English", "Deutsch").replace("en.m3u8", "de.m3u8")
    put(library, video, CUE, master=MASTER.replace("#EXT-X-STREAM", f"{second}\n#EXT-X-STREAM"))
    result = stored(Copy(library, s3)())
    assert [warning.message.partition(":")[0][-9:] for warning in result.warnings] == ["'Deutsch'"]
    lines = s3.read("index.m3u8").decode().splitlines()
    assert [line for line in lines if "Deutsch" in line] == []
    assert lines[1] == '#EXT-X-MEDIA:URI="v0/index.m3u8",TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en"'
    assert 'SUBTITLES="subs"' in lines[2]


def test_encrypted_subtitles_are_copied_with_their_key(library, s3, video):
    put(library, video, encrypt(CUE.encode(), bytes(16), 0))
    library.put("/v/en.m3u8", playlist(["0.vtt"], '#EXT-X-KEY:METHOD=AES-128,URI="key"'), M3U8)
    library.put("/v/key", bytes(16), "")
    assert stored(Copy(library, s3)()).warnings == ()
    assert s3.read("v0/key1.key.vob") == bytes(16)


def test_subtitles_that_are_gone_do_not_make_the_video_come_again(library, s3, video):
    put(library, video, CUE, CUE)
    library.downloads.remove("/v/1.vtt")
    result = stored(Copy(library, s3)())
    assert [library.asked(f"/v/film{n}.ts") for n in range(3)] == [0, 0, 0]
    left_out(result, s3, "HTTP 404")
    assert result.evidence["segments"] == 3


def test_nothing_stays_of_subtitles_that_were_left_out_halfway(library, s3, video):
    put(library, video, CUE, CUE, CUE)
    library.downloads.remove("/v/2.vtt")
    left_out(Copy(library, s3, options=replace(QUICK, connections=1))(), s3, "HTTP 404")
    assert sorted(s3.objects()) == ["index.m3u8", "v1/00001.ts", "v1/00002.ts", "v1/00003.ts", "v1/index.m3u8"]


def test_a_server_in_trouble_is_given_time_before_its_subtitles_are_left_out(library, s3, video):
    put(library, video, CUE)
    library.fail_next("download:/v/en.m3u8", Fault("status", status=500), times=100)
    copy = Copy(library, s3)
    results = [copy() for _ in range(3)]
    assert [type(result) for result in results] == [Retry, Retry, Stored]
    left_out(results[-1], s3, "HTTP 500")


def test_a_server_that_recovers_keeps_its_subtitles(library, s3, video):
    put(library, video, CUE)
    library.fail_next("download:/v/0.vtt", Fault("status", status=500), times=6)
    copy = Copy(library, s3)
    assert isinstance(copy(), Retry)
    assert stored(copy()).warnings == ()
    assert s3.read("v0/00001.vtt") == CUE.encode()


def test_what_was_left_out_stays_out_in_later_calls(library, s3, video):
    put(library, video, "<html>", CUE)
    library.downloads.remove("/v/index2.ts")
    copy = Copy(library, s3)
    assert isinstance(copy(), Retry)
    put(library, video, CUE, CUE)
    left_out(copy(), s3, "HTML")
    assert len(copy.checkpoint["subtitles"]["left_out"]) == 1


def test_evidence_of_subtitles_weaker_than_asked_for_costs_the_subtitles_alone(s3, video):
    """Their server does not say where the subtitles end."""
    files = {f"/v/{path.name}": path.read_bytes() for path in video.iterdir()}
    files |= {"/v/index.m3u8": MASTER.encode(), "/v/en.m3u8": playlist(["0.vtt"]).encode(), "/v/0.vtt": CUE.encode()}

    def script(request: Any, _: int) -> Behaviour:
        return Behaviour(body=files[request.path], length=not request.path.endswith(".vtt"), ranges=False)

    with SourceServer(b"", script=script) as source:
        result = Copy(SimpleNamespace(url=source.url.rpartition("/")[0]), s3)()
    left_out(result, s3, "evidence")


def test_more_subtitles_than_are_copied_cost_subtitles_alone(library, s3, video):
    line = MASTER.splitlines()[1]
    many = "\n".join(line.replace("en.m3u8", f"en.m3u8?n={n}").replace("English", f"n{n}") for n in range(70))
    put(library, video, CUE, master=MASTER.replace(line, many))
    result = stored(Copy(library, s3, options=replace(QUICK))())
    assert len(result.warnings) == 6
    assert all("64" in warning.message for warning in result.warnings)
    assert result.evidence["playlists"] == 66
    assert Code.HLS_TOO_LARGE not in {warning.code for warning in result.warnings}
