"""The campaign's verdict notices what it promises to notice: each broken promise shown to it is a breach."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from local.chaos import batches, report, verdict
from local.chaos.campaign import Campaign, Form
from local.chaos.draws import Copying
from local.chaos.rows import Row
from local.chaos.verdict import (
    BROKEN,
    DOOR,
    ENDINGS,
    HASH,
    IDLE,
    IDLE_MAX,
    LOST,
    MISSING,
    PROMISES,
    SILENT,
    TWICE,
    UNJUST,
    UPLOADS,
    Tally,
    boxes_end_with,
    judge,
)
from local.chaos.work import TIGHT, Plan


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


VIDEO, OTHER = box(b"ftyp", b"isom") + box(b"moov") + box(b"mdat", b"x" * 100), box(b"moov", b"another video")
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
        self.recordings, self.served = 1, VIDEO
        self.copies: Counter[tuple[str, Copying]] = Counter()
        self.job: dict[str, Any] = {
            "job_id": ROW.job_id,
            "status": "SUCCEEDED",
            "generation": 1,
            "error": None,
            "warnings": [],
            "files": [
                {
                    "file_id": "f001",
                    "status": "STORED",
                    "s3_uri": "s3://videos/f001.mp4",
                    "evidence": {"sha256": digest(VIDEO)},
                }
            ],
        }

    def judged(self, monkeypatch: pytest.MonkeyPatch) -> Tally:
        recording = SimpleNamespace(device=self.plan.request["iot_id"], files=[SimpleNamespace(name="file")])
        vendor = SimpleNamespace(
            vendor="linkvisual",
            expected={"file": {"sha256": digest(self.served)}},
            recordings={str(n): recording for n in range(self.recordings)},
        )
        arena: Any = SimpleNamespace(
            stack=SimpleNamespace(job=lambda _: self.job, stored=self.objects.__getitem__),
            simulators={"linkvisual": vendor},
            ledger=SimpleNamespace(by_seed={"1": 0}, copies=self.copies),
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

    def cut_at_the_vendor(self) -> None:
        self.served = VIDEO[:-1]
        self.objects["s3://videos/f001.mp4"] = self.served
        self.job["files"][0]["evidence"]["sha256"] = digest(self.served)

    def calls_without_progress(self) -> None:
        self.copies = Counter({("1-0", Copying.CALLED): IDLE_MAX + 8, ("1-0", Copying.FURTHER): 7})

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
        (Scene.cut_at_the_vendor, BROKEN),
        (Scene.calls_without_progress, IDLE),
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


def test_a_file_that_the_vendor_has_cut_is_no_breach_where_the_job_warns_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.cut_at_the_vendor()
    scene.job["warnings"] = [{"code": "CONTAINER_INCOMPLETE", "message": "…", "file_id": "f001"}]

    assert scene.judged(monkeypatch).kept


def test_calls_that_found_the_account_refused_are_no_copying_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.calls_without_progress()
    scene.copies["1-0", Copying.WAITED] = 10

    assert scene.judged(monkeypatch).idle == IDLE_MAX - 9


@pytest.mark.parametrize("recordings", [0, 1])
def test_a_refused_account_ends_a_job_only_before_its_work_was_begun(
    monkeypatch: pytest.MonkeyPatch, recordings: int
) -> None:
    scene = Scene()
    scene.recordings = recordings
    scene.job |= {"status": "FAILED", "error": {"code": "ACCOUNT_REFUSED"}, "files": []}
    scene.told = [{**TOLD, "event_id": f"{ROW.job_id}-1-FAILED"}]

    assert scene.judged(monkeypatch).kept is (recordings == 0)


class Batches:
    """What the API says of one batch of two good lines and a bad one."""

    def __init__(self, **batch: Any) -> None:
        lines = {"total": 3, "accepted": 2, "rejected": 1, "duplicates": 0, "waiting": 0}
        self.batch = {"status": "SUBMITTED", "error": None, "lines": lines} | batch
        self.told = [2]

    def breaches(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        replies = {"/batches/b": self.batch, "/batches/b/report/url": {"url": "http://127.0.0.1/report"}}
        stack: Any = SimpleNamespace(call=lambda _, path: SimpleNamespace(json=lambda: replies[path]))
        report = "\n".join(json.dumps({"line": number}) for number in self.told)
        monkeypatch.setattr(
            batches.requests.Session, "get", lambda *_, **__: SimpleNamespace(text=report), raising=True
        )
        user: Any = SimpleNamespace(stack=stack, batch_id="b", lines=["", "", ""], plans=[PLAN, PLAN], poison=[2])
        found: list[str] = []
        batches.judge_batch(user, found.append)
        return found


def test_a_batch_whose_lines_are_all_submitted_or_told_is_no_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Batches().breaches(monkeypatch) == []


def test_a_batch_that_failed_or_counts_or_tells_wrongly_is_a_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Batches()
    silent.told = []
    for spoiled in (
        Batches(status="FAILED", error={"code": "LINES_LEFT"}),
        Batches(lines={"total": 3, "accepted": 1, "rejected": 1}),
        silent,
    ):
        assert len(spoiled.breaches(monkeypatch)) == 1


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (VIDEO, True),
        (VIDEO[:-1], False),
        (VIDEO + b"\0", False),
        (box(b"ftyp") + box(b"mdat"), False),  # no moov
        (box(b"moov") + (1).to_bytes(4, "big") + b"mdat" + (26).to_bytes(8, "big") + b"x" * 10, True),
        (box(b"moov") + (0).to_bytes(4, "big") + b"mdat" + b"x" * 10, True),
        (b"", False),
    ],
)
def test_an_mp4_is_whole_when_its_boxes_end_where_it_ends(content: bytes, whole: bool) -> None:
    assert boxes_end_with(content) is whole


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
