"""Vendors that are merely slow, with as many files as a job may have: each look ends in time, and all files come."""

from __future__ import annotations

import pytest
from clipferry.jobs.statuses import FileStatus
from clipferry.vendors.linkvisual.schemas import FILE_NAMES_MAX

from local.simulators.linkvisual import LinkVisualSimulator, Recording
from local.simulators.stage import Scene
from tests.conformance.ground import LIFETIME, Ground, ground


def assert_all_come(played: Ground, job_id: str, files: int, looks: int) -> None:
    played.trigger_until_sent(job_id)
    played.look_until_ready(job_id)
    job = played.job(job_id)
    assert max(answer.took for answer in played.answered) < LIFETIME
    assert (len(job.files), job.poll_errors) == (files, 0)
    assert job.polls <= looks


@pytest.mark.parametrize(("seconds", "looks"), [(0.5, 8), (3.6, 16), (9.0, 40), (25.0, 120)])
def test_a_hundred_uploads(monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int) -> None:
    urls = [f"https://media.example.com/{number}.mp4" for number in range(100)]
    with ground(monkeypatch, "ims") as played:
        played.call_seconds = seconds
        job_id = played.ask_for(Scene({"upload_urls": urls}, {"stagger": 0.0, "rates": {}}))
        assert_all_come(played, job_id, 100, looks)
        assert sorted(played.simulator.asked()) == sorted(urls)


@pytest.mark.parametrize(("seconds", "looks"), [(0.5, 6), (2.6, 12), (9.0, 30), (25.0, 80)])
def test_fifty_recorded_files(monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int) -> None:
    with ground(monkeypatch, "linkvisual") as played:
        played.call_seconds = seconds
        names = [recorded(played.simulator, f"r{number}") for number in range(FILE_NAMES_MAX)]  # type: ignore[arg-type]
        job_id = played.adopt({"iot_id": "gate-1", "file_names": names})
        assert_all_come(played, job_id, FILE_NAMES_MAX, looks)


def recorded(simulator: LinkVisualSimulator, record_id: str) -> str:
    """A recording of an hour ago; the name of its one file."""
    recording = Recording(record_id, "gate-1", 0, simulator.now() - 3600, simulator.clock.wall() - 3600, 0, 60)
    recording.files = simulator._files(recording)
    simulator.recordings[record_id] = recording
    return recording.files[0].name


def test_what_a_look_had_no_time_for_is_what_the_next_begins_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that take for ever do not keep the look from those behind them."""
    urls = [f"https://media.example.com/{number}.mp4" for number in range(60)]
    stuck = {url: [[0, "PENDING"]] for url in urls[:40]}
    with ground(monkeypatch, "ims") as played:
        played.call_seconds = 20.0
        job_id = played.ask_for(Scene({"upload_urls": urls}, {"scripts": stuck, "stagger": 0.0, "rates": {}}))
        played.trigger_until_sent(job_id)
        for _ in range(40):
            played.wait(played.poll(job_id)["wait_seconds"])
        ready = [file.ref for file in played.job(job_id).files if file.status is FileStatus.READY]
        assert sorted(ready) == sorted(urls[40:])
