"""Fetches the playlists of one HLS video from the source. An incomplete playlist is a failed attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipferry.outbound.client import Outbound
from clipferry.transfer.errors import AttemptFailed, Hopeless, NotThere
from clipferry.transfer.evidence import level_named
from clipferry.transfer.freshness import Link
from clipferry.transfer.hls.documents import Document, Documents
from clipferry.transfer.hls.playlist import Playlist, parse, says_that_it_ends
from clipferry.transfer.interface import Code, Level, Options

MAX_PLAYLIST_SIZE = 8 * 1024 * 1024


class PlaylistSource:
    """Both ways to fetch raise Stopped, AttemptFailed and Hopeless."""

    def __init__(self, outbound: Outbound, hosts: Sequence[str], options: Options, until: float) -> None:
        """`until` is on the monotonic clock."""
        self._documents = Documents(outbound, hosts, options, until)
        self._minimum = level_named(options.minimum_evidence)
        self.proven = True  # every playlist so far is known to be whole

    def fetch_root(self, link: Link) -> tuple[str, Document]:
        """The playlist that the vendor names, and its URL: a new one when the vendor's file server refused the last.

        Raises NotThere too.
        """
        remote = link.current()
        try:
            return remote.url, self._fetch(remote.url, "the playlist")
        except (NotThere, AttemptFailed) as error:
            if isinstance(error, AttemptFailed) and error.code is not Code.SOURCE_REFUSED:
                raise
        remote = link.renew(remote)
        return remote.url, self._fetch(remote.url, "the playlist")

    def fetch(self, url: str, what: str) -> Document:
        """A playlist that another one lists. `what`: its name in errors."""
        try:
            return self._fetch(url, what)
        except NotThere as error:
            raise AttemptFailed(Code.HLS_SEGMENT_MISSING, f"{what} of the HLS stream: {error}") from None

    def _fetch(self, url: str, what: str) -> Document:
        """A complete playlist, as far as its server or its content shows; see `documents`."""
        document = self._documents.fetch(url, what, MAX_PLAYLIST_SIZE, says_that_it_ends)
        if not document.proven and self._minimum.rank > Level.NONE.rank:
            message = f"{what} of the HLS stream may be cut: its server does not say where it ends"
            raise AttemptFailed(Code.EVIDENCE_TOO_WEAK, message)
        self.proven = self.proven and document.proven
        return document


def parsed(document: Document, above: Mapping[str, str] | None = None) -> Playlist:
    """The playlist in a document; see `parse`. If the document may be cut, an error in it is only a failed attempt."""
    try:
        return parse(document.content, document.url, above)
    except Hopeless as error:
        if document.proven:
            raise
        why = f"{error.message}; or it was cut, for its server does not say where it ends"
        raise AttemptFailed(error.code, why) from None
