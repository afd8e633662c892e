"""`make invoke`: calls one function of the stack that `make up` started, with an event from a file."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local import background
from local.emulator import ROOT, Emulator

USAGE = "make invoke FUNCTION=poll EVENT=events/poll.json"


class NotInvoked(Exception):
    """The function was not called; the message says why, and what to do."""


def invoke(function: str, event: str) -> int:
    """Call it and print what it returned and logged. 0: it returned; 1: it raised; 2: it was not called."""
    try:
        name, payload, state = _function(function), _event(event), _state()
    except NotInvoked as reason:
        print(reason, file=sys.stderr)
        return 2
    port = urlsplit(state["aws_endpoint_url"]).port or 0
    reply = (
        Emulator(port=port)
        .client("lambda")
        .invoke(FunctionName=f"{state['stack']}-{name}", Payload=json.dumps(payload), LogType="Tail")
    )
    print(told(reply))
    return 1 if reply.get("FunctionError") else 0


def told(reply: Mapping[str, Any]) -> str:
    """The answer of Lambda's Invoke as text: the result or the error, then the function's log."""
    result = json.loads(reply["Payload"].read() or b"null")
    log = base64.b64decode(reply.get("LogResult") or "").decode(errors="replace").strip()
    heading = "raised" if reply.get("FunctionError") else "returned"
    return f"{heading}\n{json.dumps(result, indent=2, ensure_ascii=False)}\n\nlog\n{log or '(nothing)'}"


def functions() -> list[str]:
    """The names of all functions, as FUNCTION takes them."""
    return sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))


def _function(name: str) -> str:
    if name not in functions():
        said = f"there is no function {name!r}" if name else "FUNCTION is missing"
        raise NotInvoked(f"{said}; choose one of {', '.join(functions())}: {USAGE}")
    return name


def _event(given: str) -> Any:
    if not given:
        raise NotInvoked(f"EVENT is missing; give a file with the event as JSON: {USAGE}")
    try:
        return json.loads(Path(given).read_text())
    except OSError as error:
        raise NotInvoked(f"cannot read {given}: {error.strerror}; the samples are in events/") from None
    except ValueError as error:
        raise NotInvoked(f"{given} is not JSON: {error}") from None


def _state() -> dict[str, Any]:
    if not background.running():
        raise NotInvoked("no stack is running; start one with `make up`")
    return dict(json.loads(background.STATE.read_text()))
