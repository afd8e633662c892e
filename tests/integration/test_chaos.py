"""A slice of the fault campaign: the same code as `make chaos`, one seed, in a stack of its own."""

from __future__ import annotations

import pytest

from local.chaos import report
from local.chaos.campaign import Campaign, Form, run
from local.chaos.users import OUTSIDE

SLICE = Form(seeds=(1,), jobs=16, at_once=16, hangs=False, longest_call=15, patience=20, settling=150)


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return run(SLICE)


@pytest.mark.timeout(600)
def test_no_fault_breaks_a_promise(campaign: Campaign) -> None:
    (tally,) = campaign.tallies.values()

    assert tally.broken == {promise: [] for promise in tally.broken}
    assert tally.jobs == sum(tally.statuses.values()) == SLICE.jobs
    assert tally.stored > 0


def test_faults_of_every_sort_were_committed(campaign: Campaign) -> None:
    (ledger,) = campaign.ledgers
    committed = {where for where, _ in ledger.faults}

    assert committed == {"Lambda", "way to AWS", "way to a vendor", "vendor, API", "vendor, download", OUTSIDE}
    assert {side for _, _, side in ledger.crashes} == {"before", "after"}
    assert (OUTSIDE, "emulator restarted, its state kept") in ledger.faults


def test_the_report_tells_all_of_it(campaign: Campaign) -> None:
    text = report.text(campaign, "make chaos")

    assert "Every promise was kept." in text
    for where, what in campaign.ledgers[0].faults:
        assert f"| {where} | {what} |" in text
