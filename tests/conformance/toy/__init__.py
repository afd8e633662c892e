"""A fifth vendor, which exists for the tests alone: one module, one registry line, one simulator."""

from __future__ import annotations

import sys

import pytest
from clipferry.vendors import VENDORS

from tests.conformance.toy import simulator

NAME = "toy"


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """What adding a vendor takes: the registry's line, and a simulator where simulators are looked for."""
    monkeypatch.setitem(VENDORS, NAME, "tests.conformance.toy.vendor:Toy")
    monkeypatch.setitem(sys.modules, f"local.simulators.{NAME}", simulator)
