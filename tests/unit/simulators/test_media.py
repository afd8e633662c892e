"""The simulators' video: real, playable, different each time, and never made twice."""

from __future__ import annotations

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg
import pytest

from local.simulators import media


def played(path: Path) -> str:
    """What ffmpeg says after decoding every frame; it fails when it cannot."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def boxes(content: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(content):
        found.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    assert at == len(content)
    return found


def test_a_clip_is_a_whole_mp4_that_plays_with_its_own_tail(tmp_path):
    served = media.clip(unique="one")
    content = b"".join(served.read())
    assert len(content) == served.size
    assert boxes(content)[0] == b"ftyp"
    assert {b"moov", b"mdat"} <= set(boxes(content))
    assert boxes(content)[-1] == b"free"
    path = tmp_path / "one.mp4"
    path.write_bytes(content)
    assert played(path) == ""


def test_the_hashes_are_those_of_the_bytes():
    served = media.clip(unique="two")
    content = b"".join(served.read())
    assert served.sha256 == hashlib.sha256(content).hexdigest()
    assert served.md5 == hashlib.md5(content).hexdigest()
    assert served.crc64 == media.crc64(content)
    assert media.crc64(b"123456789") == 0x995DC9BBDF1939FA  # the check value of CRC-64/XZ


def test_each_copy_has_its_own_hash():
    assert len({media.clip(unique=name).sha256 for name in ("a", "b", "c", "")}) == 4


def test_sizes_differ_as_named():
    small, medium = media.clip("small").size, media.clip("medium").size
    assert 50_000 < small < 200_000
    assert medium > 12_000_000


@pytest.mark.parametrize(("start", "end"), [(0, 10), (100, None), (-30, None), (-30, -10), (-5, 10**9), (7, 7)])
def test_any_part_is_read_across_the_masters_end(start, end):
    served = media.clip(unique="a tail of some length")
    whole = b"".join(served.read())
    first = start % served.size
    last = None if end is None else (end if end > 0 else served.size + end)
    assert b"".join(served.read(first, last)) == whole[first:last]


def test_the_ladder_has_two_renditions_of_segments_that_play(tmp_path):
    files = media.ladder(unique="show")
    assert files["master.m3u8"].content_type == "application/vnd.apple.mpegurl"
    for name, served in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(served.read()))
    for rendition in media.RENDITIONS:
        assert sum(name.startswith(f"{rendition}/seg") for name in files) >= 3
        assert f"{rendition}/index.m3u8" in (tmp_path / "master.m3u8").read_text()
        assert played(tmp_path / rendition / "index.m3u8") == ""
    assert not {c.sha256 for c in files.values()} & {c.sha256 for c in media.ladder(unique="other").values()}
    segment = b"".join(files["360p/seg000.ts"].read())
    assert len(segment) % 188 == 0
    assert segment[-188:-185] == b"\x47\x1f\xff"


def test_a_master_wanted_by_many_at_once_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "CACHE", tmp_path)
    made = []

    def make(out: Path) -> None:
        made.append(out)
        out.write_bytes(b"master")

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: media._made("x.mp4", make), range(16)))
    assert len(made) == len(paths) == 1
    assert paths.pop().read_bytes() == b"master"


def test_a_master_that_could_not_be_made_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "CACHE", tmp_path)
    with pytest.raises(RuntimeError, match="ffmpeg failed"):
        media._made("x.mp4", lambda out: media._ffmpeg(["-i", "nothing", str(out)]))
    assert [path.name for path in tmp_path.rglob("*.mp4")] == []
