"""HLS copied whole: what stands in S3 plays, is what the source served, and is never fetched twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from clipferry.outbound.client import Outbound
from clipferry.transfer import abandon
from clipferry.transfer.hls.hls_copy import chain
from clipferry.transfer.interface import Code, CopySuperseded, Destination, Failed, More, Options, Retry, Stored
from clipferry.vendors.contract import Remote, VendorThrottled

from local.simulators.faults import Fault
from local.simulators.media import ladder
from tests.unit.transfer.hls_films import playlist
from tests.unit.transfer.hls_world import M3U8, QUICK, S3, TS, Copy, Library, played, s3_bucket
from tests.unit.transfer.source_server import Behaviour, SourceServer

ADTS = b"\xff\xf1\x50\x80\x06\x3f\xfc" + b"a" * 42  # one frame of AAC


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture
def library() -> Iterator[Library]:
    with Library() as simulator:
        yield simulator


# --- whole copies ---


def test_a_ladder_is_copied_with_every_segment_and_still_plays(library, s3, tmp_path):
    files = ladder(unique="ladder test")
    for name, clip in files.items():
        library.downloads.publish(name, f"/l/{name}", clip)
    result = Copy(library, s3, "/l/master.m3u8")()
    segments = [name for name in files if name.endswith(".ts")]
    assert isinstance(result, Stored)
    assert result.key == "p/f001/index.m3u8"
    assert result.size == sum(files[name].size for name in segments)
    assert result.evidence["sha256"] == chain(files[name].sha256 for name in segments)
    assert (result.evidence["segments"], result.evidence["playlists"]) == (len(segments), 3)
    assert {name for name in s3.objects() if name.endswith(".m3u8")} == {"index.m3u8", "v0/index.m3u8", "v1/index.m3u8"}
    assert len(played(s3.save(tmp_path))) == 15 * 8  # frames per second × seconds of the ladder


def test_names_are_our_own_whatever_the_playlist_says(library, s3):
    library.put("/x.ts", TS * 3)
    library.put("/etc/passwd", TS * 4)
    library.put("/v/" + "n" * 900 + ".exe", TS * 5)
    library.put("/v/deep/s.TS", TS * 6)
    library.put_media("/v/index.m3u8", "../x.ts", "../../../../etc/passwd", "n" * 900 + ".exe", "deep/s.TS?token=a%2Fb")
    assert isinstance(Copy(library, s3)(), Stored)
    assert s3.objects() == {
        "index.m3u8": len(s3.read("index.m3u8")),
        "v0/00001.ts": 3 * 188,
        "v0/00002.ts": 4 * 188,
        "v0/00003.ts": 5 * 188,
        "v0/00004.ts": 6 * 188,
    }
    assert b"token" not in s3.read("index.m3u8")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("a b.ts", "/v/a%20b.ts"),
        ("片段.ts", "/v/%E7%89%87%E6%AE%B5.ts"),
        ("100%.ts", "/v/100%25.ts"),
        ("a%20b.ts", "/v/a%20b.ts"),
    ],
)
def test_names_that_are_not_encoded_are_asked_for_encoded(s3, name, asked):
    files = {"/v/index.m3u8": playlist([name]).encode(), asked: TS * 3}

    def script(request: Any, _: int) -> Behaviour:
        return Behaviour(body=files[request.path]) if request.path in files else Behaviour(status=404)

    with SourceServer(b"", script=script) as source:
        assert isinstance(Copy(SimpleNamespace(url=source.url.rpartition("/")[0]), s3)(), Stored)


def test_initialisation_sections_and_byte_ranges_become_objects_of_their_own(library, s3):
    init = box(b"ftyp", b"iso5\x00\x00\x00\x00") + box(b"moov", bytes(152))
    first, second = (box(b"moof", bytes(42)) + box(b"mdat", bytes(size)) for size in (142, 842))
    library.put("/v/all.mp4", init + first + second, "video/mp4")
    library.put(
        "/v/index.m3u8",
        "\n".join(
            [
                "#EXTM3U",
                "#EXT-X-TARGETDURATION:2",
                '#EXT-X-MAP:URI="all.mp4",BYTERANGE="176@0"',
                "#EXTINF:2,",
                "#EXT-X-BYTERANGE:200@176",
                "all.mp4",
                "#EXTINF:2,",
                "#EXT-X-BYTERANGE:900",
                "all.mp4",
                "#EXT-X-ENDLIST",
            ]
        ),
        M3U8,
    )
    result = Copy(library, s3)()
    assert isinstance(result, Stored)
    assert [s3.read(f"v0/{name}") for name in ("init1.mp4", "00001.m4s", "00002.m4s")] == [init, first, second]
    assert result.evidence["level"] == "content-length"
    assert s3.read("index.m3u8").decode().splitlines() == [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:2",
        '#EXT-X-MAP:URI="v0/init1.mp4"',
        "#EXTINF:2,",
        "v0/00001.m4s",
        "#EXTINF:2,",
        "v0/00002.m4s",
        "#EXT-X-ENDLIST",
    ]


def test_audio_alternates_are_copied_and_what_is_shared_is_copied_once(library, s3):
    library.put("/v/a.aac", ADTS * 8)
    library.put("/v/s.ts", TS * 2)
    library.put_media("/v/en.m3u8", "a.aac")
    library.put_media("/v/low.m3u8", "s.ts", "s.ts")
    library.put(
        "/v/index.m3u8",
        "\n".join(
            [
                "#EXTM3U",
                '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="en.m3u8"',
                '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"',
                "low.m3u8",
                "#EXT-X-STREAM-INF:BANDWIDTH=2",
                "low.m3u8",
            ]
        ),
        M3U8,
    )
    assert isinstance(Copy(library, s3)(), Stored)
    assert sorted(s3.objects()) == ["index.m3u8", "v0/00001.aac", "v0/index.m3u8", "v1/00001.ts", "v1/index.m3u8"]
    assert s3.read("index.m3u8").decode().count("v1/index.m3u8") == 2
    assert s3.read("v1/index.m3u8").decode().count("00001.ts") == 2
    assert library.asked("/v/s.ts") == 1


def test_references_follow_a_redirect_of_the_playlist(library, s3):
    library.put_video()
    library.put("/short", "moved", M3U8)
    library.fail_next("download:/short", Fault("redirect", location=f"{library.url}/v/index.m3u8"))
    assert isinstance(Copy(library, s3, "/short")(), Stored)


def test_a_segment_larger_than_a_part_goes_up_in_parts(library, s3):
    big = TS * 60_000  # 11 MB
    library.put("/v/big.ts", big)
    library.put_media("/v/index.m3u8", "big.ts")
    s3.client.create_multipart_upload(Bucket="bucket", Key="p/f001/v0/00001.ts")  # by a call that was killed
    options = Options(backoff=0.005, part_size=5 * 1024 * 1024)
    result = Copy(library, s3, options=options)()
    assert isinstance(result, Stored)
    assert s3.read("v0/00001.ts") == big
    assert s3.calls["upload_part"] == 3
    again = Copy(library, s3, options=options)()
    assert (again.size, again.evidence["sha256"]) == (result.size, result.evidence["sha256"])
    abandon(s3.client, "bucket", {"stem": "p/f001"})  # as the caller does once the row says STORED
    assert s3.client.list_multipart_uploads(Bucket="bucket").get("Uploads", []) == []


def test_objects_are_typed_tagged_and_carry_the_jobs_metadata(library, s3):
    library.put_video(count=1)
    Copy(library, s3)(destination=Destination("bucket", "p/f001", metadata={"job-id": "j1"}, tags={"site": "gate 3"}))
    head = s3.client.head_object(Bucket="bucket", Key="p/f001/v0/00001.ts")
    assert (head["ContentType"], head["Metadata"]["job-id"]) == ("video/mp2t", "j1")
    assert s3.client.head_object(Bucket="bucket", Key="p/f001/index.m3u8")["ContentType"] == M3U8
    tags = s3.client.get_object_tagging(Bucket="bucket", Key="p/f001/v0/00001.ts")["TagSet"]
    assert tags == [{"Key": "site", "Value": "gate 3"}]


# --- refusals ---


@pytest.mark.parametrize(
    ("playlist", "code"),
    [
        ('#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n#EXTINF:2,\ns0.ts\n#EXT-X-ENDLIST', Code.HLS_ENCRYPTED),
        ("#EXTM3U\n#EXTINF:2,\ns0.ts\n", Code.HLS_LIVE),
        ("#EXTM3U\n#EXTINF:2,\ns0.ts\n#EXT-X-ENDLIST\n" + "#\n" * 200_001, Code.HLS_TOO_LARGE),
        ("#EXTM3U\n#EXTINF:2,\nhttp://169.254.169.254/latest/meta-data\n#EXT-X-ENDLIST", Code.ADDRESS_REFUSED),
        ("#EXTM3U\n#EXTINF:2,\nhttp://media.example.com/s.ts\n#EXT-X-ENDLIST", Code.ADDRESS_REFUSED),
    ],
)
def test_what_must_not_be_copied_ends_with_its_own_code_and_no_playlist(library, s3, playlist, code):
    library.put("/v/s0.ts", TS * 2)
    library.put("/v/index.m3u8", playlist, M3U8)
    result = Copy(library, s3)(outbound=Outbound(allow_private=code is not Code.ADDRESS_REFUSED or "169" in playlist))
    assert isinstance(result, Failed)
    assert result.code == code
    assert "index.m3u8" not in s3.objects()


def test_playlists_without_end_are_not_followed_for_ever(library, s3):
    for n in range(80):
        library.put(f"/v/{n}.m3u8", f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{n + 1}.m3u8\n", M3U8)
    result = Copy(library, s3, "/v/0.m3u8")()
    assert (type(result), result.code) == (Failed, Code.HLS_TOO_LARGE)
    assert library.calls["download"] < 10


VARIANT = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"


@pytest.mark.parametrize(
    "playlists",
    [
        {"index": "index.m3u8"},
        {"index": "../v/index.m3u8#again"},
        {"index": "index.m3u8?token=2"},
        {"index": "a.m3u8", "a": "a.m3u8"},
        {"index": "a.m3u8", "a": "index.m3u8"},
        {"index": "a.m3u8", "a": "b.m3u8", "b": "a.m3u8"},
        {"index": "a.m3u8", "a": "b.m3u8", "b": "index.m3u8?x=1"},
    ],
    ids=str,
)
def test_playlists_that_list_each_other_are_refused_in_words(library, s3, playlists):
    for name, listed in playlists.items():
        library.put(f"/v/{name}.m3u8", f"{VARIANT}{listed}\n", M3U8)
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Failed, Code.HLS_INVALID)
    assert "itself" in result.message
    assert library.calls["download"] <= 4


def test_a_playlist_that_redirects_to_the_one_above_it_is_refused_in_words(library, s3):
    library.put("/v/index.m3u8", f"{VARIANT}a.m3u8\n", M3U8)
    library.put("/v/a.m3u8", "moved", M3U8)
    library.fail_next("download:/v/a.m3u8", Fault("redirect", location=f"{library.url}/v/index.m3u8"))
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Failed, Code.HLS_INVALID)
    assert "itself" in result.message


def test_one_playlist_may_be_listed_twice_and_by_two_others(library, s3):
    library.put("/v/s.ts", TS * 2)
    library.put_media("/v/low.m3u8", "s.ts")
    library.put("/v/a.m3u8", f"{VARIANT}low.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nlow.m3u8\n", M3U8)
    library.put("/v/index.m3u8", f"{VARIANT}a.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nlow.m3u8\n", M3U8)
    assert isinstance(Copy(library, s3)(), Stored)
    assert library.asked("/v/low.m3u8") == 1


def test_evidence_weaker_than_asked_for_is_refused(library, s3):
    library.put_video()
    result = Copy(library, s3, options=Options(backoff=0.005, minimum_evidence="vendor-md5"))()
    assert (type(result), result.code) == (Retry, Code.EVIDENCE_TOO_WEAK)
    assert s3.objects() == {}


# --- trouble at the source ---


def test_a_missing_segment_is_named_and_the_root_playlist_is_not_stored(library, s3):
    library.put_video(count=5)
    library.downloads.remove("/v/s3.ts")
    copy = Copy(library, s3)
    result = copy()
    assert (type(result), result.code) == (Retry, Code.HLS_SEGMENT_MISSING)
    assert "segment 4 of 5" in result.message
    assert "index.m3u8" not in s3.objects()
    library.put("/v/s3.ts", TS * 9)
    assert isinstance(copy(), Stored)
    assert library.asked("/v/s0.ts") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=500),
        Fault("throttle"),
        Fault("reset", after=100),
        Fault("short", after=100),
        Fault("reset_before"),
        Fault("missing"),
        Fault("expired"),
        Fault("html", status=502),
        Fault("no_ranges"),
        Fault("no_length"),
        Fault("gzip"),
    ],
    ids=lambda fault: fault.kind,
)
def test_one_fault_of_the_source_is_got_over_within_the_call(library, s3, fault):
    library.put_video(count=4)
    library.fail_next("download:/v/s2.ts", fault)
    assert isinstance(Copy(library, s3)(), Stored)
    assert s3.read("v0/00003.ts") == TS * 4 + b"\x47" + b"\x02" * 187


def test_an_error_page_in_place_of_a_segment_is_never_stored(library, s3):
    library.put_video(count=3)
    library.put("/v/s1.ts", "<html><body>come back later</body></html>" * 10, "text/html")
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Retry, Code.NOT_A_VIDEO)
    assert "segment 2 of 3" in result.message
    assert not {"v0/00002.ts", "index.m3u8"} & s3.objects().keys()


def test_a_playlist_that_is_not_there_yet_is_waited_for(library, s3):
    copy = Copy(library, s3)
    first, second = copy(), copy()
    assert isinstance(first, More)
    assert second.wait_seconds >= first.wait_seconds > 0
    library.put_video()
    assert isinstance(copy(), Stored)


def test_a_playlist_that_never_comes_is_gone_after_the_grace_period(library, s3):
    copy, waited = Copy(library, s3), 0.0
    while isinstance(result := copy(), More):
        waited += result.wait_seconds
    assert (type(result), result.code) == (Failed, Code.SOURCE_GONE)
    assert waited >= QUICK.not_there_grace


def test_segment_urls_that_expire_are_taken_from_fresh_playlists(library, s3):
    library.put_video(count=4)
    fresh = "\n".join(f"#EXTINF:2,\ns{n}.ts?token=2" for n in range(4))
    copy = Copy(library, s3)

    def locate() -> Remote:
        copy.located += 1
        library.put("/v/index.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{fresh}\n#EXT-X-ENDLIST\n", M3U8)
        return Remote(f"{library.url}/v/index.m3u8", kind="hls")

    stale = fresh.replace("token=2", "token=1")
    library.put("/v/index.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{stale}\n#EXT-X-ENDLIST\n", M3U8)
    library.fail_next("download:/v/s1.ts", Fault("expired"))
    assert isinstance(copy(locate=locate), Stored)


def test_a_vendor_that_will_not_say_where_is_the_callers_to_handle(library, s3):
    def locate() -> Remote:
        raise VendorThrottled("slow down", retry_after=7)

    with pytest.raises(VendorThrottled):
        Copy(library, s3)(locate=locate)


# --- resuming ---


def test_time_running_short_gives_more_and_what_is_stored_is_not_fetched_again(library, s3):
    library.put_video(count=40)
    copy, calls = Copy(library, s3), 0
    result: Any = More()
    while isinstance(result, More):
        calls += 1
        assert calls < 60
        stored = [n for n in range(40) if f"v0/{n + 1:05d}.ts" in s3.objects()]
        asked = {n: library.asked(f"/v/s{n}.ts") for n in stored}
        start = s3.calls["put_object"]
        result = copy(time_left=lambda start=start: 60.0 if s3.calls["put_object"] - start < 6 else 0.5)
        assert asked == {n: library.asked(f"/v/s{n}.ts") for n in stored}
        assert len(str(copy.checkpoint)) < 600
    assert isinstance(result, Stored)
    assert calls > 3


def test_a_call_that_could_not_finish_a_segment_is_an_attempt(library, s3):
    library.put_video(count=2)
    copy, start = Copy(library, s3), 0
    result = copy(time_left=lambda: 60.0 if library.calls["download"] == start else 0.5)
    assert (type(result), result.code) == (Retry, Code.SOURCE_UNAVAILABLE)
    assert "did not get one more segment" in result.message


def test_a_source_too_slow_for_many_segments_at_once_is_asked_for_fewer(library, s3):
    library.put_video(count=30)
    copy, at_once = Copy(library, s3), []
    for _ in range(3):
        start = library.calls["download"]
        assert isinstance(
            copy(time_left=lambda start=start: 60.0 if library.calls["download"] == start else 0.5), Retry
        )
        at_once.append(copy.checkpoint["connections"])
    assert 8 > at_once[0] > at_once[-1] == 1
    start = s3.calls["put_object"]
    assert isinstance(copy(time_left=lambda: 60.0 if s3.calls["put_object"] - start < 9 else 0.5), More)
    assert copy.checkpoint["connections"] > 2  # it is fast again
    assert isinstance(copy(), Stored)


def test_a_killed_call_is_continued_from_what_s3_has(library, s3):
    library.put_video(count=12)

    class Killed(BaseException):
        pass

    def kill_at_the_end(key: str) -> Any:
        if key.endswith("index.m3u8"):
            return True
        if not key:
            raise Killed
        return False

    copy = Copy(library, s3)
    s3.failures["put_object"] = [kill_at_the_end]
    with pytest.raises(Killed):
        copy(save=lambda checkpoint, size: None)  # not even the checkpoint was written
    s3.failures.clear()
    before = library.calls["download"]
    result = copy()
    assert isinstance(result, Stored)
    assert library.calls["download"] - before == 1  # the playlist
    assert s3.calls["head_object"] >= 12


@pytest.mark.parametrize("killed_at", [1, 2, 3, 5, 8, 12, 13])
def test_a_copy_killed_at_any_step_ends_whole(library, s3, killed_at):
    library.put_video(count=12)
    steps = 0

    class Killed(BaseException):
        pass

    def kill(key: str) -> bool:
        nonlocal steps
        steps += 1
        if steps == killed_at:
            raise Killed
        return False

    copy = Copy(library, s3, options=replace(QUICK, save_every=0.0))
    s3.failures["put_object"] = [kill]
    with suppress(Killed):
        copy()
    stored = sum(name.endswith(".ts") for name in s3.objects())
    before = sum(library.asked(f"/v/s{n}.ts") for n in range(12))
    result = copy()
    assert isinstance(result, Stored)
    segments = [str(library.expected[f"/v/s{n}.ts"]["sha256"]) for n in range(12)]
    assert result.evidence["sha256"] == chain(segments)
    assert [hashlib.sha256(s3.read(f"v0/{n + 1:05d}.ts")).hexdigest() for n in range(12)] == segments
    assert sum(library.asked(f"/v/s{n}.ts") for n in range(12)) - before == 12 - stored


def test_two_copies_of_one_video_at_once_leave_one_whole_video(library, s3):
    library.put_video(count=20)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda copy: copy(), [Copy(library, s3), Copy(library, s3)])
    assert isinstance(first, Stored)
    assert first.evidence["sha256"] == second.evidence["sha256"]
    assert len(s3.objects()) == 21


def test_playlists_that_change_meanwhile_start_the_copy_again(library, s3):
    library.put_video(count=3)
    library.downloads.remove("/v/s2.ts")
    copy = Copy(library, s3)
    assert isinstance(copy(), Retry)
    library.put_video(count=4)
    assert copy() == More(2)
    result = copy()
    assert isinstance(result, Stored)
    assert (result.evidence["segments"], copy.checkpoint["generation"]) == (4, 2)


def test_playlists_that_change_every_time_end_the_copy(library, s3):
    library.put("/v/s0.ts", TS * 2)
    library.put("/v/a.ts", TS * 2)
    copy, count = Copy(library, s3), 0
    result = None
    while not isinstance(result, Failed):
        count += 1
        library.put_media("/v/index.m3u8", "s0.ts", *[f"a.ts?{n}" for n in range(count)], "gone.ts")
        result = copy()
        assert count < 20
    assert result.code == Code.SOURCE_CHANGED


def test_a_superseded_copy_stops_at_once(library, s3):
    library.put_video(count=3)

    def save(checkpoint: dict[str, Any], size: int) -> None:
        raise CopySuperseded("another call")

    with pytest.raises(CopySuperseded):
        Copy(library, s3)(save=save)
    assert "index.m3u8" not in s3.objects()


# --- trouble at S3 ---


def _client_error(code: str, status: int, operation: str = "PutObject") -> Any:
    return lambda key: ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


@pytest.mark.parametrize(
    "failure",
    [
        _client_error("SlowDown", 503),
        _client_error("InternalError", 500),
        _client_error("ConditionalRequestConflict", 409),
        lambda key: EndpointConnectionError(endpoint_url="s3"),
    ],
)
def test_a_busy_s3_is_tried_again(library, s3, failure):
    library.put_video(count=3)
    s3.failures["put_object"] = [failure, failure]
    assert isinstance(Copy(library, s3)(), Stored)


def test_an_s3_that_asks_to_slow_down_costs_no_attempt(library, s3):
    library.put_video(count=3)
    s3.failures["put_object"] = [_client_error("SlowDown", 503)] * 50
    copy = Copy(library, s3)
    result = copy()
    assert isinstance(result, More)
    assert result.wait_seconds >= 15
    s3.failures.clear()
    assert isinstance(copy(), Stored)


def test_a_conflict_at_the_completion_of_a_large_segment_begins_its_upload_anew(library, s3):
    library.put("/v/big.ts", TS * 60_000)
    library.put_media("/v/index.m3u8", "big.ts")
    conflict = _client_error("ConditionalRequestConflict", 409, "CompleteMultipartUpload")
    s3.failures["complete_multipart_upload"] = [conflict]
    copy = Copy(library, s3, options=Options(backoff=0.005, part_size=5 * 1024 * 1024))
    assert copy().code == Code.STORAGE_UNAVAILABLE
    assert isinstance(copy(), Stored)
    assert (s3.calls["complete_multipart_upload"], s3.calls["create_multipart_upload"]) == (2, 2)


def test_an_s3_that_says_no_is_reported_as_such(library, s3):
    library.put_video(count=1)
    s3.failures["put_object"] = [_client_error("AccessDenied", 403)]
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Retry, Code.STORAGE_REFUSED)
    assert "index.m3u8" not in s3.objects()
