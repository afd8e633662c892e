"""LinkVisual's operations on one camera. Each may raise the errors of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone
from typing import Any

from clipferry.vendors import lenient
from clipferry.vendors.alibaba.rpc import Parameters, RpcClient
from clipferry.vendors.contract import VendorRefused, VendorUnavailable
from clipferry.vendors.linkvisual.api import Download, Segment, in_order, segments
from clipferry.vendors.linkvisual.failures import data_of, refusal

VERSION = "2018-01-20"
TRIGGERED = 2  # RecordType of recordings made on demand
PAGE_SIZE = 50  # QueryRecord's largest
PAGES_MAX = 20


class Camera:
    """One device under one account: `IotId`, or `ProductKey` with `DeviceName`, and the instance if it has an id."""

    def __init__(self, rpc: RpcClient, device: Mapping[str, str | None], zone: timezone) -> None:
        self._rpc, self._device, self._zone = rpc, device, zone

    def record(self, duration: int, pre_record: int | None, stream_type: int | None) -> str:
        """Start a recording of so many seconds. Returns its record id. Each call makes another recording."""
        params = {"RecordDuration": duration, "PreRecordDuration": pre_record, "StreamType": stream_type}
        record_id = lenient.text(self._ask("TriggerRecord", params, acts=True))
        if not record_id:
            raise VendorUnavailable("TriggerRecord: the reply holds no record id")
        return record_id

    def stop(self, record_id: str) -> None:
        self._ask("StopTriggeredRecord", {"RecordId": record_id})

    def files_of(self, record_id: str) -> list[Segment]:
        """The files of a recording that have been uploaded so far."""
        return segments(self._ask("QueryRecordByRecordId", {"RecordId": record_id}), self._zone)

    def recorded(self, begin: int, end: int, stream_type: int) -> list[Segment]:
        """The files that were made on demand between two epoch seconds. Reads pages until one is not full."""
        found: dict[str, Segment] = {}
        wanted = {"BeginTime": begin, "EndTime": end, "RecordType": TRIGGERED, "StreamType": stream_type}
        for page in range(1, PAGES_MAX + 1):
            data = self._ask("QueryRecord", {**wanted, "CurrentPage": page, "PageSize": PAGE_SIZE})
            listed = lenient.entries(lenient.mapping(data).get("List"))
            new = {s.name: s for s in segments(listed, self._zone) if s.name not in found}
            found |= new
            if len(listed) < PAGE_SIZE or not new:
                break
        return in_order(found.values())

    def download(self, file_name: str) -> Download:
        """The progress of a file's MP4. The first call starts it."""
        return Download.parse(self._ask("QueryRecordDownloadUrl", {"FileName": file_name}))

    def _ask(self, action: str, params: Parameters, *, acts: bool = False) -> Any:
        """`Data` of one operation."""
        try:
            body = self._rpc.call(action, VERSION, {**self._device, **params}, acts=acts)
        except VendorRefused as refused:
            if refused.code is None:  # the address guard refused it, not the vendor
                raise
            words = refused.message.removeprefix(f"{action}: ")
            raise refusal(action, refused.code, words, refused.request_id) from None
        return data_of(action, body)
