"""Reads one file from the vendor's file server: first what it is, then any range of it.

The first answer is pinned: each later one must belong to the same file. Requests that may succeed later are repeated
here, from the byte where the last one ended; other failures are raised as in `errors`. Does not depend on S3.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager

from clipferry.outbound.client import AddressRefused, NoReply, NotSent, Outbound, Stream, Timeouts, Truncated
from clipferry.outbound.retry_after import retry_after
from clipferry.transfer.answers import (
    RENEWED,
    THROTTLED,
    Body,
    Opening,
    Unusable,
    check_range,
    check_validators,
    first_facts,
    refused,
)
from clipferry.transfer.connection_limit import ConnectionLimit, Reading
from clipferry.transfer.errors import AttemptFailed, Hopeless, NotThere, SourceChanged, Stopped
from clipferry.transfer.evidence import Facts
from clipferry.transfer.freshness import Link
from clipferry.transfer.interface import Code, Options
from clipferry.transfer.media import head_wanted
from clipferry.vendors.contract import Remote

ATTEMPTS = 5  # requests in a row that bring nothing, before this attempt at the file is given up
THROTTLES = 12  # requests in a row that the source throttles
RENEWALS = 2  # requests in a row that are refused although the URL was renewed
LOOKS = 3  # further requests after an answer that does not say where the file ends
SLOWEST = 120.0  # seconds that one request for a range may take; then the rest is requested again
_PROGRESS = 64 * 1024  # a broken request with so many bytes does not count as a failure
_BACKOFF_MAX = 8.0


class _Throttled(Exception):
    def __init__(self, status: int, wait: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.wait = wait


class _Refused(Exception):
    """A status in RENEWED: the URL may have expired."""

    def __init__(self, host: str, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.host, self.status = host, status


class Source:
    """One file at the vendor. Safe to use from many threads, one range each."""

    def __init__(
        self,
        link: Link,
        outbound: Outbound,
        hosts: Sequence[str],
        options: Options,
        facts: Facts | None = None,
        *,
        pinned: bool = True,
        limit: ConnectionLimit | None = None,
        order: str = "",
    ) -> None:
        """`facts`: what the file was begun with, None before `open`.

        `limit`: shared with other sources, among which `order` says what is read first; None: one of its own.

        `pinned` False: for a source whose ETag or Last-Modified changes from answer to answer although the file does
        not. Answers are then compared by size alone, and ranges are asked for only where a checksum of the whole file
        will tell whether all are of one file; otherwise it is read over a single connection.
        """
        self._link, self._outbound, self._hosts, self._options = link, outbound, hosts, options
        self._facts, self._pinned = facts, pinned
        self._opening: Body | None = None
        self._came = 0  # bytes given by `read_on`
        self._open_until = float("inf")
        self._open: set[Stream] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._order, self._limit = order, limit or ConnectionLimit(options.connections)

    # -- the first answer ---------------------------------------------------------------------------------------------

    def open(self, part_size: int, until: float, *, ranges: bool = True) -> Opening:
        """Request the first part and find out what the file is. Ranges are used after a 206 shows that they work.

        After an answer without a size it asks again: a CDN that fills its cache sends the first answer in chunks, and
        supports ranges later.
        """
        opening, looks = self._ask(part_size, until, ranges), 0
        if ranges and opening.facts.ranges and not (self._pinned or opening.facts.checksum_of_whole):
            self._release(opening.body.stream)
            opening, ranges = self._ask(part_size, until, ranges=False), False
        while ranges and opening.facts.size is None and looks < (1 if opening.facts.end_declared else LOOKS):
            opening, looks = self._better(opening, part_size, until, looks), looks + 1
        self._facts, self._opening, self._open_until = opening.facts, opening.body, until
        return opening

    def _better(self, opening: Opening, part_size: int, until: float, looks: int) -> Opening:
        """Another answer if it declares more than `opening`, else `opening`. Closes the other one."""
        pause = self._options.backoff * 2**looks
        if time.monotonic() + pause >= until or self._stopped.wait(pause):
            return opening
        try:
            other = self._ask(part_size, until, ranges=True)
        except (AttemptFailed, NotThere):
            return opening
        except BaseException:
            self._release(opening.body.stream)
            raise
        better = (other.facts.size is not None, other.facts.end_declared) > (False, opening.facts.end_declared)
        kept, dropped = (other, opening) if better else (opening, other)
        self._release(dropped.body.stream)
        return kept

    def _ask(self, part_size: int, until: float, ranges: bool) -> Opening:
        failures = _Failures(self._options, self._stopped)
        while True:
            remote = self._link.current()
            try:
                return self._first_answer(remote, part_size if ranges else None, until)
            except Unusable as error:
                if error.ranges and ranges:
                    ranges = False
                    continue
                failures.count(error, until)
            except (_Throttled, _Refused, NoReply, NotSent) as error:
                self._cope(error, remote, failures, until)

    def _first_answer(self, remote: Remote, part_size: int | None, until: float) -> Opening:
        headers = {} if part_size is None else {"Range": f"bytes=0-{part_size - 1}"}
        stream = self._request(remote, headers, until)
        try:
            facts = first_facts(stream, remote, part_size)
            body = Body(stream)
            head = body.peek(head_wanted)
        except BaseException:
            self._release(stream)
            raise
        return Opening(facts, head, body, remote, stream.headers.get("Content-Type", ""))

    def read_on(self, buffer: memoryview) -> int:
        """The next bytes of a body that is read without ranges; fewer than requested only at its end.

        It reads no more bytes than the vendor declares, because a few compressed bytes may expand to any number.
        """
        if self._opening is None:
            raise AttemptFailed(Code.SOURCE_UNAVAILABLE, "the source cannot continue where it stopped", fresh=True)
        filled = 0
        try:
            while filled < len(buffer) and (count := self._opening.readinto(buffer[filled:])):
                filled += count
        except Truncated as error:
            self._give_up_reading()
            raise AttemptFailed(Code.SHORT_BODY, error.message, fresh=True) from None
        except NoReply as error:
            self._give_up_reading()
            raise AttemptFailed(Code.SOURCE_UNAVAILABLE, error.message, fresh=True) from None
        self._came += filled
        declared = self.facts.vendor_size
        if declared is not None and self._came > declared:
            message = f"the vendor declares {declared} bytes, the download has more"
            raise AttemptFailed(Code.EVIDENCE_MISMATCH, message, fresh=True)
        return filled

    def _give_up_reading(self) -> None:
        """Raise Stopped instead of a failure when the body ended early because the time is over."""
        if self._stopped.is_set() or time.monotonic() >= self._open_until:
            raise Stopped

    # -- ranges -------------------------------------------------------------------------------------------------------

    def fetch(self, start: int, buffer: memoryview, until: float, behind: int = 0) -> None:
        """Fill the buffer with the file's bytes from `start` on; `until` is on the monotonic clock.

        `behind`: bytes that must follow in the same call; otherwise these are useless.
        Raises Stopped, SourceChanged, NotThere, AttemptFailed or Hopeless.
        """
        failures = _Failures(self._options, self._stopped)
        reading = Reading((self._order, start), len(buffer), behind)
        while reading.received < len(buffer):
            before = reading.received
            if not self._limit.enter(reading, until):
                raise Stopped
            try:
                remote = self._link.current()
                failure = self._read(remote, start, reading, buffer, until)
            finally:
                self._limit.leave(reading, good=reading.received == len(buffer))
            if failure is not None:
                if reading.received - before >= _PROGRESS:
                    failures.forget()
                self._cope(failure, remote, failures, until)

    def _read(self, remote: Remote, start: int, reading: Reading, buffer: memoryview, until: float) -> Exception | None:
        """Continue the reading until it is complete, paused or broken; the error that broke it."""
        rest = self._pieces(remote, start + reading.received, buffer[reading.received :], until)
        try:
            with closing(rest) as pieces:
                for count in pieces:
                    reading.received += count
                    if reading.paused:
                        break
        except (Unusable, _Throttled, _Refused, NoReply, NotSent) as error:
            return error
        return None

    def _pieces(self, remote: Remote, start: int, buffer: memoryview, until: float) -> Generator[int]:
        """Read one range and yield the size of each piece, so that the bytes before an error are kept."""
        body = self._take_opening() if start == 0 else None
        if body is not None:
            try:
                yield from _piecewise(body, buffer)
            finally:
                self._release(body.stream)
            return
        with self._range(remote, start, len(buffer), until) as stream:
            yield from _piecewise(stream, buffer)

    def _take_opening(self) -> Body | None:
        with self._lock:
            body, self._opening = self._opening, None
            return body

    @contextmanager
    def _range(self, remote: Remote, start: int, length: int, until: float) -> Iterator[Stream]:
        facts, end = self.facts, start + length - 1
        headers = {"Range": f"bytes={start}-{end}"}
        if self._pinned and facts.etag:
            headers |= {"If-Range": facts.etag, "If-Match": facts.etag}
        elif self._pinned and facts.modified:
            headers["If-Range"] = facts.modified
        stream = self._request(remote, headers, until)
        try:
            if self._pinned:
                check_validators(stream, facts)
            check_range(stream, facts, start, end)
            yield stream
        finally:
            self._release(stream)

    @property
    def facts(self) -> Facts:
        if self._facts is None:
            raise RuntimeError("the source has not been opened")
        return self._facts

    # -- one request, and what may go wrong with it -------------------------------------------------------------------

    def _request(self, remote: Remote, headers: dict[str, str], until: float) -> Stream:
        left = until - time.monotonic()
        if left <= 0 or self._stopped.is_set():
            raise Stopped
        timeouts = Timeouts(connect=min(10.0, left), read=min(30.0, left), total=left)
        try:
            stream = self._outbound.stream(remote.url, hosts=self._hosts, headers=headers, timeout=timeouts)
        except AddressRefused as error:
            raise Hopeless(Code.ADDRESS_REFUSED, error.message) from None
        with self._lock:
            self._open.add(stream)
        if stream.status in (200, 206):
            return stream
        self._release(stream)
        if stream.status in THROTTLED:
            raise _Throttled(stream.status, retry_after(stream.headers.get("Retry-After")))
        if stream.status in RENEWED:
            raise _Refused(stream.host, stream.status)
        if stream.status == 412:
            raise SourceChanged(f"{stream.host} says that the file is no longer the same (HTTP 412)")
        if stream.status == 416:
            if self._facts is not None:
                raise SourceChanged(f"{stream.host} says that the file is shorter now (HTTP 416)")
            raise Unusable(f"{stream.host} has nothing to send (HTTP 416)", Code.NOT_A_VIDEO, ranges=True)
        raise Unusable(f"{stream.host} answered HTTP {stream.status}")

    def _release(self, stream: Stream) -> None:
        with self._lock:
            self._open.discard(stream)
        stream.__exit__(None, None, None)

    def _cope(self, error: Exception, remote: Remote, failures: _Failures, until: float) -> None:
        """Prepare the next request (wait, renew the URL), or raise when there should be none."""
        if self._stopped.is_set() or time.monotonic() >= until:
            raise Stopped from None
        if isinstance(error, _Refused):
            failures.count_refusal(error)
            self._link.renew(remote)
        elif isinstance(error, _Throttled):
            self._limit.slow_down(failures.count_throttle(error.wait))
        else:
            failures.count(error, until)

    def stop(self) -> None:
        """End all present requests; their threads get Stopped."""
        self._stopped.set()
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            stream.cut()
        self._limit.close()

    def close(self) -> None:
        """Close all that is still open."""
        body = self._take_opening()
        if body is not None:
            self._release(body.stream)


class _Failures:
    """Counts requests in a row without progress, and the wait before the next one."""

    def __init__(self, options: Options, stopped: threading.Event) -> None:
        self._backoff, self._stopped = options.backoff, stopped
        self.forget()

    def forget(self) -> None:
        self._broken = self._throttled = self._refused = 0

    def count(self, error: Exception, until: float) -> None:
        self._broken += 1
        if self._broken >= ATTEMPTS:
            no_ranges = isinstance(error, Unusable) and error.ranges
            raise AttemptFailed(_code_of(error), str(error), no_ranges=no_ranges) from None
        pause = min(_BACKOFF_MAX, self._backoff * 2 ** (self._broken - 1)) * random.uniform(0.5, 1.0)
        if time.monotonic() + pause >= until or self._stopped.wait(pause):
            raise Stopped from None

    def count_throttle(self, wished: float | None) -> float:
        self._throttled += 1
        own = min(_BACKOFF_MAX, self._backoff * 2 ** (self._throttled - 1)) * random.uniform(0.5, 1.0)
        wait = own if wished is None else max(wished, 0.0)
        if self._throttled > THROTTLES:
            raise AttemptFailed(Code.SOURCE_THROTTLED, "the source keeps asking to slow down", wait=wait) from None
        return wait

    def count_refusal(self, refusal: _Refused) -> None:
        self._refused += 1
        if self._refused > RENEWALS:
            raise refused(refusal.host, refusal.status) from None


def _code_of(error: Exception) -> Code:
    if isinstance(error, Unusable):
        return error.code
    return Code.SHORT_BODY if isinstance(error, Truncated) else Code.SOURCE_UNAVAILABLE


def _piecewise(body: Body | Stream, buffer: memoryview) -> Iterator[int]:
    filled, ends = 0, time.monotonic() + SLOWEST
    while filled < len(buffer):
        if time.monotonic() > ends:
            raise NoReply(f"the source sent {filled} bytes in {SLOWEST:.0f} s")
        count = body.readinto(buffer[filled:])
        if count == 0:
            raise Truncated(f"the body ended {len(buffer) - filled} bytes too early")
        filled += count
        yield count
