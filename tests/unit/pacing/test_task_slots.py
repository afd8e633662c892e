"""Tasks in flight: never more than the cap, first come first served, and places of the vanished come back."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from clipferry.pacing.task_slots import LATEST, LEASE, SOONEST, Held, Queue, Start, Waiting, decide, lease, queue_wait
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.budget import SLOTS, queue

NOW, LATER, BEFORE = 1000.0, 2000.0, 500.0


def test_the_first_jobs_start_at_once_each_in_a_slot_of_its_own() -> None:
    assert decide("a", None, [], [], 2, NOW) == Start(0)
    assert decide("b", None, [Held(0, "a", LATER)], [], 2, NOW) == Start(1)


def test_a_full_account_queues() -> None:
    held = [Held(0, "a", LATER), Held(1, "b", LATER)]
    assert isinstance(decide("c", None, held, [], 2, NOW), Queue)


def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    waiting = [Waiting(7, "b", LATER)]
    assert isinstance(decide("c", None, [], waiting, 1, NOW), Queue)
    assert decide("c", None, [], waiting, 2, NOW) == Start(1)
    assert decide("b", 7, [], waiting, 1, NOW) == Start(0)


def test_a_slot_whose_lease_ran_out_is_free() -> None:
    assert decide("b", None, [Held(0, "a", BEFORE)], [], 1, NOW) == Start(0)


def test_a_waiting_job_whose_lease_ran_out_holds_up_nobody() -> None:
    waiting = [Waiting(1, "gone", BEFORE), Waiting(2, "b", LATER)]
    assert decide("b", 2, [], waiting, 2, NOW) == Start(0, dead=(1,))


def test_a_repeated_step_starts_in_the_slot_it_has() -> None:
    held = [Held(0, "x", LATER), Held(1, "a", BEFORE)]
    assert decide("a", 3, held, [Waiting(3, "a", LATER)], 2, NOW) == Start(1)


def test_a_job_beyond_the_rows_read_does_not_start_even_when_those_are_dead() -> None:
    waiting = [Waiting(1, "gone", BEFORE), Waiting(2, "gone too", BEFORE)]
    choice = decide("z", 900, [], waiting, 2, NOW)
    assert isinstance(choice, Queue)
    assert choice.dead == (1, 2)


def test_a_lowered_cap_lets_the_surplus_end_first() -> None:
    held = [Held(number, f"j{number}", LATER) for number in (1, 5, 6)]
    assert isinstance(decide("new", None, held, [], 3, NOW), Queue)
    assert decide("new", None, held[:2], [], 3, NOW) == Start(0)


def test_looks_at_the_queue_come_closer_as_its_end_does() -> None:
    assert queue_wait(0, 10, 120) == SOONEST
    assert queue_wait(0, 10, 3600) == 72, "the first in line waits longer behind longer tasks"
    assert queue_wait(0, 100, 3600) == pytest.approx(7.2), "where one of many slots comes free sooner"
    assert queue_wait(10, 10, 120) == 60
    assert queue_wait(10**6, 10, 120) == LATEST
    assert lease(NOW, 30) >= NOW + 30 + LEASE


@dataclass
class Table:
    """The rows, changed by nothing but the conditional writes that the module's page lists."""

    slots: dict[int, Held] = field(default_factory=dict)
    waiting: dict[int, Waiting] = field(default_factory=dict)
    tail: int = 0

    def put_slot(self, number: int, job: str, now: float, until: float) -> bool:
        row = self.slots.get(number)
        if row is None or row.until < now or row.holder == job:
            self.slots[number] = Held(number, job, until)
            return True
        return False

    def release(self, job: str) -> None:
        self.slots = {number: row for number, row in self.slots.items() if row.holder != job}

    def first(self, count: int) -> list[Waiting]:
        return [self.waiting[ticket] for ticket in sorted(self.waiting)[:count]]


@settings(max_examples=60, deadline=None)
@given(cap=st.integers(1, 4), jobs=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_under_any_interleaving_and_crash_the_cap_holds_and_everybody_gets_a_turn(
    cap: int, jobs: int, seed: int
) -> None:
    """Jobs step one at a time in random order, reads and writes apart; some vanish while they run or wait."""
    rng, table, now = random.Random(seed), Table(), 0.0
    tickets: dict[str, int] = {}
    pending: dict[str, Start | Queue] = {}  # decided on what was read, not yet written
    running: dict[str, float] = {}
    todo = {f"j{i}" for i in range(jobs)}
    vanished: set[str] = set()
    for _ in range(6000):
        if not todo and not running:
            break
        now += rng.uniform(0, 20)
        for job, end in list(running.items()):
            if now >= end:
                table.release(job)
                del running[job]
            else:
                row = next(row for row in table.slots.values() if row.holder == job)
                table.slots[row.number] = Held(row.number, job, lease(now, 60))
        if not todo:
            continue
        job = rng.choice(sorted(todo))
        if job not in pending:
            pending[job] = decide(job, tickets.get(job), list(table.slots.values()), table.first(cap), cap, now)
            continue
        choice = pending.pop(job)
        for ticket in choice.dead:
            if ticket in table.waiting and table.waiting[ticket].until < now:
                del table.waiting[ticket]
        if rng.random() < 0.05:
            todo.discard(job)
            vanished.add(job)
        elif isinstance(choice, Queue):
            if job not in tickets:
                tickets[job], table.tail = table.tail, table.tail + 1
            table.waiting[tickets[job]] = Waiting(tickets[job], job, lease(now, choice.seconds))
        elif table.put_slot(choice.number, job, now, lease(now, 60)):
            table.waiting.pop(tickets.get(job, -1), None)
            todo.discard(job)
            if rng.random() < 0.1:
                vanished.add(job)
            else:
                running[job] = now + rng.uniform(10, 200)
        assert len(running) <= cap
    assert not todo
    assert not running


def test_a_thousand_jobs_start_in_the_order_they_came_a_few_looks_each() -> None:
    line, used = queue(1000)
    assert sorted(line.started) == list(range(1000))
    assert line.most <= SLOTS
    assert max(abs(place - job) for place, job in enumerate(line.started)) < SLOTS / 4
    assert line.looks / 1000 < 20
    assert used > 0.7


@pytest.mark.parametrize("crashes", [0.2])
def test_slots_of_vanished_holders_come_back(crashes: float) -> None:
    line, _ = queue(600, crashes=crashes)
    assert len(line.started) == 600
