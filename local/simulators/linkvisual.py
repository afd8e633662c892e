"""LinkVisual on one machine: cameras record and upload file by file, and the vendor makes an MP4 when it is requested.

The start of a camera's `IotId` (or `DeviceName`) decides how it behaves: see `Behaviour`. Every assumption about the
vendor is a field of `LinkVisualSettings`.

    python -m local.simulators.linkvisual --port 9001 --time-scale 0.01

Pages: TriggerRecord, StopTriggeredRecord, QueryRecordByRecordId, QueryRecord, QueryRecordDownloadUrl, "Error codes".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from local.simulators.alibaba import ASSUMED, LATER, NONCE_USED, AlibabaGateway, AlibabaSettings, Call, GatewayError
from local.simulators.base import main
from local.simulators.faults import Fault, Kind
from local.simulators.media import Clip, clip
from local.simulators.stage import Lost, Scene, Stage
from local.simulators.wire import Response, json_response


class Behaviour(StrEnum):
    """How a camera behaves whose id starts with this word."""

    OFFLINE = "offline"  # `device status error.` to TriggerRecord
    FOREIGN = "foreign"  # `tenant auth error.` to everything
    EMPTY = "empty"  # records and uploads nothing
    SHORT = "short"  # uploads only the first file
    BROKEN = "broken"  # no MP4 can be made of its second file (or of its only one)
    ODD = "odd"  # its MP4s stay at Status 7, which is not documented


@dataclass
class LinkVisualSettings(AlibabaSettings):
    upload_delay: float = 8.0  # seconds from the end of a file's recording until the file is listed
    generation: float = 6.0  # seconds from the first QueryRecordDownloadUrl until the MP4 exists
    file_seconds: int = 1800  # the longest file
    url_lifetime: float = 3600.0  # real seconds; other operations document one hour
    url_visible_after: float = 0.0  # seconds for which the URL of a ready file gives 404
    zone_hours: float = 8.0  # of BeginTime and EndTime, which have no zone
    iot_instance_id: str = ""  # if set, every call must have it
    media: str = "auto"  # small, medium or large; auto: medium for full files, small for shorter ones
    before_upload: str = "empty"  # QueryRecordByRecordId of a recording without files yet: "empty" or "error"
    unknown_record: str = "refused"  # "refused", "http" as in newer operations, or "empty": a list without files
    listing: str = "each"  # a file is listed when "each" is uploaded, or all "together" when the last one is
    generation_starts: str = "asked"  # when its URL is requested first, or when "uploaded"
    by_record_id: bool = True  # False: this account has no QueryRecordByRecordId
    listed_in_query: bool = True  # QueryRecord lists triggered recordings
    code_as_integer: bool = False  # two other operations have `Code` as a number
    numbers_as_strings: bool = False  # Status and Progress
    status_zero_early: bool = False  # Status 0 and an invalid Url while Progress is below 100, as in the page's sample
    null_url: bool = False  # `Url: null` until ready, instead of no Url
    generation_restarts: bool = False  # a failed MP4 is made again when it is requested again
    behaviours: bool = True  # False: cameras behave well while their MP4s are made
    rates: dict[str, int] = field(
        default_factory=lambda: {
            "QueryRecord": 250,
            "TriggerRecord": 50,
            "QueryRecordByRecordId": 50,
            "QueryRecordDownloadUrl": 50,
        }
    )


class Refused(Exception):
    """A business failure: HTTP 200, `Success: false`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


NO_RECORD = Refused("400", "Record not exist.")


@dataclass
class RecordedFile:
    """One uploaded file. `begin` and `end` are seconds since the trigger."""

    name: str
    begin: float
    end: float
    clip: Clip
    making_since: float | None = None  # `now()` of the first request for its URL

    @property
    def path(self) -> str:
        return f"/transcode/{self.name.replace('/', '-')}.mp4"


@dataclass
class Recording:
    record_id: str
    device: str
    stream_type: int
    triggered: float  # by `now()`
    triggered_wall: float  # by `wall()`
    begin: float  # seconds since the trigger; negative for what was pre-recorded
    end: float
    files: list[RecordedFile] = field(default_factory=list)


class LinkVisualSimulator(AlibabaGateway):
    vendor = "linkvisual"
    version = "2018-01-20"
    settings_class = LinkVisualSettings
    settings: LinkVisualSettings
    stage = Stage(
        one=Scene({"iot_id": "gate-1", "record_duration": 60}),
        three=Scene({"iot_id": "gate-1", "record_duration": 5400}, {"media": "small"}),
        partly=Scene({"iot_id": "broken-1", "record_duration": 1860}, {"media": "small"}, "VENDOR_FILE_FAILED"),
        odd=Scene({"iot_id": "odd-1", "record_duration": 60}, code="VENDOR_STATUS_UNKNOWN"),
        empty=Scene({"iot_id": "empty-1", "record_duration": 60}, code="NO_RECORDING"),
        adopt=lambda job: {"iot_id": job["request"]["iot_id"], "record_id": job["vendor_refs"]["record_id"]},
        unknown={"iot_id": "gate-1", "record_id": "feedbeef"},
        unknown_id="feedbeef",
        trigger="TriggerRecord",
        look="QueryRecordByRecordId",
        lost={Lost.FOUND: {}, Lost.UNCERTAIN: {"listed_in_query": False}},
        assumed={
            **ASSUMED,
            "before_upload": ["error"],
            "unknown_record": ["http", "empty"],
            "listing": ["together"],
            "generation_starts": ["uploaded"],
            "listed_in_query": [False],
            "code_as_integer": [True],
            "numbers_as_strings": [True],
            "status_zero_early": [True],
            "null_url": [True],
            "url_lifetime": [120.0],
            "upload_delay": [0.0, 90.0],
            "generation": [0.0, 120.0],
            "iot_instance_id": ["iot-1"],
        },
        unsent=Lost.UNCERTAIN,
        many=Scene({"iot_id": "gate-1", "record_duration": 7200}, {"media": "small"}, files=4),
        mended={"behaviours": False},
        repeated=NONCE_USED,
        later=LATER,
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.recordings: dict[str, Recording] = {}

    def secret(self) -> dict[str, str]:
        instance = self.settings.iot_instance_id
        return {**super().secret(), **({"iot_instance_id": instance} if instance else {})}

    @property
    def expected(self) -> dict[str, dict[str, object]]:
        with self.lock:
            files = [file for recording in self.recordings.values() for file in recording.files]
        served = self.downloads.expected  # a fault may have changed it
        return {f.name: served.get(f.name) or _proof(f.clip) for f in files}

    def asked(self) -> list[str]:
        return [task["device"] for task in self.tasks]

    def perform(self, call: Call) -> dict[str, Any]:
        """LinkVisual's envelope around an operation's `Data`."""
        if call.action == "QueryRecordByRecordId" and not self.settings.by_record_id:
            raise self.unknown_action()
        try:
            body = {"Success": True, "Code": "200", "ErrorMessage": "", **super().perform(call)}
        except Refused as refused:
            if refused is NO_RECORD and self.settings.unknown_record == "http":
                raise GatewayError(400, "iot.vision.RecordNotExist", refused.message) from None
            body = _refusal(refused)
        return {**body, "Code": int(body["Code"])} if self.settings.code_as_integer else body

    def fault_response(self, fault: Fault) -> Response:
        if fault.kind is Kind.REFUSE and fault.status in (0, 200):
            refused = Refused(fault.code or "403", fault.message or "request forbidden.")
            return json_response({"RequestId": str(uuid.uuid4()).upper(), **_refusal(refused)})
        return super().fault_response(fault)

    # --- operations ---

    def on_TriggerRecord(self, call: Call) -> dict[str, Any]:
        device = self._device(call)
        duration = call.integer("RecordDuration", 10, 7200)
        pre_record = call.integer("PreRecordDuration", 0, 10, default=0)
        stream_type = call.integer("StreamType", 0, 1, default=0)
        if _behaviour(device) is Behaviour.OFFLINE:
            raise Refused("403", "device status error.")
        recording = Recording(
            uuid.uuid4().hex, device, stream_type, self.now(), self.clock.wall(), -pre_record, duration - pre_record
        )
        recording.files = self._files(recording)
        self.recordings[recording.record_id] = recording
        self.tasks.append({"record_id": recording.record_id, "device": device, "duration": duration})
        return {"Data": recording.record_id}

    def on_StopTriggeredRecord(self, call: Call) -> dict[str, Any]:
        recording = self._recording(self._device(call), call.required("RecordId"))
        now = self.now() - recording.triggered
        recording.end = max(recording.begin, min(recording.end, now))
        recording.files = [file for file in recording.files if file.begin < recording.end]
        for file in recording.files:
            file.end = min(file.end, recording.end)
        return {}

    def on_QueryRecordByRecordId(self, call: Call) -> dict[str, Any]:
        try:
            recording = self._recording(self._device(call), call.required("RecordId"))
        except Refused as refused:
            if refused is NO_RECORD and self.settings.unknown_record == "empty":
                return {"Data": []}
            raise
        listed = self._listed(recording)
        if not listed and self.settings.before_upload == "error":
            raise NO_RECORD
        return {"Data": [{**self._times(recording, f), "VodUrl": f"{self.url}/vod/{f.name}.flv"} for f in listed]}

    def on_QueryRecord(self, call: Call) -> dict[str, Any]:
        device = self._device(call)
        begin, end = call.integer("BeginTime", 0, 9_999_999_999), call.integer("EndTime", 0, 9_999_999_999)
        record_type = call.integer("RecordType", 0, 2, default=2)
        stream_type = call.integer("StreamType", 0, 1, default=0)
        page, size = call.integer("CurrentPage", 1, 1000, default=1), call.integer("PageSize", 1, 50, default=10)
        found = [
            {
                **self._times(recording, file),
                "RecordType": 2,
                "StreamType": stream_type,
                "FileSize": file.clip.size,
                "VideoFrameNumber": int((file.end - file.begin) * 15),
            }
            for recording in self.recordings.values()
            if recording.device == device and recording.stream_type == stream_type and record_type == 2
            for file in self._listed(recording)
            if recording.triggered_wall + file.begin < end and recording.triggered_wall + file.end > begin
        ]
        found = sorted(found, key=lambda entry: entry["BeginTime"]) if self.settings.listed_in_query else []
        return {"Data": {"Page": page, "PageSize": size, "List": found[(page - 1) * size : page * size]}}

    def on_QueryRecordDownloadUrl(self, call: Call) -> dict[str, Any]:
        device, name = self._device(call), call.required("FileName")
        for recording in self.recordings.values():
            for file in self._listed(recording):
                if file.name == name and recording.device == device:
                    return {"Data": self._made(recording, file)}
        raise NO_RECORD

    # --- cameras ---

    def _device(self, call: Call) -> str:
        device = call.params.get("IotId", "")
        if not device:
            device = f"{call.required('DeviceName')}@{call.required('ProductKey')}"
        instance = self.settings.iot_instance_id
        if _behaviour(device) is Behaviour.FOREIGN or (instance and call.params.get("IotInstanceId") != instance):
            raise Refused("403", "tenant auth error.")
        return device

    def _recording(self, device: str, record_id: str) -> Recording:
        recording = self.recordings.get(record_id)
        if recording is None or recording.device != device:
            raise NO_RECORD
        return recording

    def _files(self, recording: Recording) -> list[RecordedFile]:
        behaviour = _behaviour(recording.device)
        if behaviour is Behaviour.EMPTY:
            return []
        files, begin = [], recording.begin
        while begin < recording.end:
            end = min(begin + self.settings.file_seconds, recording.end)
            started = int(recording.triggered_wall + begin)
            name = f"{started}_{recording.device}_{recording.stream_type}/{uuid.uuid4()}"
            full = end - begin >= self.settings.file_seconds
            size = ("medium" if full else "small") if self.settings.media == "auto" else self.settings.media
            files.append(RecordedFile(name, begin, end, clip(size, unique=name)))
            begin = end
        return files[:1] if behaviour is Behaviour.SHORT else files

    def _listed(self, recording: Recording) -> list[RecordedFile]:
        since = self.now() - recording.triggered - self.settings.upload_delay
        if self.settings.listing == "together" and recording.files and recording.files[-1].end > since:
            return []
        return [file for file in recording.files if file.end <= since]

    def _times(self, recording: Recording, file: RecordedFile) -> dict[str, Any]:
        zone = timezone(timedelta(hours=self.settings.zone_hours))

        def shown(offset: float) -> str:
            moment = datetime.fromtimestamp(int(recording.triggered_wall + offset), UTC)
            return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

        return {"FileName": file.name, "BeginTime": shown(file.begin), "EndTime": shown(file.end)}

    def _made(self, recording: Recording, file: RecordedFile) -> dict[str, Any]:
        """The progress of a file's MP4, which is started by the first request."""
        if file.making_since is None:
            uploaded = recording.triggered + file.end + self.settings.upload_delay
            file.making_since = self.now() if self.settings.generation_starts == "asked" else uploaded
        spent = self.now() - file.making_since
        progress = 100 if spent >= self.settings.generation else int(100 * spent / self.settings.generation)
        status = 0 if progress == 100 or self.settings.status_zero_early else 1
        behaviour = _behaviour(recording.device) if self.settings.behaviours else None
        if behaviour is Behaviour.ODD:
            status = 7
        if behaviour is Behaviour.BROKEN and file is recording.files[:2][-1] and progress >= 50:
            status, progress = -1, 50
            if self.settings.generation_restarts:
                file.making_since = None
        made: dict[str, Any] = {"Status": status, "Progress": progress}
        if self.settings.numbers_as_strings:
            made = {name: str(value) for name, value in made.items()}
        if progress == 100:
            if not self.downloads.holds(file.path):
                self.downloads.publish(file.name, file.path, file.clip, visible_after=self.settings.url_visible_after)
            made["Url"] = self.downloads.url(self.url, file.path, self.settings.url_lifetime)
        elif self.settings.status_zero_early:
            made["Url"] = self.downloads.url(self.url, file.path, self.settings.url_lifetime)
        elif self.settings.null_url:
            made["Url"] = None
        return made


def _behaviour(device: str) -> Behaviour | None:
    return next((b for b in Behaviour if device.startswith(b)), None)


def _refusal(refused: Refused) -> dict[str, Any]:
    return {"Success": False, "Code": refused.code, "ErrorMessage": refused.message}


def _proof(served: Clip) -> dict[str, object]:
    return {"sha256": served.sha256, "md5": served.md5, "size": served.size}


if __name__ == "__main__":
    main(LinkVisualSimulator)
