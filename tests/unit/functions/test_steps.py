"""The functions of the machine, the schedules and the sweep: what they answer, log and count."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clipferry.aws import executions
from clipferry.steps.schedule import ScheduleInvalid
from clipferry.vendors.contract import Look, LookStatus, VendorUnavailable

from tests.unit.functions.conftest import Functions
from tests.unit.steps.world import SECRET, SIGNED

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

BODY: dict[str, Any] = {"vendor": "scripted", "request": {"url": SIGNED}}


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Every metric printed so far, by name: its last value and the dimensions it came with."""
    found: dict[str, Any] = {}
    for line in capsys.readouterr().out.splitlines():
        if '"_aws"' in line:
            record = json.loads(line)
            for group in record["_aws"]["CloudWatchMetrics"]:
                for metric in group["Metrics"]:
                    found[metric["Name"]] = record[metric["Name"]][-1], [*group["Dimensions"][0]]
    return found


def test_a_job_goes_its_way_through_the_handlers(functions: Functions, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = functions.world.submit()
    event = {"job_id": job_id, "generation": 1}
    assert functions.call("trigger", event)["next"] == "WAIT"
    state = functions.call("poll", event)
    assert (state["next"], state["ready"], state["then"]) == ("DOWNLOAD", ["f001"], "FINISH")
    assert functions.call("download", event | {"file_id": "f001"}) == {
        "file_id": "f001",
        "more": False,
        "wait_seconds": 0,
    }
    assert functions.call("finish", event | {"caught": None}) == {
        "next": "END",
        "status": "SUCCEEDED",
        "wait_seconds": 0,
    }
    found = metrics(capsys)
    assert found["DownloadCalls"][0] == found["JobsSucceeded"][0] == 1
    assert "vendor" in found["JobsSucceeded"][1]


def test_states_are_small_and_hold_no_url(functions: Functions) -> None:
    functions.world.stage.files = 100
    job_id = functions.world.submit()
    functions.call("trigger", {"job_id": job_id, "generation": 1})
    state = json.dumps(functions.call("poll", {"job_id": job_id, "generation": 1}))
    assert len(state) < 4096
    assert "://" not in state


def test_doubt_poll_errors_and_unknown_statuses_are_counted(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = functions.world.stage
    stage.lose, stage.findable = [VendorUnavailable("timeout")], False
    event = {"job_id": functions.world.submit(), "generation": 1}
    functions.call("trigger", event)
    assert functions.call("trigger", event)["next"] == "FINISH"
    assert metrics(capsys)["TriggerUncertain"] == (1, ["service"])

    event = {"job_id": functions.world.submit(), "generation": 1, "waited": 0}
    functions.call("trigger", event)
    event["waited"] = 60  # by a machine whose waits take no time, so that the call does not stay
    stage.poll = [VendorUnavailable("timeout"), Look(LookStatus.UNKNOWN, "Pondering")]
    functions.call("poll", event)
    functions.call("poll", event)
    found = metrics(capsys)
    assert found["PollErrors"][0] == found["UnknownStatuses"][0] == 1


def test_a_refused_account_is_counted_by_each_step_that_meets_it(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = functions.world.stage
    looking, copying = functions.world.submit(), functions.world.submit()
    for job_id in (looking, copying):
        functions.call("trigger", {"job_id": job_id, "generation": 1})
    functions.call("poll", {"job_id": copying, "generation": 1})
    assert "AccountRefused" not in metrics(capsys)
    stage.accepted = "another key"
    for function, event in (
        ("trigger", {"job_id": functions.world.submit()}),
        ("poll", {"job_id": looking}),
        ("download", {"job_id": copying, "file_id": "f001"}),
    ):
        functions.call(function, event | {"generation": 1})
        assert metrics(capsys)["AccountRefused"] == (1, ["service"]), function


def test_a_rule_starts_its_jobs_once_per_firing(functions: Functions, capsys: pytest.CaptureFixture[str]) -> None:
    first = functions.call("schedule", {"jobs": [BODY, BODY]}, "r-1")
    assert functions.call("schedule", {"jobs": [BODY, BODY]}, "r-2") == first
    assert len(first["job_ids"]) == 2
    assert metrics(capsys)["ScheduledJobs"][0] == 2


def test_a_rule_with_a_bad_job_makes_the_good_ones_and_raises(functions: Functions) -> None:
    with pytest.raises(ScheduleInvalid):
        functions.call("schedule", {"jobs": [BODY, {"vendor": "nobody"}]})
    assert len(functions.world.executions()) == 1


def test_the_sweep_reports_what_it_did(functions: Functions, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = functions.world.submit()
    functions.world.stop_execution(job_id)
    functions.world.wait(300)
    report = functions.call("sweep", {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
    assert report["restarted"] == [job_id]
    found = metrics(capsys)
    assert found["OldestUnfinishedJobAge"] == (300, ["service"])
    assert found["JobsSwept"] == (1, ["service"])


def test_the_end_of_an_execution_sweeps_its_job_at_once(functions: Functions) -> None:
    job_id = functions.world.submit()
    functions.world.stop_execution(job_id)
    event = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"name": f"{job_id}-1", "status": "ABORTED"},
    }
    assert functions.call("sweep", event)["restarted"] == [job_id]
    assert functions.call("sweep", event)["restarted"] == [], "the same event delivered again"


def test_an_execution_started_by_hand_is_not_ours(functions: Functions) -> None:
    event = {"source": "aws.states", "detail": {"name": "by-hand", "status": "FAILED"}}
    assert functions.call("sweep", event)["restarted"] == []


def test_a_sweep_that_a_job_resisted_tells_so_by_a_metric_and_is_not_repeated_for_it(
    functions: Functions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = functions.world.submit()
    functions.world.wait(300)

    def broken(_: object) -> None:
        raise RuntimeError("a defect of ours")

    with monkeypatch.context() as patch:
        patch.setattr(executions, "status", broken)
        assert functions.call("sweep", {})["failed"] == [job_id]
    found = metrics(capsys)
    assert (found["OldestUnfinishedJobAge"][0], found["SweepResisted"]) == (300, (1, ["service"]))
    assert job_id in functions.log.getvalue()


def test_no_secret_and_no_signed_url_is_in_a_log_row_event_object_or_reply(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through an ordinary job, a failing one, a cancelled one, a bad request and a bad schedule."""
    world = functions.world
    for trouble in ([], [VendorUnavailable("GET https://media.example/clip.mp4 timed out")] * 8):
        world.stage.trigger = list(trouble)
        job_id = functions.api("POST", "/jobs", BODY).body["job_id"]
        event = {"job_id": job_id, "generation": 1}
        while functions.call("trigger", event)["next"] == "TRIGGER":
            world.wait(60)
        functions.call("poll", event)
        functions.call("download", event | {"file_id": "f001"})
        functions.call("finish", event | {"caught": "Poll"})
        functions.api("GET", f"/jobs/{job_id}")
    cancelled = functions.api("POST", "/jobs", BODY).body["job_id"]
    functions.api("POST", f"/jobs/{cancelled}/cancel")
    functions.api("GET", "/jobs")
    functions.api("POST", "/jobs", BODY | {"colour": SIGNED, "labels": {"a": SIGNED}})
    with pytest.raises(ScheduleInvalid) as caught:
        functions.call("schedule", {"jobs": [BODY | {"colour": SIGNED}]})
    functions.call("sweep", {})

    printed = capsys.readouterr()
    rows = [text for text in world.edge.written if "TableName" in text or "TransactItems" in text]
    places = {
        "logs": functions.log.getvalue() + printed.out + printed.err,
        "replies": repr(functions.replies),
        "objects": repr([body for key, body in world.objects().items() if key.endswith(".json")]),
        "events": repr(world.edge.sent),
        "errors": repr(caught.value),
        "rows": "".join(rows),
        "the rest": "".join(set(world.edge.written) - set(rows)),
    }
    assert all(places.values()), "a place with nothing in it proves nothing"
    for place, text in places.items():
        assert SECRET not in text, place
        if place != "rows":  # a row holds the request as the user sent it: the trigger needs it
            assert "canary-signature" not in text, place
    assert "canary-signature" not in repr([f for job in (job_id, cancelled) for f in world.job(job).files])
