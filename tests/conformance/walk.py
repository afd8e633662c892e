"""One task of one vendor walked through by hand: what the steps of a job do, without a store and without waiting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from clipferry.outbound.client import Outbound
from clipferry.vendors.contract import Account, KnownFile, Look, LookStatus, Remote, Sighting, Submitted, Task, Vendor

from local.simulators.base import Simulator


class Walk:
    """A vendor, a simulator of it, and the task as a job would remember it. `wait` lets the simulator's time pass."""

    def __init__(
        self,
        vendor: type[Vendor],
        simulator: Simulator,
        *,
        request: Mapping[str, Any] | None = None,
        adopt: Mapping[str, Any] | None = None,
        **secret: str,
    ) -> None:
        self.simulator = simulator
        account = Account("a", {**simulator.secret(), **secret})
        self.vendor = vendor(account, Outbound(allow_private=True))
        self.seen: dict[str, Sighting] = {}  # each file as it was last seen
        self.task = Task(key="0" * 32, request=request, adopt=adopt, refs={}, triggered_at=datetime.now(UTC))

    def start(self) -> Submitted:
        """Trigger (every chunk) or adopt, and remember the refs."""
        ask = self.vendor.trigger if self.task.adopt is None else self.vendor.adopt
        submitted = ask(self.task)
        self.task = replace(self.task, refs=submitted.refs)
        return submitted if submitted.complete else self.start()

    def wait(self, seconds: float) -> None:
        self.simulator.advance(seconds)
        self.task = replace(self.task, elapsed=self.task.elapsed + seconds)

    def look(self, after: float = 0.0) -> Look:
        """One look, whose files the task remembers."""
        self.wait(after)
        look = self.vendor.poll(self.task)
        known = {file.ref: file for file in self.task.files}
        for seen in look.files:
            self.seen[seen.ref] = seen
            ready = seen.status is LookStatus.READY
            known[seen.ref] = KnownFile(seen.ref, seen.name, seen.status is LookStatus.FAILED, ready, seen.detail)
        self.task = replace(self.task, files=list(known.values()))
        return look

    def look_until_settled(self, *, every: float = 10.0, looks: int = 200) -> Look:
        """Look until the look says nothing more will change."""
        for _ in range(looks):
            look = self.look(every)
            if look.status not in (LookStatus.RUNNING, LookStatus.UNKNOWN):
                return look
        raise AssertionError(f"still {look.status} after {looks} looks: {look}")

    def locate(self, ref: str) -> Remote | None:
        return self.vendor.locate(self.task, next(file for file in self.task.files if file.ref == ref))
