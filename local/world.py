"""The emulator, a simulator for each vendor and the deployed stack: everything `make demo` and `make up` need.

One scale for the vendors' time and the machine's waits, so that both see the same hour pass.
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
    """Everything running, one account a vendor under the vendor's name; all of it gone afterwards.

    `time_scale` 0.01 lets an hour pass in 36 s; `say` is told what is being done. Raises what starting and deploying
    raise.
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
