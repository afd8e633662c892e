"""The machine's definition as text: what AWS and the emulator both do right, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clipferry.jobs.job import DEADLINE_MAX
from clipferry.steps.step_result import HAND_OVER_AT

from tests.unit.stack.second_opinion import FUNCTIONS, definition, lambda_states, levels

EVENTS = Path(__file__).resolve().parents[3] / "events"
DEFINITION = definition()
DAY = 86_400


STATES = {name: state for level in levels(DEFINITION) for name, state in level["States"].items()}
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
LAMBDAS = lambda_states()


def targets(state: dict[str, Any]) -> Iterator[str]:
    for key in ("Next", "Default"):
        if key in state:
            yield state[key]
    for branch in [*state.get("Choices", []), *state.get("Catch", [])]:
        yield branch["Next"]


def expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)
    elif isinstance(value, str) and value.startswith("{%"):
        yield value


@pytest.mark.parametrize("level", list(levels(DEFINITION)), ids=lambda level: level["StartAt"])
def test_every_state_is_reached_and_every_target_exists(level: dict[str, Any]) -> None:
    reached, pending = set[str](), [level["StartAt"]]
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending.extend(targets(level["States"][name]))

    assert reached == set(level["States"])


def test_state_names_are_unique_in_the_whole_machine() -> None:
    assert len(STATES) == sum(len(level["States"]) for level in levels(DEFINITION))


def test_the_machine_lives_one_day_longer_than_the_longest_deadline() -> None:
    assert DEFINITION["TimeoutSeconds"] == DEADLINE_MAX + DAY


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_a_literal_timeout_and_a_catch_for_everything(name: str) -> None:
    assert isinstance(TASKS[name]["TimeoutSeconds"], int)
    assert TASKS[name]["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("name", LAMBDAS)
def test_whatever_a_function_raises_is_tried_again_with_backoff_a_cap_and_full_jitter(name: str) -> None:
    throttled, service, anything = LAMBDAS[name]["Retry"]

    assert anything["ErrorEquals"] == ["States.ALL"]
    assert {
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.Unknown",
    } <= set(service["ErrorEquals"])
    for retrier in (throttled, service, anything):
        assert retrier["BackoffRate"] > 1
        assert retrier["MaxDelaySeconds"] <= 300
        assert retrier["JitterStrategy"] == "FULL"


def test_every_state_of_both_machines_that_calls_a_function_tries_again_in_the_same_way() -> None:
    blocks = {
        (machine, name): json.dumps(state["Retry"])
        for machine in FUNCTIONS
        for name, state in lambda_states(machine).items()
    }

    assert len(blocks) == 8
    assert {where for where, block in blocks.items() if block != json.dumps(LAMBDAS["Poll"]["Retry"])} == set()


def test_a_throttled_call_waits_for_as_long_as_it_takes_and_never_fails_the_job() -> None:
    throttled = LAMBDAS["Poll"]["Retry"][0]

    assert throttled["ErrorEquals"] == [
        "Lambda.TooManyRequestsException",
        "Lambda.EC2ThrottledException",
        "Lambda.ENILimitReachedException",
    ]
    assert throttled["MaxAttempts"] == 99_999_999, "the most that Step Functions takes"
    tries_an_hour = 3600 / (throttled["MaxDelaySeconds"] / 2)  # full jitter waits half of it on average
    left = 25_000 - HAND_OVER_AT
    assert left / (tries_an_hour * 3) > 7 * 24, "a week of nothing else until the history is full and the sweep goes on"
    assert left / (tries_an_hour * 3 * STATES["DownloadReady"]["MaxConcurrency"]) > 2 * 24


def test_a_caught_error_leads_to_finish_by_the_name_of_its_state() -> None:
    outside = {name: state for name, state in DEFINITION["States"].items() if "Catch" in state and name != "Finish"}

    for name, state in outside.items():
        catcher = state["Catch"][-1]
        assert (catcher["Next"], catcher["Output"]) == ("Finish", {"caught": name})
    assert DEFINITION["States"]["Finish"]["Catch"][-1]["Next"] == "Failed"


def test_a_file_that_cannot_be_copied_ends_its_own_iteration_only() -> None:
    inside = DEFINITION["States"]["DownloadReady"]["ItemProcessor"]["States"]

    assert inside[inside["Download"]["Catch"][-1]["Next"]]["Type"] == "Succeed"


@pytest.mark.parametrize(
    ("function", "keys"),
    [
        ("Trigger", {"job_id", "generation", "events", "waited"}),
        ("Poll", {"job_id", "generation", "events", "waited", "broken"}),
        ("Download", {"job_id", "generation", "file_id"}),
        ("Finish", {"job_id", "generation", "caught"}),
    ],
)
def test_a_function_is_handed_ids_and_counters_and_nothing_else(function: str, keys: set[str]) -> None:
    samples = [json.loads(path.read_text()) for path in EVENTS.glob(f"{function.lower()}*.json")]

    assert set(LAMBDAS[function]["Arguments"]["Payload"]) == keys
    assert samples
    assert all(set(sample) == keys for sample in samples)


def test_nothing_depends_on_what_one_of_the_two_interpreters_gets_wrong() -> None:
    for name, state in STATES.items():
        assert state["Type"] != "Parallel", name
        assert "HeartbeatSeconds" not in state, name
        if state["Type"] in ("Succeed", "Choice"):
            assert "Output" not in state, name
        assigned = state.get("Assign", {})
        for variable, value in assigned.items():  # its own old value is the same to both
            others = [f"${other}" for other in assigned if other != variable]
            assert not any(other in text for other in others for text in expressions(value)), name
    assert not any("$eval" in text for text in expressions(DEFINITION))


def test_variables_are_assigned_before_they_are_read() -> None:
    first = DEFINITION["States"][DEFINITION["StartAt"]]
    assigned = set(first["Assign"])
    read = {name for text in expressions(STATES) for name in re.findall(r"\$([a-z_]+)\b(?!\()", text)} - {"states"}

    assert read == assigned == set(first["Catch"][-1]["Assign"])
