"""Wangsu / CDNetworks Cloud VoD: fetch tasks that pull videos into the vendor's cloud, and the files they yield.

A task takes 1 to 50 source URLs. We choose its id (`transNo`), so that a lookup shows whether a lost trigger had its
effect. A task that is "completed" may have failed: each item succeeds or fails by itself. This module does not know
signatures (`gateway`), the form of replies (`replies`), or how the address of a file is found (`urls`).

Sources: CDNetworks Cloud VoD "Video Fetch" (pullVideo), "Video Fetch Query" (pullVideoQuery), "getPublishCode".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors import lenient
from clipferry.vendors.cloudv.gateway import Gateway, host_of
from clipferry.vendors.cloudv.look import all_candidates, look, settled_sources, unknown_task
from clipferry.vendors.cloudv.replies import ORIGINAL, PullTask, read_task
from clipferry.vendors.cloudv.schemas import ADOPT, FILES_PER_JOB, REQUEST
from clipferry.vendors.cloudv.sources import File, Sources, check, files_of, identity_of, text
from clipferry.vendors.cloudv.urls import MediaUrls, kind_of
from clipferry.vendors.contract import (
    Account,
    ApiOutbound,
    CallRepeated,
    KnownFile,
    Look,
    LookStatus,
    Remote,
    Submitted,
    Task,
    TriggerUncertain,
    VendorError,
    VendorRefused,
    VendorUnavailable,
)

FIRST_LOOK = 30.0  # seconds; a fetch takes longer
VISIBLE_WITHIN = 30.0  # seconds after a trigger, after which a task that the vendor does not know does not exist


class CloudV:
    """The contract for Cloud VoD. A look is one call, and up to ten more if the account has no `media_base_url`."""

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

        When the vendor refuses, an earlier copy of the call may have used the key. So the refusal counts only if there
        is no task with that key.
        """
        files = _missing_files(task)
        check(files)
        try:
            data = self._gateway.call("/vod/videoManage/pullVideo", _parameters(task, files), acts=True)
        except (VendorRefused, CallRepeated) as refusal:
            earlier = None if getattr(refusal, "kind", "") == "ADDRESS_REFUSED" else self._earlier(task, refusal)
            if earlier is None:
                raise
            return earlier
        return _submitted(text(data.get("taskId")) if isinstance(data, Mapping) else "", task.key)

    def _earlier(self, task: Task, refusal: VendorRefused | CallRepeated) -> Submitted | None:
        """The task with the refused key. When the lookup fails, the refusal is in doubt."""
        try:
            pull, _ = self._query(task, {"transNo": task.key})
        except VendorError as error:
            message = f"{refusal.message}; whether its transNo had been used before could not be told: {error.message}"
            raise VendorUnavailable(message, code=refusal.code, request_id=refusal.request_id) from error
        return _submitted(pull.task_id, task.key) if pull else None

    def find(self, task: Task) -> Submitted | None:
        """The task under `task.key`; None when the vendor does not know it: then it certainly does not exist."""
        pull, _ = self._query(task, {"transNo": task.key})
        if pull is None and task.elapsed < VISIBLE_WITHIN:
            left = VISIBLE_WITHIN - task.elapsed
            raise TriggerUncertain("the vendor may not know the task yet", look_again=left)
        return _submitted(pull.task_id, task.key) if pull else None

    def adopt(self, task: Task) -> Submitted:
        """Makes no call: the first look shows whether the vendor knows the id."""
        adopt = task.adopt or {}
        return Submitted(refs={key: adopt[key] for key in ("task_id", "trans_no") if adopt.get(key)})

    def poll(self, task: Task) -> Look:
        """One pullVideoQuery, and getPublishCode for newly finished files that have no other address."""
        handle = _handle(task)
        pull, refusal = self._query(task, handle)
        return look(self._urls, task, pull) if pull else unknown_task(task, handle, refusal)

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        """The file's URL. Makes no call for a relative fileUrl with a `media_base_url`, else one call, at most two."""
        detail = file.detail
        address, video_id = text(detail.get("path")), text(detail.get("video_id"))
        if not address:  # an absolute fileUrl may be signed: it was not kept
            pull, _ = self._query(task, _handle(task))
            found = next((c for c in all_candidates(task, pull) if c.ref == file.ref), None) if pull else None
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

    def _query(self, task: Task, handle: Mapping[str, str | int]) -> tuple[PullTask | None, VendorRefused | None]:
        """The task, or else the vendor's refusal.

        The operation has no error codes of its own, and the id is its only parameter: so a refusal is about the id.
        Raises VendorUnavailable for a reply about another task.
        """
        try:
            pull = read_task(self._gateway.call("/vod/videoManage/pullVideoQuery", handle), Sources.of(task))
        except VendorRefused as refusal:
            if refusal.kind != "VENDOR_REFUSED":
                raise
            return None, refusal
        told = {"taskId": pull.task_id, "transNo": pull.trans_no} if pull else {}
        for name, asked in handle.items():
            if told.get(name) and told[name].casefold() != str(asked).casefold():
                raise VendorUnavailable(f"pullVideoQuery: a reply about another task than {name} {asked}")
        return pull, None


def _missing_files(task: Task) -> list[File]:
    """The sources of a trigger: all, or after a retry only those with files that are not settled."""
    files = files_of(task.request or {})
    settled = settled_sources(task)
    return [file for file in files if identity_of(file["fetchUrl"]) not in settled] or files


def _parameters(task: Task, files: Sequence[File]) -> dict[str, str | int]:
    request = task.request or {}
    file_list = base64.urlsafe_b64encode(json.dumps(files, separators=(",", ":")).encode()).decode()
    parameters: dict[str, str | int] = {"fileList": file_list, "transNo": task.key}
    for ours, theirs in (("cmd", "cmd"), ("workflow_id", "workflowId"), ("fetch_ts", "fetchTs")):
        if request.get(ours) is not None:
            parameters[theirs] = request[ours]
    return parameters


def _submitted(task_id: str, trans_no: str) -> Submitted:
    refs = {"task_id": task_id, "trans_no": trans_no} if task_id else {"trans_no": trans_no}
    return Submitted(refs=refs, first_look=FIRST_LOOK)


def _handle(task: Task) -> Mapping[str, str | int]:
    """The id in a query: the vendor's own id if it is known, else ours."""
    task_id = task.refs.get("task_id")
    return {"taskId": str(task_id)} if task_id else {"transNo": str(task.refs.get("trans_no") or task.key)}
