"""A task's uploads: which of its URLs or job ids each one is, and what stands for it at IMS.

What a task remembers (`refs`) is `{"jobs": [entry, …]}`, and while a search goes on `"absent": [index, …]` besides: the
URLs of which IMS has said that it has no upload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipferry.vendors.contract import Submitted, Task
from clipferry.vendors.source_urls import bare

FIRST_LOOK = 5.0  # seconds


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


def urls_of(task: Task) -> list[str]:
    """The URLs asked for or adopted, each once."""
    given = (task.request or task.adopt or {}).get("upload_urls", ())
    return list(dict.fromkeys(url.strip() for url in given))


def names_of(task: Task) -> list[str]:
    """The files' refs by index: adopted job ids, else the URLs without what may be secret in them."""
    job_ids = (task.adopt or {}).get("job_ids")
    if job_ids:
        return list(dict.fromkeys(job_ids))
    names = [bare(url) for url in urls_of(task)]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name}#{index}" for index, name in enumerate(names)]


def entries_of(task: Task) -> list[Entry]:
    return [Entry.parse(ref) for ref in task.refs.get("jobs", ())]


def without_entry(task: Task, entries: Iterable[Entry]) -> list[int]:
    """Indexes of the URLs that still need an upload job: neither here nor settled."""
    taken = {entry.index for entry in entries}
    settled = {file.ref for file in task.files if file.settled}
    return [index for index, name in enumerate(names_of(task)) if index not in taken and name not in settled]


def submitted(task: Task, entries: Sequence[Entry], *, first_look: float = FIRST_LOOK) -> Submitted:
    complete = not without_entry(task, entries)
    return Submitted({"jobs": [entry.as_ref() for entry in entries]}, first_look=first_look, complete=complete)


def in_doubt(task: Task, entries: Sequence[Entry], absent: Sequence[int] = ()) -> Submitted:
    """What is known so far; the rest is to be looked for, but for what is absent."""
    found = submitted(task, entries)
    refs = {**found.refs, "absent": list(absent)} if absent else found.refs
    return Submitted(refs, first_look=found.first_look, complete=False, in_doubt=True)


def few(names: Sequence[str]) -> str:
    """Some of the names, for a message."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
