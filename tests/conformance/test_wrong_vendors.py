"""The suite fails vendors that make a mistake: a toy's, and the registered ones', changed in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from clipferry.vendors.cloudv import vendor as cloudv
from clipferry.vendors.ims import look as ims_look
from clipferry.vendors.ims import vendor as ims
from clipferry.vendors.linkvisual import recording as linkvisual
from clipferry.vendors.polyv import vendor as polyv

from tests.conformance import test_asking as suite
from tests.conformance import toy
from tests.conformance.ground import Ground, ground

Test = Callable[[Ground], None]


def older_work(played: Ground) -> None:
    suite.test_older_work_of_the_same_source_is_never_taken_for_that_of_a_lost_trigger(played, acted=False)


def unproven(played: Ground) -> None:
    faults = suite.UNPROVEN[:3]
    suite.test_a_trigger_that_was_carried_out_is_not_sent_again_for_what_was_answered(played, faults)


def fails(monkeypatch: pytest.MonkeyPatch, vendor: str, test: Test) -> None:
    with ground(monkeypatch, vendor) as played, pytest.raises(AssertionError):
        test(played)


def passes(monkeypatch: pytest.MonkeyPatch, vendor: str, test: Test) -> None:
    with ground(monkeypatch, vendor) as played:
        test(played)


WRONG_TOYS: list[tuple[str, Test]] = [
    ("AsksAnew", suite.test_a_retry_asks_for_nothing_that_is_stored),
    ("AsksForTooMany", suite.test_more_files_than_one_call_takes_are_all_stored),
    ("AsksForTooMany", suite.test_more_files_than_one_call_takes_are_all_adopted),
    ("TakesOlderWork", older_work),
    ("SendsAgain", unproven),
    ("SendsAgain", suite.test_a_trigger_that_the_vendor_says_it_had_before_is_not_sent_again),
    ("KnowsNothingBeforeTheEnd", suite.test_a_vendor_that_is_merely_slow_is_followed_to_the_end),
]


@pytest.mark.parametrize(("wrong", "test"), WRONG_TOYS)
def test_a_toy_with_a_mistake_does_not_pass(monkeypatch: pytest.MonkeyPatch, wrong: str, test: Test) -> None:
    toy.register(monkeypatch)
    passes(monkeypatch, toy.NAME, test)
    toy.register(monkeypatch, f"wrong:{wrong}")
    fails(monkeypatch, toy.NAME, test)


def all_files(task: Any) -> list[Any]:
    return cloudv.files_of(task.request)


MISTAKES: list[tuple[str, Any, str, Any, Test]] = [
    ("ims", ims, "SUBMIT_BATCH", 21, suite.test_more_files_than_one_call_takes_are_all_stored),
    ("ims", ims_look, "QUERY_BATCH", 11, suite.test_more_files_than_one_call_takes_are_all_stored),
    ("ims", ims, "_ours", lambda *_: True, older_work),
    ("linkvisual", linkvisual, "EARLIEST", 3600.0, older_work),
    ("cloudv", cloudv, "_missing_files", all_files, suite.test_a_retry_asks_for_nothing_that_is_stored),
    ("polyv", polyv, "_wanted", lambda task: task.request["vids"], suite.test_a_retry_asks_for_nothing_that_is_stored),
]


@pytest.mark.parametrize(("vendor", "module", "name", "value", "test"), MISTAKES)
def test_a_registered_vendor_with_a_mistake_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, vendor: str, module: Any, name: str, value: Any, test: Test
) -> None:
    monkeypatch.setattr(module, name, value)
    fails(monkeypatch, vendor, test)
