"""The emulator, a simulator for each vendor and the deployed stack: everything that `make demo` and `make up` need.

The vendors' time and the machine's waits have the same scale, so an hour is equally long for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from local.emulator import Emulator
from local.simulators import simulator_class, vendors
from local.simulators.base import Simulator
from local.stack import Stack, deploy


@dataclass(frozen=True)
class World:
    stack: Stack
    simulators: dict[str, Simulator]  # by vendor


@contextmanager
def world(time_scale: float, say: Callable[[str], None] = lambda _: None) -> Iterator[World]:
    """Start everything, with one account for each vendor under the vendor's name; end it all afterwards.

    With a `time_scale` of 0.01 an hour takes 36 s. `say` is called with what is being done. Raises the errors of
    starting and deploying.
    """
    with ExitStack() as running:
        say("starting the embedded AWS")
        emulator = running.enter_context(Emulator(wait_scale=time_scale))
        say("starting the vendors")
        simulators = {name: running.enter_context(simulator_class(name)(time_scale=time_scale)) for name in vendors()}
        say("building and deploying the stack with the SAM CLI")
        stack = deploy(emulator)
        for vendor, simulator in simulators.items():
            stack.add_account(vendor, simulator.account())
        yield World(stack, simulators)
