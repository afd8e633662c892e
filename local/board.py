"""The demo's live table: one row for each job, with its status, its progress, its speed, and what it waits for."""

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
NEWEST = 0.75  # the weight of the newest measurement in a speed; the earlier ones have the rest
WAITS_FOR = {
    "QUEUED": "its start",
    "TRIGGERING": "the vendor's acceptance",
    "WAITING": "the vendor",
    "DOWNLOADING": "the copies",
}
SLOTS = {"budget": "a call slot of the account", "slot": "a task slot of the account"}  # by the job's waits_for


@dataclass
class Speed:
    """How fast bytes arrive, and how long the rest takes. All times are seconds on the same clock.

    A copy stores its number of bytes every few seconds, but the table reads it several times a second. So the speed is
    measured from one change to the next, not from one reading to the next.
    """

    bytes_per_second: float = 0.0
    _count: int = 0
    _since: float | None = None

    def saw(self, count: int, now: float, *, copying: bool) -> None:
        """Store how many bytes have arrived. `copying` False: nothing is being copied, so this time does not count."""
        if self._since is not None and count > self._count and now > self._since:
            step = (count - self._count) / (now - self._since)
            self.bytes_per_second += (step - self.bytes_per_second) * (NEWEST if self.bytes_per_second else 1)
        if self._since is None or count != self._count or not copying:
            self._count, self._since = count, now

    def left(self, total: int, now: float) -> float | None:
        """Seconds until `total` bytes have arrived; None while that is not known."""
        if not self.bytes_per_second or self._since is None:
            return None
        return max(0.0, (total - self._count) / self.bytes_per_second - (now - self._since))


@dataclass(eq=False)
class Row:
    """One job, in the state that was read last."""

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
        """Bytes of all files together; None while a file's size is not known."""
        sizes = [file["size"] for file in self.job.get("files", []) if file["status"] != "FAILED"]
        return sum(sizes) if sizes and None not in sizes else None

    @property
    def copying(self) -> bool:
        return any(file["status"] == "COPYING" for file in self.job.get("files", []))

    def saw(self, job: dict[str, Any], now: float | None = None) -> None:
        """Store a newer state of the job. `now` is on the monotonic clock."""
        self.job = job
        self.speed.saw(self.copied, time.monotonic() if now is None else now, copying=self.copying)

    @property
    def bytes(self) -> str:
        """How many bytes have arrived; while files are copied, also how many there are in all."""
        if self.copying and self.total:
            return f"{size(self.copied)} of {size(self.total)}"
        return size(self.copied) if self.copied else ""

    def left(self, now: float | None = None) -> str:
        """The time that the copies still need, such as 0:07; empty while that is not known."""
        if not self.copying or self.total is None:
            return ""
        seconds = self.speed.left(self.total, time.monotonic() if now is None else now)
        return "" if seconds is None else clock(seconds)

    @property
    def waits_for(self) -> str:
        if self.done:
            error = self.job.get("error")
            return f"{error['code']}: {error['message']}" if error else ""
        if slot := SLOTS.get(self.job.get("waits_for", "")):
            return f"{slot}; next try at {self.job['next_poll_at'][11:19]}"
        if self.status == "WAITING" and self.job.get("next_poll_at"):
            return f"the vendor; look {self.job['polls'] + 1} at {self.job['next_poll_at'][11:19]}"
        return WAITS_FOR.get(self.status, "")

    @property
    def files(self) -> str:
        files = self.job.get("files", [])
        stored = sum(file["status"] == "STORED" for file in files)
        return f"{stored}/{len(files)}" if files else ""


class Board:
    """Renders the rows, for rich's Live."""

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
    """A number of bytes as text: 7.3 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def rate(speed: Speed) -> str:
    """Bytes per second as text; empty before the first bytes."""
    return f"{size(speed.bytes_per_second)}/s" if speed.bytes_per_second else ""


def clock(seconds: float) -> str:
    """A duration as text: 0:07, 12:30, 1:02:03."""
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
