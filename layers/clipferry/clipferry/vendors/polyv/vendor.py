"""Polyv VOD v3: source-file tasks, which make the source files of videos available.

One task holds up to 100 videos (`vid`); each of them ends by itself. A task does nothing but make sources available, so
that a task whose id was lost is created again. This module knows the two operations, but not signatures (`api`), jobs,
waiting or storage.

Pages: "创建视频源文件取回任务", "查询视频源文件取回任务" of Polyv's VOD API.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
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
    VendorRefused,
    VendorUnavailable,
)
from clipferry.vendors.file_urls import INVALID, FileUrl
from clipferry.vendors.polyv.api import API_HOSTS, PolyvApi
from clipferry.vendors.tally import tally

CREATE = "/v3/video/source-file-task/create"
GET = "/v3/video/source-file-task/get"

VIDS_PER_TASK = 100
EXPIRE_DAYS_DEFAULT = 3
EXPIRE_DAYS_MAX = 7
FIRST_LOOK = 10.0  # seconds; a source in cold storage takes longer, another source less
VISIBLE_WITHIN = 60.0  # seconds after its creation until a task must be known to `get`
LISTED_WITHIN = 600.0  # seconds after its creation until a task must list each of its videos
URL_LIFETIME = timedelta(hours=24)  # assumed: Polyv does not say how long a download URL works

STATUSES: Mapping[str, LookStatus] = {
    "INIT": LookStatus.RUNNING,
    "PROCESS": LookStatus.RUNNING,
    "SUCCESS": LookStatus.READY,
    "FAIL": LookStatus.FAILED,
}


@dataclass(frozen=True)
class Item:
    """One video of a task, as `get` reports it."""

    vid: str
    raw_status: str
    url: FileUrl
    succeeded_at: datetime | None

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Item:
        millis = lenient.integer(entry.get("successTime"))
        return cls(
            vid=lenient.text(entry.get("vid")),
            raw_status=lenient.message(entry.get("status")),
            url=FileUrl.parse(entry.get("url")),
            succeeded_at=lenient.from_epoch(millis / 1000 if millis else None),
        )

    @property
    def status(self) -> LookStatus:
        """READY only with a URL: this may come later than SUCCESS. FAILED when Polyv's text cannot be a URL."""
        status = STATUSES.get(self.raw_status.upper(), LookStatus.UNKNOWN)
        if status is LookStatus.READY and not self.url.url:
            return LookStatus.FAILED if self.url.problem else LookStatus.RUNNING
        return status

    @property
    def done(self) -> bool:
        """Whether Polyv says that the source is available, with or without a URL."""
        return STATUSES.get(self.raw_status.upper()) is LookStatus.READY

    @property
    def name(self) -> str:
        """The vid with the extension of its URL."""
        extension = os.path.splitext(urlsplit(self.url.url).path)[1] if self.url.url else ""
        return self.vid + (extension if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", extension) else "")


class Polyv:
    """Source-file tasks of Polyv VOD v3, for a sub-account's `app_id` and `app_secret`."""

    name: ClassVar[str] = "polyv"
    title: ClassVar[str] = "Polyv VOD v3: source files of videos"
    secret_keys: ClassVar[Sequence[str]] = ("app_id", "app_secret")
    can_abort: ClassVar[bool] = False
    spent_codes: ClassVar[frozenset[str]] = frozenset(
        {"SOURCE_EXPIRED", "SOURCE_GONE", "VENDOR_FILE_FAILED", "VENDOR_FILE_MISSING", "VENDOR_TASK_NOT_FOUND"}
    )
    api_hosts: ClassVar[Sequence[str]] = API_HOSTS
    download_hosts: ClassVar[Sequence[str]] = ("videocc.net", "polyv.net")
    default_deadline: ClassVar[int] = 86_400
    trusted_hosts: Sequence[str] = ()
    rates: ClassVar[Mapping[str, Rate]] = {ANY: Rate(1500, 10.0, pushback=300.0)}  # docs/vod/limit.md, for each address
    limits: ClassVar[Mapping[str, Any]] = {
        "vids_per_task": VIDS_PER_TASK,
        "expire_days": f"1 to {EXPIRE_DAYS_MAX}, {EXPIRE_DAYS_DEFAULT} when not given",
        "calls": "1500 in 10 seconds for each client address, over all of Polyv's API; beyond it 5 minutes of silence",
        "clock": "within 3 minutes of Polyv's",
    }
    request_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["vids"],
        "properties": {
            "vids": {
                "description": f"Ids of the videos, 1 to {VIDS_PER_TASK}; one given twice is one file (vids).",
                "type": "array",
                "minItems": 1,
                "maxItems": VIDS_PER_TASK,
                "items": {
                    "description": "A video's id, such as 1b448be32370f4822ac40fd926112a66_1.",
                    "type": "string",
                    "pattern": "^[0-9A-Za-z._-]{1,64}$",
                    "x-problem": "must be 1 to 64 letters, digits, dots, dashes or underscores",
                },
            },
            "expire_days": {
                "description": f"Days the sources stay available, 1 to {EXPIRE_DAYS_MAX} (expireDays).",
                "type": "integer",
                "minimum": 1,
                "maximum": EXPIRE_DAYS_MAX,
                "default": EXPIRE_DAYS_DEFAULT,
            },
        },
    }
    adopt_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["task_id"],
        "properties": {
            "task_id": {
                "description": "Id of a source-file task that exists already, as create returned it (taskId).",
                "type": "string",
                "pattern": "^[0-9A-Za-z_-]{1,64}$",
                "x-problem": "must be 1 to 64 letters, digits, dashes or underscores",
            }
        },
    }

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        self._api = PolyvApi(account, outbound)

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline

    def trigger(self, task: Task) -> Submitted:
        params = {"vids": ",".join(_wanted(task)), "expireDays": str(_expire_days(task))}
        data = self._api.call("POST", CREATE, params, acts=True)
        task_id = lenient.text(lenient.mapping(data).get("taskId"))
        if not task_id:
            raise VendorUnavailable("Polyv accepted the task but did not name it.")
        return Submitted({"task_id": task_id}, first_look=FIRST_LOOK)

    def find(self, task: Task) -> Submitted | None:
        """None: tasks cannot be searched, and another task costs nothing."""
        return None

    def adopt(self, task: Task) -> Submitted:
        return Submitted({"task_id": (task.adopt or {})["task_id"]})

    def poll(self, task: Task) -> Look:
        items = self._items(task)
        if not items:
            return self._not_listed(task)
        now = self._api.now()
        sightings = [_sighting(task, item, now) for item in items.values()]
        sightings += [_missing(vid, task.elapsed) for vid in _wanted(task) if vid not in items]
        return tally(sightings)

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        """Polyv's present URL of the file.

        Raises VendorRefused with kind SOURCE_EXPIRED after the last day of the source: then only a new task helps.
        Raises it with kind FILE_URL_INVALID when Polyv's text cannot be a URL.
        """
        item = self._items(task).get(file.ref)
        given = item.url if item and item.done else FileUrl()
        ends = _source_ends(task, (item.succeeded_at if item else None) or _recorded_success(file))
        now = self._api.now()
        if ends and ends <= now:
            if given.url is None or self._api.denies(given.url, self.download_hosts):
                raise VendorRefused(_expired(task, file.ref, ends), kind="SOURCE_EXPIRED")
            ends = None  # the URL still works: another task may have kept the source available
        url = given.usable(file.name)
        return Remote(url, expires_at=min(ends or now + URL_LIFETIME, now + URL_LIFETIME)) if url else None

    def abort(self, task: Task) -> bool:
        """False: Polyv has no way to stop a task."""
        return False

    def _items(self, task: Task) -> dict[str, Item]:
        """The task's videos by vid. Empty while Polyv does not know a new task yet."""
        task_id = task.refs["task_id"]
        try:
            data = self._api.call("GET", GET, {"taskId": task_id})
        except VendorRefused as refusal:  # the call holds nothing but the id: it is the id that Polyv refuses
            if task.request is not None and task.elapsed < VISIBLE_WITHIN:
                return {}
            raise _unknown_task(task_id, refusal) from refusal
        items: dict[str, Item] = {}
        for item in map(Item.parse, lenient.entries(data)):
            known = items.get(item.vid)
            if item.vid and (known is None or known.status is not LookStatus.READY):
                items[item.vid] = item
        return items

    def _not_listed(self, task: Task) -> Look:
        """The look for an empty list: the task is not visible yet, or does not exist. If seen before: a bad reply."""
        if task.files:
            raise VendorUnavailable(f"Polyv lists nothing for task {task.refs['task_id']}, which had videos before.")
        if task.elapsed < VISIBLE_WITHIN:
            return Look(LookStatus.RUNNING, progress=0)
        raise _unknown_task(task.refs["task_id"])


def _wanted(task: Task) -> list[str]:
    """The requested vids that are not settled, each once; none for an adopted task: only Polyv knows its videos."""
    settled = {file.ref for file in task.files if file.settled}
    return [vid for vid in dict.fromkeys((task.request or {}).get("vids", ())) if vid not in settled]


def _expire_days(task: Task) -> int:
    """The requested days; for an adopted task, whose days are not known, the maximum."""
    return EXPIRE_DAYS_MAX if task.request is None else int(task.request.get("expire_days", EXPIRE_DAYS_DEFAULT))


def _sighting(task: Task, item: Item, now: datetime) -> Sighting:
    sighting = Sighting(
        ref=item.vid,
        name=item.name,
        status=item.status,
        raw_status=item.raw_status,
        progress=100 if item.status is LookStatus.READY else None,
        detail={"succeeded_at": item.succeeded_at.isoformat()} if item.succeeded_at else {},
    )
    if item.done and item.url.problem:
        return _failed(sighting, INVALID, item.url.message(item.name))
    if item.status is LookStatus.FAILED:
        message = f"Polyv could not bring back the source of video {item.vid}; it gives no reason."
        return _failed(sighting, "VENDOR_FILE_FAILED", message)
    ends = _source_ends(task, item.succeeded_at)
    if item.status is not LookStatus.READY and ends and ends <= now:
        return _failed(sighting, "SOURCE_EXPIRED", _expired(task, item.vid, ends))
    return sighting


def _missing(vid: str, elapsed: float) -> Sighting:
    """The sighting of a video that the task does not list, but should."""
    waiting = Sighting(ref=vid, name=vid, status=LookStatus.RUNNING)
    if elapsed < LISTED_WITHIN:
        return waiting
    return _failed(waiting, "VENDOR_FILE_MISSING", f"Polyv's task does not list video {vid}.")


def _failed(sighting: Sighting, code: str, message: str) -> Sighting:
    vendor_code = sighting.raw_status or None
    return replace(sighting, status=LookStatus.FAILED, code=code, message=message, vendor_code=vendor_code)


def _expired(task: Task, vid: str, ends: datetime) -> str:
    how = "retry this job to create one" if task.adopt is None else "start a job that requests this video"
    return f"The source of video {vid} was available until {ends:%Y-%m-%dT%H:%MZ}; a new task is needed: {how}."


def _unknown_task(task_id: str, refusal: VendorRefused | None = None) -> VendorRefused:
    said = f": {refusal.message}" if refusal else "."
    return VendorRefused(
        f"Polyv knows no task {task_id}{said}",
        kind="VENDOR_TASK_NOT_FOUND",
        code=refusal.code if refusal else None,
        request_id=refusal.request_id if refusal else None,
    )


def _recorded_success(file: KnownFile) -> datetime | None:
    recorded = file.detail.get("succeeded_at")
    return datetime.fromisoformat(recorded) if recorded else None


def _source_ends(task: Task, succeeded_at: datetime | None) -> datetime | None:
    """When the source goes back to cold storage; for an adopted task, the latest possible time."""
    return succeeded_at + timedelta(days=_expire_days(task)) if succeeded_at else None
