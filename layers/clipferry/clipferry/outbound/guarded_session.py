"""requests, with one way to the network: each request of a session leaves through the address guard.

`requests` prepares, signs (`auth`) and sends by its own API; the adapter mounted here takes the place of its connection
pool. It connects to exactly the address that was checked, under the right TLS name, once and without keeping the
connection; it bounds time and size, follows no redirect and decodes by `content_coding`. Proxies, netrc and cookies of
the environment are not read. Imported late, by the first API call: a download needs none of it.
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
    """Sends requests. `check` judges a URL and `connect` opens a connection to what it returned; both may refuse."""

    def __init__(
        self,
        check: Callable[[str], Target],
        connect: Callable[[Target, Timeouts, float], Connection],
        timeouts: Timeouts,
        max_body: int,
    ) -> None:
        """`max_body`: bytes of a decoded body, beyond which there is no reply."""
        super().__init__()
        self._check, self._connect, self._timeouts, self._max_body = check, connect, timeouts, max_body

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """The whole reply. Raises NotSent, NoReply or AddressRefused; what a session says of timeouts, TLS and proxies
        has no effect."""
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
        """Nothing is kept between two requests."""


class GuardedSession(Session):
    """A session for one API call: it has no other adapter, and carries nothing over to another call."""

    def __init__(self, adapter: GuardedAdapter, headers: Mapping[str, str]) -> None:
        """`headers`: of each request that says nothing else; requests' own are not sent."""
        super().__init__()
        self.trust_env = False  # no proxies, no netrc
        self.headers = CaseInsensitiveDict(headers)
        self.adapters.clear()
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter)

    def get_redirect_target(self, resp: Any) -> None:
        """None: a redirect is a reply, and where it leads is not even looked at."""

    def call(self, method: str, url: str, **options: Any) -> Response:
        """`request`, with AddressRefused for what cannot be prepared, be it the URL or a header."""
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
