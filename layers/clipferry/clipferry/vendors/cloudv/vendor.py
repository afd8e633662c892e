"""Wangsu / CDNetworks Cloud VoD: fetch tasks that pull videos into the vendor's cloud, and the files they yield.

A task takes 1 to 50 source URLs under an id of our own (`transNo`), so that a lost trigger is never in doubt. A task
that is "completed" has not succeeded: each item settles for itself. It knows nothing of signatures (`wangsu`) nor of
the shape of a reply (`cloudv_replies`) nor of how a file's address is found (`cloudv_urls`).

Sources: CDNetworks Cloud VoD "Video Fetch" (pullVideo), "Video Fetch Query" (pullVideoQuery), "getPublishCode".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from posixpath import splitext
from typing import Any, ClassVar

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
from clipferry.vendors.cloudv.gateway import Gateway, host_of
from clipferry.vendors.cloudv.replies import (
    CLARITY_NAMES,
    ORIGINAL,
    PROCESSING,
    Candidate,
    Item,
    PullTask,
    Wanted,
    candidates,
    identity_of,
    last_segment,
    path_of,
    read_task,
    source_of,
    text,
)
from clipferry.vendors.cloudv.schemas import ADOPT, FILES_PER_JOB, REQUEST
from clipferry.vendors.cloudv.urls import Lookups, MediaUrls, kind_of
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
    VendorError,
    VendorRefused,
    VendorUnavailable,
)
from clipferry.vendors.file_urls import INVALID

FIRST_LOOK = 30.0  # seconds; a fetch takes longer
BETWEEN_LOOKS = 10.0  # seconds; 30 calls in 5 minutes are recommended for one operation
UNKNOWN_GRACE = 300.0  # seconds after a trigger in which the vendor may not know its own new task yet
SENT_BEFORE = 2.0  # seconds since the intent to trigger from which on this cannot be the first attempt
NO_URL_GRACE = 1800.0  # seconds a file of a completed task may stay without a URL
LOOKUPS_PER_LOOK = 10  # getPublishCode calls in one look, so that a batch that finishes at once keeps the budget


class CloudV:
    """The contract on Cloud VoD. One call a look, plus at most ten where the account names no `media_base_url`."""

    name: ClassVar[str] = "cloudv"
    title: ClassVar[str] = "Wangsu / CDNetworks Cloud VoD"
    request_schema: ClassVar[Mapping[str, Any]] = REQUEST
    adopt_schema: ClassVar[Mapping[str, Any]] = ADOPT
    secret_keys: ClassVar[Sequence[str]] = ("access_key", "secret_key")
    limits: ClassVar[Mapping[str, Any]] = {
        "files_per_job": FILES_PER_JOB,
        "calls": "300 in 5 minutes for an account; 30 in 5 minutes recommended for one operation",
        "encrypted_hls": "not supported, neither by the vendor's fetch nor by the copy",
    }
    can_abort: ClassVar[bool] = False
    spent_codes: ClassVar[frozenset[str]] = frozenset(
        {"VENDOR_FILE_FAILED", "RENDITION_MISSING", "NO_FILE_URL", "NO_FILES", "VENDOR_TASK_NOT_FOUND"}
    )
    api_hosts: ClassVar[Sequence[str]] = ("api.cloudv.haplat.net", "open.chinanetcenter.com", "api.cdnetworks.com")
    download_hosts: ClassVar[Sequence[str]] = ("cloudv.haplat.net",)
    default_deadline: ClassVar[int] = 24 * 3600
    rates: ClassVar[Mapping[str, Rate]] = {ANY: Rate(300, 300.0, pushback=60.0)}  # API overview, for each customer

    def __init__(self, account: Account, outbound: ApiOutbound) -> None:
        media_base, endpoint = account.secret.get("media_base_url") or None, account.endpoint
        hosts = [host_of(url) for url in (media_base, endpoint) if url]
        self.trusted_hosts: Sequence[str] = tuple(dict.fromkeys(host for host in hosts if host))
        self._gateway = Gateway(account, outbound, self.api_hosts)
        self._urls = MediaUrls(self._gateway, media_base)

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline

    def trigger(self, task: Task) -> Submitted:
        """pullVideo under `task.key`.

        When the vendor refuses, the key may have been used by a trigger whose reply was lost: the task of that key is
        looked up before the refusal counts, and may take a while to show.
        """
        request = task.request or {}
        parameters: dict[str, str | int] = {"fileList": _file_list(_missing_files(task)), "transNo": task.key}
        for ours, theirs in (("cmd", "cmd"), ("workflow_id", "workflowId")):
            if request.get(ours) is not None:
                parameters[theirs] = request[ours]
        if request.get("fetch_ts") is not None:
            parameters["fetchTs"] = int(request["fetch_ts"])
        try:
            data = self._gateway.call("/vod/videoManage/pullVideo", parameters)
        except VendorRefused as refusal:
            earlier = self.find(task) if refusal.kind == "VENDOR_REFUSED" else None
            if earlier is not None:
                return earlier
            if SENT_BEFORE <= task.elapsed < UNKNOWN_GRACE:
                message = f"an earlier trigger may have used this transNo: {refusal.message}"
                raise VendorUnavailable(message, code=refusal.code, request_id=refusal.request_id) from refusal
            raise
        return _submitted(text(data.get("taskId")) if isinstance(data, Mapping) else "", task.key)

    def find(self, task: Task) -> Submitted | None:
        """The task under `task.key`; None when the vendor has none, for then it is provably not there."""
        pull, _ = self._query({"transNo": task.key})
        return _submitted(pull.task_id, task.key) if pull else None

    def adopt(self, task: Task) -> Submitted:
        """No call: an id that the vendor does not know shows in the first look."""
        adopt = task.adopt or {}
        return Submitted(refs={key: adopt[key] for key in ("task_id", "trans_no") if adopt.get(key)})

    def poll(self, task: Task) -> Look:
        """One pullVideoQuery, and getPublishCode for newly finished files that have no other address."""
        pull, refusal = self._query(_handle(task))
        if pull is None:
            return _unknown_task(task, refusal)
        if pull.completed and not pull.items:
            return Look(
                LookStatus.EMPTY,
                raw_status="completed",
                code="NO_FILES",
                message="the vendor completed the task without a single file",
            )
        known = {file.ref: file for file in task.files}
        lookups = Lookups(self._urls, LOOKUPS_PER_LOOK)
        sightings = [_sight(task, pull, c, known.get(c.ref), lookups) for c in _candidates(task, pull)]
        sightings += _dropped(task, pull, sightings)
        status = _overall(task, pull, sightings)
        pause = None if status is LookStatus.READY else max(lookups.retry_after or 0.0, BETWEEN_LOOKS)
        return Look(
            status,
            raw_status=f"status {'-' if pull.status is None else pull.status}",
            progress=100 * sum(s.status in _SETTLED for s in sightings) // len(sightings) if sightings else None,
            files=sightings,
            retry_after=pause,
            cut_short=lookups.limit,
        )

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        """The file's URL. No call with a `media_base_url` and a relative fileUrl, else one; two at the very most."""
        detail = file.detail
        address, video_id = text(detail.get("path")), text(detail.get("video_id"))
        if not address:  # an absolute fileUrl may be signed: it was not kept
            pull, _ = self._query(_handle(task))
            found = next((c for c in _candidates(task, pull) if c.ref == file.ref), None) if pull else None
            if found is None or found.status is not LookStatus.READY:
                return None
            address, video_id = found.entry.url if found.entry else "", found.item.video_id
        url = self._urls.of(address, video_id, lenient.integer(detail.get("clarity")) or ORIGINAL)
        if url is None:
            return None
        kind = kind_of(url)
        return Remote(url, size=detail.get("size") if kind == "file" else None, md5=detail.get("md5"), kind=kind)

    def abort(self, task: Task) -> bool:
        """Cloud VoD cannot stop a fetch."""
        return False

    def _query(self, handle: Mapping[str, str | int]) -> tuple[PullTask | None, VendorRefused | None]:
        """The task and no refusal, or no task and what the vendor said.

        The operation has no error codes of its own and takes nothing but the id, so that a refusal is about the id.
        """
        try:
            return read_task(self._gateway.call("/vod/videoManage/pullVideoQuery", handle)), None
        except VendorRefused as refusal:
            if refusal.kind != "VENDOR_REFUSED":
                raise
            return None, refusal


_SETTLED = (LookStatus.READY, LookStatus.FAILED)


def _files(request: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """The request's files as the vendor names their fields, the same one only once."""
    names = (("file_name", "fileName"), ("fetch_url", "fetchUrl"), ("md5", "md5"))
    files = [{theirs: file[ours] for ours, theirs in names if file.get(ours)} for file in request.get("files", ())]
    return [file for position, file in enumerate(files) if file not in files[:position]]


def _missing_files(task: Task) -> list[Mapping[str, str]]:
    """What a trigger asks for: everything, or after a retry only the sources not all of whose files are settled."""
    files = _files(task.request or {})
    settled = _settled_sources(task)
    return [file for file in files if identity_of(file["fetchUrl"]) not in settled] or files


def _settled_sources(task: Task) -> set[str]:
    sources: dict[str, bool] = {}
    for file in task.files:
        source = source_of(file.ref)
        sources[source] = file.settled and sources.get(source, True)
    return {source for source, settled in sources.items() if settled}


def _file_list(files: Sequence[Mapping[str, str]]) -> str:
    return base64.urlsafe_b64encode(json.dumps(files, separators=(",", ":")).encode()).decode()


def _submitted(task_id: str, trans_no: str) -> Submitted:
    refs = {"task_id": task_id, "trans_no": trans_no} if task_id else {"trans_no": trans_no}
    return Submitted(refs=refs, first_look=FIRST_LOOK)


def _handle(task: Task) -> Mapping[str, str | int]:
    """What a query names the task by; the vendor prefers its own id."""
    task_id = task.refs.get("task_id")
    return {"taskId": str(task_id)} if task_id else {"transNo": str(task.refs.get("trans_no") or task.key)}


def _unknown_task(task: Task, refusal: VendorRefused | None) -> Look:
    if task.adopt is None and task.elapsed < UNKNOWN_GRACE:
        return Look(LookStatus.RUNNING, raw_status="not known yet")
    handle = ", ".join(f"{name} {value}" for name, value in _handle(task).items())
    said = f": {refusal.message}" if refusal else ""
    return Look(
        LookStatus.FAILED,
        raw_status="unknown task",
        code="VENDOR_TASK_NOT_FOUND",
        message=f"the vendor knows no task with {handle}{said}",
        vendor_code=refusal.code if refusal else None,
        request_id=refusal.request_id if refusal else None,
    )


def _wanted(task: Task) -> Wanted:
    wanted = (task.request or task.adopt or {}).get("renditions") or "original"
    return wanted if isinstance(wanted, str) else [int(clarity) for clarity in wanted]


def _candidates(task: Task, pull: PullTask) -> Iterator[Candidate]:
    for item in pull.items:
        yield from candidates(pull, item, _wanted(task))


def _sight(task: Task, pull: PullTask, candidate: Candidate, known: KnownFile | None, lookups: Lookups) -> Sighting:
    """What a look reports of one file. READY only with a URL seen, in this look or in an earlier one."""
    item = candidate.item
    seen = Sighting(
        ref=candidate.ref,
        name=_name(candidate),
        status=candidate.status,
        raw_status=item.raw_status,
        code=candidate.code,
        message=candidate.message,
        vendor_code=item.raw_status if candidate.status is LookStatus.FAILED else None,
    )
    if candidate.status is not LookStatus.READY:
        return seen
    if known and (known.ready or known.settled):
        kind = str(known.detail.get("kind", "file"))
        detail = known.detail
    else:
        url = lookups.url(candidate.address, item.video_id, candidate.clarity)
        if url is None:
            return _without_url(seen, task, pull, known, lookups.refusal)
        kind = kind_of(url)
        detail = _detail(task, candidate, kind)
    return replace(seen, progress=100, kind=kind, size=detail.get("size"), md5=detail.get("md5"), detail=detail)


def _detail(task: Task, candidate: Candidate, kind: str) -> dict[str, Any]:
    """What `locate` needs. A fileUrl with a host or a query is left out: it may be signed, and is asked for anew."""
    address, entry = candidate.address, candidate.entry
    kept = {
        "kind": kind,
        "clarity": candidate.clarity,
        "video_id": candidate.item.video_id,
        "path": address if "://" not in address and "?" not in address and not address.startswith("//") else "",
        "size": entry.size if entry and kind == "file" else None,
        "md5": _md5(task, candidate.item) if candidate.clarity == ORIGINAL and kind == "file" else None,
    }
    return {key: value for key, value in kept.items() if value}


def _md5(task: Task, item: Item) -> str | None:
    """The vendor's word for the original's MD5, else the one that the request demanded of it."""
    asked = (file.get("md5") for file in _files(task.request or {}) if file["fetchUrl"] == item.fetch_url)
    return item.md5 or next((md5.lower() for md5 in asked if md5), None)


def _without_url(
    seen: Sighting, task: Task, pull: PullTask, known: KnownFile | None, refusal: VendorError | None
) -> Sighting:
    """A finished file that has no URL: waited for within a bound that starts when the whole task is completed.

    What the vendor gives in place of a URL, and what cannot be one, is not waited for.
    """
    if isinstance(refusal, VendorRefused) and refusal.kind == INVALID:
        return replace(seen, status=LookStatus.FAILED, code=INVALID, message=refusal.message)
    if not pull.completed:
        return replace(seen, status=LookStatus.RUNNING)
    since = (known.detail.get("without_url_since") if known else None) or max(task.elapsed, 1e-3)
    if task.elapsed - since > NO_URL_GRACE:
        said = f" ({refusal.message})" if refusal else ""
        return replace(
            seen,
            status=LookStatus.FAILED,
            code="NO_FILE_URL",
            vendor_code=refusal.code if refusal else None,
            message=f"the vendor finished this file but names no URL for it{said}; a media_base_url in the account "
            "may be missing",
        )
    return replace(seen, status=LookStatus.RUNNING, detail={"without_url_since": since})


def _dropped(task: Task, pull: PullTask, sightings: Sequence[Sighting]) -> list[Sighting]:
    """Files asked for, or seen in an earlier look or task, that a completed task does not list."""
    if not pull.completed:
        return []
    clarities = [ORIGINAL] if isinstance(_wanted(task), str) else _wanted(task)
    lost = {
        f"{identity_of(url)}:{clarity}": last_segment(url) for url in _unlisted(task, pull) for clarity in clarities
    }
    lost |= {file.ref: file.name for file in task.files if not (file.settled or file.ready)}
    return [
        Sighting(
            ref=ref,
            name=name or "video",
            status=LookStatus.FAILED,
            raw_status="not listed",
            code="VENDOR_FILE_FAILED",
            message="the vendor completed the task without this file",
        )
        for ref, name in lost.items()
        if all(sighting.ref != ref for sighting in sightings)
    ]


def _unlisted(task: Task, pull: PullTask) -> list[str]:
    """The sources asked for of which there is no item; never more than items are missing, for the vendor may write a
    URL in its own way."""
    here = {source_of(item.identity) for item in pull.items} | _settled_sources(task)
    asked = [file["fetchUrl"] for file in _files(task.request or {})]
    absent = [url for url in dict.fromkeys(asked) if identity_of(url) not in here]
    return absent[: max(0, len(asked) - len(pull.items))]


def _overall(task: Task, pull: PullTask, sightings: Sequence[Sighting]) -> LookStatus:
    statuses = {sighting.status for sighting in sightings}
    more_to_come = _wanted(task) == "all" and any(item.processing for item in pull.items)
    if LookStatus.RUNNING in statuses or more_to_come:
        return LookStatus.RUNNING
    if LookStatus.UNKNOWN in statuses:
        return LookStatus.UNKNOWN
    if pull.completed or (statuses and task.request is not None and not _unlisted(task, pull)):
        return LookStatus.READY
    return LookStatus.RUNNING if pull.status == PROCESSING else LookStatus.UNKNOWN


def _name(candidate: Candidate) -> str:
    """The vendor's name for the original; for a rendition with its clarity and its own extension."""
    name = candidate.item.name
    if candidate.clarity == ORIGINAL:
        return name
    label = CLARITY_NAMES.get(candidate.clarity, str(candidate.clarity))
    stem = name.rpartition(".")[0] or name
    return f"{stem}-{label}{splitext(path_of(candidate.address))[1]}"
