"""Polyv VOD v3: bringing back the source files of videos (source-file tasks).

One task holds up to 100 videos (`vid`), each of which settles by itself. Creating a task has no side effect beyond
making sources available, so a task whose id was lost is created again. Knows the signature, the envelope and the two
operations; knows nothing of jobs, waiting or storage.

Pages: "创建视频源文件取回任务", "查询视频源文件取回任务", "MD5签名生成规则" of Polyv's VOD API.
"""

from __future__ import annotations

import hashlib
import os.path
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from clipferry.http import AddressRefused, NoReply, NotSent, Outbound, Reply
from clipferry.vendors import lenient
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    Look,
    LookStatus,
    Remote,
    Sighting,
    Submitted,
    Task,
    VendorAuthFailed,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)

PUBLIC_ENDPOINT = "https://api.polyv.net"
CREATE = "/v3/video/source-file-task/create"
GET = "/v3/video/source-file-task/get"

VIDS_PER_TASK = 100
EXPIRE_DAYS_DEFAULT = 3
EXPIRE_DAYS_MAX = 7
FIRST_LOOK = 10.0  # seconds; a source in cold storage takes longer, a warm one less
BLOCKED_FOR = 300.0  # seconds an address stays blocked after more than 1500 calls in 10 seconds
VISIBLE_WITHIN = 60.0  # seconds after its creation until a task must be known to `get`
LISTED_WITHIN = 600.0  # seconds after its creation until a task must list each of its videos
URL_LIFETIME = timedelta(hours=24)  # assumed: Polyv does not say how long a download URL works

CLOCK_ERROR = 100
AUTH_ERRORS = frozenset({101, 102, 103, 104, 105})
STATUSES: Mapping[str, LookStatus] = {
    "INIT": LookStatus.RUNNING,
    "PROCESS": LookStatus.RUNNING,
    "SUCCESS": LookStatus.READY,
    "FAIL": LookStatus.FAILED,
}


def sign(params: Mapping[str, str], secret: str) -> str:
    """Upper-case MD5 of secret + each key and value, by key in ASCII order + secret; empty values are left out."""
    plain = "".join(key + value for key, value in sorted(params.items()) if key != "sign" and value)
    return hashlib.md5(f"{secret}{plain}{secret}".encode()).hexdigest().upper()  # noqa: S324 (the vendor's choice)


@dataclass(frozen=True)
class Envelope:
    """Polyv's reply `{requestId, code, status, error: {code, desc} | null, data}`; `code` decides, not HTTP's status."""

    code: int
    error_code: int | None
    description: str
    request_id: str | None
    data: Any = field(repr=False)

    @classmethod
    def parse(cls, reply: Reply) -> Envelope | None:
        """None when the body is not Polyv's."""
        try:
            body = reply.json()
        except (ValueError, RecursionError):
            return None
        code = lenient.integer(body.get("code")) if isinstance(body, dict) else None
        if code is None or not body.keys() & {"data", "error", "status"}:
            return None
        error = lenient.mapping(body.get("error"))
        return cls(
            code=code,
            error_code=lenient.integer(error.get("code")),
            description=lenient.message(error.get("desc")) or lenient.message(body.get("error")),
            request_id=lenient.message(body.get("requestId")) or None,
            data=body.get("data"),
        )


@dataclass(frozen=True)
class Item:
    """One video of a task, as `get` reports it."""

    vid: str
    raw_status: str
    url: str | None = field(repr=False)
    succeeded_at: datetime | None

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Item:
        millis = lenient.integer(entry.get("successTime"))
        return cls(
            vid=lenient.text(entry.get("vid")),
            raw_status=lenient.message(entry.get("status")),
            url=lenient.fetchable(entry.get("url")),
            succeeded_at=lenient.from_epoch(millis / 1000 if millis else None),
        )

    @property
    def status(self) -> LookStatus:
        """READY needs the URL too: it may come later than SUCCESS."""
        status = STATUSES.get(self.raw_status.upper(), LookStatus.UNKNOWN)
        return LookStatus.RUNNING if status is LookStatus.READY and not self.url else status

    @property
    def name(self) -> str:
        """The vid with the extension of its URL."""
        extension = os.path.splitext(urlsplit(self.url).path)[1] if self.url else ""
        return self.vid + (extension if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", extension) else "")

    def sighting(self) -> Sighting:
        sighting = Sighting(
            ref=self.vid,
            name=self.name,
            status=self.status,
            raw_status=self.raw_status,
            progress=100 if self.status is LookStatus.READY else None,
            detail={"succeeded_at": self.succeeded_at.isoformat()} if self.succeeded_at else {},
        )
        if self.status is not LookStatus.FAILED:
            return sighting
        return replace(
            sighting,
            code="VENDOR_FILE_FAILED",
            message=f"Polyv could not bring back the source of video {self.vid}; it gives no reason.",
            vendor_code=self.raw_status,
        )


class Polyv:
    """Source-file tasks of Polyv VOD v3, for a sub-account's `app_id` and `app_secret`."""

    name: ClassVar[str] = "polyv"
    title: ClassVar[str] = "Polyv VOD v3: source files of videos"
    secret_keys: ClassVar[Sequence[str]] = ("app_id", "app_secret")
    can_abort: ClassVar[bool] = False
    api_hosts: ClassVar[Sequence[str]] = ("api.polyv.net",)
    download_hosts: ClassVar[Sequence[str]] = ("videocc.net", "polyv.net")
    default_deadline: ClassVar[int] = 86_400
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
            }
        },
    }

    def __init__(self, account: Account, outbound: Outbound) -> None:
        self._account, self._outbound = account, outbound
        self._endpoint = (account.endpoint or PUBLIC_ENDPOINT).rstrip("/")
        self._hosts = (*self.api_hosts, urlsplit(self._endpoint).hostname or "")
        self._ahead = 0.0  # seconds by which Polyv's clock is ahead of ours, as far as it has told us
        self._blocked_at: float | None = None  # monotonic; when Polyv last shut this address out

    def trigger(self, task: Task) -> Submitted:
        data = self._call("POST", CREATE, {"vids": ",".join(_wanted(task)), "expireDays": str(_expire_days(task))})
        task_id = lenient.text(lenient.mapping(data).get("taskId"))
        if not task_id:
            raise VendorUnavailable("Polyv accepted the task but did not name it.")
        return Submitted({"task_id": task_id}, first_look=FIRST_LOOK)

    def find(self, task: Task) -> Submitted | None:
        """None: tasks cannot be searched, and creating one again costs nothing."""
        return None

    def adopt(self, task: Task) -> Submitted:
        return Submitted({"task_id": (task.adopt or {})["task_id"]})

    def poll(self, task: Task) -> Look:
        items = self._items(task)
        if not items:
            return self._not_listed(task)
        sightings = [item.sighting() for item in items.values()]
        sightings += [_missing(vid, task.elapsed) for vid in _wanted(task) if vid not in items]
        still_open = {s.status for s in sightings} - {LookStatus.READY, LookStatus.FAILED}
        if not still_open:
            status = LookStatus.READY
        else:
            status = LookStatus.UNKNOWN if still_open == {LookStatus.UNKNOWN} else LookStatus.RUNNING
        done = sum(s.status in (LookStatus.READY, LookStatus.FAILED) for s in sightings)
        return Look(
            status=status,
            raw_status=",".join(sorted({s.raw_status for s in sightings if s.raw_status})),
            progress=100 * done // len(sightings),
            files=sightings,
        )

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        """Polyv's URL of the moment.

        Raises VendorRefused with kind SOURCE_EXPIRED once the source's days are over: only a new task helps then.
        """
        item = self._items(task).get(file.ref)
        succeeded_at = (item.succeeded_at if item else None) or _recorded_success(file)
        now = datetime.now(UTC) + timedelta(seconds=self._ahead)
        source_ends = _source_ends(task, succeeded_at)
        if source_ends and source_ends <= now:
            raise VendorRefused(
                f"The source of video {file.ref} was available until {source_ends:%Y-%m-%dT%H:%MZ}; "
                "a new task must be created (retry the job to do so).",
                kind="SOURCE_EXPIRED",
            )
        if item is None or item.url is None or item.status is not LookStatus.READY:
            return None
        return Remote(item.url, expires_at=min(source_ends or now + URL_LIFETIME, now + URL_LIFETIME))

    def abort(self, task: Task) -> bool:
        """False: Polyv has no way to stop a task."""
        return False

    def _items(self, task: Task) -> dict[str, Item]:
        """The task's videos by vid. Empty while a task just created is not known yet."""
        task_id = task.refs["task_id"]
        try:
            data = self._call("GET", GET, {"taskId": task_id})
        except VendorRefused as refusal:  # the id is all we sent, so it is what is being refused
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
        """An empty list: not visible yet, or no such task; for a task seen before, a bad reply."""
        if task.files:
            raise VendorUnavailable(f"Polyv lists nothing for task {task.refs['task_id']}, which had videos before.")
        if task.elapsed < VISIBLE_WITHIN:
            return Look(LookStatus.RUNNING, progress=0)
        raise _unknown_task(task.refs["task_id"])

    def _call(self, method: str, path: str, params: Mapping[str, str]) -> Any:
        """One operation's `data`. A refused timestamp is corrected by the reply's Date and sent once more."""
        reply, envelope = self._send(method, path, params)
        if envelope and envelope.error_code == CLOCK_ERROR:
            told = lenient.http_date(reply.headers.get("Date"))
            self._ahead = told.timestamp() - time.time() if told else 0.0
            reply, envelope = self._send(method, path, params)
        return self._judge(reply, envelope)

    def _send(self, method: str, path: str, params: Mapping[str, str]) -> tuple[Reply, Envelope | None]:
        """One attempt, with its own timestamp and signature."""
        signed = {
            **params,
            "appId": self._account.secret["app_id"],
            "timestamp": str(int((time.time() + self._ahead) * 1000)),
        }
        signed["sign"] = sign(signed, self._account.secret["app_secret"])
        try:
            if method == "GET":
                reply = self._outbound.call("GET", self._endpoint + path, hosts=self._hosts, params=signed)
            else:
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                reply = self._outbound.call(
                    "POST", self._endpoint + path, hosts=self._hosts, data=urlencode(signed), headers=form
                )
        except NotSent as error:
            if self._blocked_at is not None and time.monotonic() - self._blocked_at < BLOCKED_FOR:
                raise VendorThrottled(f"Polyv blocks this address: {error}", retry_after=BLOCKED_FOR) from error
            raise VendorUnavailable(str(error), reached=False) from error
        except NoReply as error:
            raise VendorUnavailable(str(error)) from error
        except AddressRefused as error:
            raise VendorRefused(str(error), kind="ADDRESS_REFUSED") from error
        return reply, Envelope.parse(reply)

    def _judge(self, reply: Reply, envelope: Envelope | None) -> Any:
        """The envelope's data, or the error that its codes stand for."""
        # What Polyv says while an address is blocked is not documented; it would not be the application speaking.
        if reply.status == 429 or (envelope is None and reply.status == 403) or (envelope and envelope.code == 429):
            self._blocked_at = time.monotonic()
            hint = lenient.retry_after(reply.headers.get("Retry-After"))
            raise VendorThrottled("Polyv blocks this address after too many calls.", retry_after=hint or BLOCKED_FOR)
        if envelope is None:
            raise VendorUnavailable(f"Polyv answered HTTP {reply.status} with something that is not its JSON.")
        if envelope.code == 200:
            return envelope.data
        said = f"{envelope.description or 'no reason given'} (error {envelope.error_code or envelope.code})"
        code, request_id = str(envelope.error_code or envelope.code), envelope.request_id
        if envelope.error_code in AUTH_ERRORS or envelope.code == 401:
            raise VendorAuthFailed(f"Polyv does not accept the account: {said}", code=code, request_id=request_id)
        if envelope.error_code == CLOCK_ERROR:  # nothing was done, and a clock can come right
            message = f"Polyv does not accept the time of this machine: {said}"
            raise VendorUnavailable(message, reached=False, code=code, request_id=request_id)
        if 400 <= envelope.code < 500:
            raise VendorRefused(f"Polyv refused: {said}", code=code, request_id=request_id)
        raise VendorUnavailable(f"Polyv failed: {said}", code=code, request_id=request_id)


def _wanted(task: Task) -> list[str]:
    """The vids asked for, each once; none for an adopted task, whose videos only Polyv knows."""
    return list(dict.fromkeys((task.request or {}).get("vids", ())))


def _expire_days(task: Task) -> int:
    """Days asked for; for an adopted task, of which nobody says, the most there can be."""
    return EXPIRE_DAYS_MAX if task.request is None else int(task.request.get("expire_days", EXPIRE_DAYS_DEFAULT))


def _missing(vid: str, elapsed: float) -> Sighting:
    """A video that the task should list and does not."""
    if elapsed < LISTED_WITHIN:
        return Sighting(ref=vid, name=vid, status=LookStatus.RUNNING)
    message = f"Polyv's task does not list video {vid}."
    return Sighting(ref=vid, name=vid, status=LookStatus.FAILED, code="VENDOR_FILE_MISSING", message=message)


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
    """When the source goes back to cold storage; of an adopted task at the latest possible time."""
    if succeeded_at is None:
        return None
    # A success well before our own trigger is not this task's: the source was warm already.
    if task.request is not None and task.triggered_at and succeeded_at < task.triggered_at - timedelta(days=1):
        return None
    return succeeded_at + timedelta(days=_expire_days(task))
