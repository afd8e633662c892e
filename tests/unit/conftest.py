"""The small world of the steps' tests, and the table alone."""

from __future__ import annotations

from collections.abc import Iterator

import moto.core.models
import pytest
from clipferry.store.job_records import Jobs

from tests.unit.steps import world as worlds
from tests.unit.steps.aws import aws

# moto would mock the calls of `requests` to AWS too, by 1,288 patterns for each test; nothing here makes any.
moto.core.models.RESPONSES_METHODS = []


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[worlds.World]:
    with worlds.world(monkeypatch) as found:
        yield found


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    with aws(monkeypatch):
        yield Jobs(("ims", "polyv"))
