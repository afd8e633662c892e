"""A download server on 127.0.0.1 that can misbehave in every way a vendor's does, one scripted answer at a time."""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MIB = 1024 * 1024


def video(size: int, seed: bytes = b"clip") -> bytes:
    """An MP4 whose media data are noise, the same in every process; below 64 bytes only the beginning of one."""
    head = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08moov"
    head += b"\x00\x00\x00\x01mdat" + max(16, size - len(head)).to_bytes(8, "big") + seed
    block = random.Random(seed).randbytes(min(size, MIB) or 1)
    body = head + block * (size // len(block) + 1)
    return body[:size]


@dataclass(frozen=True)
class Behaviour:
    """How one request is answered. The default is a correct server with ranges and a strong ETag."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # instead of the file
    ranges: bool = True
    length: bool = True  # a Content-Length
    chunked: bool = False
    drop_after: int | None = None  # bytes of the body, then the connection is reset
    end_after: int | None = None  # bytes of the body, then it ends quietly
    content_range: str | None = None  # instead of the right one
    etag: str | None = '"v1"'
    delay: float = 0.0
    hang_after: int | None = None
    drip: float = 0.0  # seconds between two pieces of 4 KiB
    at_once: int = 0  # bytes of the body that the server's bandwidth does not hold up


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    at: float

    @property
    def range(self) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(found[1]), int(found[2])) if found else None


class SourceServer:
    """`script` decides about each request: it gets the request and its number from 0 on."""

    def __init__(
        self,
        body: bytes | Callable[[int, int], bytes],
        *,
        size: int | None = None,
        script: Callable[[Request, int], Behaviour | None] | None = None,
        usual: Behaviour | None = None,
        bandwidth: float | None = None,
        files: dict[str, bytes] | None = None,
    ) -> None:
        """`bandwidth`: bytes a second that all connections share. `files`: other bodies, by path."""
        self.files = files or {}
        self.body, self.bandwidth, self._next_free = body, bandwidth, 0.0
        self.size = len(body) if isinstance(body, bytes) else size or 0
        self.script = script or (lambda request, number: None)
        self.usual = usual or Behaviour()
        self.requests: list[Request] = []
        self.bytes_sent = 0
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/video?Signature=secret"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> SourceServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def bytes_of(self, first: int, last: int, path: str = "") -> bytes | memoryview:
        if path in self.files:
            return memoryview(self.files[path])[first : last + 1]
        return memoryview(self.body)[first : last + 1] if isinstance(self.body, bytes) else self.body(first, last)

    def size_of(self, path: str) -> int:
        return len(self.files[path]) if path in self.files else self.size

    def hold_up(self, size: int) -> None:
        """Wait until so many bytes more may leave."""
        if self.bandwidth:
            with self.lock:
                now = time.monotonic()
                self._next_free = max(self._next_free, now) + size / self.bandwidth
                wait = self._next_free - now
            time.sleep(wait)

    def behave(self, **changes: Any) -> Behaviour:
        return replace(self.usual, **changes)

    @property
    def ranges_asked(self) -> list[tuple[int, int]]:
        return [request.range for request in self.requests if request.range]


def _handler(server: SourceServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

        def do_GET(self) -> None:
            request = Request(self.path, {n.lower(): v for n, v in self.headers.items()}, time.monotonic())
            with server.lock:
                number = len(server.requests)
                server.requests.append(request)
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                self._answer(request, server.script(request, number) or server.usual)
            finally:
                with server.lock:
                    server.at_once -= 1

        def _answer(self, request: Request, how: Behaviour) -> None:
            if how.delay:
                time.sleep(how.delay)
            status, first, last, headers = self._head(request, how)
            if how.body is not None:
                body: bytes | memoryview = how.body
            else:
                body = server.bytes_of(first, last, request.path) if last >= first else b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if how.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif how.length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self._send(body, how)

        def _head(self, request: Request, how: Behaviour) -> tuple[int, int, int, dict[str, str]]:
            size = server.size_of(request.path)
            headers = {"ETag": how.etag} if how.etag else {}
            first, last, status = 0, size - 1, 200
            same = request.headers.get("if-range", how.etag) == how.etag
            if request.headers.get("if-match", how.etag) != how.etag and how.status is None:
                return 412, 0, -1, headers
            if request.range and how.ranges and same and how.body is None:
                first, last = request.range
                if first >= size:
                    return 416, 0, -1, {"Content-Range": f"bytes */{size}"}
                last = min(last, size - 1)
                status = 206
                headers["Content-Range"] = how.content_range or f"bytes {first}-{last}/{size}"
            if how.status is not None and how.status not in (200, 206):
                first, last = 0, -1
                headers.pop("Content-Range", None)
            return how.status or status, first, last, {**headers, **how.headers}

        def _send(self, body: bytes | memoryview, how: Behaviour) -> None:
            stop = min(x for x in (how.drop_after, how.end_after, how.hang_after, len(body)) if x is not None)
            step = 4096 if how.drip else 256 * 1024
            if server.bandwidth:
                step = max(1, min(4096, int(server.bandwidth / 100)))
            for start in range(0, stop, step):
                time.sleep(how.drip)
                piece = body[start : min(stop, start + step)]
                if start >= how.at_once:
                    server.hold_up(len(piece))
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)) if how.chunked else piece)
                with server.lock:
                    server.bytes_sent += len(piece)
            if how.hang_after is not None:
                time.sleep(30)
            if how.drop_after is not None and how.drop_after < len(body):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
            elif how.end_after is not None:
                self.close_connection = True
            elif how.chunked:
                self.wfile.write(b"0\r\n\r\n")

    return Handler
