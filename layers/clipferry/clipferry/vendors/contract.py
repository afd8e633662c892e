"""What every vendor offers, in one vocabulary. A vendor module knows its protocol and nothing of AWS or of jobs.

A vendor is a class constructed as `Vendor(account, outbound)`; its class attributes describe it to the API
(`GET /vendors`), its six verbs work on a `Task`. Parse leniently (numbers as strings, missing and extra keys),
send strictly. Every verb may raise the four errors below and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol


class VendorError(Exception):
    """What went wrong at a vendor; `message` is safe to show (no URL queries, no credentials)."""

    def __init__(self, message: str, *, code: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.request_id = message, code, request_id


class VendorUnavailable(VendorError):
    """Network trouble, HTTP 5xx, a body that is not the vendor's. `reached` False: provably nothing was sent."""

    def __init__(self, message: str, *, reached: bool = True, code: str | None = None, request_id: str | None = None):
        super().__init__(message, code=code, request_id=request_id)
        self.reached = reached


class VendorThrottled(VendorError):
    """Too many calls: the call had no effect. `retry_after` is the vendor's own hint in seconds, when it gave one."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, code: str | None = None, request_id: str | None = None
    ):
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after = retry_after


class OverBudget(VendorThrottled):
    """Our own no: the account's budget has no slot for the call soon enough, so it was not made.

    `retry_after` seconds lie before the slot that is kept for whoever asked.
    """

    def __init__(self, wait: float) -> None:
        super().__init__(f"the account's budget allows the next call in {wait:.0f} s", retry_after=wait)
        self.wait = wait


class VendorRefused(VendorError):
    """A permanent no: asking again the same way gets the same answer.

    `kind` is the job's error code when the vendor's no has a name of its own here, such as VENDOR_TASK_NOT_FOUND.
    """

    def __init__(
        self, message: str, *, kind: str = "VENDOR_REFUSED", code: str | None = None, request_id: str | None = None
    ):
        super().__init__(message, code=code, request_id=request_id)
        self.kind = kind


class VendorAuthFailed(VendorError):
    """The vendor does not accept the account's credentials."""


class TriggerUncertain(VendorError):
    """`find` cannot tell whether the vendor acted on an earlier trigger.

    `look_again`: seconds after which it may be able to; None when no waiting helps.
    """

    def __init__(self, message: str, *, look_again: float | None = None) -> None:
        super().__init__(message)
        self.look_again = look_again


class LookStatus(StrEnum):
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"
    EMPTY = "EMPTY"
    UNKNOWN = "UNKNOWN"  # a raw status nobody told us of: RUNNING within a bound


@dataclass(frozen=True)
class Account:
    """One set of vendor credentials. Never printed: the repr shows only the name and its own limits."""

    name: str
    secret: Mapping[str, str] = field(repr=False)
    rate: Mapping[str, Any] | None = None  # in place of the vendor's published one, see `budget.Rate.parse`

    @property
    def endpoint(self) -> str | None:
        """A base URL in place of the vendor's public one."""
        return self.secret.get("endpoint") or None

    @property
    def connections(self) -> int | None:
        """Connections at once to the source of one file, where this account is to have its own number."""
        return int(self.secret["connections"]) if "connections" in self.secret else None

    @property
    def max_in_flight(self) -> int | None:
        """Vendor tasks at once; None: as many as there are jobs."""
        return int(self.secret["max_in_flight"]) if "max_in_flight" in self.secret else None


@dataclass(frozen=True)
class KnownFile:
    """A file the job has recorded from an earlier look."""

    ref: str
    name: str
    settled: bool  # STORED or FAILED: no need to ask the vendor about it again
    ready: bool  # seen READY once; the vendor need not be asked again until it is located
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One vendor task as a job knows it. All JSON-able but the times."""

    key: str  # 32 hex digits, the same for every repeat of one trigger, new when new work is wanted
    request: Mapping[str, Any] | None
    adopt: Mapping[str, Any] | None
    refs: Mapping[str, Any]  # what the vendor gave us so far: ids, never URLs with signatures
    triggered_at: datetime | None  # UTC; when the intent to trigger was written
    elapsed: float = 0.0  # seconds since then
    files: Sequence[KnownFile] = ()


@dataclass(frozen=True)
class Submitted:
    """What a trigger (or find, or adopt) gave. `refs` replaces the task's refs.

    `complete` False: more calls are needed (chunks); the caller writes the refs down and calls `trigger` again.
    """

    refs: Mapping[str, Any]
    first_look: float = 0.0  # seconds until a look is worth its call
    complete: bool = True


@dataclass(frozen=True)
class Sighting:
    """One file as a look saw it."""

    ref: str  # the vendor's identity for it within the task: stable from look to look
    name: str  # for people
    status: LookStatus
    raw_status: str = ""
    progress: int | None = None  # percent
    kind: str = "file"  # or "hls"
    size: int | None = None  # bytes
    md5: str | None = None  # 32 lower-case hex
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON-able, kept for `locate`; no signed URLs
    code: str | None = None  # the file's error code when FAILED, e.g. NO_RECORDING, VENDOR_FILE_FAILED
    message: str | None = None
    vendor_code: str | None = None


@dataclass(frozen=True)
class Look:
    """One look at a task. READY: every file is known and settled at the vendor (ready or failed).

    RUNNING may carry files that are already READY. FAILED and EMPTY are about the task as a whole and say why.
    """

    status: LookStatus
    raw_status: str = ""
    progress: int | None = None
    files: Sequence[Sighting] = ()
    retry_after: float | None = None  # the vendor's own hint, seconds
    code: str | None = None
    message: str | None = None
    vendor_code: str | None = None
    request_id: str | None = None
    cut_short: VendorThrottled | None = None  # a limit met on the way: the look ended early, with what it had seen


@dataclass(frozen=True)
class Remote:
    """Where a ready file is now, and what the vendor says about its bytes. Never stored: fetched when needed."""

    url: str = field(repr=False)
    size: int | None = None
    md5: str | None = None
    expires_at: datetime | None = None
    kind: str = "file"


class Vendor(Protocol):
    """The contract. Class attributes are data for validation, `GET /vendors` and the address guard."""

    name: ClassVar[str]
    title: ClassVar[str]
    request_schema: ClassVar[Mapping[str, Any]]  # JSON Schema 2020-12 of a job's `request`
    adopt_schema: ClassVar[Mapping[str, Any]]  # … and of `adopt`
    secret_keys: ClassVar[Sequence[str]]  # required in the account's secret, besides "vendor"
    limits: ClassVar[Mapping[str, Any]]  # for people: batch sizes, call rates
    can_abort: ClassVar[bool]
    spent_codes: ClassVar[frozenset[str]]  # error codes after which a retry has to ask for new work
    api_hosts: ClassVar[Sequence[str]]  # host suffixes its API answers on
    download_hosts: ClassVar[Sequence[str]]  # host suffixes its files come from
    default_deadline: ClassVar[int]  # seconds a job may take when the user did not say

    def __init__(self, account: Account, outbound: Any) -> None: ...

    def trigger(self, task: Task) -> Submitted:
        """Start the vendor's work, or its next chunk. Repeated blindly only after `VendorUnavailable.reached` False."""

    def find(self, task: Task) -> Submitted | None:
        """The work of an earlier trigger whose reply was lost. None: provably absent, or harmless to repeat.

        Raises TriggerUncertain when it cannot tell.
        """

    def adopt(self, task: Task) -> Submitted:
        """Refs for work that exists at the vendor already, from `task.adopt`. Makes no call it can avoid."""

    def poll(self, task: Task) -> Look:
        """Look once, in as few calls as the vendor allows."""

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        """A fresh URL for a ready file. None: not there at the moment, look again. Never triggers new work."""

    def abort(self, task: Task) -> bool:
        """Ask the vendor to stop. False: this vendor cannot."""
