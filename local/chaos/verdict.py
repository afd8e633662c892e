"""Judges a round from outside, when everything has come to rest: what the API says of each job, what lies in S3, what
the vendors recorded, what EventBridge delivered."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from local.chaos.arena import Arena
from local.chaos.rows import Row, Rows
from local.chaos.users import User
from local.chaos.work import Plan, at_the_vendor
from local.stack import TERMINAL

LOST, HASH, MISSING, UNJUST, TWICE, UPLOADS, ENDINGS, SILENT, DOOR = PROMISES = (
    "jobs lost",
    "stored files with a wrong hash",
    "SUCCEEDED jobs that lack a file",
    "endings without a cause",
    "vendor tasks triggered twice",
    "multipart uploads left over",
    "jobs with two terminal events",
    "jobs whose end nobody was told",
    "submissions that made no job, or two",
)

#: What a job says that a fault repeated too often has ended.
GAVE_UP = frozenset({"TRIGGER_UNCERTAIN"})


@dataclass
class Tally:
    """One seed's figures. `broken` names each breach of a promise."""

    seed: int
    jobs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    endings: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # vendor, status, error code
    stored: int = 0  # files
    bytes: int = 0
    tasks: int = 0  # jobs for which a vendor started work
    asked_again: int = 0  # work started again that the job allowed (on_uncertain) or that is harmless (polyv)
    deliveries: int = 0  # endings told a second time under the same event id
    faults: int = 0
    straggler: float = 0.0  # seconds from the end of the faults until the last job was settled; 0: before
    broken: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in PROMISES})

    def breach(self, promise: str, what: str) -> None:
        self.broken[promise].append(what)

    @property
    def kept(self) -> bool:
        return not any(self.broken.values())


def judge(arena: Arena, rows: Rows, users: list[User]) -> dict[int, Tally]:
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
    return tallies


def _judge_job(arena: Arena, tally: Tally, user: User, row: Row, told: list[dict[str, Any]]) -> None:
    plan, job = user.plan, arena.stack.job(row.job_id)
    tally.statuses[job["status"]] += 1
    if job["status"] not in TERMINAL:
        tally.breach(LOST, f"{plan.mark}: {job['job_id']} is {job['status']}")
    _judge_ending(tally, plan, job)
    _judge_files(arena, tally, plan, job)
    _judge_trigger(arena, tally, plan, row)
    _judge_events(tally, user, job, told)


def _judge_ending(tally: Tally, plan: Plan, job: dict[str, Any]) -> None:
    """Short of SUCCEEDED, a job ends by its user's will, by what it asked for, or because faults used up a budget."""
    status, code = job["status"], (job["error"] or {}).get("code", "")
    tally.endings[plan.vendor, status, code] += 1
    match status:
        case "CANCELLED":
            fair = plan.cancels_after is not None
        case "TIMED_OUT":
            fair = plan.tight
        case "FAILED" | "PARTIAL":
            fair = plan.flawed or code in GAVE_UP
        case _:
            fair = True
    if not fair:
        tally.breach(UNJUST, f"{plan.mark}: {job['job_id']}, {plan.vendor}, is {status}, {code}")


def _judge_files(arena: Arena, tally: Tally, plan: Plan, job: dict[str, Any]) -> None:
    """Every stored file is one that the vendor serves for this job, whole, and each is another one."""
    served = at_the_vendor(plan, arena.simulators[plan.vendor]).hashes
    found: set[str] = set()
    for file in job["files"]:
        if file["status"] == "STORED":
            content = arena.stack.stored(file["s3_uri"])
            digest = hashlib.sha256(content).hexdigest()
            tally.stored += 1
            tally.bytes += len(content)
            if digest not in served or digest in found or digest != file["evidence"]["sha256"]:
                tally.breach(HASH, f"{plan.mark}: {file['s3_uri']}")
            found.add(digest)
    if job["status"] == "SUCCEEDED" and len(found) < _asked_for(plan, len(served)):
        tally.breach(MISSING, f"{plan.mark}: {len(found)} files of {_asked_for(plan, len(served))}")


def _asked_for(plan: Plan, served: int) -> int:
    """How many files a job that SUCCEEDED must have."""
    if plan.vendor == "linkvisual":
        return min(served, -(-int(plan.request["record_duration"]) // 30))  # of one recording, should there be two
    return len(plan.request.get("upload_urls") or plan.request.get("vids") or plan.request["files"])


def _judge_trigger(arena: Arena, tally: Tally, plan: Plan, row: Row) -> None:
    """A round of triggers is one request for work: the first, and one more for each retry that found its work spent."""
    times = at_the_vendor(plan, arena.simulators[plan.vendor]).tasks
    tally.tasks += times > 0
    again = times - row.trigger_round
    if again > 0 and (plan.vendor == "polyv" or row.on_uncertain == "retrigger"):
        tally.asked_again += again
    elif again > 0:
        tally.breach(TWICE, f"{plan.mark}: {times} in {row.trigger_round} rounds")


def _judge_events(tally: Tally, user: User, job: dict[str, Any], told: list[dict[str, Any]]) -> None:
    """One ending, one event id; a retry makes room for one more ending. The last one says what the API says."""
    ids = Counter(event["event_id"] for event in told)
    tally.deliveries += sum(ids.values()) - len(ids)
    generations = [event_id.split("-")[1] for event_id in ids]
    if len(set(generations)) < len(ids) or len(ids) > 1 + user.retries:
        tally.breach(ENDINGS, f"{user.plan.mark}: {', '.join(sorted(ids))}")
    if job["status"] in TERMINAL and f"{job['job_id']}-{job['generation']}-{job['status']}" not in ids:
        tally.breach(SILENT, f"{user.plan.mark}: {job['status']}")


def _endings(arena: Arena) -> dict[str, list[dict[str, Any]]]:
    """Everything the bus delivered, by job."""
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
