"""The contract of all vendors. A vendor's package knows its protocol; it does not depend on AWS or on jobs.

A vendor is a class that is constructed as `Vendor(account, outbound)`. Its class attributes describe it to the API
(`GET /vendors`), and its six methods work on a `Task`. It parses leniently (numbers as strings, missing and extra keys)
and sends strictly.

Each method may raise these five errors and their subclasses, and no other error:

    VendorUnavailable   no usable answer; `reached` says whether the call may have had an effect
    VendorThrottled     too many calls; the call had no effect
    VendorRefused       refused for good: the same call would get the same answer
    VendorAuthFailed    the credentials are refused
    TriggerUncertain    only from `find`: it is not known whether an earlier trigger had an effect

`call_results.Meaning` is the one place that says what an answer proves about a call, and which error it gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from clipferry.redaction import redact

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from clipferry.outbound.client import Reply, Stream
    from clipferry.pacing.call_rates import Rate

REFS_MAX = 120 * 1024  # bytes of a task's refs as JSON in ASCII; the same limit as for `adopt`
NAME_MAX = 1024  # characters of a file's name


class VendorError(Exception):
    """An error of a vendor call. URLs in it lose their queries; `message` must hold no credentials."""

    def __init__(self, message: str, *, code: str | None = None, request_id: str | None = None) -> None:
        self.message = redact(message)
        super().__init__(self.message)
        self.code = redact(code) if code else code
        self.request_id = redact(request_id) if request_id else request_id


class VendorUnavailable(VendorError):
    """A network error, HTTP 5xx, or a body that is not the vendor's: a later call may succeed.

    `reached` False: the call certainly had no effect (nothing was sent, or the vendor says that it did nothing), so it
    may be repeated. True: it may have had an effect, so after a trigger the caller calls `find`. `retry_after`: the
    vendor's hint in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        reached: bool = True,
        retry_after: float | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.reached, self.retry_after = reached, retry_after


class CallRepeated(VendorUnavailable):
    """The vendor says that the call is a repetition: an earlier copy of it arrived, and may have had an effect."""


class VendorThrottled(VendorError):
    """Too many calls: the call had no effect. `retry_after`: the vendor's hint in seconds, if it gave one."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, code: str | None = None, request_id: str | None = None
    ):
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after = retry_after


class CallHeldBack(VendorThrottled):
    """Clipferry itself did not make the call: too many calls, or no time left.

    `wait`: seconds until the caller should try again.
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message, retry_after=wait)
        self.wait = wait


class OverBudget(CallHeldBack):
    """The account's next free call slot is too far away. The slot is reserved for the caller."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the account's budget allows the next call in {wait:.0f} s", wait)


class OutOfTime(CallHeldBack):
    """The step has no time left for another call. The first call of a question is always made."""

    def __init__(self) -> None:
        super().__init__("the step's time is over; the next one goes on", 1.0)


class VendorRefused(VendorError):
    """The vendor refuses the call for good: the same call would get the same answer. The call had no effect.

    `kind`: the job's error code, if the refusal has a code of its own, such as VENDOR_TASK_NOT_FOUND.
    """

    def __init__(
        self, message: str, *, kind: str = "VENDOR_REFUSED", code: str | None = None, request_id: str | None = None
    ):
        super().__init__(message, code=code, request_id=request_id)
        self.kind = kind


class VendorAuthFailed(VendorError):
    """The vendor does not accept the account's credentials. The call had no effect."""


class TriggerUncertain(VendorError):
    """`find` cannot find out whether the vendor acted on an earlier trigger.

    `look_again`: seconds after which `find` may know; None when a wait does not help.
    """

    def __init__(self, message: str, *, look_again: float | None = None) -> None:
        super().__init__(message)
        self.look_again = look_again


class LookStatus(StrEnum):
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"
    EMPTY = "EMPTY"
    UNKNOWN = "UNKNOWN"  # the vendor's documentation does not name the raw status; treated as RUNNING for some looks


@dataclass(frozen=True)
class Account:
    """One set of vendor credentials. The repr shows only the name and the account's limits, so that no log has them."""

    name: str
    secret: Mapping[str, str] = field(repr=False)
    rate: Mapping[str, Any] | None = None  # in place of the vendor's published one, see `call_rates.Rate.parse`
    download_headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # secret; see `FileHeaders`

    @property
    def endpoint(self) -> str | None:
        """A base URL in place of the vendor's public one."""
        return self.secret.get("endpoint") or None

    @property
    def connections(self) -> int | None:
        """Connections at once to the source of one file; None: the deployment's number."""
        return int(self.secret["connections"]) if "connections" in self.secret else None

    @property
    def max_in_flight(self) -> int | None:
        """Vendor tasks at once; None: as many as there are jobs."""
        return int(self.secret["max_in_flight"]) if "max_in_flight" in self.secret else None


@dataclass(frozen=True)
class KnownFile:
    """A file that the job has stored after an earlier look."""

    ref: str
    name: str
    settled: bool  # STORED or FAILED: the vendor need not be asked about it again
    ready: bool  # an earlier look found it READY: `poll` leaves it out and counts it as done, `locate` gets its URL
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One vendor task as a job knows it. All fields but the times can be written as JSON."""

    key: str  # 32 hex digits: the same for each repetition of one trigger, another one for new work
    request: Mapping[str, Any] | None
    adopt: Mapping[str, Any] | None
    refs: Mapping[str, Any]  # ids that the vendor has given so far; never URLs with signatures
    triggered_at: datetime | None  # UTC; when the intent to trigger was stored
    elapsed: float = 0.0  # seconds since then
    files: Sequence[KnownFile] = ()
    looks: int = 0  # looks so far; `portions.in_turn` uses it to start each look with other items


@dataclass(frozen=True)
class Submitted:
    """The result of a trigger, of `find` or of `adopt`. `refs` replaces the task's refs.

    `complete` False: not all of the work has its refs yet. The caller stores these refs and calls `trigger` again for
    the rest; after `adopt` it calls `adopt` again. `in_doubt` True: it is not known whether a part of the rest arrived,
    because the trigger's answer left it out or the time for a search ended; the caller stores these refs and calls
    `find`.
    """

    refs: Mapping[str, Any]
    first_look: float = 0.0  # seconds before which the work cannot be finished
    complete: bool = True
    in_doubt: bool = False

    def __post_init__(self) -> None:
        """Raises VendorUnavailable for ids that are too long for the job's row."""
        if len(json.dumps(dict(self.refs))) > REFS_MAX:
            raise VendorUnavailable(
                f"the vendor's ids take more than {REFS_MAX} bytes: that is no answer of this vendor"
            )


@dataclass(frozen=True)
class Sighting:
    """One file as a look found it."""

    ref: str  # the vendor's identifier for it within the task: the same in each look
    name: str  # for people; a URL in it loses its query, and it is cut after NAME_MAX characters
    status: LookStatus
    raw_status: str = ""
    progress: int | None = None  # percent
    kind: str = "file"  # or "hls"
    size: int | None = None  # bytes
    md5: str | None = None  # 32 lower-case hex
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON values that `locate` needs; no signed URLs
    code: str | None = None  # the file's error code when FAILED, e.g. NO_RECORDING, VENDOR_FILE_FAILED
    message: str | None = None
    vendor_code: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", redact(self.name)[:NAME_MAX])


@dataclass(frozen=True)
class Look:
    """The result of one look at a task. READY: all files are known, and each is ready or failed at the vendor.

    RUNNING may hold files that are already READY. FAILED and EMPTY concern the task as a whole, with a code.
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
    cut_short: VendorThrottled | None = None  # the limit that ended the look early; `files` holds what it had found


@dataclass(frozen=True)
class Remote:
    """The present URL of a ready file, and the vendor's facts about its bytes. Never stored; fetched when needed."""

    url: str = field(repr=False)
    size: int | None = None
    md5: str | None = None
    expires_at: datetime | None = None
    kind: str = "file"


class ApiOutbound(Protocol):
    """The part of `outbound.client.Outbound` that a vendor uses.

    Both calls check the URL's host against `hosts` (suffixes). They raise `NotSent` (nothing reached the server),
    `NoReply` (the server may have acted) or `AddressRefused`; `call_results.exchange` turns these into the contract's
    errors.
    """

    @property
    def origin(self) -> Any:
        """The same object for all questions of one process, as a key for what the process has learned."""

    def call(
        self,
        method: str,
        url: str,
        *,
        hosts: Sequence[str],
        params: Mapping[str, str] | None = None,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        operation: str = "",
    ) -> Reply:
        """Make one API call, once. Any HTTP status is a Reply; a redirect is not followed.

        `operation`: the vendor's name of the operation. The call waits for a call slot of the account, in the group of
        `rates` with that name. Raises CallHeldBack without a call when the slot is too far away, or when the step has
        no time left.
        """

    def stream(
        self, url: str, *, hosts: Sequence[str], headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Stream]:
        """Begin a download, for a vendor that has to know whether a file server answers."""


class Vendor(Protocol):
    """The contract. Its class attributes are used by validation, `GET /vendors`, pacing and the address guard."""

    name: ClassVar[str]
    title: ClassVar[str]
    #: JSON Schema 2020-12 of a job's `request`. Beside the standard's keywords: `x-problem` is what a user reads when a
    #: rule is broken; `x-prose: true` marks a text that people read, which may hold line breaks (`intake.characters`).
    request_schema: ClassVar[Mapping[str, Any]]
    adopt_schema: ClassVar[Mapping[str, Any]]  # the same for `adopt`
    secret_keys: ClassVar[Sequence[str]]  # required in the account's secret, besides "vendor"
    limits: ClassVar[Mapping[str, Any]]  # for people: batch sizes, call rates
    rates: ClassVar[Mapping[str, Rate]]  # calls an account may make, by operation; `call_rates.ANY` for all others
    can_abort: ClassVar[bool]
    #: Error codes after which a retry asks for new work: `refs` and `key` are new, settled files stay in `task.files`.
    spent_codes: ClassVar[frozenset[str]]
    api_hosts: ClassVar[Sequence[str]]  # host suffixes of its API
    download_hosts: ClassVar[Sequence[str]]  # host suffixes of its files
    default_deadline: ClassVar[int]  # seconds that a job may take when the user gives no limit, see `deadline_for`
    trusted_hosts: Sequence[str]  # hosts that the account itself names: its files may also come from them

    def __init__(self, account: Account, outbound: ApiOutbound) -> None: ...

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        """Seconds that a job may take if the user gives no limit: `default_deadline` plus the time of the work itself.

        `request` is None for a job that adopts.
        """

    def trigger(self, task: Task) -> Submitted:
        """Start the vendor's work, or its next part, with one call that has an effect.

        It leaves out what is settled in `task.files` and what already has refs. It is called after `find` returned
        None, or after an error which proves that the call had no effect. If the answer proves that the call had arrived
        before, it raises VendorUnavailable with `reached` True, and never sends the call again.
        """

    def find(self, task: Task) -> Submitted | None:
        """Find the work of an earlier trigger whose outcome is not known. None: the caller triggers (again).

        None means that there is certainly no such work, or that a repetition does no harm. Only work of this task
        counts, never other or older work of the same source. Raises TriggerUncertain when it cannot find out.
        """

    def adopt(self, task: Task) -> Submitted:
        """The refs of work that already exists at the vendor, from `task.adopt`, with as few calls as possible."""

    def poll(self, task: Task) -> Look:
        """Look once, in as few calls as the vendor allows. A file is READY only once its URL was seen.

        A VendorThrottled or VendorUnavailable after some results ends the look early (`Look.cut_short`), so that no
        result is lost. The next look begins with other items (`portions.in_turn`).
        """

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        """A new URL of a ready file. None: not available now, try again later. Never triggers new work."""

    def abort(self, task: Task) -> bool:
        """Ask the vendor to stop the work. False: this vendor cannot."""
