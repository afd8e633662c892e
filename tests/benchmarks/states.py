"""State transitions of one execution, as AWS bills them, from the history that the emulator keeps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def transitions(history: Iterable[Mapping[str, Any]]) -> int:
    """Every state entered and every retry.

    Of what happens inside a Map the emulator notes the tasks alone. There the definition says the rest: each Download
    that succeeds leads to More, from More a wait leads to Pause, and each file ends in Settled or LeftOver.
    """
    count, tries, inside = 0, 0, False
    for event in history:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            count, tries = count + 1, 0
            if kind == "MapStateEntered":
                inside = True
                count += len(json.loads(event["stateEnteredEventDetails"]["input"])["ready"])  # where each item ends
        elif kind == "MapStateExited":
            inside = False
        elif kind == "TaskScheduled":
            count += inside or tries > 0
            tries += 1
        elif kind == "TaskSucceeded" and inside:
            outcome = json.loads(event["taskSucceededEventDetails"]["output"])["Payload"]
            count += 2 if outcome["more"] and outcome["wait_seconds"] > 0 else 1
    return count
