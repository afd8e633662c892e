"""Checks the results of a round from outside, after all jobs have ended: what the API shows of each job, what is in S3,
what the vendors recorded, and what EventBridge delivered."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.chaos.arena import Arena
from local.chaos.batches import BatchUser, judge_batch
from local.chaos.draws import Copying
from local.chaos.rows import Row, Rows
from local.chaos.users import User
from local.chaos.work import Plan, at_the_vendor, segments
from local.stack import TERMINAL

IDLE_MAX = 40  # calls of download: six attempts, each repeated by the machine when it is killed

LOST, HASH, BROKEN, MISSING, UNJUST, TWICE, IDLE, UPLOADS, ENDINGS, SILENT, DOOR, LINES = PROMISES = (
    "jobs lost",
    "stored files with a wrong hash",
    "files stored that are not whole",
    "SUCCEEDED jobs that lack a file",
    "ends without a cause",
    "vendor tasks triggered twice",
    f"jobs with more than {IDLE_MAX} calls without progress for each file",
    "multipart uploads left over",
    "jobs with two terminal events",
    "jobs whose end has no event",
    "submissions that made no job, or two jobs",
    "batches with a line that was neither submitted nor reported",
)

#: The error codes of a job that ended because a fault was repeated too often.
GAVE_UP = frozenset({"TRIGGER_UNCERTAIN"})


@dataclass
class Tally:
    """The results of one seed. `broken` names each breach of a promise."""

    seed: int
    jobs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    endings: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # vendor, status, error code
    stored: int = 0  # files
    bytes: int = 0
    tasks: int = 0  # jobs for which a vendor started work
    asked_again: int = 0  # work started again that the job allowed (on_uncertain) or that is harmless (polyv)
    idle: int = 0  # the most calls of download without progress of one job, divided by the number of its files
    deliveries: int = 0  # events that were sent again with the same event id
    faults: int = 0
    straggler: float = 0.0  # seconds from the last fault until the last job was settled; 0: settled before
    broken: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in PROMISES})

    def breach(self, promise: str, what: str) -> None:
        self.broken[promise].append(what)

    @property
    def kept(self) -> bool:
        return not any(self.broken.values())


def judge(arena: Arena, rows: Rows, users: list[User], batches: Sequence[BatchUser] = ()) -> dict[int, Tally]:
    """The tally of each seed of a round."""
    rows.look()
    endings, uploads = _endings(arena), _uploads(arena)
    tallies: dict[int, Tally] = {}
    known = Counter(row.mark for row in rows.all())
    for user in users:
        plan = user.plan
        tally = tallies.setdefault(plan.seed, Tally(plan.seed))
        row = rows.of(plan.mark)
        if row is None or known[plan.mark] != 1:
            tally.breach(DOOR, f"{plan.mark}: {known[plan.mark]} rows")
        if row is not None:
            tally.jobs += 1
            _judge_job(arena, tally, user, row, endings[row.job_id])
            for key in uploads:
                if row.job_id in key:
                    tally.breach(UPLOADS, f"{plan.mark}: {key}")
    for seed, tally in tallies.items():
        tally.faults = arena.ledger.by_seed[str(seed)]
    for batch in batches:
        judge_batch(batch, partial(tallies[batch.seed].breach, LINES))
    return tallies


def _judge_job(arena: Arena, tally: Tally, user: User, row: Row, told: list[dict[str, Any]]) -> None:
    plan, job = user.plan, arena.stack.job(row.job_id)
    tally.statuses[job["status"]] += 1
    if job["status"] not in TERMINAL:
        tally.breach(LOST, f"{plan.mark}: {job['job_id']} is {job['status']}")
    asked = (
        at_the_vendor(plan, arena.simulators[plan.vendor]).tasks > 0 and not plan.retries
    )  # a retry asks for new work
    _judge_ending(tally, plan, job, asked=asked)
    _judge_files(arena, tally, plan, job)
    _judge_copying(arena, tally, plan, job)
    _judge_trigger(arena, tally, plan, row)
    _judge_events(tally, user, job, told)


def _judge_ending(tally: Tally, plan: Plan, job: dict[str, Any], *, asked: bool) -> None:
    """A job may fail only because of its user, because of what it asked for, or because faults used up a budget.

    A refused account ends a job only if nothing was `asked` of the vendor yet: a job whose work runs waits for the new
    key.
    """
    status, code = job["status"], (job["error"] or {}).get("code", "")
    tally.endings[plan.vendor, status, code] += 1
    match status:
        case "CANCELLED":
            fair = plan.cancels_after is not None
        case "TIMED_OUT":
            fair = plan.tight
        case "FAILED" | "PARTIAL":
            fair = plan.flawed or code in GAVE_UP or (code == "ACCOUNT_REFUSED" and not asked)
        case _:
            fair = True
    if not fair:
        tally.breach(UNJUST, f"{plan.mark}: {job['job_id']}, {plan.vendor}, is {status}, {code}")


def _judge_files(arena: Arena, tally: Tally, plan: Plan, job: dict[str, Any]) -> None:
    """Every stored file is whole, equals a file that the vendor serves for this job, and differs from the others."""
    served = at_the_vendor(plan, arena.simulators[plan.vendor]).hashes
    warned = {warning.get("file_id") for warning in job["warnings"]}
    found: set[str] = set()
    for file in job["files"]:
        if file["status"] != "STORED":
            continue
        content = arena.stack.stored(file["s3_uri"])
        tally.stored += 1
        tally.bytes += len(content)
        if plan.hls:
            _judge_segments(arena, tally, plan, file, content)
            found.add(file["s3_uri"])
            continue
        digest = hashlib.sha256(content).hexdigest()
        if digest not in served or digest in found or digest != file["evidence"]["sha256"]:
            tally.breach(HASH, f"{plan.mark}: {file['s3_uri']}")
        if not boxes_end_with(content) and file["file_id"] not in warned:
            tally.breach(BROKEN, f"{plan.mark}: {file['s3_uri']}")
        found.add(digest)
    if job["status"] == "SUCCEEDED" and len(found) < _asked_for(plan, len(served)):
        tally.breach(MISSING, f"{plan.mark}: {len(found)} files of {_asked_for(plan, len(served))}")


def _judge_segments(arena: Arena, tally: Tally, plan: Plan, file: dict[str, Any], playlist: bytes) -> None:
    """The stored playlist names all segments that the vendor serves for this job, and no others."""
    served, home = segments(plan, arena.simulators[plan.vendor]), file["s3_uri"].rpartition("/")[0]
    names = [line for line in playlist.decode().splitlines() if line and not line.startswith("#")]
    stored = {hashlib.sha256(arena.stack.stored(f"{home}/{name}")).hexdigest() for name in names}
    if not stored <= served:
        tally.breach(HASH, f"{plan.mark}: {file['s3_uri']}")
    if stored != served or not playlist.rstrip().endswith(b"#EXT-X-ENDLIST"):
        tally.breach(BROKEN, f"{plan.mark}: {file['s3_uri']}: {len(stored)} segments of {len(served)}")


def boxes_end_with(content: bytes) -> bool:
    """Whether the top-level boxes of an MP4 (ISO/IEC 14496-12 §4.2) reach exactly the end of the file."""
    at, kinds = 0, []
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        kinds.append(content[at + 4 : at + 8])
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16], "big")
        if size < 8:
            return size == 0 and b"moov" in kinds  # 0: to the end of the file
        at += size
    return at == len(content) and b"moov" in kinds


def _judge_copying(arena: Arena, tally: Tally, plan: Plan, job: dict[str, Any]) -> None:
    """Counts the calls of download that stored nothing more, for each file: no source may keep Lambda running.

    Calls that found the account refused are not counted. They end at once, and there are many of them here, because the
    machine's waits are shortened, but not the time until an account may be tried again.
    """
    called, further, waited = (arena.ledger.copies[plan.mark, what] for what in Copying)
    idle = (called - further - waited) // max(1, len(job["files"]))
    tally.idle = max(tally.idle, idle)
    if idle > IDLE_MAX:
        tally.breach(IDLE, f"{plan.mark}: {idle}")


def _asked_for(plan: Plan, served: int) -> int:
    """How many files a job that SUCCEEDED must have."""
    if plan.vendor == "linkvisual":
        return min(served, -(-int(plan.request["record_duration"]) // 30))  # of one recording, if there are two
    return len(plan.request.get("upload_urls") or plan.request.get("vids") or plan.request["files"])


def _judge_trigger(arena: Arena, tally: Tally, plan: Plan, row: Row) -> None:
    """Work is requested once, and once more for each retry that needed new work: these are the rounds of triggers."""
    times = at_the_vendor(plan, arena.simulators[plan.vendor]).tasks
    tally.tasks += times > 0
    again = times - row.trigger_round
    if again > 0 and (plan.vendor == "polyv" or row.on_uncertain == "retrigger"):
        tally.asked_again += again
    elif again > 0:
        tally.breach(TWICE, f"{plan.mark}: {times} in {row.trigger_round} rounds")


def _judge_events(tally: Tally, user: User, job: dict[str, Any], told: list[dict[str, Any]]) -> None:
    """Each end has one event id, and each retry allows one more end. The last event has the status of the API."""
    ids = Counter(event["event_id"] for event in told)
    tally.deliveries += sum(ids.values()) - len(ids)
    generations = [event_id.split("-")[1] for event_id in ids]
    if len(set(generations)) < len(ids) or len(ids) > 1 + user.retries:
        tally.breach(ENDINGS, f"{user.plan.mark}: {', '.join(sorted(ids))}")
    if job["status"] in TERMINAL and f"{job['job_id']}-{job['generation']}-{job['status']}" not in ids:
        tally.breach(SILENT, f"{user.plan.mark}: {job['status']}")


def _endings(arena: Arena) -> dict[str, list[dict[str, Any]]]:
    """All events that the bus delivered, by job."""
    sqs, told = arena.stack.client("sqs"), defaultdict(list)
    while messages := sqs.receive_message(QueueUrl=arena.endings, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            detail = json.loads(message["Body"])["detail"]
            told[detail["job_id"]].append(detail)
            sqs.delete_message(QueueUrl=arena.endings, ReceiptHandle=message["ReceiptHandle"])
    return told


def _uploads(arena: Arena) -> list[str]:
    """Keys of the multipart uploads that are still open."""
    pages = arena.stack.client("s3").get_paginator("list_multipart_uploads")
    return [
        upload["Key"]
        for page in pages.paginate(Bucket=arena.stack.outputs["BucketName"])
        for upload in page.get("Uploads", [])
    ]
