"""Every test that asks for `vendor` or `ground` runs once for each registered vendor, and once for a toy one.

Nothing here or in the tests knows any vendor: a new one is in the suite when it is in the registry.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clipferry.vendors import VENDORS

from tests.conformance import toy
from tests.conformance.ground import Ground
from tests.conformance.ground import ground as prepared


@pytest.fixture(params=[*VENDORS, toy.NAME])
def vendor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == toy.NAME:
        toy.register(monkeypatch)
    return str(request.param)


@pytest.fixture
def ground(vendor: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with prepared(monkeypatch, vendor) as found:
        yield found
