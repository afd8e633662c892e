"""A playlist after reading: its lines, and its references to other resources. Values only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from clipferry.transfer.errors import Hopeless
from clipferry.transfer.hls.attributes import read_attributes, write_attributes
from clipferry.transfer.interface import Code

VARIANT = "#EXT-X-STREAM-INF"

Identity = tuple[str, tuple[int, int] | None]  # URL, and the byte range of it: first byte and length


class Kind(StrEnum):
    PLAYLIST = "playlist"
    SEGMENT = "segment"
    INIT = "init"  # EXT-X-MAP: what a player reads before the segments
    KEY = "key"  # EXT-X-KEY with METHOD=AES-128


@dataclass(frozen=True)
class Encryption:
    """AES-128 in CBC mode with PKCS#7 padding (RFC 8216 §4.3.2.4)."""

    key: str = field(repr=False)  # absolute URL of the 16 bytes
    ivs: tuple[bytes, ...]  # possible initialisation vectors; several only for an EXT-X-MAP


@dataclass(frozen=True)
class Reference:
    """Something that a playlist refers to."""

    kind: Kind
    url: str = field(repr=False)  # absolute; may be signed. Empty: an EXT-X-MEDIA of subtitles without a URI
    span: tuple[int, int] | None = None  # first byte and length, when it is a part of what the URL gives
    encryption: Encryption | None = None
    section: int = 0  # segments of one section, which ends at a discontinuity or a new EXT-X-MAP, are of one format
    cut_out: bool = False  # of an EXT-X-I-FRAMES-ONLY playlist: one picture, cut out of a segment
    subtitles: str | None = None  # of a playlist of subtitles: what users call them

    @property
    def identity(self) -> Identity:
        return self.url, self.span


@dataclass(frozen=True)
class Line:
    """One line of the stored playlist. A reference comes between `text` and `rest`."""

    text: str
    reference: Reference | None = None
    rest: str = ""
    group: str | None = None  # of subtitles: the one that an EXT-X-MEDIA belongs to, or that a variant uses


@dataclass(frozen=True)
class Playlist:
    master: bool
    lines: tuple[Line, ...]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # for the IMPORT of the playlists below it

    @property
    def references(self) -> Iterator[Reference]:
        """In the order of the playlist, repeated ones too."""
        return (line.reference for line in self.lines if line.reference)

    def render(self, name_of: Callable[[Reference], str | None]) -> str:
        """The playlist with a name in place of each reference. A line whose reference has no name is left out."""
        return "".join(f"{text}\n" for line in self.lines if (text := _rendered(line, name_of)) is not None)

    def without(self, left_out: Collection[Identity]) -> Playlist:
        """The master playlist without these renditions of subtitles, and without groups that are then empty."""
        if not left_out:
            return self
        lines = [line for line in self.lines if not _is_left_out(line.reference, left_out)]
        groups = {line.group for line in lines if line.group is not None and not line.text.startswith(VARIANT)}
        return replace(self, lines=tuple(_without_group(line, groups) for line in lines))


def _is_left_out(reference: Reference | None, left_out: Collection[Identity]) -> bool:
    return reference is not None and reference.subtitles is not None and reference.identity in left_out


def _rendered(line: Line, name_of: Callable[[Reference], str | None]) -> str | None:
    if line.reference is None:
        return line.text
    name = name_of(line.reference)
    return None if name is None else f"{line.text}{name}{line.rest}"


def _without_group(line: Line, groups: Collection[str]) -> Line:
    """The line; a variant loses its SUBTITLES attribute when that names no remaining group."""
    tag, colon, attribute_list = line.text.partition(":")
    if tag != VARIANT or line.group is None or line.group in groups:
        return line
    kept = {name: value for name, value in read_attributes(attribute_list).items() if name != "SUBTITLES"}
    return replace(line, text=f"{tag}{colon}{write_attributes(kept)}", group=None)


def absolute_url(base: str, text: str) -> str:
    """The URL that a playlist found at `base` refers to; raises Hopeless (HLS_INVALID)."""
    if not text:
        raise Hopeless(Code.HLS_INVALID, "a playlist has a reference that is empty")
    try:
        url = urljoin(base, text)
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        raise Hopeless(Code.HLS_INVALID, "a playlist refers to something that is not an http(s) URL")
    return url.partition("#")[0]
