"""What jobs share in the table: call slots, task slots, holds and learned durations, written as `pacing` has it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clipferry.jobs.problems import Problem
from clipferry.pacing.call_rates import ANY, Pace, Rate
from clipferry.pacing.durations import Durations
from clipferry.pacing.task_slots import Held, Waiting
from clipferry.store import account_limits
from clipferry.store.account_limits import AccountHolds, CallSlots, Hold, LearnedDurations, TaskSlots
from clipferry.store.rows import DurationsRow, HoldRow, PaceRow, TaskSlotRow
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pynamodb.exceptions import PutError

from tests.unit.steps.aws import Edge, aws

NOW = 1_763_700_000.0
SLOW = Rate(300, 300.0, pushback=60.0)
STEP = SLOW.interval


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    with aws(monkeypatch) as found:
        yield found


def race(monkeypatch: pytest.MonkeyPatch, method: str, meanwhile: Callable[[], Any]) -> None:
    """Once, right before that read or write of PaceRow, somebody else does something."""
    real = getattr(PaceRow, method)

    def interrupted(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(PaceRow, method, real)
        meanwhile()
        return real(*args, **options)

    monkeypatch.setattr(PaceRow, method, interrupted)


class TestBudgets:
    def test_slots_are_given_in_a_row_in_one_write_each(self, edge: Edge) -> None:
        budgets = CallSlots()
        first = budgets.reserve("gate", ANY, SLOW, NOW)
        edge.effects.clear()
        more = [budgets.reserve("gate", ANY, SLOW, NOW).slot for _ in range(4)]
        assert [first.slot, *more] == pytest.approx([NOW + n * STEP for n in range(5)])
        assert len(edge.effects) == 5, "the first of them found out that calls queue"

    def test_an_idle_account_starts_at_now_and_several_calls_take_slots_in_a_row(self, edge: Edge) -> None:
        CallSlots().reserve("gate", ANY, SLOW, NOW)
        assert CallSlots().reserve("gate", ANY, SLOW, NOW + 500, calls=3).slot == NOW + 500
        assert CallSlots().reserve("gate", ANY, SLOW, NOW + 500).slot == pytest.approx(NOW + 500 + 3 * STEP)

    def test_accounts_and_groups_have_budgets_of_their_own(self, edge: Edge) -> None:
        budgets = CallSlots()
        for account, group in (("a", ANY), ("a", "QueryRecord"), ("b", ANY)):
            assert budgets.reserve(account, group, SLOW, NOW).slot == NOW

    def test_a_slot_that_is_not_near_is_not_taken(self, edge: Edge) -> None:
        budgets = CallSlots()
        budgets.reserve("gate", ANY, SLOW, NOW, calls=5)
        before = budgets.read("gate", ANY)
        assert budgets.reserve_near("gate", ANY, SLOW, NOW, NOW + 2) is None
        assert budgets.read("gate", ANY) == before
        near = budgets.reserve_near("gate", ANY, SLOW, NOW + 4, NOW + 6)
        assert near is not None
        assert near.slot == pytest.approx(NOW + 5 * STEP)

    def test_two_who_find_it_idle_at_once_get_different_slots(
        self, edge: Edge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other: list[float] = []
        race(monkeypatch, "update", lambda: other.append(CallSlots().reserve("gate", ANY, SLOW, NOW).slot))
        mine = CallSlots().reserve("gate", ANY, SLOW, NOW).slot
        assert sorted([mine, *other]) == pytest.approx([NOW, NOW + STEP])

    @pytest.mark.parametrize("ago", [0, 10, 1000])
    def test_a_push_back_moves_what_was_given_and_what_comes(self, edge: Edge, ago: float) -> None:
        budgets = CallSlots()
        place = budgets.reserve("gate", ANY, SLOW, NOW - ago, calls=5)
        expected = budgets.read("gate", ANY).pushed(NOW, 60)
        budgets.push_back("gate", ANY, NOW, 60)
        assert budgets.read("gate", ANY) == expected
        assert place.due(budgets.read("gate", ANY)) >= NOW + 60
        assert budgets.reserve("gate", ANY, SLOW, NOW + 1).slot >= NOW + 60

    def test_a_push_back_of_an_account_nobody_has_called(self, edge: Edge) -> None:
        CallSlots().push_back("gate", ANY, NOW, 60)
        assert CallSlots().read("gate", ANY) == Pace(NOW + 60, 60.0, NOW + 60)

    @pytest.mark.parametrize("method", ["get", "update"])
    def test_the_same_no_told_by_two_at_once_counts_once(
        self, edge: Edge, monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        CallSlots().reserve("gate", ANY, SLOW, NOW)
        race(monkeypatch, method, lambda: CallSlots().push_back("gate", ANY, NOW, 60))
        CallSlots().push_back("gate", ANY, NOW, 60)
        assert CallSlots().read("gate", ANY).shift == 60

    def test_a_push_back_meets_a_reservation(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        CallSlots().reserve("gate", ANY, SLOW, NOW - 500)
        race(monkeypatch, "update", lambda: CallSlots().reserve("gate", ANY, SLOW, NOW))
        CallSlots().push_back("gate", ANY, NOW, 60)
        assert CallSlots().read("gate", ANY) == Pace(pytest.approx(NOW + STEP + 60), 60.0, NOW + 60)

    def test_what_is_no_race_is_raised(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        refused = ClientError(
            {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "busy"}}, "PutItem"
        )
        with pytest.raises(PutError):
            account_limits._lost(PutError("busy", refused))

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rate=st.builds(Rate, st.integers(1, 60), st.floats(0.5, 60)), seed=st.integers(0, 999))
    def test_n_jobs_reserve_without_ever_breaking_the_limit(self, rate: Rate, seed: int) -> None:
        rng, now, made = random.Random(seed), NOW, []
        with pytest.MonkeyPatch.context() as monkeypatch, aws(monkeypatch):
            budgets = [CallSlots() for _ in range(3)]  # as many processes
            for _ in range(40):
                now += rng.choice([0.0, 0.0, 0.0, rate.interval / 3, 5 * rate.interval])
                calls = rng.choice([1, 1, 3])
                slot = rng.choice(budgets).reserve("gate", ANY, rate, now, calls).slot
                assert slot >= now - 1e-3
                made += [slot + n * rate.interval + rng.uniform(0, rate.slack) for n in range(calls)]
                if rng.random() < 0.1:
                    rng.choice(budgets).push_back("gate", ANY, now, rng.uniform(0, 9))
        assert max(sum(1 for other in made if 0 <= other - one <= rate.per) for one in made) <= rate.calls


class TestLine:
    def test_a_slot_is_taken_once_until_its_lease_ends(self, edge: Edge) -> None:
        line = TaskSlots()
        assert line.take("gate", 0, "a", NOW, NOW + 100)
        assert not line.take("gate", 0, "b", NOW, NOW + 100)
        assert line.take("gate", 0, "a", NOW, NOW + 100), "a repeated step"
        assert line.take("gate", 0, "b", NOW + 101, NOW + 300)
        assert not line.renew("gate", 0, "a", NOW + 900)
        assert line.renew("gate", 0, "b", NOW + 900)
        assert line.look("gate", 1) == ([Held(0, "b", NOW + 900, NOW + 101)], [])

    def test_what_is_given_back_is_free_and_giving_back_late_takes_nothing_away(self, edge: Edge) -> None:
        line = TaskSlots()
        line.take("gate", 3, "a", NOW, NOW + 100)
        for _ in range(2):
            line.release("gate", "a", NOW, slot=3, ticket=None)
        assert line.take("gate", 3, "b", NOW, NOW + 100)
        line.release("gate", "a", NOW, slot=3, ticket=7)
        assert not line.take("gate", 3, "c", NOW, NOW + 100)

    def test_tickets_rise_and_those_who_wait_are_seen_in_their_order(self, edge: Edge) -> None:
        line = TaskSlots()
        tickets = [line.draw("gate") for _ in range(12)]
        assert tickets == sorted(set(tickets))
        for ticket in reversed(tickets):
            line.wait("gate", ticket, f"j{ticket}", NOW + 100)
        assert line.look("gate", 3) == ([], [Waiting(t, f"j{t}", NOW + 100) for t in tickets[:3]])
        line.leave("gate", tickets[0], "another")
        line.leave("gate", tickets[0], f"j{tickets[0]}")
        line.forget("gate", tickets[1], NOW)
        line.release("gate", f"j{tickets[2]}", NOW, slot=None, ticket=tickets[2])
        line.forget("gate", tickets[2], NOW)
        assert [row.ticket for row in line.look("gate", 3)[1]] == [tickets[1], *tickets[3:5]]

    def test_accounts_have_lines_of_their_own_and_rows_end_by_themselves(self, edge: Edge) -> None:
        line = TaskSlots()
        assert line.take("a", 0, "x", NOW, NOW + 100)
        assert line.take("b", 0, "y", NOW, NOW + 100)
        line.wait("a", line.draw("a"), "z", NOW + 50)
        ends = {row.sk: row.until for row in TaskSlotRow.query("INFLIGHT#a")}
        assert ends == {"SLOT#000000": NOW + 100, "TAIL": None, "WAIT#000000000001": NOW + 50}


class TestHolds:
    SAID = Problem("ACCOUNT_REFUSED", "the key has expired", "Forbidden", "r1")

    def test_an_account_is_refused_since_the_first_who_was_and_shows_what_the_last_was_told(self, edge: Edge) -> None:
        holds = AccountHolds()
        assert holds.read("ims", "gate") is None
        holds.put("ims", "gate", NOW, NOW + 30, Problem("ACCOUNT_MISSING", "no secret"))
        holds.put("ims", "gate", NOW + 5, NOW + 35, self.SAID)
        assert holds.read("ims", "gate") == Hold(NOW, NOW + 35, self.SAID)
        assert holds.read("polyv", "gate") is None, "an account of the same name for another vendor"

    def test_one_of_many_takes_the_try_that_is_due(self, edge: Edge) -> None:
        holds = AccountHolds()
        holds.put("ims", "gate", NOW, NOW + 30.7, self.SAID)
        hold = holds.read("ims", "gate")
        assert hold is not None
        assert [holds.take_probe("ims", "gate", hold, NOW + 61) for _ in range(3)] == [True, False, False]

    def test_what_is_lifted_cannot_be_tried_and_begins_anew(self, edge: Edge) -> None:
        holds = AccountHolds()
        holds.put("ims", "gate", NOW, NOW + 30, self.SAID)
        hold = holds.read("ims", "gate")
        assert hold is not None
        for _ in range(2):
            holds.lift("ims", "gate")
        assert holds.read("ims", "gate") is None
        assert not holds.take_probe("ims", "gate", hold, NOW + 61)
        holds.put("ims", "gate", NOW + 99, NOW + 129, self.SAID)
        assert holds.read("ims", "gate") == Hold(NOW + 99, NOW + 129, self.SAID)

    def test_the_row_goes_when_nobody_tried_for_long(self, edge: Edge) -> None:
        AccountHolds().put("ims", "gate", NOW, NOW + 30, self.SAID)
        assert HoldRow.get("ACCOUNT#ims#gate", "HOLD").expires_at == NOW + 7 * 86_400


class TestLessons:
    def test_what_was_learned_is_read(self, edge: Edge) -> None:
        lessons, expected = LearnedDurations(), Durations()
        assert lessons.read("ims#4") == expected
        for seconds in (40, 50, 45):
            assert lessons.learn("ims#4", seconds, after=30)
            expected = Durations.parse(expected.add(seconds, after=30).as_dict())
        assert lessons.read("ims#4") == expected
        assert lessons.read("ims#5") == Durations()

    @pytest.mark.parametrize("known", [0, 3])
    def test_who_comes_second_in_a_race_is_dropped(
        self, edge: Edge, monkeypatch: pytest.MonkeyPatch, known: int
    ) -> None:
        for _ in range(known):
            LearnedDurations().learn("ims#4", 40, after=30)
        real = DurationsRow.save

        def interrupted(row: DurationsRow, **options: Any) -> Any:
            monkeypatch.setattr(DurationsRow, "save", real)
            LearnedDurations().learn("ims#4", 40, after=30)
            return real(row, **options)

        monkeypatch.setattr(DurationsRow, "save", interrupted)
        assert not LearnedDurations().learn("ims#4", 4000, after=30)
        assert LearnedDurations().read("ims#4").count == known + 1

    def test_the_item_never_grows(self, edge: Edge) -> None:
        rng, sizes = random.Random(1), []
        for _ in range(120):
            LearnedDurations().learn("ims#4", rng.lognormvariate(4, 2), after=0)
            sizes.append(len(str(LearnedDurations().read("ims#4").as_dict())))
        assert max(sizes) < 1000
        assert len(LearnedDurations().read("ims#4").bins) <= 40
