"""AES-128 for looking at encrypted segments: the standard's own examples, and the same as a library decrypts."""

from __future__ import annotations

import pytest
from clipferry.transfer.hls.aes import BlockCipher
from clipferry.transfer.hls.decryption import Decrypted
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transfer.hls_films import encrypt

BLOCKS = st.binary(min_size=16, max_size=16)


@pytest.mark.parametrize(
    ("key", "encrypted", "plain"),
    [
        # FIPS 197, appendix C.1
        (
            "000102030405060708090a0b0c0d0e0f",
            "69c4e0d86a7b0430d8cdb78070b4c55a",
            "00112233445566778899aabbccddeeff",
        ),
        # FIPS 197, appendix B
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "3925841d02dc09fbdc118597196a0b32",
            "3243f6a8885a308d313198a2e0370734",
        ),
        # NIST SP 800-38A, F.1.2: the second block of ECB-AES128.Decrypt
        (
            "2b7e151628aed2a6abf7158809cf4f3c",
            "f5d3d58503b9699de785895a96fdbaaf",
            "ae2d8a571e03ac9c9eb76fac45af8e51",
        ),
    ],
)
def test_the_standards_examples_come_out(key: str, encrypted: str, plain: str) -> None:
    assert BlockCipher(bytes.fromhex(key)).decrypt(bytes.fromhex(encrypted)).hex() == plain


@given(plain=st.binary(max_size=200), key=BLOCKS, iv=BLOCKS, start=st.integers(0, 220), length=st.integers(0, 220))
def test_any_part_of_a_segment_is_decrypted_alone(plain: bytes, key: bytes, iv: bytes, start: int, length: int) -> None:
    encrypted = encrypt(plain, key, iv)
    seen = Decrypted(lambda at, count: encrypted[at : at + count], len(encrypted), key, iv)
    assert seen.size == len(plain)
    assert seen.read(start, length)[: max(0, len(plain) - start)] == plain[start : start + length]


def test_a_segment_without_padding_is_as_long_as_it_is_encrypted() -> None:
    encrypted = encrypt(bytes(range(100, 132)), bytes(16), 0)[:-16]
    assert Decrypted(lambda at, count: encrypted[at : at + count], len(encrypted), bytes(16), bytes(16)).size == 32


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_key_of_another_length_is_no_key(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        BlockCipher(bytes(size))
