"""The benchmark's bounds, on fewer repeats: after fifty jobs the cadence is near what perfect knowledge would do."""

from __future__ import annotations

import pytest

from tests.benchmarks.cadence import CLIP, HASTENING, REPORTED, Outcome, Row, Workload, calls_at, optimal_curve


@pytest.mark.parametrize("workload", [CLIP, HASTENING, REPORTED], ids=lambda workload: workload.name)
def test_every_bound_is_kept_after_fifty_jobs(workload: Workload) -> None:
    assert Row.measure(workload, repeats=2).misses() == []


def test_the_optimum_for_clips_at_five_seconds_of_lag_is_the_known_one() -> None:
    assert calls_at(optimal_curve(CLIP), 5.0) == pytest.approx(3.3, abs=0.05)


def test_a_missed_bound_is_named() -> None:
    poor = Row(CLIP, Outcome(9, 9, 9), Outcome(9, 9, 999), best_calls=5, fixed_calls=8, exponential_lag=10)
    assert len(poor.misses()) == 4
