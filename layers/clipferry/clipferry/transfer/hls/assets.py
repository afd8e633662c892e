"""Copies one segment of an HLS video from the source into one S3 object: reads, checks, hashes and stores it.

`source` reads, with its retries and its pinning. A segment that fits into one part is stored by one PutObject. A larger
one is stored by a multipart upload, so that memory stays bounded for any size; its end is then checked in S3. The bytes
decide on the extension of the name and on the type.

S3 calls: PutObject, HeadObject; for a segment larger than a part CreateMultipartUpload, UploadPart,
CompleteMultipartUpload, PutObjectTagging, GetObject; ListMultipartUploads, AbortMultipartUpload and DeleteObject for
what a killed call left behind, or for what turned out to be cut.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from clipferry.outbound.client import Outbound
from clipferry.transfer.checksums import Digests, object_crc
from clipferry.transfer.connection_limit import ConnectionLimit
from clipferry.transfer.errors import AttemptFailed, Hopeless, SourceChanged, Taken
from clipferry.transfer.evidence import Facts, judge, level_named, strongest_possible
from clipferry.transfer.freshness import Link
from clipferry.transfer.hls.key_files import KeyFiles
from clipferry.transfer.hls.plan import Asset, HlsPlan
from clipferry.transfer.hls.segment_media import Expected, Sections, examine, format_of, is_complete
from clipferry.transfer.hls.segment_storage import Copied, SegmentStorage
from clipferry.transfer.interface import Code, Level, Options
from clipferry.transfer.source import Source
from clipferry.transfer.upload import Storage, UploadRef
from clipferry.vendors.contract import Remote


class Segments:
    """Copies single assets of one plan. Safe to use from many threads, one asset each."""

    def __init__(
        self,
        storage: SegmentStorage,
        outbound: Outbound,
        hosts: Sequence[str],
        options: Options,
        url_of: Callable[[str, str | None], str],
        plan: HlsPlan,
        starts: int,
        limit: ConnectionLimit,
    ) -> None:
        """`url_of(name, refused)`: the URL of an asset or key; `refused`: the URL that did not work (None at first).

        Segments of an earlier start belong to another video. `limit`: of connections, for all segments together.
        """
        self._storage, self._outbound, self._hosts = storage, outbound, hosts
        self._options, self._limit = replace(options, connections=1), limit
        self._url_of, self._starts = url_of, starts
        keys = {url: name for name, url in plan.keys.items()}
        self._keys = KeyFiles(storage, keys, f"key-{starts}", self._source)
        self._sections = Sections()
        self._shared: dict[str, Source] = {}  # by URL, for byte ranges of one resource
        self._active: set[Source] = set()
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._stopped = False

    def copy(self, asset: Asset, until: float) -> Copied:
        """Raises Stopped, NotThere, SourceChanged, AttemptFailed or Hopeless."""
        encryption = asset.reference.encryption
        key = self._keys.key(encryption.key, until) if encryption else None
        expected = Expected(asset.reference, asset.subtitles is not None, key)
        span = asset.reference.span
        if span:
            return self._copy_span(asset, expected, span, until)
        try:
            return self._copy_whole(asset, expected, until)
        except SourceChanged:  # between two answers about one segment: one connection then decides
            return self._copy_whole(asset, expected, until, pinned=False)

    def _copy_whole(self, asset: Asset, expected: Expected, until: float, *, pinned: bool = True) -> Copied:
        with self._source(asset.stem, pinned=pinned) as source:
            facts = source.open(self._options.part_size, until).facts
            self._refuse_weak(facts)
            return self._store(asset, expected, facts, lambda size: _parts(source, facts, size, until))

    def copy_key(self, url: str, until: float) -> None:
        """Store a key that a playlist names and no segment has needed yet. Raises as `copy` does."""
        self._keys.key(url, until)

    def found(self, asset: Asset, suffix: str) -> Copied | None:
        """What an earlier call has stored of this asset, under a name with this suffix. Raises AttemptFailed."""
        copied = self._storage.found(asset.stem + suffix, self._mark(asset))
        if copied is not None:
            self.take_note(asset, suffix)
        return copied

    def take_note(self, asset: Asset, suffix: str) -> None:
        """Note the format in which this asset is stored, by its extension. Raises FormatsDiffer when that is wrong."""
        if asset.subtitles is None:
            self._sections.require_same(asset.folder, asset.reference.section, suffix)

    def stop(self) -> None:
        """End all present requests; their threads get Stopped."""
        self._storage.stopped.set()
        with self._lock:
            self._stopped = True
            sources = list(self._active)
        for source in sources:
            source.stop()

    def close(self) -> None:
        """Close the shared sources."""
        for source in self._shared.values():
            source.close()

    def _refuse_weak(self, facts: Facts) -> None:
        """Check this before anything is copied. A failure is only an attempt: another answer may declare more."""
        level, wanted = strongest_possible(facts), level_named(self._options.minimum_evidence)
        if level.rank < wanted.rank:
            message = f"the best evidence is {level.value}; {wanted.value} is asked for"
            raise AttemptFailed(Code.EVIDENCE_TOO_WEAK, message)

    def _mark(self, asset: Asset) -> str:
        return f"{asset.playlist}-{self._starts}"

    # -- reading ------------------------------------------------------------------------------------------------------

    def _new_source(self, name: str, *, pinned: bool = True, facts: Facts | None = None) -> Source:
        refused: list[str] = []

        def locate() -> Remote:
            url = self._url_of(name, refused[-1] if refused else None)
            refused.append(url)
            return Remote(url)

        source = Source(
            Link(locate),
            self._outbound,
            self._hosts,
            self._options,
            facts,
            pinned=pinned,
            limit=self._limit,
            order=name,
        )
        with self._lock:
            self._active.add(source)
            if self._stopped:
                source.stop()
        return source

    @contextmanager
    def _source(self, name: str, *, pinned: bool = True) -> Iterator[Source]:
        """A link to the asset or key of that name, for as long as it is used."""
        source = self._new_source(name, pinned=pinned)
        try:
            yield source
        finally:
            source.close()
            with self._lock:
                self._active.discard(source)

    def _shared_source(self, asset: Asset, until: float) -> Source:
        """One source for all byte ranges of one resource: pinned once, so that all are of the same file.

        The last start does not pin: ETag or date differ from answer to answer, so that only the size is compared.
        """
        with self._opening:
            source = self._shared.get(asset.reference.url)
            if source is None:
                source = self._new_source(asset.stem)
                facts = source.open(4096, until).facts
                source.close()
                if not facts.ranges or facts.size is None:
                    raise AttemptFailed(Code.SOURCE_UNAVAILABLE, "the source serves no byte ranges")
                if self._starts >= self._options.max_starts:
                    source = self._new_source(asset.stem, pinned=False, facts=facts)
                self._shared[asset.reference.url] = source
            return source

    def _copy_span(self, asset: Asset, expected: Expected, span: tuple[int, int], until: float) -> Copied:
        start, length = span
        source = self._shared_source(asset, until)
        if source.facts.size is not None and start + length > source.facts.size:
            raise Hopeless(Code.HLS_INVALID, f"{asset.stem}: its byte range lies beyond the end of the resource")

        def parts(size: int) -> Iterator[bytearray]:
            for offset in range(0, length, size):
                buffer = bytearray(min(size, length - offset))
                source.fetch(start + offset, memoryview(buffer), until, length - offset - len(buffer))
                yield buffer

        return self._store(asset, expected, Facts(size=length), parts)

    # -- storing ------------------------------------------------------------------------------------------------------

    def _store(
        self, asset: Asset, expected: Expected, facts: Facts, parts_of: Callable[[int], Iterator[bytearray]]
    ) -> Copied:
        digests = Digests(object_crc(), md5=facts.wants_md5, crc64=facts.wants_crc64)
        parts = parts_of(self._options.part_size)
        first = next(parts, bytearray())
        following = next(parts, None) if len(first) == self._options.part_size else None
        if following is not None:
            return self._store_large(asset, expected, facts, _chained(first, following, parts), digests)
        return self._store_small(asset, expected, facts, first, digests)

    def _store_small(self, asset: Asset, expected: Expected, facts: Facts, body: bytearray, digests: Digests) -> Copied:
        digests.update(body, len(body))
        level = _proven(facts, digests)
        media = examine(bytes(body), expected)
        self.take_note(asset, media.format.extension)
        copied = Copied(len(body), digests.sha256, level, media.format.extension, media.complete)
        name, metadata = asset.stem + copied.suffix, copied.metadata(self._mark(asset))
        self._storage.put_object(name, body, digests.crc, media.format.content_type, metadata)
        return copied

    def _store_large(
        self, asset: Asset, expected: Expected, facts: Facts, parts: Iterator[bytearray], digests: Digests
    ) -> Copied:
        first = next(parts)
        kind = format_of(bytes(first), facts.size, expected)
        self.take_note(asset, kind.extension)
        storage = self._storage.for_large(asset.stem)
        name = self._storage.key(asset.stem + kind.extension)
        if stale := storage.existing(name):
            storage.delete(name, stale.etag)
        ref = storage.begin(kind, self._options.part_size)
        etag = self._upload(storage, ref, _chained(first, parts), digests)

        def read(start: int, length: int) -> bytes:
            return bytes(storage.read_back(name, etag, start, min(length, digests.position - start)))

        try:
            level = _proven(facts, digests)
            complete = is_complete(kind, read, digests.position, expected)
        except AttemptFailed:
            storage.delete(name, etag)
            raise
        storage.tag(name)
        return Copied(digests.position, digests.sha256, level, kind.extension, complete)

    def _upload(self, storage: Storage, ref: UploadRef, parts: Iterator[bytearray], digests: Digests) -> str:
        try:
            stored = []
            for number, buffer in enumerate(parts, 1):
                crc = object_crc().of(buffer)
                digests.update(buffer, len(buffer), crc)
                stored.append(storage.put(ref, number, buffer, crc))
            return storage.complete(ref, stored, digests.crc)
        except Taken:
            storage.abort(ref)
            raise AttemptFailed(Code.DESTINATION_TAKEN, "another copy has stored it") from None
        except BaseException:
            storage.abort(ref)
            raise


def _proven(facts: Facts, digests: Digests) -> Level:
    """The evidence that these are the bytes of the source. Raises AttemptFailed when they are not."""
    verdict = judge(facts, digests)
    if verdict.mismatch:
        raise AttemptFailed(Code.EVIDENCE_MISMATCH, verdict.mismatch)
    return verdict.level


def _parts(source: Source, facts: Facts, size: int, until: float) -> Iterator[bytearray]:
    """The resource in parts of `size` bytes, the last one shorter."""
    if facts.ranges and facts.size is not None:
        for start in range(0, facts.size, size):
            buffer = bytearray(min(size, facts.size - start))
            source.fetch(start, memoryview(buffer), until, facts.size - start - len(buffer))
            yield buffer
        return
    while True:
        buffer = bytearray(size)
        count = source.read_on(memoryview(buffer))
        yield buffer[:count]
        if count < size:
            return


def _chained(*pieces: bytearray | Iterator[bytearray]) -> Iterator[bytearray]:
    for piece in pieces:
        if isinstance(piece, bytearray):
            yield piece
        else:
            yield from piece
