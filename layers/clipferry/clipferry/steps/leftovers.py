"""Objects of a job that has ended which no row names: found and taken back.

A copy that runs while its job is cancelled may complete its object after the file's row was closed, and a copy of an
HLS video that failed leaves its segments for a retry. The sweep looks for both: once when no call of the job can be
alive any more, and for segments once more when they have been kept for long enough.

An object is taken back only when it lies where a copy of the file writes, the file's row does not name it, its own
metadata say that this job and file made it, and the job has not been taken up again meanwhile. The bucket may keep
versions: then what is taken back is hidden by a delete marker, and the bucket's own rules say how long it stays.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clipferry.aws.bucket import bucket_owner
from clipferry.jobs import File, Job
from clipferry.settings import settings
from clipferry.steps.context import Runtime
from clipferry.store.job_records import Superseded

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEEP_SEGMENTS = timedelta(days=1)  # after the job's end, for a retry to go on with
AT_ONCE = 1000  # objects of one job that one look takes back; DeleteObjects takes as many


class NotTakenBack(Exception):
    """S3 did not delete some of the objects."""


class Leftovers:
    """The looks of one run of the sweep. `time_left` is in seconds; a look ends where less than `reserve` are left."""

    def __init__(self, rt: Runtime, s3: S3Client, time_left: Callable[[], float], reserve: float) -> None:
        self._rt, self._s3, self._time_left, self._reserve = rt, s3, time_left, reserve
        self._bucket: dict[str, Any] = {"Bucket": settings().bucket_name, **bucket_owner()}
        self.taken_back = 0

    def look(self, job: Job) -> datetime | None:
        """Take back what no row of the ended job names; when to look again, None: nothing is left.

        Raises Superseded when the job was taken up again, NotTakenBack.
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
        """Keys where copies of the file write and that its row does not name: of whole objects, and a folder's."""
        stem = job.stem(file)
        named = (file.s3_uri or "").removeprefix(f"s3://{settings().bucket_name}/")
        listed = self._s3.list_objects_v2(**self._bucket, Prefix=stem, Delimiter="/")
        keys = [entry["Key"] for entry in listed.get("Contents", [])]
        whole = [key for key in keys if key.startswith(f"{stem}.") and key != named]
        folders = [entry["Prefix"] for entry in listed.get("CommonPrefixes", [])]
        folder = f"{stem}/" if f"{stem}/" in folders and not named.startswith(f"{stem}/") else None
        return whole, folder

    def _below(self, folder: str, job: Job, file: File) -> tuple[list[str], bool]:
        """Keys of the file's own objects in its folder, and whether there may be more."""
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
                return False  # gone meanwhile
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
