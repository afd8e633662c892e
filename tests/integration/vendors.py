"""A simulator and an account of its own for each test that wants one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

from local.simulators.base import Simulator
from local.stack import Stack

TIME_SCALE = 0.01  # an hour passes in 36 s, for the vendors and for the machine's waits

Kind = TypeVar("Kind", bound=Simulator)


class Vendors:
    """Starts simulators and opens an account for each, under a name that no warm function has in its cache."""

    def __init__(self, stack: Stack, numbers: Iterator[int], running: ExitStack) -> None:
        self._stack, self._numbers, self._running = stack, numbers, running

    def __call__(self, kind: type[Kind], **settings: Any) -> tuple[Kind, str]:
        """A running simulator of this kind and the name of the account that works with it."""
        simulator = self._running.enter_context(kind(**{"time_scale": TIME_SCALE, **settings}))
        account = f"{simulator.vendor}-{next(self._numbers)}"
        self._stack.add_account(account, simulator.account())
        return simulator, account
