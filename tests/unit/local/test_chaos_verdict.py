"""The campaign's verdict notices what it promises to notice: each broken promise shown to it is a breach."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from local.chaos import report, verdict
from local.chaos.campaign import Campaign, Form
from local.chaos.rows import Row
from local.chaos.verdict import (
    DOOR,
    ENDINGS,
    HASH,
    LOST,
    MISSING,
    PROMISES,
    SILENT,
    TWICE,
    UNJUST,
    UPLOADS,
    Tally,
    judge,
)
from local.chaos.work import TIGHT, Plan

VIDEO, OTHER = b"the vendor's bytes", b"an error page"
PLAN = Plan(1, 0, "linkvisual", {"iot_id": "camera-1x0", "record_duration": 10})
ROW = Row("0" * 26, "1-0", "SUCCEEDED", 1, 1, 0, "fail", True, None, datetime(2026, 11, 21, tzinfo=UTC), None, None)
TOLD = {"job_id": "0" * 26, "event_id": f"{'0' * 26}-1-SUCCEEDED"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Scene:
    """A round with one job, as everybody outside sees it; a test spoils one thing."""

    def __init__(self) -> None:
        self.plan, self.rows, self.told, self.uploads = PLAN, [ROW], [TOLD], list[str]()
        self.objects = {"s3://videos/f001.mp4": VIDEO}
        self.recordings = 1
        self.job: dict[str, Any] = {
            "job_id": ROW.job_id,
            "status": "SUCCEEDED",
            "generation": 1,
            "error": None,
            "files": [{"status": "STORED", "s3_uri": "s3://videos/f001.mp4", "evidence": {"sha256": digest(VIDEO)}}],
        }

    def judged(self, monkeypatch: pytest.MonkeyPatch) -> Tally:
        recording = SimpleNamespace(device=self.plan.request["iot_id"], files=[SimpleNamespace(name="file")])
        vendor = SimpleNamespace(
            vendor="linkvisual",
            expected={"file": {"sha256": digest(VIDEO)}},
            recordings={str(n): recording for n in range(self.recordings)},
        )
        arena: Any = SimpleNamespace(
            stack=SimpleNamespace(job=lambda _: self.job, stored=self.objects.__getitem__),
            simulators={"linkvisual": vendor},
            ledger=SimpleNamespace(by_seed={"1": 0}),
        )
        known = {row.mark: row for row in reversed(self.rows)}  # of two, the first
        rows: Any = SimpleNamespace(look=lambda: None, all=lambda: self.rows, of=known.get)
        user: Any = SimpleNamespace(plan=self.plan, retries=0)
        monkeypatch.setattr(verdict, "_endings", lambda _: {ROW.job_id: self.told})
        monkeypatch.setattr(verdict, "_uploads", lambda _: self.uploads)
        return judge(arena, rows, [user])[1]

    def wrong_bytes(self) -> None:
        self.objects["s3://videos/f001.mp4"] = OTHER

    def wrong_evidence(self) -> None:
        self.job["files"][0]["evidence"]["sha256"] = digest(OTHER)

    def one_file_twice(self) -> None:
        self.job["files"] *= 2

    def no_file(self) -> None:
        self.job["files"] = []

    def never_ended(self) -> None:
        self.job["status"] = "WAITING"

    def two_recordings(self) -> None:
        self.recordings = 2

    def an_upload_left(self) -> None:
        self.uploads = [f"chaos/1-0/linkvisual/2026/11/21/{ROW.job_id}/f001.mp4"]

    def two_endings_of_one_generation(self) -> None:
        self.told = [TOLD, {**TOLD, "event_id": f"{ROW.job_id}-1-FAILED"}]

    def two_endings_without_a_retry(self) -> None:
        self.told = [TOLD, {**TOLD, "event_id": f"{ROW.job_id}-2-FAILED"}]

    def told_nobody(self) -> None:
        self.told = []

    def no_row(self) -> None:
        self.rows = []

    def two_rows(self) -> None:
        self.rows = [ROW, replace(ROW, job_id="1" * 26)]


@pytest.mark.parametrize(
    ("spoil", "promise"),
    [
        (Scene.wrong_bytes, HASH),
        (Scene.wrong_evidence, HASH),
        (Scene.one_file_twice, HASH),
        (Scene.no_file, MISSING),
        (Scene.never_ended, LOST),
        (Scene.two_recordings, TWICE),
        (Scene.an_upload_left, UPLOADS),
        (Scene.two_endings_of_one_generation, ENDINGS),
        (Scene.two_endings_without_a_retry, ENDINGS),
        (Scene.told_nobody, SILENT),
        (Scene.no_row, DOOR),
        (Scene.two_rows, DOOR),
    ],
)
def test_a_broken_promise_is_noticed(monkeypatch: pytest.MonkeyPatch, spoil: Any, promise: str) -> None:
    scene = Scene()
    spoil(scene)

    tally = scene.judged(monkeypatch)

    assert [name for name in PROMISES if tally.broken[name]] == [promise]
    campaign = Campaign(Form(seeds=(1,), jobs=1), {1: tally})
    assert not campaign.kept
    assert f"* seed 1, {promise}: 1-0" in report.text(campaign, "command")


@pytest.mark.parametrize(
    ("status", "code", "changes", "fair"),
    [
        ("FAILED", "NO_RECORDING", {}, False),
        ("FAILED", "TRIGGER_UNCERTAIN", {}, True),
        ("PARTIAL", "SOURCE_GONE", {}, False),
        ("FAILED", "NO_RECORDING", {"request": {"iot_id": "empty-1x0", "record_duration": 10}}, True),
        ("TIMED_OUT", "DEADLINE_PASSED", {}, False),
        ("TIMED_OUT", "DEADLINE_PASSED", {"deadline": TIGHT}, True),
        ("CANCELLED", "CANCELLED", {}, False),
        ("CANCELLED", "CANCELLED", {"cancels_after": 1.0}, True),
    ],
)
def test_an_ending_needs_a_cause(
    monkeypatch: pytest.MonkeyPatch, status: str, code: str, changes: dict[str, Any], fair: bool
) -> None:
    scene = Scene()
    scene.plan = replace(PLAN, **changes)
    scene.job |= {"status": status, "error": {"code": code}}
    scene.told = [{**TOLD, "event_id": f"{ROW.job_id}-1-{status}"}]

    tally = scene.judged(monkeypatch)

    assert [name for name in PROMISES if tally.broken[name]] == ([] if fair else [UNJUST])
    assert tally.endings["linkvisual", status, code] == 1


def test_a_round_without_fault_has_no_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Scene().judged(monkeypatch)

    assert tally.kept
    assert (tally.jobs, tally.stored, tally.tasks, tally.asked_again, tally.deliveries) == (1, 1, 1, 0, 0)


def test_the_same_event_again_is_no_second_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.told = [TOLD, TOLD]

    tally = scene.judged(monkeypatch)

    assert (tally.kept, tally.deliveries) == (True, 1)


def test_a_repeat_that_the_job_allowed_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.rows, scene.recordings = [replace(ROW, on_uncertain="retrigger")], 2

    tally = scene.judged(monkeypatch)

    assert (tally.kept, tally.asked_again) == (True, 1)
