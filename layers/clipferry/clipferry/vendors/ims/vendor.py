"""Alibaba IMS (ICE): IMS fetches videos by URL into its media library, and gives the URLs of the originals.

Each URL becomes one upload job and one media; the reply to the call names both. A call takes 20 URLs. When an upload
has succeeded, there is no file yet: GetMediaInfo gives the original's URL some seconds later. This module does not know
signatures (`alibaba`), jobs, waiting or storage.

Pages: IMS "UploadMediaByURL", "GetUrlUploadInfos", "GetMediaInfo" (version 2020-11-09).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
from clipferry.vendors.alibaba.parameters import compact
from clipferry.vendors.alibaba.rpc import RpcClient
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    KnownFile,
    Look,
    Remote,
    Submitted,
    Task,
    TriggerUncertain,
    VendorRefused,
)
from clipferry.vendors.ims import schemas
from clipferry.vendors.ims.entries import Entry, entries_of, few, in_doubt, names_of, submitted, urls_of, without_entry
from clipferry.vendors.ims.look import look
from clipferry.vendors.ims.operations import QUERY_BATCH, SUBMIT_BATCH, Operations
from clipferry.vendors.ims.replies import Record, best
from clipferry.vendors.ims.search import Uploads, search
from clipferry.vendors.source_urls import Reading, apart

REGIONS = ("cn-shanghai", "cn-beijing", "cn-shenzhen", "cn-hangzhou", "ap-southeast-1", "us-west-1")

VISIBLE_WITHIN = 15.0  # seconds after which an upload that IMS does not list counts as absent
LISTED_WITHIN = 600.0  # seconds after which a URL is given up that IMS neither lists nor reports as absent
CLOCK_SKEW = 120.0  # seconds between our clock and the one that writes CreationTime


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
        self._operations = Operations(RpcClient(account, outbound, endpoint=endpoint, hosts=self.api_hosts))

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline

    # --- the contract ---

    def trigger(self, task: Task) -> Submitted:
        """Submit the next URLs without an upload job: at most 20, and no two that could be confused in the reply.

        A URL that the reply does not mention is in doubt.
        """
        schemas.check(task.request or {})
        entries, urls = entries_of(task), urls_of(task)
        chunks = apart(urls, without_entry(task, entries), SUBMIT_BATCH)
        if not chunks:
            return submitted(task, entries)
        chunk = [urls[index] for index in chunks[0]]
        try:
            jobs = self._operations.submit(chunk, _user_data(task), _metadata(task, chunk))
        except VendorRefused as refusal:
            if not entries:
                raise
            # The URLs of earlier calls are being uploaded: they must not be lost because this call is refused.
            said = {"refused": refusal.message, "refused_code": refusal.code or ""}
            return submitted(task, [*entries, *(Entry(index, **said) for index in chunks[0])])
        named = [*entries, *(Entry(index, *jobs[at]) for at, index in enumerate(chunks[0]) if at in jobs)]
        return submitted(task, named) if len(jobs) == len(chunk) else in_doubt(task, named)

    def find(self, task: Task) -> Submitted | None:
        """Find the uploads that were begun, by URL. URLs that IMS does not know are submitted later."""
        entries, absent = entries_of(task), list(task.refs.get("absent", ()))
        wanted = [index for index in without_entry(task, entries) if index not in absent]
        result = search(self._operations, urls_of(task), wanted, {entry.job_id for entry in entries})
        unclear = []
        for index, uploads in result.found.items():
            record = best(record for record in uploads.records if _ours(task, record, uploads))
            if record:
                entries.append(Entry(index, record.job_id, record.media_id))
            elif task.elapsed >= VISIBLE_WITHIN and (uploads.absent or uploads.records):
                absent.append(index)
            else:
                unclear.append(index)
        if result.limit:
            found = in_doubt(task, entries, absent)
            if found.refs == task.refs:
                raise result.limit
            return found
        if unclear:
            wait = VISIBLE_WITHIN if task.elapsed < LISTED_WITHIN else None
            raise TriggerUncertain("IMS does not show which uploads have arrived.", look_again=wait)
        return submitted(task, entries) if entries else None

    def adopt(self, task: Task) -> Submitted:
        """Job ids need no call, ten URLs need one. Of each URL, the newest success counts, else the newest upload."""
        if "job_ids" in (task.adopt or {}):
            job_ids = enumerate(names_of(task))
            return submitted(task, [Entry(index, job_id) for index, job_id in job_ids], first_look=0.0)
        entries = entries_of(task)
        wanted = without_entry(task, entries)
        result = search(self._operations, urls_of(task), wanted, {entry.job_id for entry in entries})
        for index, uploads in result.found.items():
            record = None if uploads.reading is Reading.ALIKE else best(uploads.records)
            entries.append(Entry(index, record.job_id, record.media_id) if record else Entry(index))
        adopted = submitted(task, entries, first_look=0.0)
        if adopted.complete and not any(entry.job_id for entry in entries):
            raise VendorRefused(f"IMS knows no upload of {few(names_of(task))}.", kind="VENDOR_TASK_NOT_FOUND")
        return adopted

    def poll(self, task: Task) -> Look:
        """Ask about files that are not ready and not settled. When a limit ends the look, its results so far count."""
        return look(self._operations, task)

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        source = self._operations.source(str(file.detail.get("media_id", "")))
        url = source.url.usable(file.name) if source else None
        return Remote(url, size=source.size) if source and url else None

    def abort(self, task: Task) -> bool:
        """False: IMS has no operation that stops an upload."""
        return False


def _metadata(task: Task, urls: Sequence[str]) -> list[Mapping[str, Any]]:
    return [entry for entry in (task.request or {}).get("media_metadata", ()) if entry["SourceURL"].strip() in urls]


def _user_data(task: Task) -> str:
    """The user's metadata, with our key under Extend, if Extend is an object with room for it."""
    given = (task.request or {}).get("user_data")
    if isinstance(given, str):
        return given
    extend = (given or {}).get("Extend", {})
    if not isinstance(extend, Mapping):
        return compact(given)
    return compact({**(given or {}), "Extend": {**extend, "clipferry": task.key}})


def _ours(task: Task, record: Record, uploads: Uploads) -> bool:
    """Whether this task submitted an upload. True in doubt, because it is the same video.

    When the URL does not match exactly, this is not certain: then only our key proves it.
    """
    if task.key in record.user_data:
        return True
    if uploads.reading is Reading.ALIKE or re.search(r'"clipferry\\*"\s*:', record.user_data):
        return False  # another job's
    if task.triggered_at and record.created_at:
        ahead = (task.triggered_at - record.created_at).total_seconds()
        if ahead > CLOCK_SKEW:
            return False
    return not record.user_data or task.key not in _user_data(task)
