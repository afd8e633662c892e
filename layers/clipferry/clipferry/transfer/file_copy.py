"""The copy of one file, step by step: open the source, begin an upload, copy the parts, complete it.

The process may end at any step. `session` saves what the next call needs, `pump` copies the parts, `completion` checks
and completes.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from clipferry.transfer.answers import Opening
from clipferry.transfer.checksums import Digests
from clipferry.transfer.completion import Completion
from clipferry.transfer.connection_limit import ConnectionLimit
from clipferry.transfer.container_end import CHECKSUMS, accepted, judge_container
from clipferry.transfer.errors import (
    AttemptFailed,
    Hopeless,
    IsPlaylist,
    NotThere,
    SourceChanged,
    Stopped,
    StorageThrottled,
    UploadLost,
)
from clipferry.transfer.evidence import size_problem, strongest_possible
from clipferry.transfer.freshness import Link
from clipferry.transfer.interface import Code, CopyCall, CopySuperseded, Failed, Level, More, Result, Retry
from clipferry.transfer.media import HLS, EndWatch, Format, end_check, identify, promised
from clipferry.transfer.pump import Pump, parts_in_order
from clipferry.transfer.session import Session
from clipferry.transfer.source import Source
from clipferry.transfer.upload import MAX_OBJECT, Part, part_size_for
from clipferry.transfer.waiting import change_wait, not_there_wait, throttle_wait


class FileCopy:
    """One call of the copy of one file."""

    def __init__(self, call: CopyCall) -> None:
        self._session = Session(call)
        self._point, self._storage = self._session.point, self._session.storage
        self._completion = Completion(self._session)
        self._call, self._link = call, Link(call.locate)
        self._completing = False  # all parts are in S3

    def run(self) -> Result:
        try:
            return self._until_decided()
        except CopySuperseded:
            self._session.let_go()
            raise
        finally:
            self._call.outbound.close()

    def _until_decided(self) -> Result:
        """Copy until there is a result. After a lost upload it begins a new one, a few times."""
        try:
            while True:
                try:
                    return self._attempt()
                except SourceChanged as error:
                    return self._wait_for_rest(str(error))
                except UploadLost as error:
                    existing = self._storage.existing(self._session.ref.key)
                    if existing is not None:
                        digests, self._completing = self._session.digests(self._point.digests), True
                        return self._completion.settle_with(existing, digests)
                    self._begin_again(Code.STORAGE_UNAVAILABLE, str(error))
        except Stopped:
            return self._pause()
        except NotThere as error:
            return self._not_there(str(error))
        except StorageThrottled:
            self._session.save()
            return More(throttle_wait())
        except AttemptFailed as error:
            return self._failed_attempt(error)
        except Hopeless as error:
            return self._failed(error.code, error.message)

    # -- the steps ----------------------------------------------------------------------------------------------------

    def _attempt(self) -> Result:
        call, session = self._call, self._session
        pinned, self._completing = session.pinned, False
        limit = ConnectionLimit(call.options.connections, self._point.connections)
        source = Source(
            self._link, call.outbound, call.hosts, call.options, self._point.facts, pinned=pinned, limit=limit
        )
        try:
            stored = self._resume() if self._point.upload else self._begin(source)
            ref, facts = session.ref, session.facts
            digests = session.digests(self._point.digests)
            parts = parts_in_order(stored, ref, facts.size) if facts.size is not None else None
            if parts is None:
                parts = self._move(source, limit, stored, digests)
            self._completing = True
            return self._completion.complete(parts, digests)
        finally:
            self._point.connections = limit.next_first
            source.close()

    def _begin(self, source: Source) -> dict[int, Part]:
        """Open the source, and begin an upload if the source can be copied."""
        session, smallest = self._session, self._point.part_size or self._call.options.part_size
        opening = source.open(smallest, session.clock.cut_off, ranges=self._point.ranges)
        facts = opening.facts
        if (facts.size or 0) > MAX_OBJECT:
            raise Hopeless(Code.TOO_LARGE, f"the source has {facts.size} bytes, an S3 object at most {MAX_OBJECT}")
        found = identify(opening.head, facts.size)
        if found is HLS:
            raise IsPlaylist(opening.remote)
        if problem := size_problem(facts):
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, problem, fresh=True)
        kind = accepted(found, self._promised(opening))
        if part_size_for(facts.size, smallest) > self._call.options.buffers:
            raise Hopeless(Code.TOO_LARGE, f"parts of a file of {facts.size} bytes do not fit in memory")
        self._refuse_weak(strongest_possible(facts))
        if self._point.was_cut and kind is found:
            self._look_first(source, kind, opening)
        self._point.facts = facts
        session.save()
        self._point.upload = self._storage.begin(kind, part_size_for(facts.size, smallest))
        session.save()
        if kind is found and facts.size is not None:
            session.watch = EndWatch(end_check(kind, opening.head, facts.size))
        return {}

    def _look_first(self, source: Source, kind: Format, opening: Opening) -> None:
        """Check a file that was cut before it is copied once more. Raises AttemptFailed when it is still cut."""
        facts = opening.facts
        if facts.size is None or not facts.ranges or strongest_possible(facts) in CHECKSUMS:
            return
        check = end_check(kind, opening.head, facts.size)
        while (span := check.wanted) is not None:
            buffer = bytearray(span.length)
            source.fetch(span.start, memoryview(buffer), self._session.clock.cut_off)
            check.give(bytes(buffer))
        if check.end is not None:
            judge_container(check.end, ())

    def _promised(self, opening: Opening) -> Format | None:
        """The type of the file by its name, else by the path of its URL, else by its Content-Type."""
        names = (self._call.destination.file_name, urlsplit(opening.remote.url).path)
        return promised(names, opening.content_type)

    def _resume(self) -> dict[int, Part]:
        """Continue with the parts that S3 has of the earlier upload. Raises UploadLost."""
        ref, facts = self._session.ref, self._session.facts
        found = self._storage.parts(ref).items()
        stored = {n: part for n, part in found if part.size == _length_of(n, ref.part_size, facts.size)}
        if not facts.ranges and (facts.size is None or parts_in_order(stored, ref, facts.size) is None):
            raise self._too_slow_for_one_stream()
        self._session.resume(sum(part.size for part in stored.values()))
        return stored

    def _too_slow_for_one_stream(self) -> AttemptFailed:
        code, why = Code.SOURCE_UNAVAILABLE, "the source serves no ranges, and one call is too short for the whole file"
        if not self._session.pinned:
            code, why = Code.SOURCE_CHANGED, "ETag or date differ in each answer, and one call is too short for all"
        return AttemptFailed(code, why, fresh=True)

    def _move(self, source: Source, limit: ConnectionLimit, stored: dict[int, Part], digests: Digests) -> list[Part]:
        session = self._session
        ref, facts = session.ref, session.facts
        pump = Pump(
            source,
            self._storage,
            ref,
            limit,
            crc=session.crc,
            size=facts.size if facts.ranges else None,
            stored=stored,
            digests=digests,
            clock=session.clock,
            options=session.options,
        )

        def save() -> None:
            session.copied, self._point.digests = pump.copied, digests.state()
            session.save()

        try:
            pump.run(save, session.options.save_every)
        except Stopped:
            if facts.ranges:
                raise
            raise self._too_slow_for_one_stream() from None  # without ranges the next call cannot continue
        finally:
            session.copied, self._point.digests = pump.copied, digests.state()
        parts = parts_in_order(pump.stored, ref, facts.size)
        if parts is None:
            raise AttemptFailed(Code.STORAGE_UNAVAILABLE, "the parts in S3 do not make up the file", fresh=True)
        return parts

    # -- endings ------------------------------------------------------------------------------------------------------

    def _pause(self) -> Result:
        """The time is over. A call that stored nothing has failed, and the next one uses smaller parts."""
        session, upload = self._session, self._point.upload
        if session.got_further:
            session.save()
            return More()
        if self._completing:
            session.save()
            what = f"what is stored could not be read back within a call of {session.seconds:.0f} s"
            return Retry(Code.STORAGE_UNAVAILABLE.value, what)
        self._shrink_parts()
        what = f"one part of {upload.part_size} bytes" if upload else "the first bytes"
        message = f"the source is too slow: a call of {session.seconds:.0f} s did not get {what} from it into S3"
        return Retry(Code.SOURCE_UNAVAILABLE.value, message)

    def _shrink_parts(self) -> None:
        """If S3 has no part of the upload yet, use half the part size next, so that a part can complete in one call."""
        session, upload, options = self._session, self._point.upload, self._call.options
        smaller = max(options.smallest_part, (self._point.part_size or options.part_size) // 2)
        if upload and not session.copied and part_size_for(session.facts.size, smaller) < upload.part_size:
            self._point.part_size = smaller
            session.discard_upload()
        else:
            session.save()

    def _wait_for_rest(self, why: str) -> Result:
        """The source changed: start again after a wait; the last start ignores the validators, as they may be wrong."""
        starts = self._point.starts
        if starts > self._session.options.max_starts:
            raise Hopeless(Code.SOURCE_CHANGED, f"begun {starts} times, at last: {why}")
        self._point.starts += 1
        self._session.discard_upload()
        return More(change_wait(starts))

    def _refuse_weak(self, level: Level) -> None:
        """Fail only this attempt, because another answer of the source may declare more."""
        wanted = self._session.minimum
        if level.rank < wanted.rank:
            message = f"the best evidence that the source offers is {level.value}; {wanted.value} is asked for"
            raise AttemptFailed(Code.EVIDENCE_TOO_WEAK, message, fresh=True)

    def _begin_again(self, code: Code, why: str) -> None:
        if self._point.starts >= self._session.options.max_starts:
            raise Hopeless(code, f"begun {self._point.starts} times, at last: {why}")
        self._point.starts += 1
        self._session.discard_upload()

    def _not_there(self, why: str) -> Result:
        """Reported ready, but not found: try again with growing waits until the grace period is over.

        A call with progress resets the period. A call without progress counts with all of its time.
        """
        self._point.not_there = 0.0 if self._session.got_further else self._point.not_there + self._session.seconds
        if self._point.not_there >= self._session.options.not_there_grace:
            return self._failed(Code.SOURCE_GONE, f"{why}, for {self._point.not_there:.0f} s")
        wait = not_there_wait(self._point.not_there)
        self._point.not_there += wait
        self._session.save()
        return More(wait)

    def _failed_attempt(self, error: AttemptFailed) -> Result:
        self._point.was_cut = self._point.was_cut or error.code is Code.CONTAINER_CUT
        if error.fresh:
            self._point.ranges = self._point.ranges and not error.no_ranges
            self._session.discard_upload()
        else:
            self._session.save()
        return Retry(error.code.value, error.message, error.wait)

    def _failed(self, code: Code, message: str) -> Result:
        self._session.discard_upload()
        return Failed(code.value, message)


def _length_of(number: int, part_size: int, size: int | None) -> int:
    return part_size if size is None else min(part_size, size - (number - 1) * part_size)
