"""The vendors of a run: the project's own simulators, without sockets, and what goes wrong on the way to them."""

from __future__ import annotations

import http.client
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from email.utils import formatdate
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from clipferry.outbound.client import NoReply, NotSent, Outbound

from local.simulators import base, cloudv, ims, linkvisual, polyv, simulator_class
from local.simulators.faults import Fault, FaultPlan, Kind
from local.simulators.media import Clip, free_box
from local.simulators.wire import Request, Response

VENDORS = ("linkvisual", "ims", "cloudv", "polyv")
PORTS = {vendor: 9001 + number for number, vendor in enumerate(VENDORS)}
SETTINGS: Mapping[str, Mapping[str, Any]] = {"linkvisual": {}, "ims": {}, "cloudv": {}, "polyv": {}}

#: What a vendor or a hop on the way does to an API call, and to a download, each with its chance.
CALL_FAULTS = (
    ("not sent", 0.01),
    ("answer lost", 0.015),
    ("broken off", 0.01),
    ("HTTP 503", 0.015),
    ("throttled", 0.015),
    ("error page", 0.01),
    ("cut answer", 0.007),
)
DOWNLOAD_FAULTS = (("not sent", 0.01), ("HTTP 503", 0.02), ("missing", 0.02), ("expired", 0.01), ("cut short", 0.03))
_KINDS = {
    "broken off": Fault(Kind.RESET_BEFORE),
    "answer lost": Fault(Kind.RESET_AFTER),
    "HTTP 503": Fault(Kind.STATUS, status=503),
    "throttled": Fault(Kind.THROTTLE),
    "error page": Fault(Kind.HTML, status=502),
    "cut answer": Fault(Kind.TRUNCATED),
    "missing": Fault(Kind.MISSING),
    "expired": Fault(Kind.EXPIRED),
    "cut short": Fault(Kind.SHORT, after=40),
}


class _NoServer:
    def __init__(self, address: tuple[str, int], simulator: Any) -> None:
        self.server_address = address

    def serve_forever(self, *_: Any) -> None: ...


@cache
def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def tiny_clip(size: str = "small", *, unique: str = "") -> Clip:
    """A valid MP4 of a few hundred bytes: one hash for each `unique`."""
    whole = _box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + _box(b"moov", _box(b"mvhd", bytes(100)))
    return Clip(Path(os.devnull), whole + _box(b"mdat", bytes(range(256))) + free_box(unique.encode()))


@contextmanager
def without_sockets() -> Iterator[None]:
    """Simulators made meanwhile open no port, and their videos are tiny."""
    with (
        patch.object(base, "_Server", _NoServer),
        patch.object(polyv, "clip", tiny_clip),
        patch.object(ims, "clip", tiny_clip),
        patch.object(cloudv, "clip", tiny_clip),
        patch.object(linkvisual, "clip", tiny_clip),
    ):
        yield


class _Plan(FaultPlan):
    """The fault that was drawn for the request under way."""

    def __init__(self) -> None:
        super().__init__()
        self.next: Fault | None = None

    def take(self, *operations: str) -> Fault | None:
        found, self.next = self.next, None
        return found


class Simulators:
    """One of each vendor. `effect` lets a call take place: its name, its faults, and how it is carried out."""

    def __init__(self, effect: Callable[..., Any]) -> None:
        self.effect = effect
        self.of: dict[str, base.Simulator] = {}
        self._plans: dict[str, _Plan] = {}
        for vendor in VENDORS:
            made = simulator_class(vendor)(port=PORTS[vendor], **SETTINGS[vendor])
            self.of[vendor], self._plans[vendor] = made, _Plan()
            made.take_faults_from(self._plans[vendor])

    def request(self, vendor: str, request: Request) -> bytes:
        """The answer as it travels. Raises NotSent, NoReply."""
        simulator, plan = self.of[vendor], self._plans[vendor]
        download = simulator.downloads.holds(request.path)
        operation = "download" if download else simulator.operation(request)
        changes = operation == simulator.stage.trigger

        def act(fault: str | None) -> bytes:
            if fault == "not sent":
                raise NotSent("cannot connect")
            plan.next = _KINDS[fault] if fault else None
            response = simulator.handle(request)
            plan.next = None
            if response is None:
                raise NoReply("closed the connection without a whole answer")
            return _travelling(response, request, simulator)

        name = f"{vendor} {'trigger' if changes else operation}"
        answer: bytes = self.effect(name, act, DOWNLOAD_FAULTS if download else CALL_FAULTS, reads=not changes)
        return answer


def _travelling(response: Response, request: Request, simulator: base.Simulator) -> bytes:
    length, chunks = (len(response.body), [response.body]) if isinstance(response.body, bytes) else response.body
    body = b"" if request.method == "HEAD" else b"".join(chunks)
    headers = {"Date": formatdate(simulator.clock.wall(), usegmt=True), **response.headers}
    if length is not None:
        headers["Content-Length"] = str(length)
    head = f"HTTP/1.1 {response.status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode("latin-1") + b"\r\n" + body[: response.cut_after]


class Wire:
    """In place of a connection: its request goes to the simulator whose port it names."""

    def __init__(self, simulators: Simulators, target: Any) -> None:
        self._simulators, self.origin = simulators, target.origin
        self._vendor = next(vendor for vendor, port in PORTS.items() if port == target.port)

    def arm(self, *_: Any) -> None: ...
    def cut(self) -> None: ...
    def close(self) -> None: ...

    def exchange(self, method: str, target: Any, headers: Mapping[str, str], body: bytes | None = None) -> Any:
        sent = Message()
        for name, value in headers.items():
            sent[name] = value
        raw = self._simulators.request(self._vendor, Request(method, target.path, sent, body or b""))
        socket = SimpleNamespace(makefile=lambda mode: io.BufferedReader(io.BytesIO(raw)))  # type: ignore[arg-type]
        response = http.client.HTTPResponse(socket, method=method)  # type: ignore[arg-type]
        response.begin()
        return response


class Way(Outbound):
    """The way out of one call."""

    def __init__(self, simulators: Simulators) -> None:
        super().__init__(allow_private=True)
        self._simulators = simulators

    def _connect(self, target: Any, timeout: Any, deadline: float) -> Any:
        return Wire(self._simulators, target)
