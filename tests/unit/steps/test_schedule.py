"""A rule or a schedule fires: each of its jobs once per firing, however often the event is delivered."""

from __future__ import annotations

import random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clipferry.aws import scheduler
from clipferry.intake.schedule_body import Schedule, define
from clipferry.steps.schedule import SAME_FIRING, ScheduleInvalid, fire
from clipferry.store.job_records import Listing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.steps.world import EVERYTHING, Crash, World

BODY = {"vendor": "scripted", "request": {"url": "https://media.example/a.mp4"}}
OTHER = {"vendor": "scripted", "request": {"url": "https://media.example/b.mp4"}}


def deliver(world: World, event: Any, request_id: str = "r-1") -> list[str]:
    return [job.job_id for job in fire(world.rt, event, request_id).jobs]


def jobs(world: World) -> int:
    return len(world.rt.jobs.list(EVERYTHING, 100)[0])


def test_one_firing_delivered_twice_is_one_job(world: World) -> None:
    first = deliver(world, BODY, "r-1")
    world.wait(SAME_FIRING - 1)
    assert deliver(world, BODY, "r-2") == first
    assert jobs(world) == len(world.executions()) == 1


@pytest.mark.parametrize("apart", [20, 60])
def test_two_firings_are_two_jobs(world: World, apart: float) -> None:
    deliver(world, BODY, "r-1")
    world.wait(apart)
    deliver(world, BODY, "r-2")
    assert jobs(world) == 2


def test_two_named_firings_of_one_second_are_two_jobs(world: World) -> None:
    deliver(world, BODY | {"firing": "event-1"}, "r-1")
    deliver(world, BODY | {"firing": "event-2"}, "r-2")
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


def test_an_input_beside_the_name_of_its_firing_is_that_input(world: World) -> None:
    first = deliver(world, {"firing": "event-1", "input": {"jobs": [BODY, OTHER]}}, "r-1")
    world.wait(3600)
    assert deliver(world, {"firing": "event-1", "input": {"jobs": [BODY, OTHER]}}, "r-2") == first
    assert deliver(world, {"firing": "event-2", "input": BODY}, "r-3") != first[:1]
    assert jobs(world) == 3


def test_the_good_jobs_are_made_and_the_bad_ones_told_of(world: World) -> None:
    fired = fire(world.rt, {"jobs": [BODY, {"vendor": "nobody"}, OTHER]}, "r-1")
    assert len(fired.jobs) == jobs(world) == 2
    with pytest.raises(ScheduleInvalid, match=r"job 1: .*/vendor"):
        fired.raise_for_invalid()


@pytest.mark.parametrize(
    "event", [{"jobs": []}, {"jobs": BODY}, {"jobs": [1]}, {"jobs": [BODY], "job": BODY}, [BODY], "text", None]
)
def test_an_input_that_holds_no_jobs_is_refused(world: World, event: Any) -> None:
    with pytest.raises(ScheduleInvalid):
        fire(world.rt, event, "r-1")
    assert jobs(world) == 0


# -- schedules ---------------------------------------------------------------------------------------------------------

SCHEDULED = {
    "schedule": "nightly",
    "token": "t",
    "scheduled_time": "2026-11-20T18:00:00Z",
    "time_zone": "Asia/Shanghai",
    "start": None,
    "job": BODY | {"destination": {"prefix": "gate/{date}"}, "labels": {"at": "{time}"}},
}
UNTOLD = SCHEDULED | {"scheduled_time": "<aws.scheduler.scheduled-time>"}  # as it stands when nobody has filled it in
BROKEN = SCHEDULED | {"job": {"vendor": "nobody", "labels": {"secret": "canary"}}}


@pytest.fixture(autouse=True)
def kept(world: World) -> None:
    for name in ("nightly", "nightly2", "hourly"):
        keep(name, world)


def keep(name: str, world: World) -> None:
    scheduler.put(Schedule(name, "rate(1 day)", BODY, token="t"), world.time)


@pytest.mark.parametrize("change", [{"token": "guessed"}, {"token": None}, {"token": ["t"]}, {"schedule": "unknown"}])
def test_nobody_but_scheduler_makes_a_schedules_firing(world: World, change: dict[str, Any]) -> None:
    forged = SCHEDULED | {"job": OTHER} | change
    fired = fire(world.rt, forged, "r-1")

    assert (fired.jobs, fired.rejected) == ([], True)
    assert world.job(deliver(world, SCHEDULED, "r-2")[0]).request == BODY["request"]


def test_a_firing_under_way_while_its_schedule_is_put_again_makes_its_job(world: World) -> None:
    body = {"expression": "rate(2 days)", "job": OTHER}
    scheduler.put(define("nightly", body, world.time, scheduler.find("nightly")), world.time)

    assert len(deliver(world, SCHEDULED)) == 1


def test_a_schedules_firing_is_one_job_however_often_and_late_it_is_delivered(world: World) -> None:
    first = deliver(world, SCHEDULED, "r-1")
    for seconds, request in ((0, "r-1"), (3, "r-2"), (3600, "r-3"), (7 * 86_400, "r-4")):
        world.wait(seconds)
        assert deliver(world, SCHEDULED, request) == first
    assert jobs(world) == len(world.executions()) == 1


def test_every_scheduled_time_of_every_schedule_is_a_firing_of_its_own(world: World) -> None:
    fired = [
        deliver(world, SCHEDULED | change, "r-1")[0]
        for change in ({}, {"scheduled_time": "2026-11-20T18:01:00Z"}, {"schedule": "hourly"})
    ]
    assert len(set(fired)) == jobs(world) == 3


def test_the_same_moment_written_otherwise_is_the_same_firing(world: World) -> None:
    assert deliver(world, SCHEDULED | {"scheduled_time": "2026-11-21T02:00:00+08:00"}) == deliver(world, SCHEDULED)


def test_a_firing_fills_in_its_scheduled_time_in_the_schedules_zone(world: World) -> None:
    job = world.job(deliver(world, SCHEDULED)[0])
    assert (job.prefix, job.labels) == ("gate/2026-11-21", {"at": "02-00-00"})


def test_a_job_knows_the_schedule_it_comes_from(world: World) -> None:
    made = deliver(world, SCHEDULED)
    deliver(world, SCHEDULED | {"schedule": "nightly2"}, "r-2")
    listed, _ = world.rt.jobs.list(Listing(tag="schedule#nightly"), 10)
    assert [job.job_id for job in listed] == made
    assert listed[0].source == "schedule#nightly"


def test_a_schedule_changed_between_two_deliveries_still_makes_one_job(world: World) -> None:
    first = deliver(world, SCHEDULED, "r-1")
    assert deliver(world, SCHEDULED | {"job": OTHER}, "r-2") == first
    assert world.job(first[0]).labels == {"at": "02-00-00"}


@pytest.mark.parametrize("time", ["<aws.scheduler.scheduled-time>", None, "", "soon", "2026-11-20T18:00:00"])
def test_a_firing_without_a_usable_time_is_known_by_when_it_was_first_seen(world: World, time: Any) -> None:
    event = SCHEDULED | {"scheduled_time": time}
    first = deliver(world, event, "r-1")
    world.wait(SAME_FIRING - 1)
    assert deliver(world, event, "r-2") == first
    world.wait(6 * 3600)
    assert deliver(world, event, "r-1") == first
    assert deliver(world, event, "r-3") != first
    assert jobs(world) == 2


def test_without_a_usable_time_the_first_sight_fills_the_templates(world: World) -> None:
    seen = world.time.astimezone(ZoneInfo("Asia/Shanghai"))
    first = deliver(world, UNTOLD, "r-1")
    world.wait(SAME_FIRING - 1)
    assert deliver(world, UNTOLD, "r-2") == first
    assert world.job(first[0]).labels == {"at": f"{seen:%H-%M-%S}"}


def test_a_schedules_input_that_names_its_firing_is_believed(world: World) -> None:
    first = deliver(world, UNTOLD | {"firing": "7"}, "r-1")
    world.wait(86_400)
    assert deliver(world, UNTOLD | {"firing": "7"}, "r-2") == first
    assert deliver(world, UNTOLD | {"firing": "8"}, "r-3") != first


@pytest.mark.parametrize(
    ("event", "pointer"),
    [
        (BROKEN, "/job/vendor"),
        (SCHEDULED | {"job": None}, "/job"),
        (SCHEDULED | {"time_zone": "Mars"}, "/time_zone"),
        (SCHEDULED | {"job": BODY | {"destination": {"prefix": "{datum}"}}}, "/job/destination/prefix"),
    ],
)
def test_a_body_that_has_become_invalid_is_told_of_and_not_tried_again(
    world: World, event: dict[str, Any], pointer: str
) -> None:
    fired = fire(world.rt, event, "r-1")
    fired.raise_for_invalid()
    assert fired.rejected
    assert jobs(world) == 0
    (told,) = world.edge.sent
    assert (told["type"], told["schedule"]) == ("Clipferry Schedule Rejected", "nightly")
    assert told["event_id"] == "nightly@2026-11-20T18:00:00.000Z"
    assert pointer in [error["pointer"] for error in told["errors"]]
    assert "canary" not in repr(world.edge.sent)


def test_a_rejection_that_could_not_be_told_is_tried_again_as_the_same(world: World) -> None:
    world.edge.crash_at = len(world.edge.effects)
    with pytest.raises(Crash):
        fire(world.rt, BROKEN, "r-1")
    assert world.edge.sent == []
    for request in ("r-1", "r-2"):
        fire(world.rt, BROKEN, request)
    assert len(world.edge.sent) == 2
    assert len({event["event_id"] for event in world.edge.sent}) == 1


@given(st.lists(st.sampled_from(["18:00", "18:01", "18:02"]), min_size=1, max_size=12), st.randoms())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_any_deliveries_makes_one_job_a_scheduled_time(
    world: World, times: list[str], chance: random.Random
) -> None:
    name = f"s{chance.getrandbits(40)}"
    keep(name, world)
    made = set()
    for number, time in enumerate(times):
        event = SCHEDULED | {"schedule": name, "scheduled_time": f"2026-11-20T{time}:00Z"}
        world.wait(chance.randrange(100_000))
        made.update(deliver(world, event, f"r-{number % 3}"))
    assert len(made) == len(set(times))


CRASHES = [
    *(({"jobs": [BODY, OTHER]}, effect) for effect in range(6)),  # two claims, and a row and a start for each job
    *((SCHEDULED, effect) for effect in range(2)),
    *((UNTOLD, effect) for effect in range(4)),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("event", "effect"), CRASHES)
def test_a_delivery_that_crashed_is_made_good_by_its_repeat(
    world: World, event: dict[str, Any], effect: int, after: bool
) -> None:
    wanted = len(event.get("jobs", [event]))
    world.edge.crash_at, world.edge.crash_after = len(world.edge.effects) + effect, after
    with pytest.raises(Crash):
        deliver(world, event, "r-1")
    world.wait(120)
    assert len(deliver(world, event, "r-1")) == wanted
    assert jobs(world) == len(world.executions()) == wanted
