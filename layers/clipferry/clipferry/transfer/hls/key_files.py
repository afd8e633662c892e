"""Fetches the keys of an encrypted HLS video, checks them and stores them beside the segments, each once in a call.

A key is stored before the segments that need it. So a later call that finds a segment knows that its key is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from posixpath import splitext

from clipferry.transfer.checksums import Digests, object_crc
from clipferry.transfer.errors import AttemptFailed, NotThere, SourceChanged
from clipferry.transfer.hls.segment_storage import Copied, SegmentStorage
from clipferry.transfer.interface import Code, Level
from clipferry.transfer.source import Source

KEY_SIZE = 16  # bytes; RFC 8216 §4.3.2.4


class KeyFiles:
    """Safe to use from many threads."""

    def __init__(
        self,
        storage: SegmentStorage,
        names: Mapping[str, str],
        mark: str,
        source_of: Callable[[str], AbstractContextManager[Source]],
    ) -> None:
        """`names`: the URL of each key → the name of its file. `source_of(name)`: a link to the key."""
        self._storage, self._names, self._mark, self._source_of = storage, names, mark, source_of
        self._keys: dict[str, bytes] = {}
        self._locks = {name: threading.Lock() for name in names.values()}

    def key(self, url: str, until: float) -> bytes:
        """A key, stored. Raises Stopped, SourceChanged, AttemptFailed or Hopeless."""
        name = self._names[url]
        with self._locks[name]:
            if name not in self._keys:
                self._keys[name] = self._copied(name, until)
            return self._keys[name]

    def _copied(self, name: str, until: float) -> bytes:
        key = self._fetched(name, until)
        digests = Digests(object_crc(), md5=False, crc64=False)
        digests.update(bytearray(key), len(key))
        stored = self._storage.found(name, self._mark)
        if stored is None:
            copied = Copied(KEY_SIZE, digests.sha256, Level.NONE, splitext(name)[1])
            self._storage.put_object(name, key, digests.crc, "application/octet-stream", copied.metadata(self._mark))
        elif stored.sha256 != digests.sha256:
            raise SourceChanged("a key of the HLS stream has changed")
        return key

    def _fetched(self, name: str, until: float) -> bytes:
        try:
            with self._source_of(name) as source:
                opening = source.open(KEY_SIZE, until, ranges=False)
        except NotThere as error:
            why = f"the key of the HLS stream ({name}) is missing at the source: {error}"
            raise AttemptFailed(Code.HLS_SEGMENT_MISSING, why) from None
        size = opening.facts.size or len(opening.head)
        if size != KEY_SIZE or len(opening.head) != KEY_SIZE:
            why = f"the key of the HLS stream ({name}) has {size} bytes at the source, not {KEY_SIZE}"
            raise AttemptFailed(Code.NOT_A_VIDEO, why)
        return opening.head
