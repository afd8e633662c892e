"""Batches: every line once, whatever is broken in the manifest and wherever an execution ends."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import Mock

import pytest
from clipferry.batches import BatchStatus
from clipferry.intake import values
from clipferry.intake.manifest import division
from clipferry.intake.values import fingerprints
from clipferry.steps import batch_lines, batch_objects, batch_requests
from clipferry.steps.batch import close, prepare, submit_chunk
from clipferry.steps.batch_recovery import RESTART_BUDGET
from clipferry.steps.batch_requests import NotForBatch
from clipferry.steps.sweep import Sweep
from clipferry.store.batch_records import Batches

from tests.unit.steps.aws import BUCKET
from tests.unit.steps.batching import KEY, Batching, line
from tests.unit.steps.world import Crash


class TestAManifest:
    def test_becomes_jobs_that_carry_the_batch_and_their_line(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(6)), "")

        assert batching.execute(batch_id) == "END"

        jobs = batching.jobs(batch_id)
        assert sorted(job.line for job in jobs) == list(range(1, 7))
        assert {job.source for job in jobs} == {f"batch#{batch_id}"}
        assert len(batching.world.executions()) == 6
        shown = batching.shown(batch_id)
        assert (shown["status"], shown["report"], shown["error"]) == ("SUBMITTED", None, None)
        assert shown["lines"] == {"total": 6, "accepted": 6, "rejected": 0, "duplicates": 0, "waiting": 0}
        assert shown["jobs"]["LIVE"] == 6

    def test_with_every_kind_of_broken_line_yields_the_rest_and_a_report(self, batching: Batching) -> None:
        batch_id = batching.post(
            b"\xef\xbb\xbf" + line(1).encode() + b"\r",
            b"\r",
            line(2),
            "{broken",
            line(1),
            b'{"vendor": "\xff"}',
            '{"vendor": "scripted", "request": {"url": 5, "colour": 1}}',
            '{"vendor": "nobody", "request": {}}',
            line(3),
        )

        assert batching.execute(batch_id) == "END"

        assert [job.line for job in sorted(batching.jobs(batch_id), key=lambda job: job.line)] == [1, 3, 9]
        assert batching.lines(batch_id) == {
            "total": 8,
            "accepted": 3,
            "rejected": 4,
            "duplicates": 1,
            "waiting": 0,
        }
        report = batching.report(batch_id)
        assert [entry["line"] for entry in report] == [4, 5, 6, 7, 8]
        assert [entry["problem"]["status"] for entry in report] == [400, 409, 400, 400, 400]
        assert report[1]["problem"]["detail"] == "says the same as line 1; both are one job"
        assert report[1]["job_id"] == next(job.job_id for job in batching.jobs(batch_id) if job.line == 1)
        assert {error["pointer"] for error in report[3]["problem"]["errors"]} == {"/request/url", "/request/colour"}
        assert batching.batch(batch_id).report == f"{KEY}.{batch_id}.rejected.jsonl"

    def test_in_csv_is_read_by_its_header_over_the_defaults(self, batching: Batching) -> None:
        defaults = {"vendor": "scripted", "labels": {"site": "a", "day": "1"}, "deadline_seconds": 600}
        batch_id = batching.post(
            b"\xef\xbb\xbfrequest.url;label.site;prefix",
            "https://media.example/1.mp4;b;x/y",
            ";;",
            "https://media.example/2.mp4;;;4",
            "https://media.example/3.mp4;;",
            key="manifests/a.csv",
            defaults=defaults,
        )

        batching.execute(batch_id)

        first, second = sorted(batching.jobs(batch_id), key=lambda job: job.line)
        assert (first.line, first.prefix, first.labels) == (2, "x/y", {"site": "b", "day": "1"})
        assert (second.line, second.prefix, second.labels) == (5, "", {"site": "a", "day": "1"})
        assert first.deadline_seconds == 600
        assert [entry["line"] for entry in batching.report(batch_id)] == [4]

    def test_lines_with_equal_numbers_are_one_job(self, batching: Batching) -> None:
        texts = [line(1, deadline_seconds="N").replace('"N"', number) for number in ("600", "600.0", "6e2", "6.1e2")]
        batch_id = batching.post(*texts)

        batching.execute(batch_id)

        assert sorted(job.line for job in batching.jobs(batch_id)) == [1, 4]
        assert [entry["problem"]["status"] for entry in batching.report(batch_id)] == [409, 409]

    def test_that_the_first_release_divided_goes_on_in_its_chunks(self, batching: Batching) -> None:
        """It took each line of CSV for a record; what is done of a chunk is known by the chunk's number."""
        rows = [*("",) * 2, "request.url", ";", *(f'"https://media.example/{n}.mp4"' for n in range(11)), ";,"]
        batch_id = batching.post(*rows, key="manifests/a.csv", defaults={"vendor": "scripted"})
        batch = batching.batch(batch_id)
        stored = {"format": "csv", "delimiter": ",", "columns": ["request.url"]}
        batching.batches.change(batch, batching.world.time, BatchStatus.SUBMITTING, layout=stored, lines=11, chunks=3)
        batching.batches.change(batch, batching.world.time, BatchStatus.FAILED)

        batch_requests.resume(batching.context, batch_id)

        assert batching.execute(batch_id) == "END"
        assert batching.batch(batch_id).layout == {**stored, "rules": 1, "newline": "\n"}
        assert [chunk["line"] for chunk in batching.chunks(batch_id)] == [4, 10, 15]
        assert sorted(job.line for job in batching.jobs(batch_id)) == list(range(5, 16))

    def test_a_line_that_the_first_release_made_a_job_of_is_that_job(
        self, batching: Batching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It knew 600.0 as another number than 600, also for the identity of a line."""
        batch_id = batching.post(line(1, deadline_seconds=600.0), line(2))
        with monkeypatch.context() as first_release:
            first_release.setattr(batch_lines, "fingerprints", lambda body: (fingerprints(body)[1],) * 2)
            first_release.setattr(values, "canonical", dict)
            first_release.setattr(Batches, "settle", Mock(side_effect=Crash))
            with pytest.raises(Crash):
                batching.execute(batch_id)
        assert len(batching.jobs(batch_id)) == 2

        assert batching.execute(batch_id) == "END"

        assert sorted(job.line for job in batching.jobs(batch_id)) == [1, 2]
        assert batching.lines(batch_id)["accepted"] == 2

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (b"", "MANIFEST_EMPTY"),
            (b"\n\n", "MANIFEST_EMPTY"),
            ("{}".encode("utf-16"), "MANIFEST_UNREADABLE"),
        ],
    )
    def test_that_is_none_fails_with_the_reason(self, batching: Batching, text: bytes, code: str) -> None:
        batch_id = batching.post(text)

        assert batching.execute(batch_id) == "FAILED"

        assert batching.shown(batch_id)["error"]["code"] == code
        assert batching.jobs(batch_id) == []

    def test_that_is_overwritten_or_gone_submits_nothing_of_the_new_content(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(5)), "{broken", *(line(n) for n in range(6, 16)))
        batching.execute(batch_id, stop_after=2)
        batching.world.s3.put_object(Bucket=BUCKET, Key=KEY, Body=line(99).encode())

        assert batching.execute(batch_id) == "FAILED"
        assert batching.shown(batch_id)["error"]["code"] == "MANIFEST_CHANGED"
        assert len(batching.jobs(batch_id)) == 9
        assert [entry["line"] for entry in batching.report(batch_id)] == [6]

        batching.world.s3.delete_object(Bucket=BUCKET, Key=KEY)
        batch_requests.resume(batching.context, batch_id)
        assert batching.execute(batch_id) == "FAILED"
        assert batching.shown(batch_id)["error"]["code"] == "MANIFEST_MISSING"

    def test_too_long_for_one_call_is_read_in_several(
        self, batching: Batching, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batch_objects, "BLOCK", 300)
        batch_id = batching.post(*(line(n) for n in range(12)))
        batching.time_left = 0.0

        states = [prepare(batching.context, batch_id, 1, lambda: 0.0)["next"] for _ in range(4)]

        assert set(states) == {"PREPARE"}
        batching.time_left = 100.0
        assert batching.execute(batch_id) == "END"
        assert sorted(job.line for job in batching.jobs(batch_id)) == list(range(1, 13))

    def test_no_value_of_a_rejected_line_is_told(self, batching: Batching) -> None:
        batch_id = batching.post('{"vendor": "scripted", "request": {"url": 5}, "account": "canary secret!"}')

        batching.execute(batch_id)

        assert "canary" not in str(batching.report(batch_id))

    def test_an_end_whose_answer_was_lost_is_the_same_end(self, batching: Batching) -> None:
        failed, submitted = batching.post(b""), batching.post(line(1))
        batching.execute(failed)
        batching.execute(submitted)

        assert batching.execute(failed, 1) == "FAILED"
        assert batching.execute(submitted, 1) == "END"


class TestStoppedAndGoneOnWith:
    @pytest.mark.parametrize("chunks", [0, 1, 2])
    def test_nothing_is_skipped_and_nothing_doubled(self, batching: Batching, chunks: int) -> None:
        batch_id = batching.post(*(line(n) for n in range(12)), "{broken", line(0))
        batching.execute(batch_id, stop_after=chunks)
        made = len(batching.jobs(batch_id))
        assert made == 5 * chunks

        assert batch_requests.resume(batching.context, batch_id).generation == 2
        assert batching.execute(batch_id) == "END"

        assert sorted(job.line for job in batching.jobs(batch_id)) == list(range(1, 13))
        assert batching.lines(batch_id) == {
            "total": 14,
            "accepted": 12,
            "rejected": 1,
            "duplicates": 1,
            "waiting": 0,
        }
        assert len(batching.world.executions()) == 12

    def test_an_execution_that_was_stopped_is_replaced_by_the_sweep(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(12)))
        batching.execute(batch_id, stop_after=1)
        batching.ended(batch_id, 1)

        swept = Sweep(batching.world.closing, lambda: 60.0).reconcile_batch(batch_id, 1)

        assert swept.batches == [batch_id]
        assert batching.running() == [(batch_id, 2)]
        assert batching.execute(batch_id, 1) == "STOP"
        assert batching.execute(batch_id) == "END"
        assert len(batching.jobs(batch_id)) == 12

    def test_a_running_execution_is_left_alone(self, batching: Batching) -> None:
        batching.post(line(1))
        batching.world.wait(180)

        assert batching.world.sweep().batches == []
        assert batching.world.sweep().batches == []
        assert list(batching.batches.due(batching.world.time)) == []

    def test_executions_that_are_lost_again_and_again_fail_the_batch(self, batching: Batching) -> None:
        batch_id = batching.post(line(1))
        for generation in range(1, RESTART_BUDGET + 2):
            batching.ended(batch_id, generation)
            batching.recovery.revive(batch_id, generation)

        shown = batching.shown(batch_id)

        assert (shown["status"], shown["error"]["code"]) == ("FAILED", "EXECUTION_LOST")
        batch_requests.resume(batching.context, batch_id)
        assert batching.execute(batch_id) == "END"

    def test_a_chunk_that_cannot_be_submitted_fails_the_batch_and_is_resumed(self, batching: Batching) -> None:
        batch_id = batching.post(*(line(n) for n in range(6)))
        prepare(batching.context, batch_id, 1, lambda: 100.0)
        submit_chunk(batching.context, batch_id, 1, batching.chunks(batch_id)[1])

        assert close(batching.context, batch_id, 1)["next"] == "FAILED"

        assert batching.shown(batch_id)["error"]["code"] == "LINES_LEFT"
        assert batching.lines(batch_id)["waiting"] == 5
        batch_requests.resume(batching.context, batch_id)
        assert batching.execute(batch_id) == "END"
        assert len(batching.jobs(batch_id)) == 6

    @pytest.mark.parametrize("after", [False, True])
    def test_whatever_call_is_killed_at_whatever_write_counts_are_right(self, batching: Batching, after: bool) -> None:
        world = batching.world
        batch_id = batching.post(*(line(n) for n in range(4)), "{broken", line(1))
        kills = 0
        while True:
            world.edge.effects.clear()
            world.edge.crash_at, world.edge.crash_after = kills, after
            try:
                batching.execute(batch_id)
                break
            except Crash:
                kills += 1
            finally:
                world.edge.crash_at = None

        assert kills > 5
        assert batching.lines(batch_id) == {
            "total": 6,
            "accepted": 4,
            "rejected": 1,
            "duplicates": 1,
            "waiting": 0,
        }
        assert len(batching.jobs(batch_id)) == len(set(world.executions())) == 4
        assert [entry["line"] for entry in batching.report(batch_id)] == [5, 6]

    def test_what_is_older_than_jobs_are_kept_is_not_resumed_but_cancelled(self, batching: Batching) -> None:
        """Its jobs' records may be gone, and with them what says that a line was submitted."""
        batch_id = batching.post(line(1))
        batching.execute(batch_id, stop_after=0)
        batching.world.time += timedelta(days=91)

        with pytest.raises(NotForBatch, match="90 days"):
            batch_requests.resume(batching.context, batch_id)

        batch_requests.cancel(batching.context, batch_id)
        assert batch_requests.resume(batching.context, batch_id).status is BatchStatus.CANCELLING
        assert batching.execute(batch_id) == "END"

    @pytest.mark.parametrize("status", ["SUBMITTED", "CANCELLED"])
    def test_what_is_over_is_not_resumed(self, batching: Batching, status: str) -> None:
        batch_id = batching.post(line(1))
        if status == "CANCELLED":
            batch_requests.cancel(batching.context, batch_id)
        batching.execute(batch_id)
        assert batching.shown(batch_id)["status"] == status

        with pytest.raises(NotForBatch):
            batch_requests.resume(batching.context, batch_id)


class TestCounts:
    def test_follow_every_end_and_every_retry(self, batching: Batching) -> None:
        world = batching.world
        batch_id = batching.post(*(line(n) for n in range(3)))
        batching.execute(batch_id)
        first, second, _ = (job.job_id for job in batching.jobs(batch_id))
        world.execute(first)
        world.cancel(second)
        jobs = batching.shown(batch_id)["jobs"]
        assert (jobs["LIVE"], jobs["SUCCEEDED"], jobs["CANCELLED"]) == (1, 1, 1)

        world.retry(second)
        jobs = batching.shown(batch_id)["jobs"]
        assert (jobs["LIVE"], jobs["SUCCEEDED"], jobs["CANCELLED"]) == (2, 1, 0)

        world.settle()
        jobs = batching.shown(batch_id)["jobs"]
        assert (jobs["LIVE"], jobs["SUCCEEDED"], jobs["CANCELLED"]) == (0, 3, 0)

    @pytest.mark.parametrize("after", [False, True])
    def test_an_end_that_is_killed_and_repeated_counts_once(self, batching: Batching, after: bool) -> None:
        world = batching.world
        batch_id = batching.post(line(1))
        batching.execute(batch_id)
        (job,) = batching.jobs(batch_id)
        for kill in range(12):
            world.edge.effects.clear()
            world.edge.crash_at, world.edge.crash_after = kill, after
            try:
                world.cancel(job.job_id)
            except Crash:
                world.wait(180)
            finally:
                world.edge.crash_at = None

        jobs = batching.shown(batch_id)["jobs"]
        assert (jobs["LIVE"], jobs["CANCELLED"]) == (0, 1)

    def test_a_line_that_comes_late_keeps_its_batch_for_the_retention_of_tags(self, batching: Batching) -> None:
        batch_id = batching.post(line(1))
        batching.world.time += timedelta(days=30)

        assert batching.execute(batch_id) == "END"


def test_a_manifest_may_hold_as_many_lines_as_the_maps_results_allow() -> None:
    """A distributed map's results come back in one state of at most 256 KiB; an item's is `{}` and a comma."""
    assert division.LINES_MAX / division.CHUNK_LINES * 3 < 256 * 1024
