"""HLS playlists (RFC 8216): what one refers to, and the same playlist with other references. Pure: no I/O.

Only the tags listed here survive a copy. The rest may hold URLs (advertising, steering, low-latency parts) that would
lead away from the copy or leak what was signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from clipferry.transfer.containers import describe
from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.interface import Code

MAX_LINES = 200_000

_KEPT = frozenset(
    {
        "EXTM3U",
        "EXTINF",
        "EXT-X-VERSION",
        "EXT-X-DISCONTINUITY",
        "EXT-X-PROGRAM-DATE-TIME",
        "EXT-X-TARGETDURATION",
        "EXT-X-MEDIA-SEQUENCE",
        "EXT-X-DISCONTINUITY-SEQUENCE",
        "EXT-X-ENDLIST",
        "EXT-X-PLAYLIST-TYPE",
        "EXT-X-I-FRAMES-ONLY",
        "EXT-X-INDEPENDENT-SEGMENTS",
        "EXT-X-START",
        "EXT-X-BITRATE",
        "EXT-X-STREAM-INF",
        "EXT-X-MEDIA",
        "EXT-X-MAP",
        "EXT-X-I-FRAME-STREAM-INF",
    }
)
_KEYS = frozenset({"EXT-X-KEY", "EXT-X-SESSION-KEY"})
_OF_MASTER = frozenset({"EXT-X-STREAM-INF", "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-KEY"})
_OF_MEDIA = frozenset({"EXTINF", "EXT-X-TARGETDURATION", "EXT-X-ENDLIST", "EXT-X-MEDIA-SEQUENCE"})
_PARTIAL = frozenset({"EXT-X-SKIP", "EXT-X-GAP"})  # the playlist says itself that it is not the whole video
_ATTRIBUTE = re.compile(r'(?<![A-Z0-9-])([A-Z0-9-]+)=("[^"]*"|[^",]*)')  # from a name's beginning: else quadratic
_RANGE = re.compile(r"([0-9]{1,15})(?:@([0-9]{1,15}))?")


class Kind(StrEnum):
    PLAYLIST = "playlist"
    SEGMENT = "segment"
    INIT = "init"  # EXT-X-MAP: what a player reads before the segments


@dataclass(frozen=True)
class Reference:
    """Something that a playlist refers to. `span`: first byte and length, when it is a part of what the URL gives."""

    kind: Kind
    url: str = field(repr=False)  # absolute; may be signed
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Line:
    """One line to write again; a reference stands between `text` and `rest`."""

    text: str
    reference: Reference | None = None
    rest: str = ""


@dataclass(frozen=True)
class Playlist:
    master: bool
    lines: tuple[Line, ...]

    @property
    def references(self) -> Iterator[Reference]:
        """In the order of the playlist, repeated ones too."""
        return (line.reference for line in self.lines if line.reference)

    def render(self, name_of: Callable[[Reference], str]) -> str:
        """The playlist with every reference replaced by a name."""
        return "".join(
            f"{line.text}{name_of(line.reference) if line.reference else ''}{line.rest}\n" for line in self.lines
        )


def parse(content: bytes, base: str) -> Playlist:
    """Read a playlist that was found at the URL `base`.

    Raises Hopeless (HLS_ENCRYPTED, HLS_LIVE, HLS_INVALID, HLS_TOO_LARGE), and AttemptFailed (NOT_A_VIDEO) for what is
    no playlist at all, such as an error page.
    """
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    if not text.startswith("#EXTM3U"):
        raise AttemptFailed(Code.NOT_A_VIDEO, f"the playlist is {describe(content[:4096])}")
    raw = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    if len(raw) > MAX_LINES:
        raise Hopeless(Code.HLS_TOO_LARGE, f"a playlist has more than {MAX_LINES} lines")
    tags = {tag for line in raw if (tag := _tag(line))}
    if tags & _OF_MASTER and tags & _OF_MEDIA:
        raise Hopeless(Code.HLS_INVALID, "a playlist lists both playlists and segments")
    master = bool(tags & _OF_MASTER)
    lines = tuple(_Reader(base, master).lines(raw))
    if not any(line.reference for line in lines):
        raise Hopeless(Code.HLS_INVALID, "a playlist lists nothing")
    if not master and "EXT-X-ENDLIST" not in tags:
        raise Hopeless(Code.HLS_LIVE, "a playlist has no EXT-X-ENDLIST: the video is still growing, or was cut off")
    return Playlist(master, lines)


def says_that_it_ends(content: bytes) -> bool:
    """Whether the last line is EXT-X-ENDLIST: what came before it came whole. A master playlist has no such line."""
    return content.rstrip(b" \t\r\n").endswith((b"\n#EXT-X-ENDLIST", b"\r#EXT-X-ENDLIST"))


class _Reader:
    """Line by line, with what one line says about a later one."""

    def __init__(self, base: str, master: bool) -> None:
        self._base, self._master = base, master
        self._span_text: str | None = None  # EXT-X-BYTERANGE: of the next segment
        self._ends: dict[str, int] = {}  # by URL, where its last sub-range ended

    def lines(self, raw: list[str]) -> Iterator[Line]:
        for line in raw:
            tag = _tag(line)
            if tag in _KEYS and _attributes(line).get("METHOD") != "NONE":
                raise Hopeless(Code.HLS_ENCRYPTED, "the HLS stream is encrypted, so that a copy would not play")
            if tag in _PARTIAL:
                raise Hopeless(Code.HLS_INVALID, f"a playlist leaves out parts of the video ({tag})")
            if tag == "EXT-X-BYTERANGE":
                self._span_text = line.partition(":")[2]
            elif tag in _KEPT:
                yield self._tagged(tag, line)
            elif line and not line.startswith("#"):
                yield self._location(line)

    def _location(self, line: str) -> Line:
        kind = Kind.PLAYLIST if self._master else Kind.SEGMENT
        span_text, self._span_text = self._span_text, None
        url = self._url(line)
        return Line("", Reference(kind, url, self._span(url, span_text)))

    def _tagged(self, tag: str, line: str) -> Line:
        attributes = _attributes(line) if tag in ("EXT-X-MAP", "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF") else {}
        if "URI" not in attributes:
            return Line(line)
        url = self._url(attributes.pop("URI"))
        span = None
        if tag == "EXT-X-MAP":
            span = self._span(url, attributes.pop("BYTERANGE", None), follows=False)
        others = "".join(f",{name}={value}" for name, value in _raw_attributes(line) if name in attributes)
        kind = Kind.INIT if tag == "EXT-X-MAP" else Kind.PLAYLIST
        return Line(f'#{tag}:URI="', Reference(kind, url, span), f'"{others}')

    def _url(self, text: str) -> str:
        try:
            url = urljoin(self._base, text)
            parts = urlsplit(url)
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.netloc or "{$" in text:
            raise Hopeless(Code.HLS_INVALID, "a playlist refers to something that is not an http(s) URL")
        return url.partition("#")[0]

    def _span(self, url: str, text: str | None, *, follows: bool = True) -> tuple[int, int] | None:
        """A byte range `length[@start]`; without a start it follows the last range of the same resource."""
        if text is None:
            return None
        found = _RANGE.fullmatch(text.strip())
        length = int(found[1]) if found else 0
        start = int(found[2]) if found and found[2] else (self._ends.get(url) if follows else 0)
        if length < 1 or start is None:
            raise Hopeless(Code.HLS_INVALID, "a playlist has a byte range that cannot be read")
        if follows:
            self._ends[url] = start + length
        return start, length


def _tag(line: str) -> str:
    """The name of a tag line; empty for a comment or a location."""
    return line[1:].partition(":")[0] if line.startswith("#EXT") else ""


def _raw_attributes(line: str) -> list[tuple[str, str]]:
    return _ATTRIBUTE.findall(line.partition(":")[2])


def _attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _raw_attributes(line)}
