"""`make demo`: jobs of all vendors, from the request to the proof that each video in S3 equals the vendor's.

Each vendor's work is asked for with `request`; when it exists, a second job takes it with `adopt`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from local.board import Board, Row, rate, size
from local.simulators import simulator_class, vendors
from local.world import World, world

TIME_SCALE = 1 / 300  # 70 minutes of recording pass in 14 s
PATIENCE = 240.0  # seconds that the demo waits for its jobs
REFRESH = 0.3  # seconds between two looks at every job

LONG = "e8888b74d1f2_e"  # the video whose copy takes so long that it can be watched
LINE = 4_000_000  # bytes a second of a connection to its vendor …
LINES = 1  # … and how many connections the vendor's account allows


@dataclass(frozen=True)
class Scene:
    """Some work of a vendor: its request, its adoption, and how many videos it must give."""

    title: str
    vendor: str
    request: Mapping[str, Any]
    files: int
    adopt: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None  # made from the job that asked for the work


def sources(*names: str) -> list[str]:
    return [f"https://media.example.com/{name}.mp4" for name in names]


SCENES = [
    Scene("camera at the gate, 1 minute", "linkvisual", {"iot_id": "gate-3", "record_duration": 60}, 1),
    Scene(
        "camera in the yard, 70 minutes",
        "linkvisual",
        {"iot_id": "yard-1", "record_duration": 4200},
        3,
        adopt=lambda job: {"iot_id": "yard-1", "record_id": job["vendor_refs"]["record_id"]},
    ),
    Scene(
        "two URLs into the media library",
        "ims",
        {"upload_urls": sources("intro", "lesson-1")},
        2,
        adopt=lambda job: {"upload_urls": job["request"]["upload_urls"]},
    ),
    Scene(
        "two URLs pulled to the edge",
        "cloudv",
        {"files": [{"fetch_url": url} for url in sources("a", "b")]},
        2,
        adopt=lambda job: {"task_id": job["vendor_refs"]["task_id"]},
    ),
    Scene(
        "two source files, a long one",
        "polyv",
        {"vids": ["e8888b74d1229efec6b4712e17cb6b7a_e", LONG]},
        2,
        adopt=lambda job: {"task_id": job["vendor_refs"]["task_id"]},
    ),
]
SCENES += [
    Scene("one file", vendor, simulator_class(vendor).stage.one.request, 1, adopt=simulator_class(vendor).stage.adopt)
    for vendor in vendors()
    if vendor not in {scene.vendor for scene in SCENES}
]


class Show:
    """The jobs of all scenes, until they have ended."""

    def __init__(self, running: World) -> None:
        self.world = running
        self.rows: dict[Row, Scene] = {}
        self._adopted: set[Row] = set()

    def begin(self) -> None:
        for scene in SCENES:
            self._submit(scene, scene.title, request=scene.request)

    def look(self) -> bool:
        """Look at every job once, and adopt the work of those that succeeded. Returns whether all jobs have ended."""
        for row, scene in list(self.rows.items()):
            if not row.done:
                row.saw(self.world.stack.job(row.job["job_id"]))
            if row.status == "SUCCEEDED" and scene.adopt and row not in self._adopted and row.job["request"]:
                self._adopted.add(row)
                self._submit(scene, f"  {scene.title}, adopted", adopt=scene.adopt(row.job))
        return all(row.done for row in self.rows)

    def _submit(self, scene: Scene, title: str, **work: Mapping[str, Any]) -> None:
        row = Row(f"{scene.vendor}: {title.strip()}")
        row.saw(self.world.stack.submit({"vendor": scene.vendor, "destination": {"prefix": "demo"}, **work}))
        self.rows[row] = scene

    def proof(self) -> tuple[Table, bool]:
        """Compare every stored object with what the vendor served. Returns a table, and whether all are equal."""
        table, proven = (
            Table(
                Column("S3 URI", overflow="fold"),
                "size",
                Column("SHA-256", overflow="fold"),
                "evidence",
                "equal",
                expand=True,
            ),
            True,
        )
        for row, scene in self.rows.items():
            served = {str(known["sha256"]) for known in self.world.simulators[scene.vendor].expected.values()}
            hashes = set()
            for file in row.job["files"]:
                stored = self.world.stack.stored(file["s3_uri"]) if file["s3_uri"] else b""
                digest = hashlib.sha256(stored).hexdigest()
                evidence = file["evidence"] or {}
                equal = digest in served and digest == evidence.get("sha256")
                hashes |= {digest} if equal else set()
                table.add_row(
                    file["s3_uri"] or file["name"],
                    size(len(stored)),
                    digest,
                    evidence.get("level", ""),
                    "[green]yes[/]" if equal else "[red]NO[/]",
                )
            proven = proven and row.status == "SUCCEEDED" and len(hashes) == scene.files == len(row.job["files"])
        return table, proven


def slow_down(running: World) -> None:
    """Give one vendor a long video and a slow connection, so that one copy takes long enough to be watched."""
    simulator = running.simulators["polyv"]
    simulator.settings.sizes = {LONG: "large"}
    simulator.downloads.rate = LINE
    running.stack.add_account("polyv", {**simulator.account(), "connections": LINES})


def main() -> int:
    """Returns 0 if every video of every job is in S3 and equals the vendor's, otherwise 1."""
    console = Console(width=None if Console().is_terminal else 200)
    started = time.monotonic()

    def say(what: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {what}")

    with world(TIME_SCALE, say) as running:
        say(f"the API is at {running.stack.url}; an hour passes in {3600 * TIME_SCALE:.0f} s")
        slow_down(running)
        show = Show(running)
        show.begin()
        _watch(show, console)
        table, proven = show.proof()
        console.print(table)
        for row in show.rows:
            if row.status != "SUCCEEDED":
                console.print(f"[red]{row.title}: {row.status}[/] {row.waits_for}", soft_wrap=True)
        say("[green]every video equals the vendor's[/]" if proven else "[red]a video is missing or differs[/]")
    return 0 if proven else 1


def _watch(show: Show, console: Console) -> None:
    """Show the jobs until all have ended, or for PATIENCE seconds. Without a terminal, print a line for each change."""
    deadline, told = time.monotonic() + PATIENCE, dict[Row, tuple[str, int]]()
    with Live(_Rows(show), console=console, auto_refresh=False, transient=False) as live:
        while not show.look() and time.monotonic() < deadline:
            live.refresh()
            if not console.is_terminal:
                for row in show.rows:
                    news = (row.status, row.copied if row.copying else 0)
                    if told.get(row) != news:
                        told[row] = news
                        how = (row.bytes, rate(row.speed), row.left() and f"{row.left()} left") if row.copying else ()
                        console.print(f"  {row.title}: {', '.join(filter(None, (row.status, *how)))}")
            time.sleep(REFRESH)
        live.refresh()


class _Rows:
    """The board of a show, made again for each refresh, because rows are added."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def __rich__(self) -> Board:
        return Board(self._show.rows)
