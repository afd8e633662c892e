"""Virtual time, and calls that stop at each side effect until it is their turn.

Each call runs in a thread. Only one thread runs at any time: the kernel hands it the baton, and gets it back when the
call stops before its next effect, sleeps or ends. What goes on next is what is due first; how long each effect takes is
drawn from the seed, so that the seed decides the order.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from typing import Any

STUCK = 60.0  # real seconds until a thread that neither stops nor ends is taken for stuck
STARTED = 1_790_000_000.0  # epoch seconds at which every run begins


class Crash(BaseException):
    """The process is gone. No handler of the code sees it, as none sees a kill."""


class Stuck(AssertionError):
    """A call neither stopped nor ended: it waits for something outside of the simulation."""


class _Worker(threading.Thread):
    """Runs one call after another."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(daemon=True)
        self.kernel, self.call = kernel, None
        self.go = threading.Lock()
        self.go.acquire()
        self.start()

    def run(self) -> None:
        while True:
            self.go.acquire()
            call: Call | None = self.call
            if call is None:
                return
            try:
                call.result = call.work()
            except BaseException as error:
                call.error = error
            call.over = True
            self.kernel.stopped.release()


class Call:
    """One invocation. `label` says whose it is and which, the same in every run; `step` is the function's name."""

    def __init__(self, label: str, step: str, job: str, work: Callable[[], Any], ends: float, skew: float) -> None:
        self.label, self.step, self.job, self.work = label, step, job, work
        self.ends, self.skew = ends, skew  # when it is killed; seconds by which its clock is ahead
        self.result: Any = None
        self.error: BaseException | None = None
        self.over = self.dead = False
        self.effects = 0
        self.next = "begin"  # what it has stopped before
        self.reads = 0  # of the table
        self.after: Callable[[Call], None] = lambda call: None
        self.worker: Any = None


class Kernel:
    def __init__(self) -> None:
        self.now = STARTED
        self.halted = False  # nothing more is to happen
        self.stopped = threading.Lock()
        self.stopped.acquire()
        self.current: Call | None = None
        self.parked: dict[Call, None] = {}  # calls under way
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._idle: list[_Worker] = []

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._due, (self.now + max(0.0, seconds), self._numbers, act))

    def run(self, until: float) -> None:
        """All that is due until then."""
        while self._due and self._due[0][0] <= until and not self.halted:
            at, _, act = heapq.heappop(self._due)
            self.now = max(self.now, at)
            act()
        self.now = max(self.now, until)

    def begin(self, call: Call, after: Callable[[Call], None], delay: float) -> None:
        """Start the call after so many seconds; `after` is told when it has ended, by itself or by a kill."""
        call.after = after
        self.parked[call] = None
        self.after(delay, lambda: self._go_on(call))
        self.after(call.ends - self.now, lambda: self.kill(call))

    def kill(self, call: Call) -> None:
        """Its time is over: it does nothing any more."""
        if not call.over and not call.dead:
            call.dead = True
            self._go_on(call)

    def pause(self, call: Call, seconds: float, before: str) -> None:
        """In the call's thread: let the others go on. Raises Crash when it was killed meanwhile."""
        if call.dead:
            raise Crash(before)
        call.next = before
        self.after(seconds, lambda: self._go_on(call))
        self.current = None
        self.stopped.release()
        call.worker.go.acquire()
        if call.dead:
            raise Crash(before)

    def _go_on(self, call: Call) -> None:
        if call.over:
            return
        if call.worker is None:
            if call.dead:
                call.over = True
                self._ended(call)
                return
            call.worker = self._idle.pop() if self._idle else _Worker(self)
            call.worker.call = call
        self.current = call
        call.worker.go.release()
        if not self.stopped.acquire(timeout=STUCK):
            raise Stuck(f"{call.label} is stuck after {call.next}")
        self.current = None
        if call.over:
            self._idle.append(call.worker)
            self._ended(call)

    def _ended(self, call: Call) -> None:
        self.parked.pop(call, None)
        call.after(call)

    def close(self) -> None:
        """End every thread."""
        for call in list(self.parked):
            self.kill(call)
        for worker in self._idle:
            worker.call = None
            worker.go.release()
