"""Alibaba LinkVisual: recordings that an IP camera makes on demand and uploads as files of at most 30 minutes.

A trigger gives a record id; the id lists its files one by one; each file becomes an MP4 with a download URL when it is
asked for. Triggering is not idempotent: LinkVisual knows no token of the caller's, so a lost reply is followed by a
search for the recording, never by a second trigger. Knows nothing of jobs, waiting or storage.

Pages: TriggerRecord, StopTriggeredRecord, QueryRecordByRecordId, QueryRecord, QueryRecordDownloadUrl.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
from clipferry.vendors.alibaba import RpcClient
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    KnownFile,
    Look,
    LookStatus,
    Remote,
    Sighting,
    Submitted,
    Task,
    TriggerUncertain,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.linkvisual.api import NOT_FOUND, OFFLINE, UNSUPPORTED, Segment, zone_of
from clipferry.vendors.linkvisual.camera import Camera
from clipferry.vendors.linkvisual.recording import (
    ADOPT_GRACE,
    FILE_SECONDS,
    LOOK_MARGIN,
    RECORDING_GRACE,
    Expected,
    Wholeness,
    adopted_wholeness,
    covered,
    plausible,
    timed,
    window,
)
from clipferry.vendors.linkvisual.schemas import ADOPT_SCHEMA, FILE_NAMES_MAX, REQUEST_SCHEMA

DEFAULT_REGION = "cn-shanghai"
REGIONS_WITH_HOST = ("cn-shanghai", "cn-hangzhou", "ap-northeast-1")  # every other one answers on COMMON_HOST
COMMON_HOST = "linkvisual.aliyuncs.com"
_SETTLED = (LookStatus.READY, LookStatus.FAILED)
LOOK_AGAIN = 30.0  # seconds between searches for a recording that should be listed by now


class LinkVisual:
    """Recordings on demand, for the `access_key_id` and `access_key_secret` of an Alibaba Cloud account."""

    name: ClassVar[str] = "linkvisual"
    title: ClassVar[str] = "Alibaba Cloud LinkVisual: recordings of IP cameras"
    secret_keys: ClassVar[Sequence[str]] = ("access_key_id", "access_key_secret")
    can_abort: ClassVar[bool] = True
    spent_codes: ClassVar[frozenset[str]] = frozenset({"NO_RECORDING", NOT_FOUND})
    api_hosts: ClassVar[Sequence[str]] = (COMMON_HOST, *(f"linkvisual.{r}.aliyuncs.com" for r in REGIONS_WITH_HOST))
    download_hosts: ClassVar[Sequence[str]] = ("aliyuncs.com",)
    default_deadline: ClassVar[int] = 10_800
    trusted_hosts: Sequence[str] = ()
    rates: ClassVar[Mapping[str, Rate]] = {ANY: Rate(50, 1.0), "QueryRecord": Rate(250, 1.0)}  # QPS of an account
    request_schema: ClassVar[Mapping[str, Any]] = REQUEST_SCHEMA
    adopt_schema: ClassVar[Mapping[str, Any]] = ADOPT_SCHEMA
    limits: ClassVar[Mapping[str, Any]] = {
        "record_duration": "10 to 7200 seconds, pre-record included",
        "pre_record_duration": "0 to 10 seconds, for cameras that can",
        "file": f"at most {FILE_SECONDS} seconds; a longer recording is several files",
        "file_names": f"1 to {FILE_NAMES_MAX} for each job that adopts",
        "calls": "QueryRecord 250 per second and account; other operations undocumented, taken for 50",
        "clock": "within 15 minutes of Alibaba's",
    }

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        self._account = account
        region = account.secret.get("region", "").strip() or DEFAULT_REGION
        host = f"linkvisual.{region}.aliyuncs.com" if region in REGIONS_WITH_HOST else COMMON_HOST
        self._rpc = RpcClient(account, outbound, endpoint=f"https://{host}", hosts=self.api_hosts)

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline + int((request or {}).get("record_duration", 0))

    # --- the contract ---

    def trigger(self, task: Task) -> Submitted:
        request = task.request or {}
        expected = Expected.of(request)
        pre_record, stream_type = _number(request.get("pre_record_duration")), _number(request.get("stream_type"))
        record_id = self._camera(task).record(expected.duration, pre_record, stream_type)
        return Submitted({"record_id": record_id}, first_look=expected.file_over_after(0) + LOOK_MARGIN)

    def find(self, task: Task) -> Submitted | None:
        """Search the camera's triggered recordings; one that alone fits the trigger's time and length is the task's.

        None is never returned: a recording is listed only after it was made, so that its absence proves nothing.
        """
        if task.request is None or task.triggered_at is None:
            raise TriggerUncertain("nothing is known about when the recording was triggered")
        expected = Expected.of(task.request)
        whole = [recording for recording in self._plausible(task) if expected.length_fits(recording)]
        if len(whole) == 1:
            return Submitted({"file_names": [segment.name for segment in whole[0]]})
        if whole:
            raise TriggerUncertain(f"{len(whole)} recordings of this camera fit the one that was asked for")
        message = "no recording of this camera fits the one that was asked for"
        if task.elapsed > expected.over_after + RECORDING_GRACE:
            raise TriggerUncertain(message)
        until_listed = expected.over_after + LOOK_MARGIN - task.elapsed
        raise TriggerUncertain(f"{message} yet", look_again=max(LOOK_AGAIN, until_listed))

    def adopt(self, task: Task) -> Submitted:
        adopt = task.adopt or {}
        if "file_names" in adopt:
            return Submitted({"file_names": list(dict.fromkeys(adopt["file_names"]))})
        return Submitted({"record_id": adopt["record_id"]})

    def poll(self, task: Task) -> Look:
        """One listing, and one question for each file that is neither settled nor ready."""
        found, wholeness, refused = self._listing(task)
        if wholeness is Wholeness.NONE:
            return _nothing(task, refused)
        sightings, limit = self._sightings(task, found)
        if len(sightings) == len(found) and {sighting.code for sighting in sightings} == {NOT_FOUND}:
            names = ", ".join(sighting.name for sighting in sightings)
            return Look(LookStatus.FAILED, code=NOT_FOUND, message=lenient.message(f"LinkVisual knows no file {names}"))
        look = Look(
            _overall(sightings, wholeness),
            raw_status=lenient.message("; ".join(dict.fromkeys(sighting.raw_status for sighting in sightings))),
            progress=_progress(task, found, sightings),
            files=sightings,
            retry_after=(limit.retry_after if limit else None)
            or (_until_next(task, found, sightings) if wholeness is Wholeness.OPEN else None),
            cut_short=limit,
        )
        if wholeness is Wholeness.SHORT and look.status is LookStatus.READY:
            expected = Expected.of(task.request or {})
            message = f"{len(found)} of {expected.files} files of the recording were uploaded"
            if len(found) > expected.files:
                seconds = covered(found)
                message = f"the recording's {len(found)} files cover {seconds:.0f} of {expected.duration} seconds"
            return replace(look, code="RECORDING_INCOMPLETE", message=message)
        return look

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        download = self._camera(task).download(file.ref)
        if download.status is LookStatus.FAILED:
            raise VendorRefused(_not_generated(file.ref), kind="VENDOR_FILE_FAILED", code=download.raw_status)
        if download.status is not LookStatus.READY or download.url is None:
            return None
        expires = lenient.integer(parse_qs(urlsplit(download.url).query).get("Expires", [""])[0])
        return Remote(download.url, expires_at=lenient.from_epoch(expires))

    def abort(self, task: Task) -> bool:
        """Stop the recording that this task triggered; one that was adopted is not ours to stop."""
        record_id = task.refs.get("record_id")
        if not record_id or task.request is None:
            return False
        try:
            self._camera(task).stop(record_id)
        except VendorRefused as refused:
            if refused.kind != NOT_FOUND:
                raise
            return False
        return True

    # --- what there is ---

    def _listing(self, task: Task) -> tuple[list[Segment], Wholeness, VendorRefused | None]:
        """The task's files, whether they are all, and why the vendor would not list them, if it would not."""
        known = {file.ref: Segment.from_detail(file.ref, file.detail) for file in task.files}
        if "file_names" in task.refs:
            names = dict.fromkeys([*task.refs["file_names"], *known])  # known: of a recording before a retry, say
            return [known.get(name) or Segment(name) for name in names], Wholeness.WHOLE, None
        if known and self._all_there(task, list(known.values())):
            return list(known.values()), Wholeness.WHOLE, None
        refused = None
        try:
            listed = self._camera(task).files_of(task.refs.get("record_id", ""))
        except VendorRefused as error:
            if error.kind == OFFLINE:
                raise _passing(error) from None
            if error.kind != NOT_FOUND and error.code not in UNSUPPORTED:
                raise
            listed, refused = next(iter(self._plausible(task)), []), error
        fresh = {segment.name for segment in listed}
        found = listed + [segment for name, segment in known.items() if name not in fresh]
        verdict = self._wholeness(task, found)
        if verdict is Wholeness.WHOLE and fresh - known.keys() and not (_late(task) or self._all_there(task, found)):
            verdict = Wholeness.OPEN  # the listing has just grown, and may once more
        return found, verdict, refused

    def _all_there(self, task: Task, found: Sequence[Segment]) -> bool:
        """Whether these files are all, whatever the next listing would say. Without times their number decides."""
        if task.request is not None and timed(found):
            return Expected.of(task.request).covers(found)
        return self._wholeness(task, found) is Wholeness.WHOLE

    def _plausible(self, task: Task) -> list[list[Segment]]:
        """What the camera recorded at the time of the trigger: those of the right length first, then by nearness."""
        if task.request is None or task.triggered_at is None:
            return []
        expected = Expected.of(task.request)
        stream_type = int(task.request.get("stream_type", 0))
        try:
            recorded = self._camera(task).recorded(*window(expected, task.triggered_at), stream_type)
        except VendorRefused as refused:
            if refused.kind == OFFLINE:
                raise _passing(refused) from None
            raise
        near = plausible(recorded, expected, task.triggered_at)
        return sorted(near, key=lambda recording: not expected.length_fits(recording))

    def _wholeness(self, task: Task, found: Sequence[Segment]) -> Wholeness:
        if task.request is not None:
            return Expected.of(task.request).wholeness(found, task.elapsed)
        now = task.triggered_at + timedelta(seconds=task.elapsed) if task.triggered_at else None
        return adopted_wholeness(found, task.elapsed, now)

    # --- how far it is ---

    def _sightings(self, task: Task, found: Sequence[Segment]) -> tuple[list[Sighting], VendorThrottled | None]:
        """Every unsettled file as it is now, and the limit met on the way.

        A call that fails after news ends the asking, not the look.
        """
        camera, files = self._camera(task), {file.ref: file for file in task.files}
        sightings: list[Sighting] = []
        failure: VendorThrottled | VendorUnavailable | None = None
        news = False
        for segment in found:
            file = files.get(segment.name)
            if file and (file.settled or file.ready):
                if not file.settled:
                    sightings.append(_sighting(segment, LookStatus.READY, "ready before", 100))
                continue
            seen = _sighting(segment, LookStatus.RUNNING, "not asked")
            if failure is None:
                try:
                    seen = _sighted(camera, segment, late=_late(task))
                    news = news or seen.status in (LookStatus.READY, LookStatus.FAILED)
                except (VendorThrottled, VendorUnavailable) as error:
                    failure = error
            sightings.append(seen)
        if failure and not news:
            raise failure
        return sightings, failure if isinstance(failure, VendorThrottled) else None

    def _camera(self, task: Task) -> Camera:
        source = task.request if task.request is not None else task.adopt or {}
        device = {
            "IotId": source.get("iot_id"),
            "ProductKey": source.get("product_key"),
            "DeviceName": source.get("device_name"),
            "IotInstanceId": source.get("iot_instance_id") or self._account.secret.get("iot_instance_id") or None,
        }
        return Camera(self._rpc, device, zone_of(self._account.secret.get("timezone_offset", "")))


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _sighted(camera: Camera, segment: Segment, *, late: bool) -> Sighting:
    """One file, asked about. `late`: the vendor has had its time to learn of it."""
    try:
        download = camera.download(segment.name)
    except VendorRefused as refused:
        if refused.kind == OFFLINE:
            raise _passing(refused) from None
        if refused.kind == NOT_FOUND and not late:
            return _sighting(segment, LookStatus.RUNNING, refused.message)
        failed = _sighting(segment, LookStatus.FAILED, refused.message)
        return replace(failed, code=refused.kind, message=refused.message, vendor_code=refused.code)
    seen = _sighting(segment, download.status, download.raw, download.progress)
    if download.status is not LookStatus.FAILED:
        return seen
    message = _not_generated(segment.name)
    return replace(seen, code="VENDOR_FILE_FAILED", message=message, vendor_code=download.raw_status)


def _sighting(segment: Segment, status: LookStatus, raw_status: str = "", progress: int | None = None) -> Sighting:
    return Sighting(segment.name, segment.name, status, raw_status, progress, detail=segment.detail())


def _passing(offline: VendorRefused) -> VendorUnavailable:
    """A camera that was there when it was triggered may come back and upload what it recorded."""
    return VendorUnavailable(offline.message, code=offline.code, request_id=offline.request_id)


def _late(task: Task) -> bool:
    """Whether all that the vendor is to learn of this task has long been there."""
    if task.request is None:
        return task.elapsed > ADOPT_GRACE
    return task.elapsed > Expected.of(task.request).over_after + RECORDING_GRACE


def _overall(sightings: Sequence[Sighting], wholeness: Wholeness) -> LookStatus:
    statuses = {sighting.status for sighting in sightings}
    if wholeness is Wholeness.OPEN or LookStatus.RUNNING in statuses:
        return LookStatus.RUNNING
    return LookStatus.UNKNOWN if LookStatus.UNKNOWN in statuses else LookStatus.READY


def _until_next(task: Task, found: Sequence[Segment], sightings: Sequence[Sighting]) -> float | None:
    """Seconds until the recording's next file can be there; None when there is something else to look for."""
    if task.request is None or any(sighting.status not in _SETTLED for sighting in sightings):
        return None
    seconds = Expected.of(task.request).file_over_after(len(found)) + LOOK_MARGIN - task.elapsed
    return seconds if seconds > 0 else None


def _progress(task: Task, found: Sequence[Segment], sightings: Sequence[Sighting]) -> int | None:
    """Percent over all files, those to come included; None while there is none."""
    if not found:
        return None
    count = max(len(found), Expected.of(task.request).files if task.request else 0)
    settled = len(found) - len(sightings)
    return (100 * settled + sum(sighting.progress or 0 for sighting in sightings)) // count


def _nothing(task: Task, refused: VendorRefused | None) -> Look:
    """The look at a task that will have no files."""
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


def _not_generated(name: str) -> str:
    return lenient.message(f"LinkVisual could not make an MP4 of {name}")
