"""The demo's live table: a row a job with its status, its progress, what it waits for and how fast it copies."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table

from local.stack import TERMINAL

COLOURS = {"SUCCEEDED": "green", "PARTIAL": "yellow", "FAILED": "red", "TIMED_OUT": "red", "CANCELLED": "yellow"}
WAITS_FOR = {
    "QUEUED": "its turn",
    "TRIGGERING": "the vendor to accept",
    "WAITING": "the vendor",
    "DOWNLOADING": "bytes",
}


@dataclass(eq=False)
class Row:
    """One job as last seen."""

    title: str
    job: dict[str, Any] = field(default_factory=dict)
    speed: float = 0.0  # bytes per second since the last look, the last that was not zero
    _seen_at: float = 0.0
    _seen_bytes: int = 0

    @property
    def status(self) -> str:
        return str(self.job.get("status", "…"))

    @property
    def done(self) -> bool:
        return self.status in TERMINAL

    @property
    def copied(self) -> int:
        return sum(file["bytes_copied"] or 0 for file in self.job.get("files", []))

    def saw(self, job: dict[str, Any]) -> None:
        """Take in a newer state of the job."""
        now, self.job = time.monotonic(), job
        if self._seen_at and self.copied > self._seen_bytes:
            self.speed = (self.copied - self._seen_bytes) / (now - self._seen_at)
        self._seen_at, self._seen_bytes = now, self.copied

    @property
    def waits_for(self) -> str:
        if self.done:
            error = self.job.get("error")
            return f"{error['code']}: {error['message']}" if error else ""
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
        table = Table("job", "status", "progress", "files", "copied", "speed", "waits for", expand=True)
        for row in self._rows:
            colour = COLOURS.get(row.status, "cyan")
            progress = ProgressBar(total=100, completed=100 if row.done else row.job.get("progress", 0), width=20)
            speed = f"{size(row.speed)}/s" if row.speed else ""
            table.add_row(row.title, f"[{colour}]{row.status}[/]", progress, row.files, size(row.copied), speed,
                          row.waits_for)  # fmt: skip
        yield table


def size(count: float) -> str:
    """Bytes for people: 7.3 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
