"""The faults that a simulator makes on request: which fault, for which operation, how often."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What goes wrong. Unless it says otherwise, the vendor has not acted on the request."""

    STATUS = "status"  # HTTP `status`, in the vendor's form
    THROTTLE = "throttle"  # too many calls; with `retry_after` seconds as a hint, if given
    REFUSE = "refuse"  # a permanent refusal of the vendor, with `code` and `message`
    HTML = "html"  # a proxy's error page, with `status`
    EMPTY = "empty"  # no body, with `status`
    BODY = "body"  # exactly `body`, with `status` and `content_type`
    TRUNCATED = "truncated"  # the vendor acts; half of the reply is sent as if it were whole
    DELAY = "delay"  # the vendor acts and answers, `seconds` late
    RESET_BEFORE = "reset_before"  # the connection breaks before the vendor acts
    RESET_AFTER = "reset_after"  # the vendor acts; the reply is lost
    DOUBLED = "doubled"  # a proxy sends the request twice, and returns the second answer
    # downloads only
    MISSING = "missing"  # 404
    EXPIRED = "expired"  # 403, as after the URL's expiry
    SHORT = "short"  # ends cleanly after `after` bytes, although more were declared
    RESET = "reset"  # breaks after `after` bytes
    WRONG_RANGE = "wrong_range"  # 206 with another Content-Range than the requested one
    NO_RANGES = "no_ranges"  # 200 and the whole file, whatever range was requested
    NO_LENGTH = "no_length"  # 200 without Content-Length and ranges; the body ends with the connection
    CHANGED = "changed"  # from now on the file has other bytes and another ETag
    GZIP = "gzip"  # Content-Encoding: gzip, although it was not requested
    REDIRECT = "redirect"  # 302 to `location`


@dataclass(frozen=True)
class Fault:
    kind: Kind | str
    status: int = 0  # 0: the default of the kind
    retry_after: float | None = None  # seconds
    seconds: float = 0.0  # real seconds
    after: int = 0  # bytes of the reply's body
    code: str = ""
    message: str = ""
    body: str = ""
    content_type: str = "application/json"
    location: str = ""
    acts: bool = False  # the vendor also acts on the request, and its answer is replaced by the fault

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind(self.kind))


@dataclass
class _Planned:
    operation: str
    fault: Fault
    left: int | None  # None: until cleared


class FaultPlan:
    """Planned faults in order. Each request gets the first fault that is planned for its operation."""

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
        """The next fault for any of these names of the operation. A fault for `*` is for all operations."""
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
