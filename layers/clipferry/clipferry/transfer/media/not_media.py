"""Recognises what is no media file: error pages, JSON, XML and other text in any encoding, archives, zeros.

Sources of the signatures: the formats' own specifications, as the `file` command and the IANA registry name them.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from clipferry.transfer.media.formats import HLS, SRT, TTML, VTT, Format

SMALLEST = 128  # bytes; no media file with a single frame in it is smaller
_LOOKED_AT = 2048  # characters
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NARROW = ("utf-8", "gb18030", "latin-1")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffe\uffff]")
#: Characters of which a text in UTF-16 or UTF-32 is made: Latin, Greek, Cyrillic, Chinese, Japanese, Korean.
_WIDE_TEXT = re.compile(
    r"[\t\n\f\r\x20-\x7e\xa0-\u024f\u0370-\u052f\u2000-\u206f\u3000-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff00-\uffef]+"
)
_BETWEEN_WORDS = re.compile(r"[\s<>{}\[\]#.,:;!?\u3001\u3002\uff01\uff0c\uff1a\uff1f]")
_ASCII = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F)))
_PAGE = re.compile(r"<(?:!doctype html|html|head|body|script|!--\[if|meta|title|center|h1|pre)\b")
_SRT_START = re.compile(r"\d{1,9}\s*\n\s*\d{1,3}:\d{2}:\d{2}[,.]\d{1,3}\s*-->")
_TAG = re.compile(r"<(?:[\w-]{1,40}:)?(\w{1,40})")
_SIGNATURES = (
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "a ZIP archive"),
    (0, b"\x1f\x8b\x08", "gzip data"),
    (0, b"BZh", "bzip2 data"),
    (0, b"\xfd7zXZ\x00", "xz data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ\x90\x00", "a program"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
)


@dataclass(frozen=True)
class NotMedia:
    """`what` it is, in words that follow "the source sends"."""

    what: str


def identify_text(head: bytes) -> Format | NotMedia | None:
    """The kind of a text; None when these bytes are no text."""
    text = as_text(head)
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n\f")
    lowered = start[:_LOOKED_AT].lower()
    if re.match(r"#EXTM3U(?![\w])", _without_comments(start)):
        return HLS
    if re.match(r"WEBVTT(?:[ \t\r\n]|$)", start):
        return VTT
    if _SRT_START.match(start.replace("\r\n", "\n").replace("\r", "\n")[:200]):
        return SRT
    if lowered.startswith("<"):
        return _markup(lowered)
    if lowered.startswith(("{", "[")):
        return NotMedia("a JSON document")
    return NotMedia("text" if start else "blank text")


def identify_other(head: bytes, size: int | None) -> NotMedia | None:
    """The kind of bytes that are neither text nor media; None when it is not known."""
    length = len(head) if size is None else size
    if length < SMALLEST:
        return NotMedia("an empty file" if not length else f"{length} bytes")
    if head == head[:1] * len(head):
        return NotMedia("zeros" if head[0] == 0 else f"one byte again and again (0x{head[0]:02x})")
    for offset, signature, what in _SIGNATURES:
        if head.startswith(signature, offset):
            return NotMedia(what)
    return None


def as_text(head: bytes) -> str | None:
    """The beginning of a text, whatever its encoding; None when these bytes are no text."""
    head = head[: 4 * _LOOKED_AT]
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return _decoded(head[len(bom) :], encoding)
    return next((text for encoding in _encodings(head) if (text := _decoded(head, encoding))), None)


def _encodings(head: bytes) -> tuple[str, ...]:
    """Which encodings these bytes could have, without a byte order mark."""
    if 0 not in head:
        readable = sum(byte in _ASCII for byte in head)
        return ("utf-8", "gb18030", "utf-16-le", "utf-16-be", *(("latin-1",) if readable * 4 > len(head) else ()))
    return ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")


def _decoded(head: bytes, encoding: str) -> str | None:
    """The text in this encoding, without a character that is cut at the end; None when the encoding does not fit."""
    try:
        text = codecs.getincrementaldecoder(encoding)("strict").decode(head)
    except UnicodeDecodeError:
        return None
    looked_at = text[:_LOOKED_AT]
    if _CONTROLS.search(looked_at):
        return None
    return text if encoding in _NARROW or _is_wide_text(looked_at) else None


def _is_wide_text(text: str) -> bool:
    """Whether characters of two or four bytes are a text. One character proves nothing: most pairs of bytes are one."""
    if not text or 4 * sum(char < "\x7f" for char in text) > len(text):
        return True
    return bool(_WIDE_TEXT.fullmatch(text) and _BETWEEN_WORDS.search(text))


def _without_comments(text: str) -> str:
    """The text behind comments and blank lines, which some servers put in front of a playlist."""
    for _ in range(100):
        text = text.lstrip()
        if not text.startswith("#") or text.startswith("#EXT"):
            break
        text = text.partition("\n")[2]
    return text


def _markup(text: str) -> Format | NotMedia:
    first = _TAG.search(text)
    found = first[1] if first else ""
    if _PAGE.match(text) or found == "html" or "<html" in text:
        return NotMedia("an HTML page")
    if found == "tt":
        return TTML
    known = {"mpd": "a DASH manifest", "svg": "an SVG image", "smoothstreamingmedia": "a Smooth Streaming manifest"}
    return NotMedia(known.get(found, "an XML document"))
