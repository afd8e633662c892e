"""A vendor whose answers a test writes down in advance, and that counts what it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    Look,
    LookStatus,
    Remote,
    Sighting,
    Submitted,
    Task,
    TriggerUncertain,
    VendorAuthFailed,
)

SIGNED = "https://media.example/clip.mp4?Signature=canary-signature"


@dataclass
class Stage:
    """What happens at the vendor. A list holds what the next calls meet: an exception, an answer, something to do
    before one (a callable that gives it), or the usual (None).

    `lose` names verbs whose work is done and whose answer is lost, once each.
    """

    trigger: list[Any] = field(default_factory=list)
    find: list[Any] = field(default_factory=list)
    adopt: list[Any] = field(default_factory=list)
    poll: list[Any] = field(default_factory=list)
    locate: list[Any] = field(default_factory=list)
    abort: list[Any] = field(default_factory=list)
    lose: list[Exception] = field(default_factory=list)
    accepted: str | None = None  # the only secret key whose calls are not refused; None: every one
    refusals: int = 0  # calls refused for their key
    findable: bool = True  # find() can tell; else it says that it cannot
    searched: bool = True  # False: find() makes no call and says that there is none, for another trigger is harmless
    chunks: int = 1
    calls_a_look: int = 1
    files: int = 1
    tasks: list[str] = field(default_factory=list)  # one entry a piece of work started: its key
    aborted: list[Mapping[str, Any]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    effect: Callable[[str, Callable[[], Any]], Any] = lambda name, act: act()
    before_read: Callable[[str], None] = lambda name: None

    def meet(self, verb: str, usual: Callable[[], Any]) -> Any:
        if verb not in ("trigger", "abort"):  # these two pass `effect`
            self.before_read(f"vendor {verb}")
        self.calls[verb] += 1
        script = getattr(self, verb)
        scripted = script.pop(0) if script else None
        if isinstance(scripted, BaseException):
            raise scripted
        if scripted is None:
            return usual()
        return scripted() if callable(scripted) else scripted


def clip(number: int, status: LookStatus = LookStatus.READY, **facts: Any) -> Sighting:
    return Sighting(f"v{number}", f"clip {number}.mp4", status, **facts)


def look(*sightings: Sighting, status: LookStatus = LookStatus.READY, **facts: Any) -> Look:
    return Look(status, files=sightings, **facts)


RUNNING = Look(LookStatus.RUNNING, "Working", progress=40)


class Scripted:
    """The vendor's class as the registry names it; `stage` is set by the fixture."""

    name: ClassVar[str] = "scripted"
    title: ClassVar[str] = "A vendor for tests"
    request_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "properties": {"url": {"type": "string"}, "record_duration": {"type": "integer", "minimum": 10}},
    }
    adopt_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["task_id"],
        "properties": {"task_id": {"type": "string"}},
    }
    secret_keys: ClassVar[tuple[str, ...]] = ("secret_key",)
    limits: ClassVar[Mapping[str, Any]] = {}
    can_abort: ClassVar[bool] = True
    spent_codes: ClassVar[frozenset[str]] = frozenset({"SOURCE_EXPIRED"})
    api_hosts: ClassVar[tuple[str, ...]] = ("api.example",)
    download_hosts: ClassVar[tuple[str, ...]] = ("media.example",)
    default_deadline: ClassVar[int] = 3600
    trusted_hosts: ClassVar[tuple[str, ...]] = ()
    rates: ClassVar[Mapping[str, Rate]] = {ANY: Rate(1000, 1.0)}
    stage: ClassVar[Stage] = Stage()

    def __init__(self, account: Account, outbound: Any) -> None:
        self.account, self.outbound = account, outbound

    @classmethod
    def deadline_for(cls, request: Mapping[str, Any] | None) -> int:
        return cls.default_deadline + int((request or {}).get("record_duration", 0))

    def _meet(self, verb: str, usual: Callable[[], Any]) -> Any:
        if self.stage.accepted not in (None, self.account.secret["secret_key"]):
            self.stage.refusals += 1
            raise VendorAuthFailed("the key has expired", code="Forbidden", request_id="r1")
        return self.stage.meet(verb, usual)

    def trigger(self, task: Task) -> Submitted:
        self.outbound.admit("trigger")
        return self.stage.effect("vendor trigger", lambda: self._meet("trigger", lambda: self._start(task)))

    def _start(self, task: Task) -> Submitted:
        done = len(task.refs.get("ids", []))
        self.stage.tasks.append(f"{task.key}/{done}")
        if self.stage.lose:
            raise self.stage.lose.pop(0)
        return self._submitted(task, done + 1)

    def _submitted(self, task: Task, chunks: int) -> Submitted:
        ids = [f"{task.key[:6]}-{n}" for n in range(chunks)]
        return Submitted({"ids": ids}, first_look=5, complete=chunks == self.stage.chunks)

    def find(self, task: Task) -> Submitted | None:
        def usual() -> Submitted | None:
            if not self.stage.findable:
                raise TriggerUncertain("this vendor keeps no list of its tasks")
            started = {entry for entry in self.stage.tasks if entry.startswith(task.key)}
            return self._submitted(task, len(started)) if started else None

        if not self.stage.searched:
            return None
        self.outbound.admit("find")
        return self._meet("find", usual)

    def adopt(self, task: Task) -> Submitted:
        return self._meet("adopt", lambda: Submitted({"ids": [(task.adopt or {})["task_id"]]}, first_look=1))

    def poll(self, task: Task) -> Look:
        for _ in range(self.stage.calls_a_look):
            self.outbound.admit("poll")
        files = [clip(number) for number in range(self.stage.files)]
        return self._meet("poll", lambda: look(*files))

    def locate(self, task: Task, file: KnownFile) -> Remote | None:
        self.outbound.admit("locate")
        return self._meet("locate", lambda: Remote(SIGNED, size=4))

    def abort(self, task: Task) -> bool:
        def usual() -> bool:
            self.stage.aborted.append(dict(task.refs))
            return True

        self.outbound.admit("abort")
        return self.stage.effect("vendor abort", lambda: self._meet("abort", usual))
