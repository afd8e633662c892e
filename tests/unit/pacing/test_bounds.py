"""Where the bounds of call rates and task slots lie, value by value."""

from __future__ import annotations

from typing import Any

import pytest
from clipferry.pacing.call_rates import ANY, Pace, Rate, Reservation, rate_for
from clipferry.pacing.task_slots import Held, Queue, Start, Waiting, decide, lease, queue_wait, usual_hold

NOW = 1000.0
GROUPS = {ANY: Rate(10, 1.0, 7.0), "Query": Rate(20, 1.0)}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0, 1.0), "a rate needs at least 1 call in more than 0 seconds, not 0 per 1.0"),
        ((1, 0.0), "a rate needs at least 1 call in more than 0 seconds, not 1 per 0.0"),
        ((1, float("inf")), "a rate needs at least 1 call in more than 0 seconds, not 1 per inf"),
        ((1, 1.0, -0.1), "a rate's pushback is 0 or more seconds, not -0.1"),
        ((1, 1.0, float("inf")), "a rate's pushback is 0 or more seconds, not inf"),
    ],
)
def test_a_senseless_rate_is_told_with_its_figures(values: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match="rate") as error:
        Rate(*values)
    assert str(error.value) == said


def test_the_smallest_rates_are_rates() -> None:
    assert Rate(1, 0.5, 0.0).interval == pytest.approx(0.5 / 0.96)
    assert Rate(300, 300).pushback == 5.0
    assert Rate(300, 300).slack == pytest.approx(0.9 * 300 * (1 / 0.96 - 1))


def test_the_group_of_an_operation_and_an_accounts_own_rate() -> None:
    assert rate_for(GROUPS) == (ANY, GROUPS[ANY])
    assert rate_for(GROUPS, "Other") == (ANY, GROUPS[ANY])
    assert rate_for(GROUPS, "Query") == ("Query", GROUPS["Query"])
    assert rate_for(GROUPS, "Query", {"calls": 5, "per": 2}) == (ANY, Rate(5, 2.0, 7.0))
    assert rate_for(GROUPS, "Query", {"calls": 5, "per": 2, "pushback": 1}) == (ANY, Rate(5, 2.0, 1.0))


@pytest.mark.parametrize("wrong", [{"calls": 5}, {"per": 5}, {"calls": None, "per": 5}, "ten a second", 5])
def test_what_is_no_rate_is_told_what_one_is(wrong: Any) -> None:
    with pytest.raises(ValueError, match="a rate") as error:
        Rate.parse(wrong, GROUPS[ANY])
    assert str(error.value) == 'a rate is {"calls": <whole number>, "per": <seconds>}'


def test_slots_follow_each_other_by_the_interval() -> None:
    rate = Rate(96, 96.0)  # one slot in 1.0416… seconds
    pace, first = Pace(0.0, 3.0, 1.0).reserved(NOW, rate)
    assert (first, pace) == (Reservation(NOW, 3.0), Pace(NOW + rate.interval, 3.0, 1.0))
    pace, second = pace.reserved(NOW, rate, calls=2)
    assert second.slot == NOW + rate.interval
    assert pace.next == pytest.approx(NOW + 3 * rate.interval)


@pytest.mark.parametrize(
    ("pace", "seconds", "after"),
    [
        (Pace(), 60.0, Pace(1060.0, 60.0, 1060.0)),
        (Pace(1100.0, 5.0), 60.0, Pace(1160.0, 65.0, 1060.0)),
        (Pace(1100.0, 5.0, 1040.0), 60.0, Pace(1120.0, 25.0, 1060.0)),
        (Pace(1100.0, 5.0, 1060.0), 60.0, Pace(1100.0, 5.0, 1060.0)),
        (Pace(1100.0, 5.0), 0.0, Pace(1100.0, 5.0)),
        (Pace(1100.0, 5.0), -3.0, Pace(1100.0, 5.0)),
        (Pace(900.0, 5.0), 0.5, Pace(1000.5, 5.5, 1000.5)),
    ],
)
def test_a_push_back_moves_what_is_given_once(pace: Pace, seconds: float, after: Pace) -> None:
    assert pace.pushed(NOW, seconds) == after


@pytest.mark.parametrize(
    ("pace", "due"),
    [(Pace(shift=3.0), 1000.0), (Pace(shift=10.0), 1007.0), (Pace(shift=10.0, blocked=1009.0), 1009.0)],
)
def test_a_slot_is_due_as_far_as_it_was_moved_since(pace: Pace, due: float) -> None:
    assert Reservation(NOW, 3.0).due(pace) == due
    assert not Reservation(NOW, 3.0).stale(pace, due + Rate(1, 1.0).slack, Rate(1, 1.0))
    assert Reservation(NOW, 3.0).stale(pace, due + Rate(1, 1.0).slack + 0.001, Rate(1, 1.0))


# -- task slots


@pytest.mark.parametrize(
    ("held", "waiting", "ticket", "most", "choice"),
    [
        # the lease of a slot, and of a place in the queue, ends after its last second
        ([Held(0, "a", NOW)], [], None, 1, Queue(5.0)),
        ([Held(0, "a", NOW - 0.1)], [], None, 1, Start(0)),
        ([], [Waiting(1, "b", NOW)], None, 1, Queue(5.0)),
        ([], [Waiting(1, "b", NOW - 0.1)], 2, 2, Start(0, (1,))),
        # the free slots are taken from the lowest on
        ([Held(0, "a", NOW), Held(2, "b", NOW)], [], None, 4, Start(1)),
        ([Held(0, "a", NOW), Held(2, "b", NOW)], [Waiting(5, "c", NOW)], None, 4, Start(3)),
        ([Held(0, "a", NOW), Held(2, "b", NOW)], [Waiting(5, "c", NOW)], 4, 4, Start(1)),
        # one with a ticket counts those before it alone, one without counts all
        ([], [Waiting(5, "c", NOW), Waiting(7, "me", NOW), Waiting(9, "d", NOW)], 7, 4, Start(1)),
        ([Held(0, "a", NOW)], [Waiting(5, "c", NOW)], 9, 2, Queue(90.0)),
        # a page full of others: all count, also those whose lease is over
        ([], [Waiting(5, "c", NOW - 1), Waiting(6, "d", NOW)], 10, 2, Queue(90.0, (5,))),
        ([], [Waiting(5, "c", NOW - 1), Waiting(6, "me", NOW)], 6, 2, Start(0, (5,))),
        # its own row is never dead
        ([], [Waiting(6, "me", NOW - 1)], 6, 1, Start(0)),
        ([Held(4, "me", NOW - 9)], [Waiting(5, "c", NOW - 1)], None, 1, Start(4, (5,))),
    ],
)
def test_who_may_start_and_in_which_slot(
    held: list[Held], waiting: list[Waiting], ticket: int | None, most: int, choice: Start | Queue
) -> None:
    assert decide("me", ticket, held, waiting, most, NOW) == choice


@pytest.mark.parametrize(
    ("position", "most", "hold", "wait"),
    [
        (0, 1, 120.0, 5.0),
        (0, 1, 1000.0, 20.0),
        (0, 10, 1000.0, 20.0),
        (0, 20, 1000.0, 10.0),
        (-3, 1, 1000.0, 20.0),
        (1, 1, 120.0, 60.0),
        (3, 2, 120.0, 90.0),
        (100, 1, 120.0, 1800.0),
    ],
)
def test_how_long_a_place_in_the_queue_waits(position: int, most: int, hold: float, wait: float) -> None:
    assert queue_wait(position, most, hold) == pytest.approx(wait)


@pytest.mark.parametrize(
    ("held", "hold"),
    [
        ([], 120.0),
        ([Held(0, "a", NOW, NOW - 10)], 120.0),
        ([Held(0, "a", NOW, NOW - 100)], 200.0),
        ([Held(0, "a", NOW, NOW - 100), Held(1, "b", NOW, NOW - 500)], 600.0),
        ([Held(0, "a", NOW, NOW - 100), Held(1, "b", NOW - 1, NOW - 500), Held(2, "c", NOW)], 200.0),
    ],
)
def test_tasks_that_run_are_half_done_on_average(held: list[Held], hold: float) -> None:
    assert usual_hold(held, NOW) == hold


def test_a_lease_outlives_the_next_wake_by_a_quarter_of_an_hour() -> None:
    assert lease(NOW, 30.0) == 1930
    assert lease(NOW + 0.1, 30.0) == 1931
