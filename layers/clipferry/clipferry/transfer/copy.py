"""The copy of one file, step by step: open, begin, move the parts, judge, complete, confirm.

Each step may be the last one this process lives to do. What must be known afterwards is saved before it is needed:
the stem before an upload exists, the upload before a part is sent, the finished digests before completion.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clipferry.outbound.client import Outbound
from clipferry.transfer.checkpoint import Checkpoint
from clipferry.transfer.checksums import Crc, Digests, crc_named
from clipferry.transfer.containers import describe, detect
from clipferry.transfer.errors import AttemptFailed, Hopeless, NotThere, SourceChanged, Stopped, Taken, UploadLost
from clipferry.transfer.evidence import Facts, Verdict, judge, level_named, size_problem, strongest_possible
from clipferry.transfer.freshness import Link
from clipferry.transfer.interface import (
    Code,
    Destination,
    Failed,
    Level,
    More,
    Options,
    Retry,
    Stored,
    Superseded,
)
from clipferry.transfer.pump import Clock, Pump, parts_in_order
from clipferry.transfer.source import Source
from clipferry.transfer.upload import MAX_OBJECT, Existing, Part, Storage, UploadRef, part_size_for
from clipferry.vendors.contract import Remote

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Result = Stored | More | Retry | Failed

_NOT_THERE_FIRST, _NOT_THERE_MOST = 5.0, 60.0  # seconds between looks at a source that is not there yet
_READ_BACK, _READ_AHEAD = 8 * 1024 * 1024, 4  # bytes a request, requests at once


def copy(
    *,
    locate: Callable[[], Remote | None],
    destination: Destination,
    outbound: Outbound,
    hosts: Sequence[str],
    s3: S3Client,
    checkpoint: dict[str, Any],
    save: Callable[[dict[str, Any], int], None],
    time_left: Callable[[], float],
    options: Options | None = None,
) -> Result:
    """Copy one file, or go on with it, as far as the time allows.

    `locate` gives a fresh URL and must not start vendor work; None: not there at the moment. It may be called from
    another thread, one call at a time. `hosts` are the host suffixes it may lead to. `checkpoint` is what `save` was
    last given ({} at first). `save(checkpoint, bytes_copied)` is called from this thread at least every 5 s of copying
    and may raise Superseded, which aborts the upload and comes through. Whatever else `save` or `locate` raises comes
    through too and leaves the upload for the next call.
    `time_left` is in seconds until this function must have returned.

    Stored: done and proven. More: call again. Retry: a failed attempt to be counted. Failed: final, nothing is left.
    """
    how = (destination, outbound, hosts, s3, checkpoint, save, time_left, options or Options())
    if checkpoint.get("upload"):
        return _Copy(locate, *how).run()
    first = [locate()]  # the vendor says what it is: a file, or a playlist with its segments

    def located() -> Remote | None:
        return first.pop() if first else locate()

    if checkpoint.get("kind") == "hls" or (first[0] is not None and first[0].kind == "hls"):
        from clipferry.transfer.hls.hls_copy import copy_hls

        return copy_hls(
            locate=located,
            destination=destination,
            outbound=outbound,
            hosts=hosts,
            s3=s3,
            checkpoint=checkpoint,
            save=save,
            time_left=time_left,
            options=options,
        )
    return _Copy(located, *how).run()


def abandon(s3: S3Client, bucket: str, checkpoint: dict[str, Any], *, expected_owner: str | None = None) -> None:
    """Abort whatever uploads the copy with this checkpoint may have begun, also one it had no time to note down.

    Harmless to repeat. Raises botocore's ClientError or BotoCoreError when S3 does not let it.
    """
    if not checkpoint.get("stem"):
        return
    storage = Storage(s3, Destination(bucket, checkpoint["stem"], expected_owner=expected_owner), Options())
    try:
        if checkpoint.get("upload"):
            storage.abort(UploadRef.parse(checkpoint["upload"]))
        storage.abort_all()
    except AttemptFailed as error:
        raise (error.__cause__ or error) from None


class _Copy:
    def __init__(
        self,
        locate: Callable[[], Remote | None],
        destination: Destination,
        outbound: Outbound,
        hosts: Sequence[str],
        s3: S3Client,
        checkpoint: dict[str, Any],
        save: Callable[[dict[str, Any], int], None],
        time_left: Callable[[], float],
        options: Options,
    ) -> None:
        self._link = Link(locate)
        self._outbound, self._hosts, self._options = outbound, hosts, options
        self._minimum = level_named(options.minimum_evidence)
        self._storage = Storage(s3, destination, options)
        self._clock = Clock(time_left)
        self._save_to = save
        self._point = Checkpoint.parse(checkpoint, destination.stem)
        self._copied = 0
        self._saved_at = time.monotonic()

    def run(self) -> Result:
        try:
            return self._until_decided()
        except Superseded:
            if self._point.upload:
                with suppress(AttemptFailed):  # S3 will not now; the bucket's lifecycle rule ends it
                    self._storage.abort(self._point.upload)
            raise
        finally:
            self._outbound.close()

    def _until_decided(self) -> Result:
        """Changes of the source and lost uploads begin again here, a few times."""
        try:
            while True:
                try:
                    return self._attempt()
                except SourceChanged as error:
                    self._begin_again(Code.SOURCE_CHANGED, str(error))
                except UploadLost as error:
                    existing = self._storage.existing(self._ref.key)
                    if existing is not None:
                        return self._settle_with(existing, self._digests(self._point.digests))
                    self._begin_again(Code.STORAGE_UNAVAILABLE, str(error))
        except Stopped:
            self._save()
            return More()
        except NotThere as error:
            return self._not_there(str(error))
        except AttemptFailed as error:
            return self._failed_attempt(error)
        except Hopeless as error:
            return self._failed(error.code, error.message)

    # -- the steps ----------------------------------------------------------------------------------------------------

    def _attempt(self) -> Result:
        source = Source(self._link, self._outbound, self._hosts, self._options, self._point.facts)
        try:
            stored = self._resume() if self._point.upload else self._begin(source)
            ref, facts = self._ref, self._facts
            digests = self._digests(self._point.digests)
            parts = parts_in_order(stored, ref, facts.size) if facts.size is not None else None
            if parts is None:
                parts = self._move(source, stored, digests)
            return self._finish(parts, digests)
        finally:
            source.close()

    def _begin(self, source: Source) -> dict[int, Part]:
        """Look at the source; begin an upload when it is worth one."""
        opening = source.open(self._options.part_size, self._clock.cut_off, ranges=self._point.ranges)
        facts, self._point.not_there = opening.facts, 0.0
        if (facts.size or 0) > MAX_OBJECT:
            raise Hopeless(Code.TOO_LARGE, f"the source has {facts.size} bytes, an S3 object at most {MAX_OBJECT}")
        if problem := size_problem(facts):
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, problem, fresh=True)
        container = detect(opening.head, facts.size)
        if container is None:
            raise AttemptFailed(Code.NOT_A_VIDEO, f"the source sends {describe(opening.head)}", fresh=True)
        if strongest_possible(facts).rank < self._minimum.rank:
            self._too_weak(strongest_possible(facts))
        self._point.facts = facts
        self._save()
        part_size = part_size_for(facts.size, self._options.part_size)
        self._point.upload = self._storage.begin(container, part_size)
        self._save()
        return {}

    def _resume(self) -> dict[int, Part]:
        """What S3 has of the upload begun earlier. Raises UploadLost."""
        ref, facts = self._ref, self._facts
        found = self._storage.parts(ref).items()
        stored = {n: part for n, part in found if part.size == _length_of(n, ref.part_size, facts.size)}
        if not facts.ranges and (facts.size is None or parts_in_order(stored, ref, facts.size) is None):
            why = "the source cannot go on in the middle of the file"
            raise AttemptFailed(Code.SOURCE_UNAVAILABLE, why, fresh=True)
        self._copied = sum(part.size for part in stored.values())
        return stored

    def _move(self, source: Source, stored: dict[int, Part], digests: Digests) -> list[Part]:
        ref, facts = self._ref, self._facts
        pump = Pump(
            source,
            self._storage,
            ref,
            crc=self._crc,
            size=facts.size if facts.ranges else None,
            stored=stored,
            digests=digests,
            clock=self._clock,
            options=self._options,
        )

        def save() -> None:
            self._copied, self._point.digests = pump.copied, digests.state()
            self._save()

        try:
            pump.run(save, self._options.save_every)
        finally:
            self._copied, self._point.digests = pump.copied, digests.state()
        parts = parts_in_order(pump.stored, ref, facts.size)
        if parts is None:
            raise AttemptFailed(Code.STORAGE_UNAVAILABLE, "the parts in S3 do not make up the file", fresh=True)
        return parts

    def _finish(self, parts: list[Part], digests: Digests) -> Stored:
        """Judge before completion where all bytes went through the digests, after reading back where not."""
        size = sum(part.size for part in parts)
        self._copied = size
        whole = digests.position == size
        if whole:
            self._accept(judge(self._facts, digests))
        self._save()
        crc: int | None = self._combined(parts)
        if whole and crc is not None and crc != digests.crc:
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, "the parts in S3 are not the bytes that came", fresh=True)
        try:
            etag = self._storage.complete(self._ref, parts, crc)
        except Taken:
            existing = self._storage.existing(self._ref.key)
            if existing is None:
                raise AttemptFailed(Code.STORAGE_UNAVAILABLE, "S3 did not complete the upload") from None
            return self._settle_with(existing, digests)
        return self._confirm(Existing(size, etag, self._ref.token), digests)

    def _settle_with(self, existing: Existing, digests: Digests) -> Stored:
        """An object stands under the key: ours, completed by a call that could not say so, or another copy's."""
        if existing.token == self._ref.token:
            return self._confirm(existing, digests)
        theirs = self._digests(None)
        self._read_back(existing, theirs)
        verdict = judge(self._facts, theirs)
        whole = digests.position == existing.size
        same = digests.sha256 == theirs.sha256 if whole else self._facts.size is not None  # compared by the verdict
        if verdict.mismatch or verdict.level.rank < self._minimum.rank or not same:
            raise Hopeless(Code.DESTINATION_TAKEN, f"another object stands under {self._ref.key}")
        return self._stored(existing, theirs, verdict)

    def _confirm(self, existing: Existing, digests: Digests) -> Stored:
        """Our object: read back what the digests have not seen, judge, and only then call it stored."""
        try:
            self._read_back(existing, digests)
        finally:
            self._point.digests = digests.state()
        verdict = judge(self._facts, digests)
        if verdict.mismatch or verdict.level.rank < self._minimum.rank:
            self._storage.delete(self._ref.key, existing.etag)
        return self._stored(existing, digests, self._accept(verdict))

    def _read_back(self, existing: Existing, digests: Digests) -> None:
        """Take the object's bytes behind the digests' position into them, a few ranges ahead of the hashing."""
        key, size, waiting = self._ref.key, existing.size, deque[tuple[int, Future[bytearray]]]()
        starts = iter(range(digests.position, size, _READ_BACK))
        with ThreadPoolExecutor(_READ_AHEAD) as pool:
            while True:
                while len(waiting) < _READ_AHEAD and (start := next(starts, None)) is not None:
                    length = min(_READ_BACK, size - start)
                    reading = pool.submit(self._storage.read_back, key, existing.etag, start, length)
                    waiting.append((length, reading))
                if not waiting:
                    return
                if not self._clock.may_begin():
                    raise Stopped
                length, reading = waiting.popleft()
                digests.update(reading.result(), length)
                if time.monotonic() - self._saved_at >= self._options.save_every:
                    self._save()

    def _accept(self, verdict: Verdict) -> Verdict:
        if verdict.mismatch:
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, verdict.mismatch, fresh=True)
        if verdict.level.rank < self._minimum.rank:
            self._too_weak(verdict.level)
        return verdict

    def _too_weak(self, level: Level) -> None:
        raise Hopeless(
            Code.EVIDENCE_TOO_WEAK, f"the best evidence is {level.value}; {self._minimum.value} is asked for"
        )

    def _stored(self, existing: Existing, digests: Digests, verdict: Verdict) -> Stored:
        ref = self._ref
        self._storage.tag(ref.key)
        self._storage.abort_all()
        evidence = {
            "level": verdict.level.value,
            "checks": [level.value for level in verdict.checks],
            "sha256": digests.sha256,
            "size": existing.size,
            "checksum": {
                "algorithm": ref.algorithm,
                "value": self._crc.encode(digests.crc),
                "confirmed_as": ref.checksum_type,
            },
        }
        return Stored(ref.key, existing.size, evidence, ref.content_type)

    # -- endings ------------------------------------------------------------------------------------------------------

    def _begin_again(self, code: Code, why: str) -> None:
        if self._point.generation >= self._options.max_generations:
            raise Hopeless(code, f"begun {self._point.generation} times, at last: {why}")
        self._discard()
        self._point.generation += 1
        self._save()

    def _discard(self) -> None:
        if self._point.upload:
            self._storage.abort(self._point.upload)
        self._point.forget_upload()
        self._copied = 0

    def _not_there(self, why: str) -> Result:
        """Ready, but not to be found: looked for again with growing waits until the grace period is over."""
        if self._point.not_there >= self._options.not_there_grace:
            return self._failed(Code.SOURCE_GONE, f"{why}, for {self._point.not_there:.0f} s")
        wait = max(_NOT_THERE_FIRST, min(_NOT_THERE_MOST, self._point.not_there))
        self._point.not_there += wait
        self._save()
        return More(wait)

    def _failed_attempt(self, error: AttemptFailed) -> Result:
        if error.fresh:
            self._point.ranges = self._point.ranges and not error.no_ranges
            self._discard()
        self._save()
        return Retry(error.code.value, error.message, error.wait)

    def _failed(self, code: Code, message: str) -> Result:
        try:
            self._discard()
            self._storage.abort_all()
        except AttemptFailed as error:
            return Retry(error.code.value, error.message)
        return Failed(code.value, message)

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def _ref(self) -> UploadRef:
        if self._point.upload is None:
            raise RuntimeError("no upload has begun")
        return self._point.upload

    @property
    def _facts(self) -> Facts:
        if self._point.facts is None:
            raise RuntimeError("the source has not been looked at")
        return self._point.facts

    @property
    def _crc(self) -> Crc:
        method = crc_named(self._ref.algorithm)
        if method is None:
            raise UploadLost(f"this machine cannot compute {self._ref.algorithm}")
        return method

    def _digests(self, state: dict[str, Any] | None) -> Digests:
        facts = self._facts
        return Digests.restore(self._crc, state, md5=facts.wants_md5, crc64=facts.wants_crc64)

    def _combined(self, parts: list[Part]) -> int | None:
        total = 0
        for part in parts:
            if part.crc is None:
                return None
            total = self._crc.combine(total, part.crc, part.size)
        return total

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        self._save_to(self._point.as_dict(), self._copied)


def _length_of(number: int, part_size: int, size: int | None) -> int:
    return part_size if size is None else min(part_size, size - (number - 1) * part_size)
