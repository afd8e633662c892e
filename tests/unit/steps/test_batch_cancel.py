"""Cancelling batches: nothing more is submitted, what lives is ended, and what is over is left as it is."""

from __future__ import annotations

from typing import Any

import pytest
from clipferry.batches import CALL_LIFETIME, BatchStatus
from clipferry.jobs.statuses import JobStatus
from clipferry.steps import batch_lines, batch_requests
from clipferry.steps.batch import close, prepare, submit_chunk

from tests.unit.steps.aws import BUCKET
from tests.unit.steps.batching import Batching, line


class TestCancel:
    def test_of_a_batch_that_was_submitted_leaves_its_report_as_it_is(self, batching: Batching) -> None:
        batch_id = batching.post(line(1), "{broken")
        batching.execute(batch_id)
        key = batching.batch(batch_id).rejected_key(0)
        batching.world.s3.delete_object(Bucket=BUCKET, Key=key)  # working objects are forgotten after a while

        batch_requests.cancel(batching.context, batch_id)

        assert batching.execute(batch_id) == "END"
        assert [entry["line"] for entry in batching.report(batch_id)] == [2]

    def test_stops_submitting_and_ends_what_lives(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(12)))
        batching.execute(batch_id, stop_after=1)

        assert batch_requests.cancel(batching.context, batch_id).status is BatchStatus.CANCELLING
        assert batching.execute(batch_id, 1) == "STOP"
        assert batching.execute(batch_id) == "END"

        assert batching.statuses(batch_id) == {JobStatus.CANCELLED: 5}
        shown = batching.shown(batch_id)
        assert (shown["status"], shown["jobs"]["CANCELLED"], shown["jobs"]["LIVE"]) == ("CANCELLED", 5, 0)
        assert batching.world.executions() == []

    def test_of_a_batch_that_is_submitted_spares_what_has_ended(self, batching: Batching) -> None:
        batch_id = batching.post(line(1), line(2))
        batching.execute(batch_id)
        ended = batching.jobs(batch_id)[0]
        batching.world.execute(ended.job_id)

        batch_requests.cancel(batching.context, batch_id)
        batching.execute(batch_id)

        assert batching.statuses(batch_id) == {JobStatus.SUCCEEDED: 1, JobStatus.CANCELLED: 1}

    def test_before_the_manifest_is_read_is_done_at_once(self, batching: Batching) -> None:
        batch_id = batching.post(line(1))
        batch_requests.cancel(batching.context, batch_id)

        assert batching.execute(batch_id) == "END"

        assert batching.shown(batch_id)["status"] == "CANCELLED"
        assert prepare(batching.context, batch_id, 1, lambda: 100.0)["next"] == "STOP"

    def test_said_twice_is_said_once(self, batching: Batching) -> None:
        batch_id = batching.post(line(1))

        assert (
            batch_requests.cancel(batching.context, batch_id).generation
            == batch_requests.cancel(batching.context, batch_id).generation
            == 2
        )

    def test_that_is_stopped_is_gone_on_with(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(12)))
        batching.execute(batch_id)
        batch_requests.cancel(batching.context, batch_id)
        batching.execute(batch_id, stop_after=1)
        assert batching.statuses(batch_id)[JobStatus.CANCELLED] == 5

        assert batch_requests.resume(batching.context, batch_id).status is BatchStatus.CANCELLING
        assert batching.execute(batch_id) == "END"

        assert batching.statuses(batch_id) == {JobStatus.CANCELLED: 12}

    def test_waits_for_a_call_that_may_still_be_making_jobs(
        self, batching: Batching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batch_id = batching.post(*(line(n) for n in range(3)))
        prepare(batching.context, batch_id, 1, lambda: 100.0)
        (chunk,) = batching.chunks(batch_id)
        seen: list[int] = []

        def cancelled_meanwhile(*arguments: Any) -> Any:
            if not seen:
                batch_requests.cancel(batching.context, batch_id)
                seen.append(batching.recovery.cancel_chunk(batch_id, 2, 0))
            return real(*arguments)

        real = batch_lines.admit
        monkeypatch.setattr(batch_lines, "admit", cancelled_meanwhile)
        submit_chunk(batching.context, batch_id, 1, chunk)

        assert seen[0] > 0
        assert batching.execute(batch_id) == "END"
        assert batching.statuses(batch_id) == {JobStatus.CANCELLED: 3}

    def test_does_not_wait_for_a_call_that_is_dead(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(3)))
        prepare(batching.context, batch_id, 1, lambda: 100.0)
        batching.batches.begin(batching.batch(batch_id), 0, ["no-such-job"], batching.world.time)
        batch_requests.cancel(batching.context, batch_id)

        assert batching.recovery.cancel_chunk(batch_id, 2, 0) > 0
        batching.world.wait(int(CALL_LIFETIME.total_seconds()))
        assert batching.recovery.cancel_chunk(batch_id, 2, 0) == 0

        assert submit_chunk(batching.context, batch_id, 1, batching.chunks(batch_id)[0]) is False
        assert not batching.batches.begin(batching.batch(batch_id), 0, [], batching.world.time)

    def test_one_that_leaves_something_alive_is_not_called_done(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(6)))
        batching.execute(batch_id)
        batch_requests.cancel(batching.context, batch_id)
        batching.recovery.cancel_chunk(batch_id, 2, 0)

        assert close(batching.context, batch_id, 2)["next"] == "FAILED"
        assert batching.shown(batch_id)["status"] == "CANCELLING"
