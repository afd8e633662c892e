"""Wangsu / CDNetworks Cloud VoD: pullVideo, pullVideoQuery, getPublishCode, with both signatures and the rate limits.

Words in a fetch URL's path decide what happens to its item (see MARKS). The simulator does not fetch the URL: each URL
stands for a different real video, and `source_md5` gives its MD5.

Run by itself: `python -m local.simulators.cloudv --port 9003 --time-scale 0.1`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from local.simulators.base import Rate, Simulator, main
from local.simulators.cloudv_wire import decode_file_list, parameters_of, reply, spelled
from local.simulators.downloads import DownloadArea
from local.simulators.faults import Fault, Kind
from local.simulators.media import Clip, clip, ladder, pixel
from local.simulators.stage import Lost, Scene, Stage
from local.simulators.wire import Request, Response

PATHS = {f"/vod/videoManage/{name}": name for name in ("pullVideo", "pullVideoQuery", "getPublishCode")}
PARAMETER_ERROR = 1000
NO_PERMISSION = 1301
PROCESSING, SUCCESS, FAILURE = 1, 2, 3

#: Words in a fetch URL's path, and what happens to the item.
MARKS = {
    "fail-fetch": "pullStatus 3",
    "fail-command": "fetched, but cmdStatus 3 and no renditions",
    "no-info": "fetched, but videoInfo stays null",
    "odd-status": "pullStatus 9, which no page mentions",
    "encrypted": "its HLS renditions are encrypted with AES-128, the keys lie beside their segments",
    "drm": "its HLS renditions are encrypted with SAMPLE-AES and Widevine",
    "live": "its HLS renditions have no EXT-X-ENDLIST",
    "lost-segment": "one segment of each of its HLS renditions gives 404",
    "pixel-segment": "one segment of each of its HLS renditions is a tracking pixel",
}
_DRM = (
    '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:text/plain;base64,AAAA",'
    'KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",KEYFORMATVERSIONS="1"'
)
#: clarity → the playlist of the ladder, getPublishCode's name for it, bitrate in kbps, resolution.
LADDER = {
    2: ("360p/index.m3u8", "fluentUrl", 400, "640:360"),
    3: ("720p/index.m3u8", "sdUrl", 1200, "1280:720"),
    4: ("master.m3u8", "highUrl", 1600, "1280:720"),
}


@dataclass(frozen=True)
class Generation:
    """One version of the signature, with the names of its headers."""

    label: str
    access_key: str
    timestamp: str


GENERATIONS = (
    Generation("WS3-HMAC-SHA256", "X-WS-AccessKey", "X-WS-Timestamp"),
    Generation("CNC-HMAC-SHA256", "x-cnc-accessKey", "x-cnc-timestamp"),
)


@dataclass
class CloudVSettings:
    """The defaults are the documented values. Fields below `assumptions` are not documented, so tests vary them."""

    access_key: str = "simCloudVKey"
    secret_key: str = "simCloudVSecret"  # valid only here
    auth: str = "ws3"  # the signature in `secret()`: "ws3" or "cnc"; the server accepts both
    clock_window: float = 300.0  # seconds
    max_files: int = 50
    rate_limit: int = 300  # calls per rate_window for the account
    operation_limit: int = 0  # … and for each operation; 30 is recommended, 0: not enforced
    rate_window: float = 300.0  # vendor seconds
    # the progress of an item, in vendor seconds after the task's creation
    pull_seconds: float = 20.0
    stagger: float = 5.0  # each further item is finished so much later
    command_seconds: float = 15.0  # from an item's fetch to the end of its command
    media: str = "small"  # size of the originals: small, medium, large
    media_base: bool = True  # whether `secret()` has a media_base_url
    # assumptions
    always_transcode: bool = False  # make renditions also without cmd and workflowId
    reused_trans_no: str = "reject"  # "reject" with 1000, or "same": the existing task
    unknown_task: str = "code"  # "code" 1000, "null": 200 with data null, or "http": HTTP 404 with code 1000
    auth_reply: str = "403"  # HTTP "401" or "403" with that code, or "200" with code 1301
    permission: bool = True  # False: 1301 for every call
    rate_reply: str = "429"  # "429" or "403": HTTP status and code; "code": HTTP 200 with code 429
    rate_hint: int = 0  # Retry-After in seconds; 0: none
    punish_seconds: float = 0.0  # vendor seconds for which every call is refused after a call above the limit
    list_delay: float = 0.0  # vendor seconds until pullVideoQuery finds a new task
    spelling: str = "mixed"  # numbers as "numbers", as "strings", or "mixed" as on the vendor's pages
    submit_key: str = "tranNo"  # the name of the transNo in pullVideo's reply
    md5: str = "echo"  # "echo": as it was sent, "empty", or "filled" with the source's
    original_server_type: int = -1  # or 1
    command_without: str = "mirror"  # cmdStatus when there is no command: "mirror" of pullStatus, "null", or "absent"
    url_style: str = "relative"  # fileUrl: "relative", "absolute", "signed" (absolute), or "none"
    url_delay: float = 0.0  # vendor seconds from success to fileUrl
    url_lifetime: float = 3600.0  # real seconds, for "signed"
    missing_seconds: float = 0.0  # vendor seconds for which a new URL gives 404
    url_echo: str = "plain"  # fetchUrl as it was sent, "encoded", or "decoded"
    item_order: str = "asked"  # or "reversed" in every other reply
    dropped: list[str] = field(default_factory=list)  # fetch URLs that are accepted, but never listed
    marks: bool = True  # False: the words of MARKS have no meaning


@dataclass
class PullItem:
    fetch_url: str
    file_name: str
    md5: str  # as sent
    video_id: str
    folder: str  # relative path of its files
    done: float  # vendor seconds after the creation
    command_done: float
    transcoded: bool
    marks: bool

    def marked(self, mark: str) -> bool:
        return self.marks and mark in urlsplit(self.fetch_url).path


@dataclass
class PullTask:
    task_id: str
    trans_no: str
    created: float  # vendor seconds
    items: list[PullItem]
    queries: int = 0


class MediaDomain(DownloadArea):
    """The customer's playback domain. With signed URLs, files need a signature; segments and keys do not."""

    def _denied(self, request: Request) -> str | None:
        return None if request.path.endswith((".ts", ".m3u8", ".bin")) else super()._denied(request)


def _files(*names: str) -> dict[str, Any]:
    return {"files": [{"fetch_url": f"https://source.example.com/{name}.mp4"} for name in names]}


class CloudVSimulator(Simulator):
    """`tasks` holds PullTask objects. A file's ref is `<fetchUrl>#<clarity>`, with `/<path>` added for parts of HLS."""

    vendor = "cloudv"
    settings_class = CloudVSettings
    download_style = "open"
    stage = Stage(
        one=Scene(_files("a")),
        three=Scene(_files("a", "b", "c"), {"stagger": 600.0}),
        partly=Scene(_files("a", "fail-fetch"), code="VENDOR_FILE_FAILED"),
        odd=Scene(_files("odd-status"), code="VENDOR_STATUS_UNKNOWN"),
        empty=Scene(_files("a"), {"dropped": ["https://source.example.com/a.mp4"]}, "NO_FILES"),
        adopt=lambda job: {"task_id": job["vendor_refs"]["task_id"]},
        unknown={"trans_no": "feedbeef"},
        unknown_id="feedbeef",
        trigger="pullVideo",
        look="pullVideoQuery",
        lost={Lost.FOUND: {}},
        many=Scene(_files(*(f"clip-{n}" for n in range(50))), {"stagger": 1.0}, files=50),
        mended={"marks": False},
        repeated=Fault(Kind.REFUSE, code=str(PARAMETER_ERROR), message="transNo重复"),
        later=[
            Fault(Kind.REFUSE, code="429", message="请求过于频繁"),
            Fault(Kind.REFUSE, code=str(PARAMETER_ERROR), message="系统繁忙，请稍后重试"),
            Fault(Kind.REFUSE, code="503", message="系统繁忙"),
        ],
        assumed={
            "auth": ["cnc"],
            "always_transcode": [True],
            "reused_trans_no": ["same"],
            "unknown_task": ["null", "http"],
            "auth_reply": ["401", "200"],
            "list_delay": [8.0],
            "spelling": ["numbers", "strings"],
            "submit_key": ["transNo"],
            "md5": ["empty", "filled"],
            "original_server_type": [1],
            "command_without": ["null", "absent"],
            "media_base": [False],
            "url_style": ["absolute", "signed", "none"],
            "url_delay": [60.0],
            "url_lifetime": [120.0],
            "missing_seconds": [60.0],
            "url_echo": ["encoded", "decoded"],
            "item_order": ["reversed"],
            "rate_reply": ["403", "code"],
            "rate_hint": [60],
            "punish_seconds": [300.0],
        },
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        style = "auth_key" if self.settings.url_style == "signed" else "open"
        self.downloads: MediaDomain = MediaDomain(self.clock, style=style)
        self._rates: dict[str, Rate] = {}
        self._punished_until = 0.0

    def secret(self) -> dict[str, str]:
        keys = {"access_key": self.settings.access_key, "secret_key": self.settings.secret_key}
        base = {"media_base_url": f"{self.url}/media/"} if self.settings.media_base else {}
        return {"vendor": "cloudv", **keys, "endpoint": self.url, "auth": self.settings.auth, **base}

    def limit(self) -> tuple[int, float]:
        return self.settings.rate_limit, self.settings.rate_window

    def asked(self) -> list[str]:
        return [item.fetch_url for task in self.tasks for item in task.items]

    def source_md5(self, fetch_url: str) -> str:
        """MD5 of the video that a fetch URL stands for."""
        return self._source(fetch_url).md5

    def _source(self, fetch_url: str) -> Clip:
        return clip(self.settings.media, unique=fetch_url)

    # --- the protocol ---

    def operation(self, request: Request) -> str:
        return PATHS.get(request.path, "unknown")

    def answer(self, operation: str, request: Request) -> Response:
        if operation == "unknown" or request.method not in ("GET", "POST"):
            return reply(404, "not found", status=404)
        refusal = self._unauthorized(request)
        if refusal:
            return self._auth_refusal(refusal)
        if self._too_many(operation):
            return self._throttled()
        if not self.settings.permission:
            return reply(NO_PERMISSION, "用户没有权限")
        parameters = parameters_of(request)
        if parameters is None:
            return reply(PARAMETER_ERROR, "参数错误")
        if operation == "pullVideo":
            return self._pull_video(parameters)
        return self._query(parameters) if operation == "pullVideoQuery" else self._publish_code(parameters)

    def fault_response(self, fault: Fault) -> Response:
        if fault.kind is Kind.REFUSE:
            return reply(int(fault.code or PARAMETER_ERROR), fault.message or "参数错误", status=fault.status or 200)
        status, words = (429, "请求过于频繁") if fault.kind is Kind.THROTTLE else (500, "系统错误")
        headers = {} if fault.retry_after is None else {"Retry-After": str(int(fault.retry_after))}
        return reply(fault.status or status, fault.message or words, status=fault.status or status, headers=headers)

    def _auth_refusal(self, message: str) -> Response:
        if self.settings.auth_reply == "200":
            return reply(NO_PERMISSION, message)
        return reply(int(self.settings.auth_reply), message, status=int(self.settings.auth_reply))

    def _unauthorized(self, request: Request) -> str | None:
        """Why the signature of the request is not valid, or None."""
        scheme, _, rest = (request.headers.get("Authorization") or "").partition(" ")
        generation = next((g for g in GENERATIONS if g.label == scheme), None)
        if generation is None:
            return "authorization missing"
        if generation is GENERATIONS[1] and request.headers.get("x-cnc-auth-method") != "AKSK":
            return "x-cnc-auth-method missing"
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        keys = {fields.get("Credential", "").partition("/")[0], request.headers.get(generation.access_key)}
        if keys != {self.settings.access_key}:
            return "access key unknown"
        timestamp = request.headers.get(generation.timestamp) or ""
        if not timestamp.isdigit() or abs(int(timestamp) - self.clock.wall()) > self.settings.clock_window:
            return "timestamp expired"
        names = fields.get("SignedHeaders", "").split(";")
        if not {"content-type", "host"} <= set(names) or names != sorted(names):
            return "signed headers incomplete"
        expected = self._signature(generation, timestamp, names, request)
        return None if hmac.compare_digest(fields.get("Signature", "").encode(), expected.encode()) else "signature"

    def _signature(self, generation: Generation, timestamp: str, names: list[str], request: Request) -> str:
        query = unquote(request.target.partition("?")[2]) if request.method == "GET" else ""
        headers = "".join(f"{name}:{(request.headers.get(name) or '').strip().lower()}\n" for name in names)
        digest = hashlib.sha256(request.body).hexdigest()
        canonical = "\n".join([request.method, request.raw_path, query, headers, ";".join(names), digest])
        text = f"{generation.label}\n{timestamp}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return hmac.new(self.settings.secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()

    def _too_many(self, operation: str) -> bool:
        limits = {"": self.settings.rate_limit, operation: self.settings.operation_limit}
        now, allowed = self.now(), True
        for name, limit in limits.items():
            if limit:
                rate = self._rates.setdefault(name, Rate(limit, self.settings.rate_window))
                rate.limit, rate.window = limit, self.settings.rate_window
                allowed = rate.allows(now) and allowed
        if not allowed:
            self._punished_until = now + self.settings.punish_seconds
        return not allowed or now < self._punished_until

    def _throttled(self) -> Response:
        headers = {"Retry-After": str(self.settings.rate_hint)} if self.settings.rate_hint else {}
        if self.settings.rate_reply == "code":
            return reply(429, "请求过于频繁", headers=headers)
        status = int(self.settings.rate_reply)
        return reply(status, "请求过于频繁", status=status, headers=headers)

    # --- the operations ---

    def _pull_video(self, parameters: dict[str, Any]) -> Response:
        files = decode_file_list(parameters.get("fileList"))
        trans_no = str(parameters.get("transNo") or "") or uuid.uuid4().hex
        if not files or len(files) > self.settings.max_files or len(trans_no) > 32:
            return reply(PARAMETER_ERROR, "参数错误")
        earlier = next((task for task in self.tasks if task.trans_no == trans_no), None)
        if earlier and self.settings.reused_trans_no == "reject":
            return reply(PARAMETER_ERROR, "transNo重复")
        task = earlier or self._start(trans_no, files, parameters)
        return reply(200, data={self.settings.submit_key: task.trans_no, "taskId": task.task_id})

    def _start(self, trans_no: str, files: list[dict[str, Any]], parameters: dict[str, Any]) -> PullTask:
        command = bool(parameters.get("cmd") or parameters.get("workflowId"))
        task = PullTask(uuid.uuid4().hex, trans_no, self.now(), [])
        for position, file in enumerate(files):
            url, video_id = str(file["fetchUrl"]), uuid.uuid4().hex
            done = self.settings.pull_seconds + position * self.settings.stagger
            item = PullItem(
                fetch_url=url,
                file_name=str(file.get("fileName") or urlsplit(url).path.rpartition("/")[2]),
                md5=str(file.get("md5") or ""),
                video_id=video_id,
                folder=f"pullvideo/202611/{video_id}",
                done=done,
                command_done=done + (self.settings.command_seconds if command else 0.0),
                transcoded=command or self.settings.always_transcode,
                marks=self.settings.marks,
            )
            task.items.append(item)
            self._publish(item)
        self.tasks.append(task)
        return task

    def _query(self, parameters: dict[str, Any]) -> Response:
        task = self._find(parameters)
        if task is None or self.now() < task.created + self.settings.list_delay:
            if self.settings.unknown_task == "null":
                return reply(200, data=None)
            return reply(PARAMETER_ERROR, "任务不存在", status=404 if self.settings.unknown_task == "http" else 200)
        task.queries += 1
        listed = [item for item in task.items if item.fetch_url not in self.settings.dropped]
        if self.settings.item_order == "reversed" and task.queries % 2 == 0:
            listed.reverse()
        items = [self._item(task, item) for item in listed]
        running = [i for i in items if PROCESSING in (i["pullStatus"], i.get("cmdStatus"))]
        data = {
            "taskId": task.task_id,
            "transNo": task.trans_no,
            "timestamp": int(self.clock.wall() * 1000),
            "status": 1 if running else 2,
            "items": items,
        }
        return reply(200, data=spelled(data, self.settings.spelling))

    def _find(self, parameters: dict[str, Any]) -> PullTask | None:
        """The task of a taskId or, without one, of a transNo."""
        for name, attribute in (("taskId", "task_id"), ("transNo", "trans_no")):
            if parameters.get(name):
                return next((t for t in self.tasks if getattr(t, attribute) == str(parameters[name])), None)
        return None

    def _item(self, task: PullTask, item: PullItem) -> dict[str, Any]:
        since = self.now() - task.created
        pull, command = self._statuses(item, since)
        finished = pull == SUCCESS and not item.marked("no-info")
        value = {
            "fileName": item.file_name,
            "fetchUrl": self._echo(item.fetch_url),
            "md5": self._shown_md5(item),
            "pullStatus": pull,
            "cmdStatus": command,
            "videoInfo": self._video_info(item, command, since) if finished else None,
        }
        if command is None and self.settings.command_without == "absent":
            del value["cmdStatus"]
        return value

    def _statuses(self, item: PullItem, since: float) -> tuple[int, int | None]:
        if item.marked("odd-status"):
            return 9, PROCESSING if item.transcoded else 9
        pull = PROCESSING if since < item.done else SUCCESS
        wrong = item.md5 and item.md5.lower() != self.source_md5(item.fetch_url)
        if pull == SUCCESS and (item.marked("fail-fetch") or wrong):
            pull = FAILURE
        if not item.transcoded:
            return pull, pull if self.settings.command_without == "mirror" else None
        if pull == FAILURE or (since >= item.command_done and item.marked("fail-command")):
            return pull, FAILURE
        return pull, SUCCESS if since >= item.command_done else PROCESSING

    def _shown_md5(self, item: PullItem) -> str:
        if self.settings.md5 == "filled":
            return self.source_md5(item.fetch_url)
        return item.md5 if self.settings.md5 == "echo" else ""

    def _video_info(self, item: PullItem, command: int | None, since: float) -> dict[str, Any]:
        files = [self._file(item, _original(item), 1, self.settings.original_server_type, 412, "360:1080")]
        files[0]["fileSize"] = self._source(item.fetch_url).size
        if item.transcoded and command == SUCCESS:
            for clarity, (path, _, bitrate, resolution) in LADDER.items():
                files.append(self._file(item, f"{clarity}/{path}", clarity, 0, bitrate, resolution))
        if self.settings.url_style == "none" or since < item.done + self.settings.url_delay:
            for file in files:
                file["fileUrl"] = None if self.settings.url_style == "none" else ""
        return {"videoId": item.video_id, "duration": 6.0, "videoFileList": files}

    def _file(
        self, item: PullItem, name: str, clarity: int, server_type: int, bitrate: int, resolution: str
    ) -> dict[str, Any]:
        return {
            "bitrate": bitrate,
            "clarity": clarity,
            "serverType": server_type,
            "resolution": resolution,
            "fileSize": 929,
            "fileUrl": self._file_url(f"{item.folder}/{name}"),
        }

    def _file_url(self, path: str) -> str:
        if self.settings.url_style == "relative":
            return path
        return self.downloads.url(self.url, f"/media/{path}", self.settings.url_lifetime)

    def _publish_code(self, parameters: dict[str, Any]) -> Response:
        if str(parameters.get("codeType", "")) not in ("1", "2", "3", "4"):
            return reply(1532, "codeType error")
        video_id = str(parameters.get("videoId") or "")
        if not video_id:
            return reply(1503, "videoId cannot be empty")
        found = next(((t, i) for t in self.tasks for i in t.items if i.video_id == video_id), None)
        if found is None or self.now() < found[0].created + found[1].done + self.settings.url_delay:
            return reply(1502, "Video does not exist!")
        item = found[1]
        urls = {"urlType": "PC", "originUrl": self._public(f"{item.folder}/{_original(item)}")}
        if item.transcoded:
            urls |= {name: self._public(f"{item.folder}/{c}/{path}") for c, (path, name, *_) in LADDER.items()}
        return reply(200, data={"videoId": video_id, "encrypt": 0, "videoUrl": [{"urlType": "mobile"}, urls]})

    def _echo(self, url: str) -> str:
        match self.settings.url_echo:
            case "encoded":
                return quote(url, safe="")
            case "decoded":
                return unquote(url)
        return url

    def _public(self, path: str) -> str:
        return self.downloads.url(self.url, f"/media/{path}", self.settings.url_lifetime)

    # --- the files ---

    def _publish(self, item: PullItem) -> None:
        delay = item.done + self.settings.missing_seconds
        name = f"{item.folder}/{_original(item)}"
        self.downloads.publish(
            f"{item.fetch_url}#1", f"/media/{name}", self._source(item.fetch_url), visible_after=delay
        )
        if not item.transcoded:
            return
        for clarity, (playlist, *_) in LADDER.items():
            home = playlist.rpartition("/")[0]
            files = ladder(unique=f"{item.fetch_url} {clarity}", encrypted=item.marked("encrypted"))
            for path, part in files.items():
                if path.startswith(home) and not (item.marked("lost-segment") and path.endswith("seg001.ts")):
                    ref = f"{item.fetch_url}#{clarity}/{path}"
                    self.downloads.publish(
                        ref,
                        f"/media/{item.folder}/{clarity}/{path}",
                        self._spoiled(item, path, part),
                        visible_after=item.command_done + self.settings.missing_seconds,
                    )

    def _spoiled(self, item: PullItem, path: str, part: Clip) -> Clip:
        """A part of a rendition. For a marked item, it holds what must not be copied."""
        if item.marked("pixel-segment") and path.endswith("seg001.ts"):
            return pixel()
        if not path.endswith("index.m3u8"):
            return part
        lines = b"".join(part.read()).decode()
        if item.marked("drm"):
            return _text_clip(lines.replace("#EXTINF", f"{_DRM}\n#EXTINF", 1))
        if item.marked("live"):
            return _text_clip(lines.replace("#EXT-X-ENDLIST\n", "").replace("#EXT-X-PLAYLIST-TYPE:VOD\n", ""))
        return part


def _text_clip(text: str) -> Clip:
    """A clip that has only a tail."""
    return Clip(Path(os.devnull), text.encode(), "application/vnd.apple.mpegurl")


def _original(item: PullItem) -> str:
    """The original's name on the media domain, which the vendor chooses."""
    suffix = re.search(r"\.[A-Za-z0-9]{1,5}$", item.file_name)
    return f"{item.video_id}-original{suffix.group() if suffix else '.mp4'}"


if __name__ == "__main__":
    main(CloudVSimulator)
