"""The HTTP client: each request to a vendor or a file host goes through an `Outbound`.

It checks each URL and address (`address_guard`), connects to exactly the address that it checked, verifies the TLS name
(`connection`), and limits each wait and each size. Its errors say whether the request may have reached the server. It
does not depend on a vendor or on AWS. It reads no proxy settings, no netrc and no cookies, and it repeats no request
that could have a second effect.
"""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from clipferry.outbound.address_guard import AddressRefused, OutboundError, Target, check_url
from clipferry.outbound.connection import Connection, NoReply, NotSent, Timeouts, Truncated
from clipferry.outbound.file_headers import FileHeaders
from clipferry.outbound.stream import Headers, Oversized, Stream
from clipferry.outbound.url_encoding import encode_raw

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = [
    "API_TIMEOUTS",
    "DOWNLOAD_TIMEOUTS",
    "AddressRefused",
    "Headers",
    "NoReply",
    "NotSent",
    "Outbound",
    "OutboundError",
    "Oversized",
    "Reply",
    "Stream",
    "Timeouts",
    "Truncated",
]

logger = logging.getLogger(__name__)

API_TIMEOUTS = Timeouts(connect=5.0, read=20.0, total=60.0)
DOWNLOAD_TIMEOUTS = Timeouts(connect=10.0, read=30.0, total=3600.0)
LEAST_TIME = 0.1  # seconds of a call in a step whose time is over: it fails as one that had no reply
MAX_BODY = 8 * 1024 * 1024
MAX_REDIRECTS = 5
USER_AGENT = "clipferry/0.1"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: The only headers of a caller that a redirect to another origin keeps: they do not identify the caller.
_ANONYMOUS = frozenset({"range", "if-range", "if-match"})
_OF_CALLS = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT, "Connection": "close"}
_USUAL = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}


@dataclass(frozen=True)
class Reply:
    """A complete answer to an API call, with any status."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON, with texts in valid Unicode. Raises ValueError or RecursionError when it is not JSON."""
        return _storable(json.loads(self.body))


def _storable(value: Any) -> Any:
    """The value without single surrogates, because JSON allows them but UTF-8, and so each store, does not."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
    return value


class Outbound:
    """Guarded HTTP. Threads may share it. It keeps idle download connections until `close`.

    `extra_hosts`: host suffixes that are allowed besides those of each call. `tls` replaces the default verification.
    """

    def __init__(
        self, *, allow_private: bool = False, extra_hosts: Sequence[str] = (), tls: ssl.SSLContext | None = None
    ) -> None:
        self._allow_private = allow_private
        self._extra_hosts = tuple(extra_hosts)
        self._tls = tls
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._lock = threading.Lock()
        self._gate: Callable[[str], None] | None = None
        self._file_headers: FileHeaders | None = None
        self._origin: Outbound | None = None
        self._time_left: Callable[[], float] | None = None

    def paced(self, gate: Callable[[str], None]) -> Outbound:
        """A copy that calls `gate` with the operation before each API call; the gate may wait or raise.

        When the gate raises, nothing was sent.
        """
        twin = copy(self)
        twin._gate, twin._origin = gate, self.origin
        return twin

    def sending(self, headers: FileHeaders) -> Outbound:
        """A copy whose downloads send an account's headers to the hosts that may get them."""
        twin = copy(self)
        twin._file_headers, twin._origin = headers, self.origin
        return twin

    def within(self, time_left: Callable[[], float]) -> Outbound:
        """The same way out, whose API calls are over when so many seconds have passed."""
        twin = copy(self)
        twin._time_left, twin._origin = time_left, self.origin
        return twin

    @property
    def origin(self) -> Outbound:
        """The `Outbound` from which this copy was made; the same object for all its copies."""
        return self._origin or self

    def admit(self, operation: str) -> None:
        """Call the gate, if there is one. `call` does this itself."""
        if self._gate is not None:
            self._gate(operation)

    def call(
        self,
        method: str,
        url: str,
        *,
        hosts: Sequence[str],
        params: Mapping[str, str] | None = None,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        timeout: Timeouts = API_TIMEOUTS,
        max_body: int = MAX_BODY,
        operation: str = "",
    ) -> Reply:
        """Make one API call over its own connection. Any HTTP status is a Reply; a redirect is not followed.

        `operation`: the vendor's name of the operation; the gate counts calls by it.

        `auth` signs the prepared request, once a call. Each call has its own session and connection, so that a NoReply
        is never caused by an idle connection that the server had closed. Raises NotSent, NoReply or AddressRefused.
        """
        from clipferry.outbound.guarded_session import (
            GuardedAdapter,
            GuardedSession,
        )  # here: a download needs no requests

        target = self._check(url, hosts)
        self.admit(operation)
        timeout = self._bounded(timeout)
        started = time.monotonic()
        adapter = GuardedAdapter(lambda prepared: self._check(prepared, hosts), self._connect, timeout, max_body)
        with GuardedSession(adapter, _OF_CALLS) as session:
            response = session.call(method, url, params=params, data=data, headers=headers, auth=auth)
        logger.info("%s %s %d in %.2f s", method.upper(), target, response.status_code, time.monotonic() - started)
        return Reply(response.status_code, Headers(list(response.headers.items())), response.content)

    def stream(
        self,
        url: str,
        *,
        hosts: Sequence[str],
        headers: Mapping[str, str] | None = None,
        timeout: Timeouts = DOWNLOAD_TIMEOUTS,
    ) -> Stream:
        """GET a file: a context manager with `status`, `headers` and a reader of the decoded body.

        Follows at most 5 redirects, and checks each URL. When the origin changes, credentials and an account's headers
        are not sent. `timeout.total` covers the redirects and the body together. Raises NotSent, NoReply or
        AddressRefused.
        """
        deadline = time.monotonic() + timeout.total
        given, target = headers or {}, self._check(url, hosts)
        own = self._file_headers.of(target) if self._file_headers else {}
        sent = _merged(_USUAL, given, own)
        for _ in range(MAX_REDIRECTS + 1):
            connection, response = self._get(target, sent, timeout, deadline)
            location = response.getheader("Location")
            if response.status not in _REDIRECTS or not location:
                return Stream(connection, response, target, self._keep)
            response.close()
            connection.close()
            following = self._follow(target, location, hosts)
            if following.origin != target.origin:
                sent = _merged(_USUAL, {name: value for name, value in given.items() if name.lower() in _ANONYMOUS})
            target = following
        raise AddressRefused(f"refused {target.host}: more than {MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            connections = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()  # in place, because copies share this dict
        for connection in connections:
            connection.close()

    def _bounded(self, timeout: Timeouts) -> Timeouts:
        if self._time_left is None:
            return timeout
        left = max(self._time_left(), LEAST_TIME)
        return Timeouts(min(timeout.connect, left), min(timeout.read, left), min(timeout.total, left))

    def _check(self, url: str, hosts: Sequence[str]) -> Target:
        return check_url(url, (*hosts, *self._extra_hosts), allow_private=self._allow_private)

    def _follow(self, target: Target, location: str, hosts: Sequence[str]) -> Target:
        try:
            url = urljoin(f"{target.scheme}://{target.authority}{target.path}", encode_raw(location))
        except ValueError:
            raise AddressRefused(f"refused {target.host}: it redirects to a URL that cannot be parsed") from None
        following = self._check(url, hosts)
        if target.scheme == "https" and following.scheme != "https":
            raise AddressRefused(f"refused {target.host}: it redirects from https to http")
        return following

    def _connect(self, target: Target, timeout: Timeouts, deadline: float) -> Connection:
        return Connection(target, timeout, deadline, tls=self._tls, allow_private=self._allow_private)

    def _get(
        self, target: Target, headers: Mapping[str, str], timeout: Timeouts, deadline: float
    ) -> tuple[Connection, http.client.HTTPResponse]:
        kept = self._take(target)
        if kept:
            try:
                kept.arm(timeout, deadline)
                return kept, kept.exchange("GET", target, headers)
            except NoReply:  # the server had closed it; a GET may be repeated
                kept.close()
        connection = self._connect(target, timeout, deadline)
        try:
            return connection, connection.exchange("GET", target, headers)
        except BaseException:
            connection.close()
            raise

    def _take(self, target: Target) -> Connection | None:
        with self._lock:
            idle = self._idle.get(target.origin)
            return idle.pop() if idle else None

    def _keep(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end."""
        with self._lock:
            self._idle.setdefault(connection.origin, []).append(connection)


def _merged(*sources: Mapping[str, str]) -> dict[str, str]:
    """All headers; a later one replaces an earlier one of the same name."""
    merged: dict[str, tuple[str, str]] = {}
    for headers in sources:
        merged |= {name.lower(): (name, value) for name, value in headers.items()}
    return dict(merged.values())
