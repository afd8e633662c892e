"""Real HLS videos of three seconds, made by ffmpeg, and what is done to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.unit.transfer.hls_world import ffmpeg

SECONDS = 3
PICTURE = ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=10:duration={SECONDS}"]
SOUND = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={SECONDS}"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10", "-threads", "1"]


def film(folder: Path, *options: str | Path, sound: bool = False) -> Path:
    """`index.m3u8` in the folder, with segments of one second."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs, codecs = ([*PICTURE, *SOUND], [*H264, "-c:a", "aac"]) if sound else (PICTURE, H264)
    how = ["-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", *options]
    ffmpeg(*inputs, *codecs, *how, folder / "index.m3u8")
    return folder


def sounds(folder: Path, codec: Sequence[str], segment_format: str) -> Path:
    """Sound alone, in segments without a container and without an extension."""
    folder.mkdir(parents=True, exist_ok=True)
    how = ["-f", "segment", "-segment_time", "1", "-segment_format", segment_format]
    ffmpeg(*SOUND, "-map", "0:a", "-c:a", *codec, *how, folder / "part%d")
    count = len(list(folder.glob("part*")))
    (folder / "index.m3u8").write_text(playlist(f"part{number}" for number in range(count)))
    return folder


def playlist(segments: Iterable[str], *tags: str) -> str:
    """A media playlist; `tags` come ahead of the first segment."""
    lines = "".join(f"#EXTINF:1,\n{segment}\n" for segment in segments)
    head = "".join(f"{tag}\n" for tag in tags)
    return f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n{head}{lines}#EXT-X-ENDLIST\n"


def encrypt(plain: bytes, key: bytes, iv: bytes | int) -> bytes:
    """AES-128 in CBC mode with PKCS#7 padding; `iv` may be a segment's number."""
    padder = PKCS7(128).padder()
    iv = iv if isinstance(iv, bytes) else iv.to_bytes(16, "big")
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
