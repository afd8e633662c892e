"""One look at a fetch task: the state and the address of each wanted file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from posixpath import splitext
from typing import Any

from clipferry.vendors.cloudv.replies import (
    CLARITY_NAMES,
    ORIGINAL,
    PROCESSING,
    Candidate,
    Item,
    PullTask,
    Wanted,
    candidates,
    path_of,
)
from clipferry.vendors.cloudv.sources import files_of, identity_of, last_segment, source_of
from clipferry.vendors.cloudv.urls import Lookups, MediaUrls, kind_of
from clipferry.vendors.contract import KnownFile, Look, LookStatus, Sighting, Task, VendorError, VendorRefused
from clipferry.vendors.file_urls import INVALID
from clipferry.vendors.portions import in_turn

BETWEEN_LOOKS = 10.0  # seconds; 30 calls in 5 minutes are recommended for one operation
UNKNOWN_GRACE = 300.0  # seconds after a trigger in which the vendor may not know its own new task yet
NO_URL_GRACE = 1800.0  # seconds a file of a completed task may stay without a URL
LOOKUPS_PER_LOOK = 10  # the most getPublishCode calls of one look: many files may finish at the same time
_SETTLED = (LookStatus.READY, LookStatus.FAILED)


def look(urls: MediaUrls, task: Task, pull: PullTask) -> Look:
    """The look, from a reading of the task. Some addresses need a call each; each look begins at another file."""
    if pull.completed and not pull.items:
        message = "the vendor completed the task without a single file"
        return Look(LookStatus.EMPTY, raw_status="completed", code="NO_FILES", message=message)
    known = {file.ref: file for file in task.files}
    lookups = Lookups(urls, LOOKUPS_PER_LOOK)
    wanted = list(all_candidates(task, pull))
    seen = {c.ref: _sight(task, pull, c, known.get(c.ref), lookups) for c in in_turn(wanted, task.looks)}
    sightings = [seen[candidate.ref] for candidate in wanted]
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


def settled_sources(task: Task) -> set[str]:
    """The sources whose known files are all stored or failed."""
    sources: dict[str, bool] = {}
    for file in task.files:
        source = source_of(file.ref)
        sources[source] = file.settled and sources.get(source, True)
    return {source for source, settled in sources.items() if settled}


def unknown_task(task: Task, asked: Mapping[str, str | int], refusal: VendorRefused | None) -> Look:
    """The look at a task that the vendor does not know, or does not know yet."""
    if task.adopt is None and task.elapsed < UNKNOWN_GRACE:
        return Look(LookStatus.RUNNING, raw_status="not known yet")
    handle = ", ".join(f"{name} {value}" for name, value in asked.items())
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


def all_candidates(task: Task, pull: PullTask) -> Iterator[Candidate]:
    """Every wanted file of the task's items."""
    for item in pull.items:
        yield from candidates(pull, item, _wanted(task))


def _sight(task: Task, pull: PullTask, candidate: Candidate, known: KnownFile | None, lookups: Lookups) -> Sighting:
    """The sighting of one file. READY only if this look or an earlier one saw a URL."""
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
    """What `locate` needs. A fileUrl with a host or a query is left out: it may be signed, and is requested again."""
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
    """The MD5 of the original as the vendor reports it, else the MD5 in the request."""
    source = source_of(item.identity)
    asked = (file.get("md5") for file in files_of(task.request or {}) if identity_of(file["fetchUrl"]) == source)
    return item.md5 or next((md5.lower() for md5 in asked if md5), None)


def _without_url(
    seen: Sighting, task: Task, pull: PullTask, known: KnownFile | None, refusal: VendorError | None
) -> Sighting:
    """The sighting of a finished file without a URL. The wait for it is limited, from the completion of the whole task.

    When the vendor gives something that cannot be a URL, the file fails at once.
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
    """The sightings of files that were requested or seen before, and that a completed task does not list."""
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
    """The requested sources without an item, at most as many as are missing: the vendor may rewrite a URL."""
    here = {source_of(item.identity) for item in pull.items} | settled_sources(task)
    asked = [file["fetchUrl"] for file in files_of(task.request or {})]
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
    """The vendor's name of the original; for a rendition, with its clarity and its own extension."""
    name = candidate.item.name
    if candidate.clarity == ORIGINAL:
        return name
    label = CLARITY_NAMES.get(candidate.clarity, str(candidate.clarity))
    stem = name.rpartition(".")[0] or name
    return f"{stem}-{label}{splitext(path_of(candidate.address))[1]}"
