"""Faults a simulator commits on request: which one, on which operation, how often."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What goes wrong. Unless it says otherwise, the vendor has not acted on the request."""

    STATUS = "status"  # HTTP `status` with the vendor's way of saying so
    THROTTLE = "throttle"  # too many calls, with `retry_after` seconds as hint when given
    REFUSE = "refuse"  # the vendor's permanent no with `code` and `message`
    HTML = "html"  # a proxy's error page, with `status`
    EMPTY = "empty"  # no body, with `status`
    BODY = "body"  # `body` word for word, with `status` and `content_type`
    TRUNCATED = "truncated"  # acted; half of the reply as if it were whole
    DELAY = "delay"  # acts and answers, `seconds` late
    RESET_BEFORE = "reset_before"  # the connection breaks before the vendor acts
    RESET_AFTER = "reset_after"  # acted; the reply is lost
    DOUBLED = "doubled"  # a hop on the way sends the request twice, and hands on the second answer
    # downloads only
    MISSING = "missing"  # 404
    EXPIRED = "expired"  # 403, as after the URL's expiry
    SHORT = "short"  # ends cleanly after `after` bytes, though more were declared
    RESET = "reset"  # breaks after `after` bytes
    WRONG_RANGE = "wrong_range"  # 206 whose Content-Range is not the one asked for
    NO_RANGES = "no_ranges"  # 200 and the whole file, whatever range was asked for
    NO_LENGTH = "no_length"  # 200 with neither Content-Length nor ranges; ends with the connection
    CHANGED = "changed"  # from now on the file is another one, with another ETag
    GZIP = "gzip"  # Content-Encoding: gzip although nobody asked
    REDIRECT = "redirect"  # 302 to `location`


@dataclass(frozen=True)
class Fault:
    kind: Kind | str
    status: int = 0  # 0: the kind's own
    retry_after: float | None = None  # seconds
    seconds: float = 0.0  # real seconds
    after: int = 0  # bytes of the reply's body
    code: str = ""
    message: str = ""
    body: str = ""
    content_type: str = "application/json"
    location: str = ""
    acts: bool = False  # the vendor acts on the request all the same, before this answer takes its answer's place

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind(self.kind))


@dataclass
class _Planned:
    operation: str
    fault: Fault
    left: int | None  # None: until cleared


class FaultPlan:
    """Planned faults in order; each request takes the first that is meant for it."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()

    def add(self, operation: str, fault: Fault, times: int | None = 1) -> None:
        with self._lock:
            self._planned.append(_Planned(operation, fault, times))

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def take(self, *operations: str) -> Fault | None:
        """The next fault for any of these names of the operation; `*` is planned for all."""
        with self._lock:
            for planned in self._planned:
                if planned.operation in (*operations, "*"):
                    if planned.left is not None:
                        planned.left -= 1
                        if planned.left <= 0:
                            self._planned.remove(planned)
                    return planned.fault
        return None

    def as_list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{"operation": p.operation, "times": p.left, "fault": asdict(p.fault)} for p in self._planned]
