"""The uploads of a task: for each of its URLs or job ids, the upload job at IMS.

A task stores them as its `refs`: `{"jobs": [entry, …]}`. During a search there is also `"absent": [index, …]`: the URLs
for which IMS has reported that it has no upload.
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
    """One URL or job id of a task, with its upload job, if there is one."""

    index: int  # in the request's URLs, or in what is adopted
    job_id: str = ""
    media_id: str = ""
    refused: str = ""  # why IMS refused the call with this URL
    refused_code: str = ""

    @classmethod
    def parse(cls, ref: Mapping[str, Any]) -> Entry:
        return cls(**{name: ref[name] for name in cls.__dataclass_fields__ if name in ref})

    def as_ref(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name == "index" or value}


def urls_of(task: Task) -> list[str]:
    """The requested or adopted URLs, each once."""
    given = (task.request or task.adopt or {}).get("upload_urls", ())
    return list(dict.fromkeys(url.strip() for url in given))


def names_of(task: Task) -> list[str]:
    """The refs of the files by index: adopted job ids, or the URLs without parts that may be secret."""
    job_ids = (task.adopt or {}).get("job_ids")
    if job_ids:
        return list(dict.fromkeys(job_ids))
    names = [bare(url) for url in urls_of(task)]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name}#{index}" for index, name in enumerate(names)]


def entries_of(task: Task) -> list[Entry]:
    return [Entry.parse(ref) for ref in task.refs.get("jobs", ())]


def without_entry(task: Task, entries: Iterable[Entry]) -> list[int]:
    """Indexes of the URLs that need an upload job: they have none, and are not settled."""
    taken = {entry.index for entry in entries}
    settled = {file.ref for file in task.files if file.settled}
    return [index for index, name in enumerate(names_of(task)) if index not in taken and name not in settled]


def submitted(task: Task, entries: Sequence[Entry], *, first_look: float = FIRST_LOOK) -> Submitted:
    complete = not without_entry(task, entries)
    return Submitted({"jobs": [entry.as_ref() for entry in entries]}, first_look=first_look, complete=complete)


def in_doubt(task: Task, entries: Sequence[Entry], absent: Sequence[int] = ()) -> Submitted:
    """The known uploads. The others must be searched, except for the absent ones."""
    found = submitted(task, entries)
    refs = {**found.refs, "absent": list(absent)} if absent else found.refs
    return Submitted(refs, first_look=found.first_look, complete=False, in_doubt=True)


def few(names: Sequence[str]) -> str:
    """Some of the names, for a message."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
