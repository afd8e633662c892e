"""The lines of a master playlist (RFC 8216 §4.3.4): variants, renditions, keys that players may fetch ahead. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clipferry.transfer.errors import Hopeless
from clipferry.transfer.hls.attributes import Value, read_attributes, write_attributes
from clipferry.transfer.hls.content_keys import session_key
from clipferry.transfer.hls.references import VARIANT, Kind, Line, Reference, absolute_url
from clipferry.transfer.hls.variables import Variables
from clipferry.transfer.interface import Code

_KEPT = frozenset({"EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START"})


class MasterReader:
    """Reads line by line. The attributes of a variant are on the line before its location."""

    def __init__(self, url: str, variables: Variables) -> None:
        self._url, self._variables = url, variables
        self._variant: dict[str, Value] | None = None  # EXT-X-STREAM-INF: of the next location

    def read(self, raw: Sequence[tuple[str, str]]) -> Iterator[Line]:
        """The lines to keep, from pairs of tag and line; the tag of a location is empty."""
        yield Line("#EXTM3U")
        for tag, line in raw:
            if tag in _KEPT:
                yield Line(line)
            elif tag:
                yield from self._tagged(tag, line.partition(":")[2])
            elif self._variant is not None:  # players ignore a location without EXT-X-STREAM-INF
                yield from self._location(line, self._variant)
                self._variant = None

    def _tagged(self, tag: str, content: str) -> Iterator[Line]:
        match tag:
            case "EXT-X-DEFINE":
                self._variables.define(content)
            case "EXT-X-STREAM-INF":
                self._variant = _without_urls(read_attributes(self._variables.expand(content)))
            case "EXT-X-MEDIA":
                yield self._rendition(read_attributes(self._variables.expand(content)))
            case "EXT-X-I-FRAME-STREAM-INF":
                attributes = read_attributes(self._variables.expand(content))
                if address := _text(attributes, "URI"):
                    yield _line(tag, Reference(Kind.PLAYLIST, absolute_url(self._url, address)), attributes)
            case "EXT-X-SESSION-KEY":
                line = session_key(self._variables.expand(content), self._url)
                if line:
                    yield line

    def _location(self, line: str, variant: dict[str, Value]) -> Iterator[Line]:
        group = variant["SUBTITLES"].text if "SUBTITLES" in variant else None
        yield Line(f"{VARIANT}:{write_attributes(variant)}", group=group)
        yield Line("", Reference(Kind.PLAYLIST, absolute_url(self._url, self._variables.expand(line))))

    def _rendition(self, attributes: dict[str, Value]) -> Line:
        """Read an EXT-X-MEDIA. A rendition without a URI is part of the variants."""
        kind, subtitles = _text(attributes, "TYPE").upper(), None
        address = "" if kind == "CLOSED-CAPTIONS" else _text(attributes, "URI")  # these are always in the variants
        if kind == "SUBTITLES":
            subtitles = _text(attributes, "NAME") or _text(attributes, "LANGUAGE") or "without a name"
        if not address and subtitles is None:
            others = {name: value for name, value in attributes.items() if name != "URI"}
            return Line(f"#EXT-X-MEDIA:{write_attributes(_without_urls(others))}")
        url = self._subtitles_url(address) if subtitles is not None else absolute_url(self._url, address)
        group = _text(attributes, "GROUP-ID") if subtitles is not None else None
        return _line("EXT-X-MEDIA", Reference(Kind.PLAYLIST, url, subtitles=subtitles), attributes, group)

    def _subtitles_url(self, address: str) -> str:
        """Read a rendition of subtitles. If its URI is invalid, it is left out later, and the video is still copied."""
        try:
            return absolute_url(self._url, address)
        except Hopeless:
            return ""


def require_variants(lines: Sequence[Line]) -> None:
    """Raises Hopeless (HLS_INVALID) when only renditions are listed: no player plays that."""
    if not any(line.text.startswith(VARIANT) for line in lines):
        raise Hopeless(Code.HLS_INVALID, "a master playlist lists no variant")


def _line(tag: str, reference: Reference, attributes: dict[str, Value], group: str | None = None) -> Line:
    others = write_attributes({name: value for name, value in _without_urls(attributes).items() if name != "URI"})
    return Line(f'#{tag}:URI="', reference, f'",{others}' if others else '"', group)


def _without_urls(attributes: dict[str, Value]) -> dict[str, Value]:
    """The attributes to keep. Others may hold URLs that lead away from the copy, or that are signed."""
    return {name: value for name, value in attributes.items() if name == "URI" or "://" not in value.text}


def _text(attributes: dict[str, Value], name: str) -> str:
    return attributes[name].text.strip() if name in attributes else ""
