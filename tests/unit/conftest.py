"""The small world of the steps' tests, and the table alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clipferry.store.job_records import Jobs

from tests.unit.steps import world as worlds
from tests.unit.steps.aws import aws


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[worlds.World]:
    with worlds.world(monkeypatch) as found:
        yield found


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    with aws(monkeypatch):
        yield Jobs(("ims", "polyv"))
