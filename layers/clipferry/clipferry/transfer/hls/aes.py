"""Single blocks of AES-128, decrypted (FIPS 197, the equivalent inverse cipher of §5.3.5). Pure.

It decrypts a few blocks of an encrypted segment, to see whether the key is right and what the segment holds. Lambda's
runtime has no library for it, and `ssl` and `hashlib` do not offer it. A block takes about 30 µs, which is too slow for
whole files. The time of a table look-up depends on the key: a program on the same machine could find out the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

BLOCK = 16
_ROUNDS = 10
_Table = tuple[int, ...]


class BlockCipher:
    """AES-128 under one key of 16 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != BLOCK:
            raise ValueError("an AES-128 key has 16 bytes")
        self._tables, (_, self._inverse) = _columns(), _boxes()
        self._keys = self._decryption_keys(key)

    def decrypt(self, block: bytes | memoryview) -> bytes:
        """Decrypt one block of 16 bytes, without chaining."""
        t0, t1, t2, t3 = self._tables
        keys, box = self._keys, self._inverse
        value = int.from_bytes(block, "big") ^ keys[0]
        for number in range(1, _ROUNDS):
            a, b, c, d = value >> 96, value >> 64 & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF, value & 0xFFFFFFFF
            value = (
                (t0[a >> 24] ^ t1[d >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[b & 255]) << 96
                | (t0[b >> 24] ^ t1[a >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[c & 255]) << 64
                | (t0[c >> 24] ^ t1[b >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[d & 255]) << 32
                | (t0[d >> 24] ^ t1[c >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[a & 255])
            ) ^ keys[number]
        last = value.to_bytes(BLOCK, "big")
        plain = bytes(box[last[(position - 4 * (position % 4)) % BLOCK]] for position in range(BLOCK))
        return (int.from_bytes(plain, "big") ^ keys[_ROUNDS]).to_bytes(BLOCK, "big")

    def _decryption_keys(self, key: bytes) -> list[int]:
        """The round keys in the order of decryption, all but the first and last through InvMixColumns."""
        words = _expanded(key)
        rounds = [words[start : start + 4] for start in range(0, 4 * (_ROUNDS + 1), 4)][::-1]
        middle = [[self._mixed(word) for word in words] for words in rounds[1:-1]]
        return [_joined(words) for words in (rounds[0], *middle, rounds[-1])]

    def _mixed(self, word: int) -> int:
        box, _ = _boxes()
        t0, t1, t2, t3 = self._tables
        return t0[box[word >> 24]] ^ t1[box[word >> 16 & 255]] ^ t2[box[word >> 8 & 255]] ^ t3[box[word & 255]]


def _expanded(key: bytes) -> list[int]:
    """The key schedule (§5.2): 44 words of 32 bits."""
    box, _ = _boxes()
    words = [int.from_bytes(key[start : start + 4], "big") for start in range(0, BLOCK, 4)]
    factor = 1
    while len(words) < 4 * (_ROUNDS + 1):
        word = words[-1]
        if len(words) % 4 == 0:
            rotated = (word << 8 | word >> 24) & 0xFFFFFFFF
            word = int.from_bytes(bytes(box[byte] for byte in rotated.to_bytes(4, "big")), "big") ^ factor << 24
            factor = _doubled(factor)
        words.append(words[-4] ^ word)
    return words


def _joined(words: Sequence[int]) -> int:
    return words[0] << 96 | words[1] << 64 | words[2] << 32 | words[3]


def _doubled(value: int) -> int:
    """Multiply by x in the field of §4.2."""
    value <<= 1
    return value ^ 0x11B if value & 0x100 else value


@cache
def _boxes() -> tuple[bytes, bytes]:
    """The S-box (§5.1.1) and its inverse, from powers of the generator x + 1."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value = _doubled(value) ^ value
    box = bytearray(256)
    for byte in range(256):
        inverse = powers[-powers.index(byte) % 255] if byte else 0
        spread = inverse
        for turn in range(1, 5):
            spread ^= (inverse << turn | inverse >> 8 - turn) & 0xFF
        box[byte] = spread ^ 0x63
    return bytes(box), bytes(box.index(byte) for byte in range(256))


@cache
def _columns() -> tuple[_Table, _Table, _Table, _Table]:
    """InvSubBytes and InvMixColumns of one byte in each of the four rows of a column."""
    _, inverse = _boxes()
    first = []
    for byte in inverse:
        two = _doubled(byte)
        four = _doubled(two)
        eight = _doubled(four)
        first.append(
            (eight ^ four ^ two) << 24 | (eight ^ byte) << 16 | (eight ^ four ^ byte) << 8 | eight ^ two ^ byte
        )
    turned = [tuple((word >> shift | word << 32 - shift) & 0xFFFFFFFF for word in first) for shift in (0, 8, 16, 24)]
    return turned[0], turned[1], turned[2], turned[3]
