"""An account's limits as jobs meet them: calls that wait for a slot, tasks that wait in line, and what is learned."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.pacing.call_rates import ANY
from clipferry.pacing.durations import STEP
from clipferry.pacing.poll_plan import View
from clipferry.pacing.task_slots import LEASE
from clipferry.store.account_limits import LearnedDurations
from clipferry.store.rows import TaskSlotRow
from clipferry.vendors.contract import (
    Look,
    LookStatus,
    OverBudget,
    Submitted,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

from tests.unit.steps.limited import SLOW, account, busy, rows
from tests.unit.steps.vendor import RUNNING, Scripted, clip, look
from tests.unit.steps.world import World


@pytest.fixture
def slow(world: World) -> World:
    """A world whose vendor takes a call a second."""
    world.monkeypatch.setattr(Scripted, "rates", {ANY: SLOW})
    return world


class TestBudget:
    def test_a_slot_that_is_near_is_slept_for(self, slow: World) -> None:
        busy(slow, 1.5)
        before = slow.rt.epoch()
        assert slow.trigger(slow.submit())["next"] == "WAIT"
        assert slow.rt.epoch() - before == pytest.approx(1.5, abs=1)

    def test_a_slot_far_off_is_the_jobs_wait_and_stays_its_own(self, slow: World) -> None:
        job_id = slow.submit()
        busy(slow, 60)
        state = slow.trigger(job_id)
        job = slow.job(job_id)
        assert (state["next"], job.status, job.waits_for) == ("TRIGGER", JobStatus.QUEUED, "budget")
        assert 50 < state["wait_seconds"] <= 60
        assert job.next_poll_at is not None
        assert (job.next_poll_at - slow.time).total_seconds() == state["wait_seconds"]
        assert (job.triggered_at, job.trigger_attempts) == (None, 0), "nothing was sent, nothing is in doubt"
        busy(slow, 600)
        slow.wait(state["wait_seconds"])
        assert slow.trigger(job_id)["next"] == "WAIT", "its slot did not move though others came"
        assert slow.job(job_id).reservation is None
        assert slow.stage.calls == {"trigger": 1}

    def test_first_come_first_served(self, slow: World) -> None:
        busy(slow, 30)
        jobs = [slow.submit() for _ in range(6)]
        waits = [slow.trigger(job_id)["wait_seconds"] for job_id in jobs]
        assert waits == sorted(waits)
        slots = [(slow.job(job_id).reservation or {})["slot"] for job_id in jobs]
        assert [b - a for a, b in pairwise(slots)] == pytest.approx([SLOW.interval] * 5, abs=1e-3)

    def test_who_comes_too_late_stands_in_line_again(self, slow: World) -> None:
        job_id = slow.submit()
        busy(slow, 60)
        wait = slow.trigger(job_id)["wait_seconds"]
        slow.wait(wait + SLOW.slack + 5)
        busy(slow, 60)
        assert slow.trigger(job_id)["next"] == "TRIGGER"
        assert slow.stage.calls["trigger"] == 0

    def test_who_comes_too_early_waits_on_without_spinning(self, slow: World) -> None:
        """As where the machine's waits run a hundred times as fast as the clock."""
        job_id = slow.submit()
        busy(slow, 120)
        begin, turns, state = slow.rt.epoch(), 0, slow.trigger(job_id)
        while state["next"] == "TRIGGER":
            slow.wait(state["wait_seconds"] / 100)
            state, turns = slow.trigger(job_id), turns + 1
        assert turns <= 13
        assert slow.rt.epoch() - begin == pytest.approx(120, abs=2)
        assert slow.stage.calls["trigger"] == 1

    def test_a_lookup_that_finds_nothing_leaves_the_next_slot_to_the_trigger(self, slow: World) -> None:
        """Else lookup after lookup takes the slot that was kept for the trigger, as long as others call too."""
        slow.stage.trigger = [VendorUnavailable("no reply within 20 s", reached=True)]
        job_id = slow.submit()
        slow.trigger(job_id)
        for _ in range(6):
            busy(slow, 60)
            state = slow.trigger(job_id)
            if state["next"] != "TRIGGER":
                break
            slow.wait(state["wait_seconds"])
        assert state["next"] == "WAIT"
        assert (slow.stage.calls["find"], len(slow.stage.tasks)) == (1, 1)

    def test_a_lookup_that_finds_a_part_leaves_the_next_slot_to_the_rest(self, slow: World) -> None:
        slow.stage.chunks, slow.stage.lose = 3, [VendorUnavailable("no reply within 20 s", reached=True)]
        job_id = slow.submit()
        state, turns = slow.trigger(job_id), 0
        while state["next"] == "TRIGGER" and turns < 8:
            slow.wait(state["wait_seconds"])
            busy(slow, 60)
            state, turns = slow.trigger(job_id), turns + 1
        assert state["next"] == "WAIT"
        assert slow.stage.calls["find"] == 1
        assert len(slow.stage.tasks) == len(set(slow.stage.tasks)) == 3

    def test_a_look_waits_and_is_no_look_until_it_is_made(self, slow: World) -> None:
        job_id = slow.submit()
        slow.trigger(job_id)
        slow.wait(30)
        busy(slow, 60)
        state = slow.poll(job_id)
        job = slow.job(job_id)
        assert (state["next"], job.polls, job.poll_errors, job.waits_for) == ("WAIT", 0, 0, "budget")
        slow.wait(state["wait_seconds"])
        assert slow.poll(job_id)["next"] == "DOWNLOAD"
        assert slow.job(job_id).polls == 1

    def test_a_look_of_many_calls_comes_through_however_long_the_line(self, slow: World) -> None:
        slow.stage.calls_a_look = 5
        job_id = slow.submit()
        slow.trigger(job_id)
        turns, state = 0, {"next": "WAIT", "wait_seconds": 0}
        while state["next"] == "WAIT" and turns < 20:
            slow.wait(state["wait_seconds"])
            busy(slow, 100)
            state, turns = slow.poll(job_id), turns + 1
        assert state["next"] == "DOWNLOAD"
        assert turns <= 5, "twice the slots in a row each time it was interrupted"

    def test_what_a_look_saw_before_its_budget_ended_is_kept(self, slow: World) -> None:
        job_id = slow.submit()
        slow.trigger(job_id)
        half = look(clip(0), status=LookStatus.RUNNING, cut_short=OverBudget(33.0), retry_after=33.0)
        slow.stage.poll = [half]
        state = slow.poll(job_id)
        assert (state["next"], state["wait_seconds"], list(state["ready"])) == ("DOWNLOAD", 33, ["f001"])

    def test_a_download_waits_for_its_url_and_keeps_its_place(self, slow: World) -> None:
        job_id = slow.submit()
        slow.trigger(job_id)
        slow.wait(30)
        slow.poll(job_id)
        busy(slow, 60)
        outcome = slow.download(job_id)
        assert (outcome["more"], 50 < outcome["wait_seconds"] <= 60) == (True, True)
        kept = slow.job(job_id).files[0].reservation
        busy(slow, 600)
        slow.wait(outcome["wait_seconds"])
        assert slow.download(job_id)["more"] is False
        file = slow.job(job_id).files[0]
        assert (kept is not None, file.status, file.reservation, file.attempts) == (True, FileStatus.STORED, None, 0)

    @pytest.mark.parametrize(("hint", "rest"), [(None, 40), (90.0, 90)])
    def test_a_no_of_the_vendor_rests_the_whole_account_once(
        self, slow: World, hint: float | None, rest: float
    ) -> None:
        first, second, third = (slow.submit() for _ in range(3))
        slow.stage.trigger = [VendorThrottled("slow down", retry_after=hint)] * 2
        slow.trigger(first)
        pace = slow.rt.call_slots.read("scripted", ANY)
        assert pace.blocked == pytest.approx(slow.rt.epoch() + rest)
        assert slow.trigger(second)["next"] == "TRIGGER"
        assert slow.job(second).waits_for == "budget"
        assert slow.stage.calls["trigger"] == 1, "nobody else has asked"
        assert (slow.job(third).reservation, slow.rt.call_slots.read("scripted", ANY).shift) == (None, pace.shift)

    def test_a_limit_met_in_the_middle_of_a_look_rests_the_account_too(self, slow: World) -> None:
        job_id = slow.submit()
        slow.trigger(job_id)
        slow.stage.poll = [look(clip(0), status=LookStatus.RUNNING, cut_short=VendorThrottled("slow", retry_after=70))]
        slow.poll(job_id)
        assert slow.rt.call_slots.read("scripted", ANY).blocked == pytest.approx(slow.rt.epoch() + 70)

    def test_the_accounts_own_rate_goes_before_the_vendors(self, slow: World) -> None:
        account(slow, rate={"calls": 1, "per": 100})
        first, second = slow.submit(), slow.submit()
        assert slow.trigger(first)["next"] == "WAIT"
        assert slow.trigger(second)["wait_seconds"] > 90

    def test_the_deadline_holds_while_a_job_waits_for_its_slot(self, slow: World) -> None:
        busy(slow, 5000)
        job_id = slow.submit(deadline_seconds=60)
        assert slow.trigger(job_id)["wait_seconds"] <= 61
        slow.settle()
        slow.assert_honest(job_id, JobStatus.TIMED_OUT, stored=0)
        assert slow.stage.calls == {}

    def test_a_job_that_waits_for_its_slot_can_be_cancelled_and_retried(self, slow: World) -> None:
        busy(slow, 900)
        job_id = slow.submit()
        slow.trigger(job_id)
        slow.cancel(job_id)
        slow.settle()
        slow.assert_honest(job_id, JobStatus.CANCELLED, stored=0)
        slow.retry(job_id)
        assert slow.job(job_id).reservation is None
        slow.settle()
        slow.assert_honest_now(job_id, JobStatus.SUCCEEDED, stored=1)

    def test_a_cancel_does_not_stand_in_line_to_stop_the_vendor(self, slow: World) -> None:
        job_id = slow.submit()
        slow.trigger(job_id)
        busy(slow, 500)
        before = slow.rt.epoch()
        slow.cancel(job_id)
        slow.settle()
        slow.assert_honest(job_id, JobStatus.CANCELLED, stored=0)
        assert (slow.stage.calls["abort"], slow.rt.epoch() - before < 11) == (0, True)

    def test_a_job_that_waits_is_left_alone_by_the_sweep(self, slow: World) -> None:
        busy(slow, 1500)
        job_id = slow.submit()
        slow.trigger(job_id)
        slow.wait(1000)
        assert list(slow.rt.jobs.due(slow.time)) == []

    def test_fifty_jobs_at_once_end_and_no_window_holds_too_many_calls(self, slow: World) -> None:
        made: list[float] = []
        real = slow.stage.meet

        def meet(verb: str, usual: Any) -> Any:
            made.append(slow.rt.epoch())
            return real(verb, usual)

        slow.monkeypatch.setattr(slow.stage, "meet", meet)
        jobs = [slow.submit(deadline_seconds=100_000) for _ in range(8)]
        slow.settle()
        assert all(slow.job(job_id).status is JobStatus.SUCCEEDED for job_id in jobs)
        assert len(made) == 24
        assert max(sum(1 for other in made if 0 <= other - one <= SLOW.per) for one in made) <= SLOW.calls


class TestLine:
    @pytest.fixture
    def one_at_a_time(self, world: World) -> World:
        account(world, max_in_flight=1)
        return world

    def test_an_account_without_a_cap_pays_nothing_for_it(self, world: World) -> None:
        job_id = world.submit()
        world.settle()
        world.assert_honest(job_id, JobStatus.SUCCEEDED, stored=1)
        assert list(TaskSlotRow.query("INFLIGHT#scripted")) == []
        assert not any("INFLIGHT" in written for written in world.edge.written)

    def test_jobs_start_in_the_order_they_came_as_slots_free_up(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        first, second, third = (world.submit() for _ in range(3))
        assert world.trigger(first)["next"] == "WAIT"
        for job_id in (second, third):
            state = world.trigger(job_id)
            assert (state["next"], world.job(job_id).status) == ("TRIGGER", JobStatus.QUEUED)
            assert world.job(job_id).waits_for == "slot"
        world.wait(30)
        assert world.trigger(second)["next"] == "TRIGGER"
        world.poll(first)  # its files are listed: the vendor is done
        assert world.trigger(third)["next"] == "TRIGGER", "the second came before"
        assert world.trigger(second)["next"] == "WAIT"
        assert world.trigger(third)["next"] == "TRIGGER"
        assert rows(world, "SLOT#") == [world.job(second).holder]
        assert len(world.stage.tasks) == 2

    def test_a_newcomer_does_not_overtake(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        first, second = world.submit(), world.submit()
        world.trigger(first)
        world.trigger(second)
        world.cancel(first)
        assert world.trigger(world.submit())["next"] == "TRIGGER"
        assert world.trigger(second)["next"] == "WAIT"

    def test_many_jobs_all_come_through_and_never_more_at_once_than_allowed(self, world: World) -> None:
        account(world, max_in_flight=2)
        jobs = [world.submit(deadline_seconds=100_000) for _ in range(6)]
        running = 0
        for job_id in jobs:
            world.trigger(job_id)
        running = sum(world.job(job_id).refs_complete for job_id in jobs)
        world.settle()
        assert running == 2
        assert all(world.job(job_id).status is JobStatus.SUCCEEDED for job_id in jobs)
        assert rows(world, "SLOT#") == rows(world, "WAIT#") == []

    def endings() -> Any:  # type: ignore[misc]
        def looked(*answers: Any) -> Any:
            def act(world: World, job_id: str) -> None:
                world.stage.poll = list(answers)
                world.wait(60)
                world.poll(job_id)

            return act

        def deadline(world: World, job_id: str) -> None:
            world.wait(4000)
            world.poll(job_id)

        def swept(world: World, job_id: str) -> None:
            world.stop_execution(job_id)
            world.wait(4000)
            world.sweep()

        def gone(world: World, job_id: str) -> None:
            world.finish(job_id, caught="Poll")

        return {
            "cancelled": lambda world, job_id: world.cancel(job_id),
            "listed": looked(None),
            "failed": looked(Look(LookStatus.FAILED)),
            "empty": looked(Look(LookStatus.EMPTY)),
            "refused": looked(VendorRefused("no")),
            "deadline": deadline,
            "swept": swept,
            "gone": gone,
        }

    ENDINGS = endings()

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_every_ending_gives_the_slot_back(self, one_at_a_time: World, ending: str) -> None:
        world = one_at_a_time
        job_id = world.submit()
        world.trigger(job_id)
        assert rows(world, "SLOT#") == [world.job(job_id).holder]
        self.ENDINGS[ending](world, job_id)
        if ending != "listed":
            world.settle()
            assert world.job(job_id).status.terminal
        assert rows(world, "SLOT#") == []

    def test_a_trigger_that_is_refused_gives_the_slot_back(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        world.stage.trigger = [VendorRefused("no such camera")]
        jobs = [world.submit(), world.submit()]
        world.settle()
        assert sorted(world.job(job_id).status for job_id in jobs) == [JobStatus.FAILED, JobStatus.SUCCEEDED]
        assert rows(world, "SLOT#") == rows(world, "WAIT#") == []

    def test_a_cancel_while_it_waits_lets_the_others_on(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        first, second, third = (world.submit() for _ in range(3))
        for job_id in (first, second, third):
            world.trigger(job_id)
        world.cancel(second)
        assert rows(world, "WAIT#") == [world.job(third).holder]
        world.cancel(first)
        world.wait(10)
        assert world.trigger(third)["next"] == "WAIT"

    def test_the_deadline_holds_while_a_job_waits_in_line(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        first, second = world.submit(), world.submit(deadline_seconds=60)
        world.trigger(first)
        world.stage.poll = [RUNNING] * 100
        assert world.trigger(second)["wait_seconds"] <= 61
        world.wait(61)
        assert world.trigger(second)["next"] == "FINISH"
        world.finish(second)
        assert (world.job(second).status, rows(world, "WAIT#")) == (JobStatus.TIMED_OUT, [])

    def test_a_crashed_holders_slot_comes_back_by_its_lease(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        first, second = world.submit(), world.submit()
        world.trigger(first)  # and is never heard of again
        assert world.trigger(second)["next"] == "TRIGGER"
        world.wait(LEASE + 120)
        assert world.trigger(second)["next"] == "WAIT"

    def test_a_holder_that_lost_its_slot_goes_on_and_takes_none_away(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        first, second = world.submit(deadline_seconds=9000), world.submit(deadline_seconds=9000)
        world.trigger(first)
        world.wait(LEASE + 120)
        world.trigger(second)
        world.stage.poll = [RUNNING]
        assert world.poll(first)["next"] == "WAIT"
        assert world.job(first).in_flight is None
        world.cancel(first)
        assert rows(world, "SLOT#") == [world.job(second).holder]

    def test_whoever_wakes_keeps_its_lease(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        job_id = world.submit(deadline_seconds=20_000)
        world.trigger(job_id)
        world.stage.poll = [RUNNING] * 100
        for _ in range(12):
            world.wait(world.poll(job_id)["wait_seconds"])
            assert rows(world, "SLOT#") == [world.job(job_id).holder]

    def test_who_stops_waking_in_line_holds_up_nobody_for_long(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        first, gone, third = (world.submit(deadline_seconds=20_000) for _ in range(3))
        for job_id in (first, gone, third):
            world.trigger(job_id)
        world.cancel(first)
        world.wait(LEASE + 200)
        assert world.trigger(third)["next"] == "WAIT"
        assert list(TaskSlotRow.query("INFLIGHT#scripted", TaskSlotRow.sk.startswith("WAIT#"))) == []

    def test_adopted_work_takes_no_slot(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        world.trigger(world.submit())
        assert world.trigger(world.submit(adopt={"task_id": "t-1"}))["next"] == "WAIT"
        assert len(rows(world, "SLOT#")) == 1

    def test_a_retry_stands_in_line_as_itself(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        world.stage.trigger = [VendorRefused("busy")]
        job_id = world.submit()
        world.settle()
        world.trigger(world.submit())
        world.retry(job_id)
        assert world.trigger(job_id, 2)["next"] == "TRIGGER"
        assert rows(world, "WAIT#") == [f"{job_id}-2"]

    def test_what_a_late_trigger_takes_of_a_cancelled_job_it_gives_back(self, one_at_a_time: World) -> None:
        world = one_at_a_time
        job_id, real = world.submit(), world.rt.task_slots.take

        def cancelled_meanwhile(*args: Any) -> bool:
            world.cancel(job_id)
            return real(*args)

        world.monkeypatch.setattr(world.rt.task_slots, "take", cancelled_meanwhile)
        assert world.trigger(job_id)["next"] == "STOP"
        assert rows(world, "SLOT#") == []
        assert world.stage.calls["trigger"] == 0

    def test_while_it_waits_for_the_budget_a_job_keeps_its_slot(self, slow: World) -> None:
        account(slow, max_in_flight=1)
        busy(slow, 2000)
        job_id, other = slow.submit(deadline_seconds=9000), slow.submit(deadline_seconds=9000)
        wait = slow.trigger(job_id)["wait_seconds"]
        slow.trigger(other)
        slow.wait(wait)
        assert slow.trigger(other)["next"] == "TRIGGER"
        assert slow.trigger(job_id)["next"] == "WAIT"


class TestLearning:
    def finished(self, world: World, seconds: int, **body: Any) -> str:
        """A job whose task takes so long, looked at each second of the last ten."""
        job_id = world.submit(**body)
        world.trigger(job_id)
        world.stage.poll = [RUNNING]
        world.wait(seconds - 10)
        world.poll(job_id)
        world.wait(10)
        world.poll(job_id)
        return job_id

    def first_wait(self, world: World) -> int:
        return int(world.trigger(world.submit())["wait_seconds"])

    def test_what_was_learned_moves_the_first_look(self, world: World) -> None:
        before = self.first_wait(world)
        for _ in range(25):
            self.finished(world, 400)
        after = self.first_wait(world)
        assert before < 60
        assert 300 < after <= 420

    def test_each_finished_task_is_learned_from_once(self, world: World) -> None:
        job_id = self.finished(world, 400)
        world.wait(10)
        world.poll(job_id)
        known = LearnedDurations().read("scripted#2")
        assert known.count == 1
        assert [math.exp(k * STEP) for k, _ in known.bins] == pytest.approx([400], rel=STEP)

    def test_two_jobs_of_one_class_cost_the_same_and_the_item_stays_small(self, world: World) -> None:
        for _ in range(60):
            self.finished(world, 200)
        costs = []
        for _ in range(2):
            before = len(world.edge.effects)
            self.finished(world, 200)
            costs.append(len(world.edge.effects) - before)
        assert costs[0] == costs[1]
        assert len(json.dumps(LearnedDurations().read("scripted#2").as_dict())) < 1000

    @pytest.mark.parametrize("answer", [Look(LookStatus.FAILED), Look(LookStatus.EMPTY), VendorUnavailable("garbage")])
    def test_nothing_is_learned_from_what_did_not_finish(self, world: World, answer: Any) -> None:
        job_id = world.submit()
        world.trigger(job_id)
        world.stage.poll = [answer]
        world.wait(60)
        world.poll(job_id)
        assert LearnedDurations().read("scripted#2").count == 0

    def test_nothing_is_learned_from_adopted_work_nor_from_an_earlier_lifes(self, world: World) -> None:
        self.finished(world, 400, adopt={"task_id": "t-1"})
        world.stage.trigger = [Submitted({"ids": ["x"]}, first_look=5)]
        job_id = world.submit(deadline_seconds=60)
        world.trigger(job_id)
        world.monkeypatch.setattr("tests.unit.steps.vendor.Scripted.can_abort", False)
        world.settle()  # the deadline passes, the vendor's work goes on
        assert world.job(job_id).status is JobStatus.SUCCEEDED or world.job(job_id).status is JobStatus.TIMED_OUT
        counted = sum(
            LearnedDurations().read(name).count for name in ("scripted#any", "scripted#0", "scripted#1", "scripted#2")
        )
        assert counted == (1 if world.job(job_id).status is JobStatus.SUCCEEDED else 0)

    def test_progress_of_two_looks_says_when_to_look_next(self, world: World) -> None:
        job_id = world.submit()
        world.trigger(job_id)
        views: list[View] = []
        world.monkeypatch.setattr("clipferry.steps.poll.next_wait", lambda view, rng: views.append(view) or 100)
        for seconds, percent in ((100, 20), (100, 40)):
            world.wait(seconds)
            world.stage.poll = [Look(LookStatus.RUNNING, progress=percent)]
            world.poll(job_id)
        assert world.job(job_id).reported == [200.0, 40]
        assert [(view.progress, view.last_progress) for view in views] == [(20, None), (40, (100.0, 20))]

    def test_short_waits_are_spent_in_the_call_and_looked_after(self, world: World) -> None:
        job_id = world.submit()
        world.trigger(job_id)
        world.wait(30)
        world.stage.poll = [RUNNING, RUNNING]
        world.monkeypatch.setattr("clipferry.steps.poll.next_wait", lambda view, rng: 4)
        before = world.rt.epoch()
        assert world.poll(job_id, time_left=lambda: 100.0)["next"] == "DOWNLOAD"
        assert (world.job(job_id).polls, world.rt.epoch() - before) == (3, 8)

    @pytest.mark.parametrize("why", ["no time", "waits run faster than the clock", "cancelled meanwhile"])
    def test_a_call_does_not_stay_where_it_should_not(self, world: World, why: str) -> None:
        job_id = world.submit()
        world.trigger(job_id)
        if why != "waits run faster than the clock":
            world.wait(30)
        world.stage.poll = [RUNNING] * 5
        world.monkeypatch.setattr("clipferry.steps.poll.next_wait", lambda view, rng: 4)
        if why == "cancelled meanwhile":
            world.monkeypatch.setattr(world.rt, "sleep", lambda seconds: world.cancel(job_id))
        run = {"waited": 30} if why == "waits run faster than the clock" else {}
        state = world.poll(job_id, **run, time_left=lambda: 10.0 if why == "no time" else 100.0)
        assert state["next"] == ("STOP" if why == "cancelled meanwhile" else "WAIT")
        assert world.stage.calls["poll"] == 1
