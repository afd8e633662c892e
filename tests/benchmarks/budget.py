"""Ten thousand jobs on one cloudv account: what the vendor sees and how long each job waits. Real code, simulated time.

    python -m tests.benchmarks.budget         writes its section of docs/performance.md

Every job makes its calls through the functions' own gate; only the record is kept in memory in place of the table. A
wake comes up to three seconds late, as Step Functions' do. Ends with status 1 when a number misses its bound.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from clipferry.pacing.call_rates import ANY, Pace, Rate, Reservation
from clipferry.pacing.task_slots import Held, Queue, Waiting, decide, lease, usual_hold
from clipferry.steps.paced_calls import CallPacer, KeptSlots
from clipferry.store.account_limits import CallSlots
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import Account as Credentials
from clipferry.vendors.contract import OverBudget

from tests.benchmarks.report import publish, table

JOBS = 10_000
LATE = 3.0  # seconds, at most, that a wake comes after its time
SLOTS = 100  # of the account, in the queue's table
STEP = 10.0  # seconds from one look of a running task to the next, there

CLOUDV = Credentials("cloudv", {})

LEAST_USED = 0.95
WORST_WAIT = 2.0  # times the median


@dataclass
class Account(CallSlots):
    """One budget record in memory, what it cost to keep, and the calls that reached the vendor."""

    rate: Rate
    pace: Pace = field(default_factory=Pace)
    calls: list[float] = field(default_factory=list)
    writes: int = 0
    reads: int = 0

    def reserve(self, account: str, group: str, rate: Rate, now: float, calls: int = 1) -> Reservation:
        self.writes += 1 if self.pace.next >= now else 2
        self.pace, reservation = self.pace.reserved(now, rate, calls)
        return reservation

    def read(self, account: str, group: str) -> Pace:
        self.reads += 1
        return self.pace

    def push_back(self, account: str, group: str, now: float, seconds: float) -> None:
        self.writes, self.reads = self.writes + 1, self.reads + 1
        self.pace = self.pace.pushed(now, seconds)

    def most_in_a_window(self) -> int:
        """The most calls in any closed window of the rate's length."""
        calls, first, most = sorted(self.calls), 0, 0
        for last, moment in enumerate(calls):
            while moment - calls[first] > self.rate.per:
                first += 1
            most = max(most, last - first + 1)
        return most


@dataclass
class Clock:
    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Result:
    name: str
    account: Account
    waits: Sequence[float]  # seconds each job waited for its calls, in all

    @property
    def used(self) -> float:
        """The share of the limit that was used, from the first call to the last."""
        calls = self.account.calls
        return len(calls) * self.account.rate.per / self.account.rate.calls / (max(calls) - min(calls))

    @property
    def unfair(self) -> float:
        return max(self.waits) / median(self.waits)

    def cells(self) -> list[str]:
        a, calls = self.account, len(self.account.calls)
        return [
            self.name, f"{calls}", f"{a.most_in_a_window()} of {a.rate.calls}", f"{self.used:.1%}",
            f"{median(self.waits) / 60:.0f} min", f"{self.unfair:.2f}",
            f"{a.writes / calls:.2f} + {a.reads / calls:.2f}",
        ]  # fmt: skip


def calls(name: str, jobs: int, each: int, pauses: Sequence[float] = (), idle: float = 60.0, seed: int = 1) -> Result:
    """`jobs` jobs, all wanting the first of `each` calls at once, and each next one `idle` seconds after the last.

    At every moment in `pauses` the vendor says no and wants a minute's rest.
    """
    rng, account, clock = random.Random(seed), Account(vendor_class("cloudv").rates[ANY]), Clock()
    wanted, made, waits = [0.0] * jobs, [0] * jobs, [0.0] * jobs
    bookings: list[KeptSlots | None] = [None] * jobs
    wakes = [(0.0, job) for job in range(jobs)]
    to_come = sorted(pauses)
    while wakes:
        clock.now, job = heapq.heappop(wakes)
        while to_come and clock.now >= to_come[0]:
            account.push_back("cloudv", ANY, to_come.pop(0), account.rate.pushback)
        pacer = CallPacer(account, CLOUDV, vendor_class("cloudv").rates, bookings[job], lambda: clock.now, clock.sleep)
        try:
            pacer("pullVideoQuery")
        except OverBudget as error:
            bookings[job] = pacer.booking
            heapq.heappush(wakes, (clock.now + error.wait + rng.uniform(0, LATE), job))
            continue
        account.calls.append(clock.now)
        waits[job] += clock.now - wanted[job]
        made[job], bookings[job] = made[job] + 1, pacer.booking
        if made[job] < each:
            wanted[job] = clock.now + idle * rng.uniform(0.5, 1.5)
            heapq.heappush(wakes, (wanted[job], job))
    return Result(name, account, waits)


@dataclass
class Line:
    """The rows of one account's in-flight queue, and what was seen of it."""

    held: dict[int, Held] = field(default_factory=dict)
    waiting: dict[int, Waiting] = field(default_factory=dict)
    tickets: dict[str, int] = field(default_factory=dict)
    started: list[int] = field(default_factory=list)
    looks: int = 0
    most: int = 0
    busy: float = 0.0

    def look(self, job: str, now: float) -> float | None:
        """One look of a queueing job: None when it started, or the seconds to its next look."""
        self.looks += 1
        first = [self.waiting[t] for t in sorted(self.waiting)[:SLOTS]]
        held = list(self.held.values())
        choice = decide(job, self.tickets.get(job), held, first, SLOTS, now, usual_hold(held, now))
        for ticket in choice.dead:
            self.waiting.pop(ticket, None)
        if isinstance(choice, Queue):
            ticket = self.tickets.setdefault(job, len(self.tickets))
            self.waiting[ticket] = Waiting(ticket, job, lease(now, choice.seconds))
            return choice.seconds
        self.held[choice.number] = Held(choice.number, job, lease(now, STEP), now)
        ticket = self.tickets.get(job, -1)
        self.waiting.pop(ticket, None)
        self.started.append(int(job))
        self.most = max(self.most, sum(1 for slot in self.held.values() if slot.until >= now))
        return None


def queue(jobs: int, hold: float = 120.0, crashes: float = 0.01, seed: int = 1) -> tuple[Line, float]:
    """`jobs` jobs for SLOTS slots, and the share of the slots' time that was in use; some holders just vanish."""
    rng, line = random.Random(seed), Line()
    events = [(i * 0.001, i, "look") for i in range(jobs)]
    now = 0.0
    while events:
        now, job, what = heapq.heappop(events)
        if what == "look":
            wait = line.look(str(job), now)
            if wait is not None:
                heapq.heappush(events, (now + wait + rng.uniform(0, LATE), job, "look"))
            elif rng.random() >= crashes:
                length = hold * rng.lognormvariate(-0.125, 0.5)
                line.busy += length
                heapq.heappush(events, (now + length, job, "end"))
                for beat in range(1, int(length / STEP) + 1):
                    heapq.heappush(events, (now + beat * STEP, job, "renew"))
            continue
        number = next((k for k, slot in line.held.items() if slot.holder == str(job)), None)
        if number is not None and what == "end":
            del line.held[number]
        elif number is not None:
            line.held[number] = replace(line.held[number], until=lease(now, STEP))
    return line, line.busy / (now * SLOTS)


HEAD = ("on one cloudv account", "calls", "most in any 5 min", "limit used", "median wait", "longest / median",
        "writes + reads a call")  # fmt: skip

TEXT = """## Budget

{jobs} jobs on one account limited to 300 calls in 5 minutes, in simulated time (`python -m tests.benchmarks.budget`);
each job wakes up to {late:.0f} s late.

{rows}

If every job makes only one call, and calls are made in the order of the jobs, the last job waits twice the median.

The queue for {slots} task slots, with {jobs} jobs at once, of which {crashed} in 100 crashes while it has a slot: at
most **{most}** tasks run at once, a job looks at the queue **{looks:.1f}** times, slots are used **{used:.0%}** of the
time (a crashed job's slot is free when its lease ends), and no job is more than **{moved}** places away from the order
in which the jobs came.
"""


def main() -> int:
    results = [
        calls("a trigger and two looks each", JOBS, 3),
        calls("the same, five refusals on the way", JOBS, 3, pauses=(600, 601, 4000, 9000, 15_000)),
        calls("one call each", JOBS, 1),
    ]
    line, used = queue(JOBS)
    moved = max(abs(place - job) for place, job in enumerate(line.started))
    text = TEXT.format(jobs=f"{JOBS:,}", late=LATE, rows=table(HEAD, (r.cells() for r in results)), slots=SLOTS,
                       crashed=1, most=line.most, looks=line.looks / JOBS, used=used, moved=moved)  # fmt: skip
    print(text)
    publish("budget", text)
    steady = results[0]
    bounds = {
        "calls above the limit": all(r.account.most_in_a_window() <= r.account.rate.calls for r in results),
        "less than 95 % of the budget used": steady.used >= LEAST_USED,
        "a job waited more than twice the median": steady.unfair <= WORST_WAIT,
        "more tasks in flight than slots": line.most <= SLOTS,
        "a job lost": len(line.started) == JOBS,
    }
    misses = [words for words, kept in bounds.items() if not kept]
    print("\n".join(misses) or "every bound kept")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
