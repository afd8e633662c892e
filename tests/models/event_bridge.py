"""EventBridge in memory: buses that take events and deliver them to nobody."""

from __future__ import annotations

import json
from typing import Any

from tests.models.service import Parameters, Refused, Service

ENTRIES_MAX = 10  # of one PutEvents (AWS limit)
REQUIRED = ("Source", "DetailType", "Detail")


class EventBridge(Service):
    """The service."""

    def __init__(self) -> None:
        super().__init__()
        self._buses = {"default"}

    def _create_event_bus(self, asked: Parameters) -> dict[str, Any]:
        self._buses.add(asked["Name"])
        return {}

    def _put_events(self, asked: Parameters) -> dict[str, Any]:
        if len(asked["Entries"]) > ENTRIES_MAX:
            raise Refused("ValidationException", f"more than {ENTRIES_MAX} entries")
        told = [self._take(entry) for entry in asked["Entries"]]
        return {"Entries": told, "FailedEntryCount": sum("ErrorCode" in entry for entry in told)}

    def _take(self, entry: Parameters) -> dict[str, Any]:
        if missing := [name for name in REQUIRED if not entry.get(name)]:
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": f"{missing[0]} is a required argument."}
        try:
            json.loads(entry["Detail"])
        except ValueError:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        bus = entry.get("EventBusName", "default")
        if bus not in self._buses:
            raise Refused("ResourceNotFoundException", f"Event bus {bus} does not exist.")
        return {"EventId": "taken"}

    operations = {  # noqa: RUF012 - a constant of the base class's type
        "CreateEventBus": _create_event_bus,
        "PutEvents": _put_events,
    }
