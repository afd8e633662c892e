"""The batch machine: its definition as text, and what an execution does on another interpreter than the emulator's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from clipferry.intake.manifest import division

from tests.unit.stack.second_opinion import (
    Answer,
    FunctionRaised,
    Run,
    definition,
    execute,
    lambda_states,
    levels,
)
from tests.unit.stack.transformed import ROOT, deployed, of_type, statements

STACK = deployed()
MACHINE = definition("batch")
STATES = {name: state for level in levels(MACHINE) for name, state in level["States"].items()}
LAMBDAS = lambda_states("batch")
MAPS = [MACHINE["States"][name] for name in ("Submit", "Cancel")]
OF = {"batch_id": "01KAJ3Q0M7Z8V4T2R9XW5CY6DE", "generation": 1}
INDEX = ".clipferry/batches/01KAJ3Q0M7Z8V4T2R9XW5CY6DE/index.json"
CHUNKS = [{"number": n, "start": 100 * n, "end": 100 * n + 100, "line": 1 + 25 * n} for n in range(5)]


def state(following: str, status: str = "SUBMITTING") -> dict[str, Any]:
    return {**OF, "next": following, "status": status, "index_key": INDEX}


def run(
    prepare: list[Answer],
    close: Answer,
    *,
    submit: Callable[[dict[str, Any]], Answer] | None = None,
    cancel: Callable[[dict[str, Any]], Answer] | None = None,
    index: Any = CHUNKS,
) -> Run:
    prepared = list(prepare)

    def play(function: str, payload: dict[str, Any]) -> Answer:
        if function == "Sweep":
            assert cancel is not None
            return cancel(payload)
        if payload["step"] == "submit":
            return submit(payload) if submit else {"submitted": True}
        if payload["step"] == "close":
            return close
        return prepared.pop(0) if len(prepared) > 1 else prepared[0]

    return execute(play, machine="batch", given=OF, objects={INDEX: index})


def steps(found: Run) -> list[str]:
    return [payload["step"] for payload in found.called("Batch")]


class TestAnExecution:
    def test_submits_every_chunk_and_closes(self) -> None:
        found = run([state("PREPARE"), state("SUBMIT")], state("END", "SUBMITTED"))

        assert found.status == "SUCCEEDED"
        submitted = [p for p in found.called("Batch") if p["step"] == "submit"]
        assert sorted((p["chunk"] for p in submitted), key=lambda c: c["number"]) == CHUNKS
        assert all({key: p[key] for key in OF} == OF for p in found.called("Batch"))
        assert (steps(found)[:2], steps(found)[-1]) == (["prepare", "prepare"], "close")

    def test_one_chunk_that_raises_for_good_keeps_none_of_the_others(self) -> None:
        def submit(payload: dict[str, Any]) -> Answer:
            return FunctionRaised("KeyError") if payload["chunk"]["number"] == 2 else {"submitted": True}

        found = run([state("SUBMIT")], state("FAILED", "FAILED"), submit=submit)

        called = [p["chunk"]["number"] for p in found.called("Batch") if p["step"] == "submit"]
        assert set(called) == set(range(5))
        assert called.count(2) > 1, "an exception means: try me again"
        assert steps(found)[-1] == "close"
        assert (found.status, found.error) == ("FAILED", "BATCH_FAILED")

    def test_an_index_that_cannot_be_read_leads_to_close(self) -> None:
        found = run([state("SUBMIT")], state("FAILED", "FAILED"), index={"no": "list"})

        assert steps(found) == ["prepare", "close"]
        assert found.status == "FAILED"

    def test_cancels_every_chunk_and_waits_for_calls_that_may_still_make_jobs(self) -> None:
        waits = {3: [5, 5, 0]}

        def cancel(payload: Mapping[str, Any]) -> Answer:
            assert set(payload) == {*OF, "chunk"}
            return {"wait_seconds": waits.get(payload["chunk"], [0]).pop(0)}

        found = run([state("CANCEL", "CANCELLING")], state("END", "CANCELLED"), cancel=cancel)

        assert sorted(p["chunk"] for p in found.called("Sweep")) == [0, 1, 2, 3, 3, 3, 4]
        assert found.waits == [5, 5]
        assert (found.status, steps(found)) == ("SUCCEEDED", ["prepare", "close"])

    @pytest.mark.parametrize(
        ("following", "last", "status"),
        [
            ("END", "Done", "SUCCEEDED"),
            ("STOP", "Superseded", "SUCCEEDED"),
            ("FAILED", "Failed", "FAILED"),
            ("NOWHERE", "Failed", "FAILED"),
        ],
    )
    def test_ends_as_it_is_told(self, following: str, last: str, status: str) -> None:
        prepared = run([state(following)], state("END"))
        closed = run([state("CLOSE")], state(following))

        assert (prepared.states[-1], prepared.status) == (closed.states[-1], closed.status) == (last, status)
        assert steps(prepared) == ["prepare"]

    @pytest.mark.parametrize("step", ["prepare", "close"])
    def test_a_step_that_raises_for_good_fails_it_with_its_name(self, step: str) -> None:
        prepare: Answer = FunctionRaised("KeyError") if step == "prepare" else state("CLOSE")

        found = run([prepare], FunctionRaised("KeyError"))

        assert (found.status, found.error) == ("FAILED", "BATCH_FAILED")
        assert found.cause is not None
        assert OF["batch_id"] in found.cause


class TestTheDefinition:
    def test_every_state_is_reached_and_every_target_exists(self) -> None:
        for level in levels(MACHINE):
            reached, pending = set[str](), [level["StartAt"]]
            while pending:
                name = pending.pop()
                if name not in reached:
                    reached.add(name)
                    found = level["States"][name]
                    branches = [*found.get("Choices", []), *found.get("Catch", [])]
                    pending += [b["Next"] for b in branches] + [found[k] for k in ("Next", "Default") if k in found]
            assert reached == set(level["States"])

    def test_mixes_the_query_languages_the_one_way_that_is_allowed(self) -> None:
        assert "QueryLanguage" not in MACHINE
        for name, found in STATES.items():
            if found["Type"] == "Map":
                assert "QueryLanguage" not in found
            elif found["Type"] != "Succeed":
                assert found["QueryLanguage"] == "JSONata", name

    @pytest.mark.parametrize("found", MAPS, ids=lambda found: found["Label"])
    def test_a_map_is_bounded_tolerant_and_leaves_nothing_in_the_state(self, found: dict[str, Any]) -> None:
        assert found["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        assert 0 < found["MaxConcurrency"] <= 40
        assert found["ToleratedFailurePercentage"] == 100
        assert found["ResultPath"] is None
        assert not {"ResultWriter", "ItemBatcher"} & set(found)
        assert found["Catch"][-1]["Next"] == "Close"
        ends = [inner for inner in found["ItemProcessor"]["States"].values() if inner.get("End")]
        assert {json.dumps(inner["Output"]) for inner in ends} == {"{}"}

    @pytest.mark.parametrize("name", ["SubmitChunk", "CancelChunk"])
    def test_a_chunk_that_fails_for_good_comes_back_as_small_as_one_that_does_not(self, name: str) -> None:
        (caught,) = LAMBDAS[name]["Catch"]

        assert caught["ErrorEquals"] == ["States.ALL"]
        assert caught["Output"] == STATES[caught["Next"]]["Output"] == {}
        assert STATES[caught["Next"]]["End"]

    def test_the_results_of_the_largest_map_fit_into_a_state(self) -> None:
        assert division.LINES_MAX / division.CHUNK_LINES * len("{},") < 256 * 1024

    @pytest.mark.parametrize("name", LAMBDAS)
    def test_a_task_waits_longer_than_its_function_lives(self, name: str) -> None:
        function = LAMBDAS[name]["Arguments"]["FunctionName"].rpartition(":")[2]
        timeout = of_type(STACK, "AWS::Lambda::Function")[f"{function}Function"]["Timeout"]

        assert isinstance(LAMBDAS[name]["TimeoutSeconds"], int)
        assert timeout < LAMBDAS[name]["TimeoutSeconds"]

    @pytest.mark.parametrize(
        ("name", "sample"),
        [
            ("Prepare", "batch-prepare"),
            ("SubmitChunk", "batch-submit"),
            ("Close", "batch-close"),
            ("CancelChunk", "sweep-cancel-chunk"),
        ],
    )
    def test_a_function_is_handed_what_its_sample_shows(self, name: str, sample: str) -> None:
        event = json.loads((ROOT / "events" / f"{sample}.json").read_text())

        assert set(LAMBDAS[name]["Arguments"]["Payload"]) == set(event)
        assert LAMBDAS[name]["Arguments"]["Payload"].get("step") == event.get("step")

    def test_every_placeholder_is_filled(self) -> None:
        text = (Path(ROOT) / "statemachine" / "batch.asl.json").read_text()

        filled = STACK["BatchMachine"]["Properties"]["DefinitionSubstitutions"]

        assert set(re.findall(r"\$\{(\w+)\}", text)) == set(filled)


class TestTheRole:
    """As AWS documents it for distributed maps; the emulator enforces none of it."""

    role = STACK["BatchMachineRole"]["Properties"]

    def test_may_do_exactly_what_the_machine_does(self) -> None:
        arn = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:"
        calls = [{"Fn::GetAtt": [f"{name}Function", "Arn"]} for name in ("Batch", "Sweep")]

        assert {s["Sid"]: (s["Action"], s["Resource"]) for s in statements(self.role)} == {
            "CallTheFunctions": (["lambda:InvokeFunction"], calls),
            "ReadTheChunks": (["s3:GetObject"], [{"Fn::Sub": "${Bucket.Arn}/.clipferry/batches/*"}]),
            "RunTheMaps": (["states:StartExecution"], [{"Fn::Sub": arn + "stateMachine:${AWS::StackName}-batch"}]),
            "WatchAndStopTheMaps": (
                ["states:DescribeExecution", "states:StopExecution"],
                [{"Fn::Sub": arn + "execution:${AWS::StackName}-batch:*"}],
            ),
            "RedriveTheMaps": (
                ["states:RedriveExecution"],
                [{"Fn::Sub": arn + "execution:${AWS::StackName}-batch/*"}],
            ),
        }
        assert not self.role.get("ManagedPolicyArns")

    def test_names_the_machine_as_it_is_named(self) -> None:
        assert STACK["BatchMachine"]["Properties"]["StateMachineName"] == {"Fn::Sub": "${AWS::StackName}-batch"}

    def test_decrypts_with_the_key_when_there_is_one(self) -> None:
        key = "arn:aws:kms:us-east-1:123456789012:key/5d1f"
        with_key = deployed(KmsKeyId=key)["BatchMachineRole"]["Properties"]

        assert [s["Action"] for s in statements(with_key) if s["Resource"] == [{"Ref": "KmsKeyId"}]] == [
            ["kms:Decrypt"]
        ]
