"""Whatever a manifest holds, its batch comes to an end, each line is accounted for, and nothing tells a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clipferry.batches import BatchStatus
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fuzz.hostile import SECRET, as_text, changed, fuzzed, in_time, texts
from tests.unit.fuzz.test_doors import BODIES
from tests.unit.steps.batching import Batching
from tests.unit.steps.world import World

COLUMNS = ("vendor", "account", "prefix", "label.site", "request.url", "request.iot_id", "request.record_duration")
COLUMNS += ("request.upload_urls", "adopt.task_id", "deadline_seconds", "on_uncertain")
NUMBERS = iter(range(10**9))

json_lines = st.lists(st.one_of(changed(BODIES).map(as_text), texts), min_size=1, max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> list[str]:
    """Lines of CSV, more or less."""
    mark = draw(st.sampled_from(",;\t"))
    columns = draw(st.lists(st.one_of(st.sampled_from(COLUMNS), texts), min_size=1, max_size=5))
    odd = ["scripted", "linkvisual", "60", '"a', '"a""b"', '"a\nb"', '["a"]', "x" * 300]
    cells = st.one_of(texts, st.sampled_from(odd))
    rows = draw(st.lists(st.lists(cells, max_size=6), max_size=5))
    return [mark.join(row) for row in [columns, *rows]]


@pytest.fixture
def batching(world: World) -> Iterator[Batching]:
    return Batching(world)


def run(batching: Batching, lines: list[str], suffix: str) -> None:
    key = f"manifests/{next(NUMBERS)}.{suffix}"
    content = [line.encode("utf-8", "surrogatepass") for line in lines]
    batch_id = batching.post(*content, key=key)
    with in_time(10):
        batching.execute(batch_id)

    batch, shown = batching.batch(batch_id), batching.shown(batch_id)
    told = report(batching, batch_id) if batch.report else []
    assert batch.status in (BatchStatus.SUBMITTED, BatchStatus.FAILED)
    if batch.status is BatchStatus.FAILED:
        assert batch.error
        assert batch.error.code.startswith("MANIFEST_")
    else:
        counted: dict[str, Any] = shown["lines"]
        assert counted["waiting"] == 0
        assert counted["accepted"] + counted["rejected"] + counted["duplicates"] == counted["total"]
        assert counted["rejected"] + counted["duplicates"] == len(told)
    assert SECRET not in json.dumps([shown, told])


def report(batching: Batching, batch_id: str) -> list[dict[str, Any]]:
    return batching.report(batch_id)


@fuzzed(12)
@given(lines=json_lines)
def test_any_lines_of_json_are_jobs_or_in_the_report(batching: Batching, lines: list[str]) -> None:
    run(batching, lines, "jsonl")


@fuzzed(12)
@given(lines=tables())
def test_any_table_is_jobs_or_in_the_report(batching: Batching, lines: list[str]) -> None:
    run(batching, lines, "csv")
