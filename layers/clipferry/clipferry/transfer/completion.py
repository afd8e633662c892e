"""The end of a file's copy: check its bytes, complete the upload, check the object, and only then report success."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NoReturn

from clipferry.transfer.checksums import Crc, Digests
from clipferry.transfer.container_end import ContainerProof, end_of_object, judge_container
from clipferry.transfer.errors import AttemptFailed, Hopeless, Stopped, Taken
from clipferry.transfer.evidence import Verdict, judge
from clipferry.transfer.interface import Code, Level, Stored
from clipferry.transfer.session import Session
from clipferry.transfer.upload import Existing, Part

_READ_BACK, _READ_AHEAD = 8 * 1024 * 1024, 4  # bytes a request, requests at once


class Completion:
    """All methods may raise Stopped, AttemptFailed, Hopeless, UploadLost, and what the caller's `save` raises."""

    def __init__(self, session: Session) -> None:
        self._session, self._storage = session, session.storage

    def complete(self, parts: list[Part], digests: Digests) -> Stored:
        """Check the digests before the completion if they cover all bytes; otherwise after the object was read back."""
        session = self._session
        size = sum(part.size for part in parts)
        session.copied = size
        whole = digests.position == size
        if whole:
            verdict = self._accept(judge(session.facts, digests))
            if session.watch and session.watch.end:
                judge_container(session.watch.end, verdict.checks)
        session.save()
        crc = combined_crc(session.crc, parts)
        if whole and crc is not None and crc != digests.crc:
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, "the parts in S3 are not the bytes that came", fresh=True)
        try:
            etag = self._storage.complete(session.ref, parts, crc)
        except Taken:
            existing = self._storage.existing(session.ref.key)
            if existing is None:
                raise AttemptFailed(Code.STORAGE_UNAVAILABLE, "S3 did not complete the upload") from None
            return self.settle_with(existing, digests)
        return self._confirm(Existing(size, etag, session.ref.token), digests)

    def settle_with(self, existing: Existing, digests: Digests) -> Stored:
        """An object already has the key: ours, completed by a call that crashed after that, or one of another copy."""
        session = self._session
        if existing.token == session.ref.token:
            return self._confirm(existing, digests)
        theirs = session.digests(None)
        self._read_back(existing, theirs)
        verdict = judge(session.facts, theirs)
        if digests.position == existing.size:
            same = digests.sha256 == theirs.sha256
        elif verdict.mismatch or verdict.level.rank >= Level.ETAG_MD5.rank:
            same = True  # as far as the verdict says
        else:
            what = f"an object of this size stands under {session.ref.key}: the file is copied again to compare them"
            raise AttemptFailed(Code.DESTINATION_TAKEN, what, fresh=True)
        if verdict.mismatch or verdict.level.rank < session.minimum.rank or not same:
            self._make_way(existing)
        proof = judge_container(end_of_object(session, existing), verdict.checks)
        return self._stored(existing, theirs, verdict, proof)

    def _make_way(self, existing: Existing) -> NoReturn:
        """An object with other content has the key. If an earlier copy of this file made it, delete it.

        Such an object stays when a job is cancelled after a copy completed and before its row was written; the vendor's
        new work for a retry has other bytes. The save proves that no other call copies the file, and the file's row
        names no object.
        """
        session = self._session
        if not existing.same_file:
            raise Hopeless(Code.DESTINATION_TAKEN, f"another object stands under {session.ref.key}")
        session.save()
        self._storage.delete(session.ref.key, existing.etag)
        message = f"an earlier copy of the file had left other content under {session.ref.key}; it was taken back"
        raise AttemptFailed(Code.DESTINATION_TAKEN, message, fresh=True)

    def refuse_weak(self, level: Level) -> None:
        """Raises Hopeless when the evidence is weaker than the configured minimum."""
        wanted = self._session.minimum
        if level.rank < wanted.rank:
            raise Hopeless(Code.EVIDENCE_TOO_WEAK, f"the best evidence is {level.value}; {wanted.value} is asked for")

    def _confirm(self, existing: Existing, digests: Digests) -> Stored:
        """The object is ours: read back the bytes that the digests lack, check them, and only then report success."""
        session = self._session
        try:
            self._read_back(existing, digests)
        finally:
            session.point.digests = digests.state()
        end = (session.watch and session.watch.end) or end_of_object(session, existing)
        try:
            verdict = self._accept(judge(session.facts, digests))
            proof = judge_container(end, verdict.checks)
        except (AttemptFailed, Hopeless):
            self._storage.delete(session.ref.key, existing.etag)
            raise
        return self._stored(existing, digests, verdict, proof)

    def _read_back(self, existing: Existing, digests: Digests) -> None:
        """Read the object's bytes after the digests' position and add them; a few ranges are read in advance."""
        session = self._session
        key, size, waiting = session.ref.key, existing.size, deque[tuple[int, Future[bytearray]]]()
        starts = iter(range(digests.position, size, _READ_BACK))
        with ThreadPoolExecutor(_READ_AHEAD) as pool:
            while True:
                while len(waiting) < _READ_AHEAD and (start := next(starts, None)) is not None:
                    length = min(_READ_BACK, size - start)
                    reading = pool.submit(self._storage.read_back, key, existing.etag, start, length)
                    waiting.append((length, reading))
                if not waiting:
                    return
                if not session.clock.may_begin():
                    raise Stopped
                length, reading = waiting.popleft()
                digests.update(reading.result(), length)
                session.save_when_due()

    def _accept(self, verdict: Verdict) -> Verdict:
        if verdict.mismatch:
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, verdict.mismatch, fresh=True)
        self.refuse_weak(verdict.level)
        return verdict

    def _stored(self, existing: Existing, digests: Digests, verdict: Verdict, proof: ContainerProof) -> Stored:
        ref = self._session.ref
        self._storage.tag(ref.key)
        evidence = {
            "level": verdict.level.value,
            "checks": [level.value for level in verdict.checks],
            "sha256": digests.sha256,
            "size": existing.size,
            "container": proof.word,
            "checksum": {
                "algorithm": ref.algorithm,
                "value": self._session.crc.encode(digests.crc),
                "confirmed_as": ref.checksum_type,
            },
        }
        return Stored(ref.key, existing.size, evidence, ref.content_type, proof.warnings)


def combined_crc(crc: Crc, parts: list[Part]) -> int | None:
    """The checksum of the whole object from those of its parts; None when the store did not report one of them."""
    total = 0
    for part in parts:
        if part.crc is None:
            return None
        total = crc.combine(total, part.crc, part.size)
    return total
