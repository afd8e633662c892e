"""What every vendor offers, in one vocabulary. A vendor module knows its protocol and nothing of AWS or of jobs.

A vendor is a class constructed as `Vendor(account, outbound)`; its class attributes describe it to the API
(`GET /vendors`), its six verbs work on a `Task`. Parse leniently (numbers as strings, missing and extra keys),
send strictly.

Every verb may raise these five errors, and nothing else that is not one of their subclasses:

    VendorUnavailable   no usable answer; `reached` says whether the call may have had an effect
    VendorThrottled     too many calls; the call had no effect
    VendorRefused       a permanent no
    VendorAuthFailed    the credentials are refused
    TriggerUncertain    raised by `find` alone: it cannot tell whether an earlier trigger had an effect

Which answer proves what about a call, and which error it therefore is, stands in one place: `call_results.Meaning`.
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

REFS_MAX = 120 * 1024  # bytes of a task's refs, written in ASCII; as much of what is adopted is taken
NAME_MAX = 1024  # characters of a file's name


class VendorError(Exception):
    """What went wrong at a vendor. What it says holds no URL queries; `message` must hold no credentials either."""

    def __init__(self, message: str, *, code: str | None = None, request_id: str | None = None) -> None:
        self.message = redact(message)
        super().__init__(self.message)
        self.code = redact(code) if code else code
        self.request_id = redact(request_id) if request_id else request_id


class VendorUnavailable(VendorError):
    """Network trouble, HTTP 5xx, a body that is not the vendor's: asking again may help.

    `reached` False: the call provably had no effect (nothing was sent, or the vendor says that it did nothing), so
    that it may be repeated. True: nobody knows, so that a trigger is followed by `find`. `retry_after`: the vendor's
    own hint in seconds.
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
    """The vendor had the call before: an earlier copy of it arrived, and may have had its effect."""


class VendorThrottled(VendorError):
    """Too many calls: the call had no effect. `retry_after` is the vendor's own hint in seconds, when it gave one."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, code: str | None = None, request_id: str | None = None
    ):
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after = retry_after


class CallHeldBack(VendorThrottled):
    """Our own no, raised in the call's place by the way out: the call was not made.

    `wait` seconds lie before it is worth asking again.
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message, retry_after=wait)
        self.wait = wait


class OverBudget(CallHeldBack):
    """The account's call rate has no slot for the call soon enough; one is kept for whoever asked."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"the account's budget allows the next call in {wait:.0f} s", wait)


class OutOfTime(CallHeldBack):
    """The step that asks has no time left for another call. The first call of a question is always made."""

    def __init__(self) -> None:
        super().__init__("the step's time is over; the next one goes on", 1.0)


class VendorRefused(VendorError):
    """A permanent no: asking again the same way gets the same answer. The call had no effect.

    `kind` is the job's error code when the vendor's no has a name of its own here, such as VENDOR_TASK_NOT_FOUND.
    """

    def __init__(
        self, message: str, *, kind: str = "VENDOR_REFUSED", code: str | None = None, request_id: str | None = None
    ):
        super().__init__(message, code=code, request_id=request_id)
        self.kind = kind


class VendorAuthFailed(VendorError):
    """The vendor does not accept the account's credentials. The call had no effect."""


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
    rate: Mapping[str, Any] | None = None  # in place of the vendor's published one, see `call_rates.Rate.parse`
    download_headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # secret; see `FileHeaders`

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
    ready: bool  # seen READY before: `poll` leaves it out and counts it as done, `locate` asks for its URL
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
    looks: int = 0  # made so far: what a look begins with changes with it, see `portions.in_turn`


@dataclass(frozen=True)
class Submitted:
    """What a trigger (or find, or adopt) gave. `refs` replaces the task's refs.

    `complete` False: not all of the work has its refs yet. The caller writes down those there are; then it calls
    `trigger` again for the rest, after `adopt` it calls `adopt` again. `in_doubt` True: nobody knows of some of the
    rest whether it arrived, because the trigger's answer left it out or the time for a search was over; the caller
    writes the refs down and calls `find`.
    """

    refs: Mapping[str, Any]
    first_look: float = 0.0  # seconds until a look is worth its call
    complete: bool = True
    in_doubt: bool = False

    def __post_init__(self) -> None:
        """Raises VendorUnavailable for ids that are none: the job's row could not hold them."""
        if len(json.dumps(dict(self.refs))) > REFS_MAX:
            raise VendorUnavailable(
                f"the vendor's ids take more than {REFS_MAX} bytes: that is no answer of this vendor"
            )


@dataclass(frozen=True)
class Sighting:
    """One file as a look saw it."""

    ref: str  # the vendor's identity for it within the task: stable from look to look
    name: str  # for people; a URL in it loses its query, and it ends after NAME_MAX characters
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", redact(self.name)[:NAME_MAX])


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


class ApiOutbound(Protocol):
    """What a vendor needs of the way out (`outbound.client.Outbound`).

    Both calls check the URL's host against `hosts` (suffixes) and raise `NotSent` (nothing reached the other side),
    `NoReply` (it may have acted) or `AddressRefused`; `call_results.exchange` turns these into the contract's errors.
    """

    @property
    def origin(self) -> Any:
        """The same object for every question of one process: what a process learns can be kept under it."""

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
        """One API call, sent once; any HTTP status is a Reply, a redirect is not followed.

        `operation` is the vendor's name for what is called. The call waits for a slot of the account's call rate, in
        the group of `rates` that has that name. Raises CallHeldBack, in place of the call, where the slot is too far
        off or the step's time is over.
        """

    def stream(
        self, url: str, *, hosts: Sequence[str], headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Stream]:
        """The head of a download, for a vendor that has to know whether a file server answers."""


class Vendor(Protocol):
    """The contract. Class attributes are data for validation, `GET /vendors`, pacing and the address guard."""

    name: ClassVar[str]
    title: ClassVar[str]
    #: JSON Schema 2020-12 of a job's `request`. Beside the standard's keywords: `x-problem` is what a user reads when a
    #: rule is broken; `x-prose: true` marks a text that people read, which may hold line breaks (`intake.characters`).
    request_schema: ClassVar[Mapping[str, Any]]
    adopt_schema: ClassVar[Mapping[str, Any]]  # … and of `adopt`
    secret_keys: ClassVar[Sequence[str]]  # required in the account's secret, besides "vendor"
    limits: ClassVar[Mapping[str, Any]]  # for people: batch sizes, call rates
    rates: ClassVar[Mapping[str, Rate]]  # calls an account may make, by operation; `call_rates.ANY` for all others
    can_abort: ClassVar[bool]
    #: Error codes after which a retry asks for new work: `refs` and `key` are new, settled files stay in `task.files`.
    spent_codes: ClassVar[frozenset[str]]
    api_hosts: ClassVar[Sequence[str]]  # host suffixes its API answers on
    download_hosts: ClassVar[Sequence[str]]  # host suffixes its files come from
    default_deadline: ClassVar[int]  # seconds a job may take when the user did not say, see `deadline_for`
    trusted_hosts: Sequence[str]  # hosts that the account itself names: its files may come from them as well

    def __init__(self, account: Account, outbound: ApiOutbound) -> None: ...

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        """Seconds a job may take when the user did not say: `default_deadline` and the time the work itself takes.

        `request` is None for a job that adopts.
        """

    def trigger(self, task: Task) -> Submitted:
        """Start the vendor's work, or its next chunk, in one call that acts.

        Leaves out what is settled in `task.files` and what has its refs already. Called after `find` said None, or
        after an error that proves that the call had no effect. An answer that proves an earlier arrival of the call
        is a VendorUnavailable with `reached` True, never a reason to send it again.
        """

    def find(self, task: Task) -> Submitted | None:
        """The work of an earlier trigger whose outcome is not known. None: the caller triggers (again).

        None says that the work is provably absent, or harmless to repeat. Only work of this task counts, never other
        or older work of the same source. Raises TriggerUncertain when it cannot tell.
        """

    def adopt(self, task: Task) -> Submitted:
        """Refs for work that exists at the vendor already, from `task.adopt`. Makes no call it can avoid."""

    def poll(self, task: Task) -> Look:
        """Look once, in as few calls as the vendor allows. A file is READY only once its URL was seen.

        A VendorThrottled or VendorUnavailable after something was seen ends the look early (`Look.cut_short`), so
        that nothing seen is lost. The next look begins elsewhere (`portions.in_turn`).
        """

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        """A fresh URL for a ready file. None: not there at the moment, look again. Never triggers new work."""

    def abort(self, task: Task) -> bool:
        """Ask the vendor to stop. False: this vendor cannot."""
