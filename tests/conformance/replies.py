"""Any reply a vendor might send: well-formed ones with anything in them changed, and bytes that are no reply at all."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from clipferry.outbound.client import Headers, Reply
from clipferry.vendors.contract import KnownFile, LookStatus, Task, Vendor, VendorError
from hypothesis import strategies as st

ODD: Sequence[Any] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    100,
    "100",
    "0",
    "-1",
    "1",
    99,
    7,
    10**30,
    -5.5,
    0.0,
    1e300,
    "",
    " ",
    "null",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"x": 1},
    "\ud800",
    "\x00",
    "..",
    "录像🎥",
    "a" * 3000,
    "a" * 500_000,
    "true",
    "false",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
    "2025-01-02 11:04:05",
    "SUCCESS",
    "Success",
    "200",
    200,
    "403",
    "500",
    "http://",
    "http://[::1",
    "https://example.com/v.mp4?Expires=1&Signature=s",
    "ftp://example.com/v.mp4",
    "javascript:alert(1)",
    "//example.com/x",
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON value, the whole included."""
    found = [at]
    if isinstance(value, dict):
        found += [path for key, inner in value.items() for path in paths(inner, (*at, key))]
    elif isinstance(value, list):
        found += [path for index, inner in enumerate(value) for path in paths(inner, (*at, index))]
    return found


@st.composite
def mutated(draw: st.DrawFn, samples: Sequence[Any]) -> bytes:
    """One of the samples: as it is, with up to four values replaced, dropped or doubled, or cut and spoilt as bytes."""
    value = copy.deepcopy(draw(st.sampled_from(list(samples))))
    for _ in range(draw(st.integers(0, 4))):
        value = _changed(draw, value)
    content = json.dumps(value).encode()
    match draw(st.sampled_from(["whole"] * 8 + ["cut", "html", "empty", "bom", "bytes"])):
        case "cut":
            return content[: draw(st.integers(0, len(content)))]
        case "html":
            return b"<html><body>" + content + b"</body></html>"
        case "empty":
            return b""
        case "bom":
            return b"\xef\xbb\xbf" + content
        case "bytes":
            return draw(st.binary(max_size=40))
    return content


def _changed(draw: st.DrawFn, value: Any) -> Any:
    path = draw(st.sampled_from(paths(value)))
    odd = copy.deepcopy(draw(st.sampled_from(ODD)))
    if not path:
        return odd
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    match draw(st.sampled_from(["replace", "replace", "drop", "wrap", "double", "spell"])):
        case "drop":
            del parent[path[-1]]
        case "wrap":
            parent[path[-1]] = [parent[path[-1]]]
        case "double" if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
        case "spell":
            parent[path[-1]] = str(parent[path[-1]])
        case _:
            parent[path[-1]] = odd
    return value


@dataclass(frozen=True)
class Asked:
    """A request as it would have been sent."""

    method: str
    target: str  # path and query
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | str | None


class Answering:
    """An outbound whose replies are a function of the request: asked the same, it answers the same.

    A file server that is asked for anything answers with `served`, an HTTP status.
    """

    def __init__(self, answer: Callable[[Asked], Reply], served: int = 206) -> None:
        self._answer, self._served = answer, served
        self.asked: list[Asked] = []

    @property
    def origin(self) -> Answering:
        return self

    def call(
        self,
        method: str,
        url: str,
        *,
        hosts: Any,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        auth: Any = None,
        **_: Any,
    ) -> Reply:
        sent = requests.Request(method, url, params=params, data=data, headers=headers, auth=auth).prepare()
        parts = urlsplit(sent.url or "")
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        asked = Asked(method, target, dict(parse_qsl(parts.query)), sent.headers, sent.body)
        self.asked.append(asked)
        return self._answer(asked)

    @contextmanager
    def stream(self, url: str, **_: Any) -> Iterator[Reply]:
        """What a look at the head of a download takes; nobody reads a body here."""
        yield reply(b"x", self._served)


def reply(content: bytes, status: int = 200, **headers: str) -> Reply:
    return Reply(status, Headers([(name.replace("_", "-"), value) for name, value in headers.items()]), content)


def never_misread(vendor: Vendor, tasks: Sequence[Task]) -> None:
    """Put every question to the vendor. It raises nothing but VendorError, what it calls ready has a URL, and whatever
    it hands back can be written down."""
    for task in tasks:
        for question in (vendor.trigger, vendor.find, vendor.adopt, vendor.abort):
            if (question == vendor.adopt) == (task.adopt is not None):
                with writable_errors():
                    assert_writable(question(task))
        if not task.refs:  # triggered, nobody knows whether: there is nothing to look at
            continue
        with writable_errors():
            look = vendor.poll(task)
            assert_writable(look)
            assert len({seen.ref for seen in look.files}) == len(look.files)
            for seen in look.files:
                known = {file.ref: file for file in task.files}
                if seen.status is LookStatus.READY and not (seen.ref in known and known[seen.ref].ready):
                    file = KnownFile(seen.ref, seen.name, False, True, seen.detail)
                    remote = vendor.locate(replace(task, files=[*task.files, file]), file)
                    assert remote is not None, f"{seen} is called ready and cannot be located"
                    assert urlsplit(remote.url).scheme in ("http", "https")
                    assert urlsplit(remote.url).hostname


@contextmanager
def writable_errors() -> Iterator[None]:
    """Lets the contract's errors pass whose words can be written down."""
    try:
        yield
    except VendorError as error:
        assert_writable([error.message, error.code, error.request_id, getattr(error, "kind", None)])


def assert_writable(value: Any) -> None:
    """As a row is: JSON in UTF-8, within the 400 KB of a DynamoDB item."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    assert len(json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()) < 400_000
