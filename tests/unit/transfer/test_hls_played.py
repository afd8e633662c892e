"""Real HLS videos, copied: what stands in S3 is played by ffmpeg from disk, picture by picture the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clipferry.transfer.interface import Stored

from tests.unit.transfer.hls_films import film, playlist, sounds
from tests.unit.transfer.hls_world import M3U8, S3, Copy, Library, played, s3_bucket

UNTAGGED = ("-segment_format_options", "id3v2_version=0:write_xing=0")
FMP4 = ("-hls_segment_type", "fmp4")


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture
def library() -> Iterator[Library]:
    with Library() as simulator:
        yield simulator


def copied(library: Library, s3: S3, folder: Path, target: Path) -> tuple[Stored, Path]:
    library.put_folder("/v", folder)
    result = Copy(library, s3)()
    assert isinstance(result, Stored), result
    return result, s3.save(target)


@pytest.mark.parametrize(
    "options",
    [(), FMP4, ("-hls_flags", "single_file"), (*FMP4, "-hls_flags", "single_file"), ("-hls_flags", "round_durations")],
    ids=" ".join,
)
def test_a_copy_shows_every_picture_and_plays_every_sound(library, s3, tmp_path, options):
    folder = film(tmp_path / "film", *options, sound=True)
    result, copy = copied(library, s3, folder, tmp_path / "copy")
    assert result.evidence["container"] == "complete"
    for stream in ("v:0", "a:0"):
        assert played(copy, stream) == played(folder / "index.m3u8", stream)
    assert len(played(copy)) == 30


@pytest.mark.parametrize(
    ("codec", "segment_format", "extension", "content_type"),
    [
        (["aac"], "adts", ".aac", "audio/aac"),
        (
            ["libmp3lame", "-reservoir", "0", "-segment_format_options", "id3v2_version=0:write_xing=0"],
            "mp3",
            ".mp3",
            "audio/mpeg",
        ),
        (["ac3"], "ac3", ".ac3", "audio/ac3"),
        (["eac3"], "eac3", ".ec3", "audio/eac3"),
    ],
)
def test_sound_without_a_container_is_named_by_its_bytes_and_plays(
    library, s3, tmp_path, codec, segment_format, extension, content_type
):
    folder = sounds(tmp_path / "film", codec, segment_format)
    _, copy = copied(library, s3, folder, tmp_path / "copy")
    names = [name for name in s3.objects() if not name.endswith(".m3u8")]
    assert {name[-4:] for name in names} == {extension}
    assert {s3.content_type(name) for name in names} == {content_type}
    whole = b"".join((folder / f"part{n}").read_bytes() for n in range(len(names)))
    (tmp_path / f"whole{extension}").write_bytes(whole)
    assert len(played(copy, "a:0")) >= len(played(tmp_path / f"whole{extension}", "a:0")) - 2


@pytest.mark.parametrize("options", [(), FMP4], ids=["ts", "fmp4"])
@pytest.mark.parametrize("lie", ["", ".vtt", ".mp3", ".html", ".TS", ".unknown-extension"])
def test_the_names_at_the_source_decide_nothing(library, s3, tmp_path, options, lie):
    """As in `get?f=a.vtt`: parts of a path that look like an extension, or none at all."""
    folder = film(tmp_path / "film", *options, "-hls_segment_filename", tmp_path / "film" / "part%d")
    index = folder / "index.m3u8"
    right = played_by_bytes(folder, tmp_path / "right", ".m4s" if options else ".ts")
    for part in sorted(folder.glob("part*")):
        part.rename(f"{part}{lie}")
    index.write_text(index.read_text().replace("part", "x/../part"))
    index.write_text("\n".join(f"{line}{lie}" if "part" in line else line for line in index.read_text().split("\n")))
    _, copy = copied(library, s3, folder, tmp_path / "copy")
    assert played(copy) == right
    suffix, content_type = (".m4s", "video/iso.segment") if options else (".ts", "video/mp2t")
    assert s3.content_type(f"v0/00001{suffix}") == content_type


def played_by_bytes(folder: Path, target: Path, extension: str) -> list[str]:
    """What a playlist shows whose segments have no extension: the same with one."""
    target.mkdir()
    for file in folder.iterdir():
        content = file.read_bytes()
        if file.suffix == ".m3u8":
            lines = content.decode().split("\n")
            content = "\n".join(f"{line}{extension}" if line.startswith("part") else line for line in lines).encode()
        (target / (file.name if file.suffix else f"{file.name}{extension}")).write_bytes(content)
    return played(target / "index.m3u8")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: "\n\n# made by a machine\n" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("#EXT-X-VERSION:3\n", "").replace("#EXT-X-VERSION:6\n", ""),
        lambda text: text.replace("#EXTINF", "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXTINF", 1),
        lambda text: text.replace("#EXTINF", '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="no.m3u8"\n#EXTINF', 1),
        lambda text: text.replace("#EXTINF", '#EXT-X-DEFINE:NAME="n",VALUE="index"\n#EXTINF', 1).replace(
            "\nindex", "\n{$n}"
        ),
        lambda text: text.replace("#EXTM3U", "#EXTM3U\n#EXTM3U"),
        lambda text: text + "\n# the end\n\n",
    ],
    ids=["mark", "comment", "crlf", "version", "stray variant", "stray rendition", "variable", "twice", "behind"],
)
def test_what_players_read_is_copied(library: Library, s3: S3, tmp_path: Path, change: Callable[[str], str]) -> None:
    folder = film(tmp_path / "film")
    right = played(folder / "index.m3u8")
    text = (folder / "index.m3u8").read_text()
    (folder / "index.m3u8").write_text(change(text), newline="")
    _, copy = copied(library, s3, folder, tmp_path / "copy")
    assert played(copy) == right


def test_a_master_playlist_with_tags_of_media_playlists_is_copied(library, s3, tmp_path):
    folder = film(tmp_path / "film")
    (folder / "index.m3u8").rename(folder / "low.m3u8")
    (folder / "index.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\n# low\n"
        "low.m3u8\n#EXT-X-ENDLIST\n"
    )
    _, copy = copied(library, s3, folder, tmp_path / "copy")
    assert copy.read_text().splitlines() == ["#EXTM3U", "#EXT-X-STREAM-INF:BANDWIDTH=1", "v0/index.m3u8"]
    assert len(played(copy)) == 30


def test_a_rendition_with_an_empty_uri_is_in_the_variants_themselves(library, s3, tmp_path):
    folder = film(tmp_path / "film", sound=True)
    (folder / "index.m3u8").rename(folder / "low.m3u8")
    (folder / "index.m3u8").write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI=""\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nlow.m3u8\n'
    )
    _, copy = copied(library, s3, folder, tmp_path / "copy")
    assert "URI" not in copy.read_text()
    assert (len(played(copy)), played(copy, "a:0")) == (30, played(folder / "low.m3u8", "a:0"))


def test_segments_of_another_format_may_follow_a_discontinuity(library, s3, tmp_path):
    film(tmp_path / "film" / "a")
    film(tmp_path / "film" / "b", *FMP4)
    lines = [
        '#EXT-X-MAP:URI="b/init.mp4"',
        *("#EXTINF:1,", "b/index0.m4s"),
        "#EXT-X-DISCONTINUITY",
        *("#EXTINF:1,", "a/index0.ts"),
    ]
    library.put_folder("/v", tmp_path / "film")
    library.put("/v/index.m3u8", playlist([], *lines), M3U8)
    assert isinstance(Copy(library, s3)(), Stored)
    assert sorted(s3.objects()) == ["index.m3u8", "v0/00001.m4s", "v0/00002.ts", "v0/init1.mp4"]


def test_pictures_for_trick_play_are_copied_though_they_are_cut_out_of_segments(library, s3, tmp_path):
    folder = film(tmp_path / "film", *FMP4, "-hls_flags", "single_file")
    lines = (folder / "index.m3u8").read_text().splitlines()
    ranges = [line.partition(":")[2] for line in lines if line.startswith("#EXT-X-BYTERANGE")]
    media = next(line for line in lines if not line.startswith("#"))
    pictures = [f"{int(length) // 2}@{start}" for length, _, start in (text.partition("@") for text in ranges)]
    tags = [line for line in lines if line.startswith("#EXT-X-MAP")]
    for picture in pictures:
        tags += ["#EXTINF:1,", f"#EXT-X-BYTERANGE:{picture}", media]
    (folder / "pictures.m3u8").write_text(playlist([], "#EXT-X-I-FRAMES-ONLY", *tags))
    (folder / "index.m3u8").rename(folder / "low.m3u8")
    (folder / "index.m3u8").write_text(
        '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="pictures.m3u8"\n'
    )
    result, copy = copied(library, s3, folder, tmp_path / "copy")
    assert result.evidence["container"] == "complete"
    assert len(played(copy)) == 30
