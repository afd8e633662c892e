"""Polyv VOD v3: source-file tasks (create, get), the MD5 signature, its 3-minute window, and the block of 5 minutes.

Run by itself: `python -m local.simulators.polyv --port 9004 --time-scale 0.1`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from local.simulators.base import Rate, Simulator, main
from local.simulators.clock import Clock
from local.simulators.downloads import DownloadArea
from local.simulators.faults import Fault, Kind
from local.simulators.media import clip
from local.simulators.stage import Lost, Scene, Stage
from local.simulators.wire import Request, Response, json_response

PATHS = {"/v3/video/source-file-task/create": "create", "/v3/video/source-file-task/get": "get"}
METHODS = {"create": "POST", "get": "GET"}
DAY = 86_400
OPEN_STATUSES = ("INIT", "PROCESS")

#: error.code → (body code, desc), from Polyv's error pages; 2001 is an assumption.
ERRORS = {
    100: (400, "invalid timestamp"),
    101: (400, "application not exist"),
    102: (400, "user children not exist"),
    103: (403, "user children expired"),
    104: (403, "invalid signature"),
    105: (403, "permission limited"),
    2000: (400, "invalid vid"),
    2001: (400, "task not exist"),
}


@dataclass
class PolyvSettings:
    """The defaults are the documented values. Fields below `assumptions` are not documented, so tests vary them."""

    app_id: str = "simPolyvApp"
    app_secret: str = "simPolyvSecret"  # valid only here
    account_error: int | None = None  # 102, 103 or 105: what is wrong with the sub-account
    clock_window: float = 180.0  # seconds
    max_vids: int = 100
    max_expire_days: int = 7
    rate_limit: int = 1500  # calls per rate_window and client address
    rate_window: float = 10.0  # vendor seconds
    block_seconds: float = 300.0  # vendor seconds
    # the progress of a video, in vendor seconds after the task's creation
    init_seconds: float = 2.0
    process_seconds: float = 20.0
    stagger: float = 5.0  # each further video is finished so much later
    failing_vids: list[str] = field(default_factory=list)  # end with FAIL
    foreign_vids: list[str] = field(default_factory=list)  # ids of another account, or of no video
    scripts: dict[str, list[Any]] = field(default_factory=dict)  # by vid: [[seconds, status], …] instead of the above
    media: str = "small"  # size of the videos: small, medium, large
    sizes: dict[str, str] = field(default_factory=dict)  # by vid, instead of `size`
    # assumptions
    http_status: str = "200"  # of refusals: "200", or "mirror" of the body's code
    block_reply: str = "403"  # "403", "429", or "reset": the connection breaks
    block_extends: bool = False  # each call during the block starts the five minutes again
    unknown_task: str = "error"  # "error" 2001, or "empty": data []
    invalid_vid: str = "request"  # "request": all is refused with 2000; "item": the video ends with FAIL
    repeated_vid: str = "once"  # a vid given twice is listed "once" or "twice"
    list_delay: float = 0.0  # vendor seconds until `get` finds a new task
    unlisted_vids: list[str] = field(default_factory=list)  # accepted, but never listed
    url_delay: float = 0.0  # vendor seconds from SUCCESS to the URL
    missing_seconds: float = 0.0  # vendor seconds for which a new URL gives 404
    url_lifetime: float = DAY  # real seconds
    auth_key_epoch: str = "signed"  # the time in the URL: when it was "signed", or its "expiry"
    expired_source: str = "no_url"  # later: SUCCESS with "no_url", "fail": FAIL, "url": a URL that gives 404


@dataclass
class SourceTask:
    """One task. Times are vendor seconds, except `created_wall`."""

    task_id: str
    vids: list[str]
    expire_days: int
    created: float
    created_wall: float
    jumped: float  # by how much `advance` had moved the time at the creation
    scripts: dict[str, list[tuple[float, str]]]  # by vid: when each status begins, after the creation


class SourceFiles(DownloadArea):
    """The CDN: `auth_key` URLs whose time may be the time of signing, and sources that return to cold storage."""

    def __init__(self, clock: Clock, simulator: PolyvSimulator) -> None:
        super().__init__(clock, style="auth_key")
        self._simulator = simulator
        self.available_until: dict[str, float] = {}  # by path, in vendor seconds

    def url(self, base: str, path: str, lifetime: float) -> str:
        return super().url(base, path, 0 if self._simulator.settings.auth_key_epoch == "signed" else lifetime)

    def answer(self, request: Request, fault: Fault | None) -> Response:
        if self._clock.now() >= self.available_until.get(request.path, float("inf")):
            return Response(404, b"", {"Content-Type": "text/plain"})
        return super().answer(request, fault)

    def _denied(self, request: Request) -> str | None:
        reason, settings = super()._denied(request), self._simulator.settings
        if reason and reason.startswith("AccessDenied") and settings.auth_key_epoch == "signed":
            signed = int(request.query["auth_key"].partition("-")[0])
            return reason if signed + settings.url_lifetime <= self._clock.wall() else None
        return reason


class PolyvSimulator(Simulator):
    """`tasks` holds SourceTask objects. A file's ref is its vid."""

    vendor = "polyv"
    settings_class = PolyvSettings
    download_style = "auth_key"
    stage = Stage(
        one=Scene({"vids": ["v1"]}),
        three=Scene({"vids": ["v1", "v2", "v3"]}, {"stagger": 600.0}),
        partly=Scene({"vids": ["v1", "v2"]}, {"failing_vids": ["v2"]}, "VENDOR_FILE_FAILED"),
        odd=Scene({"vids": ["v1"]}, {"scripts": {"v1": [[0, "INIT"], [5, "THAWING"]]}}, "VENDOR_STATUS_UNKNOWN"),
        empty=Scene({"vids": ["v1"]}, {"unlisted_vids": ["v1"]}, "VENDOR_TASK_NOT_FOUND"),
        adopt=lambda job: {"task_id": job["vendor_refs"]["task_id"]},
        unknown={"task_id": "feedbeef"},
        unknown_id="feedbeef",
        trigger="create",
        look="get",
        lost={Lost.REPEATED: {}},
        many=Scene({"vids": [f"v{n}" for n in range(100)]}, {"stagger": 0.5}, files=100),
        mended={"failing_vids": []},
        repeated=Fault(Kind.REFUSE, code="2012", message="sign has been used"),
        later=[
            Fault(Kind.REFUSE, code="2013", message="too frequent"),
            Fault(Kind.REFUSE, code="2014", message="系统繁忙，请稍后重试"),
        ],
        assumed={
            "http_status": ["mirror"],
            "block_reply": ["429", "reset"],
            "block_extends": [True],
            "unknown_task": ["empty"],
            "invalid_vid": ["item"],
            "repeated_vid": ["twice"],
            "list_delay": [8.0],
            "url_delay": [60.0],
            "missing_seconds": [60.0],
            "url_lifetime": [120.0],
            "auth_key_epoch": ["expiry"],
            "expired_source": ["fail", "url"],
        },
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.downloads: SourceFiles = SourceFiles(self.clock, self)
        self._rate = Rate(self.settings.rate_limit, self.settings.rate_window)
        self._blocked_until = 0.0
        self._jumped = 0.0

    def secret(self) -> dict[str, str]:
        return {
            "vendor": "polyv",
            "app_id": self.settings.app_id,
            "app_secret": self.settings.app_secret,
            "endpoint": self.url,
        }

    def asked(self) -> list[str]:
        return [vid for task in self.tasks for vid in task.vids]

    def limit(self) -> tuple[int, float]:
        return self.settings.rate_limit, self.settings.rate_window

    def advance(self, seconds: float) -> None:
        """Also move the times that `get` reports into the past, so that old tasks look old to the client."""
        self._jumped += seconds
        super().advance(seconds)

    # --- the protocol ---

    def operation(self, request: Request) -> str:
        return PATHS.get(request.path, "unknown")

    def answer(self, operation: str, request: Request) -> Response | None:  # type: ignore[override]
        if self._blocked():
            return self._block_response()
        if operation == "unknown":
            return json_response(_envelope(404, {"code": 404, "desc": "not found"}), 404)
        if request.method != METHODS[operation]:
            return json_response(_envelope(405, {"code": 405, "desc": "method not allowed"}), 405)
        params = request.form if request.method == "POST" else request.query
        refusal = self._refusal(params)
        if refusal:
            return self._refused(refusal)
        return self._create(params) if operation == "create" else self._get(params)

    def fault_response(self, fault: Fault) -> Response:
        headers = {} if fault.retry_after is None else {"Retry-After": str(int(fault.retry_after))}
        if fault.kind is Kind.THROTTLE:
            return Response(fault.status or 403, b"blocked", {"Content-Type": "text/plain", **headers})
        if fault.kind is Kind.REFUSE:
            code = int(fault.code or 2000)
            body_code, description = ERRORS.get(code, (400, "refused"))
            return self._error(code, body_code, fault.message or description)
        status = fault.status or 500
        return json_response(_envelope(status, {"code": status, "desc": fault.message or "system error"}), status)

    def _refusal(self, params: dict[str, str]) -> int | None:
        """The common checks, in the order of their codes."""
        timestamp = params.get("timestamp", "")
        if not timestamp.isdigit() or abs(int(timestamp) / 1000 - self.clock.wall()) > self.settings.clock_window:
            return 100
        if params.get("appId") != self.settings.app_id:
            return 101
        if not hmac.compare_digest(params.get("sign", "").encode(), _sign(params, self.settings.app_secret).encode()):
            return 104
        return int(self.settings.account_error) if self.settings.account_error else None

    def _blocked(self) -> bool:
        now, blocked = self.now(), self.now() < self._blocked_until
        self._rate.limit, self._rate.window = self.settings.rate_limit, self.settings.rate_window
        if (blocked and self.settings.block_extends) or (not blocked and not self._rate.allows(now)):
            self._blocked_until = now + self.settings.block_seconds
            return True
        return blocked

    def _block_response(self) -> Response | None:
        if self.settings.block_reply == "reset":
            return None
        status = int(self.settings.block_reply)
        return Response(status, b"<html><body>Forbidden</body></html>", {"Content-Type": "text/html"})

    # --- the operations ---

    def _create(self, params: dict[str, str]) -> Response:
        vids = [vid for vid in params.get("vids", "").split(",") if vid]
        days = params.get("expireDays", "")
        if not 1 <= len(vids) <= self.settings.max_vids:
            return self._refused(2000)
        if not days.isdigit() or not 1 <= int(days) <= self.settings.max_expire_days:
            return self._error(400, 400, "invalid expireDays")
        foreign = [vid for vid in vids if vid in self.settings.foreign_vids]
        if foreign and self.settings.invalid_vid == "request":
            return self._refused(2000)
        if self.settings.repeated_vid == "once":
            vids = list(dict.fromkeys(vids))
        task = SourceTask(
            task_id=uuid.uuid4().hex,
            vids=vids,
            expire_days=int(days),
            created=self.now(),
            created_wall=self.clock.wall(),
            jumped=self._jumped,
            scripts={vid: self._script(vid, position) for position, vid in enumerate(dict.fromkeys(vids))},
        )
        self.tasks.append(task)
        for vid in task.scripts:
            self._publish(task, vid)
        return json_response(_envelope(200, data={"taskId": task.task_id}))

    def _get(self, params: dict[str, str]) -> Response:
        task = next((t for t in self.tasks if t.task_id == params.get("taskId")), None)
        if task is None or self.now() < task.created + self.settings.list_delay:
            if self.settings.unknown_task == "empty":
                return json_response(_envelope(200, data=[]))
            return self._refused(2001)
        listed = [vid for vid in task.vids if vid not in self.settings.unlisted_vids]
        return json_response(_envelope(200, data=[self._item(task, vid) for vid in listed]))

    def _item(self, task: SourceTask, vid: str) -> dict[str, Any]:
        since = self.now() - task.created
        began, status = max((step for step in task.scripts[vid] if step[0] <= since), default=(0.0, "INIT"))
        gone = status == "SUCCESS" and since >= began + task.expire_days * DAY
        url = None
        if status == "SUCCESS" and since >= began + self.settings.url_delay:
            url = self.downloads.url(self.url, _path(vid), self.settings.url_lifetime)
        if gone and self.settings.expired_source != "url":
            url, status = None, "FAIL" if self.settings.expired_source == "fail" else status
        return {
            "vid": vid,
            "url": url,
            "status": status,
            "createTime": self._stamp(task, 0.0),
            "successTime": self._stamp(task, began) if status == "SUCCESS" else None,
        }

    # --- the progress of a video ---

    def _script(self, vid: str, position: int) -> list[tuple[float, str]]:
        if vid in self.settings.scripts:
            return [(float(seconds), str(status)) for seconds, status in self.settings.scripts[vid]]
        begun = self.settings.init_seconds
        done = begun + self.settings.process_seconds + position * self.settings.stagger
        end = "FAIL" if vid in (*self.settings.failing_vids, *self.settings.foreign_vids) else "SUCCESS"
        return [(0.0, "INIT"), (begun, "PROCESS"), (done, end)]

    def _publish(self, task: SourceTask, vid: str) -> None:
        done = next((seconds for seconds, status in task.scripts[vid] if status == "SUCCESS"), None)
        if done is None:
            return
        path = _path(vid)
        until = task.created + done + task.expire_days * DAY
        self.downloads.available_until[path] = max(until, self.downloads.available_until.get(path, 0.0))
        if not self.downloads.holds(path):
            video = clip(self.settings.sizes.get(vid, self.settings.media), unique=vid)
            self.downloads.publish(vid, path, video, visible_after=done + self.settings.missing_seconds)

    def _stamp(self, task: SourceTask, seconds: float) -> int:
        """A time of a task as epoch milliseconds of the vendor's clock."""
        return int((task.created_wall + seconds * self.clock.scale - (self._jumped - task.jumped)) * 1000)

    # --- replies ---

    def _refused(self, code: int) -> Response:
        return self._error(code, *ERRORS[code])

    def _error(self, code: int, body_code: int, description: str) -> Response:
        status = body_code if self.settings.http_status == "mirror" else 200
        return json_response(_envelope(body_code, {"code": code, "desc": description}), status)


def _envelope(code: int, error: dict[str, Any] | None = None, data: Any = None) -> dict[str, Any]:
    status = "success" if code == 200 else "error"
    return {"requestId": str(uuid.uuid4()), "code": code, "status": status, "error": error, "data": data}


def _sign(params: dict[str, str], secret: str) -> str:
    """The signature of all parameters, except empty ones and the signature itself."""
    plain = "".join(name + params[name] for name in sorted(params) if name != "sign" and params[name])
    return hashlib.md5((secret + plain + secret).encode()).hexdigest().upper()


def _path(vid: str) -> str:
    """`/<user>/<shard>/<video>.mp4`, as in Polyv's own example."""
    stem = vid[:-2] if re.fullmatch(r"[0-9a-f]{32}_\w", vid) else vid
    return f"/{stem[:10]}/{stem[-1]}/{stem}.mp4"


if __name__ == "__main__":
    main(PolyvSimulator)
