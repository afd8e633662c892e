"""A session of `requests` that sends each request through the address guard.

`requests` prepares, signs (`auth`) and sends with its own API; this adapter replaces its connection pool. It connects
to exactly the address that was checked, with the right TLS name, and keeps no connection. It limits time and size,
follows no redirect and decodes with `content_coding`. It reads no proxies, netrc or cookies from the environment. The
first API call imports this module, because a download does not need it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

from requests import PreparedRequest, RequestException, Response, Session
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from clipferry.outbound.address_guard import AddressRefused, Target
from clipferry.outbound.connection import Connection, Timeouts
from clipferry.outbound.stream import Stream


class GuardedAdapter(BaseAdapter):
    """Sends requests. `check` checks a URL, and `connect` opens a connection to its result; both may raise."""

    def __init__(
        self,
        check: Callable[[str], Target],
        connect: Callable[[Target, Timeouts, float], Connection],
        timeouts: Timeouts,
        max_body: int,
    ) -> None:
        """`max_body`: the most bytes of a decoded body."""
        super().__init__()
        self._check, self._connect, self._timeouts, self._max_body = check, connect, timeouts, max_body

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """The complete reply. Raises NotSent, NoReply or AddressRefused.

        The session's settings for timeouts, TLS and proxies have no effect.
        """
        target = self._check(request.url or "")
        body = request.body.encode() if isinstance(request.body, str) else request.body
        connection = self._connect(target, self._timeouts, time.monotonic() + self._timeouts.total)
        try:
            answer = connection.exchange(request.method or "GET", target, request.headers, body or None)
            stream = Stream(connection, answer, target, lambda _: None)
            return _response(request, stream, stream.read_all(self._max_body))
        finally:
            connection.close()

    def close(self) -> None:
        """Does nothing, because no connection is kept."""


class GuardedSession(Session):
    """A session for one API call. It has no other adapter, and no state passes to another call."""

    def __init__(self, adapter: GuardedAdapter, headers: Mapping[str, str]) -> None:
        """`headers`: the default headers of each request; those of `requests` are not sent."""
        super().__init__()
        self.trust_env = False  # no proxies, no netrc
        self.headers = CaseInsensitiveDict(headers)
        self.adapters.clear()
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter)

    def get_redirect_target(self, resp: Any) -> None:
        """None: a redirect is returned as a reply, and its target is not read."""

    def call(self, method: str, url: str, **options: Any) -> Response:
        """Send a request. Raises AddressRefused also when the URL or a header is invalid."""
        try:
            return self.request(method, url, allow_redirects=False, **options)
        except RequestException:
            raise AddressRefused("refused a request that cannot be prepared") from None


def _response(request: PreparedRequest, stream: Stream, content: bytes) -> Response:
    response = Response()
    response.status_code, response.url, response.request = stream.status, request.url or "", request
    response.headers = CaseInsensitiveDict(stream.headers)
    response.raw = BytesIO(content)
    response._content = content
    return response
