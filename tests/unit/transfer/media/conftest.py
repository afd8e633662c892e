"""Real media of many formats, made by ffmpeg once a session: tiny, and each in a fraction of a second."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import pytest

_VIDEO = "-f lavfi -i testsrc2=size={size}:rate=25:duration={seconds}"
_SOUND = "-f lavfi -i sine=frequency=440:duration=0.3:sample_rate={rate}"
V, A = _VIDEO.format(size="32x32", seconds=0.3), _SOUND.format(rate=44100)
CIF = _VIDEO.format(size="176x144", seconds=0.3)
A48, A8 = _SOUND.format(rate=48000), _SOUND.format(rate=8000)
X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"


@dataclass(frozen=True)
class Sample:
    """`arguments` of ffmpeg; the format, type and extension that its output is to be recognised as."""

    name: str
    arguments: str
    extension: str
    content_type: str
    piped: bool = False  # written where the writer cannot go back


SAMPLES = [
    Sample("moov-last.mp4", f"{V} {A} {X264} -c:a aac", ".mp4", "video/mp4"),
    Sample("moov-first.mp4", f"{V} {A} {X264} -c:a aac -movflags +faststart", ".mp4", "video/mp4"),
    Sample("fragments.mp4", f"{V} {X264} -g 2 -movflags frag_keyframe+empty_moov", ".mp4", "video/mp4"),
    Sample("indexed.mp4", f"{V} {X264} -g 2 -movflags frag_keyframe+empty_moov+global_sidx", ".mp4", "video/mp4"),
    Sample("sound.mp4", f"{A} -c:a aac -movflags +faststart", ".m4a", "audio/mp4"),
    Sample("a.mov", f"{V} {A} {X264} -c:a pcm_s16le", ".mov", "video/quicktime"),
    Sample("a.m4a", f"{A} -c:a aac", ".m4a", "audio/mp4"),
    Sample("a.m4v", f"{V} {X264}", ".m4v", "video/x-m4v"),
    Sample("a.f4v", f"{V} {X264}", ".f4v", "video/mp4"),
    Sample("a.3gp", f"{CIF} -c:v h263", ".3gp", "video/3gpp"),
    Sample("a.3g2", f"{CIF} -c:v h263", ".3g2", "video/3gpp2"),
    Sample("a.avif", f"{V} -frames:v 1 -c:v libaom-av1 -cpu-used 8 -still-picture 1", ".avif", "image/avif"),
    Sample("a.mkv", f"{V} {A} {X264} -c:a aac", ".mkv", "video/x-matroska"),
    Sample("piped.mkv", f"{V} {A} {X264} -c:a aac -f matroska", ".mkv", "video/x-matroska", piped=True),
    Sample("a.mka", f"{A} -c:a libvorbis", ".mka", "audio/x-matroska"),
    Sample("a.webm", f"{V} {A48} -c:v libvpx -c:a libopus", ".webm", "video/webm"),
    Sample("live.webm", f"{V} -c:v libvpx -live 1", ".webm", "video/webm"),
    Sample("sound.webm", f"{A48} -c:a libopus", ".webm", "audio/webm"),
    Sample("a.ts", f"{V} {A} {X264} -c:a aac", ".ts", "video/mp2t"),
    Sample("a.m2ts", f"{V} {A} {X264} -c:a aac -mpegts_m2ts_mode 1", ".m2ts", "video/mp2t"),
    Sample("mpeg1.mpg", f"{CIF} {A} -c:v mpeg1video -c:a mp2", ".mpg", "video/mpeg"),
    Sample("vcd.mpg", f"{CIF} {A} -target pal-vcd", ".mpg", "video/mpeg"),
    Sample("a.vob", f"{CIF} {A48} -c:v mpeg2video -c:a ac3 -f vob", ".mpg", "video/mpeg"),
    Sample("a.flv", f"{V} {A} -c:v flv -c:a libmp3lame", ".flv", "video/x-flv"),
    Sample("piped.flv", f"{V} -c:v flv -f flv", ".flv", "video/x-flv", piped=True),
    Sample("a.avi", f"{V} {A} -c:v mpeg4 -c:a libmp3lame", ".avi", "video/x-msvideo"),
    Sample("a.wmv", f"{V} {A} -c:v wmv2 -c:a wmav2", ".wmv", "video/x-ms-wmv"),
    Sample("a.wma", f"{A} -c:a wmav2", ".wma", "audio/x-ms-wma"),
    Sample("a.rm", f"{CIF} {A} -c:v rv20 -c:a ac3", ".rm", "application/vnd.rn-realmedia"),
    Sample("a.ogv", f"{V} {A} -c:v libtheora -c:a libvorbis", ".ogv", "video/ogg"),
    Sample("a.ogg", f"{A} -c:a libvorbis", ".ogg", "audio/ogg"),
    Sample("a.opus", f"{A48} -c:a libopus", ".opus", "audio/ogg"),
    Sample("a.mxf", f"{CIF} {A48} -c:v mpeg2video -c:a pcm_s16le", ".mxf", "application/mxf"),
    Sample("a.gxf", f"{_VIDEO.format(size='720x576', seconds=0.1)} -c:v mpeg2video", ".gxf", "application/gxf"),
    Sample("a.wtv", f"{CIF} {A} -c:v mpeg2video -c:a mp2", ".wtv", "video/x-wtv"),
    Sample("a.swf", f"{V} -c:v flv -an", ".swf", "application/x-shockwave-flash"),
    Sample("a.nut", f"{V} -c:v mpeg4", ".nut", "video/x-nut"),
    Sample("a.ivf", f"{V} -c:v libvpx", ".ivf", "video/x-ivf"),
    Sample("a.y4m", V, ".y4m", "video/x-yuv4mpeg"),
    Sample("a.264", f"{V} {X264} -f h264", ".264", "video/h264"),
    Sample("a.265", f"{V} -c:v libx265 -preset ultrafast -x265-params log-level=none -f hevc", ".265", "video/h265"),
    Sample("a.266", f"{_VIDEO.format(size='64x64', seconds=0.08)} -pix_fmt yuv420p10 -f vvc", ".266", "video/h266"),
    Sample("a.m2v", f"{CIF} -c:v mpeg2video -f mpeg2video", ".m2v", "video/mpeg"),
    Sample("mpeg4.m4v", f"{V} -c:v mpeg4 -f m4v", ".m4v", "video/mp4v-es"),
    Sample("a.obu", f"{V} -frames:v 2 -c:v libaom-av1 -cpu-used 8 -f obu", ".obu", "video/av1"),
    Sample("a.drc", f"{V} -c:v vc2 -pix_fmt yuv420p -f dirac", ".drc", "video/x-dirac"),
    Sample("a.mjpeg", f"{V} -c:v mjpeg -pix_fmt yuvj420p", ".mjpeg", "video/x-motion-jpeg"),
    Sample("pal.dv", f"{V} -target pal-dv -an", ".dv", "video/x-dv"),
    Sample("ntsc.dv", f"{V} -target ntsc-dv -an", ".dv", "video/x-dv"),
    Sample("a.wav", A, ".wav", "audio/wav"),
    Sample("rf64.wav", f"{A} -rf64 always", ".wav", "audio/wav"),
    Sample("piped.wav", f"{A} -f wav", ".wav", "audio/wav", piped=True),
    Sample("a.w64", A, ".w64", "audio/x-w64"),
    Sample("a.aiff", A, ".aiff", "audio/aiff"),
    Sample("a.caf", A, ".caf", "audio/x-caf"),
    Sample("a.au", A, ".au", "audio/basic"),
    Sample("a.mp3", f"{A} -c:a libmp3lame -id3v2_version 3 -metadata title=clip", ".mp3", "audio/mpeg"),
    Sample("bare.mp3", f"{A} -c:a libmp3lame -id3v2_version 0 -write_xing 0 -b:a 64k", ".mp3", "audio/mpeg"),
    Sample("a.mp2", f"{A} -c:a mp2", ".mp3", "audio/mpeg"),
    Sample("a.aac", f"{A} -c:a aac -f adts", ".aac", "audio/aac"),
    Sample("a.loas", f"{A} -c:a aac -f latm", ".loas", "audio/mp4a-latm"),
    Sample("a.ac3", f"{A} -c:a ac3", ".ac3", "audio/ac3"),
    Sample("a.eac3", f"{A} -c:a eac3", ".ec3", "audio/eac3"),
    Sample("a.dts", f"{A} -c:a dca -strict -2", ".dts", "audio/vnd.dts"),
    Sample("a.flac", A, ".flac", "audio/flac"),
    Sample("a.amr", f"{A8} -c:a libopencore_amrnb", ".amr", "audio/amr"),
    Sample("a.tta", A, ".tta", "audio/x-tta"),
    Sample("a.wv", A, ".wv", "audio/x-wavpack"),
    Sample("a.gif", V, ".gif", "image/gif"),
    Sample("a.png", f"{V} -frames:v 1", ".png", "image/png"),
    Sample("a.jpg", f"{V} -frames:v 1", ".jpg", "image/jpeg"),
    Sample("a.webp", f"{V} -frames:v 1 -c:v libwebp", ".webp", "image/webp"),
    Sample("a.bmp", f"{V} -frames:v 1", ".bmp", "image/bmp"),
    Sample("a.tiff", f"{V} -frames:v 1", ".tiff", "image/tiff"),
]


@pytest.fixture(scope="session")
def real_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """The bytes of the sample of that name."""
    home = tmp_path_factory.mktemp("media")
    with ThreadPoolExecutor(2) as pool:
        made = dict(zip((s.name for s in SAMPLES), pool.map(lambda sample: _make(sample, home), SAMPLES), strict=True))
    return lambda name: made[name]


def _make(sample: Sample, home: Path) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", *sample.arguments.split()]
    path = home / sample.name
    if sample.piped:
        return subprocess.run([*command, "-"], capture_output=True, check=True).stdout
    subprocess.run([*command, str(path)], capture_output=True, check=True)
    return path.read_bytes()
