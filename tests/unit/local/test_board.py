"""The demo's table: speed and time left from looks that see the bytes grow in steps."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from local.board import Board, Row, Speed, clock, size

MB = 1_000_000


def file(copied: int, total: int | None = 40 * MB, status: str = "COPYING") -> dict[str, Any]:
    return {"status": status, "bytes_copied": copied, "size": total}


def job(*files: dict[str, Any], status: str = "DOWNLOADING") -> dict[str, Any]:
    return {"status": status, "progress": 50, "files": list(files), "error": None, "polls": 1, "next_poll_at": None}


def test_speed_is_measured_from_change_to_change_not_from_look_to_look() -> None:
    speed = Speed()
    for now, count in [(0.0, 0), (1.0, 0), (2.0, 0), (4.0, 8 * MB), (4.3, 8 * MB), (8.0, 16 * MB)]:
        speed.saw(count, now, copying=True)
    assert speed.bytes_per_second == pytest.approx(2 * MB)


def test_time_before_the_copy_began_does_not_slow_it_down() -> None:
    speed = Speed()
    speed.saw(0, 0.0, copying=False)
    speed.saw(0, 100.0, copying=False)
    speed.saw(8 * MB, 104.0, copying=True)
    assert speed.bytes_per_second == pytest.approx(2 * MB)


def test_a_copy_that_begins_again_has_no_negative_speed() -> None:
    speed = Speed()
    for now, count in [(0.0, 0), (4.0, 8 * MB), (5.0, 0), (9.0, 8 * MB)]:
        speed.saw(count, now, copying=True)
    assert speed.bytes_per_second == pytest.approx(2 * MB)


def test_the_time_left_runs_down_between_two_changes_and_not_below_zero() -> None:
    speed = Speed()
    assert speed.left(MB, 0.0) is None
    speed.saw(0, 0.0, copying=True)
    assert speed.left(MB, 0.0) is None
    speed.saw(8 * MB, 4.0, copying=True)
    assert [speed.left(16 * MB, now) for now in (4.0, 7.0, 60.0)] == [4.0, 1.0, 0.0]


def test_a_row_tells_bytes_speed_and_time_left_while_it_copies() -> None:
    row = Row("a long one")
    row.saw(job(file(0)), now=0.0)
    assert (row.bytes, row.left(0.0)) == ("0 B of 40.0 MB", "")
    row.saw(job(file(8 * MB)), now=4.0)
    assert (row.bytes, row.left(4.0)) == ("8.0 MB of 40.0 MB", "0:16")
    row.saw(job(file(40 * MB, status="STORED"), status="SUCCEEDED"), now=20.0)
    assert (row.bytes, row.left(20.0)) == ("40.0 MB", "")


def test_what_a_failed_file_would_have_had_is_not_waited_for() -> None:
    row = Row("one of two")
    row.saw(job(file(0, status="FAILED"), file(10 * MB)), now=0.0)
    assert row.bytes == "10.0 MB of 40.0 MB"


def test_a_total_that_nobody_knows_is_not_shown() -> None:
    row = Row("of unknown size")
    row.saw(job(file(0, None)), now=0.0)
    row.saw(job(file(8 * MB, None)), now=4.0)
    assert (row.bytes, row.left(4.0)) == ("8.0 MB", "")


def test_the_table_shows_it_all() -> None:
    row = Row("a long one")
    row.saw(job(file(0)), now=0.0)
    row.saw(job(file(8 * MB)), now=4.0)
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(Board([row]))
    text = console.export_text()
    assert all(shown in text for shown in ("DOWNLOADING", "0/1", "8.0 MB of 40.0 MB", "2.0 MB/s", "━"))


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (6.2, "0:07"), (750, "12:30"), (3723, "1:02:03")])
def test_durations_are_written_as_on_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (999, "999 B"), (7.34e6, "7.3 MB"), (2.1e10, "21.0 GB")])
def test_bytes_are_written_for_people(count: float, shown: str) -> None:
    assert size(count) == shown
