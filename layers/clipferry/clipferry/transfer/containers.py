"""Is it a video, and which kind? Told from the first bytes, never from a name or a Content-Type header."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 4096  # bytes that `detect` wants to see, fewer only when the file is shorter
SMALLEST = 128  # bytes; no container with a single frame in it is smaller


@dataclass(frozen=True)
class Container:
    extension: str
    content_type: str


_MP4 = Container(".mp4", "video/mp4")
_MOV = Container(".mov", "video/quicktime")
_M4A = Container(".m4a", "audio/mp4")
_3GP = Container(".3gp", "video/3gpp")
_TS = Container(".ts", "video/mp2t")
_FLV = Container(".flv", "video/x-flv")
_MKV = Container(".mkv", "video/x-matroska")
_WEBM = Container(".webm", "video/webm")

#: First box types of ISO base media and QuickTime files that have no `ftyp` (ISO/IEC 14496-12; QuickTime File Format).
_BOXES = frozenset({b"moov", b"mdat", b"moof", b"styp", b"sidx", b"free", b"skip", b"wide", b"pnot", b"uuid"})

#: Other containers that vendors hand back as source files: offset, magic.
_OTHERS = (
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container(".wmv", "video/x-ms-asf")),
    (0, b"\x00\x00\x01\xba", Container(".mpg", "video/mpeg")),
    (0, b"\x00\x00\x01\xb3", Container(".mpg", "video/mpeg")),
    (0, b".RMF", Container(".rmvb", "application/vnd.rn-realmedia-vbr")),
    (0, b"OggS", Container(".ogv", "video/ogg")),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", Container(".mxf", "application/mxf")),
)


def detect(head: bytes, size: int | None = None) -> Container | None:
    """The container a file begins with; None when it is no video. `size` is the whole file's, when known."""
    if (len(head) if size is None else size) < SMALLEST:
        return None
    return _iso(head, size) or _transport_stream(head) or _by_magic(head)


def describe(head: bytes) -> str:
    """What bytes that are no video look like, for an error message; quotes nothing of them."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:256].lower()
    if not head:
        return "an empty file"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if text.startswith(b"<"):
        return "an XML document"
    if text.startswith((b"{", b"[")):
        return "a JSON document"
    if len(head) < SMALLEST:
        return f"{len(head)} bytes"
    return "data in no known video container"


def _iso(head: bytes, size: int | None) -> Container | None:
    kind, length = head[4:8], int.from_bytes(head[:4], "big")
    if length == 1 and len(head) >= 16:
        length = int.from_bytes(head[8:16], "big")
    if length != 0 and (length < 8 or (size is not None and length > size)):
        return None
    if kind in _BOXES:
        return _MP4
    if kind != b"ftyp" or not 16 <= length <= 4096:
        return None
    brand = head[8:12]
    if brand == b"qt  ":
        return _MOV
    if brand == b"M4A ":
        return _M4A
    return _3GP if brand.startswith((b"3gp", b"3g2")) else _MP4


def _transport_stream(head: bytes) -> Container | None:
    """Sync bytes every 188 bytes (ISO/IEC 13818-1), or every 192 with a time code before each packet (BDAV)."""
    for first, step in ((0, 188), (4, 192)):
        marks = head[first::step][:5]
        if marks and set(marks) == {0x47} and (len(marks) > 1 or len(head) == first + 188):
            return _TS
    return None


def _by_magic(head: bytes) -> Container | None:
    if head.startswith(b"FLV\x01"):
        return _FLV
    if head.startswith(b"\x1a\x45\xdf\xa3"):  # EBML, RFC 8794
        return _WEBM if b"webm" in head[:64] else _MKV
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return Container(".avi", "video/x-msvideo")
    return next((found for offset, magic, found in _OTHERS if head[offset:].startswith(magic)), None)
