"""A fifth vendor, which exists for the tests alone: one module, one registry line, one simulator."""

from __future__ import annotations

import sys

import pytest
from clipferry.vendors import VENDORS

from tests.conformance.toy import simulator

NAME = "toy"


def register(monkeypatch: pytest.MonkeyPatch, kind: str = "vendor:Toy") -> None:
    """What adding a vendor takes: the registry's line, and a simulator where simulators are looked for.

    `kind`: the class, by its module in this package.
    """
    monkeypatch.setitem(VENDORS, NAME, f"tests.conformance.toy.{kind}")
    monkeypatch.setitem(sys.modules, f"local.simulators.{NAME}", simulator)
