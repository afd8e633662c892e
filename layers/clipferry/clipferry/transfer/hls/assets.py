"""One segment of an HLS video from the source into one S3 object: read, looked at, hashed, stored.

Reading is `source`'s work, with its retries and its pinning. What fits into one part is one PutObject; what is larger
goes through a multipart upload, part by part, so that memory stays bounded whatever a segment weighs.

S3 calls: PutObject, HeadObject; for a segment larger than a part CreateMultipartUpload, UploadPart,
CompleteMultipartUpload, PutObjectTagging; ListMultipartUploads, AbortMultipartUpload and DeleteObject for what a killed
call left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from posixpath import splitext
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from clipferry.outbound.client import Outbound
from clipferry.transfer.checksums import Digests, object_crc
from clipferry.transfer.containers import Container, describe, detect
from clipferry.transfer.errors import AttemptFailed, Hopeless, SourceChanged, Taken
from clipferry.transfer.evidence import Facts, judge, level_named, strongest_possible
from clipferry.transfer.freshness import Link
from clipferry.transfer.hls.plan import Asset
from clipferry.transfer.interface import Code, Destination, Level, Options
from clipferry.transfer.source import Source
from clipferry.transfer.upload import Storage
from clipferry.vendors.contract import Remote

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TYPES = {
    ".ts": "video/mp2t",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".cmfv": "video/mp4",
    ".m4a": "audio/mp4",
    ".cmfa": "audio/mp4",
    ".aac": "audio/aac",
    ".ac3": "audio/ac3",
    ".ec3": "audio/eac3",
    ".mp3": "audio/mpeg",
    ".vtt": "text/vtt",
    ".webvtt": "text/vtt",
    ".m3u8": "application/vnd.apple.mpegurl",
}
_SHA256, _PLAN, _EVIDENCE = "sha256", "hls-plan", "evidence"  # metadata of a stored segment
_BOXES = frozenset({b"styp", b"moof", b"sidx", b"emsg", b"prft", b"ftyp", b"moov", b"mdat"})


@dataclass(frozen=True)
class Copied:
    """A segment that is in S3."""

    size: int  # bytes
    sha256: str
    level: Level


class SegmentStorage(Storage):
    """The objects of one HLS copy, all under `{stem}/`."""

    def __init__(self, s3: S3Client, destination: Destination, options: Options) -> None:
        super().__init__(s3, destination, options)
        self._client = s3

    def put_object(self, name: str, body: bytes | bytearray, crc: int, metadata: dict[str, str]) -> str:
        """PutObject with its checksum, so that S3 refuses what was damaged on the way; the ETag."""
        how: dict[str, Any] = {}
        if self._to.storage_class:
            how["StorageClass"] = self._to.storage_class
        if self._to.kms_key_id:
            how |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._to.kms_key_id}
        if self._to.tags:
            how["Tagging"] = urlencode(sorted(self._to.tags.items()))
        own = {key: quote(value, safe=" /:;,.=+-_()") for key, value in self._to.metadata.items()}
        method = object_crc()
        reply = self._patiently(
            self._client.put_object,
            Key=self.key(name),
            Body=body,
            ContentType=content_type(name),
            Metadata={**own, **metadata},
            **{f"Checksum{method.name}": method.encode(crc)},
            **how,
        )
        return str(reply["ETag"])

    def key(self, name: str) -> str:
        return f"{self._to.stem}/{name}"

    def found(self, name: str, plan: str) -> Copied | None:
        """HeadObject: a segment that an earlier call of the same plan has stored, by the metadata it left."""
        try:
            reply = self._patiently(self._client.head_object, Key=self.key(name))
        except AttemptFailed as error:
            if error.code is Code.STORAGE_REFUSED:  # not there; without the right to list, S3 says "forbidden"
                return None
            raise
        metadata = reply.get("Metadata", {})
        if metadata.get(_PLAN) != plan or not {_SHA256, _EVIDENCE} <= metadata.keys():
            return None
        return Copied(int(reply["ContentLength"]), metadata[_SHA256], level_named(metadata[_EVIDENCE]))

    def for_large(self, name: str) -> Storage:
        """The multipart writer of a segment larger than one part. Not stopped with the rest: it has to clean up."""
        stem = splitext(self.key(name))[0]
        return Storage(self._client, replace(self._to, stem=stem, file_name=""), self._options)


class Segments:
    """Copies single assets. Safe to use from many threads, one asset each."""

    def __init__(
        self,
        storage: SegmentStorage,
        outbound: Outbound,
        hosts: Sequence[str],
        options: Options,
        url_of: Callable[[Asset, str | None], str],
        plan: str,
    ) -> None:
        """`url_of(asset, refused)`: where the asset is, after the URL `refused` (None at first) was not answered."""
        self._storage, self._outbound, self._hosts = storage, outbound, hosts
        self._options = replace(options, connections=1)
        self._url_of, self._plan = url_of, plan
        self._shared: dict[str, Source] = {}  # by name of the first asset, for byte ranges of one resource
        self._active: set[Source] = set()
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._stopped = False

    def copy(self, asset: Asset, until: float) -> Copied:
        """Raises Stopped, NotThere, SourceChanged, AttemptFailed or Hopeless."""
        span = asset.reference.span
        if span:
            source = self._shared_source(asset, until)
            return self._copy_span(asset, source, span, until)
        try:
            return self._copy_whole(asset, until)
        except SourceChanged:  # between two answers about one segment: a single one settles it
            return self._copy_whole(asset, until, pinned=False)

    def _copy_whole(self, asset: Asset, until: float, *, pinned: bool = True) -> Copied:
        source = self._source(asset, pinned=pinned)
        try:
            opening = source.open(self._options.part_size, until)
            self._refuse_weak(asset, opening.facts)
            check_media(asset.name, opening.head)
            return self._store(asset, opening.facts, lambda size: _parts(source, opening.facts, size, until))
        finally:
            source.close()
            with self._lock:
                self._active.discard(source)

    def stop(self) -> None:
        """End what is under way; the threads get Stopped."""
        self._storage.stopped.set()
        with self._lock:
            self._stopped = True
            sources = list(self._active)
        for source in sources:
            source.stop()

    def close(self) -> None:
        """Drop the shared sources."""
        for source in self._shared.values():
            source.close()

    def _refuse_weak(self, asset: Asset, facts: Facts) -> None:
        """Before anything of the segment is copied; an attempt only, for another answer may declare more."""
        level, wanted = strongest_possible(facts), level_named(self._options.minimum_evidence)
        if level.rank < wanted.rank:
            message = f"{asset.name}: the best evidence is {level.value}; {wanted.value} is asked for"
            raise AttemptFailed(Code.EVIDENCE_TOO_WEAK, message)

    def _source(self, asset: Asset, *, pinned: bool = True) -> Source:
        refused: list[str] = []

        def locate() -> Remote:
            url = self._url_of(asset, refused[-1] if refused else None)
            refused.append(url)
            return Remote(url)

        source = Source(Link(locate), self._outbound, self._hosts, self._options, pinned=pinned)
        with self._lock:
            self._active.add(source)
            if self._stopped:
                source.stop()
        return source

    def _shared_source(self, asset: Asset, until: float) -> Source:
        """One source for all byte ranges of one resource: pinned once, so that all are of the same file."""
        with self._opening:
            source = self._shared.get(asset.reference.url)
            if source is None:
                source = self._source(asset)
                opening = source.open(4096, until)
                source.close()
                if not opening.facts.ranges or opening.facts.size is None:
                    raise AttemptFailed(Code.SOURCE_UNAVAILABLE, f"{asset.name}: the source serves no byte ranges")
                self._shared[asset.reference.url] = source
            return source

    def _copy_span(self, asset: Asset, source: Source, span: tuple[int, int], until: float) -> Copied:
        start, length = span
        if source.facts.size is not None and start + length > source.facts.size:
            raise Hopeless(Code.HLS_INVALID, f"{asset.name}: its byte range lies beyond the end of the resource")

        def parts(size: int) -> Iterator[bytearray]:
            for offset in range(0, length, size):
                buffer = bytearray(min(size, length - offset))
                source.fetch(start + offset, memoryview(buffer), until)
                if offset == 0:
                    check_media(asset.name, bytes(buffer[:4096]))
                yield buffer

        return self._store(asset, Facts(size=length), parts)

    def _store(self, asset: Asset, facts: Facts, parts_of: Callable[[int], Iterator[bytearray]]) -> Copied:
        digests = Digests(object_crc(), md5=facts.wants_md5, crc64=facts.wants_crc64)
        parts = parts_of(self._options.part_size)
        first = next(parts, bytearray())
        following = next(parts, None) if len(first) == self._options.part_size else None
        if following is not None:
            self._store_large(asset, first, following, parts, digests)
            return self._proven(asset, facts, digests)
        digests.update(first, len(first))
        copied = self._proven(asset, facts, digests)
        metadata = {_SHA256: copied.sha256, _PLAN: self._plan, _EVIDENCE: copied.level.value}
        self._storage.put_object(asset.name, first, digests.crc, metadata)
        return copied

    def _store_large(
        self, asset: Asset, first: bytearray, following: bytearray, parts: Iterator[bytearray], digests: Digests
    ) -> None:
        storage, extension = self._storage.for_large(asset.name), splitext(asset.name)[1]
        stale = storage.existing(self._storage.key(asset.name))
        if stale:
            storage.delete(self._storage.key(asset.name), stale.etag)
        ref = storage.begin(Container(extension, content_type(asset.name)), self._options.part_size)
        try:
            stored = []
            for number, buffer in enumerate(_chained(first, following, parts), 1):
                crc = object_crc().of(buffer)
                digests.update(buffer, len(buffer), crc)
                stored.append(storage.put(ref, number, buffer, crc))
            storage.complete(ref, stored, digests.crc)
        except Taken:
            storage.abort(ref)
            raise AttemptFailed(Code.DESTINATION_TAKEN, f"{asset.name} was stored by another copy") from None
        except BaseException:
            storage.abort(ref)
            raise
        storage.tag(self._storage.key(asset.name))

    def _proven(self, asset: Asset, facts: Facts, digests: Digests) -> Copied:
        verdict = judge(facts, digests)
        if verdict.mismatch:
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, f"{asset.name}: {verdict.mismatch}")
        if digests.position == 0:
            raise AttemptFailed(Code.NOT_A_VIDEO, f"{asset.name} is an empty file")
        return Copied(digests.position, digests.sha256, verdict.level)


def content_type(name: str) -> str:
    return _TYPES.get(splitext(name)[1], "application/octet-stream")


def check_media(name: str, head: bytes) -> None:
    """Raises AttemptFailed (NOT_A_VIDEO) unless the first bytes are of a segment format of RFC 8216 §3."""
    if head[:1] == b"\x47" and (len(head) <= 188 or head[188] == 0x47):
        return  # MPEG-2 transport stream
    if head[4:8] in _BOXES or head.startswith((b"ID3", b"\x0b\x77", b"WEBVTT", b"\xef\xbb\xbfWEBVTT")):
        return  # fragmented MP4, packed audio, subtitles
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return  # ADTS or MPEG audio
    if detect(head) is None:
        raise AttemptFailed(Code.NOT_A_VIDEO, f"{name} is {describe(head)}")


def _parts(source: Source, facts: Facts, size: int, until: float) -> Iterator[bytearray]:
    """The resource in parts of `size` bytes, the last one shorter."""
    if facts.ranges and facts.size is not None:
        for start in range(0, facts.size, size):
            buffer = bytearray(min(size, facts.size - start))
            source.fetch(start, memoryview(buffer), until)
            yield buffer
        return
    while True:
        buffer = bytearray(size)
        count = source.read_on(memoryview(buffer))
        yield buffer[:count]
        if count < size:
            return


def _chained(first: bytearray, following: bytearray, rest: Iterator[bytearray]) -> Iterator[bytearray]:
    yield first
    yield following
    yield from rest
