"""The media formats that are known here: how each is called, its media type, its extension, and what shows its end.

Media types are those of the IANA registry where it has one (iana.org/assignments/media-types), else the common ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    SUBTITLES = "subtitles"
    PLAYLIST = "playlist"


@dataclass(frozen=True)
class Format:
    """`end`: what shows that a file of this format is whole, in words for the documentation."""

    name: str
    extension: str  # of the stored object, with its dot
    content_type: str
    family: Family
    end: str = ""


_BOXES = "boxes reach the end of the file; `moov` or `moof`, and media data; no sample lies beyond the end"
_IMAGE_BOXES = "boxes reach the end of the file; `meta` is there"
_ELEMENTS = "the segment, or its last cluster, ends where the file ends"
_PACKETS = "the last packets are whole"
_CHUNKS = "chunks reach the end of the file"
_FRAMES = "the last frame is whole"
_PAGES = "the last page is whole and says that it is the last"
_OBJECTS = "objects reach the end of the file"
_NOTHING = "nothing: the format has no end of its own"

# ISO base media: ISO/IEC 14496-12, QuickTime File Format, ISO/IEC 23008-12 (images)
MP4 = Format("MP4", ".mp4", "video/mp4", Family.VIDEO, _BOXES)
ISO_SEGMENT = Format("MP4 segment", ".m4s", "video/iso.segment", Family.VIDEO, _BOXES)
MOV = Format("QuickTime", ".mov", "video/quicktime", Family.VIDEO, _BOXES)
M4V = Format("M4V", ".m4v", "video/x-m4v", Family.VIDEO, _BOXES)
F4V = Format("F4V", ".f4v", "video/mp4", Family.VIDEO, _BOXES)
M4A = Format("M4A", ".m4a", "audio/mp4", Family.AUDIO, _BOXES)
THREE_GP = Format("3GP", ".3gp", "video/3gpp", Family.VIDEO, _BOXES)
THREE_G2 = Format("3G2", ".3g2", "video/3gpp2", Family.VIDEO, _BOXES)
MJ2 = Format("Motion JPEG 2000", ".mj2", "video/mj2", Family.VIDEO, _BOXES)
HEIC = Format("HEIC", ".heic", "image/heic", Family.IMAGE, _IMAGE_BOXES)
AVIF = Format("AVIF", ".avif", "image/avif", Family.IMAGE, _IMAGE_BOXES)

# MPEG: ISO/IEC 13818-1 and 11172-1
TS = Format("MPEG-TS", ".ts", "video/mp2t", Family.VIDEO, _PACKETS)
M2TS = Format("M2TS", ".m2ts", "video/mp2t", Family.VIDEO, _PACKETS)

# Frames without a container
ADTS = Format("AAC (ADTS)", ".aac", "audio/aac", Family.AUDIO, _FRAMES)
MP3 = Format("MPEG audio", ".mp3", "audio/mpeg", Family.AUDIO, _FRAMES)
AC3 = Format("AC-3", ".ac3", "audio/ac3", Family.AUDIO, _FRAMES)
EAC3 = Format("E-AC-3", ".ec3", "audio/eac3", Family.AUDIO, _FRAMES)
DTS = Format("DTS", ".dts", "audio/vnd.dts", Family.AUDIO, _FRAMES)
LOAS = Format("AAC (LOAS)", ".loas", "audio/mp4a-latm", Family.AUDIO, _FRAMES)

# Text
VTT = Format("WebVTT", ".vtt", "text/vtt", Family.SUBTITLES, _NOTHING)
SRT = Format("SubRip", ".srt", "application/x-subrip", Family.SUBTITLES, _NOTHING)
TTML = Format("TTML", ".ttml", "application/ttml+xml", Family.SUBTITLES, _NOTHING)
HLS = Format("HLS playlist", ".m3u8", "application/vnd.apple.mpegurl", Family.PLAYLIST, "`EXT-X-ENDLIST`")
