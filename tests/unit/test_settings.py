"""The functions' environment: what no function can work with is refused at its start, by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clipferry.settings import BadSetting, settings


@pytest.fixture(autouse=True)
def read_afresh() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize("name", ["GLACIER", "DEEP_ARCHIVE"])
def test_a_storage_class_whose_objects_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("STORAGE_CLASS", name)
    with pytest.raises(BadSetting, match=f"StorageClass {name}: its objects cannot be read"):
        settings()


@pytest.mark.parametrize("name", ["", "STANDARD_IA", "GLACIER_IR"])
def test_a_storage_class_whose_objects_can_be_read_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("STORAGE_CLASS", name)
    assert settings().storage_class == name
