"""Patience: seconds of an idle machine, longer on a busy one."""

from __future__ import annotations

import itertools

import pytest

from local.patience import Patience, slowness, until


def looks_until_over(seconds: float, slowness: float) -> int:
    """Looks, one a second, until the patience is over."""
    clock = itertools.count()
    patience = Patience(seconds, clock=lambda: float(next(clock)), slowness=lambda: slowness)
    return next(look for look in itertools.count(1) if patience.over)


@pytest.mark.parametrize(("busy", "looks"), [(1.0, 11), (3.0, 31), (4.5, 46)])
def test_patience_lasts_longer_on_a_busy_machine(busy: float, looks: int) -> None:
    assert looks_until_over(10, busy) == looks


def test_no_machine_is_faster_than_an_idle_one() -> None:
    assert slowness() >= 1


def test_what_comes_is_returned_at_once() -> None:
    answers = iter([None, 0, "", "here"])
    assert until(lambda: next(answers), 60, every=0) == "here"


def test_what_does_not_come_ends_the_wait_and_is_named() -> None:
    with pytest.raises(TimeoutError, match="the event"):
        until(lambda: False, 0, every=0, what="the event")
