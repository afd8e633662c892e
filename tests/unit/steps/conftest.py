"""The small world as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.steps import world as worlds


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[worlds.World]:
    with worlds.world(monkeypatch) as found:
        yield found
