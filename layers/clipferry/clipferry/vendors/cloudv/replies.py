"""Reads replies of pullVideoQuery leniently: the Cloud VoD task, and the state of each wanted file.

Pure: no call is made here. In replies, numbers may be strings and strings numbers, keys may be missing or null, and
items change their order. None of this raises an error.

Source: CDNetworks Cloud VoD "Video Fetch Query"; value ranges from the vendor's SDK models (uploadassets).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipferry.vendors import lenient
from clipferry.vendors.cloudv.sources import Sources, last_segment, text
from clipferry.vendors.contract import LookStatus

PROCESSING, SUCCEEDED, FAILED = 1, 2, 3  # pullStatus and cmdStatus of an item
COMPLETED = 2  # status of a task: each item has succeeded or failed
ORIGINAL = 1  # clarity
OTHER = 0  # a clarity that is not in the reply
CLARITY_NAMES = {0: "other", 1: "original", 2: "ld", 3: "sd", 4: "hd", 5: "fhd"}
_ORIGINAL_SERVER_TYPES = (-1, 1)  # the sample of the vendor's page and its SDK disagree
MAX_ITEMS = 1000  # a task has at most 50; a reply with more than this is wrong

Wanted = str | Sequence[int]  # "original", "all", or clarity values


@dataclass(frozen=True)
class Entry:
    """One element of videoFileList."""

    clarity: int
    server_type: int | None
    url: str  # absolute, or a path on the customer's own playback domain; may be empty
    size: int | None  # bytes


@dataclass(frozen=True)
class Item:
    """One video of a task. `identity` is the same in every look, whatever the order of the items."""

    identity: str
    fetch_url: str
    name: str
    md5: str | None
    pull_status: int | None
    command_status: int | None
    video_id: str
    entries: Sequence[Entry]
    raw_status: str  # for people

    @property
    def commands_done(self) -> bool:
        """Whether transcoding has ended. Without a cmdStatus there is no transcoding."""
        return self.command_status != PROCESSING

    @property
    def processing(self) -> bool:
        """Whether further renditions may still appear."""
        return self.pull_status == SUCCEEDED and not self.commands_done


@dataclass(frozen=True)
class PullTask:
    """One reading of a task."""

    task_id: str
    trans_no: str
    status: int | None
    items: Sequence[Item]

    @property
    def completed(self) -> bool:
        return self.status == COMPLETED


@dataclass(frozen=True)
class Candidate:
    """One wanted file of an item. For READY, its URL must still be found."""

    ref: str
    item: Item
    clarity: int
    status: LookStatus
    entry: Entry | None = None
    code: str | None = None
    message: str | None = None

    @property
    def address(self) -> str:
        """The entry's fileUrl, or nothing."""
        return self.entry.url if self.entry else ""


def read_task(data: Any, sources: Sources) -> PullTask | None:
    """The task in a reply's `data`; None when `data` holds no task. `sources`: the requested sources."""
    if not isinstance(data, Mapping):
        return None
    task_id, trans_no = text(data.get("taskId")), text(data.get("transNo")) or text(data.get("tranNo"))
    items = lenient.entries(data.get("items"))[:MAX_ITEMS]
    status = lenient.integer(data.get("status"))
    if not task_id and not trans_no and status is None and not items:
        return None
    return PullTask(task_id, trans_no, status, tuple(_items(items, sources)))


def candidates(task: PullTask, item: Item, wanted: Wanted) -> Iterator[Candidate]:
    """Each wanted file of an item. The refs of a final item never change."""
    clarities = [ORIGINAL] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    for clarity in clarities:
        yield from _of_clarity(task, item, clarity, every=wanted == "all")
    if wanted == "all" and item.pull_status == SUCCEEDED and item.commands_done:
        for clarity in sorted({entry.clarity for entry in item.entries} - {ORIGINAL}):
            yield from _of_clarity(task, item, clarity, every=True)
        if item.command_status == FAILED:
            yield Candidate(
                f"{item.identity}:all",
                item,
                OTHER,
                LookStatus.FAILED,
                code="VENDOR_COMMAND_FAILED",
                message="the vendor's processing failed, so there may be fewer renditions than it should have made",
            )


def _of_clarity(task: PullTask, item: Item, clarity: int, every: bool) -> Iterator[Candidate]:
    ref = f"{item.identity}:{clarity}"
    if item.pull_status == FAILED:
        yield Candidate(
            ref,
            item,
            clarity,
            LookStatus.FAILED,
            code="VENDOR_FILE_FAILED",
            message="the vendor could not fetch this file from its fetch_url",
        )
    elif item.pull_status != SUCCEEDED:
        known = item.pull_status == PROCESSING
        yield Candidate(ref, item, clarity, LookStatus.RUNNING if known else LookStatus.UNKNOWN)
    elif clarity != ORIGINAL and not item.commands_done:
        yield Candidate(ref, item, clarity, LookStatus.RUNNING)
    else:
        yield from _of_finished(task, item, clarity, every)


def _of_finished(task: PullTask, item: Item, clarity: int, every: bool) -> Iterator[Candidate]:
    ref = f"{item.identity}:{clarity}"
    entries = sorted((e for e in item.entries if e.clarity == clarity), key=_entry_order)
    if clarity == ORIGINAL and not (every and item.commands_done):
        entries = entries[:1]
    if entries:
        for position, entry in enumerate(entries):
            own = ref if position == 0 else f"{ref}.{position + 1}"
            yield Candidate(own, item, clarity, LookStatus.READY, entry)
    elif task.completed and item.commands_done and item.entries:
        yield Candidate(
            ref,
            item,
            clarity,
            LookStatus.FAILED,
            code="RENDITION_MISSING",
            message=f"the vendor finished without a file of clarity {clarity} "
            f"({CLARITY_NAMES.get(clarity, 'unknown')})",
        )
    else:
        yield Candidate(ref, item, clarity, LookStatus.READY, None)


def _entry_order(entry: Entry) -> tuple[bool, int, str]:
    server_type = entry.server_type if entry.server_type is not None else 99
    not_the_original = entry.clarity == ORIGINAL and server_type not in _ORIGINAL_SERVER_TYPES
    return not_the_original, server_type, path_of(entry.url)


def _items(raw: Sequence[Mapping[str, Any]], sources: Sources) -> Iterator[Item]:
    seen: Counter[str] = Counter()
    for position, item in enumerate(raw):
        fetch_url, file_name = text(item.get("fetchUrl")), text(item.get("fileName"))
        identity = sources.identity(fetch_url, file_name) if fetch_url else str(position)
        seen[identity] += 1
        if seen[identity] > 1:  # the same source twice in one task: only their order shows which is which
            identity += f".{seen[identity]}"
        info = lenient.mapping(item.get("videoInfo"))
        pull, command = lenient.integer(item.get("pullStatus")), lenient.integer(item.get("cmdStatus"))
        yield Item(
            identity=identity,
            fetch_url=fetch_url,
            name=file_name or last_segment(fetch_url) or f"video-{position + 1}",
            md5=_md5(item.get("md5")),
            pull_status=pull,
            command_status=command,
            video_id=text(info.get("videoId")),
            entries=tuple(_entry(entry) for entry in lenient.entries(info.get("videoFileList"))),
            raw_status=f"pull {text(item.get('pullStatus')) or '-'}, cmd {text(item.get('cmdStatus')) or '-'}",
        )


def _entry(raw: Mapping[str, Any]) -> Entry:
    clarity, size = lenient.integer(raw.get("clarity")), lenient.integer(raw.get("fileSize"))
    server_type = -1 if raw.get("serverType") in (-1, "-1") else lenient.integer(raw.get("serverType"))
    if clarity is None and server_type in _ORIGINAL_SERVER_TYPES:
        clarity = ORIGINAL
    return Entry(clarity or OTHER, server_type, text(raw.get("fileUrl")), size or None)


def path_of(url: str) -> str:
    """A URL or path without its query: the part that a new signature does not change."""
    return url.partition("#")[0].partition("?")[0]


def _md5(value: Any) -> str | None:
    found = text(value).lower()
    return found if re.fullmatch(r"[0-9a-f]{32}", found) else None
