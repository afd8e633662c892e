"""One HTTP/1.1 connection to a checked address, under limits of time and size.

The standard library's client implements the protocol. This module adds what it lacks: the address guard, one deadline
for all waits, a limit on the size of the headers, and errors that say whether anything was sent. Only `client` uses it.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from clipferry.outbound.address_guard import OutboundError, Target, resolve
from clipferry.redaction import redact

MAX_HEADERS = 64 * 1024
_BUFFER = 16 * 1024  # small, because a body is read directly into the caller's memory, without this buffer


class NotSent(OutboundError):
    """Name lookup, connection or TLS handshake failed: certainly nothing reached the server."""


class NoReply(OutboundError):
    """Timeout, reset, truncated or oversized reply: the server may have acted."""


class Truncated(NoReply):
    """The body ended before its declared length."""


@dataclass(frozen=True)
class Timeouts:
    """In seconds. `read` limits the wait for the next byte; `total` limits all, from the name lookup on."""

    connect: float = 5.0
    read: float = 20.0
    total: float = 60.0


#: Errors that a socket and http.client raise during a request.
BROKEN = (OSError, http.client.HTTPException, ValueError)


def no_reply(host: str, error: Exception) -> NoReply:
    """The error to raise in place of one of BROKEN; its message holds no URL query."""
    if isinstance(error, TimeoutError):
        return NoReply(f"{host} did not answer in time")
    if isinstance(error, http.client.IncompleteRead):
        return Truncated(f"{host} ended the body too early")
    if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return NoReply(f"{host} closed the connection without a whole answer")
    return NoReply(f"{host} gave no usable answer ({type(error).__name__}: {redact(str(error))[:200]})")


class Connection(http.client.HTTPConnection):
    """Connects when it is created. Raises NotSent or AddressRefused. `deadline` is on the monotonic clock."""

    def __init__(
        self, target: Target, timeout: Timeouts, deadline: float, *, tls: ssl.SSLContext | None, allow_private: bool
    ) -> None:
        super().__init__(target.host, target.port)
        self.origin = target.origin
        self.sock = _open(target, timeout, deadline, tls=tls, allow_private=allow_private)
        self.response_class = self._limited_response  # type: ignore[assignment]
        self.arm(timeout, deadline)

    def arm(self, timeout: Timeouts, deadline: float) -> None:
        """Set the limits of the next request."""
        self._limits = _Limits(self.sock, timeout.read, deadline)

    def exchange(
        self, method: str, target: Target, headers: Mapping[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """Send one request and read the answer's headers; the caller reads the body. Raises NoReply."""
        try:
            self._limits.check()
            self.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
            if not any(name.lower() == "host" for name in headers):
                self.putheader("Host", target.authority)
            for name, value in headers.items():
                self.putheader(name, value)
            self.endheaders(body)
            response = self.getresponse()
        except BROKEN as error:
            raise no_reply(target.host, error) from None
        self._limits.head_left = None
        coding = response.getheader("Transfer-Encoding", "chunked").strip().lower()
        declared = response.getheader("Content-Length")
        if coding not in ("chunked", "identity") or (declared is not None and not declared.strip().isdecimal()):
            raise NoReply(f"{target.host} sent a body of unclear length")
        return response

    def cut(self) -> None:
        """End the connection from another thread. A waiting reader then gets an error."""
        if self.sock:
            with suppress(OSError):  # closed meanwhile
                # The TLS socket's own `shutdown` would first drop TLS, and a reader would get ciphertext.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def _limited_response(self, sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
        self._limits.head_left = MAX_HEADERS
        return _FinalResponse(_Source(sock, self._limits), **options)  # type: ignore[arg-type]


class _FinalResponse(http.client.HTTPResponse):
    """Skips each informational answer (RFC 9110 §15.2). The standard library skips only status 100."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        informational = 100 < status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS
        return version, http.HTTPStatus.CONTINUE if informational else status, reason


class _Limits:
    """How long one request may still take, and how many bytes of headers may still come."""

    def __init__(self, sock: socket.socket, read_timeout: float, deadline: float) -> None:
        self._sock, self._read_timeout, self._deadline = sock, read_timeout, deadline
        self.head_left: int | None = None
        sock.settimeout(read_timeout)

    def check(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the total time is over")
        if left < self._read_timeout:
            self._sock.settimeout(left)

    def count(self, size: int) -> None:
        if self.head_left is not None:
            self.head_left -= size
            if self.head_left < -_BUFFER:  # the last buffer may also hold the start of the body
                raise http.client.HTTPException(f"response headers larger than {MAX_HEADERS} bytes")


class _Source:
    """Stands in place of the socket from which http.client reads. Each receive is checked against the limits."""

    def __init__(self, sock: socket.socket, limits: _Limits) -> None:
        self._sock, self._limits = sock, limits

    def makefile(self, mode: str) -> io.BufferedReader:
        return _WholeLines(_LimitedRaw(self._sock.makefile("rb", buffering=0), self._limits), _BUFFER)


class _WholeLines(io.BufferedReader):
    """Refuses a last line that is cut: http.client would read the first digits of a chunk size as a whole size."""

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if line and not line.endswith(b"\n") and len(line) != size:
            raise http.client.IncompleteRead(line)
        return line


class _LimitedRaw(io.RawIOBase):
    def __init__(self, raw: Any, limits: _Limits) -> None:
        super().__init__()
        self._raw, self._limits = raw, limits

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._limits.check()
        count: int = self._raw.readinto(buffer)
        self._limits.count(count)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _open(
    target: Target, timeout: Timeouts, deadline: float, *, tls: ssl.SSLContext | None, allow_private: bool
) -> socket.socket:
    try:
        sock = _connect(target, timeout, deadline, allow_private)
    except socket.gaierror as error:
        raise NotSent(f"cannot look up {target.host}: {error.strerror}") from None
    except OSError as error:
        raise NotSent(f"cannot connect to {target.host}: {error.strerror or 'timed out'}") from None
    if target.scheme != "https":
        return sock
    try:
        return (tls or _verification()).wrap_socket(sock, server_hostname=target.host)
    except (OSError, ValueError) as error:
        sock.close()
        reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__
        raise NotSent(f"TLS handshake with {target.host} failed: {reason}") from None


def _connect(target: Target, timeout: Timeouts, deadline: float, allow_private: bool) -> socket.socket:
    failure: OSError = TimeoutError()
    for family, address in resolve(target, allow_private=allow_private):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(0.001, min(timeout.connect, deadline - time.monotonic())))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


@cache
def _verification() -> ssl.SSLContext:
    """Checks certificates against the system's store and certifi's, and always checks the host name."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
