"""Call budgets: even slots, no window above the limit, push back, and the conditional updates that carry them."""

from __future__ import annotations

import random

import pytest
from clipferry.pacing.call_rates import ANY, Pace, Rate, Reservation, rate_for
from clipferry.vendors import VENDORS, vendor_class
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.budget import Account, calls

CLOUDV = vendor_class("cloudv").rates
rates = st.builds(Rate, st.integers(1, 400), st.floats(0.5, 600))


class Record:
    """The table's record, changed by nothing but the updates that the module's page lists."""

    def __init__(self) -> None:
        self.item: dict[str, float] = {}
        self.writes = 0

    def reserve(self, now: float, rate: Rate, calls: int = 1) -> Reservation:
        step = calls * rate.interval
        while True:
            self.writes += 1
            if "next" in self.item and self.item["next"] >= now:
                self.item["next"] += step
                return Reservation(self.item["next"] - step, self.item["shift"])
            self.writes += 1
            if "next" not in self.item or self.item["next"] < now:
                self.item = {"shift": 0.0, "blocked": 0.0, **self.item, "next": now + step}
                return Reservation(now, self.item["shift"])

    def push_back(self, now: float, seconds: float) -> None:
        read, until = self.pace, now + seconds
        more = until - max(now, read.blocked)
        if more > 0 and self.item["blocked"] == read.blocked:
            after = self.item["next"] + more if self.item["next"] >= now else until
            self.item = {"next": after, "shift": self.item["shift"] + more, "blocked": until}

    @property
    def pace(self) -> Pace:
        return Pace(**self.item)


def most_in_a_window(moments: list[float], per: float) -> int:
    return max(sum(1 for other in moments if 0 <= other - moment <= per) for moment in moments)


@given(rates, st.lists(st.floats(0, 30), min_size=1, max_size=300), st.integers(0, 999))
def test_no_window_holds_more_calls_than_the_limit_however_late_they_leave(
    rate: Rate, pauses: list[float], seed: int
) -> None:
    rng, pace, now, made = random.Random(seed), Pace(), 1000.0, []
    for pause in pauses:
        now += pause if rng.random() < 0.2 else 0.0  # mostly in crowds
        pace, place = pace.reserved(now, rate)
        made.append(place.slot + rng.uniform(0, rate.slack))
    assert most_in_a_window(made, rate.per) <= rate.calls


@given(rates)
def test_a_crowd_uses_all_but_four_percent_of_the_limit(rate: Rate) -> None:
    assert rate.per / rate.interval == pytest.approx(0.96 * rate.calls)


def test_an_idle_account_is_called_at_once() -> None:
    pace, place = Pace().reserved(1000.0, Rate(300, 300))
    assert place.slot == 1000.0
    assert pace.reserved(1000.0, Rate(300, 300))[1].slot == pytest.approx(1000 + 300 / 288)
    assert pace.reserved(1002.0, Rate(300, 300))[1].slot == 1002.0


def test_slots_are_given_in_the_order_of_asking() -> None:
    pace, slots = Pace(), []
    for _ in range(50):
        pace, place = pace.reserved(1000.0, Rate(50, 1))
        slots.append(place.slot)
    assert slots == sorted(slots)
    assert len(set(slots)) == 50


def test_several_calls_of_one_look_get_slots_in_a_row() -> None:
    rate = Rate(300, 300)
    pace, first = Pace().reserved(1000.0, rate, calls=3)
    _, second = pace.reserved(1000.0, rate)
    assert second.slot - first.slot == pytest.approx(3 * rate.interval)


def test_a_push_back_moves_every_slot_already_given_and_keeps_their_order() -> None:
    rate, pace, places = Rate(300, 300), Pace(), []
    for _ in range(10):
        pace, place = pace.reserved(1000.0, rate)
        places.append(place)
    before = [place.due(pace) for place in places]
    pushed = pace.pushed(1000.0, 60)
    after = [place.due(pushed) for place in places]
    assert [b - a for a, b in zip(before, after, strict=True)] == pytest.approx([60.0] * 10)
    _, late = pushed.reserved(1001.0, rate)
    assert late.slot > max(after)


def test_one_refusal_told_by_many_calls_counts_once() -> None:
    pace = Pace(next=1100.0).pushed(1000.0, 60)
    assert pace.pushed(1000.0, 60) == pace
    assert pace.pushed(1030.0, 10) == pace
    assert pace.pushed(1010.0, 60).next == pytest.approx(1170.0)


def test_nothing_is_called_while_the_vendor_wants_rest() -> None:
    rate = Rate(300, 300)
    pace, place = Pace().reserved(1000.0, rate)
    pushed = pace.pushed(1005.0, 60)  # the job of slot 1000 wakes late, after another was refused
    assert place.due(pushed) >= 1065.0
    _, fresh = pushed.reserved(1006.0, rate)
    assert fresh.due(pushed) >= 1065.0


def test_a_job_that_comes_far_too_late_must_reserve_anew() -> None:
    rate = Rate(300, 300)
    pace, place = Pace().reserved(1000.0, rate)
    assert not place.stale(pace, 1000.0 + rate.slack, rate)
    assert place.stale(pace, 1000.1 + rate.slack, rate)


@given(rates, st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4), st.floats(0, 9)), max_size=60))
def test_the_listed_updates_do_what_the_arithmetic_says(rate: Rate, steps: list[tuple[float, int, float]]) -> None:
    record, pace, now = Record(), Pace(), 1000.0
    for pause, count, rest in steps:
        now += pause
        pace, place = pace.reserved(now, rate, count)
        given_place = record.reserve(now, rate, count)
        assert (given_place.slot, given_place.shift) == pytest.approx((place.slot, place.shift))
        assert tuple(vars(record.pace).values()) == pytest.approx(tuple(vars(pace).values()))
        if rest > 8:
            pace = pace.pushed(now, rest)
            record.push_back(now, rest)
    assert record.writes <= 2 * len(steps)


def test_every_vendor_has_a_rate_for_everything() -> None:
    for vendor in VENDORS:
        groups = vendor_class(vendor).rates
        assert rate_for(groups) == (ANY, groups[ANY])
    assert CLOUDV[ANY].calls / CLOUDV[ANY].per == 1.0
    linkvisual = vendor_class("linkvisual").rates
    assert rate_for(linkvisual, "QueryRecord")[1].calls == 250
    assert rate_for(linkvisual, "TriggerRecord") == rate_for(linkvisual)


@pytest.mark.parametrize(
    ("vendor", "rates"),
    [
        ("linkvisual", {ANY: Rate(50, 1.0, 5.0), "QueryRecord": Rate(250, 1.0, 5.0)}),
        ("ims", {ANY: Rate(50, 1.0, 5.0)}),
        ("cloudv", {ANY: Rate(300, 300.0, 60.0)}),
        ("polyv", {ANY: Rate(1500, 10.0, 300.0)}),  # an address that called too often is blocked for 5 minutes
    ],
)
def test_a_vendor_is_called_as_often_as_it_publishes_and_left_alone_as_long(
    vendor: str, rates: dict[str, Rate]
) -> None:
    assert vendor_class(vendor).rates == rates


def test_an_account_may_have_its_own_rate() -> None:
    group, rate = rate_for(CLOUDV, "pullVideoQuery", {"calls": "600", "per": "300"})
    assert (group, rate.calls, rate.per) == (ANY, 600, 300.0)
    assert rate.pushback == CLOUDV[ANY].pushback


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls": 0, "per": 1},
        {"calls": 5, "per": 0},
        {"calls": 5, "per": float("inf")},
        {"calls": 5, "per": "nan"},
        {"calls": "many", "per": 1},
        {"calls": 5},
        {"calls": None, "per": 1},
    ],
)
def test_a_rate_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rate|invalid literal"):
        rate_for(CLOUDV, override=wrong)


def test_a_thousand_jobs_keep_the_limit_use_it_and_wait_alike() -> None:
    result = calls("a thousand", 1000, 3)
    assert result.account.most_in_a_window() <= 300
    assert result.used > 0.95
    assert result.unfair < 2
    assert len(result.account.calls) == 3000
    assert result.account.writes / 3000 < 1.05


def test_refusals_on_the_way_break_no_limit() -> None:
    result = calls("refused", 1000, 2, pauses=(100, 101, 700))
    assert result.account.most_in_a_window() <= 300
    assert len(result.account.calls) == 2000


def test_the_window_count_sees_a_breach() -> None:
    account = Account(Rate(3, 10), calls=[0.0, 5.0, 10.0, 10.0, 30.0])
    assert account.most_in_a_window() == 4
