"""Copy one file as far as the time allows. S3's own part list is the checkpoint; the row says who is copying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clipferry import transfer
from clipferry.aws.account_secrets import AccountError
from clipferry.jobs import DOWNLOAD_BUDGET, MAX_WARNINGS, File, FileStatus, Job, JobStatus, Problem, warning
from clipferry.outbound.file_headers import FileHeaders
from clipferry.pacing.poll_plan import error_wait
from clipferry.settings import settings
from clipferry.steps.context import THROTTLED_AS, Runtime, download_hosts, problem_of, task_of
from clipferry.store.job_records import Superseded
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    OverBudget,
    Remote,
    VendorAuthFailed,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Leg:
    """One call's part of a copy. `more`: call again after `wait_seconds`."""

    file_id: str
    more: bool
    wait_seconds: int = 0

    def as_state(self) -> dict[str, Any]:
        return {"file_id": self.file_id, "more": self.more, "wait_seconds": self.wait_seconds}


def download(
    rt: Runtime, s3: S3Client, job_id: str, generation: int, file_id: str, time_left: Callable[[], float]
) -> Leg:
    """Copy on. `time_left` is in seconds, until this call must have returned. Raises NotFound."""
    job = rt.jobs.load(job_id)
    file = job.file(file_id)
    done = Leg(file_id, more=False)
    if file is None or file.status.settled or job.generation != generation or job.status is not JobStatus.DOWNLOADING:
        return done
    try:
        if rt.now() >= job.deadline_at:
            return done
        if file.status is FileStatus.READY or file.generation != job.generation:  # an older copy loses its say
            rt.jobs.change_file(job, file, FileStatus.COPYING, generation=job.generation)
        leg = _copy(rt, s3, job, file, time_left)
        left = _whole((job.deadline_at - rt.now()).total_seconds()) + 1
        return replace(leg, wait_seconds=min(leg.wait_seconds, left))  # whatever a server asks for
    except Superseded:
        return done


def _copy(rt: Runtime, s3: S3Client, job: Job, file: File, time_left: Callable[[], float]) -> Leg:
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
            save=_saver(rt, job, file),
            time_left=time_left,
            options=_options(account),
        )
    except transfer.Superseded as error:
        raise Superseded(str(error)) from error
    except OverBudget as error:
        rt.jobs.change_file(job, file)  # with its place in the budget
        return Leg(file.file_id, more=True, wait_seconds=_whole(error.wait))
    except VendorThrottled as error:
        return Leg(file.file_id, more=True, wait_seconds=error_wait(THROTTLED_AS, error.retry_after, rt.rng))
    except VendorUnavailable as error:
        return _failed_attempt(rt, s3, job, file, problem_of(error), 0)
    except (AccountError, VendorRefused, VendorAuthFailed) as error:
        return _fail(rt, s3, job, file, problem_of(error))
    match result:
        case transfer.Stored():
            return _store(rt, s3, job, file, result)
        case transfer.More():
            return Leg(file.file_id, more=True, wait_seconds=_whole(result.wait_seconds))
        case transfer.Retry():
            problem = Problem(result.code, result.message)
            return _failed_attempt(rt, s3, job, file, problem, result.wait_seconds)
        case transfer.Failed():
            return _fail(rt, s3, job, file, Problem(result.code, result.message))


def _store(rt: Runtime, s3: S3Client, job: Job, file: File, result: transfer.Stored) -> Leg:
    """The row goes first: from then on no copy of this file may have an upload."""
    checkpoint = {**file.checkpoint, "upload": None}  # completed
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
        error=None,
    )
    _end_uploads(s3, checkpoint)
    return Leg(file.file_id, more=False)


def _locate(rt: Runtime, job: Job, file: File, headers: FileHeaders) -> Remote | None:
    known = KnownFile(file.ref, file.name, settled=False, ready=True, detail=file.detail)
    remote = rt.ask(job, lambda vendor: vendor.locate(task_of(job, rt.now()), known), asker=file)
    if remote is None:
        return None
    headers.trust(remote.url)
    return Remote(remote.url, remote.size or file.size, remote.md5 or file.md5, remote.expires_at, remote.kind)


def _saver(rt: Runtime, job: Job, file: File) -> Callable[[dict[str, Any], int], None]:
    def save(checkpoint: dict[str, Any], bytes_copied: int) -> None:
        try:
            rt.jobs.change_file(
                job,
                file,
                checkpoint=dict(checkpoint),
                bytes_copied=bytes_copied,
                declared=transfer.declared_size(checkpoint),
                part_size=transfer.part_size(checkpoint),
            )
        except Superseded as error:
            raise transfer.Superseded(str(error)) from error

    return save


def _failed_attempt(rt: Runtime, s3: S3Client, job: Job, file: File, problem: Problem, wait: float) -> Leg:
    """Count it against the file's budget; the reason stays visible while it is tried again."""
    failed = file.failed_again
    if failed["attempts"] >= DOWNLOAD_BUDGET:
        return _fail(rt, s3, job, file, problem, **failed)
    rt.jobs.change_file(job, file, error=problem, **failed)
    return Leg(file.file_id, more=True, wait_seconds=max(_whole(wait), error_wait(file.attempts, None, rt.rng)))


def _fail(rt: Runtime, s3: S3Client, job: Job, file: File, problem: Problem, **changes: Any) -> Leg:
    """No more of this file. The row goes first, so that a stale copy ends there."""
    checkpoint = file.checkpoint
    rt.jobs.change_file(job, file, FileStatus.FAILED, error=problem, checkpoint={}, **changes)
    _end_uploads(s3, checkpoint)
    return Leg(file.file_id, more=False)


def _end_uploads(s3: S3Client, checkpoint: dict[str, Any]) -> None:
    """After the file's end is written: its upload, and whatever crashed calls have begun and could not write down."""
    transfer.abandon(s3, settings().bucket_name, checkpoint, expected_owner=settings().bucket_owner or None)


def _destination(job: Job, file: File) -> transfer.Destination:
    env = settings()
    return transfer.Destination(
        bucket=env.bucket_name,
        stem=job.object_prefix + file.file_id,
        file_name=file.name,
        metadata={"job-id": job.job_id, "file-id": file.file_id, "vendor": job.vendor},
        tags=job.labels,
        storage_class=env.storage_class or None,
        kms_key_id=env.kms_key_id or None,
        expected_owner=env.bucket_owner or None,
    )


def _options(account: Account) -> transfer.Options:
    """The deployment's, where the account has no word of its own: a vendor's file servers may bear more or fewer."""
    connections = account.connections or settings().connections
    return transfer.Options(connections=connections, minimum_evidence=settings().minimum_evidence)


def _whole(seconds: float) -> int:
    return max(0, round(seconds))
