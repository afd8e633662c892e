"""What must hold after every step, and what must hold when everything is over."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from clipferry.jobs.statuses import FILE_MOVES, JOB_MOVES, FileStatus, JobStatus

from tests.models.dynamodb import Key
from tests.models.expressions import Item

if TYPE_CHECKING:
    from tests.simulation.world import World

LATE = 3600.0  # seconds after its deadline by which a job must have ended
READS_MAX = {"Trigger": 60, "Poll": 60, "Download": 60, "Finish": 60, "Api": 40}  # of the table, in one call


class Violated(AssertionError):
    """Something that must never be."""


class Invariants:
    def __init__(self, world: World) -> None:
        self._world = world
        self._ends: dict[tuple[str, int], str] = {}
        self._events: dict[str, dict[str, Any]] = {}
        self.violation: Violated | None = None

    def check(self, holds: bool, message: str) -> None:
        """The first violation ends the run."""
        if not holds and self.violation is None:
            self.violation = Violated(message)
            self._world.kernel.halted = True

    # -- rows -----------------------------------------------------------------------------------------------------

    def row_changed(self, key: Key, before: Item | None, after: Item | None) -> None:
        kind = (after or before or {}).get("kind", {}).get("S")
        if kind == "job" and after is not None:
            self._job_changed(before, after)
        elif kind == "file" and after is not None:
            self._file_changed(before, after)

    def _job_changed(self, before: Item | None, after: Item) -> None:
        job_id, generation, status = (
            after["job_id"]["S"],
            int(after["generation"]["N"]),
            JobStatus(after["status"]["S"]),
        )
        name = self._world.name_of(job_id)
        if before is None:
            self.check(status is JobStatus.QUEUED, f"{name} begins as {status}")
            return
        old, old_generation = JobStatus(before["status"]["S"]), int(before["generation"]["N"])
        self.check(status is old or status in JOB_MOVES[old], f"{name} moved from {old} to {status}")
        self.check(
            generation in (old_generation, old_generation + 1), f"{name}: generation {old_generation}→{generation}"
        )
        reopened = old.terminal and not status.terminal
        self.check(not reopened or generation == old_generation + 1, f"{name} was taken up again in one generation")
        if status.terminal:
            first = self._ends.setdefault((job_id, generation), status)
            self.check(first == status, f"{name}, generation {generation}, ended twice: {first} and {status}")
            if not old.terminal:
                late = self._world.kernel.now - _moment(after["deadline_at"]["S"])
                self.check(late < LATE, f"{name} ended {late:.0f} s after its deadline")

    def _file_changed(self, before: Item | None, after: Item) -> None:
        job_id, status = after["pk"]["S"].removeprefix("JOB#"), FileStatus(after["status"]["S"])
        name = f"{self._world.name_of(job_id)} {after['file_id']['S']}"
        if before is not None:
            old = FileStatus(before["status"]["S"])
            same_life = before.get("life") == after.get("life")
            opened = old is FileStatus.COPYING and status is FileStatus.READY
            moves = status is old or status in FILE_MOVES[old] or opened
            self.check(moves or not same_life, f"{name} moved from {old} to {status}")
        if status is FileStatus.STORED and (before is None or before["status"] != after["status"]):
            self._stored(name, job_id, after)

    def _stored(self, name: str, job_id: str, row: Item) -> None:
        """The object is there, whole, and of this job."""
        key = row["s3_uri"]["S"].removeprefix(f"s3://{self._world.bucket}/")
        found = self._world.s3.objects.get(key)
        self.check(found is not None, f"{name} is STORED, and no object stands under {key}")
        if found is None:
            return
        digest = hashlib.sha256(found.body).hexdigest()
        vendor = key.split("/")[-6] if key.count("/") >= 5 else ""
        made = {str(f["sha256"]): ref for ref, f in self._world.simulators.of[vendor].expected.items()}
        self.check(digest in made, f"{name} is STORED with bytes that the vendor never had")
        self.check(json.loads(row["evidence"]["S"]).get("sha256") == digest, f"{name}: its evidence is of other bytes")
        source = self._world.source_of(vendor, made.get(digest, ""))
        wanted = self._world.name_of(job_id).split("'")[0]
        self.check(source in ("", wanted), f"{name} has the video of {source}")

    # -- what leaves ------------------------------------------------------------------------------------------------

    def event_sent(self, detail: dict[str, Any]) -> None:
        job_id, generation, status = detail["job_id"], detail["generation"], detail["status"]
        name = self._world.name_of(job_id)
        end = self._ends.get((job_id, generation))
        self.check(end == status, f"{name} is announced as {status}, generation {generation}; its row ended as {end}")
        first = self._events.setdefault(detail["event_id"], detail)
        self.check(first == detail, f"{name}: two events of one id differ")

    def triggered(self, vendor: str, source: str, times: int) -> None:
        """The vendor was asked for this source so often by now."""
        if vendor == "polyv":
            return  # harmless to repeat
        name = self._world.source_of(vendor, source)
        allowed = self._world.allowed_tasks(name)
        self.check(times <= allowed, f"{name}: {vendor} was asked {times} times for {source}, {allowed} at most")

    def call_over(self, step: str, label: str, reads: int) -> None:
        most = READS_MAX.get(step)
        self.check(most is None or reads <= most, f"{label} read the table {reads} times")

    # -- the end ------------------------------------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        """What is still to be done, by job."""
        left = []
        for job_id, row in self._world.job_rows().items():
            if not JobStatus(row["status"]["S"]).terminal:
                left.append(f"{self._world.name_of(job_id)} is {row['status']['S']}")
            elif not row.get("event_sent", {}).get("BOOL"):
                left.append(f"{self._world.name_of(job_id)} has duties left")
            elif "clean_at" in row:
                left.append(f"{self._world.name_of(job_id)} is to be cleaned")
        return left

    def unsettled_live(self) -> bool:
        """Whether a job has not come to its end yet."""
        return any(not JobStatus(row["status"]["S"]).terminal for row in self._world.job_rows().values())

    def at_the_end(self) -> None:
        world = self._world
        self.check(not (left := self.unsettled()), f"left hanging: {', '.join(left)}")
        self.check(not world.s3.uploads, f"uploads left: {sorted(u.key for u in world.s3.uploads.values())}")
        running = [r.name for r in world.executions.records.values() if r.status == "RUNNING"]
        self.check(not running, f"executions still run: {running}")
        named = self._named_objects()
        for key in world.s3.objects:
            self.check(key in named, f"nobody names the object {key}")
        for key in sorted(named):
            self.check(key in world.s3.objects, f"the object {key} is not there")
        for job_id, row in world.job_rows().items():
            self._ended_job(job_id, row)
        self._nothing_held()

    def _named_objects(self) -> set[str]:
        found = set()
        for (pk, _), row in world_items(self._world):
            if row.get("kind", {}).get("S") == "file" and "s3_uri" in row and row["status"]["S"] == "STORED":
                found.add(row["s3_uri"]["S"].removeprefix(f"s3://{self._world.bucket}/"))
            if row.get("kind", {}).get("S") == "job":
                found.add(self._world.jobs.load(pk.removeprefix("JOB#")).manifest_key)
        return found

    def _ended_job(self, job_id: str, row: Item) -> None:
        job, name = self._world.jobs.load(job_id), self._world.name_of(job_id)
        manifest = self._world.s3.objects.get(job.manifest_key)
        said = json.loads(manifest.body) if manifest else {}
        shown = json.loads(json.dumps(job.public()))
        differs = [field for field in shown if field != "updated_at" and said.get(field) != shown[field]]
        self.check(not differs, f"{name}: the manifest differs from the row in {', '.join(differs)}")
        events = [e for e in self._events.values() if e["job_id"] == job_id and e["generation"] == job.generation]
        self.check(len(events) == 1, f"{name}, generation {job.generation}: {len(events)} ends were announced")
        files = [r for (pk, sk), r in world_items(self._world) if pk == row["pk"]["S"] and sk != "JOB"]
        for file in files:
            same = file.get("expires_at") == row.get("expires_at")
            self.check(same, f"{name}: its row {file['sk']['S']} does not go when the job's row does")
        for file in job.files if job.listed else ():
            opened = file.status is FileStatus.STORED or file.generation >= job.fresh_since
            self.check(opened, f"{name} was retried, and {file.file_id} was not tried again")
        self.check(all(f.status.settled for f in job.files), f"{name} ended, and a file of it did not")

    def _nothing_held(self) -> None:
        now, held = self._world.kernel.now, defaultdict(list)
        for (pk, sk), row in world_items(self._world):
            if pk.startswith("INFLIGHT#") and sk != "TAIL" and float(row.get("expires_at", {"N": "0"})["N"]) > now:
                held[pk].append(sk)
        self.check(not held, f"places still held: {dict(held)}")


def world_items(world: World) -> list[tuple[tuple[str, str], Item]]:
    return [((row["pk"]["S"], row["sk"]["S"]), row) for row in world.table.table.items.values()]


def _moment(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("+0000", "+00:00")).timestamp()
