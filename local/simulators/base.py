"""The base of every vendor simulator: a threaded HTTP server on 127.0.0.1 with a clock, faults, counters and files.

A simulator subclasses `Simulator`, names the operation of a request (`operation`) and answers it (`answer`). It knows
the vendor's protocol, and nothing of the client under test.

    class PolyvSimulator(Simulator):
        vendor = "polyv"
        settings_class = PolyvSettings          # a dataclass with every assumption about the vendor

        def operation(self, request): ...       # "create", "get", …: the name used in `calls` and `fail_next`
        def answer(self, operation, request): ...  # → Response; called by one thread at a time
        def secret(self): ...                   # the account that is valid here
        def fault_response(self, fault): ...    # THROTTLE, REFUSE, STATUS in the vendor's form

    with PolyvSimulator(time_scale=0.01, some_setting=3) as sim:
        sim.fail_next("get", Fault("throttle", retry_after=2), times=3)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import socket
import struct
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

from local.simulators.clock import Clock
from local.simulators.downloads import DownloadArea, unavailable
from local.simulators.faults import Fault, FaultPlan, Kind
from local.simulators.stage import Stage
from local.simulators.wire import Request, Response, html_response, json_response


@dataclass(frozen=True)
class Access:
    """One line of the access log: no query, no header, no body."""

    operation: str
    method: str
    path: str
    status: int  # 0: the connection was broken instead
    at: float  # epoch seconds, real


@dataclass
class NoSettings:
    pass


class Rate:
    """Allows at most `limit` calls in any `window` vendor seconds."""

    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self._calls: deque[float] = deque()

    def allows(self, now: float) -> bool:
        while self._calls and self._calls[0] <= now - self.window:
            self._calls.popleft()
        if len(self._calls) >= self.limit:
            return False
        self._calls.append(now)
        return True


class Simulator:
    """One vendor on a free port. A context manager; `start` and `stop` do the same without `with`."""

    vendor: ClassVar[str]
    settings_class: ClassVar[type] = NoSettings
    download_style: ClassVar[str] = "oss"
    stage: ClassVar[Stage]  # how the conformance tests set up their cases

    def __init__(self, *, time_scale: float = 1.0, port: int = 0, **settings: Any) -> None:
        """With a `time_scale` of 0.01 the vendor's hour takes 36 s. `settings` are fields of `settings_class`."""
        self.settings: Any = self.settings_class(**settings)
        self.clock = Clock(time_scale)
        self.downloads = DownloadArea(self.clock, style=self.download_style)
        self.calls: Counter[str] = Counter()  # requests by operation, also those with faults; "download" for files
        self.log: deque[Access] = deque(maxlen=10_000)  # the newest
        self.tasks: list[Any] = []  # the work that the vendor started, in order
        self.lock = threading.RLock()
        self._faults = FaultPlan()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    # --- for subclasses ---

    def operation(self, request: Request) -> str:
        raise NotImplementedError

    def answer(self, operation: str, request: Request) -> Response:
        raise NotImplementedError

    def secret(self) -> dict[str, str]:
        """The account secret that works against this simulator, `endpoint` included."""
        raise NotImplementedError

    def asked(self) -> list[str]:
        """The requested sources, in order. A source that was requested twice is listed twice."""
        raise NotImplementedError

    def limit(self) -> tuple[int, float]:
        """The vendor's limit for an account: calls, and the vendor seconds in which they are allowed."""
        return 50, 1.0

    def fault_response(self, fault: Fault) -> Response:
        """The reply for STATUS, THROTTLE and REFUSE, in this vendor's form."""
        headers = {} if fault.retry_after is None else {"Retry-After": str(int(fault.retry_after))}
        status = fault.status or (429 if fault.kind is Kind.THROTTLE else 500)
        return json_response({"code": fault.code or status, "message": fault.message or "fault"}, status, headers)

    # --- for callers ---

    def account(self) -> dict[str, Any]:
        """The secret; if the vendor's time runs faster than the clock, with a `rate` that fits the vendor's limit."""
        calls, seconds = self.limit()
        scale = self.clock.scale
        rate = {"calls": calls, "per": seconds * scale, "pushback": seconds * scale}
        return {**self.secret(), **({"rate": rate} if scale != 1 else {})}

    # --- start and end ---

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def now(self) -> float:
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # --- proof and faults ---

    @property
    def expected(self) -> dict[str, dict[str, object]]:
        """`sha256`, `md5` and `size` of every file that is or will be served, by the vendor's ref."""
        return self.downloads.expected

    def fail_next(self, operation: str, fault: Fault, times: int | None = 1) -> None:
        """Make `fault` happen at the next `times` requests (None: until `heal`) of an operation.

        `operation` is the vendor's name for it, `download`, `download:<ref>` for one file, or `*`.
        """
        self._faults.add(operation, fault, times)

    def heal(self) -> None:
        self._faults.clear()

    def take_faults_from(self, plan: FaultPlan) -> None:
        """From now on make the faults of another plan, such as one with random faults."""
        self._faults = plan

    def state(self) -> dict[str, Any]:
        """What `GET /_sim/state` shows."""
        with self.lock:
            return {
                "vendor": self.vendor,
                "url": self.url,
                "secret": self.secret(),
                "now": self.now(),
                "time_scale": self.clock.scale,
                "skew": self.clock.skew,
                "calls": dict(self.calls),
                "tasks": [dict(task) if isinstance(task, dict) else dataclasses.asdict(task) for task in self.tasks],
                "expected": self.expected,
                "settings": dataclasses.asdict(self.settings),
                "faults": self._faults.as_list(),
            }

    # --- one request ---

    def handle(self, request: Request) -> Response | None:
        """The reply, or None to break the connection."""
        if request.path.startswith("/_sim/"):
            return self._control(request)
        if request.method in ("GET", "HEAD") and self.downloads.holds(request.path):
            operation, names = "download", ["download", f"download:{self.downloads.ref(request.path)}"]
        else:
            operation = self.operation(request)
            names = [operation]
        with self.lock:
            self.calls[operation] += 1
        fault = self._faults.take(*names)
        if fault and fault.kind is Kind.DELAY:
            time.sleep(fault.seconds)
        response = self._respond(operation, request, fault)
        status = response.status if response else 0
        self.log.append(Access(operation, request.method, request.path, status, time.time()))
        return response

    def _respond(self, operation: str, request: Request, fault: Fault | None) -> Response | None:
        kind = fault.kind if fault else None
        if kind is Kind.RESET_BEFORE:
            return None
        if operation == "download":
            return (unavailable(fault) if fault else None) or self.downloads.answer(request, fault)
        instead = self._in_place_of_an_answer(fault) if fault else None
        if instead is None or (fault and fault.acts):
            with self.lock:
                response = self.answer(operation, request)
                if kind is Kind.DOUBLED:
                    response = self.answer(operation, request)
        if instead is not None:
            return instead
        if kind is Kind.RESET_AFTER:
            return None
        if kind is Kind.TRUNCATED and isinstance(response.body, bytes):
            response.body = response.body[: len(response.body) // 2]
        return response

    def _in_place_of_an_answer(self, fault: Fault) -> Response | None:
        if fault.kind in (Kind.STATUS, Kind.THROTTLE, Kind.REFUSE):
            return self.fault_response(fault)
        return html_response(fault.status or 502) if fault.kind is Kind.HTML else unavailable(fault)

    # --- control ---

    def _control(self, request: Request) -> Response:
        """GET /_sim/state; POST /_sim/state {skew?, advance?, settings?}; POST /_sim/faults {operation, fault, times?};
        DELETE /_sim/faults."""
        try:
            if request.path == "/_sim/faults" and request.method == "DELETE":
                self.heal()
            elif request.path == "/_sim/faults" and request.method == "POST":
                wanted = request.json()
                self.fail_next(wanted["operation"], Fault(**wanted["fault"]), wanted.get("times", 1))
            elif request.path == "/_sim/state" and request.method == "POST":
                self._change(request.json())
            elif request.path != "/_sim/state" or request.method != "GET":
                return json_response({"error": "no such control"}, 404)
        except (ValueError, KeyError, TypeError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response(self.state())

    def _change(self, wanted: dict[str, Any]) -> None:
        with self.lock:
            self.settings = dataclasses.replace(self.settings, **wanted.get("settings", {}))
            self.clock.skew = float(wanted.get("skew", self.clock.skew))
            self.advance(float(wanted.get("advance", 0)))
            self.downloads.rate = wanted.get("rate", self.downloads.rate)
            self.downloads.first_byte = wanted.get("first_byte", self.downloads.first_byte)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Also end kept-alive connections, so that no client continues to use a stopped simulator."""
        super().server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._open.discard(connection)  # it has ended by itself

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a connection that the client closed; show every other error."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sim"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        response = self.server.simulator.handle(Request(self.command, self.path, self.headers, body))
        if response is None:
            self._reset()
        else:
            self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _send(self, response: Response) -> None:
        length, chunks = (len(response.body), [response.body]) if isinstance(response.body, bytes) else response.body
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if length is None or response.cut_after is not None:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD" or response.status == 304:
            return
        left = response.cut_after
        for chunk in chunks:
            piece = chunk if left is None else chunk[:left]
            self.wfile.write(piece)
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    break
        if response.reset:
            time.sleep(0.05)  # a reset can arrive before the bytes that were sent
            self._reset()

    def _reset(self) -> None:
        """Close with RST: linger on, for no time."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.server.simulator.clock.wall() if timestamp is None else timestamp, usegmt=True)

    def log_message(self, *_: object) -> None:
        """Requests are in `Simulator.log`; the console stays quiet."""


def main(simulator_class: type[Simulator], arguments: list[str] | None = None) -> None:
    """Run a simulator as a process of its own until SIGTERM or Ctrl-C. Prints its URL as the first line."""
    parser = argparse.ArgumentParser(description=f"{simulator_class.vendor} simulator")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--time-scale", type=float, default=1.0, help="0.01: a vendor's hour takes 36 s")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="a setting, may be repeated")
    options = parser.parse_args(arguments)
    settings = {name: json.loads(value) for name, _, value in (pair.partition("=") for pair in options.set)}
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with simulator_class(time_scale=options.time_scale, port=options.port, **settings) as simulator:
        print(simulator.url, flush=True)
        stopped.wait()
