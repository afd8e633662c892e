"""Copy one file as far as the time allows. S3's list of parts is the checkpoint; the row names the call that copies.

A call that stores no further byte in S3 counts as an attempt, whatever the cause; so does a call that ran for minutes
and crashed. Not counted are: throttling by AWS, a short wait for the vendor's API, a wait for a refused account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from clipferry import transfer
from clipferry.jobs.file import DOWNLOAD_BROKEN, DOWNLOAD_BUDGET, File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import MAX_WARNINGS, Problem, warning
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.outbound.file_headers import FileHeaders
from clipferry.pacing.poll_plan import error_wait
from clipferry.settings import settings
from clipferry.steps.account_holds import seconds_to_wait
from clipferry.steps.context import Runtime, download_hosts, task_of
from clipferry.steps.vendor_errors import ASKING_ERRORS, Decision, Remedy, decide
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import Account, KnownFile, Remote

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONG_CALL = 60.0  # seconds after which a call without progress counts as an attempt, however it ended


@dataclass(frozen=True)
class DownloadResult:
    """What one call did of a copy. `more`: call again after `wait_seconds`. `in_vain`: it made no progress.
    `waits_for`: "account" or "budget"; None when the copy waits for the source, or for nothing.
    """

    file_id: str
    more: bool
    wait_seconds: int = 0
    in_vain: bool = False
    waits_for: str | None = None

    def as_state(self) -> dict[str, Any]:
        return {"file_id": self.file_id, "more": self.more, "wait_seconds": self.wait_seconds}


def download(
    rt: Runtime, s3: S3Client, job_id: str, generation: int, file_id: str, time_left: Callable[[], float]
) -> DownloadResult:
    """Continue the copy. `time_left`: seconds until this call must have returned. Raises NotFound."""
    job = rt.jobs.load(job_id)
    file = job.file(file_id)
    done = DownloadResult(file_id, more=False)
    if file is None or file.status.settled or job.generation != generation or job.status is not JobStatus.DOWNLOADING:
        return done
    try:
        if rt.now() >= job.deadline_at:
            return done
        # From here on the next write of any other call that still copies this file fails on its condition.
        rt.jobs.change_file(job, file, FileStatus.COPYING, generation=job.generation, worker=uuid4().hex)
        outcome = _count_dead_call(rt, s3, job, file) or _copy(rt, s3, job, file, time_left)
        left = _whole((job.deadline_at - rt.now()).total_seconds()) + 1
        return replace(outcome, wait_seconds=min(outcome.wait_seconds, left))  # a server may ask for a longer wait
    except Superseded:
        return done


def _count_dead_call(rt: Runtime, s3: S3Client, job: Job, file: File) -> DownloadResult | None:
    """Count an earlier call that ran for long and crashed as an attempt; fail the file if it was the last one.

    The state machine repeats a crashed call by itself, so several calls may crash before poll learns of it.
    """
    if file.call_seconds < LONG_CALL:
        return None
    if file.attempts + 1 >= DOWNLOAD_BUDGET:
        return _failed_attempt(rt, s3, job, file, DOWNLOAD_BROKEN, 0)
    rt.jobs.change_file(job, file, **file.failed_attempt_changes)
    return None


def _copy(rt: Runtime, s3: S3Client, job: Job, file: File, time_left: Callable[[], float]) -> DownloadResult:
    began, before = rt.now(), file.bytes_copied
    try:
        vendor, account = rt.vendor(job), rt.account(job)
        headers = FileHeaders(account.download_headers, [*vendor.trusted_hosts, *settings().download_hosts])
        result = transfer.copy(
            locate=lambda: _locate(rt, job, file, headers),
            destination=_destination(job, file),
            outbound=rt.outbound.sending(headers),
            hosts=download_hosts(vendor),
            s3=s3,
            checkpoint=dict(file.checkpoint),
            save=_saver(rt, job, file, began),
            time_left=time_left,
            options=_options(account),
        )
    except transfer.CopySuperseded as error:
        raise Superseded(str(error)) from error
    except ASKING_ERRORS as error:
        in_vain = (rt.now() - began).total_seconds() >= LONG_CALL and file.bytes_copied <= before
        return _not_located(rt, s3, job, file, decide(error, rt.rng), in_vain=in_vain)
    match result:
        case transfer.Stored():
            return _store(rt, s3, job, file, result)
        case transfer.More():
            return _wait(rt, job, file, _whole(result.wait_seconds))
        case transfer.Retry():
            problem = Problem(result.code, result.message)
            return _failed_attempt(rt, s3, job, file, problem, result.wait_seconds)
        case transfer.Failed():
            return _fail(rt, s3, job, file, Problem(result.code, result.message))


def _not_located(
    rt: Runtime, s3: S3Client, job: Job, file: File, decision: Decision, *, in_vain: bool
) -> DownloadResult:
    """The vendor gave no URL of the file. `in_vain`: the call took long, and nothing was copied meanwhile."""
    match decision.remedy:
        case Remedy.WAIT if in_vain:  # throttled by the vendor, or held back by our own call rate
            return _failed_attempt(rt, s3, job, file, decision.problem, decision.seconds or 0)
        case Remedy.WAIT:
            return _wait(rt, job, file, _whole(decision.seconds or 0))
        case Remedy.ACCOUNT:
            seconds = seconds_to_wait(rt, job, file, decision)
            if seconds is not None:
                return _wait(rt, job, file, _whole(seconds), error=decision.problem)
        case Remedy.RETRY:
            return _failed_attempt(rt, s3, job, file, decision.problem, decision.seconds or 0)
    return _fail(rt, s3, job, file, decision.problem)


def _wait(rt: Runtime, job: Job, file: File, seconds: int, **changes: Any) -> DownloadResult:
    """End the call without counting an attempt; the file keeps its reserved call slot."""
    rt.jobs.change_file(job, file, call_seconds=0, **changes)
    return DownloadResult(file.file_id, more=True, wait_seconds=seconds, waits_for=file.waits_for)


def _store(rt: Runtime, s3: S3Client, job: Job, file: File, result: transfer.Stored) -> DownloadResult:
    """Write the row first: after that no copy of this file may have an upload, and all its uploads can be aborted."""
    checkpoint = {**file.checkpoint, "upload": None}  # this upload is completed
    rt.jobs.change_file(
        job,
        file,
        FileStatus.STORED,
        size=result.size,
        bytes_copied=result.size,
        s3_uri=f"s3://{settings().bucket_name}/{result.key}",
        evidence=result.evidence,
        warnings=[warning(given.code, given.message) for given in result.warnings][:MAX_WARNINGS],
        checkpoint={},
        call_seconds=0,
        error=None,
    )
    _end_uploads(s3, checkpoint)
    return DownloadResult(file.file_id, more=False)


def _locate(rt: Runtime, job: Job, file: File, headers: FileHeaders) -> Remote | None:
    known = KnownFile(file.ref, file.name, settled=False, ready=True, detail=file.detail)
    remote = rt.ask(job, lambda vendor: vendor.locate(task_of(job, rt.now()), known), asker=file)
    if remote is None:
        return None
    headers.trust(remote.url)
    return Remote(remote.url, remote.size or file.size, remote.md5 or file.md5, remote.expires_at, remote.kind)


def _saver(rt: Runtime, job: Job, file: File, began: datetime) -> Callable[[dict[str, Any], int], None]:
    def save(checkpoint: dict[str, Any], bytes_copied: int) -> None:
        try:
            rt.jobs.change_file(
                job,
                file,
                checkpoint=dict(checkpoint),
                call_seconds=_whole((rt.now() - began).total_seconds()),
                **file.copied_changes(bytes_copied),
                declared=transfer.declared_size(checkpoint),
                part_size=transfer.part_size(checkpoint),
            )
        except Superseded as error:
            raise transfer.CopySuperseded(str(error)) from error

    return save


def _failed_attempt(rt: Runtime, s3: S3Client, job: Job, file: File, problem: Problem, wait: float) -> DownloadResult:
    """Count a failed attempt of the file. The row shows the problem while the copy is tried again."""
    failed = file.failed_attempt_changes
    if failed["attempts"] >= DOWNLOAD_BUDGET:
        return replace(_fail(rt, s3, job, file, problem, **failed), in_vain=True)
    rt.jobs.change_file(job, file, error=problem, **failed)
    seconds = max(_whole(wait), error_wait(file.attempts, None, rt.rng))
    return DownloadResult(file.file_id, more=True, wait_seconds=seconds, in_vain=True)


def _fail(rt: Runtime, s3: S3Client, job: Job, file: File, problem: Problem, **changes: Any) -> DownloadResult:
    """End the file as FAILED. The row is written first, so that the next write of an outdated copy fails."""
    checkpoint = file.checkpoint
    rt.jobs.change_file(job, file, FileStatus.FAILED, error=problem, checkpoint={}, **changes)
    _end_uploads(s3, checkpoint)
    return DownloadResult(file.file_id, more=False)


def _end_uploads(s3: S3Client, checkpoint: dict[str, Any]) -> None:
    """After the file's end: abort its upload, and those whose id was not stored because the call crashed."""
    transfer.abandon(s3, settings().bucket_name, checkpoint, expected_owner=settings().bucket_owner or None)


def _destination(job: Job, file: File) -> transfer.Destination:
    env = settings()
    return transfer.Destination(
        bucket=env.bucket_name,
        stem=job.stem(file),
        file_name=file.name,
        metadata={"job-id": job.job_id, "file-id": file.file_id, "vendor": job.vendor},
        tags=job.labels,
        storage_class=env.storage_class or None,
        kms_key_id=env.kms_key_id or None,
        expected_owner=env.bucket_owner or None,
    )


def _options(account: Account) -> transfer.Options:
    """The account's number of connections if it has one, because file servers differ; else the deployment's."""
    connections = account.connections or settings().connections
    return transfer.Options(connections=connections, minimum_evidence=settings().minimum_evidence)


def _whole(seconds: float) -> int:
    return max(0, round(seconds))
