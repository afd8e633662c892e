"""What a registered vendor must bring along: without it, the suite fails rather than passes it by."""

from __future__ import annotations

from pathlib import Path

import pytest
from clipferry.intake.job_body import check
from clipferry.vendors import VENDORS, vendor_class

from local.simulators import simulator_class, vendors
from tests.conformance import toy
from tests.conformance.ground import ground

PAGE = Path(__file__).resolve().parents[2] / "docs" / "vendors.md"


def test_a_vendor_without_a_simulator_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENDORS, "nobody", VENDORS["polyv"])
    with pytest.raises(LookupError, match=r"nobody has no simulator in local/simulators/nobody\.py"):
        ground(monkeypatch, "nobody").__enter__()


def test_a_simulator_is_found_by_the_vendors_name() -> None:
    assert sorted(vendors()) == sorted(VENDORS)


def test_what_is_played_is_what_users_may_ask_for(vendor: str) -> None:
    stage = simulator_class(vendor).stage
    assert stage.many is not None
    for scene in (stage.one, stage.three, stage.partly, stage.odd, stage.empty, stage.many):
        assert check({"vendor": vendor, "request": scene.request}) == []
    assert check({"vendor": vendor, "adopt": stage.unknown}) == []
    assert stage.lost
    assert stage.repeated is not None
    assert stage.partly.code
    assert stage.odd.code
    assert stage.empty.code


def test_a_vendor_goes_by_the_name_it_is_registered_under(vendor: str) -> None:
    assert vendor_class(vendor).name == simulator_class(vendor).vendor == vendor


def test_the_vendors_page_has_a_section_for_it(vendor: str) -> None:
    assert vendor == toy.NAME or f"\n## {vendor}\n" in PAGE.read_text()
