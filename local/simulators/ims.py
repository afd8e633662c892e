"""Alibaba IMS (ICE): UploadMediaByURL, GetUrlUploadInfos, GetMediaInfo, behind Alibaba's RPC gateway.

Run by itself: `python -m local.simulators.ims --port 9002 --time-scale 0.1`.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from local.simulators.alibaba import ASSUMED, LATER, NONCE_USED, AlibabaGateway, AlibabaSettings, Call, GatewayError
from local.simulators.base import main
from local.simulators.media import clip
from local.simulators.stage import Lost, Scene, Stage

#: The statuses of a job, with their start as a share of `work_seconds`.
STAGES = (
    (0.0, "PENDING"),
    (0.1, "PROCESSING"),
    (0.2, "DOWNLOADING"),
    (0.6, "DOWNLOAD_SUCCESS"),
    (0.7, "UPLOADING"),
    (0.9, "UPLOAD_SUCCESS"),
)
FAILURES = {
    "DOWNLOAD_FAIL": ("URLInvalidError", "The source could not be downloaded."),
    "UPLOAD_FAIL": ("InternalError", "The file could not be stored."),
}
FINAL = ("SUCCESS", "Normal")


@dataclass
class ImsSettings(AlibabaSettings):
    """The defaults are the documented values. Fields below `assumptions` are not documented, so tests vary them."""

    max_urls: int = 20  # in one submission
    max_queried: int = 10  # ids or URLs in one query
    max_records: int = 100  # in one reply
    # the progress of an upload, in vendor seconds after its submission
    work_seconds: float = 20.0
    stagger: float = 4.0  # each further URL of a call is finished so much later
    failing: dict[str, str] = field(default_factory=dict)  # by URL: DOWNLOAD_FAIL or UPLOAD_FAIL
    scripts: dict[str, list[Any]] = field(default_factory=dict)  # by URL: [[seconds, status], …] instead of the above
    media: str = "small"  # size of the videos: small, medium, large
    # assumptions
    final_status: str = "SUCCESS"  # or "Normal", as in the page's sample
    success_error: str = "empty"  # of an upload that succeeded: "empty", or "sample": 200 Success
    time_format: str = "iso"  # of CompleteTime: "iso", or "space" as in the sample
    non_exists: str = "plain"  # or "quoted" as in the sample: ["['id', 'id']"]
    user_data_echo: str = "as_sent"  # or "empty"
    url_echo: str = "plain"  # or "encoded", "decoded", or "newline" as in the sample
    url_match: str = "exact"  # a query by URL finds exactly that URL, or "decoded": all that are equal when decoded
    kept_days: float = 365.0  # how long an upload is listed
    listed_after: float = 0.0  # vendor seconds until a new job can be queried
    media_delay: float = 3.0  # vendor seconds from success until the file's information exists
    media_before: str = "empty"  # the answer until then: "empty" list, "no_url", or "error"
    transcoded: bool = False  # a rendition is listed before the original
    missing_seconds: float = 0.0  # vendor seconds for which a file's URL gives 404
    url_lifetime: float = 3600.0  # real seconds
    rates: dict[str, int] = field(
        default_factory=lambda: {"UploadMediaByURL": 50, "GetUrlUploadInfos": 50, "GetMediaInfo": 50}
    )


@dataclass
class UploadJob:
    """The upload of one URL. Times are vendor seconds, except `created_wall`."""

    job_id: str
    media_id: str
    url: str
    user_data: str
    title: str
    created: float
    created_wall: float
    script: list[tuple[float, str]]  # when each status begins, after the creation

    @property
    def done(self) -> float | None:
        """Seconds from the creation to success."""
        return next((seconds for seconds, status in self.script if status in FINAL), None)


MANY = [f"https://media.example.com/{number}.mp4" for number in range(23)]
A, B, C = (f"https://media.example.com/{name}.mp4" for name in "abc")


class ImsSimulator(AlibabaGateway):
    """`tasks` holds UploadJob objects. A file's ref is its source URL; `expected` also has job and media ids."""

    vendor = "ims"
    version = "2020-11-09"
    settings_class = ImsSettings
    stage = Stage(
        one=Scene({"upload_urls": [A]}),
        three=Scene({"upload_urls": [A, B, C]}, {"stagger": 600.0}),
        partly=Scene({"upload_urls": [A, B]}, {"failing": {B: "DOWNLOAD_FAIL"}}, "VENDOR_FILE_FAILED"),
        odd=Scene({"upload_urls": [A]}, {"scripts": {A: [[0, "PENDING"], [5, "THAWING"]]}}, "VENDOR_STATUS_UNKNOWN"),
        empty=Scene({"upload_urls": [A]}, {"listed_after": 1e9}, "VENDOR_TASK_NOT_FOUND"),
        adopt=lambda job: {"job_ids": [entry["job_id"] for entry in job["vendor_refs"]["jobs"]]},
        unknown={"job_ids": ["feedbeef"]},
        unknown_id="feedbeef",
        trigger="UploadMediaByURL",
        look="GetUrlUploadInfos",
        lost={Lost.FOUND: {}},
        many=Scene({"upload_urls": MANY}, {"stagger": 2.0}, files=len(MANY)),
        mended={"failing": {}},
        repeated=NONCE_USED,
        later=LATER,
        assumed={
            **ASSUMED,
            "final_status": ["Normal"],
            "success_error": ["sample"],
            "time_format": ["space"],
            "non_exists": ["quoted"],
            "user_data_echo": ["empty"],
            "url_echo": ["encoded", "decoded", "newline"],
            "url_match": ["decoded"],
            "listed_after": [8.0],
            "kept_days": [30.0],
            "media_delay": [0.0, 60.0],
            "media_before": ["no_url", "error"],
            "transcoded": [True],
            "missing_seconds": [60.0],
            "url_lifetime": [120.0],
        },
    )

    @property
    def expected(self) -> dict[str, dict[str, object]]:
        found = dict(self.downloads.expected)
        for job in self.tasks:
            if job.url in found:
                names = (job.job_id, job.media_id, job.url.partition("?")[0])
                found |= dict.fromkeys(names, found[job.url])
        return found

    def asked(self) -> list[str]:
        return [job.url for job in self.tasks]

    # --- operations ---

    def on_UploadMediaByURL(self, call: Call) -> dict[str, Any]:
        urls = _names(call.required("UploadURLs"))
        if len(urls) > self.settings.max_urls or not all(u.startswith(("http://", "https://")) for u in urls):
            raise _invalid("UploadURLs")
        metadata = _metadata(call.params.get("MediaMetaData", ""), urls)
        for url in urls:
            named = "." in urlsplit(url).path.rpartition("/")[2]
            if not named and not metadata.get(url, {}).get("FileExtension"):
                raise _invalid("UploadURLs")
        jobs = [
            self._submit(url, position, call.params.get("UserData", ""), metadata.get(url, {}))
            for position, url in enumerate(urls)
        ]
        return {
            "UploadJobs": [{"JobId": j.job_id, "SourceURL": self._echo(j.url), "MediaId": j.media_id} for j in jobs]
        }

    def on_GetUrlUploadInfos(self, call: Call) -> dict[str, Any]:
        by_id, by_url = call.params.get("JobIds", ""), call.params.get("UploadURLs", "")
        if not by_id and not by_url:
            raise GatewayError(400, "MissingParameter", "JobIds or UploadURLs is mandatory for this action.")
        names = [name.strip() for name in by_id.split(",") if name.strip()] if by_id else _names(by_url)
        if len(names) > self.settings.max_queried:
            raise _invalid("JobIds" if by_id else "UploadURLs")
        kept = self.settings.kept_days * 86_400
        listed = [j for j in self.tasks if self.settings.listed_after <= self.now() - j.created < kept]
        found: list[UploadJob] = []
        absent = []
        for name in dict.fromkeys(names):
            matching = [j for j in listed if (name == j.job_id if by_id else self._same(name, j.url))]
            found += matching
            if not matching:
                absent.append(name if by_id else self._echo(name))
        if absent and self.settings.non_exists == "quoted":
            absent = [str(absent)]
        infos = [self._info(job) for job in found[: self.settings.max_records]]
        return {"NonExists": absent, "URLUploadInfoList": infos}

    def on_GetMediaInfo(self, call: Call) -> dict[str, Any]:
        media_id, input_url = call.params.get("MediaId", ""), call.params.get("InputURL", "")
        if not media_id and not input_url:
            raise GatewayError(400, "MissingParameter", "MediaId or InputURL is mandatory for this action.")
        job = next((j for j in self.tasks if j.media_id == media_id or (not media_id and j.url == input_url)), None)
        if job is None:
            raise self._no_media()
        since = self.now() - job.created
        registered = job.done is not None and since >= job.done + self.settings.media_delay
        if not registered and self.settings.media_before == "error":
            raise self._no_media()
        files = self._files(job) if registered else []
        if not registered and self.settings.media_before == "no_url":
            files = [{"FileBasicInfo": {"FileName": _file_name(job.url), "FileType": "source_file", "FileUrl": ""}}]
        basic = {
            "MediaId": job.media_id,
            "InputURL": job.url,
            "MediaType": "video",
            "Title": job.title,
            "Source": "general",
            "Status": "Normal" if registered else "Init",
            "UserData": job.user_data,
            "CreateTime": _iso(job.created_wall),
        }
        return {"MediaInfo": {"MediaId": job.media_id, "MediaBasicInfo": basic, "FileInfoList": files}}

    # --- the progress of an upload ---

    def _submit(self, url: str, position: int, user_data: str, metadata: dict[str, Any]) -> UploadJob:
        """A repeated URL gives a new job and new media."""
        job = UploadJob(
            job_id=uuid.uuid4().hex,
            media_id=uuid.uuid4().hex,
            url=url,
            user_data=user_data,
            title=metadata.get("Title", _file_name(url)),
            created=self.now(),
            created_wall=self.clock.wall(),
            script=self._script(url, position),
        )
        self.tasks.append(job)
        if job.done is not None:
            visible = job.done + self.settings.missing_seconds
            self.downloads.publish(url, _path(job), clip(self.settings.media, unique=url), visible_after=visible)
        return job

    def _script(self, url: str, position: int) -> list[tuple[float, str]]:
        if url in self.settings.scripts:
            return [(float(seconds), str(status)) for seconds, status in self.settings.scripts[url]]
        total = self.settings.work_seconds + position * self.settings.stagger
        end = self.settings.failing.get(url, self.settings.final_status)
        stages = STAGES[:3] if end == "DOWNLOAD_FAIL" else STAGES
        return [*((share * total, status) for share, status in stages), (total, end)]

    def _info(self, job: UploadJob) -> dict[str, Any]:
        since = self.now() - job.created
        began, status = max((step for step in job.script if step[0] <= since), default=(0.0, "PENDING"))
        over = status in FINAL or status in FAILURES
        code, message = FAILURES.get(status, ("", ""))
        if status in FINAL and self.settings.success_error == "sample":
            code, message = "200", "Success"
        completed = job.created_wall + began * self.clock.scale
        size = clip(self.settings.media, unique=job.url).size if status in FINAL else 0
        return {
            "JobId": job.job_id,
            "UploadURL": self._echo(job.url),
            "MediaId": job.media_id,
            "Status": status,
            "ErrorCode": code,
            "ErrorMessage": message,
            "FileSize": str(size),
            "CreationTime": _iso(job.created_wall),
            "CompleteTime": _iso(completed, self.settings.time_format) if over else "",
            "UserData": job.user_data if self.settings.user_data_echo == "as_sent" else "",
        }

    def _files(self, job: UploadJob) -> list[dict[str, Any]]:
        video = clip(self.settings.media, unique=job.url)
        original = {
            "FileName": _file_name(job.url),
            "FileStatus": "Normal",
            "FileType": "source_file",
            "FileSize": str(video.size),
            "FormatName": "mp4",
            "Region": "cn-shanghai",
            "Duration": "6.0",
            "FileUrl": self.downloads.url(self.url, _path(job), self.settings.url_lifetime),
        }
        rendition = {**original, "FileType": "transcode_file", "FileUrl": f"{self.url}/rendition.mp4?Expires=1"}
        kinds = [rendition, original] if self.settings.transcoded else [original]
        return [{"FileBasicInfo": entry} for entry in kinds]

    def _same(self, one: str, other: str) -> bool:
        return one == other or (self.settings.url_match == "decoded" and unquote(one) == unquote(other))

    def _echo(self, url: str) -> str:
        if self.settings.url_echo == "encoded":
            return quote(url, safe="")
        if self.settings.url_echo == "decoded":
            return unquote(url)
        return f"{url}\n" if self.settings.url_echo == "newline" else url

    def _no_media(self) -> GatewayError:
        return GatewayError(404, "InvalidMedia.NotFound", "The specified media does not exist.")


def _names(joined: str) -> list[str]:
    """URLs joined with commas, each percent-encoded."""
    return [unquote(name.strip()) for name in joined.split(",") if name.strip()]


def _metadata(text: str, urls: list[str]) -> dict[str, dict[str, Any]]:
    """MediaMetaData by source URL."""
    try:
        entries = json.loads(text) if text else []
        found = {entry["SourceURL"]: entry for entry in entries if 0 < len(entry["Title"].encode()) <= 128}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _invalid("MediaMetaData") from None
    if len(found) != len(entries) or not found.keys() <= set(urls):
        raise _invalid("MediaMetaData")
    return found


def _invalid(name: str) -> GatewayError:
    return GatewayError(400, f"InvalidParameter.{name}", f"Specified parameter {name} is not valid.")


def _iso(epoch: float, style: str = "iso") -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ" if style == "iso" else "%Y-%m-%d %H:%M:%S", time.gmtime(epoch))


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _path(job: UploadJob) -> str:
    return f"/sv/{job.media_id}/{job.media_id}.mp4"


if __name__ == "__main__":
    main(ImsSimulator)
