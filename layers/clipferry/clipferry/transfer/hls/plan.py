"""What an HLS copy consists of: the playlists read, and a name of our own for everything they refer to.

Names come from counters, never from what a playlist says, so that none can lead out of the copy's prefix.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import dirname, relpath, splitext
from urllib.parse import urlsplit

from clipferry.outbound.client import AddressRefused, NoReply, NotSent, Outbound, Oversized, Stream, Timeouts
from clipferry.transfer.errors import AttemptFailed, Hopeless, NotThere, Stopped
from clipferry.transfer.freshness import Link
from clipferry.transfer.hls.playlist import Kind, Playlist, Reference, parse
from clipferry.transfer.interface import Code, Options

ROOT = "index.m3u8"
MAX_PLAYLISTS = 64
MAX_ASSETS = 50_000  # about 28 hours in segments of two seconds
MAX_DEPTH = 3
MAX_PLAYLIST_SIZE = 8 * 1024 * 1024
_ATTEMPTS = 4
_GONE = frozenset({401, 403, 404, 410})

#: Extensions that a segment keeps, by RFC 8216 §3; any other becomes the first of its kind.
_SEGMENTS = (".ts", ".m4s", ".mp4", ".m4v", ".m4a", ".cmfv", ".cmfa", ".aac", ".ac3", ".ec3", ".mp3", ".vtt", ".webvtt")
_INITS = (".mp4", ".m4s", ".cmfv", ".cmfa", ".ts")

Identity = tuple[str, tuple[int, int] | None]


@dataclass(frozen=True)
class Asset:
    """A segment or an initialisation section to be copied."""

    name: str  # under the copy's prefix
    reference: Reference


@dataclass(frozen=True)
class Plan:
    """All of one HLS video, in an order that is the same for the same playlists."""

    playlists: tuple[tuple[str, Playlist], ...]  # name and content; the root first
    assets: tuple[Asset, ...]
    names: dict[Identity, str] = field(repr=False)
    digest: str = ""  # of the structure, whatever signatures the URLs carry

    def rendered(self, name: str, playlist: Playlist) -> bytes:
        """A playlist as it is stored: every reference relative to where it stands."""
        home = dirname(name) or "."
        return playlist.render(lambda reference: relpath(self.names[_identity(reference)], home)).encode()


def make_plan(link: Link, outbound: Outbound, hosts: Sequence[str], options: Options, until: float) -> Plan:
    """Read the root playlist and all below it. `until` is on the monotonic clock.

    Raises NotThere, Stopped, AttemptFailed, Hopeless, and whatever the link's `locate` raises.
    """
    planner = _Planner(outbound, hosts, options, until)
    content, url = planner.fetch_root(link)
    planner.read(ROOT, content, url, 0)
    return planner.plan()


class _Planner:
    def __init__(self, outbound: Outbound, hosts: Sequence[str], options: Options, until: float) -> None:
        self._outbound, self._hosts, self._options, self._until = outbound, hosts, options, until
        self._playlists: list[tuple[str, Playlist]] = []
        self._assets: list[Asset] = []
        self._names: dict[Identity, str] = {}
        self._folders = 0

    def plan(self) -> Plan:
        digest = hashlib.sha256()
        for name, playlist in self._playlists:
            digest.update(f"{name}\n".encode())
            for line in playlist.lines:
                found = line.reference
                shape = f"{found.kind} {_file_name(found.url)} {found.span}" if found else ""
                digest.update(f"{line.text}|{shape}|{line.rest}\n".encode())
        return Plan(tuple(self._playlists), tuple(self._assets), self._names, digest.hexdigest())

    def read(self, name: str, content: bytes, url: str, depth: int) -> None:
        playlist = parse(content, url)
        self._playlists.append((name, playlist))
        if len(self._playlists) > MAX_PLAYLISTS or depth > MAX_DEPTH:
            raise Hopeless(Code.HLS_TOO_LARGE, f"more than {MAX_PLAYLISTS} playlists, or {MAX_DEPTH} within each other")
        if playlist.master:
            self._read_below(playlist, depth)
        else:
            self._name_assets(dirname(name) or self._folder(), playlist)

    def _read_below(self, playlist: Playlist, depth: int) -> None:
        for reference in playlist.references:
            if _identity(reference) not in self._names:
                name = f"{self._folder()}/{ROOT}"
                self._names[_identity(reference)] = name
                content, url = self._fetch(reference.url, f"playlist {len(self._playlists)}")
                self.read(name, content, url, depth + 1)

    def _name_assets(self, folder: str, playlist: Playlist) -> None:
        counts = {Kind.SEGMENT: 0, Kind.INIT: 0}
        for reference in playlist.references:
            identity = _identity(reference)
            if identity in self._names:
                continue
            number = counts[reference.kind] = counts[reference.kind] + 1
            suffix = splitext(_file_name(reference.url))[1].lower()
            if reference.kind is Kind.SEGMENT:
                name = f"{folder}/{number:05d}{suffix if suffix in _SEGMENTS else _SEGMENTS[0]}"
            else:
                name = f"{folder}/init{number}{suffix if suffix in _INITS else _INITS[0]}"
            self._names[identity] = name
            self._assets.append(Asset(name, reference))
        if len(self._assets) > MAX_ASSETS:
            raise Hopeless(Code.HLS_TOO_LARGE, f"more than {MAX_ASSETS} segments")

    def _folder(self) -> str:
        self._folders += 1
        return f"v{self._folders - 1}"

    # --- reading playlists ---

    def fetch_root(self, link: Link) -> tuple[bytes, str]:
        remote = link.current()
        try:
            return self._fetch(remote.url, "the playlist", gone=NotThere)
        except NotThere:
            return self._fetch(link.renew(remote).url, "the playlist", gone=NotThere)

    def _fetch(self, url: str, what: str, gone: type[NotThere] | None = None) -> tuple[bytes, str]:
        """A playlist's content, and the URL it was found at after redirects."""
        for attempt in range(1, _ATTEMPTS + 1):
            status, code, wait = 0, Code.SOURCE_UNAVAILABLE, self._options.backoff * 2 ** (attempt - 1)
            try:
                with self._stream(url) as stream:
                    if stream.status == 200:
                        return _content(stream, what), stream.url
                    status, problem = stream.status, f"HTTP {stream.status}"
            except AddressRefused as error:
                raise Hopeless(Code.ADDRESS_REFUSED, error.message) from None
            except (NoReply, NotSent) as error:
                problem = error.message
            if status in _GONE:
                if gone:
                    raise gone(f"{what}: {problem}")
                raise AttemptFailed(Code.HLS_SEGMENT_MISSING, f"{what} of the HLS stream: {problem}")
            if status in (429, 503):
                code = Code.SOURCE_THROTTLED
            self._pause(wait * random.uniform(0.5, 1.0))
        raise AttemptFailed(code, f"{what} of the HLS stream: {problem}")

    def _stream(self, url: str) -> Stream:
        left = self._until - time.monotonic()
        if left <= 0:
            raise Stopped
        timeouts = Timeouts(connect=min(10.0, left), read=min(30.0, left), total=min(60.0, left))
        return self._outbound.stream(url, hosts=self._hosts, timeout=timeouts)

    def _pause(self, seconds: float) -> None:
        if time.monotonic() + seconds >= self._until:
            raise Stopped
        time.sleep(seconds)


def _content(stream: Stream, what: str) -> bytes:
    try:
        return stream.read_all(MAX_PLAYLIST_SIZE)
    except Oversized:
        raise Hopeless(Code.HLS_TOO_LARGE, f"{what} is larger than {MAX_PLAYLIST_SIZE} bytes") from None


def _identity(reference: Reference) -> Identity:
    return reference.url, reference.span


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
