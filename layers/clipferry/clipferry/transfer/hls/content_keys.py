"""Finds the keys of a playlist's segments, and whether a copy with these keys can be played. Pure.

EXT-X-KEY (RFC 8216 §4.3.2.4) applies to what follows it, until the next one with the same KEYFORMAT or METHOD=NONE. A
plain AES-128 key can be copied. Keys of SAMPLE-AES and of DRM systems cannot: they are refused when a segment uses
them. When a playlist offers one key both as a plain key and through DRM systems, the plain key counts. A key that no
segment uses is ignored, so that it may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from clipferry.transfer.errors import Hopeless
from clipferry.transfer.hls.attributes import Value, read_attributes
from clipferry.transfer.hls.references import Encryption, Kind, Line, Reference, absolute_url
from clipferry.transfer.interface import Code

PLAIN = "identity"  # KEYFORMAT of a plain key: a file with the 16 bytes
_IV = re.compile(r"0[xX]([0-9a-fA-F]{1,32})")
_MASK = 2**128 - 1

#: KEYFORMAT in lower case → the DRM system it belongs to (DASH-IF's list of system ids).
_SYSTEMS = {
    "com.apple.streamingkeydelivery": "FairPlay",
    "urn:uuid:94ce86fb-07ff-4f43-adb8-93d2fa968ca2": "FairPlay",
    "com.widevine": "Widevine",
    "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": "Widevine",
    "com.microsoft.playready": "PlayReady",
    "urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95": "PlayReady",
}


@dataclass(frozen=True)
class _Key:
    url: str = field(repr=False)
    iv: bytes | None  # None: the number of the segment


@dataclass(frozen=True)
class _Refusal:
    """A key that cannot be copied: the error to raise when a segment uses it."""

    code: Code
    message: str


class ContentKeys:
    """The keys in force while a media playlist is read."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._keys: dict[str, _Key | _Refusal] = {}  # by KEYFORMAT
        self._written: _Key | None = None  # the key that applies after the lines written so far

    def take(self, attribute_list: str) -> None:
        """An EXT-X-KEY tag."""
        attributes = read_attributes(attribute_list)
        if _text(attributes, "METHOD").upper() == "NONE":
            self._keys = {}
        else:
            key_format = _text(attributes, "KEYFORMAT").lower() or PLAIN
            self._keys[key_format] = _plain_key(attributes, self._base)

    def due(self) -> Iterator[Line]:
        """The line to write before the next segment, when that has another key. Raises Hopeless."""
        key = self._in_force()
        if key != self._written:
            yield Line("#EXT-X-KEY:METHOD=NONE") if key is None else _line("EXT-X-KEY", key)
        self._written = key

    def of_segment(self, number: int) -> Encryption | None:
        """The encryption of the segment with this media sequence number; None: it is not encrypted. Raises Hopeless."""
        key = self._in_force()
        if key is None:
            return None
        return Encryption(key.url, (key.iv if key.iv is not None else _as_iv(number),))

    def of_map(self, number: int) -> Encryption | None:
        """The encryption of an EXT-X-MAP before the segment with this number.

        Its key should name an IV (RFC 8216 §4.3.2.5). When it does not, some packagers mean the number of the next
        segment, others zero.
        """
        key = self._in_force()
        if key is None:
            return None
        return Encryption(key.url, (key.iv,) if key.iv is not None else (_as_iv(number), bytes(16)))

    def _in_force(self) -> _Key | None:
        plain = self._keys.get(PLAIN)
        if isinstance(plain, _Key) or not self._keys:
            return plain if isinstance(plain, _Key) else None
        refusal = next(key for key in reversed(self._keys.values()) if isinstance(key, _Refusal))
        raise Hopeless(refusal.code, refusal.message)


def session_key(attribute_list: str, base: str) -> Line | None:
    """The line of an EXT-X-SESSION-KEY; None when its key cannot be copied: the tag is only a hint."""
    attributes = read_attributes(attribute_list)
    key = _plain_key(attributes, base)
    return _line("EXT-X-SESSION-KEY", key) if isinstance(key, _Key) else None


def _line(tag: str, key: _Key) -> Line:
    iv = f",IV=0x{key.iv.hex()}" if key.iv is not None else ""
    return Line(f'#{tag}:METHOD=AES-128,URI="', Reference(Kind.KEY, key.url), f'"{iv}')


def _plain_key(attributes: dict[str, Value], base: str) -> _Key | _Refusal:
    """The key of a tag with the method AES-128 and the plain format; else the reason why it cannot be copied."""
    method, key_format = _text(attributes, "METHOD").upper(), _text(attributes, "KEYFORMAT")
    if method != "AES-128" or key_format.lower() not in ("", PLAIN):
        return _Refusal(Code.HLS_ENCRYPTED, _refusal(method, key_format))
    address = _text(attributes, "URI")
    if not address:
        return _Refusal(Code.HLS_INVALID, "a playlist names an AES-128 key without its URI")
    try:
        url = absolute_url(base, address)
    except Hopeless:
        why = "the key of the HLS stream (AES-128) is not at an http(s) URL, so that it cannot be copied"
        return _Refusal(Code.HLS_ENCRYPTED, why)
    if "IV" not in attributes:
        return _Key(url, None)
    iv = _IV.fullmatch(_text(attributes, "IV"))
    if iv is None:
        return _Refusal(Code.HLS_INVALID, "a playlist names an AES-128 key with an IV that is not 128 bits in hex")
    return _Key(url, _as_iv(int(iv[1], 16)))


def _refusal(method: str, key_format: str) -> str:
    system = _SYSTEMS.get(key_format.lower())
    how = f"with {method[:40]!r}" if method else "with a method that it does not name"
    if system:
        how = f"by the DRM system {system} ({method[:40]})"
    elif key_format.lower() not in ("", PLAIN):
        how += f" and keys in the format {key_format[:60]!r}"
    return (
        f"the HLS stream is encrypted {how}, so that a copy would not play: "
        "ask for a rendition that is not encrypted, or encrypted with AES-128 and a plain key"
    )


def _text(attributes: dict[str, Value], name: str) -> str:
    return attributes[name].text.strip() if name in attributes else ""


def _as_iv(number: int) -> bytes:
    return (number & _MASK).to_bytes(16, "big")
