"""The known media formats, each with its name, its media type, its extension, and what shows its end.

Media types are those of the IANA registry (iana.org/assignments/media-types); the common ones where it has none.
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


_BOXES = "its boxes reach the end; `moov` or `moof` and media data are there; no sample lies beyond the end"
_IMAGE_BOXES = "its boxes reach the end; `meta` and `mdat` are there"
_PACKETS = "the last packets are whole"
_PES = "the last packets of the stream are whole"
_FRAMES = "the last frame is whole; tags and zeros may follow"
_CHUNKS = "its chunks reach the end, the one with the media among them"
_LENGTH = "the length in its header"
_NOTHING = "no end of its own"

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

# Matroska: RFC 9559, RFC 8794
_ELEMENTS = "the segment, or where it has no length its last cluster, ends where the file ends"
MKV = Format("Matroska", ".mkv", "video/x-matroska", Family.VIDEO, _ELEMENTS)
MKA = Format("Matroska audio", ".mka", "audio/x-matroska", Family.AUDIO, _ELEMENTS)
WEBM = Format("WebM", ".webm", "video/webm", Family.VIDEO, _ELEMENTS)
WEBM_AUDIO = Format("WebM audio", ".webm", "audio/webm", Family.AUDIO, _ELEMENTS)

# MPEG systems: ISO/IEC 13818-1 and 11172-1
TS = Format("MPEG-TS", ".ts", "video/mp2t", Family.VIDEO, _PACKETS)
M2TS = Format("M2TS", ".m2ts", "video/mp2t", Family.VIDEO, _PACKETS)
PS = Format("MPEG-PS", ".mpg", "video/mpeg", Family.VIDEO, _PES)
VCD = Format("Video CD", ".dat", "video/mpeg", Family.VIDEO, "its sectors of 2,352 bytes are whole")

# Other containers
FLV = Format("FLV", ".flv", "video/x-flv", Family.VIDEO, "the last tag is whole, with its length behind it")
AVI = Format("AVI", ".avi", "video/x-msvideo", Family.VIDEO, _CHUNKS)
_OBJECTS = "its objects reach the end, the one with the media among them"
WMV = Format("ASF, Windows Media", ".wmv", "video/x-ms-wmv", Family.VIDEO, _OBJECTS)
WMA = Format("Windows Media audio", ".wma", "audio/x-ms-wma", Family.AUDIO, _OBJECTS)
_PAGES = "the last page is whole, and marked as the last"
OGV = Format("Ogg video", ".ogv", "video/ogg", Family.VIDEO, _PAGES)
OGG = Format("Ogg audio", ".ogg", "audio/ogg", Family.AUDIO, _PAGES)
OPUS = Format("Ogg Opus", ".opus", "audio/ogg", Family.AUDIO, _PAGES)
RM = Format("RealMedia", ".rm", "application/vnd.rn-realmedia", Family.VIDEO, _CHUNKS)
RMVB = Format("RealMedia VBR", ".rmvb", "application/vnd.rn-realmedia-vbr", Family.VIDEO, _CHUNKS)
REAL_AUDIO = Format("RealAudio", ".ra", "audio/x-pn-realaudio", Family.AUDIO, _NOTHING)
MXF = Format("MXF", ".mxf", "application/mxf", Family.VIDEO, "its footer reaches the end, or its random index is there")
WTV = Format("WTV", ".wtv", "video/x-wtv", Family.VIDEO, _NOTHING)
SWF = Format("SWF", ".swf", "application/x-shockwave-flash", Family.VIDEO, "the length in its header, if uncompressed")
NUT = Format("NUT", ".nut", "video/x-nut", Family.VIDEO, _NOTHING)
GXF = Format("GXF", ".gxf", "application/gxf", Family.VIDEO, _NOTHING)
IVF = Format("IVF", ".ivf", "video/x-ivf", Family.VIDEO, _NOTHING)
Y4M = Format("YUV4MPEG2", ".y4m", "video/x-yuv4mpeg", Family.VIDEO, _NOTHING)

# Video without a container
H264 = Format("H.264 (Annex B)", ".264", "video/h264", Family.VIDEO, _NOTHING)
H265 = Format("H.265 (Annex B)", ".265", "video/h265", Family.VIDEO, _NOTHING)
H266 = Format("H.266 (Annex B)", ".266", "video/h266", Family.VIDEO, _NOTHING)
MPEG_VIDEO = Format("MPEG-1 or MPEG-2 video", ".m2v", "video/mpeg", Family.VIDEO, _NOTHING)
MPEG4_VIDEO = Format("MPEG-4 Visual", ".m4v", "video/mp4v-es", Family.VIDEO, _NOTHING)
VC1 = Format("VC-1", ".vc1", "video/vc1", Family.VIDEO, _NOTHING)
AV1 = Format("AV1 (OBU)", ".obu", "video/av1", Family.VIDEO, _NOTHING)
DIRAC = Format("Dirac", ".drc", "video/x-dirac", Family.VIDEO, _NOTHING)
MJPEG = Format("Motion JPEG", ".mjpeg", "video/x-motion-jpeg", Family.VIDEO, "the last image is whole")
DV = Format("DV", ".dv", "video/x-dv", Family.VIDEO, "its frames are whole")

# Audio
WAV = Format("WAV", ".wav", "audio/wav", Family.AUDIO, _CHUNKS)
W64 = Format("Wave64", ".w64", "audio/x-w64", Family.AUDIO, _LENGTH)
AIFF = Format("AIFF", ".aiff", "audio/aiff", Family.AUDIO, _CHUNKS)
CAF = Format("CAF", ".caf", "audio/x-caf", Family.AUDIO, _CHUNKS)
AU = Format("AU", ".au", "audio/basic", Family.AUDIO, _LENGTH)
FLAC = Format("FLAC", ".flac", "audio/flac", Family.AUDIO, "the last frame's checksum, and the count of samples")
AMR = Format("AMR", ".amr", "audio/amr", Family.AUDIO, "all frames are whole")
AMR_WB = Format("AMR-WB", ".awb", "audio/amr-wb", Family.AUDIO, "all frames are whole")
ADTS = Format("AAC (ADTS)", ".aac", "audio/aac", Family.AUDIO, _FRAMES)
LOAS = Format("AAC (LOAS)", ".loas", "audio/mp4a-latm", Family.AUDIO, _FRAMES)
MP3 = Format("MPEG audio", ".mp3", "audio/mpeg", Family.AUDIO, _FRAMES)
AC3 = Format("AC-3", ".ac3", "audio/ac3", Family.AUDIO, _FRAMES)
EAC3 = Format("E-AC-3", ".ec3", "audio/eac3", Family.AUDIO, _FRAMES)
DTS = Format("DTS", ".dts", "audio/vnd.dts", Family.AUDIO, _FRAMES)
APE = Format("Monkey's Audio", ".ape", "audio/x-ape", Family.AUDIO, _NOTHING)
WAVPACK = Format("WavPack", ".wv", "audio/x-wavpack", Family.AUDIO, _NOTHING)
TTA = Format("True Audio", ".tta", "audio/x-tta", Family.AUDIO, _NOTHING)
DSF = Format("DSF", ".dsf", "audio/x-dsf", Family.AUDIO, _LENGTH)

# Images
GIF = Format("GIF", ".gif", "image/gif", Family.IMAGE, "its last byte")
PNG = Format("PNG", ".png", "image/png", Family.IMAGE, "its last chunk")
JPEG = Format("JPEG", ".jpg", "image/jpeg", Family.IMAGE, "its last marker")
WEBP = Format("WebP", ".webp", "image/webp", Family.IMAGE, _LENGTH)
BMP = Format("BMP", ".bmp", "image/bmp", Family.IMAGE, _LENGTH)
TIFF = Format("TIFF", ".tiff", "image/tiff", Family.IMAGE, _NOTHING)

# Text
VTT = Format("WebVTT", ".vtt", "text/vtt", Family.SUBTITLES, _NOTHING)
SRT = Format("SubRip", ".srt", "application/x-subrip", Family.SUBTITLES, _NOTHING)
TTML = Format("TTML", ".ttml", "application/ttml+xml", Family.SUBTITLES, _NOTHING)
HLS = Format("HLS playlist", ".m3u8", "application/vnd.apple.mpegurl", Family.PLAYLIST, "`EXT-X-ENDLIST`")

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Format))
