"""What an execution does for each answer of the functions, on an interpreter that is not the emulator's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.unit.stack.second_opinion import INPUT, Answer, FunctionRaised, execute, refused

JOB = INPUT["job_id"]


class Script:
    """Plays each function's answers in turn, the last one for ever; of `Download` one list for each file."""

    def __init__(self, *, download: Mapping[str, list[Answer]] | None = None, **answers: Answer | list[Answer]) -> None:
        self._answers = {name.title(): list(a) if isinstance(a, list) else [a] for name, a in answers.items()}
        self._answers |= {f"Download {file_id}": list(a) for file_id, a in (download or {}).items()}

    def __call__(self, function: str, payload: dict[str, Any]) -> Answer:
        key = f"{function} {payload['file_id']}" if function == "Download" else function
        answers = self._answers[key]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def turn(next_state: str, wait: int = 0, ready: Iterable[str] = (), then: str = "WAIT") -> dict[str, Any]:
    return {**INPUT, "next": next_state, "wait_seconds": wait, "ready": list(ready), "then": then}


def outcome(more: bool = False, wait: int = 0) -> dict[str, Any]:
    return {"more": more, "wait_seconds": wait}


def ending(status: str, next_state: str = "END", wait: int = 0) -> dict[str, Any]:
    return {"next": next_state, "status": status, "wait_seconds": wait}


DONE = ending("SUCCEEDED")


def test_one_file_goes_the_whole_way() -> None:
    poll = turn("DOWNLOAD", ready=["f001"], then="FINISH")

    run = execute(Script(trigger=turn("WAIT", 70), poll=poll, download={"f001": [outcome()]}, finish=DONE))

    assert run.status == "SUCCEEDED"
    assert run.waits == [70]
    assert run.calls == [
        ("Trigger", {**INPUT, "events": 0, "waited": 0}),
        ("Poll", {**INPUT, "events": 10, "waited": 70, "broken": []}),
        ("Download", {**INPUT, "file_id": "f001"}),
        ("Finish", {**INPUT, "caught": None}),
    ]


def test_files_are_downloaded_as_they_become_ready_and_the_vendor_is_asked_for_the_rest() -> None:
    polls: list[Answer] = [
        turn("WAIT", 20),
        turn("DOWNLOAD", 15, ["f001"]),
        turn("DOWNLOAD", 0, ["f002", "f003"], then="FINISH"),
    ]
    files: dict[str, list[Answer]] = {name: [outcome()] for name in ("f001", "f002", "f003")}

    run = execute(Script(trigger=turn("WAIT", 10), poll=polls, download=files, finish=DONE))

    assert run.status == "SUCCEEDED"
    assert run.waits == [10, 20, 15]
    assert sorted(payload["file_id"] for payload in run.called("Download")) == ["f001", "f002", "f003"]
    assert len(run.called("Poll")) == 3


def test_a_wait_of_zero_seconds_costs_no_wait_state() -> None:
    polls: list[Answer] = [turn("WAIT", 0), turn("FINISH")]

    run = execute(Script(trigger=turn("POLL"), poll=polls, finish=DONE))

    assert run.states == ["Trigger", "Route", "Poll", "Route", "Poll", "Route", "Finish", "Ended", "Done"]


def test_a_trigger_that_has_more_to_do_or_no_budget_is_called_again() -> None:
    triggers: list[Answer] = [turn("TRIGGER"), turn("TRIGGER", 30), turn("WAIT", 5)]

    run = execute(Script(trigger=triggers, poll=turn("FINISH"), finish=DONE))

    assert run.called("Trigger") == [
        {**INPUT, "events": events, "waited": waited} for events, waited in ((0, 0), (10, 0), (20, 30))
    ]
    assert run.waits == [30, 5]
    assert run.status == "SUCCEEDED"


def test_a_download_is_called_until_there_is_no_more() -> None:
    outcomes: list[Answer] = [outcome(more=True), outcome(more=True, wait=8), outcome()]
    poll = turn("DOWNLOAD", ready=["f001"], then="FINISH")

    run = execute(Script(trigger=turn("POLL"), poll=poll, download={"f001": outcomes}, finish=DONE))

    assert run.called("Download") == [{**INPUT, "file_id": "f001"}] * 3
    assert run.waits == [8]
    assert run.status == "SUCCEEDED"


def test_one_broken_file_does_not_end_the_others() -> None:
    files: dict[str, list[Answer]] = {
        "f001": [FunctionRaised("MemoryError")],
        "f002": [outcome(more=True), outcome()],
        "f003": [outcome()],
    }
    poll = turn("DOWNLOAD", ready=files, then="FINISH")

    run = execute(Script(trigger=turn("POLL"), poll=poll, download=files, finish=ending("PARTIAL")))

    called = [payload["file_id"] for payload in run.called("Download")]
    assert (called.count("f002"), called.count("f003")) == (2, 1)
    assert called.count("f001") > 1, "an exception means: try me again"
    assert run.called("Finish") == [{**INPUT, "caught": None}]
    assert run.status == "SUCCEEDED"


def test_the_look_after_it_is_told_which_files_broke_and_no_later_look() -> None:
    files: dict[str, list[Answer]] = {name: [FunctionRaised("MemoryError")] for name in ("f001", "f003")}
    polls: list[Answer] = [
        turn("DOWNLOAD", 5, ["f001", "f002", "f003"]),
        FunctionRaised("Killed"),
        turn("WAIT", 5),
        turn("DOWNLOAD", 5, ["f003"], then="FINISH"),
        turn("FINISH"),
    ]
    finishes: list[Answer] = [ending("DOWNLOADING", "WAIT", 5), ending("PARTIAL")]

    run = execute(Script(trigger=turn("POLL"), poll=polls, download={**files, "f002": [outcome()]}, finish=finishes))

    told = [(payload["events"], payload["broken"]) for payload in run.called("Poll")]
    assert [sorted(broken) for _, broken in told] == [[], ["f001", "f003"], ["f001", "f003"], [], ["f003"]]
    assert told[1][0] == told[2][0] < told[3][0], "the events tell a repeated step from the next one"


def test_an_exception_is_retried_and_then_forgotten() -> None:
    polls: list[Answer] = [FunctionRaised("ConnectionError"), FunctionRaised("Sandbox.Timedout"), turn("FINISH")]

    run = execute(Script(trigger=turn("POLL"), poll=polls, finish=DONE))

    assert run.retries == 2
    assert run.called("Finish") == [{**INPUT, "caught": None}]


def test_throttling_is_waited_out_longer_than_an_exception() -> None:
    throttled: list[Answer] = [refused("TooManyRequestsException")] * 40 + [turn("FINISH")]

    run = execute(Script(trigger=turn("POLL"), poll=throttled, finish=DONE))

    assert run.retries == 40
    assert run.status == "SUCCEEDED"


@pytest.mark.parametrize("function", ["Trigger", "Poll"])
def test_a_function_that_raises_for_good_leads_to_finish_by_name(function: str) -> None:
    answers: dict[str, Answer] = {"trigger": turn("POLL"), "poll": turn("FINISH")}
    answers[function.lower()] = FunctionRaised("KeyError")

    run = execute(Script(**answers, finish=ending("FAILED")))

    assert run.called("Finish") == [{**INPUT, "caught": function}]
    assert (run.status, run.error) == ("FAILED", "FAILED")


def test_an_answer_that_names_no_next_step_leads_to_finish() -> None:
    run = execute(Script(trigger=turn("SOMEWHERE"), finish=ending("FAILED")))

    assert run.called("Finish") == [{**INPUT, "caught": "Route"}]


def test_ready_files_that_are_no_list_lead_to_finish() -> None:
    poll = {**INPUT, "next": "DOWNLOAD", "wait_seconds": 0, "then": "FINISH"}

    run = execute(Script(trigger=turn("POLL"), poll=poll, finish=ending("FAILED")))

    assert run.called("Finish") == [{**INPUT, "caught": "DownloadReady"}]


@pytest.mark.parametrize("status", ["SUCCEEDED", "PARTIAL", "CANCELLED"])
def test_an_execution_succeeds_when_its_job_has_an_end_that_somebody_wanted(status: str) -> None:
    assert execute(Script(trigger=turn("FINISH"), finish=ending(status))).status == "SUCCEEDED"


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_an_execution_fails_when_its_job_failed(status: str) -> None:
    run = execute(Script(trigger=turn("FINISH"), finish=ending(status)))

    assert (run.status, run.error) == ("FAILED", status)
    assert run.cause is not None
    assert JOB in run.cause


def test_a_finish_that_is_not_yet_due_waits_and_polls_again() -> None:
    finishes: list[Answer] = [ending("WAITING", "WAIT", 40), ending("WAITING", "WAIT"), DONE]

    run = execute(Script(trigger=turn("POLL"), poll=turn("FINISH"), finish=finishes))

    assert run.waits == [40]
    assert len(run.called("Poll")) == 3
    assert run.status == "SUCCEEDED"


def test_a_finish_that_raises_for_good_fails_the_execution() -> None:
    run = execute(Script(trigger=turn("FINISH"), finish=FunctionRaised("KeyError")))

    assert (run.status, run.error) == ("FAILED", "FINISH_FAILED")


@pytest.mark.parametrize("already_started", [False, True])
def test_a_long_job_is_handed_to_the_next_generation_once(already_started: bool) -> None:
    script = Script(trigger=turn("WAIT", 60), poll=turn("HANDOVER"))

    run = execute(script, already_started=already_started)

    assert run.started == [{"name": f"{JOB}-2", "input": {"job_id": JOB, "generation": 2}}]
    assert run.status == "SUCCEEDED"
    assert not run.called("Finish")


def test_the_events_of_an_execution_are_counted_through_every_loop() -> None:
    polls: list[Answer] = [turn("WAIT", 20), turn("DOWNLOAD", 5, ["f001", "f002"]), turn("WAIT", 5), turn("FINISH")]
    files: dict[str, list[Answer]] = {
        "f001": [outcome(more=True), outcome(more=True, wait=8), outcome()],
        "f002": [outcome()],
    }
    script = Script(trigger=[turn("TRIGGER", 5), turn("WAIT", 5)], poll=polls, download=files, finish=DONE)

    run = execute(script)

    copied = 13 * 4
    assert [payload["events"] for payload in run.called("Trigger")] == [0, 10]
    assert [payload["events"] for payload in run.called("Poll")] == [20, 40, 60 + copied, 80 + copied]


def test_an_execution_that_began_with_events_counts_on() -> None:
    run = execute(Script(trigger=turn("POLL"), poll=turn("FINISH"), finish=DONE), given={**INPUT, "events": 9000})

    assert run.called("Trigger") == [{**INPUT, "events": 9000, "waited": 0}]
    assert run.called("Poll") == [{**INPUT, "events": 9010, "waited": 0, "broken": []}]


def test_waits_are_counted_when_they_are_over_and_once_however_often_a_step_is_repeated() -> None:
    polls: list[Answer] = [turn("WAIT", 20), FunctionRaised("Killed"), turn("WAIT", 7), turn("FINISH"), turn("FINISH")]
    finishes: list[Answer] = [ending("WAITING", "WAIT", 5), DONE]

    run = execute(Script(trigger=[turn("TRIGGER", 30), turn("WAIT", 60)], poll=polls, finish=finishes))

    assert [payload["waited"] for payload in run.called("Trigger")] == [0, 30]
    assert [payload["waited"] for payload in run.called("Poll")] == [90, 110, 110, 117, 122]


def test_no_loop_adds_more_events_than_are_counted_for_it() -> None:
    """AWS's own history, as the interpreter writes it; tests need not know what each kind of event is."""
    polls: list[Answer] = [turn("WAIT", 20)] * 5 + [turn("DOWNLOAD", 5, ["f001", "f002"])] * 3 + [turn("FINISH")]
    files: dict[str, list[Answer]] = {"f001": [outcome(more=True, wait=8)] * 9 + [outcome()], "f002": [outcome()]}
    finishes: list[Answer] = [ending("WAITING", "WAIT", 40)] * 4 + [DONE]
    script = Script(trigger=[turn("TRIGGER", 5)] * 4 + [turn("WAIT", 5)], poll=polls, download=files, finish=finishes)

    run = execute(script)

    counted = run.called("Poll")[-1]["events"]
    assert run.events <= counted + 30, "the last look and the end are not counted any more"
    assert counted < 2 * run.events


def test_the_retries_of_a_throttled_call_are_counted_as_the_events_that_they_are() -> None:
    busy = [refused("TooManyRequestsException")] * 12
    polls: list[Answer] = [*busy, turn("DOWNLOAD", 5, ["f001"]), *busy, turn("WAIT", 5), turn("FINISH")]
    files: dict[str, list[Answer]] = {"f001": [*busy, outcome(more=True), *busy, outcome()]}
    finishes: list[Answer] = [*busy, ending("WAITING", "WAIT", 40), DONE]

    run = execute(Script(trigger=[*busy, turn("WAIT", 5)], poll=polls, download=files, finish=finishes))

    counted = run.called("Poll")[-1]["events"]
    assert run.retries == 12 * 6
    assert run.events <= counted + 30
    assert counted < 2 * run.events


def test_a_file_that_needs_more_calls_than_its_share_is_left_to_the_next_execution() -> None:
    poll: list[Answer] = [turn("DOWNLOAD", 5, ["f001", "f002", "f003"], then="FINISH"), turn("HANDOVER")]
    files: dict[str, list[Answer]] = {
        "f001": [outcome(more=True)],
        "f002": [outcome()],
        "f003": [FunctionRaised("KeyError")],
    }

    run = execute(Script(trigger=turn("POLL"), poll=poll, download=files))

    called = [payload["file_id"] for payload in run.called("Download")]
    assert called.count("f001") == 200, "a third of the Map's calls"
    assert run.called("Poll")[1]["events"] >= 25_000, "so that the look hands over"
    assert run.started == [{"name": f"{JOB}-2", "input": {"job_id": JOB, "generation": 2}}]


def test_a_job_that_waits_for_its_trigger_is_handed_over_too() -> None:
    run = execute(Script(trigger=[turn("TRIGGER", 30), turn("HANDOVER")]))

    assert [start["name"] for start in run.started] == [f"{JOB}-2"]
    assert run.states[-1] == "Superseded"


def test_a_finish_that_was_overtaken_leaves_the_end_to_the_later_generation() -> None:
    run = execute(Script(trigger=turn("FINISH"), finish=ending("FAILED", "STOP")))

    assert run.status == "SUCCEEDED"
    assert run.states[-1] == "Superseded"


@pytest.mark.parametrize("function", ["trigger", "poll"])
def test_a_superseded_generation_stops_without_a_trace(function: str) -> None:
    answers: dict[str, Answer] = {"trigger": turn("POLL"), "poll": turn("POLL")} | {function: turn("STOP")}

    run = execute(Script(**answers))

    assert run.status == "SUCCEEDED"
    assert run.states[-1] == "Superseded"
    assert not run.called("Finish")
