"""A rule fires: each of its jobs once per firing, however often the event is delivered."""

from __future__ import annotations

from typing import Any

import pytest
from clipferry.steps.schedule import SAME_FIRING, ScheduleInvalid, fire

from tests.unit.steps.world import EVERYTHING, Crash, World

BODY = {"vendor": "scripted", "request": {"url": "https://media.example/a.mp4"}}
OTHER = {"vendor": "scripted", "request": {"url": "https://media.example/b.mp4"}}


def deliver(world: World, event: Any, request_id: str = "r-1") -> list[str]:
    return [job.job_id for job in fire(world.rt, world.logger, event, request_id).jobs]


def jobs(world: World) -> int:
    return len(world.rt.jobs.list(EVERYTHING, 100)[0])


def test_one_firing_delivered_twice_is_one_job(world: World) -> None:
    first = deliver(world, BODY, "r-1")
    world.wait(SAME_FIRING - 1)
    assert deliver(world, BODY, "r-2") == first
    assert jobs(world) == len(world.executions()) == 1


def test_two_firings_are_two_jobs(world: World) -> None:
    deliver(world, BODY, "r-1")
    world.wait(60)
    deliver(world, BODY, "r-2")
    assert jobs(world) == 2


def test_an_invocation_repeated_hours_later_finds_its_jobs(world: World) -> None:
    first = deliver(world, {"jobs": [BODY, OTHER]}, "r-1")
    world.wait(6 * 3600)
    assert deliver(world, {"jobs": [BODY, OTHER]}, "r-1") == first
    assert jobs(world) == 2


def test_a_repeat_does_not_swallow_the_next_firing(world: World) -> None:
    deliver(world, BODY, "r-1")
    world.wait(59)
    deliver(world, BODY, "r-1")
    world.wait(1)
    deliver(world, BODY, "r-2")
    assert jobs(world) == 2


def test_two_rules_with_different_inputs_do_not_meet(world: World) -> None:
    deliver(world, BODY, "r-1")
    deliver(world, OTHER, "r-2")
    assert jobs(world) == 2


def test_the_same_job_twice_in_one_input_is_two_jobs(world: World) -> None:
    deliver(world, {"jobs": [BODY, BODY]})
    assert jobs(world) == 2


def test_an_input_that_names_its_firing_is_believed(world: World) -> None:
    first = deliver(world, BODY | {"firing": "2026-11-21T02:00"}, "r-1")
    world.wait(86_400)
    assert deliver(world, BODY | {"firing": "2026-11-21T02:00"}, "r-2") == first
    assert deliver(world, BODY | {"firing": "2026-11-22T02:00"}, "r-3") != first


def test_the_good_jobs_are_made_and_the_bad_ones_told_of(world: World) -> None:
    fired = fire(world.rt, world.logger, {"jobs": [BODY, {"vendor": "nobody"}, OTHER]}, "r-1")
    assert len(fired.jobs) == jobs(world) == 2
    with pytest.raises(ScheduleInvalid, match=r"job 1: .*/vendor"):
        fired.raise_for_invalid()


@pytest.mark.parametrize("event", [
    {"jobs": []}, {"jobs": BODY}, {"jobs": [1]}, {"jobs": [BODY], "job": BODY}, [BODY], "text", None])  # fmt: skip
def test_an_input_that_holds_no_jobs_is_refused(world: World, event: Any) -> None:
    with pytest.raises(ScheduleInvalid):
        fire(world.rt, world.logger, event, "r-1")
    assert jobs(world) == 0


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("effect", range(6))
def test_a_delivery_that_crashed_is_made_good_by_its_repeat(world: World, effect: int, after: bool) -> None:
    world.edge.crash_at, world.edge.crash_after = effect, after
    with pytest.raises(Crash):
        deliver(world, {"jobs": [BODY, OTHER]}, "r-1")
    world.wait(120)
    assert len(deliver(world, {"jobs": [BODY, OTHER]}, "r-1")) == 2
    assert jobs(world) == len(world.executions()) == 2
