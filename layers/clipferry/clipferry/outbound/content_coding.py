"""Decodes content codings (RFC 9110 §8.4). A coded body must be complete, or it is refused. Pure.

Requests ask for no coding, but some servers apply one. A coded body is complete only when the coding's own end was
reached and nothing follows it. A cut body raises `CodingCut`. A damaged body, or one with bytes after the coding's end,
raises `CodingError`. Zeros after the last gzip member are refused too: RFC 1952 has no padding, and a file ends with
zeros when its end was never written.

Memory is constant: each step reads and gives at most about 64 KiB, also when a body expands a lot. The caller limits
how many bytes it reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

#: Reads at most so many bytes of a body (at least 1); returns nothing at the end and after it.
Read = Callable[[int], bytes]

CODINGS_MAX = 5  # codings of one body; more are an attack
_CHUNK = 64 * 1024  # coded bytes that are read at once
_GZIP = b"\x1f\x8b\x08"  # magic number and the only compression method (RFC 1952 §2.3.1)

#: Codings that change bytes and are not supported: the registry of RFC 9110 §16.6.1, and others that are in use.
_UNKNOWN = frozenset(
    {
        "aes128gcm",
        "br",
        "brotli",
        "bzip2",
        "x-bzip2",
        "compress",
        "x-compress",
        "dcb",
        "dcz",
        "exi",
        "lz4",
        "lzma",
        "x-lzma",
        "pack200-gzip",
        "sdch",
        "snappy",
        "xz",
        "x-xz",
        "zstd",
    }
)


class CodingError(Exception):
    """The body does not fit its codings. The message lacks the subject: "sent a compressed body that is damaged"."""


class CodingCut(CodingError):
    """The body ends before the coding's own end."""


def codings_of(header: str | None) -> tuple[str, ...]:
    """The codings of a `Content-Encoding` value that change bytes, in the order in which they were applied.

    Names that do not change the bytes are left out: `identity`, an empty name, and names that servers send by mistake,
    such as `aws-chunked`, `none`, `binary`, `utf-8` or `base64`. Raises CodingError for a coding that changes bytes and
    is not supported, and for too many.
    """
    names = [name.partition(";")[0].strip().strip('"').lower() for name in (header or "").split(",")]
    unknown = next((name for name in names if name in _UNKNOWN), None)
    if unknown is not None:
        raise CodingError(f"used the content coding {unknown!r}, which was not asked for and is not supported")
    known = tuple(name.removeprefix("x-") for name in names if name in ("gzip", "x-gzip", "deflate"))
    if len(known) > CODINGS_MAX:
        raise CodingError(f"applied more than {CODINGS_MAX} content codings")
    return known


def decoded(read: Read, codings: Sequence[str]) -> Read:
    """A reader of the decoded body. `codings` come from `codings_of`. The reader raises CodingError."""
    for coding in reversed(codings):
        read = _Gzip(read) if coding == "gzip" else _Deflate(read)
    return read


class _Inflated:
    """The common part of both codings: reads compressed streams piece by piece."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._coded = b""  # bytes that were read and not yet decompressed
        self._stream: zlib._Decompress | None = None
        self._streams = 0  # begun so far

    def __call__(self, limit: int) -> bytes:
        while self._stream is not None or self._begin():
            plain = self._decompress(limit)
            if plain:
                return plain
        return b""

    def _begin(self) -> bool:
        """Set up the next compressed stream; False at the end of the body."""
        raise NotImplementedError

    def _decompress(self, limit: int) -> bytes:
        """Some decompressed bytes of the current stream; empty when more steps are needed."""
        stream = self._stream
        if stream is None:
            return b""
        try:
            plain = stream.decompress(self._coded, limit)
        except zlib.error:
            raise CodingError("sent a compressed body that is damaged") from None
        self._coded = stream.unconsumed_tail
        if stream.eof:
            self._coded, self._stream = stream.unused_data, None
        elif not plain and not self._coded:
            self._coded = self._read(_CHUNK)
            if not self._coded:
                raise CodingCut("ended the compressed body too early")
        return plain

    def _start(self, wbits: int) -> bool:
        self._stream, self._streams = zlib.decompressobj(wbits), self._streams + 1
        return True

    def _ahead(self, count: int) -> bytes:
        """The next `count` coded bytes, fewer at the end of the body. They are not consumed."""
        while len(self._coded) < count and (more := self._read(_CHUNK)):
            self._coded += more
        return self._coded[:count]


class _Gzip(_Inflated):
    """RFC 1952: several members in a row, each with its own checksum and length.

    A body with the coding gzip that does not begin like gzip was never compressed: it is returned unchanged.
    """

    _labelled_only = False

    def __call__(self, limit: int) -> bytes:
        plain = b"" if self._labelled_only else super().__call__(limit)
        if plain or not self._labelled_only:
            return plain
        taken, self._coded = self._coded[:limit], self._coded[limit:]
        return taken or self._read(limit)

    def _begin(self) -> bool:
        magic = self._ahead(len(_GZIP))
        if not magic:
            return False
        if _GZIP.startswith(magic):
            return self._start(16 + zlib.MAX_WBITS)
        if self._streams:
            raise CodingError("sent bytes behind the end of the compressed body")
        self._labelled_only = True
        return False


class _Deflate(_Inflated):
    """RFC 9110 §8.4.1.2: a zlib stream (RFC 1950); some servers send a deflate stream without zlib (RFC 1951)."""

    def _begin(self) -> bool:
        head = self._ahead(2)
        if not head:
            return False
        if self._streams:
            raise CodingError("sent bytes behind the end of the compressed body")
        return self._start(zlib.MAX_WBITS if _is_zlib(head) else -zlib.MAX_WBITS)


def _is_zlib(head: bytes) -> bool:
    """Whether two bytes are a zlib header: method 8, a window of at most 32 KiB, and the check bits (RFC 1950 §2.2)."""
    return len(head) == 2 and head[0] & 0x8F == 0x08 and int.from_bytes(head, "big") % 31 == 0
