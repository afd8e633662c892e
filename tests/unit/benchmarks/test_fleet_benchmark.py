"""How the benchmarks of many jobs count: states from a history, what a job used, what that costs, what was missed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from tests.benchmarks import prices
from tests.benchmarks.bulk import Submitted
from tests.benchmarks.cost import apart, dollars, gb_seconds, per_job
from tests.benchmarks.counted import Counts, counted
from tests.benchmarks.fleet import Run, Usage
from tests.benchmarks.scale import misses
from tests.benchmarks.states import transitions

Event = dict[str, Any]


def entered(kind: str, **given: Any) -> Event:
    return {"type": f"{kind}StateEntered", "stateEnteredEventDetails": {"input": json.dumps(given)}}


def succeeded(**said: Any) -> Event:
    return {"type": "TaskSucceeded", "taskSucceededEventDetails": {"output": json.dumps({"Payload": said})}}


TASK: list[Event] = [entered("Task"), {"type": "TaskScheduled"}, succeeded(next="WAIT"), {"type": "TaskStateExited"}]


def test_a_task_is_one_transition_and_so_is_each_of_its_retries() -> None:
    failed = [{"type": "TaskScheduled"}, {"type": "TaskFailed"}]

    assert transitions(TASK) == 1
    assert transitions([TASK[0], *failed, *failed, *TASK[1:]]) == 3


def test_inside_a_map_each_download_more_pause_and_end_is_one() -> None:
    whole = {"more": False, "wait_seconds": 0}
    one = [entered("Map", ready=["f001"]), {"type": "TaskScheduled"}, succeeded(**whole), {"type": "MapStateExited"}]
    outcomes = [
        {"type": "TaskScheduled"},
        succeeded(more=True, wait_seconds=5),
        {"type": "TaskScheduled"},
        succeeded(**whole),
    ]

    assert transitions(one) == 1 + 3, "DownloadReady; Download, More, Settled"
    assert transitions([one[0], *outcomes, one[-1]]) == 1 + 6, "… and Pause, Download, More before Settled"
    assert transitions([*one, *TASK]) == 1 + 3 + 1


def run(size: int, requests: dict[tuple[str, str, str], float], **given: Any) -> Run:
    usage = Usage(Counter({"linkvisual": 6 * size, "ims": 2 * size}), Counter(requests))  # type: ignore[arg-type]
    values: dict[str, Any] = {
        "statuses": Counter({"SUCCEEDED": size}),
        "lost": 0,
        "unequal": 0,
        "memory": {"poll": (100.0, 512)},
    }
    return Run(size, 60.0, size, transitions=13.0, usage=usage, **{**values, **given})


REQUESTS = {
    ("poll", "lambda", "invocations"): 16.0,
    ("poll", "lambda", "milliseconds"): 3200.0,
    ("poll", "dynamodb", "Query"): 16.0,
    ("poll", "dynamodb", "UpdateItem"): 24.0,
    ("poll", "capacity", "read"): 8.0,
    ("poll", "capacity", "write"): 80.0,
    ("sweep", "dynamodb", "Query"): 999.0,
    ("sweep", "lambda", "invocations"): 9.0,
}


def test_what_a_job_used_leaves_the_sweep_out_and_weighs_vendors_alike() -> None:
    used = per_job(run(8, REQUESTS))

    assert used["vendor calls"] == pytest.approx((6 * 8 / 2 + 2 * 8 / 2 + 0 + 0) / 4)
    assert (used["Lambda invocations"], used["DynamoDB reads"], used["DynamoDB writes"]) == (2.0, 2.0, 3.0)
    assert (used["read units"], used["write units"], used["state transitions"]) == (1.0, 10.0, 13.0)


def test_a_price_is_what_was_used_times_the_list() -> None:
    one = run(8, REQUESTS)

    assert gb_seconds(one, one) == {"poll": pytest.approx(2 * 0.2 * 0.5)}
    assert dollars(one, one)["Step Functions"] == pytest.approx(1000 * 13 * prices.TRANSITION)
    assert dollars(one, one)["DynamoDB"] == pytest.approx(1000 * (prices.READ_UNIT + 10 * prices.WRITE_UNIT))


def test_runs_are_apart_by_a_share_of_their_middle() -> None:
    assert apart([9.5, 10.0, 10.5]) == pytest.approx(0.05)
    assert apart([0.0, 0.0]) == 0.0


def test_every_loss_is_named() -> None:
    fine = Submitted(10, "SUBMITTED", 1.0, [3, 6], 3, 10, 0, 0, 10, 1.0, 1.0, 1.0)
    lossy = Submitted(10, "SUBMITTED", 1.0, [3, 6], 3, 9, 1, 0, 9, 1.0, 1.0, 1.0)

    assert misses([run(8, REQUESTS)], fine) == []
    assert len(misses([run(8, REQUESTS)], lossy)) == 1
    assert len(misses([run(8, REQUESTS, lost=1), run(8, REQUESTS, memory={"poll": (600.0, 512)})], fine)) == 2


def test_the_door_counts_for_each_function_what_aws_would_bill() -> None:
    async def table(*_: Any) -> tuple[Any, ...]:
        return 200, {}, json.dumps({"ConsumedCapacity": {"CapacityUnits": 5.0}}).encode()

    counts = Counts()
    counts.functions["KEY"] = "clipferry-poll"
    ask = counted(counts, "dynamodb", table)
    for key in ("KEY", "SOMEBODY"):
        headers = {"x-amz-target": "DynamoDB_20120810.UpdateItem", "authorization": f"AWS4 Credential={key}/2026/x"}
        asyncio.run(ask("POST", "/", headers, b"{}", {}))

    assert counts.found == {
        ("clipferry-poll", "dynamodb", "UpdateItem"): 1,
        ("clipferry-poll", "capacity", "write"): 5.0,
    }
