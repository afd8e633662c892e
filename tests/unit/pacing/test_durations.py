"""What is learned from past tasks, and the law made of it."""

from __future__ import annotations

import json
import math
import random

import pytest
from clipferry.pacing.durations import MAX_BINS, Durations, law, size_class
from hypothesis import given
from hypothesis import strategies as st

seconds = st.floats(0.01, 1e8)


def taught(*durations: float) -> Durations:
    learned = Durations()
    for duration in durations:
        learned = learned.add(duration)
    return learned


def drawn(rng: random.Random, median: float, sigma: float, tasks: int) -> list[float]:
    return [rng.lognormvariate(math.log(median), sigma) for _ in range(tasks)]


def test_quantiles_are_near_those_of_what_was_learned() -> None:
    learned = taught(*drawn(random.Random(1), 300, 0.5, 60))
    assert law(learned).quantile(0.5) == pytest.approx(300, rel=0.2)
    assert law(learned).quantile(0.05) == pytest.approx(300 * math.exp(-1.645 * 0.5), rel=0.3)
    assert law(learned).quantile(0.95) == pytest.approx(300 * math.exp(1.645 * 0.5), rel=0.35)
    assert 1 - law(learned).cdf(300) == pytest.approx(0.5, abs=0.15)


def test_two_clusters_stay_two() -> None:
    rng = random.Random(2)
    durations = drawn(rng, 30, 0.15, 30) + drawn(rng, 1000, 0.15, 30)
    rng.shuffle(durations)
    learned = taught(*durations)
    assert law(learned).cdf(600) - law(learned).cdf(60) < 0.03
    assert 1 - law(learned).cdf(60) == pytest.approx(0.5, abs=0.15)


def test_a_look_late_does_not_teach_lateness() -> None:
    """Each task takes 100 s but is seen finished only at 160 s; now and then a look at 105 s tells more."""
    learned = Durations()
    for i in range(60):
        learned = learned.add(105, after=95) if i % 3 == 0 else learned.add(160, after=95)
    assert law(learned).quantile(0.5) < 112


def test_what_was_seen_at_the_first_look_moves_the_law_earlier_step_by_step() -> None:
    learned = taught(*drawn(random.Random(4), 1000, 0.2, 50))
    before = law(learned).quantile(0.05)
    for _ in range(5):
        learned = learned.add(law(learned).quantile(0.05))
    assert law(learned).quantile(0.05) < before


def test_the_law_follows_when_the_vendor_gets_slower_or_faster() -> None:
    rng = random.Random(5)
    for old, new in ((100.0, 400.0), (400.0, 100.0)):
        learned = taught(*drawn(rng, old, 0.2, 200), *drawn(rng, new, 0.2, 60))
        assert law(learned).quantile(0.5) == pytest.approx(new, rel=0.35)


def test_a_sudden_change_is_learned_within_a_few_tasks() -> None:
    """All that is known of the fast tasks is that the first look found them finished, again and again."""
    rng = random.Random(6)
    learned = taught(*drawn(rng, 3600, 0.4, 60))
    for _ in range(8):
        learned = learned.add(max(law(learned).quantile(0.1), 60.0), after=0.0)
    assert law(learned).quantile(0.1) < 120
    learned = taught(*drawn(rng, 60, 0.4, 60))
    for duration in drawn(rng, 3600, 0.4, 8):
        learned = learned.add(duration)
    assert law(learned).quantile(0.5) > 2000


def test_a_single_surprise_changes_little() -> None:
    learned = taught(*drawn(random.Random(7), 300, 0.4, 60))
    for odd in (5.0, 20_000.0):
        assert law(learned.add(odd)).quantile(0.5) == pytest.approx(law(learned).quantile(0.5), rel=0.15)


@given(st.lists(st.tuples(seconds, seconds), max_size=120))
def test_the_record_stays_small_and_survives_json(looks: list[tuple[float, float]]) -> None:
    learned = Durations()
    for a, b in looks:
        learned = learned.add(max(a, b), after=min(a, b))
    assert len(learned.bins) <= MAX_BINS
    assert learned.count == len(looks)
    assert learned.weight <= 1 / (1 - 0.98) + 1e-9
    again = Durations.parse(json.loads(json.dumps(learned.as_dict())))
    assert again.count == learned.count
    assert again.weight == pytest.approx(learned.weight, abs=0.05)


@given(st.lists(seconds, max_size=60), st.floats(0, 1e5))
def test_every_law_is_a_law(durations: list[float], hint: float) -> None:
    belief = law(taught(*durations), hint)
    assert sum(part.weight for part in belief.parts) == pytest.approx(1)
    marks = [belief.cdf(t) for t in (0.5, 5, 50, 500, 5e3, 5e4, 5e5, 1e12)]
    assert marks == sorted(marks)
    assert marks[-1] == pytest.approx(1, abs=0.01)
    for p in (0.01, 0.5, 0.99):
        assert belief.cdf(belief.quantile(p)) == pytest.approx(p, abs=0.02)


def test_a_record_from_dynamodb_or_from_nowhere_is_read() -> None:
    from decimal import Decimal

    assert Durations.parse(None) == Durations()
    assert Durations.parse({}) == Durations()
    read = Durations.parse({"count": Decimal(3), "bins": {"38": Decimal("1.5"), "40": 1}})
    assert read == Durations(((38, 1.5), (40, 1.0)), 3)


def test_the_hint_is_the_first_guess_and_fades() -> None:
    assert law(Durations(), hint=600).quantile(0.01) > 600
    learned = taught(*drawn(random.Random(7), 60, 0.2, 20))
    assert law(learned, hint=600).quantile(0.5) == pytest.approx(60, rel=0.25)


def test_classes_are_a_vendor_and_a_power_of_two() -> None:
    assert size_class("linkvisual", 70) == size_class("linkvisual", 127) == "linkvisual#6"
    assert size_class("linkvisual", 130) != size_class("linkvisual", 70)
    assert size_class("polyv") == size_class("polyv", -1) == "polyv#any"
