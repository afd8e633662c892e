"""Real video for the simulators: playable H.264 MP4 files of three sizes, and an HLS ladder. Each copy differs.

ffmpeg (from the imageio-ffmpeg wheel) makes each master once, in `.cache/media`. Processes that need the same master at
the same time wait for each other. A copy differs from its master only by a box at its end that players skip.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "media"
CHUNK = 256 * 1024  # bytes read at once

_H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "1"]
_NOISE = "testsrc2=size=1280x720:rate=30:duration={seconds},noise=alls=60:allf=t"

#: ffmpeg arguments for each size. The bitrate is fixed, so a size is about bitrate × seconds / 8.
RECIPES: dict[str, list[str]] = {
    "small": ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15:duration=6", *_H264, "-b:v", "130k"],
    "medium": ["-f", "lavfi", "-i", _NOISE.format(seconds=4), *_H264, "-b:v", "28M", "-minrate", "28M"],
    "large": ["-f", "lavfi", "-i", _NOISE.format(seconds=6), *_H264, "-b:v", "60M", "-minrate", "60M"],
}
#: The ladder's renditions: width × height and bitrate.
RENDITIONS = {"360p": ("640x360", "400k"), "720p": ("1280x720", "1200k")}
SEGMENT_SECONDS = 2
LADDER_SECONDS = 8


@dataclass(frozen=True)
class Clip:
    """The bytes of a file: a master on disk, and the clip's own tail, with which the file is still valid."""

    path: Path
    tail: bytes = b""
    content_type: str = "video/mp4"

    @cached_property
    def size(self) -> int:
        return self.path.stat().st_size + len(self.tail)

    @cached_property
    def sha256(self) -> str:
        return self._digest("sha256")

    @cached_property
    def md5(self) -> str:
        return self._digest("md5")

    @cached_property
    def crc64(self) -> int:
        """CRC-64/XZ, which Alibaba OSS calls crc64ecma."""
        return crc64(self.tail, 0 if self.path == Path(os.devnull) else _master_crc64(self.path))

    def read(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to `end`, without `end`, in chunks."""
        end = self.size if end is None else min(end, self.size)
        edge = self.size - len(self.tail)
        with self.path.open("rb") as file:
            file.seek(start)
            while start < min(end, edge):
                chunk = file.read(min(CHUNK, edge - start, end - start))
                start += len(chunk)
                yield chunk
        if start < end:
            yield self.tail[start - edge : end - edge]

    def cut_short(self, share: float = 0.6) -> Clip:
        """The first part of the clip, like a file of which the vendor itself got only a part."""
        return Clip(Path(os.devnull), b"".join(self.read(0, int(self.size * share))), self.content_type)

    def _digest(self, algorithm: str) -> str:
        digest = hashlib.new(algorithm)
        for chunk in self.read():
            digest.update(chunk)
        return digest.hexdigest()


def clip(size: str = "small", *, unique: str = "") -> Clip:
    """An MP4 of about 100 KB (`small`), 15 MB (`medium`) or 48 MB (`large`). Each `unique` gives another hash."""
    master = _made(f"{size}.mp4", lambda out: _ffmpeg([*RECIPES[size], "-movflags", "+faststart", str(out)]))
    return Clip(master, free_box(unique.encode()) if unique else b"")


def ladder(*, unique: str = "", encrypted: bool = False) -> dict[str, Clip]:
    """An HLS ladder by relative path: `master.m3u8`, and for each rendition a playlist and at least 3 segments.

    `encrypted`: with AES-128 and one key for each rendition (`key.bin`). Its segments are the same for each `unique`.
    """
    home = _made("ladder-aes128", _make_encrypted_ladder) if encrypted else _made("ladder", _make_ladder)
    null = null_packet(unique.encode()) if unique and not encrypted else b""
    comment = f"# {unique}\n".encode() if unique else b""
    kinds = {
        ".ts": (null, "video/mp2t"),
        ".m3u8": (comment, "application/vnd.apple.mpegurl"),
        ".bin": (b"", "application/octet-stream"),
    }
    files = (path for path in sorted(home.rglob("*")) if path.suffix in kinds)
    return {path.relative_to(home).as_posix(): Clip(path, *kinds[path.suffix]) for path in files}


def pixel() -> Clip:
    """A GIF of one transparent pixel, as web trackers use it."""
    content = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
    return Clip(Path(os.devnull), content, "image/gif")


def free_box(content: bytes) -> bytes:
    """An ISO-BMFF `free` box (ISO/IEC 14496-12 §8.1.2): players skip it."""
    return (8 + len(content)).to_bytes(4, "big") + b"free" + content


def null_packet(content: bytes) -> bytes:
    """An MPEG-TS null packet (ISO/IEC 13818-1, PID 0x1FFF), which players skip. It holds a hash of `content`."""
    return b"\x47\x1f\xff\x10" + hashlib.sha512(content).digest().ljust(184, b"\xff")


@cache
def _crc64_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xC96C5795D7870F42 if byte & 1 else 0)
        table.append(byte)
    return table


def crc64(data: bytes, crc: int = 0) -> int:
    """CRC-64/XZ of `data`, continued from `crc`. It is slow (10 MB/s), so the results for masters are stored."""
    table, crc = _crc64_table(), crc ^ 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFFFFFFFFFF


@cache
def _master_crc64(path: Path) -> int:
    def make(out: Path) -> None:
        out.write_text(json.dumps(crc64(path.read_bytes())))

    kept = path.relative_to(_home()).as_posix().replace("/", "_") + ".crc64"
    return int(json.loads(_made(kept, make).read_text()))


def _home() -> Path:
    """One folder for each set of recipes, so that a changed recipe makes new masters."""
    recipes = json.dumps([RECIPES, RENDITIONS, SEGMENT_SECONDS, LADDER_SECONDS], sort_keys=True)
    return CACHE / hashlib.sha256(recipes.encode()).hexdigest()[:12]


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """The file or folder `name`. The first process that needs it makes it; nobody changes it later."""
    final = _home() / name
    if final.exists():
        return final
    with _locked(_home() / f".{name}.lock"):
        if not final.exists():
            with tempfile.TemporaryDirectory(dir=_home()) as scratch:
                fresh = Path(scratch) / name
                make(fresh)
                os.rename(fresh, final)
    return final


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # the kernel releases it even if this process is killed
        yield


def _make_encrypted_ladder(home: Path) -> None:
    _make_ladder(home, encrypted=True)


def _make_ladder(home: Path, *, encrypted: bool = False) -> None:
    master = ["#EXTM3U", "#EXT-X-VERSION:3"]
    for name, (resolution, bitrate) in RENDITIONS.items():
        (home / name).mkdir(parents=True)
        secret: list[str] = []
        if encrypted:
            key, info = home / name / "key.bin", home / name / "key.info"
            key.write_bytes(hashlib.md5(name.encode(), usedforsecurity=False).digest())
            info.write_text(f"key.bin\n{key}\n")
            secret = ["-hls_key_info_file", str(info)]
        _ffmpeg(
            [
                "-f",
                "lavfi",
                "-i",
                f"testsrc2=size={resolution}:rate=15:duration={LADDER_SECONDS}",
                *_H264,
                "-b:v",
                bitrate,
                "-g",
                str(15 * SEGMENT_SECONDS),
                "-f",
                "hls",
                "-hls_time",
                str(SEGMENT_SECONDS),
                "-hls_playlist_type",
                "vod",
                *secret,
                "-hls_segment_filename",
                str(home / name / "seg%03d.ts"),
                str(home / name / "index.m3u8"),
            ]
        )
        bandwidth = int(bitrate.rstrip("k")) * 1000
        master += [f"#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={resolution}", f"{name}/index.m3u8"]
    (home / "master.m3u8").write_text("\n".join(master) + "\n")


def _ffmpeg(arguments: list[str]) -> None:
    import imageio_ffmpeg  # only needed until all masters exist

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg failed: {done.stderr.strip()[-500:]}")
