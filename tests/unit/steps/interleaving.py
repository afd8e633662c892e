"""Calls at once, in every order of what they do to the world: a race is a list of calls, and all its schedules are run.

Each call runs in a thread of its own and stops before each of its effects (a write to the table or the bucket, an
event, a start or stop of an execution, a vendor call that changes something), and before each read if a race wants
that too. Only one thread runs at a time, and the schedule says which goes on, so that a schedule always gives the same
result:

    def two_triggers(world: World) -> list[Call]:
        job_id = world.submit()
        return [lambda: world.trigger(job_id), lambda: world.trigger(job_id)]

    def one_task(world: World) -> None:
        world.settle()
        assert len(world.stage.tasks) == 1

    def test_two_triggers_at_once_make_one_task() -> None:
        assert_in_every_order(two_triggers, one_task)

Two calls of n effects have (2n)! / (n!)² schedules. Where that is too many, `switches` bounds how often a schedule may
leave a call that could go on: two or three find most races (Musuvathi and Qadeer, "Iterative Context Bounding for
Systematic Testing of Multithreaded Programs", 2007).

A failing schedule is shown as the effects in the order in which they took place, and can be run alone:
`run(two_triggers, one_task, schedule).failure`.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from clipferry.steps.finish import NotNow
from clipferry.store.job_records import NotFound, Superseded

from tests.unit.steps import world as worlds
from tests.unit.steps.world import Crash, World

Call = Callable[[], object]
Prepare = Callable[[World], Sequence[Call]]
Check = Callable[[World], None]

MAY_RAISE = (Superseded, NotNow, NotFound, Crash)  # what a call that lost a race may end with: it is made again
APART = ("BUDGET#", "INFLIGHT#", "DURATIONS#")  # what accounts share has races of its own: no stops there
STUCK = 30.0  # seconds until a thread that neither stops nor ends is taken for stuck


@dataclass
class _Thread:
    """One call of a race, and where it stands."""

    number: int
    call: Call
    go_on: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    next: str | None = "begin"  # the effect it stopped before; None: it has ended
    error: BaseException | None = None


class _Race:
    """Runs the calls of one world by one schedule: the number of the call that goes on, at each stop."""

    def __init__(self, world: World, calls: Sequence[Call], *, reads: bool) -> None:
        self.stopped = threading.Semaphore(0)
        self.threads = [_Thread(number, call) for number, call in enumerate(calls)]
        self.current: _Thread | None = None
        self.steps: list[str] = []
        self.edge, self.reads = world.edge, reads

    def run(self, choose: Callable[[list[int], int | None], int]) -> None:
        """Until all calls have ended. `choose` gets the calls that can go on, and the one that went on last."""
        self.edge.before_effect = self._stop
        self.edge.before_read = self._stop if self.reads else lambda name: None
        last: int | None = None
        try:
            while alive := [thread.number for thread in self.threads if thread.next is not None]:
                last = choose(alive, last)
                self._go_on(self.threads[last])
        finally:
            self.edge.before_effect = self.edge.before_read = lambda name: None

    def _go_on(self, thread: _Thread) -> None:
        self.steps.append(f"{thread.number}: {thread.next}")
        if thread.next == "begin":
            threading.Thread(target=self._work, args=[thread], daemon=True).start()
        self.current = thread
        thread.go_on.release()
        assert self.stopped.acquire(timeout=STUCK), f"call {thread.number} is stuck after {thread.next}"
        self.current = None

    def _work(self, thread: _Thread) -> None:
        thread.go_on.acquire()
        try:
            thread.call()
        except BaseException as error:
            thread.error = error
        thread.next = None
        self.stopped.release()

    def _stop(self, name: str) -> None:
        if any(word in name for word in APART):
            return
        thread = self.current
        assert thread is not None
        thread.next = name
        self.stopped.release()
        thread.go_on.acquire()


@dataclass(frozen=True)
class Choice:
    """Which call went on, among those that could."""

    chosen: int
    alive: tuple[int, ...]


class Failed(AssertionError):
    """A schedule came to something that must not be."""


@dataclass
class Run:
    """What one schedule came to."""

    choices: list[Choice]
    steps: list[str]
    failure: Failed | None = None


def run(prepare: Prepare, check: Check, schedule: Sequence[int] = (), *, reads: bool = False) -> Run:
    """One schedule in a fresh world; beyond the end of `schedule` whoever went on last goes on."""
    made: list[Choice] = []

    def choose(alive: list[int], last: int | None) -> int:
        going_on = last if last in alive else alive[0]
        wanted = schedule[len(made)] if len(made) < len(schedule) else going_on
        assert wanted in alive, "the calls do not do the same under the same schedule"
        made.append(Choice(wanted, tuple(alive)))
        return wanted

    with pytest.MonkeyPatch.context() as monkeypatch, worlds.world(monkeypatch) as world:
        race = _Race(world, prepare(world), reads=reads)
        done = Run(made, race.steps)
        race.run(choose)
        try:
            for thread in race.threads:
                if thread.error is not None and not isinstance(thread.error, MAY_RAISE):
                    raise thread.error
            check(world)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = [
                f"{type(error).__name__}: {error}",
                f"at {where.filename}:{where.lineno}: {where.line}",
                f"schedule {[choice.chosen for choice in made]}",
                *race.steps,
            ]
            done.failure = Failed("\n  ".join(told))
            done.failure.__cause__ = error
    return done


def runs(prepare: Prepare, check: Check, *, reads: bool = False, switches: int | None = None) -> Iterator[Run]:
    """Every schedule once, depth first."""
    todo: list[list[int]] = [[]]
    while todo:
        schedule = todo.pop()
        done = run(prepare, check, schedule, reads=reads)
        yield done
        for at in range(len(schedule), len(done.choices)):
            before = [choice.chosen for choice in done.choices[:at]]
            for other in done.choices[at].alive:
                branch = [*before, other]
                if other != done.choices[at].chosen and (
                    switches is None or _switches(branch, done.choices) <= switches
                ):
                    todo.append(branch)


def _switches(schedule: Sequence[int], choices: Sequence[Choice]) -> int:
    """How often a call was left that could have gone on."""
    pairs = zip(schedule, schedule[1:], choices[1:], strict=False)
    return sum(1 for before, after, choice in pairs if after != before and before in choice.alive)


def assert_in_every_order(
    prepare: Prepare, check: Check, *, reads: bool = False, switches: int | None = None, at_least: int = 2
) -> None:
    """Fails with the first three of the schedules that `check` fails after, and how many there are.

    `at_least`: schedules that there must be, so that a race that has lost its effects is noticed.
    """
    done = list(runs(prepare, check, reads=reads, switches=switches))
    assert len(done) >= at_least, f"only {len(done)} schedules"
    failures = [found.failure for found in done if found.failure]
    if failures:
        shown = "\n\n".join(str(failure) for failure in failures[:3])
        raise Failed(f"{len(failures)} of {len(done)} schedules fail:\n\n{shown}") from failures[0]
