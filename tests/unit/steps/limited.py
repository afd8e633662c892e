"""An account with limits, as the tests of several rooms need it."""

from __future__ import annotations

import json
from typing import Any

from clipferry.pacing.call_rates import ANY, Rate
from clipferry.store.rows import TaskSlotRow

from tests.unit.steps.aws import PREFIX, client
from tests.unit.steps.world import SECRET, World

SLOW = Rate(60, 60.0, pushback=40.0)  # a call a second, slack for 2 s


def account(world: World, **limits: Any) -> None:
    """The account as its secret has it from now on."""
    secret = json.dumps({"vendor": "scripted", "secret_key": SECRET, **limits})
    client("secretsmanager").put_secret_value(SecretId=f"{PREFIX}/scripted", SecretString=secret)
    world.edge.effects.clear()
    world.edge.written.clear()


def busy(world: World, seconds: float) -> None:
    """Others have taken the account's slots for so long."""
    world.rt.call_slots.reserve("scripted", ANY, SLOW, world.rt.epoch(), round(seconds / SLOW.interval))


def rows(world: World, word: str) -> list[str]:
    """Who holds a slot, or waits, by the clock of now."""
    found = TaskSlotRow.query("INFLIGHT#scripted", TaskSlotRow.sk.startswith(word), consistent_read=True)
    return [str(row.holder) for row in found if (row.until or 0) >= world.rt.epoch()]
