"""What users do: submit, twice at times; cancel and retry at the worst moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipferry.jobs.statuses import JobStatus
from clipferry.steps.finish import Closing, NotNow
from clipferry.steps.submit import retry, submit
from clipferry.store.job_records import NotFound, Superseded

from tests.models.expressions import Item
from tests.simulation.kernel import Call
from tests.simulation.world import World
from tests.unit.steps.aws import client

TRIES = 4  # of one wish
RETRIES = 3  # of one job
REFUSALS = (NotNow, NotFound, Superseded)


def request_of(draws: Any, vendor: str, name: str) -> dict[str, Any]:
    """A request that no other job has: its sources name the job."""
    files = 1 + int(draws.fraction(f"{name} files") ** 2 * 3)
    ids = [f"{name}x{number}" for number in range(files)]
    match vendor:
        case "linkvisual":
            return {"iot_id": f"cam-{name}x", "record_duration": 30}
        case "ims":
            return {"upload_urls": [f"https://source.example.com/{one}.mp4" for one in ids]}
        case "cloudv":
            return {"files": [{"fetch_url": f"https://source.example.com/{one}.mp4"} for one in ids]}
    return {"vids": ids}


class Users:
    """The users of one run. `jobs`: how many they submit, of which vendors; `names`: only these of them."""

    def __init__(self, world: World, jobs: int, vendors: tuple[str, ...], names: frozenset[str] | None = None) -> None:
        self.world, self.draws = world, world.draws
        self._busy = 0  # wishes under way
        self._retries: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        world.watchers.append(self._row_changed)
        world.expected_over = self.are_done  # type: ignore[method-assign]
        for number in range(jobs):
            if names is None or f"j{number}" in names:
                self._job(f"j{number}", vendors)

    def are_done(self) -> bool:
        return self._busy == 0 and not self.world.invariants.unsettled_live()

    def _job(self, name: str, vendors: tuple[str, ...]) -> None:
        vendor = self.draws.one_of(f"{name} vendor", vendors)
        body = {
            "vendor": vendor,
            "request": request_of(self.draws, vendor, name),
            "deadline_seconds": int(2 ** self.draws.between(f"{name} deadline", 9, 13)),
            "destination": {"prefix": f"of/{name}"},
        }
        if self.draws.happens(name, "retrigger allowed", 0.15):
            body["on_uncertain"] = "retrigger"
        at = self.draws.between(f"{name} at", 0.0, 600.0)
        self._wish(name, "submit", lambda: submit(self.world.runtime(), body, seed=f"key:{name}").job_id, at)
        if self.draws.happens(name, "submitted twice", 0.15):
            later = at + self.draws.between(f"{name} twice", 0.0, 0.3)
            self._wish(name, "submit", lambda: submit(self.world.runtime(), body, seed=f"key:{name}").job_id, later)

    def _wish(self, name: str, what: str, act: Callable[[], Any], delay: float, tries: int = TRIES) -> None:
        """Ask for it, again when the answer was an error of the server."""
        self._busy += 1

        def over(call: Call) -> None:
            self._busy -= 1
            gives_up = call.error is not None and self.draws.happens(call.label, "user gives up", 0.3)
            if call.error is not None and not isinstance(call.error, REFUSALS) and tries > 1 and not gives_up:
                self._wish(name, what, act, 1.0, tries - 1)

        self.world.begin("Api", name, lambda left: act(), over, delay)

    def _row_changed(self, job_id: str, before: Item | None, after: Item) -> None:
        name = self.world.name_of(job_id)
        self._changes[name] = self._changes.get(name, 0) + 1
        label = f"{name} change {self._changes[name]}"
        old = JobStatus(before["status"]["S"]) if before else None
        status = JobStatus(after["status"]["S"])
        if not status.terminal:
            if self.draws.happens(label, "cancelled", 0.008):
                self._cancel(name, job_id, label)
        elif old is not None and not old.terminal and status is not JobStatus.SUCCEEDED:
            if self._retries.get(name, 0) < RETRIES and self.draws.happens(label, "retried", 0.5):
                self._retries[name] = self._retries.get(name, 0) + 1
                self._retry(name, job_id, label)
        elif old is not None and not old.terminal and self.draws.happens(label, "cancelled at its end", 0.05):
            self._cancel(name, job_id, label)

    def _cancel(self, name: str, job_id: str, label: str) -> None:
        delay = 2 ** self.draws.between(f"{label} cancel", -8, 4)
        times = 2 if self.draws.happens(label, "cancelled twice", 0.2) else 1
        for number in range(times):
            act = lambda: Closing(self.world.runtime(), client("s3")).cancel(job_id)  # noqa: E731
            self._wish(name, "cancel", act, delay + number * self.draws.between(f"{label} again", 0.0, 0.2))

    def _retry(self, name: str, job_id: str, label: str) -> None:
        delay = 2 ** self.draws.between(f"{label} retry", -8, 7)
        times = 2 if self.draws.happens(label, "retried twice", 0.2) else 1
        for number in range(times):
            act = lambda: retry(self.world.runtime(), job_id)  # noqa: E731
            self._wish(name, "retry", act, delay + number * self.draws.between(f"{label} again", 0.0, 0.2))
