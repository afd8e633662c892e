"""What an HLS copy consists of: the playlists read, and a name of our own for everything they refer to.

Names come from counters, never from what a playlist says, so that none can lead out of the copy's prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import dirname, relpath, splitext
from urllib.parse import urlsplit

from clipferry.outbound.client import Outbound
from clipferry.transfer.errors import AttemptFailed, Hopeless, NotThere
from clipferry.transfer.evidence import level_named
from clipferry.transfer.freshness import Link
from clipferry.transfer.hls.documents import Document, Documents
from clipferry.transfer.hls.playlist import Kind, Playlist, Reference, parse, says_that_it_ends
from clipferry.transfer.interface import Code, Level, Options

ROOT = "index.m3u8"
MAX_PLAYLISTS = 64
MAX_ASSETS = 50_000  # about 28 hours in segments of two seconds
MAX_DEPTH = 3
MAX_PLAYLIST_SIZE = 8 * 1024 * 1024

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
    proven: bool = True  # every playlist is known to be whole

    def rendered(self, name: str, playlist: Playlist) -> bytes:
        """A playlist as it is stored: every reference relative to where it stands."""
        home = dirname(name) or "."
        return playlist.render(lambda reference: relpath(self.names[_identity(reference)], home)).encode()


def make_plan(link: Link, outbound: Outbound, hosts: Sequence[str], options: Options, until: float) -> Plan:
    """Read the root playlist and all below it. `until` is on the monotonic clock.

    Raises NotThere, Stopped, AttemptFailed, Hopeless, and whatever the link's `locate` raises.
    """
    planner = _Planner(outbound, hosts, options, until)
    planner.read(ROOT, planner.fetch_root(link), 0)
    return planner.plan()


class _Planner:
    def __init__(self, outbound: Outbound, hosts: Sequence[str], options: Options, until: float) -> None:
        self._documents = Documents(outbound, hosts, options, until)
        self._minimum = level_named(options.minimum_evidence)
        self._proven = True
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
        return Plan(tuple(self._playlists), tuple(self._assets), self._names, digest.hexdigest(), self._proven)

    def read(self, name: str, document: Document, depth: int) -> None:
        self._proven = self._proven and document.proven
        playlist = _parsed(document)
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
                self.read(name, self._fetch_below(reference.url), depth + 1)

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

    def fetch_root(self, link: Link) -> Document:
        remote = link.current()
        try:
            return self._fetch(remote.url, "the playlist")
        except (NotThere, AttemptFailed) as error:
            if isinstance(error, AttemptFailed) and error.code is not Code.SOURCE_REFUSED:
                raise
        return self._fetch(link.renew(remote).url, "the playlist")

    def _fetch_below(self, url: str) -> Document:
        what = f"playlist {len(self._playlists)}"
        try:
            return self._fetch(url, what)
        except NotThere as error:
            raise AttemptFailed(Code.HLS_SEGMENT_MISSING, f"{what} of the HLS stream: {error}") from None

    def _fetch(self, url: str, what: str) -> Document:
        """A playlist that is whole, as far as its server or itself can say; see `documents`."""
        document = self._documents.fetch(url, what, MAX_PLAYLIST_SIZE, says_that_it_ends)
        if not document.proven and self._minimum.rank > Level.NONE.rank:
            message = f"{what} of the HLS stream may be cut: its server does not say where it ends"
            raise AttemptFailed(Code.EVIDENCE_TOO_WEAK, message)
        return document


def _parsed(document: Document) -> Playlist:
    """The playlist in a document. What is wrong with one that may be cut is an attempt, and nothing final."""
    try:
        return parse(document.content, document.url)
    except Hopeless as error:
        if document.proven:
            raise
        raise AttemptFailed(
            error.code, f"{error.message}; or it was cut, for its server does not say where it ends"
        ) from None


def _identity(reference: Reference) -> Identity:
    return reference.url, reference.span


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
