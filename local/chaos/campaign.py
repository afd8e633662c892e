"""The rounds of the campaign: jobs run during faults, then without faults, then the results are checked.

A round is one deployed stack with the jobs of a few seeds. While its users work, everything fails at random, and the
emulator is restarted with its state kept. The sweep's event comes every few seconds, because five minutes take three
seconds here. Then the faults stop, and the sweep runs until every job has ended.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from local.chaos.arena import Arena, arena
from local.chaos.batches import BatchUser
from local.chaos.draws import Ledger
from local.chaos.rows import Row, Rows
from local.chaos.troubles import Rotation, Twin
from local.chaos.users import AWAY, Echo, NotAccepted, User
from local.chaos.verdict import DOOR, Tally, judge
from local.chaos.work import Plan, plans, prepare
from local.emulator import EmulatorFailed

SWEEP_EVENT = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
LOOK_EVERY = 0.7  # seconds
WORD_EVERY = 30.0  # seconds between two messages about the jobs that are not settled
REPEATS = 2  # how often the rounds of a campaign may be repeated because the emulator failed


@dataclass(frozen=True)
class Form:
    """The size of a campaign. Seconds are real seconds."""

    seeds: Sequence[int]
    jobs: int  # of each seed
    seeds_a_round: int = 5
    rounds_at_once: int = 1
    at_once: int = 10  # users
    hangs: bool = True  # vendors that do not answer until the function gives up
    longest_call: float = 50.0  # no call runs longer, whatever faults it has
    patience: float = 60.0  # of a user
    settling: float = 420.0  # after this time an unfinished job counts as lost
    sweep_every: float = 5.0
    rotates_every: float = 15.0  # between two keys that are rotated late


@dataclass
class Campaign:
    """The results of a campaign."""

    form: Form
    tallies: dict[int, Tally] = field(default_factory=dict)
    ledgers: list[Ledger] = field(default_factory=list)
    seconds: float = 0.0
    repeated: int = 0  # repeated rounds, because the emulator lost its state at a restart

    @property
    def kept(self) -> bool:
        """Whether every promise was kept, in every seed."""
        return all(tally.kept for tally in self.tallies.values())


def run(form: Form, say: Callable[[str], None] = lambda _: None) -> Campaign:
    """Run all rounds, several at the same time, because a round mostly waits."""
    campaign, began = Campaign(form), time.monotonic()
    firsts = range(0, len(form.seeds), form.seeds_a_round)
    rounds = [form.seeds[first : first + form.seeds_a_round] for first in firsts]
    with ThreadPoolExecutor(form.rounds_at_once) as pool:
        for played in [pool.submit(_play_out, campaign, seeds, say) for seeds in rounds]:
            played.result()
    campaign.seconds = time.monotonic() - began
    return campaign


def _play_out(campaign: Campaign, seeds: Sequence[int], say: Callable[[str], None]) -> None:
    def say_whose(what: str) -> None:
        say(f"seeds {seeds[0]}-{seeds[-1]}: {what}")

    while not _play(campaign, seeds, say_whose):
        campaign.repeated += 1


def _play(campaign: Campaign, seeds: Sequence[int], say: Callable[[str], None]) -> bool:
    """Run one round. Returns False if the emulator failed, because then the results say nothing about the stack."""
    try:
        with arena(seeds[0], hangs=campaign.form.hangs, say=say) as place:
            tallies = _round(place, campaign.form, seeds, say)
    except EmulatorFailed as failure:
        if campaign.repeated >= REPEATS:
            raise
        say(f"this round is repeated: {failure}")
        return False
    campaign.tallies |= tallies
    campaign.ledgers.append(place.ledger)
    breaches = [
        f"{promise}: {what}" for tally in tallies.values() for promise in tally.broken for what in tally.broken[promise]
    ]
    say("; ".join([f"checked: {len(breaches)} broken promises", *breaches]))
    return True


def _round(place: Arena, form: Form, seeds: Sequence[int], say: Callable[[str], None]) -> dict[int, Tally]:
    some = [plan for seed in seeds for plan in plans(seed, form.jobs)]
    for simulator in place.simulators.values():
        prepare(simulator, some)
    rows = Rows(place.stack, form.longest_call)
    users = [User(place.stack, rows, plan, place.ledger, form.patience) for plan in some]
    batches = [
        BatchUser(place.stack, rows, lines, place.ledger)
        for seed in seeds
        if (lines := [plan for plan in some if plan.seed == seed and plan.door == "batch"])
    ]
    with _background(rows.end, lambda: rows.watch(LOOK_EVERY)):
        turned_away = _trouble(place, form, rows, users, batches, say)
        place.let_uploads_age()
        quiet_since = time.monotonic()
        stragglers = _settle(place, form, rows, users, say)
    say(f"settled {time.monotonic() - quiet_since:.0f} s after the last fault")
    tallies = judge(place, rows, users, batches)
    for plan, reason in turned_away:
        tallies[plan.seed].breach(DOOR, reason)
    for seed, moment in stragglers.items():
        tallies[seed].straggler = max(0.0, moment - quiet_since)
    return tallies


def _trouble(
    place: Arena,
    form: Form,
    rows: Rows,
    users: list[User],
    batches: list[BatchUser],
    say: Callable[[str], None],
) -> list[tuple[Plan, str]]:
    """Run all users while everything fails. Returns the jobs that were not accepted, and why. Raises EmulatorFailed."""
    seed = users[0].plan.seed
    echo, sweeping = Echo(place.stack, place.executions, seed, place.ledger), threading.Event()
    twin = Twin(place.stack, rows, seed, place.ledger)
    rotation = Rotation(place.simulators, place.tell, seed, place.ledger, form.rotates_every)
    restarts = sorted(random.Random(f"restart {seed}").sample(range(len(users)), max(1, len(users) // 60)))
    place.faults(on=True)
    with (
        _background(echo.ended.set, echo.run),
        _background(sweeping.set, lambda: _sweep_on(place, form, sweeping)),
        _background(twin.ended.set, twin.run),
        _background(rotation.ended.set, rotation.run),
        ThreadPoolExecutor(max(1, len(batches))) as posting,
        ThreadPoolExecutor(form.at_once) as pool,
    ):
        posted = [posting.submit(batch.live) for batch in batches]
        lives: list[tuple[Plan, Future[None]]] = []
        for number, user in enumerate(users):
            lives.append((user.plan, pool.submit(user.live)))
            if number in restarts:
                _await_turn(lives, form.at_once)
                say(f"restarting the emulator at job {number + 1} of {len(users)}")
                try:
                    with rows.untouched:
                        place.restart()
                except EmulatorFailed:
                    rows.end()
                    rotation.given_up.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    place.faults(on=False)
    for life in posted:
        life.result()
    turned_away = []
    for plan, life in lives:
        try:
            life.result()
        except NotAccepted as reason:
            turned_away.append((plan, str(reason)))
    return turned_away


def _await_turn(lives: list[tuple[Plan, Future[None]]], at_once: int) -> None:
    """Wait until the newest user has begun, and the others are in the middle of their work."""
    while not lives[-1][1].running() and not lives[-1][1].done():
        time.sleep(0.1)
    time.sleep(3)


def _sweep_on(place: Arena, form: Form, ended: threading.Event) -> None:
    while not ended.wait(form.sweep_every):
        _sweep(place)


def _sweep(place: Arena) -> str:
    """Send the sweep its rule's event. Returns its result, or its error: the next run repairs what is left."""
    try:
        return json.dumps(place.stack.invoke("sweep", SWEEP_EVENT))
    except (RuntimeError, *AWAY) as failure:
        return str(failure)[:500]


def _at(place: Arena, row: Row) -> str:
    """The status and the last event of the row's execution."""
    sfn = place.stack.client("stepfunctions")
    arn = place.stack.outputs["StateMachineArn"].replace(":stateMachine:", ":execution:")
    arn = f"{arn}:{row.job_id}-{row.generation}"
    try:
        status = sfn.describe_execution(executionArn=arn)["status"]
        events = sfn.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)["events"]
    except (ClientError, BotoCoreError) as failure:
        return str(failure)
    return f"{status} {row.generation} " + " ".join(f"{e['type']} at {e['timestamp']:%H:%M:%S}" for e in events)


def _settle(place: Arena, form: Form, rows: Rows, users: list[User], say: Callable[[str], None]) -> dict[int, float]:
    """Run the sweep until all jobs are settled. Returns the time at which the last job of each seed was settled."""
    give_up, next_word = time.monotonic() + form.settling, time.monotonic() + WORD_EVERY
    seeds = {user.plan.seed for user in users}
    settled: dict[int, float] = {}
    while len(settled) < len(seeds) and time.monotonic() < give_up:
        swept = _sweep(place)
        rows.look()
        unsettled = [row for row in rows.all() if not row.settled]
        open_seeds = {int(row.mark.partition("-")[0]) for row in unsettled}
        for seed in seeds - open_seeds - settled.keys():
            settled[seed] = time.monotonic()
        if unsettled and time.monotonic() > next_word:
            said = ", ".join(f"{row.mark} {row.status} {_at(place, row)}" for row in unsettled[:8])
            say(f"{len(unsettled)} to settle: {said}; the last sweep: {swept}")
            next_word += WORD_EVERY
        time.sleep(LOOK_EVERY)
    _sweep(place)  # for uploads that were left after the last job's end
    return settled


@contextmanager
def _background(end: Callable[[], None], work: Callable[[], None]) -> Iterator[None]:
    """Run `work` in a separate thread during the block; `end` is called after the block and must end the work."""
    with ThreadPoolExecutor(1) as one:
        running = one.submit(work)
        try:
            yield
        finally:
            end()
        running.result()
