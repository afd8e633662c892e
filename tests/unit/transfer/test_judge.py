"""Declared facts against digests, as values: what each proves, what contradicts, and in which words."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from clipferry.transfer.checksums import CRC32, Digests, crc64ecma
from clipferry.transfer.evidence import (
    Facts,
    clean_md5,
    judge,
    level_named,
    size_problem,
    strongest_possible,
)
from clipferry.transfer.interface import Level

BODY = b"some bytes of a video"
SIZE = len(BODY)
MD5, OTHER = hashlib.md5(BODY).hexdigest(), hashlib.md5(b"other").hexdigest()
CRC64 = crc64ecma(bytearray(BODY), SIZE)


def digests_for(facts: Facts) -> Digests:
    digests = Digests(CRC32, md5=facts.wants_md5, crc64=facts.wants_crc64)
    digests.update(bytearray(BODY), SIZE)
    return digests


def given(**values: Any) -> Facts:
    return Facts(**{"size": None, **values})


@pytest.mark.parametrize(
    ("facts", "checks"),
    [
        (given(), []),
        (given(size=SIZE), [Level.CONTENT_LENGTH]),
        (given(vendor_size=SIZE), [Level.CONTENT_LENGTH]),
        (given(end_declared=True), [Level.CONTENT_LENGTH]),
        (given(size=SIZE, end_declared=True), [Level.CONTENT_LENGTH]),
        (given(size=SIZE, vendor_size=SIZE), [Level.SIZE_TWO_SOURCES]),
        (given(end_declared=True, vendor_size=SIZE), [Level.SIZE_TWO_SOURCES]),
        (given(size=SIZE, etag=f'"{MD5.upper()}"'), [Level.ETAG_MD5, Level.CONTENT_LENGTH]),
        (given(size=SIZE, etag=f'"{OTHER}"'), [Level.CONTENT_LENGTH]),
        (given(etag=MD5), [Level.ETAG_MD5]),
        (given(content_md5=MD5), [Level.CONTENT_MD5]),
        (given(content_md5=MD5, content_md5_strict=True), [Level.CONTENT_MD5]),
        (given(content_md5=OTHER), []),
        (given(crc64=CRC64), [Level.VENDOR_CRC64]),
        (given(crc64=CRC64, content_md5=MD5), [Level.VENDOR_CRC64]),  # MD5 would cost, and prove no more
        (given(vendor_md5=MD5, crc64=CRC64), [Level.VENDOR_MD5, Level.VENDOR_CRC64]),
        (
            given(size=SIZE, vendor_size=SIZE, vendor_md5=MD5, crc64=CRC64, content_md5=MD5, etag=f'"{MD5}"'),
            [Level.VENDOR_MD5, Level.VENDOR_CRC64, Level.CONTENT_MD5, Level.ETAG_MD5, Level.SIZE_TWO_SOURCES],
        ),
    ],
)
def test_what_holds_is_listed_strongest_first(facts: Facts, checks: list[Level]) -> None:
    verdict = judge(facts, digests_for(facts))
    assert (list(verdict.checks), verdict.mismatch) == (checks, None)
    assert verdict.level == (checks[0] if checks else Level.NONE)


@pytest.mark.parametrize(
    ("facts", "mismatch"),
    [
        (given(vendor_md5=OTHER), f"vendor-md5: expected {OTHER}, got {MD5}"),
        (given(crc64=7), f"vendor-crc64: expected 7, got {CRC64}"),
        (given(content_md5=OTHER, content_md5_strict=True), f"content-md5: expected {OTHER}, got {MD5}"),
        (given(size=5), f"size: expected 5 bytes, got {SIZE}"),
        (given(vendor_size=5), f"size: expected 5 bytes, got {SIZE}"),
        (
            given(size=5, vendor_size=6, crc64=7),
            f"vendor-crc64: expected 7, got {CRC64}; size: expected 5 bytes, got {SIZE}; "
            f"size: expected 6 bytes, got {SIZE}",
        ),
    ],
)
def test_what_contradicts_is_told_with_both_values_and_no_size_counts(facts: Facts, mismatch: str) -> None:
    verdict = judge(facts, digests_for(facts))
    assert (verdict.mismatch, verdict.checks, verdict.level) == (mismatch, (), Level.NONE)


def test_a_checksum_that_this_python_cannot_compute_contradicts_nothing() -> None:
    digests = Digests(CRC32, crc64=False)
    digests.update(bytearray(BODY), SIZE)
    verdict = judge(given(crc64=7, size=SIZE), digests)
    assert (verdict.mismatch, verdict.checks) == (None, (Level.CONTENT_LENGTH,))


def test_a_check_that_holds_beside_one_that_does_not_is_still_named() -> None:
    verdict = judge(given(vendor_md5=MD5, size=5), digests_for(given(vendor_md5=MD5)))
    assert (verdict.checks, verdict.level) == ((Level.VENDOR_MD5,), Level.VENDOR_MD5)
    assert verdict.mismatch == f"size: expected 5 bytes, got {SIZE}"


@pytest.mark.parametrize(
    ("facts", "best"),
    [
        (given(), Level.NONE),
        (given(size=1), Level.CONTENT_LENGTH),
        (given(end_declared=True), Level.CONTENT_LENGTH),
        (given(size=1, vendor_size=1), Level.SIZE_TWO_SOURCES),
        (given(size=1, etag=f'"{MD5}"'), Level.ETAG_MD5),
        (given(size=1, etag='"v1"'), Level.CONTENT_LENGTH),
        (given(content_md5=MD5, etag=f'"{MD5}"'), Level.CONTENT_MD5),
        (given(content_md5=MD5, crc64=0), Level.VENDOR_CRC64),
        (given(vendor_md5=MD5, crc64=0), Level.VENDOR_MD5),
    ],
)
def test_the_best_that_facts_allow_is_known_before_the_copy(facts: Facts, best: Level) -> None:
    assert strongest_possible(facts) is best


@pytest.mark.parametrize(
    ("facts", "whole", "md5", "crc64"),
    [
        (given(), False, False, False),
        (given(vendor_md5=MD5), True, True, False),
        (given(vendor_md5=MD5, crc64=0), True, True, True),
        (given(crc64=0), True, False, True),
        (given(crc64=0, content_md5=MD5), True, False, True),
        (given(crc64=0, content_md5=MD5, content_md5_strict=True), True, True, True),
        (given(content_md5=MD5), False, True, False),
        (given(etag=f'"{MD5}"'), False, True, False),
        (given(etag='"v1"'), False, False, False),
    ],
)
def test_which_digests_facts_need(facts: Facts, whole: bool, md5: bool, crc64: bool) -> None:
    assert (facts.checksum_of_whole, facts.wants_md5, facts.wants_crc64) == (whole, md5, crc64)


@pytest.mark.parametrize(
    ("etag", "md5"),
    [
        (f'"{MD5}"', MD5),
        (f'"{MD5.upper()}"', MD5),
        (MD5, MD5),
        (f'"{MD5}-3"', None),
        ('"v1"', None),
        (None, None),
        ('""', None),
    ],
)
def test_an_etag_may_be_an_md5(etag: str | None, md5: str | None) -> None:
    assert given(etag=etag).etag_md5 == md5


@pytest.mark.parametrize(
    ("text", "md5"),
    [
        (f" {MD5.upper()}\n", MD5),
        (MD5, MD5),
        (MD5[:-1], None),
        (MD5 + "0", None),
        ("", None),
        (None, None),
        ("g" * 32, None),
    ],
)
def test_an_md5_is_32_hex_digits(text: str | None, md5: str | None) -> None:
    assert clean_md5(text) == md5


@pytest.mark.parametrize(
    ("size", "vendor_size", "problem"),
    [
        (1, 1, None),
        (None, 1, None),
        (1, None, None),
        (0, 1, "the vendor declares 1 bytes, the download 0"),
        (7, 5, "the vendor declares 5 bytes, the download 7"),
    ],
)
def test_two_sizes_that_contradict_each_other_are_told_before_the_copy(
    size: int | None, vendor_size: int | None, problem: str | None
) -> None:
    assert size_problem(given(size=size, vendor_size=vendor_size)) == problem


def test_facts_survive_being_written_and_read() -> None:
    full = Facts(1, '"e"', "Sat", True, True, 2, MD5, 3, OTHER, True)
    assert full.as_dict() == {
        "size": 1,
        "etag": '"e"',
        "modified": "Sat",
        "ranges": True,
        "end_declared": True,
        "vendor_size": 2,
        "vendor_md5": MD5,
        "crc64": 3,
        "content_md5": OTHER,
        "content_md5_strict": True,
    }
    assert Facts.parse(full.as_dict()) == full
    assert given().as_dict() == {"ranges": False, "end_declared": False, "content_md5_strict": False}
    assert Facts.parse({}) == given()


def test_numbers_are_read_whatever_type_a_store_gives_them() -> None:
    read = Facts.parse({"size": 1.0, "vendor_size": "2", "crc64": 3.0, "later": 1})
    assert [(value, type(value)) for value in (read.size, read.vendor_size, read.crc64)] == [
        (1, int),
        (2, int),
        (3, int),
    ]


def test_coded_bytes_of_an_earlier_release_had_a_declared_length() -> None:
    assert Facts.parse({"size": None, "compressed": True}).end_declared
    assert not Facts.parse({"size": None, "compressed": False}).end_declared


def test_a_level_that_does_not_exist_is_told_with_those_that_do() -> None:
    assert level_named("etag-md5") is Level.ETAG_MD5
    with pytest.raises(
        ValueError, match=r"^unknown evidence level 'sha-1'; there are vendor-md5, vendor-crc64, c"
    ) as error:
        level_named("sha-1")
    assert str(error.value).endswith(", ".join(Level))
