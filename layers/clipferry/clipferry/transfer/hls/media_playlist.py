"""The lines of a media playlist (RFC 8216 §4.3.2, §4.3.3): segments, their keys and initialisation sections. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clipferry.transfer.errors import Hopeless
from clipferry.transfer.hls.attributes import read_attributes
from clipferry.transfer.hls.content_keys import ContentKeys
from clipferry.transfer.hls.references import Kind, Line, Reference, absolute_url
from clipferry.transfer.hls.variables import Variables
from clipferry.transfer.interface import Code

_KEPT = frozenset(
    {
        "EXT-X-VERSION",
        "EXT-X-DISCONTINUITY",
        "EXT-X-PROGRAM-DATE-TIME",
        "EXT-X-TARGETDURATION",
        "EXT-X-MEDIA-SEQUENCE",
        "EXT-X-DISCONTINUITY-SEQUENCE",
        "EXT-X-PLAYLIST-TYPE",
        "EXT-X-I-FRAMES-ONLY",
        "EXT-X-INDEPENDENT-SEGMENTS",
        "EXT-X-START",
        "EXT-X-BITRATE",
    }
)
_PARTIAL = frozenset({"EXT-X-SKIP", "EXT-X-GAP"})  # the playlist itself says that it is not the whole video
_RANGE = re.compile(r"([0-9]{1,15})(?:@([0-9]{1,15}))?")
_NUMBER = re.compile(r"[0-9]{1,20}")


class MediaReader:
    """Reads line by line, and keeps what one line says about later lines."""

    def __init__(self, url: str, variables: Variables) -> None:
        self._url, self._variables = url, variables
        self._keys = ContentKeys(url)
        self._duration = ""  # EXTINF: of the next segment
        self._span_text: str | None = None  # EXT-X-BYTERANGE: of the next segment
        self._ends: dict[str, int] = {}  # by URL, where its last sub-range ended
        self._sequence = 0  # number of the next segment
        self._section = 0
        self._cut_out = False
        self.ended = False  # an EXT-X-ENDLIST has come

    def read(self, raw: Sequence[tuple[str, str]]) -> Iterator[Line]:
        """The lines to keep, from pairs of tag and line; the tag of a location is empty."""
        yield Line("#EXTM3U")
        for tag, line in raw:
            if not tag:
                yield from self._location(line)
            elif tag in _PARTIAL:
                raise Hopeless(Code.HLS_INVALID, f"a playlist leaves out parts of the video ({tag})")
            else:
                yield from self._tagged(tag, line)
        if self.ended:
            yield Line("#EXT-X-ENDLIST")

    def _tagged(self, tag: str, line: str) -> Iterator[Line]:
        content = line.partition(":")[2].strip()
        match tag:
            case "EXTINF":
                self._duration = line if "://" not in line else f"{line.partition(',')[0]},"
            case "EXT-X-BYTERANGE":
                self._span_text = content
            case "EXT-X-KEY":
                self._keys.take(self._variables.expand(content))
            case "EXT-X-MAP":
                yield from self._keys.due()
                yield self._map(self._variables.expand(content))
            case "EXT-X-DEFINE":
                self._variables.define(content)
            case "EXT-X-ENDLIST":
                self.ended = True
        if tag in _KEPT:
            self._note(tag, content)
            yield Line(line)

    def _note(self, tag: str, content: str) -> None:
        """Remember what an unchanged tag says about the next segments."""
        if tag == "EXT-X-DISCONTINUITY":
            self._section += 1
        elif tag == "EXT-X-MEDIA-SEQUENCE" and _NUMBER.fullmatch(content):
            self._sequence = int(content)
        elif tag == "EXT-X-I-FRAMES-ONLY":
            self._cut_out = True

    def _location(self, line: str) -> Iterator[Line]:
        url = absolute_url(self._url, self._variables.expand(line))
        if url == self._url.partition("#")[0]:
            raise Hopeless(Code.HLS_INVALID, "a playlist lists itself")
        span_text, self._span_text = self._span_text, None
        yield from self._keys.due()
        if self._duration:
            yield Line(self._duration)
        self._duration = ""
        span = self._span(url, span_text)
        encryption = self._keys.of_segment(self._sequence)
        self._sequence += 1
        yield Line("", Reference(Kind.SEGMENT, url, span, encryption, self._section, self._cut_out))

    def _map(self, content: str) -> Line:
        attributes = read_attributes(content)
        url = absolute_url(self._url, attributes["URI"].text if "URI" in attributes else "")
        span_text = attributes["BYTERANGE"].text if "BYTERANGE" in attributes else None
        span = self._span(url, span_text, follows=False)
        self._section += 1
        encryption = self._keys.of_map(self._sequence)
        return Line('#EXT-X-MAP:URI="', Reference(Kind.INIT, url, span, encryption, self._section), '"')

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
