"""Copies the parts of a file from the source into S3, many at once, in bounded memory.

Fetchers fill part buffers from the source, uploaders send them to S3, and the calling thread adds the uploaded parts to
the digests, in file order. After that a part's buffer is free again. So the number of buffers limits the memory, and
how far the fastest part may be ahead. Parts start in ascending order, and each keeps its buffer until its end, also
while it is paused. So no received byte is dropped before the call ends, and there can be no deadlock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from clipferry.transfer.checksums import Crc, Digests
from clipferry.transfer.connection_limit import ConnectionLimit
from clipferry.transfer.errors import Hopeless, Stopped
from clipferry.transfer.interface import Code, Options
from clipferry.transfer.source import Source
from clipferry.transfer.upload import MAX_PARTS, UPLOADERS, Part, Storage, UploadRef

_TICK = 0.25  # seconds between two checks of the time


@dataclass
class _Filled:
    number: int
    buffer: bytearray
    length: int
    crc: int


class Clock:
    """How long this call may continue. All in seconds; deadlines are on the monotonic clock.

    `time_left`: until the call must have returned. In the last `reserve` seconds no part is begun, and in the last
    third of them the call does not wait for any part.
    """

    def __init__(self, time_left: Callable[[], float]) -> None:
        self._time_left = time_left
        self.reserve = min(15.0, 0.15 * max(0.0, time_left()))

    @property
    def left(self) -> float:
        """Seconds until each request must have ended."""
        return self._time_left() - self.reserve / 3

    @property
    def cut_off(self) -> float:
        """When each request must have ended, on the monotonic clock."""
        return time.monotonic() + self.left

    def may_begin(self, expected: float = 0.0) -> bool:
        """Whether the time suffices to begin something that takes about so long."""
        return self._time_left() > self.reserve + expected


class Pump:
    """Copies each missing part. Use it once: `run` returns when all parts are in S3, or raises."""

    def __init__(
        self,
        source: Source,
        storage: Storage,
        ref: UploadRef,
        limit: ConnectionLimit,
        *,
        crc: Crc,
        size: int | None,
        stored: dict[int, Part],
        digests: Digests,
        clock: Clock,
        options: Options,
    ) -> None:
        self._source, self._storage, self._ref, self._limit, self._crc = source, storage, ref, limit, crc
        self._size, self._digests, self._clock = size, digests, clock
        self.stored = stored
        self.copied = sum(part.size for part in stored.values())
        total = None if size is None else max(1, -(-size // ref.part_size))
        self._todo = None if total is None else deque(n for n in range(1, total + 1) if n not in stored)
        self._in_order = digests.position // ref.part_size + 1
        self._gap = self._in_order in stored
        self._buffers_left = max(1, options.buffers // ref.part_size)
        self._free: list[bytearray] = []
        self._to_upload: deque[_Filled] = deque()
        self._uploaded: dict[int, _Filled] = {}
        self._fetching = self._uploading = 0
        self._streamed = 0  # parts begun of a body without ranges
        self._slowest = 0.0
        self._ended = self._todo is not None and not self._todo
        self._draining = False  # the time is short: finish the parts that were begun, begin no other
        self._failure: BaseException | None = None
        self._state = threading.Condition()
        fetchers = 1 if self._todo is None else min(options.connections, len(self._todo), self._buffers_left)
        uploaders = 0 if self._ended else min(UPLOADERS, self._buffers_left, len(self._todo or range(UPLOADERS)))
        work = [self._fetch_all] * fetchers + [self._upload_all] * uploaders
        self._threads = [threading.Thread(target=self._guarded, args=(each,), daemon=True) for each in work]

    def run(self, save: Callable[[], None], every: float) -> None:
        """Copy until all parts are stored and digested. Raises Stopped when the time is over, or the first error.

        `save` is called from this thread about each `every` seconds; its errors end the copy.
        """
        for thread in self._threads:
            thread.start()
        try:
            self._digest_until_done(save, every)
        finally:
            self._call_off()

    def _digest_until_done(self, save: Callable[[], None], every: float) -> None:
        saved = time.monotonic()
        while True:
            filled = self._next_in_order()
            if filled is not None:
                self._digests.update(filled.buffer, filled.length, filled.crc)
                with self._state:
                    self._in_order += 1
                    self._gap = self._in_order in self.stored and self._in_order not in self._uploaded
                    self._give_back(filled)
            if time.monotonic() - saved >= every:
                save()
                saved = time.monotonic()
            with self._state:
                if self._failure is not None:
                    raise self._failure
                if self._ended and self._idle():
                    return
                if self._draining and self._idle():
                    raise Stopped
            if self._clock.left <= 0:
                raise Stopped
            self._limit.review(self._clock.left)

    def _idle(self) -> bool:
        """Whether no part is being copied, and no part can be added to the digests now."""
        return not (self._fetching or self._uploading or self._to_upload or self._uploaded)

    def _next_in_order(self) -> _Filled | None:
        with self._state:
            if self._gap:
                for number in list(self._uploaded):  # after a part that S3 already had: these are read back later
                    self._give_back(self._uploaded.pop(number))
            if self._in_order not in self._uploaded and not self._idle() and self._failure is None:
                self._state.wait(_TICK)
            return self._uploaded.pop(self._in_order, None)

    def _give_back(self, filled: _Filled) -> None:
        self._free.append(filled.buffer)
        self._state.notify_all()

    # -- threads ------------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # the calling thread raises it
            with self._state:
                self._failure = self._failure or error
                self._state.notify_all()

    def _fetch_all(self) -> None:
        while (begun := self._begin_part()) is not None:
            number, buffer, length = begun
            started, filled = time.monotonic(), None
            try:
                filled = self._fetch(number, buffer, length)
            finally:
                with self._state:
                    self._fetching -= 1
                    self._slowest = max(self._slowest, time.monotonic() - started)
                    if filled is not None:
                        self._to_upload.append(filled)
                    self._state.notify_all()

    def _begin_part(self) -> tuple[int, bytearray, int] | None:
        with self._state:
            while True:
                if self._ended or self._draining or self._failure is not None:
                    return None
                if not self._clock.may_begin(self._slowest):
                    self._draining = True
                    continue
                if (self._free or self._buffers_left) and self._fetching < self._limit.limit:
                    break
                self._state.wait(_TICK)
            if self._todo is None:
                self._streamed += 1
                number, length = self._streamed, self._ref.part_size
            else:
                number = self._todo.popleft()
                length = min(self._ref.part_size, (self._size or 0) - (number - 1) * self._ref.part_size)
                self._ended = not self._todo
            self._fetching += 1
            if self._free:
                buffer = self._free.pop()
            else:
                self._buffers_left -= 1
                buffer = bytearray(length)
        return number, buffer if len(buffer) == length else bytearray(length), length

    def _fetch(self, number: int, buffer: bytearray, length: int) -> _Filled | None:
        with memoryview(buffer) as view:
            if self._todo is None:
                length = self._source.read_on(view)
            else:
                self._source.fetch((number - 1) * self._ref.part_size, view, self._clock.cut_off)
            if length < len(view):
                self._end_of_stream()
                if length == 0 and number > 1:
                    return None
            if number > MAX_PARTS:
                raise Hopeless(Code.TOO_LARGE, f"the body has more than {MAX_PARTS} parts of {len(view)} bytes")
            crc = self._crc.of(view[:length])
        return _Filled(number, buffer if length == len(buffer) else buffer[:length], length, crc)

    def _end_of_stream(self) -> None:
        with self._state:
            self._ended = True

    def _upload_all(self) -> None:
        while (filled := self._take_filled()) is not None:
            part = None
            try:
                part = self._storage.put(self._ref, filled.number, filled.buffer, filled.crc)
            finally:
                with self._state:
                    self._uploading -= 1
                    if part is not None:
                        self._settle(filled, part)
                    self._state.notify_all()

    def _settle(self, filled: _Filled, part: Part) -> None:
        self.stored[part.number] = part
        self.copied += part.size
        if filled.number < self._in_order:
            self._give_back(filled)  # digested in an earlier call
        else:
            self._uploaded[filled.number] = filled

    def _take_filled(self) -> _Filled | None:
        with self._state:
            while not self._to_upload:
                if self._failure is not None or ((self._ended or self._draining) and not self._fetching):
                    return None
                self._state.wait(_TICK)
            self._uploading += 1
            return self._to_upload.popleft()

    def _call_off(self) -> None:
        """Stop all threads of this pump, and wait for their end."""
        with self._state:
            finished = self._ended and self._idle() and self._failure is None
            if not finished and self._failure is None:
                self._failure = Stopped()
            self._state.notify_all()
        if not finished:
            self._source.stop()
            self._storage.stopped.set()
        for thread in self._threads:
            thread.join()
        self._storage.stopped.clear()


def parts_in_order(stored: dict[int, Part], ref: UploadRef, size: int | None) -> list[Part] | None:
    """The complete list for CompleteMultipartUpload; None while a part is missing or has another size."""
    numbers = sorted(stored)
    if not numbers or numbers != list(range(1, len(numbers) + 1)) or len(numbers) > MAX_PARTS:
        return None
    parts = [stored[number] for number in numbers]
    if any(part.size != ref.part_size for part in parts[:-1]):
        return None
    return parts if size is None or sum(part.size for part in parts) == size else None
