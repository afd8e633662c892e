"""Finds, for each item of a reply, the requested video to which it belongs.

The vendor names an item by its fetchUrl. It may write the URL differently (`source_urls`), and it changes the order of
the items. So an item is identified by the requested URL. When two requested URLs differ only in how they are written,
the file name identifies the item: `files_of` gives such files different names, if the user did not.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import splitext
from typing import Any
from urllib.parse import unquote, urlsplit

from clipferry.vendors import lenient
from clipferry.vendors.contract import Task, VendorRefused
from clipferry.vendors.source_urls import alike, closest

File = Mapping[str, str]  # of the fileList: fetchUrl, and fileName and md5 where they are known
_NAMES = (("file_name", "fileName"), ("fetch_url", "fetchUrl"), ("md5", "md5"))


def files_of(request: Mapping[str, Any]) -> list[File]:
    """The request's files with the vendor's names of the fields, equal ones only once."""
    files = [{theirs: file[ours] for ours, theirs in _NAMES if file.get(ours)} for file in request.get("files", ())]
    files = [file for position, file in enumerate(files) if file not in files[:position]]
    twins = Counter(alike(url) for url in {file["fetchUrl"] for file in files})
    numbers: Counter[str] = Counter()
    for file in files:
        key = alike(file["fetchUrl"])
        if twins[key] > 1 and "fileName" not in file:
            numbers[key] += 1
            stem, extension = splitext(last_segment(file["fetchUrl"]) or "video")
            file["fileName"] = f"{stem}-{numbers[key]}{extension}"
    return list(files)


def check(files: Sequence[File]) -> None:
    """Raises VendorRefused (REQUEST_INVALID) when two sources could be confused in the vendor's replies."""
    seen: dict[tuple[str, str], str] = {}
    for file in files:
        other = seen.setdefault((alike(file["fetchUrl"]), file.get("fileName", "")), file["fetchUrl"])
        if other != file["fetchUrl"]:
            message = "files: two fetch_urls differ only in how they are written; they need different file_names."
            raise VendorRefused(message, kind="REQUEST_INVALID")


@dataclass(frozen=True)
class Sources:
    """The requested sources of a task, and the identities of its files."""

    files: Sequence[File]
    known: frozenset[str]

    @classmethod
    def of(cls, task: Task) -> Sources:
        files = files_of(task.request or {})
        asked = {identity_of(file["fetchUrl"]) for file in files}
        return cls(files, frozenset(source_of(file.ref) for file in task.files) - asked)

    def identity(self, fetch_url: str, file_name: str) -> str:
        """The identity of the item with this fetchUrl and fileName. A known identity with exactly this URL is kept."""
        written = identity_of(fetch_url)
        asked = None if written in self.known else self._asked(fetch_url, file_name)
        return written if asked is None else identity_of(asked)

    def _asked(self, fetch_url: str, file_name: str) -> str | None:
        """The requested URL that this URL stands for; None when it is none, or when there are several."""
        key = alike(fetch_url)
        twins = [file for file in self.files if alike(file["fetchUrl"]) == key]
        named = {file["fetchUrl"] for file in twins if file.get("fileName") == file_name}
        if len(named) == 1:
            return named.pop()
        urls = list(dict.fromkeys(file["fetchUrl"] for file in twins))
        index = closest(urls, fetch_url)
        return None if index is None else urls[index]


def last_segment(url: str) -> str:
    """The file name in a URL, decoded."""
    try:
        return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    except ValueError:
        return ""


def identity_of(fetch_url: str) -> str:
    """The identity of an item in its task: its source."""
    return hashlib.sha256(text(fetch_url).encode()).hexdigest()[:12]


def source_of(ref: str) -> str:
    """The source of an item's identity, or of a file's ref."""
    return ref.partition(":")[0].partition(".")[0]


def text(value: Any) -> str:
    """A text, or a number as text, that can be sent and stored: without half surrogate pairs, which JSON may hold."""
    return lenient.text(value).encode("utf-8", "replace").decode()
