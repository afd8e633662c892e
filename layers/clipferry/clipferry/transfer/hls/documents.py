"""Reads a small document of an HLS video into memory: a playlist or a key.

A document is complete when its server declares where it ends (a length, the last chunk of chunked framing), or when its
content does. A body that ends with its connection proves nothing (RFC 9112 §6.3): the document is requested again as a
range, because such an answer names the whole size. If this brings no declared end either, two equal answers are used:
the document is returned as unproven, and `MinimumEvidence` decides whether this is enough. Two different answers are a
failed attempt.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clipferry.outbound.client import (
    AddressRefused,
    NoReply,
    NotSent,
    Outbound,
    Oversized,
    Stream,
    Timeouts,
    Truncated,
)
from clipferry.outbound.retry_after import retry_after
from clipferry.transfer.answers import RENEWED, THROTTLED, refused, whole_by_range
from clipferry.transfer.errors import AttemptFailed, Hopeless, Stopped
from clipferry.transfer.interface import Code, Options

_ATTEMPTS = 4
_WAIT_MAX = 10.0  # seconds; when a server asks for a longer wait, a later call asks again
_BETWEEN_LOOKS = 4  # times the backoff, between two answers that are compared


@dataclass(frozen=True)
class Document:
    content: bytes = field(repr=False)
    url: str = field(repr=False)  # where it was found, after redirects; may be signed
    proven: bool  # known to be complete; False: only two equal answers


class Documents:
    """Reads documents of limited length, and repeats failed requests until `until` (on the monotonic clock)."""

    def __init__(self, outbound: Outbound, hosts: Sequence[str], options: Options, until: float) -> None:
        self._outbound, self._hosts, self._options, self._until = outbound, hosts, options, until

    def fetch(
        self, url: str, what: str, limit: int, ends_itself: Callable[[bytes], bool] = lambda content: False
    ) -> Document:
        """The document at `url`, called `what` in messages. `ends_itself(content)`: whether the content marks its end.

        Raises NotThere (404, 410), Stopped, AttemptFailed, and Hopeless for more than `limit` bytes.
        """
        first = self._read(url, what, limit)
        if first.proven or ends_itself(first.content):
            return Document(first.content, first.url, True)
        self._pause(_BETWEEN_LOOKS * self._options.backoff)
        again = self._read(url, what, limit, ranged=True)
        if again.proven or ends_itself(again.content):
            return Document(again.content, again.url, True)
        if again.content != first.content:
            message = f"{what} came with {len(first.content)} and with {len(again.content)} bytes: it was cut"
            raise AttemptFailed(Code.SHORT_BODY, message)
        return again

    def _read(self, url: str, what: str, limit: int, *, ranged: bool = False) -> Document:
        for attempt in range(1, _ATTEMPTS + 1):
            pause = self._options.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
            try:
                with self._stream(url, {"Range": f"bytes=0-{limit}"} if ranged else {}) as stream:
                    if stream.status in (200, 206):
                        return _document(stream, limit)
                    code, problem = Code.SOURCE_UNAVAILABLE, f"HTTP {stream.status}"
                    if stream.status in RENEWED:
                        raise refused(stream.host, stream.status, what)
                    if stream.status in THROTTLED:
                        code, pause = Code.SOURCE_THROTTLED, _asked_for(stream, pause)
                    ranged = ranged and stream.status in THROTTLED
            except AddressRefused as error:
                raise Hopeless(Code.ADDRESS_REFUSED, error.message) from None
            except Oversized:
                raise Hopeless(Code.HLS_TOO_LARGE, f"{what} is larger than {limit} bytes") from None
            except (NoReply, NotSent) as error:
                code = Code.SHORT_BODY if isinstance(error, Truncated) else Code.SOURCE_UNAVAILABLE
                problem, ranged = error.message, False
            if pause > _WAIT_MAX:
                break
            self._pause(pause)
        raise AttemptFailed(code, f"{what} of the HLS stream: {problem}", wait=pause if pause > _WAIT_MAX else 0.0)

    def _stream(self, url: str, headers: dict[str, str]) -> Stream:
        left = self._until - time.monotonic()
        if left <= 0:
            raise Stopped
        timeouts = Timeouts(connect=min(10.0, left), read=min(30.0, left), total=min(60.0, left))
        return self._outbound.stream(url, hosts=self._hosts, headers=headers, timeout=timeouts)

    def _pause(self, seconds: float) -> None:
        if time.monotonic() + seconds >= self._until:
            raise Stopped
        time.sleep(seconds)


def _document(stream: Stream, limit: int) -> Document:
    content = stream.read_all(limit)
    if stream.status == 200:
        return Document(content, stream.url, stream.end_declared)
    if not whole_by_range(stream, len(content)):
        raise NoReply(f"{stream.host} answered a part to a request for the whole")
    return Document(content, stream.url, True)


def _asked_for(stream: Stream, usual: float) -> float:
    wished = retry_after(stream.headers.get("Retry-After"))
    return usual if wished is None else wished
