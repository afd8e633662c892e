"""An answer whose body is read piece by piece: decoded, checked to be complete, in constant memory."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import TracebackType

from clipferry.outbound.address_guard import Target
from clipferry.outbound.connection import BROKEN, Connection, NoReply, Truncated, no_reply
from clipferry.outbound.content_coding import CodingCut, CodingError, Read, codings_of, decoded

_CHUNK = 64 * 1024


class Oversized(NoReply):
    """The body is larger than the caller allows."""


class Headers(Mapping[str, str]):
    """A case-insensitive view of response headers; repeated fields are joined by ", " (RFC 9110 §5.3)."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            self._values[name] = f"{self._values[name]}, {value}" if name in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Stream:
    """An open answer; a context manager. `readinto`, `read` and `read_all` give the decoded body.

    `length` is the declared length in bytes of the body as it is sent, so with its codings; None: not declared.
    `end_declared`: whether the end of the body can be checked, by a declared length or by the last chunk of chunked
    framing (RFC 9112 §7.1). Otherwise the body ends where the connection ends, and may be cut (§6.3).
    """

    def __init__(
        self,
        connection: Connection,
        response: http.client.HTTPResponse,
        target: Target,
        keep: Callable[[Connection], None],
    ) -> None:
        """`keep` gets the connection back for another request, when the body was read to its end."""
        self._connection, self._response, self._keep = connection, response, keep
        self._left: int | None = response.length
        self._ended = response.length == 0
        self._decode: Read | None = None
        self.host = target.host
        self.url = f"{target.scheme}://{target.authority}{target.path}"  # after redirects; may be signed: never logged
        self.status: int = response.status
        self.headers = Headers(response.getheaders())
        self.length: int | None = response.length
        self.end_declared: bool = response.length is not None or bool(response.chunked)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reusable = self._ended and not self._response.will_close
        self._response.close()
        if reusable:
            self._keep(self._connection)
        else:
            self._connection.close()

    @cached_property
    def codings(self) -> tuple[str, ...]:
        """The content codings that the server applied, in order; empty for a plain body. Raises NoReply."""
        try:
            return codings_of(self.headers.get("Content-Encoding"))
        except CodingError as error:
            raise NoReply(f"{self.host} {error}") from None

    def readinto(self, buffer: memoryview) -> int:
        """Read the bytes that have arrived, at least one, into the buffer; 0 at the end of a complete body.

        Raises NoReply when the connection breaks or a coding is damaged or unknown, Truncated when the body ends before
        its declared length or its coding's end.
        """
        if not self.codings:
            return self._readinto_raw(buffer)
        plain = self._decoded(len(buffer))
        buffer[: len(plain)] = plain
        return len(plain)

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes of the body, fewer only at its end. Raises the errors of `readinto`."""
        pieces, left = [], limit
        buffer = memoryview(bytearray(min(limit, _CHUNK)))
        while left and (count := self.readinto(buffer[:left])):
            pieces.append(bytes(buffer[:count]))
            left -= count
        return b"".join(pieces)

    def read_all(self, limit: int) -> bytes:
        """The whole body. Raises the errors of `readinto`, and Oversized for more than `limit` bytes."""
        body = self.read(limit + 1)
        if len(body) > limit:
            raise Oversized(f"{self.host} sent a reply larger than {limit} bytes")
        return body

    def cut(self) -> None:
        """End the connection from another thread; a waiting `readinto` raises NoReply."""
        self._connection.cut()

    def _decoded(self, limit: int) -> bytes:
        if self._decode is None:
            self._decode = decoded(self._read_raw, self.codings)
        try:
            return self._decode(limit)
        except CodingCut as error:
            raise Truncated(f"{self.host} {error}") from None
        except CodingError as error:
            raise NoReply(f"{self.host} {error}") from None

    def _read_raw(self, limit: int) -> bytes:
        buffer = memoryview(bytearray(limit))
        return bytes(buffer[: self._readinto_raw(buffer)])

    def _readinto_raw(self, buffer: memoryview) -> int:
        if self._ended:
            return 0
        try:
            if self._left is None:
                count = self._readinto_until_the_end(buffer)
            else:
                count = self._response.fp.readinto1(buffer[: self._left])
        except BROKEN as error:
            raise no_reply(self.host, error) from None
        if self._left is not None:
            if count == 0:
                raise Truncated(f"{self.host} ended the body {self._left} bytes before its declared length")
            self._left -= count
        self._ended = count == 0 or self._left == 0
        return count

    def _readinto_until_the_end(self, buffer: memoryview) -> int:
        chunk = self._response.read1(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)
