"""One look at a task's uploads: first the state of the uploads, then the URLs of the originals.

Both need calls of their own, so that a look at many uploads takes many calls. Each look begins at another upload. It
ends early when IMS throttles, or when the step's time is over; then its results so far count. After an upload has
succeeded, only its media is asked about.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from clipferry.vendors import lenient
from clipferry.vendors.contract import (
    KnownFile,
    Look,
    LookStatus,
    Sighting,
    Task,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.file_urls import INVALID
from clipferry.vendors.ims.entries import Entry, entries_of, few, names_of, urls_of
from clipferry.vendors.ims.operations import QUERY_BATCH, Operations
from clipferry.vendors.ims.replies import Listing, Record
from clipferry.vendors.portions import batches, in_turn
from clipferry.vendors.tally import tally

MEDIA_LOOKUPS = 25  # GetMediaInfo calls in one look
UPLOADED_AT = "uploaded_at"  # in a file's detail: when its upload succeeded (ISO 8601, or empty where IMS did not say)
VISIBLE_WITHIN = 15.0  # seconds after which an adopted upload that IMS reports as absent counts as absent
NAMED_WITHIN = 60.0  # the same for an upload whose id IMS has given
LISTED_WITHIN = 600.0  # the same for an upload that IMS neither lists nor reports as absent
REGISTERED_WITHIN = timedelta(minutes=10)  # after an upload's completion, for its media to be known

logger = logging.getLogger(__name__)


def look(operations: Operations, task: Task) -> Look:
    """The present state of each file that is not ready and not settled."""
    names = names_of(task)
    past = {file.ref for file in task.files if file.ready or file.settled}
    entries = [entry for entry in entries_of(task) if names[entry.index] not in past]
    asked = [entry for entry in entries if entry.job_id]
    seen, limit = _as_far_as_possible(_Asking(operations, task).sightings(asked))
    seen += [_without_upload(names[entry.index], entry) for entry in entries if not entry.job_id]
    unknown = [sighting for sighting in seen if sighting.code == "VENDOR_TASK_NOT_FOUND"]
    if unknown and len(unknown) == len(names):
        message = f"IMS knows no upload {few(names)}."
        return Look(LookStatus.FAILED, code="VENDOR_TASK_NOT_FOUND", message=message)
    return tally(seen, done=len(past), unseen=len(entries) - len(seen), limit=limit)


def _as_far_as_possible(sightings: Iterator[Sighting]) -> tuple[list[Sighting], VendorThrottled | None]:
    """The sightings, and the limit that ended the look early. An error before the first sighting is raised."""
    seen: list[Sighting] = []
    try:
        for sighting in sightings:
            seen.append(sighting)
    except (VendorThrottled, VendorUnavailable) as error:
        if not seen:
            raise
        logger.warning("a look ended early: %s", error.message)
        return seen, error if isinstance(error, VendorThrottled) else None
    return seen, None


@dataclass
class _Asking:
    """The calls of one look."""

    operations: Operations
    task: Task
    media_left: int = MEDIA_LOOKUPS

    def sightings(self, entries: Sequence[Entry]) -> Iterator[Sighting]:
        """At most one sighting of each entry. Entries for which there was no time have none."""
        names, known = names_of(self.task), {file.ref: file for file in self.task.files}
        named = [(known.get(names[entry.index]), entry) for entry in entries]
        uploaded = [(file, entry) for file, entry in named if file and UPLOADED_AT in file.detail]
        begun = [entry for file, entry in named if file and UPLOADED_AT not in file.detail]
        for batch in batches([entry for file, entry in named if file is None], QUERY_BATCH):
            yield from self._uploads(batch)
        steps = [self._uploads(batch) for batch in batches(begun, QUERY_BATCH)]
        steps += [self._media(_remembered(file, entry)) for file, entry in uploaded]
        for step in in_turn(steps, self.task.looks):
            yield from step

    def _uploads(self, batch: Sequence[Entry]) -> Iterator[Sighting]:
        listing = self.operations.by_job_id([entry.job_id for entry in batch])
        records = {record.job_id: record for record in listing.records}
        ready = []
        for entry in batch:
            record = records.get(entry.job_id)
            if record is None:
                yield _unlisted(self.task, entry, listing)
            elif record.status is LookStatus.READY:
                ready.append(_succeeded(self.task, entry, record))
            else:
                yield _sighting(self.task, entry, record)
        for position, sighting in enumerate(ready):
            try:
                yield from self._media(sighting)
            except (VendorThrottled, VendorUnavailable):
                yield from ready[position:]
                raise

    def _media(self, sighting: Sighting) -> Iterator[Sighting]:
        """The sighting of an upload that succeeded: READY when the original has a URL."""
        if self.media_left <= 0:
            yield sighting
            return
        self.media_left -= 1
        try:
            source = self.operations.source(sighting.detail["media_id"])
        except VendorRefused as refusal:  # registration is asynchronous: the media may not be known yet
            yield _unregistered(self.task, sighting, refusal)
            return
        if source is None:
            yield sighting
        elif source.url.problem:
            yield _failed(sighting, INVALID, source.url.message(sighting.name))
        else:
            detail = {name: sighting.detail[name] for name in ("job_id", "media_id")}
            size = source.size or sighting.size
            yield replace(sighting, status=LookStatus.READY, progress=100, size=size, detail=detail)


def _sighting(task: Task, entry: Entry, record: Record) -> Sighting:
    urls = urls_of(task)
    url = urls[entry.index] if urls else record.url
    sighting = Sighting(
        ref=names_of(task)[entry.index],
        name=lenient.file_name(url) or entry.job_id,
        status=record.status,
        raw_status=record.raw_status,
        size=record.size,
        detail={"job_id": entry.job_id, "media_id": record.media_id or entry.media_id},
    )
    if record.status is not LookStatus.FAILED:
        return sighting
    message = record.error_message or f"IMS says {record.raw_status} and no more."
    return _failed(sighting, "VENDOR_FILE_FAILED", message, record.error_code or record.raw_status)


def _succeeded(task: Task, entry: Entry, record: Record) -> Sighting:
    """RUNNING, because the URL of the media is not known yet. The detail holds what later looks need."""
    seen = _sighting(task, entry, record)
    completed = record.completed_at.isoformat() if record.completed_at else ""
    return replace(seen, status=LookStatus.RUNNING, detail={**seen.detail, UPLOADED_AT: completed, "size": seen.size})


def _remembered(file: KnownFile, entry: Entry) -> Sighting:
    """The same for an upload that succeeded at an earlier look."""
    size = lenient.integer(file.detail.get("size"))
    return Sighting(file.ref, file.name, LookStatus.RUNNING, "uploaded", size=size, detail=file.detail)


def _unregistered(task: Task, sighting: Sighting, refusal: VendorRefused) -> Sighting:
    """The sighting of a media that IMS does not know, or does not know yet."""
    completed_at = lenient.iso_time(sighting.detail[UPLOADED_AT])
    ago = datetime.now(UTC) - completed_at if completed_at else timedelta.max
    if task.elapsed < REGISTERED_WITHIN.total_seconds() or ago < REGISTERED_WITHIN:
        return sighting
    message = f"The upload succeeded, its media cannot be read: {refusal.message}"
    return _failed(sighting, "VENDOR_FILE_MISSING", message, refusal.code)


def _unlisted(task: Task, entry: Entry, listing: Listing) -> Sighting:
    """The sighting of an upload job that the reply does not describe."""
    name = names_of(task)[entry.index]
    waiting = Sighting(ref=name, name=name, status=LookStatus.RUNNING)
    grace = NAMED_WITHIN if task.adopt is None else VISIBLE_WITHIN
    if task.elapsed < (grace if entry.job_id in listing.absent else LISTED_WITHIN):
        return waiting
    return _failed(waiting, "VENDOR_TASK_NOT_FOUND", f"IMS knows no upload job {entry.job_id}.")


def _without_upload(name: str, entry: Entry) -> Sighting:
    """The sighting of a URL without an upload job: IMS refused its call, or it was never uploaded."""
    waiting = Sighting(ref=name, name=name, status=LookStatus.RUNNING)
    if entry.refused:
        return _failed(waiting, "VENDOR_FILE_REFUSED", entry.refused, entry.refused_code or None)
    return _failed(waiting, "VENDOR_TASK_NOT_FOUND", f"IMS knows no upload of {name}.")


def _failed(sighting: Sighting, code: str, message: str, vendor_code: str | None = None) -> Sighting:
    return replace(sighting, status=LookStatus.FAILED, code=code, message=message, vendor_code=vendor_code)
