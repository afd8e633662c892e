"""What names and media types promise where the bytes tell nothing."""

from __future__ import annotations

import pytest
from clipferry.transfer.media import Family, Format, formats, promised


@pytest.mark.parametrize(
    ("names", "content_type", "found"),
    [
        (["clip.mp4"], "", formats.MP4),
        ([" CLIP.MP4 "], "", formats.MP4),
        (["clip", "/path/clip.mkv", "clip.mp4"], "video/webm", formats.MKV),
        (["clip.mp4.exe"], "", None),
        (["clip.mp4x", "mp4"], "", None),
        (["clip.m4v"], "", formats.M4V),
        (["clip.webm"], "", formats.WEBM),
        (["clip.webp"], "", formats.WEBP),
        (["clip.ts"], "", formats.TS),
        (["clip.qt"], "", Format("unverified", ".qt", "application/octet-stream", Family.VIDEO)),
        (["clip.oga"], "", Format("unverified", ".oga", "application/octet-stream", Family.AUDIO)),
        (["clip.jpeg"], "", Format("unverified", ".jpeg", "application/octet-stream", Family.IMAGE)),
        (["list.m3u"], "", Format("unverified", ".m3u", "application/octet-stream", Family.PLAYLIST)),
        (["list.m3u8"], "", formats.HLS),
        (["clip.exe"], "video/mp4", formats.MP4),
        ([], " Video/MP4; codecs=avc1", formats.MP4),
        ([], "audio/mpeg", formats.MP3),
        ([], "application/vnd.apple.mpegurl", formats.HLS),
        ([], "video/x-new", Format("unverified", ".bin", "video/x-new", Family.VIDEO)),
        ([], "audio/x-new", Format("unverified", ".bin", "audio/x-new", Family.AUDIO)),
        ([], "image/x-new", Format("unverified", ".bin", "image/x-new", Family.IMAGE)),
        ([], "application/octet-stream", None),
        ([], "video", None),
        ([], "", None),
    ],
)
def test_a_name_that_names_a_format_goes_before_the_media_type(
    names: list[str], content_type: str, found: Format | None
) -> None:
    assert promised(names, content_type) == found
