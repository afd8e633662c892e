"""Reads an HLS playlist (RFC 8216): its references, and its lines, to be written with other references. Pure: no I/O.

It reads as players do: comments, blank lines and a byte order mark may come before `#EXTM3U`, and tags of the other
kind of playlist are ignored. Only known tags are copied. Others may hold URLs (advertising, steering, low-latency
parts) that lead away from the copy, or that hold a signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.hls.master_playlist import MasterReader, require_variants
from clipferry.transfer.hls.media_playlist import MediaReader
from clipferry.transfer.hls.references import Kind, Line, Playlist, Reference
from clipferry.transfer.hls.variables import Variables
from clipferry.transfer.interface import Code
from clipferry.transfer.media import describe

__all__ = ["MAX_LINES", "Kind", "Line", "Playlist", "Reference", "parse", "says_that_it_ends"]

MAX_LINES = 200_000

_VARIANT = "EXT-X-STREAM-INF"
_SEGMENT = "EXTINF"
_OF_MASTER = frozenset({_VARIANT, "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-KEY"})


def parse(content: bytes, url: str, above: Mapping[str, str] | None = None) -> Playlist:
    """Read a playlist that was found at `url`; `above` holds the variables of the playlist that lists it.

    Raises Hopeless (HLS_ENCRYPTED, HLS_LIVE, HLS_INVALID, HLS_TOO_LARGE), and AttemptFailed (NOT_A_VIDEO) for what is
    no playlist at all, such as an error page.
    """
    raw = _tagged_lines(content)
    variables = Variables(url, above or {})
    if _is_master(raw):
        lines = tuple(MasterReader(url, variables).read(raw))
        require_variants(lines)
        return Playlist(True, lines, variables.defined)
    reader = MediaReader(url, variables)
    lines = tuple(reader.read(raw))
    if not any(line.reference and line.reference.kind is Kind.SEGMENT for line in lines):
        raise Hopeless(Code.HLS_INVALID, "a playlist lists nothing")
    if not reader.ended:
        raise Hopeless(Code.HLS_LIVE, "a playlist has no EXT-X-ENDLIST: the video is still growing, or was cut off")
    return Playlist(False, lines, variables.defined)


def says_that_it_ends(content: bytes) -> bool:
    """Whether the last line is EXT-X-ENDLIST, so that the playlist is complete. A master playlist has no such line."""
    return content.rstrip(b" \t\r\n").endswith((b"\n#EXT-X-ENDLIST", b"\r#EXT-X-ENDLIST"))


def _tagged_lines(content: bytes) -> list[tuple[str, str]]:
    """Each line behind `#EXTM3U`, with the name of its tag (a location has none), without comments and blank lines."""
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    start = next((number for number, line in enumerate(lines) if line and not _is_comment(line)), len(lines))
    if start == len(lines) or not lines[start].startswith("#EXTM3U"):
        raise AttemptFailed(Code.NOT_A_VIDEO, f"the playlist is {describe(content[:4096])}")
    if len(lines) > MAX_LINES:
        raise Hopeless(Code.HLS_TOO_LARGE, f"a playlist has more than {MAX_LINES} lines")
    return [(_tag(line), line) for line in lines[start + 1 :] if line and not _is_comment(line)]


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not line.startswith("#EXT")


def _tag(line: str) -> str:
    """The name of a tag line; empty for a location."""
    return line[1:].partition(":")[0].rstrip() if line.startswith("#") else ""


def _is_master(raw: Sequence[tuple[str, str]]) -> bool:
    """Whether it is a master playlist, by its locations: each belongs to the last EXTINF or EXT-X-STREAM-INF before it.

    Tags without a location decide nothing: players ignore them. Raises Hopeless when both kinds have locations.
    """
    listed: set[str] = set()
    last = ""
    for tag, _ in raw:
        if tag in (_VARIANT, _SEGMENT):
            last = tag
        elif not tag:
            listed.add(last)
            last = ""
    if {_VARIANT, _SEGMENT} <= listed:
        raise Hopeless(Code.HLS_INVALID, "a playlist lists both playlists and segments")
    if _VARIANT in listed or _SEGMENT in listed:
        return _VARIANT in listed
    return any(tag in _OF_MASTER for tag, _ in raw)
