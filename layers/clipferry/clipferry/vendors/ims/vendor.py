"""Alibaba IMS (ICE): fetching videos by URL into its media library, and the originals from there.

One upload job and one media for each URL, both named when submitted, 20 URLs a call. An upload's success is not yet
a file: the original's URL comes from GetMediaInfo, some seconds later. Knows the three operations; knows nothing of
signatures (`alibaba`), nor of jobs, waiting or storage.

Pages: IMS "UploadMediaByURL", "GetUrlUploadInfos", "GetMediaInfo" (version 2020-11-09).
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

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
from clipferry.vendors.ims import schemas
from clipferry.vendors.ims.replies import Listing, Record, Source, best, same_url
from clipferry.vendors.tally import tally

VERSION = "2020-11-09"
REGIONS = ("cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-hangzhou", "ap-southeast-1", "us-west-1")

SUBMIT_BATCH = 20  # URLs in one UploadMediaByURL
QUERY_BATCH = 10  # job ids or URLs in one GetUrlUploadInfos
MEDIA_LOOKUPS = 25  # GetMediaInfo calls in one look
FIRST_LOOK = 5.0  # seconds
RECORDS_MAX = 100  # in one GetUrlUploadInfos reply
VISIBLE_WITHIN = 15.0  # seconds until an upload that IMS does not list does not exist
NAMED_WITHIN = 60.0  # … and one that IMS itself has named
LISTED_WITHIN = 600.0  # seconds until a job that is neither listed nor said to be absent is given up
REGISTERED_WITHIN = timedelta(minutes=10)  # after an upload's completion, for its media to be known
CLOCK_SKEW = timedelta(minutes=2)  # between our clock and the one that writes CreationTime

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One URL or job id of a task: which it is, and the upload job that stands for it, if there is one."""

    index: int  # in the request's URLs, or in what is adopted
    job_id: str = ""
    media_id: str = ""
    refused: str = ""  # why the vendor took none of this URL's chunk
    refused_code: str = ""

    @classmethod
    def parse(cls, ref: Mapping[str, Any]) -> Entry:
        return cls(**{name: ref[name] for name in cls.__dataclass_fields__ if name in ref})

    def as_ref(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name == "index" or value}


class Ims:
    """Uploads by URL of Alibaba IMS, for an AccessKey and a region."""

    name: ClassVar[str] = "ims"
    title: ClassVar[str] = "Alibaba Intelligent Media Services: upload by URL"
    secret_keys: ClassVar[Sequence[str]] = ("access_key_id", "access_key_secret")
    can_abort: ClassVar[bool] = False
    spent_codes: ClassVar[frozenset[str]] = frozenset(
        {"SOURCE_GONE", "VENDOR_FILE_FAILED", "VENDOR_FILE_MISSING", "VENDOR_FILE_REFUSED", "VENDOR_TASK_NOT_FOUND"}
    )
    api_hosts: ClassVar[Sequence[str]] = tuple(f"ice.{region}.aliyuncs.com" for region in REGIONS)
    download_hosts: ClassVar[Sequence[str]] = ("aliyuncs.com",)
    default_deadline: ClassVar[int] = 2 * 86_400
    trusted_hosts: Sequence[str] = ()
    rates: ClassVar[Mapping[str, Rate]] = {ANY: Rate(50, 1.0)}  # none published; 50 is VOD's for CancelUrlUploadJobs
    limits: ClassVar[Mapping[str, Any]] = {
        "upload_urls": f"{schemas.URLS_PER_JOB} a job, sent {SUBMIT_BATCH} a call",
        "query": f"{QUERY_BATCH} uploads a call",
        "regions": "uploads by URL work in cn-shanghai, cn-beijing and cn-shenzhen",
        "calls": "no rate is published; 50 a second are assumed",
    }
    request_schema: ClassVar[Mapping[str, Any]] = schemas.REQUEST
    adopt_schema: ClassVar[Mapping[str, Any]] = schemas.ADOPT

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        region = lenient.text(account.secret.get("region")) or REGIONS[0]
        endpoint = f"https://ice.{region}.aliyuncs.com"
        self._rpc = RpcClient(account, outbound, endpoint=endpoint, hosts=self.api_hosts)

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline

    # --- the contract ---

    def trigger(self, task: Task) -> Submitted:
        """Submit the next 20 URLs that have no upload job yet."""
        schemas.check(task.request or {})
        entries, urls = _entries(task), _urls(task)
        chunk = _open(task, entries)[:SUBMIT_BATCH]
        try:
            jobs = self._submit(task, [urls[index] for index in chunk]) if chunk else []
        except VendorRefused as refusal:
            if not entries:
                raise
            # Earlier chunks are on their way; a refusal of this one must not lose them.
            said = {"refused": refusal.message, "refused_code": refusal.code or ""}
            return _submitted(task, [*entries, *(Entry(index, **said) for index in chunk)])
        added = [Entry(index, *job) for index, job in zip(chunk, jobs, strict=True) if job]
        if chunk and not added:
            raise VendorUnavailable("IMS accepted the URLs but named no upload jobs.")
        return _submitted(task, [*entries, *added])

    def find(self, task: Task) -> Submitted | None:
        """The uploads that arrived, by URL. What IMS says not to know is left to be submitted."""
        entries, urls = _entries(task), _urls(task)
        wanted = _open(task, entries)
        found: list[Entry] = []
        for index, (records, absent) in zip(wanted, self._by_url([urls[i] for i in wanted]), strict=True):
            record = best(r for r in records if _ours(task, r))
            if record:
                found.append(Entry(index, record.job_id, record.media_id))
            elif task.elapsed < VISIBLE_WITHIN or not (absent or records):
                waiting = task.elapsed < LISTED_WITHIN
                raise TriggerUncertain(
                    "IMS does not show which uploads have arrived.", look_again=VISIBLE_WITHIN if waiting else None
                )
        return _submitted(task, [*entries, *found]) if entries or found else None

    def adopt(self, task: Task) -> Submitted:
        """Job ids are taken as they are. URLs cost a call for each ten: the newest success of each, else the newest."""
        adopt = task.adopt or {}
        if "job_ids" in adopt:
            return _submitted(task, [Entry(index, job_id) for index, job_id in enumerate(_named(task))], first_look=0.0)
        urls = _urls(task)
        entries = []
        for index, (records, _) in enumerate(self._by_url(urls)):
            record = best(records)
            entries.append(Entry(index, record.job_id, record.media_id) if record else Entry(index))
        if not any(entry.job_id for entry in entries):
            raise VendorRefused(f"IMS knows no upload of {_few(_named(task))}.", kind="VENDOR_TASK_NOT_FOUND")
        return _submitted(task, entries, first_look=0.0)

    def poll(self, task: Task) -> Look:
        """Ask about what is neither ready nor settled; a limit met on the way ends the look, not what it has seen."""
        names = _named(task)
        past = {file.ref for file in task.files if file.ready or file.settled}
        entries = [entry for entry in _entries(task) if names[entry.index] not in past]
        seen: list[Sighting] = []
        limit = None
        try:
            for sighting in self._sightings(task, [entry for entry in entries if entry.job_id]):
                seen.append(sighting)
        except (VendorThrottled, VendorUnavailable) as error:
            if not seen:
                raise
            logger.warning("a look ended early: %s", error.message)
            limit = error if isinstance(error, VendorThrottled) else None
        seen += [_without_upload(task, entry) for entry in entries if not entry.job_id]
        unknown = [s for s in seen if s.code == "VENDOR_TASK_NOT_FOUND"]
        if unknown and len(unknown) == len(names):
            message = f"IMS knows no upload {_few(names)}."
            return Look(LookStatus.FAILED, code="VENDOR_TASK_NOT_FOUND", message=message)
        return tally(seen, done=len(past), unseen=len(entries) - len(seen), limit=limit)

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        source = self._source(str(file.detail.get("media_id", "")))
        return Remote(source.url, size=source.size) if source else None

    def abort(self, task: Task) -> bool:
        """False: IMS has no operation that stops an upload."""
        return False

    # --- the operations ---

    def _submit(self, task: Task, urls: Sequence[str]) -> list[tuple[str, str] | None]:
        """UploadMediaByURL: job id and media id for each URL, None for one that the reply leaves out."""
        metadata = [m for m in (task.request or {}).get("media_metadata", ()) if m["SourceURL"].strip() in urls]
        reply = self._rpc.call(
            "UploadMediaByURL",
            VERSION,
            {
                "UploadURLs": _joined(urls),
                "UserData": _user_data(task),
                "MediaMetaData": _compact(metadata) if metadata else None,
            },
        )
        jobs = [job for job in lenient.entries(reply.get("UploadJobs")) if lenient.text(job.get("JobId"))]
        in_order = len(jobs) == len(urls)
        exact = {lenient.text(job.get("SourceURL")): job for job in jobs}
        found: list[tuple[str, str] | None] = []
        for position, url in enumerate(urls):
            job = exact.get(url) or next((j for name, j in exact.items() if same_url(url, name)), None)
            job = job or (jobs[position] if in_order else None)
            found.append((lenient.text(job.get("JobId")), lenient.text(job.get("MediaId"))) if job else None)
        return found

    def _by_url(self, urls: Sequence[str]) -> Iterator[tuple[list[Record], bool]]:
        """For each URL its records, and whether IMS says that there are none."""
        for batch in _batches(urls, QUERY_BATCH):
            listing = self._infos("UploadURLs", batch)
            for url in batch:
                full = len(listing.records) >= RECORDS_MAX  # one URL's records may have crowded out another's
                unclear = full or not (listing.of(url) or listing.lacks(url))
                own = self._infos("UploadURLs", [url]) if unclear and len(batch) > 1 else listing
                yield own.of(url), own.lacks(url)

    def _infos(self, parameter: str, names: Sequence[str]) -> Listing:
        return Listing.parse(self._rpc.call("GetUrlUploadInfos", VERSION, {parameter: _joined(names)}))

    def _source(self, media_id: str) -> Source | None:
        return Source.parse(self._rpc.call("GetMediaInfo", VERSION, {"MediaId": media_id})) if media_id else None

    # --- a look ---

    def _sightings(self, task: Task, entries: Sequence[Entry]) -> Iterator[Sighting]:
        """First what needs no more calls, then the uploads that succeeded, newest first."""
        uploaded: list[tuple[Entry, Record]] = []
        for batch in _batches(entries, QUERY_BATCH):
            listing = self._infos("JobIds", [entry.job_id for entry in batch])
            records = {record.job_id: record for record in listing.records}
            for entry in batch:
                record = records.get(entry.job_id)
                if record is None:
                    yield _unlisted(task, entry, listing)
                elif record.status is LookStatus.READY:
                    uploaded.append((entry, record))
                else:
                    yield _sighting(task, entry, record)
        epoch = datetime.fromtimestamp(0, UTC)
        uploaded.sort(key=lambda pair: pair[1].completed_at or epoch, reverse=True)
        for position, (entry, record) in enumerate(uploaded):
            waiting = replace(_sighting(task, entry, record), status=LookStatus.RUNNING)
            yield self._with_source(task, waiting, record) if position < MEDIA_LOOKUPS else waiting

    def _with_source(self, task: Task, sighting: Sighting, record: Record) -> Sighting:
        """READY when the original has a URL."""
        try:
            source = self._source(sighting.detail["media_id"])
        except VendorRefused as refusal:  # registration is asynchronous: the media may not be known yet
            ago = datetime.now(UTC) - record.completed_at if record.completed_at else timedelta.max
            if task.elapsed < REGISTERED_WITHIN.total_seconds() or ago < REGISTERED_WITHIN:
                return sighting
            message = f"The upload succeeded, its media cannot be read: {refusal.message}"
            return _failed(sighting, "VENDOR_FILE_MISSING", message, refusal.code)
        if source is None:
            return sighting
        size = source.size or sighting.size
        return replace(sighting, status=LookStatus.READY, progress=100, size=size)


def _urls(task: Task) -> list[str]:
    """The URLs asked for or adopted, each once."""
    given = (task.request or task.adopt or {}).get("upload_urls", ())
    return list(dict.fromkeys(url.strip() for url in given))


def _named(task: Task) -> list[str]:
    """The files' refs by index: adopted job ids, else the URLs without what may be secret in them."""
    job_ids = (task.adopt or {}).get("job_ids")
    if job_ids:
        return list(dict.fromkeys(job_ids))
    bare = [_bare(url) for url in _urls(task)]
    times = Counter(bare)
    return [name if times[name] == 1 else f"{name}#{index}" for index, name in enumerate(bare)]


def _bare(url: str) -> str:
    """The URL without user information, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _entries(task: Task) -> list[Entry]:
    return [Entry.parse(ref) for ref in task.refs.get("jobs", ())]


def _open(task: Task, entries: Sequence[Entry]) -> list[int]:
    """Indexes of the URLs that still need an upload job."""
    taken = {entry.index for entry in entries}
    settled = {file.ref for file in task.files if file.settled}
    return [index for index, name in enumerate(_named(task)) if index not in taken and name not in settled]


def _submitted(task: Task, entries: Sequence[Entry], *, first_look: float = FIRST_LOOK) -> Submitted:
    complete = not _open(task, entries)
    return Submitted({"jobs": [entry.as_ref() for entry in entries]}, first_look=first_look, complete=complete)


def _sighting(task: Task, entry: Entry, record: Record) -> Sighting:
    sighting = Sighting(
        ref=_named(task)[entry.index],
        name=lenient.file_name(record.url) or entry.job_id,
        status=record.status,
        raw_status=record.raw_status,
        size=record.size,
        detail={"job_id": entry.job_id, "media_id": record.media_id or entry.media_id},
    )
    if record.status is not LookStatus.FAILED:
        return sighting
    message = record.error_message or f"IMS says {record.raw_status} and no more."
    return _failed(sighting, "VENDOR_FILE_FAILED", message, record.error_code or record.raw_status)


def _unlisted(task: Task, entry: Entry, listing: Listing) -> Sighting:
    """An upload job that the reply does not describe."""
    name = _named(task)[entry.index]
    waiting = Sighting(ref=name, name=name, status=LookStatus.RUNNING)
    grace = NAMED_WITHIN if task.adopt is None else VISIBLE_WITHIN
    if task.elapsed < (grace if entry.job_id in listing.absent else LISTED_WITHIN):
        return waiting
    return _failed(waiting, "VENDOR_TASK_NOT_FOUND", f"IMS knows no upload job {entry.job_id}.")


def _without_upload(task: Task, entry: Entry) -> Sighting:
    """A URL that no upload job stands for: its chunk was refused, or nobody ever uploaded it."""
    name = _named(task)[entry.index]
    waiting = Sighting(ref=name, name=name, status=LookStatus.RUNNING)
    if entry.refused:
        return _failed(waiting, "VENDOR_FILE_REFUSED", entry.refused, entry.refused_code or None)
    return _failed(waiting, "VENDOR_TASK_NOT_FOUND", f"IMS knows no upload of {name}.")


def _failed(sighting: Sighting, code: str, message: str, vendor_code: str | None = None) -> Sighting:
    return replace(sighting, status=LookStatus.FAILED, code=code, message=message, vendor_code=vendor_code)


def _user_data(task: Task) -> str:
    """The user's own, with our key under Extend wherever it is an object that leaves room for it."""
    given = (task.request or {}).get("user_data")
    if isinstance(given, str):
        return given
    extend = (given or {}).get("Extend", {})
    if not isinstance(extend, Mapping):
        return _compact(given)
    return _compact({**(given or {}), "Extend": {**extend, "clipferry": task.key}})


def _ours(task: Task, record: Record) -> bool:
    """Whether an upload is one that this task submitted. In doubt it is: it is the same video."""
    if task.key in record.user_data:
        return True
    if re.search(r'"clipferry\\*"\s*:', record.user_data):
        return False  # another job's
    if task.triggered_at and record.created_at and record.created_at < task.triggered_at - CLOCK_SKEW:
        return False
    return not record.user_data or task.key not in _user_data(task)


def _joined(names: Sequence[str]) -> str:
    return ",".join(quote(name, safe="") for name in names)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
