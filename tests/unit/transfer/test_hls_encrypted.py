"""HLS under AES-128: key and ciphertext are copied and play; what cannot be played without a licence is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clipferry.transfer.hls.hls_copy import chain
from clipferry.transfer.interface import Code, Failed, More, Retry, Stored
from clipferry.vendors.contract import Remote

from local.simulators.faults import Fault
from tests.unit.transfer.hls_films import encrypt, film, playlist
from tests.unit.transfer.hls_world import M3U8, S3, Copy, Library, played, s3_bucket

KEY, OTHER = bytes(range(16)), bytes(range(100, 116))
IV = bytes(range(50, 66))
FMP4 = ("-hls_segment_type", "fmp4")


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture
def library() -> Iterator[Library]:
    with Library() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clear") / "film")


@pytest.fixture(scope="module")
def fragments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("fragments") / "film", *FMP4)


def key_tag(uri: str = "key", iv: bytes | None = None, **others: str) -> str:
    more = "".join(f',{name}="{value}"' for name, value in others.items())
    return f'#EXT-X-KEY:METHOD=AES-128,URI="{uri}"' + (f",IV=0x{iv.hex()}" if iv else "") + more


def put(library: Library, lines: list[str], **files: bytes) -> None:
    for name, content in files.items():
        library.put(f"/v/{name}", content, "")
    library.put("/v/index.m3u8", playlist([], *lines), M3U8)


def segments(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("index*.[tm]*s"))]


def test_a_film_that_ffmpeg_encrypted_is_copied_with_its_key_and_plays(library, s3, tmp_path):
    (tmp_path / "secret").write_bytes(KEY)
    (tmp_path / "info").write_text(f"keys/film.key?token=t0\n{tmp_path / 'secret'}\n")
    folder = film(tmp_path / "film", "-hls_key_info_file", tmp_path / "info")
    library.put_folder("/v", folder)
    library.put("/v/keys/film.key", KEY, "")
    result = Copy(library, s3)()
    assert isinstance(result, Stored), result
    text = s3.read("index.m3u8").decode()
    assert 'METHOD=AES-128,URI="v0/key1.key.vob",IV=0x' in text
    assert "token" not in text
    assert (s3.read("v0/key1.key.vob"), s3.content_type("v0/key1.key.vob")) == (KEY, "application/octet-stream")
    stored = sorted(name for name in s3.objects() if name.endswith(".ts"))
    assert [s3.read(name) for name in stored] == segments(folder)
    assert result.evidence["sha256"] == chain(str(library.expected[f"/v/index{n}.ts"]["sha256"]) for n in range(3))
    assert (result.evidence["keys"], result.evidence["container"]) == (1, "complete")
    assert (result.evidence["segments"], result.size) == (3, sum(s3.objects()[name] for name in stored))
    copy = s3.save(tmp_path / "copy")
    assert len(played(copy)) == 30


def test_keys_that_rotate_and_clear_stretches_play(library, s3, clear, tmp_path):
    first, second, third = segments(clear)
    lines = [
        *(key_tag("k1", IV), "#EXTINF:1,", "a"),
        *("#EXT-X-KEY:METHOD=NONE", "#EXTINF:1,", "b"),
        *(key_tag("k2", IV), "#EXTINF:1,", "c"),
    ]
    put(library, lines, a=encrypt(first, KEY, IV), b=second, c=encrypt(third, OTHER, IV), k1=KEY, k2=OTHER)
    result = Copy(library, s3)()
    assert isinstance(result, Stored), result
    assert (s3.read("v0/key1.key.vob"), s3.read("v0/key2.key.vob")) == (KEY, OTHER)
    assert s3.read("v0/00002.ts") == second
    copy = s3.save(tmp_path / "copy")
    assert played(copy) == played(clear / "index.m3u8")


@pytest.mark.parametrize("first", [0, 7, 70_000])
def test_without_an_iv_the_number_of_the_segment_counts_and_is_kept(library, s3, clear, tmp_path, first):
    parts = {f"s{n}": encrypt(part, KEY, first + n) for n, part in enumerate(segments(clear))}
    lines = [f"#EXT-X-MEDIA-SEQUENCE:{first}", key_tag(), *(line for name in parts for line in ("#EXTINF:1,", name))]
    put(library, lines, key=KEY, **parts)
    assert isinstance(Copy(library, s3)(), Stored)
    copy = s3.save(tmp_path / "copy")
    assert f"#EXT-X-MEDIA-SEQUENCE:{first}" in copy.read_text()
    assert "IV" not in copy.read_text()
    assert played(copy) == played(clear / "index.m3u8")


@pytest.mark.parametrize("iv", [IV, None], ids=["iv", "no iv"])
def test_initialisation_sections_and_byte_ranges_may_be_encrypted_too(library, s3, fragments, tmp_path, iv):
    init = encrypt((fragments / "init.mp4").read_bytes(), KEY, iv or 0)
    parts = [encrypt(part, KEY, iv or number) for number, part in enumerate(segments(fragments))]
    lines, start = [key_tag("key", iv), '#EXT-X-MAP:URI="init"'], 0
    for part in parts:
        lines += ["#EXTINF:1,", f"#EXT-X-BYTERANGE:{len(part)}@{start}", "all"]
        start += len(part)
    put(library, lines, key=KEY, init=init, all=b"".join(parts))
    result = Copy(library, s3)()
    assert isinstance(result, Stored), result
    assert s3.read("v0/init1.mp4") == init
    assert [s3.read(f"v0/{n:05d}.m4s") for n in (1, 2, 3)] == parts
    assert played(s3.save(tmp_path / "copy")) == played(fragments / "index.m3u8")


def test_a_clear_initialisation_section_ahead_of_the_key_stays_clear(library, s3, fragments, tmp_path):
    parts = {f"s{n}": encrypt(part, KEY, IV) for n, part in enumerate(segments(fragments))}
    lines = ['#EXT-X-MAP:URI="init"', key_tag("key", IV)]
    lines += [line for name in parts for line in ("#EXTINF:1,", name)]
    put(library, lines, key=KEY, init=(fragments / "init.mp4").read_bytes(), **parts)
    assert isinstance(Copy(library, s3)(), Stored)
    assert played(s3.save(tmp_path / "copy")) == played(fragments / "index.m3u8")


def test_one_key_of_several_renditions_is_stored_once_and_the_hint_in_the_master_leads_to_it(library, s3, clear):
    part = encrypt(segments(clear)[0], KEY, IV)
    for name in ("low", "high"):
        library.put(f"/v/{name}.ts", part, "")
        library.put(f"/v/{name}.m3u8", playlist([f"{name}.ts"], key_tag("key", IV)), M3U8)
    library.put("/v/key", KEY, "")
    library.put(
        "/v/index.m3u8",
        '#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI="key"\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI="unused"\n'
        '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES-CTR,URI="x",KEYFORMAT="com.widevine"\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n",
        M3U8,
    )
    assert isinstance(Copy(library, s3)(), Stored)
    hints = [line for line in s3.read("index.m3u8").decode().splitlines() if "SESSION-KEY" in line]
    assert hints == ['#EXT-X-SESSION-KEY:METHOD=AES-128,URI="v0/key1.key.vob"']
    assert b'URI="../v0/key1.key.vob"' in s3.read("v1/index.m3u8")
    assert library.asked("/v/key") == 1


def test_a_key_that_is_also_offered_through_drm_is_copied_plainly(library, s3, clear):
    offered = key_tag("skd://x", IV, KEYFORMAT="com.apple.streamingkeydelivery")
    lines = [offered, key_tag("key", IV, KEYFORMAT="identity"), "#EXTINF:1,", "a"]
    put(library, lines, key=KEY, a=encrypt(segments(clear)[0], KEY, IV))
    assert isinstance(Copy(library, s3)(), Stored)
    assert s3.read("index.m3u8").count(b"EXT-X-KEY") == 1


def test_a_key_that_nothing_is_under_need_not_be_there(library, s3, clear):
    lines = [key_tag("gone"), "#EXT-X-KEY:METHOD=NONE", "#EXTINF:1,", "a"]
    put(library, lines, a=segments(clear)[0])
    assert isinstance(Copy(library, s3)(), Stored)
    assert b"KEY" not in s3.read("index.m3u8")


# --- what fails ---


@pytest.mark.parametrize("key", [b"", KEY[:15], KEY + b"\n", b"x" * 5000, b"<html>please log in</html>"], ids=len)
def test_a_key_that_is_not_16_bytes_is_a_failed_attempt(library, s3, clear, key):
    put(library, [key_tag(iv=IV), "#EXTINF:1,", "a"], key=key, a=encrypt(segments(clear)[0], KEY, IV))
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Retry, Code.NOT_A_VIDEO)
    assert "not 16" in result.message
    assert s3.objects() == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda part: encrypt(part, OTHER, IV), Code.NOT_A_VIDEO),
        (lambda part: encrypt(part, KEY, OTHER), Code.NOT_A_VIDEO),
        (lambda part: part, Code.CONTAINER_CUT),
        (lambda part: part * 4, Code.NOT_A_VIDEO),
        (lambda part: encrypt(part, KEY, IV)[:-16], Code.CONTAINER_CUT),
        (lambda part: encrypt(part, KEY, IV)[:-5], Code.CONTAINER_CUT),
        (lambda part: encrypt(part[:-100], KEY, IV), Code.CONTAINER_CUT),
        (lambda part: b"<html>" * 800, Code.NOT_A_VIDEO),
        (lambda part: b"\xff" * 16_000, Code.NOT_A_VIDEO),
        (lambda part: b"", Code.NOT_A_VIDEO),
        (lambda part: encrypt(b"", KEY, IV), Code.NOT_A_VIDEO),
        (lambda part: encrypt(b'{"error": "gone"}' * 1000, KEY, IV), Code.NOT_A_VIDEO),
    ],
)
def test_a_segment_that_its_key_does_not_open_is_never_stored(library, s3, clear, change, code):
    first, second, _ = segments(clear)
    lines = [key_tag("key", IV), "#EXTINF:1,", "a", "#EXTINF:1,", "b"]
    put(library, lines, key=KEY, a=encrypt(first, KEY, IV), b=change(second))
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Retry, code), result
    assert "segment 2 of 2" in result.message
    assert not {"v0/00002.ts", "index.m3u8"} & s3.objects().keys()


def test_a_missing_key_is_named(library, s3, clear):
    put(library, [key_tag("gone"), "#EXTINF:1,", "a"], a=encrypt(segments(clear)[0], KEY, 0))
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Retry, Code.HLS_SEGMENT_MISSING)
    assert "key" in result.message


def test_a_key_is_fetched_through_the_guard(library, s3, clear):
    put(library, [key_tag("http://169.254.169.254/key"), "#EXTINF:1,", "a"], a=encrypt(segments(clear)[0], KEY, 0))
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Failed, Code.ADDRESS_REFUSED)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"', "SAMPLE-AES"),
        (
            '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="data:,",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"',
            "Widevine",
        ),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"', "FairPlay"),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:x",KEYFORMAT="com.microsoft.playready"', "PlayReady"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="key",KEYFORMAT="com.example.own"', "com.example.own"),
        ('#EXT-X-KEY:METHOD=AES-256,URI="key"', "AES-256"),
        ('#EXT-X-KEY:URI="key"', "does not name"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="data:text/plain;base64,AAAAAAAAAAAAAAAAAAAAAA=="', "http"),
    ],
)
@pytest.mark.parametrize("under", ["segment", "initialisation"])
def test_other_encryption_is_refused_by_its_name(library, s3, tag, words, under):
    lines = (
        ["#EXTINF:1,", "a"]
        if under == "segment"
        else ['#EXT-X-MAP:URI="i"', "#EXT-X-KEY:METHOD=NONE", "#EXTINF:1,", "a"]
    )
    put(library, [tag, *lines], key=KEY)
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Failed, Code.HLS_ENCRYPTED)
    assert words in result.message
    assert library.calls["download"] == 1


@pytest.mark.parametrize(
    "tag", ["#EXT-X-KEY:METHOD=AES-128", '#EXT-X-KEY:METHOD=AES-128,URI=""', '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=12']
)
def test_a_key_tag_that_cannot_be_read_is_told(library, s3, tag):
    put(library, [tag, "#EXTINF:1,", "a"])
    result = Copy(library, s3)()
    assert (type(result), result.code) == (Failed, Code.HLS_INVALID)
    assert "key" in result.message


# --- over several calls ---


def test_a_later_call_asks_for_the_key_again_and_not_for_segments_that_are_stored(library, s3, clear, tmp_path):
    parts = {f"s{n}": encrypt(part, KEY, n) for n, part in enumerate(segments(clear))}
    lines = [key_tag(), *(line for name in parts for line in ("#EXTINF:1,", name))]
    put(library, lines, key=KEY, **parts)
    library.downloads.remove("/v/s2")
    copy = Copy(library, s3)
    assert isinstance(copy(), Retry)
    asked = {n: library.asked(f"/v/s{n}") for n in (0, 1) if f"v0/{n + 1:05d}.ts" in s3.objects()}
    library.put("/v/s2", parts["s2"], "")
    assert isinstance(copy(), Stored)
    assert {n: library.asked(f"/v/s{n}") for n in asked} == asked
    assert played(s3.save(tmp_path / "copy")) == played(clear / "index.m3u8")


def test_a_key_that_changes_between_two_calls_begins_the_copy_again(library, s3, clear, tmp_path):
    plain = segments(clear)
    lines = [key_tag(), *(line for name in ("s0", "s1", "s2") for line in ("#EXTINF:1,", name))]
    put(library, lines, key=KEY, s0=encrypt(plain[0], KEY, 0), s1=encrypt(plain[1], KEY, 1))
    copy = Copy(library, s3)
    assert isinstance(copy(), Retry)
    put(library, lines, key=OTHER, **{f"s{n}": encrypt(part, OTHER, n) for n, part in enumerate(plain)})
    assert isinstance(copy(), More)
    assert isinstance(copy(), Stored)
    assert copy.checkpoint["generation"] == 2
    assert played(s3.save(tmp_path / "copy")) == played(clear / "index.m3u8")


def test_a_key_url_that_expired_is_taken_from_fresh_playlists(library, s3, clear):
    part = encrypt(segments(clear)[0], KEY, IV)
    library.put("/v/key", KEY, "")
    library.put("/v/a", part, "")
    copy = Copy(library, s3)

    def locate() -> Remote:
        copy.located += 1
        library.put("/v/index.m3u8", playlist(["a"], key_tag(f"key?n={copy.located}", IV)), M3U8)
        return Remote(f"{library.url}/v/index.m3u8", kind="hls")

    library.fail_next("download:/v/key", Fault("expired"))
    assert isinstance(copy(locate=locate), Stored)


def test_a_long_encrypted_segment_goes_up_in_parts_and_is_looked_at_in_the_store(library, s3, clear):
    plain = b"".join(segments(clear)) * 130  # 12 MB and more
    options: Any = Copy(library, s3).options
    small = type(options)(backoff=0.005, part_size=5 * 1024 * 1024)
    put(library, [key_tag("key", IV), "#EXTINF:1,", "a"], key=KEY, a=encrypt(plain, KEY, IV))
    result = Copy(library, s3, options=small)()
    assert isinstance(result, Stored), result
    assert result.evidence["container"] == "complete"
    put(library, [key_tag("key", IV), "#EXTINF:1,", "a", "#EXT-X-BITRATE:1"], a=encrypt(plain[:-20], KEY, IV))
    result = Copy(library, s3, "/v/index.m3u8", options=small)()
    assert (type(result), result.code) == (Retry, Code.CONTAINER_CUT)
    assert not isinstance(result, More)
    assert "v0/00001.ts" not in s3.objects()
