"""Decrypts a few bytes of an encrypted segment, to see whether the key is right and what the segment holds. Pure.

AES-128 in CBC mode (RFC 8216 §4.3.2.4): to decrypt a block, only this block and the one before it are needed. So any
part of a segment can be decrypted alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from clipferry.transfer.hls.aes import BLOCK, BlockCipher

Read = Callable[[int, int], bytes]  # (start, length) → those bytes, fewer only at the end


class Decrypted:
    """The plain bytes of a segment. `encrypted`: its length in bytes; `read_encrypted` reads it."""

    def __init__(self, read_encrypted: Read, encrypted: int, key: bytes, iv: bytes) -> None:
        self._read, self._encrypted, self._cipher, self._iv = read_encrypted, encrypted, BlockCipher(key), iv

    @cached_property
    def size(self) -> int:
        """Plain bytes; reads the last block for its padding."""
        last = self.read(self._encrypted - BLOCK, BLOCK)
        return self._encrypted - _padding(last)

    def read(self, start: int, length: int) -> bytes:
        """Plain bytes of a range, padding included; fewer only at the end. It takes about 30 µs for 16 bytes."""
        end = min(start + length, self._encrypted)
        if start >= end:
            return b""
        first, last = start // BLOCK, -(-end // BLOCK)
        before = self._read((first - 1) * BLOCK, BLOCK) if first else self._iv
        blocks = self._read(first * BLOCK, (last - first) * BLOCK)
        chained = int.from_bytes(before + blocks[:-BLOCK], "big")
        plain = b"".join(self._cipher.decrypt(blocks[at : at + BLOCK]) for at in range(0, len(blocks), BLOCK))
        plain = (int.from_bytes(plain, "big") ^ chained).to_bytes(len(plain), "big")
        return plain[start - first * BLOCK : end - first * BLOCK]


def _padding(last: bytes) -> int:
    """The number of PKCS#7 padding bytes in the last block; 0 when there are none: some packagers add none."""
    count = last[-1]
    return count if 1 <= count <= BLOCK and last.endswith(bytes([count]) * count) else 0
