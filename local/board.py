"""The demo's live table: a row a job with its status, its progress, how fast it copies, and what it waits for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table

from local.stack import TERMINAL

COLOURS = {"SUCCEEDED": "green", "PARTIAL": "yellow", "FAILED": "red", "TIMED_OUT": "red", "CANCELLED": "yellow"}
NEWEST = 0.75  # what the newest step counts for in a speed; the rest is what was before
WAITS_FOR = {
    "QUEUED": "its turn",
    "TRIGGERING": "the vendor to accept",
    "WAITING": "the vendor",
    "DOWNLOADING": "bytes",
}


@dataclass
class Speed:
    """How fast bytes arrive, and how long the rest takes. Times are seconds on any one clock.

    A copy writes its bytes down every few seconds while it is looked at several times a second: what counts is the
    time from one change to the next, not from one look to the next.
    """

    bytes_per_second: float = 0.0
    _count: int = 0
    _since: float | None = None

    def saw(self, count: int, now: float, *, copying: bool) -> None:
        """Take in how many bytes are there. `copying` False: nothing is under way, so that no time passes for it."""
        if self._since is not None and count > self._count and now > self._since:
            step = (count - self._count) / (now - self._since)
            self.bytes_per_second += (step - self.bytes_per_second) * (NEWEST if self.bytes_per_second else 1)
        if self._since is None or count != self._count or not copying:
            self._count, self._since = count, now

    def left(self, total: int, now: float) -> float | None:
        """Seconds until `total` bytes are there; None when nobody can tell yet."""
        if not self.bytes_per_second or self._since is None:
            return None
        return max(0.0, (total - self._count) / self.bytes_per_second - (now - self._since))


@dataclass(eq=False)
class Row:
    """One job as last seen."""

    title: str
    job: dict[str, Any] = field(default_factory=dict)
    speed: Speed = field(default_factory=Speed)

    @property
    def status(self) -> str:
        return str(self.job.get("status", "…"))

    @property
    def done(self) -> bool:
        return self.status in TERMINAL

    @property
    def copied(self) -> int:
        return sum(file["bytes_copied"] or 0 for file in self.job.get("files", []))

    @property
    def total(self) -> int | None:
        """Bytes that are to be copied; None while a file's size is not known."""
        sizes = [file["size"] for file in self.job.get("files", []) if file["status"] != "FAILED"]
        return sum(sizes) if sizes and None not in sizes else None

    @property
    def copying(self) -> bool:
        return any(file["status"] == "COPYING" for file in self.job.get("files", []))

    def saw(self, job: dict[str, Any], now: float | None = None) -> None:
        """Take in a newer state of the job. `now` is on the monotonic clock."""
        self.job = job
        self.speed.saw(self.copied, time.monotonic() if now is None else now, copying=self.copying)

    @property
    def bytes(self) -> str:
        """How much is there, of how much while it is copied."""
        if self.copying and self.total:
            return f"{size(self.copied)} of {size(self.total)}"
        return size(self.copied) if self.copied else ""

    def left(self, now: float | None = None) -> str:
        """The time that the copying still takes, such as 0:07; nothing when that cannot be told."""
        if not self.copying or self.total is None:
            return ""
        seconds = self.speed.left(self.total, time.monotonic() if now is None else now)
        return "" if seconds is None else clock(seconds)

    @property
    def waits_for(self) -> str:
        if self.done:
            error = self.job.get("error")
            return f"{error['code']}: {error['message']}" if error else ""
        if self.job.get("waits_for") in ("budget", "slot"):
            return f"its turn at the vendor ({self.job['waits_for']}), at {self.job['next_poll_at'][11:19]}"
        if self.status == "WAITING" and self.job.get("next_poll_at"):
            return f"the vendor; look {self.job['polls'] + 1} at {self.job['next_poll_at'][11:19]}"
        return WAITS_FOR.get(self.status, "")

    @property
    def files(self) -> str:
        files = self.job.get("files", [])
        stored = sum(file["status"] == "STORED" for file in files)
        return f"{stored}/{len(files)}" if files else ""


class Board:
    """Renders the rows; hand it to rich's Live."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table("job", "status", "progress", "files", "copied", "speed", "left", "waits for", expand=True)
        for row in self._rows:
            colour = COLOURS.get(row.status, "cyan")
            progress = ProgressBar(total=100, completed=row.job.get("progress", 0), width=20)
            table.add_row(
                row.title,
                f"[{colour}]{row.status}[/]",
                progress,
                row.files,
                row.bytes,
                rate(row.speed),
                row.left(),
                row.waits_for,
            )
        yield table


def size(count: float) -> str:
    """Bytes for people: 7.3 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def rate(speed: Speed) -> str:
    """Bytes per second for people; nothing before any came."""
    return f"{size(speed.bytes_per_second)}/s" if speed.bytes_per_second else ""


def clock(seconds: float) -> str:
    """A duration for people: 0:07, 12:30, 1:02:03."""
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
