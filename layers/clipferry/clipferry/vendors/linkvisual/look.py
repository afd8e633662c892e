"""One look at a recording: its files, and the progress of their MP4s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clipferry.vendors import lenient
from clipferry.vendors.contract import (
    Look,
    LookStatus,
    OutOfTime,
    Sighting,
    Task,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.file_urls import INVALID
from clipferry.vendors.linkvisual.api import Segment
from clipferry.vendors.linkvisual.camera import Camera
from clipferry.vendors.linkvisual.failures import NOT_FOUND, OFFLINE
from clipferry.vendors.linkvisual.listing import late, listing, passing
from clipferry.vendors.linkvisual.recording import LOOK_MARGIN, Expected, Wholeness, covered
from clipferry.vendors.portions import in_turn

_SETTLED = (LookStatus.READY, LookStatus.FAILED)


def look(camera: Camera, task: Task) -> Look:
    """One listing, and one call for each file that is not settled and not ready."""
    there = listing(camera, task)
    if there.wholeness is Wholeness.NONE:
        return _nothing(task, there.refused)
    sightings, limit = _sightings(camera, task, there.files)
    if len(sightings) == len(there.files) and {sighting.code for sighting in sightings} == {NOT_FOUND}:
        names = ", ".join(sighting.name for sighting in sightings)
        return Look(LookStatus.FAILED, code=NOT_FOUND, message=lenient.message(f"LinkVisual knows no file {names}"))
    until_next = _until_next(task, there.files, sightings) if there.wholeness is Wholeness.OPEN else None
    seen = Look(
        _overall(sightings, there.wholeness),
        raw_status=lenient.message("; ".join(dict.fromkeys(sighting.raw_status for sighting in sightings))),
        progress=_progress(task, there.files, sightings),
        files=sightings,
        retry_after=(limit.retry_after if limit else None) or until_next,
        cut_short=limit,
    )
    if there.wholeness is Wholeness.SHORT and seen.status is LookStatus.READY:
        return replace(seen, code="RECORDING_INCOMPLETE", message=_what_is_missing(task, there.files))
    return seen


def _sightings(camera: Camera, task: Task, found: Sequence[Segment]) -> tuple[list[Sighting], VendorThrottled | None]:
    """The state of each unsettled file, in the order of the listing, and the limit that ended the look early."""
    files = {file.ref: file for file in task.files}
    settled = {ref for ref, file in files.items() if file.settled}
    ready = {ref for ref, file in files.items() if file.ready}
    asked, limit = _asked(camera, task, [segment for segment in found if segment.name not in settled | ready])
    sightings = []
    for segment in found:
        if segment.name in ready:
            sightings.append(_sighting(segment, LookStatus.READY, "ready before", 100))
        elif segment.name not in settled:
            sightings.append(asked.get(segment.name) or _sighting(segment, LookStatus.RUNNING, "not asked"))
    return sightings, limit


def _asked(camera: Camera, task: Task, open_: Sequence[Segment]) -> tuple[dict[str, Sighting], VendorThrottled | None]:
    """The download states by file name: first of files that no look has seen. Each look begins at another file.

    When a call fails after some states are known, no further file is asked about, and the look counts.
    """
    known = {file.ref for file in task.files}
    fresh = [segment for segment in open_ if segment.name not in known]
    order = fresh + in_turn([segment for segment in open_ if segment.name in known], task.looks)
    seen: dict[str, Sighting] = {}
    try:
        for segment in order:
            seen[segment.name] = _sighted(camera, segment, late=late(task))
    except (VendorThrottled, VendorUnavailable) as error:
        news = any(sighting.status in _SETTLED for sighting in seen.values())
        if not news and not (isinstance(error, OutOfTime) and (seen or fresh)):
            raise
        return seen, error if isinstance(error, VendorThrottled) else None
    return seen, None


def _sighted(camera: Camera, segment: Segment, *, late: bool) -> Sighting:
    """The sighting of one file. `late`: the vendor has had enough time to learn of it."""
    try:
        download = camera.download(segment.name)
    except VendorRefused as refused:
        if refused.kind == OFFLINE:
            raise passing(refused) from None
        if refused.kind == NOT_FOUND and not late:
            return _sighting(segment, LookStatus.RUNNING, refused.message)
        failed = _sighting(segment, LookStatus.FAILED, refused.message)
        return replace(failed, code=refused.kind, message=refused.message, vendor_code=refused.code)
    seen = _sighting(segment, download.status, download.raw, download.progress)
    if download.status is not LookStatus.FAILED:
        return seen
    if download.made:
        return replace(seen, code=INVALID, message=download.url.message(segment.name))
    message = not_generated(segment.name)
    return replace(seen, code="VENDOR_FILE_FAILED", message=message, vendor_code=download.raw_status)


def _sighting(segment: Segment, status: LookStatus, raw_status: str = "", progress: int | None = None) -> Sighting:
    return Sighting(segment.name, segment.name, status, raw_status, progress, detail=segment.detail())


def _what_is_missing(task: Task, found: Sequence[Segment]) -> str:
    expected = Expected.of(task.request or {})
    if len(found) > expected.files:
        seconds = covered(found)
        return f"the recording's {len(found)} files cover {seconds:.0f} of {expected.duration} seconds"
    return f"{len(found)} of {expected.files} files of the recording were uploaded"


def _overall(sightings: Sequence[Sighting], wholeness: Wholeness) -> LookStatus:
    statuses = {sighting.status for sighting in sightings}
    if wholeness is Wholeness.OPEN or LookStatus.RUNNING in statuses:
        return LookStatus.RUNNING
    return LookStatus.UNKNOWN if LookStatus.UNKNOWN in statuses else LookStatus.READY


def _until_next(task: Task, found: Sequence[Segment], sightings: Sequence[Sighting]) -> float | None:
    """Seconds until the next file of the recording can exist; None when there is something else to look for."""
    if task.request is None or any(sighting.status not in _SETTLED for sighting in sightings):
        return None
    seconds = Expected.of(task.request).file_over_after(len(found)) + LOOK_MARGIN - task.elapsed
    return seconds if seconds > 0 else None


def _progress(task: Task, found: Sequence[Segment], sightings: Sequence[Sighting]) -> int | None:
    """Percent of all files, with the files to come; None while there is no file."""
    if not found:
        return None
    count = max(len(found), Expected.of(task.request).files if task.request else 0)
    settled = len(found) - len(sightings)
    return (100 * settled + sum(sighting.progress or 0 for sighting in sightings)) // count


def _nothing(task: Task, refused: VendorRefused | None) -> Look:
    """The look at a task without files, now and later."""
    code, request_id = (refused.code, refused.request_id) if refused else (None, None)
    if task.request is None:
        record_id, kind = lenient.message(task.refs.get("record_id")), NOT_FOUND
        message = f"LinkVisual does not know the recording {record_id}"
        if refused is None:
            message = f"LinkVisual lists no file of the recording {record_id}: it does not know it, or there is none"
        elif refused.kind != NOT_FOUND:
            kind = refused.kind
            message = f"LinkVisual cannot list a recording's files here ({refused.message}): adopt its file_names"
        return Look(LookStatus.FAILED, code=kind, message=message, vendor_code=code, request_id=request_id)
    message = "the camera uploaded no file of this recording"
    if refused:
        message += f" ({refused.message})"
    return Look(LookStatus.EMPTY, code="NO_RECORDING", message=message, vendor_code=code, request_id=request_id)


def not_generated(name: str) -> str:
    return lenient.message(f"LinkVisual could not make an MP4 of {name}")
