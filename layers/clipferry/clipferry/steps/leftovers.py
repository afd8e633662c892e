"""Finds and deletes the objects of an ended job that no row names.

A copy that runs while its job is cancelled may complete its object after the file's row was closed. A failed copy of an
HLS video leaves its segments for a retry. The sweep looks for both: once when no call of the job can still run, and for
segments again when KEEP_SEGMENTS is over.

An object is deleted only when its key is one to which a copy of the file writes, the file's row does not name it, its
metadata name this job and file, and no user has retried the job meanwhile. In a bucket with versions the deletion adds
a delete marker, and the bucket's lifecycle rules decide how long the old version stays.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clipferry.aws.bucket import bucket_owner
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.settings import settings
from clipferry.steps.context import Runtime
from clipferry.store.job_records import Superseded

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEEP_SEGMENTS = timedelta(days=1)  # after the job's end, so that a retry can use them
AT_ONCE = 1000  # objects of one job that one look deletes; the limit of DeleteObjects


class NotTakenBack(Exception):
    """S3 did not delete some of the objects."""


class Leftovers:
    """Works for one run of the sweep. `time_left` gives seconds; a look ends when less than `reserve` are left."""

    def __init__(self, rt: Runtime, s3: S3Client, time_left: Callable[[], float], reserve: float) -> None:
        self._rt, self._s3, self._time_left, self._reserve = rt, s3, time_left, reserve
        self._bucket: dict[str, Any] = {"Bucket": settings().bucket_name, **bucket_owner()}
        self.taken_back = 0

    def look(self, job: Job) -> datetime | None:
        """Delete the objects that no row of the ended job names. Returns when to look again; None: nothing is left.

        Raises Superseded when a user has retried the job, NotTakenBack.
        """
        now, again = self._rt.now(), None
        keep_until = (job.finished_at or now) + KEEP_SEGMENTS
        found: list[str] = []
        for file in job.files:
            whole, folder = self._places(job, file)
            found += [key for key in whole if self._made_by(key, job, file)]
            if folder and now < keep_until:
                again = keep_until
            elif folder:
                below, more = self._below(folder, job, file)
                found += below
                again = now if below and more else again
            if len(found) >= AT_ONCE or self._time_left() < self._reserve:
                again = now
                break
        self._take_back(job, found[:AT_ONCE])
        return again

    def _places(self, job: Job, file: File) -> tuple[list[str], str | None]:
        """What copies of the file wrote and its row does not name: keys of whole objects, and a folder of segments."""
        stem = job.stem(file)
        named = (file.s3_uri or "").removeprefix(f"s3://{settings().bucket_name}/")
        listed = self._s3.list_objects_v2(**self._bucket, Prefix=stem, Delimiter="/")
        keys = [entry["Key"] for entry in listed.get("Contents", [])]
        whole = [key for key in keys if key.startswith(f"{stem}.") and key != named]
        folders = [entry["Prefix"] for entry in listed.get("CommonPrefixes", [])]
        folder = f"{stem}/" if f"{stem}/" in folders and not named.startswith(f"{stem}/") else None
        return whole, folder

    def _below(self, folder: str, job: Job, file: File) -> tuple[list[str], bool]:
        """Keys in the folder whose metadata name this job and file, and whether there may be more."""
        listed = self._s3.list_objects_v2(**self._bucket, Prefix=folder, MaxKeys=AT_ONCE)
        own: list[str] = []
        for entry in listed.get("Contents", []):
            if self._time_left() < self._reserve:
                return own, True
            if self._made_by(entry["Key"], job, file):
                own.append(entry["Key"])
        return own, bool(listed.get("IsTruncated"))

    def _made_by(self, key: str, job: Job, file: File) -> bool:
        try:
            metadata = self._s3.head_object(**self._bucket, Key=key)["Metadata"]
        except self._s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False  # deleted meanwhile
            raise
        return (metadata.get("job-id"), metadata.get("file-id")) == (job.job_id, file.file_id)

    def _take_back(self, job: Job, keys: list[str]) -> None:
        if not keys:
            return
        fresh = self._rt.jobs.load(job.job_id, with_files=False)
        if (fresh.status, fresh.generation) != (job.status, job.generation):
            raise Superseded(job.job_id)
        objects = [{"Key": key} for key in keys]
        reply = self._s3.delete_objects(**self._bucket, Delete={"Objects": objects, "Quiet": True})  # type: ignore[typeddict-item]
        if errors := reply.get("Errors"):
            raise NotTakenBack(f"{len(errors)} objects, the first for {errors[0].get('Code')}")
        self.taken_back += len(keys)
