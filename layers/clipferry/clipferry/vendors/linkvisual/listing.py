"""Finds the files of a task: by its record id, or by the time of its trigger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from clipferry.vendors.contract import Task, VendorRefused, VendorUnavailable
from clipferry.vendors.linkvisual.api import Segment
from clipferry.vendors.linkvisual.camera import Camera
from clipferry.vendors.linkvisual.failures import NOT_FOUND, OFFLINE, UNSUPPORTED
from clipferry.vendors.linkvisual.recording import (
    ADOPT_GRACE,
    RECORDING_GRACE,
    Expected,
    Wholeness,
    adopted_wholeness,
    plausible,
    timed,
    window,
)


@dataclass(frozen=True)
class Listing:
    """The files of a task, whether they are complete, and why the vendor refused to list them, if it did."""

    files: list[Segment]
    wholeness: Wholeness
    refused: VendorRefused | None = None


def listing(camera: Camera, task: Task) -> Listing:
    """The present files of a task. Makes one call; none when all files are known."""
    known = {file.ref: Segment.from_detail(file.ref, file.detail) for file in task.files}
    if "file_names" in task.refs:
        names = dict.fromkeys([*task.refs["file_names"], *known])  # known, for example of a recording before a retry
        return Listing([known.get(name) or Segment(name) for name in names], Wholeness.WHOLE)
    if known and _all_there(task, list(known.values())):
        return Listing(list(known.values()), Wholeness.WHOLE)
    listed, refused = _listed(camera, task)
    fresh = {segment.name for segment in listed}
    found = listed + [segment for name, segment in known.items() if name not in fresh]
    verdict = _wholeness(task, found)
    if verdict is Wholeness.WHOLE and fresh - known.keys() and not (late(task) or _all_there(task, found)):
        verdict = Wholeness.OPEN  # the listing has just grown, and may grow again
    return Listing(found, verdict, refused)


def _listed(camera: Camera, task: Task) -> tuple[list[Segment], VendorRefused | None]:
    """List by the record id; by the time of the trigger if the vendor does not know the id or cannot list by it."""
    try:
        return camera.files_of(task.refs.get("record_id", "")), None
    except VendorRefused as refused:
        if refused.kind == OFFLINE:
            raise passing(refused) from None
        if refused.kind != NOT_FOUND and refused.code not in UNSUPPORTED:
            raise
        return next(iter(near_the_trigger(camera, task)), []), refused


def near_the_trigger(camera: Camera, task: Task) -> list[list[Segment]]:
    """The camera's recordings at the time of the trigger: those with the right length first, then the nearest."""
    if task.request is None or task.triggered_at is None:
        return []
    expected = Expected.of(task.request)
    stream_type = int(task.request.get("stream_type", 0))
    try:
        recorded = camera.recorded(*window(expected, task.triggered_at), stream_type)
    except VendorRefused as refused:
        if refused.kind == OFFLINE:
            raise passing(refused) from None
        raise
    near = plausible(recorded, expected, task.triggered_at)
    return sorted(near, key=lambda recording: not expected.length_fits(recording))


def passing(offline: VendorRefused) -> VendorUnavailable:
    """Wait for a camera that is offline: it was online at the trigger, and may upload its recording later."""
    return VendorUnavailable(offline.message, code=offline.code, request_id=offline.request_id)


def late(task: Task) -> bool:
    """Whether the vendor has had enough time to learn of all files of this task."""
    if task.request is None:
        return task.elapsed > ADOPT_GRACE
    return task.elapsed > Expected.of(task.request).over_after + RECORDING_GRACE


def _all_there(task: Task, found: Sequence[Segment]) -> bool:
    """Whether these files are complete, so that no further listing is needed. Without times, their number decides."""
    if task.request is not None and timed(found):
        return Expected.of(task.request).covers(found)
    return _wholeness(task, found) is Wholeness.WHOLE


def _wholeness(task: Task, found: Sequence[Segment]) -> Wholeness:
    if task.request is not None:
        return Expected.of(task.request).wholeness(found, task.elapsed)
    now = task.triggered_at + timedelta(seconds=task.elapsed) if task.triggered_at else None
    return adopted_wholeness(found, task.elapsed, now)
