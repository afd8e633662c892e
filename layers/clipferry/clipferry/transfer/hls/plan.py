"""The plan of an HLS copy: the playlists, and a new name for each resource that they refer to.

Names come from counters, never from the playlist, so that no name can leave the copy's prefix. The extension
of a segment is not part of the plan: it comes from the segment's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from posixpath import dirname, relpath, splitext
from urllib.parse import urlsplit

from clipferry.outbound.client import Outbound
from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.freshness import Link
from clipferry.transfer.hls.documents import Document
from clipferry.transfer.hls.playlist_source import PlaylistSource, parsed
from clipferry.transfer.hls.references import Identity, Kind, Playlist, Reference
from clipferry.transfer.hls.subtitles import Subtitles
from clipferry.transfer.interface import Code, Options

ROOT = "index.m3u8"
MAX_PLAYLISTS = 64  # and as many of subtitles
MAX_ASSETS = 50_000  # about 28 hours in segments of two seconds; and as many of subtitles
MAX_DEPTH = 3

#: A key's file. ffmpeg reads keys from disk only under an extension of its list of media extensions; this one is on the
#: list of every version, and no segment is ever stored under it.
KEY_SUFFIX = ".key.vob"

_LOOP = "a playlist lists itself, directly or through another one"

#: Extensions that are tried first when a stored segment is looked for, by RFC 8216 §3.
_LIKELY = frozenset({".ts", ".m4s", ".mp4", ".m4a", ".aac", ".ac3", ".ec3", ".mp3", ".vtt", ".srt", ".ttml"})


@dataclass(frozen=True)
class Asset:
    """A segment or an initialisation section to be copied."""

    stem: str  # its name under the copy's prefix, without the extension
    reference: Reference
    playlist: str  # digest of the playlist that names it first, whatever signatures its URLs carry
    subtitles: str | None = None  # of a rendition of subtitles: what users call it

    @property
    def folder(self) -> str:
        return dirname(self.stem)

    @property
    def likely_suffix(self) -> str:
        """The extension that it has at the source, or else the most usual one."""
        if self.reference.kind is Kind.INIT:
            return ".mp4"
        suffix = splitext(_file_name(self.reference.url))[1].lower()
        return suffix if suffix in _LIKELY else ".ts" if self.subtitles is None else ".vtt"


@dataclass(frozen=True)
class HlsPlan:
    """All resources of one HLS video. Equal playlists give the same order."""

    playlists: tuple[tuple[str, Playlist], ...]  # name and content; the root first
    assets: tuple[Asset, ...]
    keys: Mapping[str, str] = field(repr=False)  # name of each key's file → the URL of the key
    names: Mapping[Identity, str] = field(repr=False)  # of playlists and keys
    left_out: frozenset[Identity] = field(repr=False)  # renditions of subtitles
    digest: str = ""  # of the structure, without the signatures in the URLs
    proven: bool = True  # every playlist is known to be whole

    @cached_property
    def urls(self) -> dict[str, str]:
        """Where each asset and key is, by the asset's stem or the key's name."""
        return {asset.stem: asset.reference.url for asset in self.assets} | dict(self.keys)

    @property
    def unneeded_keys(self) -> set[str]:
        """URLs of keys that no asset uses here, because another playlist names the asset with another key."""
        return set(self.keys.values()) - {
            asset.reference.encryption.key for asset in self.assets if asset.reference.encryption
        }

    def rendered(self, suffixes: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Each playlist as it is stored, with its name. References are relative to the playlist; the root comes last.

        `suffixes`: the extension of each asset.
        """
        stored = {asset.reference.identity: asset.stem + end for asset, end in zip(self.assets, suffixes, strict=True)}
        names = {**stored, **self.names}
        for name, playlist in reversed(self.playlists):
            home = dirname(name) or "."

            def name_of(reference: Reference, home: str = home) -> str | None:
                found = names.get(reference.identity)
                return relpath(found, home) if found else None

            yield name, playlist.without(self.left_out).render(name_of).encode()


def make_plan(
    link: Link, outbound: Outbound, hosts: Sequence[str], options: Options, until: float, subtitles: Subtitles
) -> HlsPlan:
    """Read the root playlist and all below it. `until` is on the monotonic clock.

    Takes note in `subtitles` of renditions that cannot be read. Raises NotThere, Stopped, AttemptFailed, Hopeless, and
    whatever the link's `locate` raises.
    """
    source = PlaylistSource(outbound, hosts, options, until)
    url, root = source.fetch_root(link)
    planner = _Planner(source, subtitles)
    planner.read(url, root)
    return planner.plan()


@dataclass
class _Open:
    """A master playlist that is being read: its remaining playlists, and what identifies it."""

    references: Iterator[Reference]
    variables: Mapping[str, str]
    urls: frozenset[str]
    content: bytes


class _Planner:
    def __init__(self, source: PlaylistSource, subtitles: Subtitles) -> None:
        self._source, self._subtitles = source, subtitles
        self._playlists: list[tuple[str, Playlist]] = []
        self._assets: list[Asset] = []
        self._keys: dict[str, str] = {}
        self._names: dict[Identity, str] = {}  # of playlists and keys
        self._named: set[Identity] = set()  # assets
        self._left_out: set[Identity] = set()
        self._counts = {False: 0, True: 0}  # playlists; True: of subtitles
        self._digests: list[str] = []
        self._folders = 0
        self._open: list[_Open] = []  # from the root down to the playlist that is read

    def plan(self) -> HlsPlan:
        digest = hashlib.sha256("\n".join(self._digests).encode()).hexdigest()
        left_out = frozenset(self._left_out)
        playlists, assets, proven = tuple(self._playlists), tuple(self._assets), self._source.proven
        return HlsPlan(playlists, assets, self._keys, self._names, left_out, digest, proven)

    def read(self, url: str, root: Document) -> None:
        """Read the root playlist and then, one by one, all playlists below it."""
        self._take(ROOT, parsed(root), url, root)
        while self._open:
            reference = next(self._open[-1].references, None)
            if reference is None:
                self._open.pop()
            elif reference.kind is Kind.PLAYLIST and not self._is_known(reference):
                self._read_below(reference)

    def _is_known(self, reference: Reference) -> bool:
        """Whether it was read or left out before. Raises Hopeless when it lists itself, directly or indirectly."""
        if reference.subtitles is not None and reference.identity in self._left_out:
            return True
        return reference.identity in self._names and not self._is_above(reference.url)

    def _read_below(self, reference: Reference) -> None:
        folder = self._folder()
        name = f"{folder}/{ROOT}"
        if folder in self._subtitles.left_out:
            self._left_out.add(reference.identity)
            return
        try:
            found, playlist = self._fetched(reference)
            self._take(name, playlist, reference.url, found, reference.subtitles)
            self._names[reference.identity] = name
        except (AttemptFailed, Hopeless) as error:
            if reference.subtitles is None:
                raise
            self._subtitles.leave_out(folder, reference.subtitles, error)
            self._left_out.add(reference.identity)

    def _fetched(self, reference: Reference) -> tuple[Document, Playlist]:
        """Read a playlist below the present one. Raises AttemptFailed and Hopeless."""
        if not reference.url:
            raise Hopeless(Code.HLS_INVALID, "they have no URI that can be used")
        if len(self._open) > MAX_DEPTH or self._counts[reference.subtitles is not None] >= MAX_PLAYLISTS:
            raise Hopeless(Code.HLS_TOO_LARGE, f"more than {MAX_PLAYLISTS} playlists, or {MAX_DEPTH} within each other")
        if self._is_above(reference.url):
            raise Hopeless(Code.HLS_INVALID, _LOOP)
        found = self._source.fetch(reference.url, f"playlist {self._folders}")
        if self._is_above(found.url) or any(found.content == above.content for above in self._open):
            raise Hopeless(Code.HLS_INVALID, _LOOP)
        playlist = parsed(found, self._open[-1].variables)
        if playlist.master and reference.subtitles is not None:
            raise Hopeless(Code.HLS_INVALID, "they are a master playlist")
        return found, playlist

    def _is_above(self, url: str) -> bool:
        return any(url in above.urls for above in self._open)

    def _take(self, name: str, playlist: Playlist, asked: str, found: Document, subtitles: str | None = None) -> None:
        digest = _digest(name, playlist)
        if playlist.master:
            urls = frozenset({asked.partition("#")[0], found.url})
            self._open.append(_Open(playlist.references, playlist.variables, urls, found.content))
        else:
            self._name_assets(dirname(name) or self._folder(), playlist, digest, subtitles)
        self._playlists.append((name, playlist))
        self._digests.append(digest)
        self._counts[subtitles is not None] += 1

    def _name_assets(self, folder: str, playlist: Playlist, digest: str, subtitles: str | None) -> None:
        counts = {Kind.SEGMENT: 0, Kind.INIT: 0}
        keys: dict[Identity, str] = {}
        assets: dict[Identity, Asset] = {}
        for reference in playlist.references:
            identity = reference.identity
            if identity in self._names or identity in self._named or identity in keys or identity in assets:
                continue
            if reference.kind is Kind.KEY:
                keys[identity] = f"{folder}/key{len(keys) + 1}{KEY_SUFFIX}"
                continue
            number = counts[reference.kind] = counts[reference.kind] + 1
            stem = f"{folder}/{number:05d}" if reference.kind is Kind.SEGMENT else f"{folder}/init{number}"
            assets[identity] = Asset(stem, reference, digest, subtitles)
        present = sum((asset.subtitles is None) == (subtitles is None) for asset in self._assets)
        if present + len(assets) > MAX_ASSETS:
            raise Hopeless(Code.HLS_TOO_LARGE, f"more than {MAX_ASSETS} segments")
        self._assets += assets.values()
        self._named |= assets.keys()
        self._names |= keys
        self._keys |= {name: url for (url, _), name in keys.items()}

    def _folder(self) -> str:
        self._folders += 1
        return f"v{self._folders - 1}"


def _digest(name: str, playlist: Playlist) -> str:
    """A hash of a playlist without the signatures in its URLs."""
    digest = hashlib.sha256(f"{name}\n".encode())
    for line in playlist.lines:
        found = line.reference
        shape = f"{found.kind} {_file_name(found.url)} {found.span}" if found else ""
        digest.update(f"{line.text}|{shape}|{line.rest}\n".encode())
    return digest.hexdigest()


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
