"""Alibaba LinkVisual: recordings that an IP camera makes on demand and uploads as files of at most 30 minutes.

A trigger gives a record id. A listing by this id shows the files one by one. A file becomes an MP4 with a download URL
when it is asked for. A trigger is not idempotent, because LinkVisual accepts no token of the caller. So after a lost
reply the recording is searched; there is never a second trigger. This module does not know jobs, waiting or storage.

Pages: TriggerRecord, StopTriggeredRecord, QueryRecordByRecordId, QueryRecord, QueryRecordDownloadUrl.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
from clipferry.vendors.alibaba.rpc import RpcClient
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    KnownFile,
    Look,
    LookStatus,
    Remote,
    Submitted,
    Task,
    TriggerUncertain,
    VendorRefused,
)
from clipferry.vendors.linkvisual.api import zone_of
from clipferry.vendors.linkvisual.camera import Camera
from clipferry.vendors.linkvisual.failures import NOT_FOUND
from clipferry.vendors.linkvisual.listing import near_the_trigger
from clipferry.vendors.linkvisual.look import look, not_generated
from clipferry.vendors.linkvisual.recording import FILE_SECONDS, LOOK_MARGIN, RECORDING_GRACE, Expected
from clipferry.vendors.linkvisual.schemas import ADOPT_SCHEMA, FILE_NAMES_MAX, REQUEST_SCHEMA

DEFAULT_REGION = "cn-shanghai"
REGIONS_WITH_HOST = ("cn-shanghai", "cn-hangzhou", "ap-northeast-1")  # all others answer on COMMON_HOST
COMMON_HOST = "linkvisual.aliyuncs.com"
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

    def trigger(self, task: Task) -> Submitted:
        request = task.request or {}
        expected = Expected.of(request)
        pre_record, stream_type = _number(request.get("pre_record_duration")), _number(request.get("stream_type"))
        record_id = self._camera(task).record(expected.duration, pre_record, stream_type)
        return Submitted({"record_id": record_id}, first_look=expected.file_over_after(0) + LOOK_MARGIN)

    def find(self, task: Task) -> Submitted | None:
        """Search the camera's triggered recordings. If exactly one fits the trigger's time and length, it is the task.

        Never returns None: a recording is listed only after it was made, so its absence proves nothing.
        """
        if task.request is None or task.triggered_at is None:
            raise TriggerUncertain("nothing is known about when the recording was triggered")
        expected = Expected.of(task.request)
        whole = [
            recording for recording in near_the_trigger(self._camera(task), task) if expected.length_fits(recording)
        ]
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
        return look(self._camera(task), task)

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        download = self._camera(task).download(file.ref)
        url = download.url.usable(file.ref) if download.made else None
        if download.status is LookStatus.FAILED:
            raise VendorRefused(not_generated(file.ref), kind="VENDOR_FILE_FAILED", code=download.raw_status)
        if url is None:
            return None
        expires = lenient.integer(parse_qs(urlsplit(url).query).get("Expires", [""])[0])
        return Remote(url, expires_at=lenient.from_epoch(expires))

    def abort(self, task: Task) -> bool:
        """Stop the recording that this task triggered. An adopted one is not stopped: somebody else started it."""
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
