"""Digests that can be saved and continued: SHA-256 and MD5 of a whole file, and CRCs that can be combined.

Reads and writes no files. `hashlib` cannot save the state of a running digest, so a copy that takes several Lambda
calls would have to read all bytes again. The libcrypto to which `hashlib` links can do it: its `SHA256_CTX` and
`MD5_CTX` are plain structures (openssl/sha.h, openssl/md5.h). They are accessed through the `_hashlib` extension and
tested with a known answer at first use; if this fails, `hashlib` is used and `state` is None.

CRC-64/XZ (Alibaba OSS calls it crc64ecma) comes in the same way from the liblzma of `_lzma`. CRC-64/NVME comes from
awscrt if the runtime has it; CRC-32 always comes from zlib.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Crc:
    """A reflected CRC with all ones as initial value and final XOR, as S3 uses it for full-object checksums."""

    name: str  # S3's name for it, as in ChecksumAlgorithm and Checksum<name>
    width: int
    polynomial: int  # reflected
    of: Callable[[Any], int]  # the CRC of a buffer

    def encode(self, value: int) -> str:
        return base64.b64encode(value.to_bytes(self.width // 8, "big")).decode()

    def decode(self, text: str) -> int:
        return int.from_bytes(base64.b64decode(text), "big")

    def combine(self, first: int, second: int, length: int) -> int:
        """The CRC of A+B from those of A and B and the length of B in bytes."""
        return _apply(_zeros(self.polynomial, self.width, length), first) ^ second


def _apply(matrix: tuple[int, ...], vector: int) -> int:
    """Matrix times vector over GF(2); a matrix is its columns."""
    total = 0
    for column in matrix:
        if vector & 1:
            total ^= column
        vector >>= 1
        if not vector:
            break
    return total


@cache
def _zeros(polynomial: int, width: int, length: int) -> tuple[int, ...]:
    """The effect of `length` zero bytes on a CRC register, as a matrix (Mark Adler's crc32_combine)."""
    power = (polynomial, *(1 << bit for bit in range(width - 1)))  # one zero bit
    for _ in range(3):
        power = tuple(_apply(power, column) for column in power)  # one zero byte
    result = tuple(1 << bit for bit in range(width))
    while length:
        if length & 1:
            result = tuple(_apply(power, column) for column in result)
        power = tuple(_apply(power, column) for column in power)
        length >>= 1
    return result


CRC32 = Crc("CRC32", 32, 0xEDB88320, zlib.crc32)
_NVME_POLYNOMIAL = 0x9A6C9329AC4BC9B5


@cache
def object_crc() -> Crc:
    """The full-object checksum for S3: CRC-64/NVME if awscrt computes it in hardware, else CRC-32."""
    try:
        from awscrt.checksums import crc64nvme  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:  # no awscrt, or one older than 0.21, which has no crc64nvme
        return CRC32
    return Crc("CRC64NVME", 64, _NVME_POLYNOMIAL, crc64nvme)


def crc_named(name: str) -> Crc | None:
    """The checksum with which an upload was begun; None when this machine cannot compute it."""
    return next((crc for crc in (CRC32, object_crc()) if crc.name == name), None)


@cache
def _liblzma_crc64() -> Callable[[Any, int, int], int] | None:
    try:
        import _lzma

        function = ctypes.CDLL(_lzma.__file__).lzma_crc64
    except (ImportError, OSError, AttributeError):
        return None
    function.restype, function.argtypes = ctypes.c_uint64, (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64)
    return function if function(b"123456789", 9, 0) == 0x995DC9BBDF1939FA else None


def has_crc64ecma() -> bool:
    """Whether this machine computes CRC-64/XZ at a useful speed."""
    return _liblzma_crc64() is not None


def crc64ecma(buffer: bytearray | bytes, length: int, value: int = 0) -> int:
    """CRC-64/XZ of the buffer's first bytes, continuing from `value`."""
    function = _liblzma_crc64()
    if function is None:
        raise RuntimeError("liblzma has no lzma_crc64 here")
    return int(function(_pointer(buffer), length, value))


def _pointer(buffer: bytearray | bytes) -> Any:
    """The address of the bytes, for a C function that only reads them while the caller holds the buffer."""
    return (ctypes.c_char * len(buffer)).from_buffer(buffer) if isinstance(buffer, bytearray) else buffer


@dataclass(frozen=True)
class _Algorithm:
    size: int  # of the context structure
    prefix: str  # of libcrypto's functions
    digest: int  # bytes


_ALGORITHMS = {"sha256": _Algorithm(112, "SHA256", 32), "md5": _Algorithm(92, "MD5", 16)}


@cache
def _libcrypto(name: str) -> tuple[Any, Any, Any] | None:
    try:
        import _hashlib

        library = ctypes.CDLL(_hashlib.__file__)
        prefix = _ALGORITHMS[name].prefix
        functions = tuple(getattr(library, f"{prefix}_{verb}") for verb in ("Init", "Update", "Final"))
    except (ImportError, OSError, AttributeError):
        return None
    init, update, final = functions
    init.argtypes = (ctypes.c_void_p,)
    update.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    final.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    probe = _Saveable(name, (init, update, final))
    probe.update(bytearray(b"clip" * 33), 132)
    again = _Saveable(name, (init, update, final), probe.state())
    again.update(bytearray(b"ferry"), 5)
    expected = hashlib.new(name, b"clip" * 33 + b"ferry", usedforsecurity=False).hexdigest()
    return (init, update, final) if again.hexdigest() == expected else None


class _Saveable:
    """A digest whose state is a structure of libcrypto and can be saved."""

    def __init__(self, name: str, functions: tuple[Any, Any, Any], state: str | None = None) -> None:
        self._algorithm = _ALGORITHMS[name]
        init, self._update, self._final = functions
        self._context = ctypes.create_string_buffer(self._algorithm.size)
        if state is None:
            init(self._context)
        else:
            ctypes.memmove(self._context, bytes.fromhex(state), self._algorithm.size)

    def update(self, buffer: bytearray, length: int) -> None:
        self._update(self._context, _pointer(buffer), length)

    def state(self) -> str | None:
        return bytes(self._context.raw).hex()

    def hexdigest(self) -> str:
        copy = ctypes.create_string_buffer(self._context.raw, self._algorithm.size)
        digest = ctypes.create_string_buffer(self._algorithm.digest)
        self._final(digest, copy)
        return digest.raw.hex()


class _Plain:
    """A digest of hashlib, whose state cannot be saved."""

    def __init__(self, name: str) -> None:
        self._hash = hashlib.new(name, usedforsecurity=False)

    def update(self, buffer: bytearray, length: int) -> None:
        self._hash.update(memoryview(buffer)[:length])

    def state(self) -> str | None:
        return None

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _running(name: str, state: str | None = None) -> _Saveable | _Plain:
    functions = _libcrypto(name)
    return _Saveable(name, functions, state) if functions else _Plain(name)


class Digests:
    """The digests of a file's bytes from its start up to `position`.

    Always SHA-256 and the object CRC; MD5 and CRC-64/XZ only when there is a value to compare them with.
    """

    def __init__(self, crc: Crc, *, md5: bool = False, crc64: bool = False) -> None:
        self.position = 0
        self.observer: Callable[[int, memoryview], None] | None = None  # sees each piece with its position
        self._crc, self.crc = crc, 0
        self._sha256 = _running("sha256")
        self._md5 = _running("md5") if md5 else None
        self._crc64: int | None = 0 if crc64 and has_crc64ecma() else None

    def update(self, buffer: bytearray, length: int, crc: int | None = None) -> None:
        """Add the next `length` bytes; `crc` is their object CRC, if it is already known."""
        if self.observer:
            self.observer(self.position, memoryview(buffer)[:length])
        self._sha256.update(buffer, length)
        if self._md5:
            self._md5.update(buffer, length)
        if self._crc64 is not None:
            self._crc64 = crc64ecma(buffer, length, self._crc64)
        if crc is None:
            crc = self._crc.of(memoryview(buffer)[:length])
        self.crc = self._crc.combine(self.crc, crc, length)
        self.position += length

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str | None:
        return self._md5.hexdigest() if self._md5 else None

    @property
    def crc64(self) -> int | None:
        return self._crc64

    def state(self) -> dict[str, Any] | None:
        """The state as JSON values; None when this machine cannot save a running digest."""
        sha256 = self._sha256.state()
        if sha256 is None:
            return None
        return {
            "position": self.position,
            "algorithm": self._crc.name,
            "crc": self._crc.encode(self.crc),
            "sha256": sha256,
            "md5": self._md5.state() if self._md5 else None,
            "crc64": None if self._crc64 is None else f"{self._crc64:016x}",
        }

    @classmethod
    def restore(cls, crc: Crc, state: dict[str, Any] | None, *, md5: bool = False, crc64: bool = False) -> Digests:
        """The digests of a saved state; new digests from the start when it does not hold all that is needed."""
        fresh = cls(crc, md5=md5, crc64=crc64)
        if not state or state.get("algorithm") != crc.name or _libcrypto("sha256") is None:
            return fresh
        if (fresh._md5 is not None and not state.get("md5")) or (fresh._crc64 is not None and not state.get("crc64")):
            return fresh
        fresh.position, fresh.crc = int(state["position"]), crc.decode(state["crc"])
        fresh._sha256 = _running("sha256", state["sha256"])
        if fresh._md5 is not None:
            fresh._md5 = _running("md5", state["md5"])
        if fresh._crc64 is not None:
            fresh._crc64 = int(state["crc64"], 16)
        return fresh
