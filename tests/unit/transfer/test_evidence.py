"""Evidence: the strongest there is, recorded; too weak or contradicted, never stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from clipferry.transfer import Failed, Level, Retry, Stored
from clipferry.transfer.checksums import CRC32, Digests, crc64ecma
from clipferry.transfer.evidence import Facts, judge, level_named, strongest_possible
from clipferry.vendors.contract import Remote
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transfer.rig import PART, Rig
from tests.unit.transfer.s3_server import S3Server, content_md5
from tests.unit.transfer.source_server import Behaviour, SourceServer, video

BODY = video(3 * PART + 77)
MD5 = hashlib.md5(BODY).hexdigest()
CRC64 = str(crc64ecma(BODY, len(BODY)))
OTHER_MD5 = hashlib.md5(b"other").hexdigest()


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server(min_part=PART) as server:
        yield server


def finish(
    s3: S3Server,
    headers: dict[str, str],
    *,
    etag: str | None = '"v1"',
    minimum: str = "content-length",
    ranges: bool = True,
    **remote: Any,
) -> Stored | Failed:
    usual = Behaviour(headers=headers, etag=etag, ranges=ranges)
    with SourceServer(BODY, usual=usual) as source:
        rig = Rig(s3, source, remote=lambda: Remote(source.url, **remote))
        rig.options = replace(rig.options, minimum_evidence=minimum)
        result = rig.finish()
    if isinstance(result, Stored):
        rig.assert_stored(result, BODY)
    else:
        rig.assert_failed(result, result.code)
    return result


@pytest.mark.parametrize(
    ("level", "headers", "etag", "remote"),
    [
        ("vendor-md5", {"x-oss-hash-crc64ecma": CRC64}, f'"{MD5.upper()}"', {"md5": MD5.upper(), "size": len(BODY)}),
        ("vendor-crc64", {"x-oss-hash-crc64ecma": CRC64, "Content-MD5": content_md5(BODY)}, '"v1"', {}),
        ("content-md5", {"Content-MD5": content_md5(BODY)}, f'"{MD5}"', {}),
        ("etag-md5", {}, f'"{MD5.upper()}"', {"size": len(BODY)}),
        ("size-two-sources", {}, '"5d9c-v1"', {"size": len(BODY)}),
        ("content-length", {}, None, {}),
    ],
)
def test_strongest_evidence_is_recorded(
    s3: S3Server, level: str, headers: dict[str, str], etag: str | None, remote: dict[str, Any]
) -> None:
    result = finish(s3, headers, etag=etag, **remote)
    assert isinstance(result, Stored)
    assert result.evidence["level"] == level
    assert result.evidence["checks"][0] == level
    assert len(result.evidence["sha256"]) == 64
    assert result.evidence["checksum"]["value"]


@pytest.mark.parametrize(
    ("headers", "remote", "ranges"),
    [
        ({}, {"md5": OTHER_MD5}, True),
        ({}, {"size": len(BODY) + 1}, True),
        ({"x-oss-hash-crc64ecma": "12345"}, {}, True),
        ({"Content-MD5": content_md5(b"other")}, {}, False),
    ],
)
def test_contradicted_evidence_fails_with_both_values(
    s3: S3Server, headers: dict[str, str], remote: dict[str, Any], ranges: bool
) -> None:
    result = finish(s3, headers, ranges=ranges, **remote)
    assert isinstance(result, Failed)
    assert result.code == "EVIDENCE_MISMATCH"
    expected = remote.get("md5") or remote.get("size") or headers.get("x-oss-hash-crc64ecma") or OTHER_MD5
    actual = len(BODY) if "size" in remote else CRC64 if "x-oss-hash-crc64ecma" in headers else MD5
    assert str(expected) in result.message
    assert str(actual) in result.message


def test_mismatch_that_goes_away_is_got_over(s3: S3Server) -> None:
    wrong = bytes(reversed(BODY[PART:]))
    with SourceServer(BODY) as source:
        source.body = BODY[:PART] + wrong
        rig = Rig(s3, source, remote=lambda: Remote(source.url, md5=MD5))
        first = rig.call()
        assert isinstance(first, Retry)
        assert first.code == "EVIDENCE_MISMATCH"
        assert s3.uploads == {}
        source.body = BODY
        rig.assert_stored(rig.finish(), BODY)


def test_etag_that_only_looks_like_an_md5_contradicts_nothing(s3: S3Server) -> None:
    result = finish(s3, {}, etag=f'"{OTHER_MD5}"')
    assert isinstance(result, Stored)
    assert result.evidence["level"] == "content-length"


def test_content_md5_of_a_part_contradicts_nothing(s3: S3Server) -> None:
    result = finish(s3, {"Content-MD5": content_md5(BODY[:PART])})
    assert isinstance(result, Stored)
    assert result.evidence["level"] == "content-length"


@pytest.mark.parametrize("minimum", ["vendor-md5", "vendor-crc64", "etag-md5", "size-two-sources"])
def test_evidence_below_the_minimum_is_refused_before_anything_is_copied(s3: S3Server, minimum: str) -> None:
    result = finish(s3, {}, minimum=minimum)
    assert isinstance(result, Failed)
    assert result.code == "EVIDENCE_TOO_WEAK"
    assert minimum in result.message
    assert "content-length" in result.message
    assert s3.calls["CreateMultipartUpload"] == 0


def test_evidence_that_turns_out_too_weak_is_refused_before_completion(s3: S3Server) -> None:
    result = finish(s3, {}, etag=f'"{OTHER_MD5}"', minimum="etag-md5")
    assert isinstance(result, Failed)
    assert result.code == "EVIDENCE_TOO_WEAK"
    assert s3.calls["CompleteMultipartUpload"] == 0


def test_unknown_minimum_is_an_error_that_names_the_levels() -> None:
    with pytest.raises(ValueError, match="vendor-crc64"):
        level_named("sha-1")


def test_vendor_that_changes_its_word_midway_begins_a_new_copy(s3: S3Server) -> None:
    with SourceServer(BODY) as source:
        rig = Rig(s3, source, remote=lambda: Remote(source.url, md5=OTHER_MD5 if rig.located == 1 else MD5))
        source.script = lambda request, number: Behaviour(status=403) if number == 1 else None
        rig.assert_stored(rig.finish(), BODY)


def test_levels_are_ordered_as_documented() -> None:
    assert [level.value for level in sorted(Level, key=lambda level: -level.rank)] == [
        "vendor-md5",
        "vendor-crc64",
        "content-md5",
        "etag-md5",
        "size-two-sources",
        "content-length",
        "none",
    ]


MD5S = st.one_of(st.none(), st.sampled_from([MD5, OTHER_MD5]))


@given(
    facts=st.builds(
        Facts,
        size=st.sampled_from([None, len(BODY), 5]),
        etag=st.sampled_from([None, f'"{MD5}"', f'"{OTHER_MD5}"']),
        vendor_size=st.sampled_from([None, len(BODY), 5]),
        vendor_md5=MD5S,
        content_md5=MD5S,
        content_md5_strict=st.booleans(),
        crc64=st.sampled_from([None, int(CRC64), 5]),
    )
)
def test_no_wrong_strict_fact_is_ever_accepted_and_no_level_exceeds_what_was_possible(facts: Facts) -> None:
    digests = Digests(CRC32, md5=facts.wants_md5, crc64=facts.wants_crc64)
    digests.update(bytearray(BODY), len(BODY))
    verdict = judge(facts, digests)
    wrong = (
        facts.vendor_md5 == OTHER_MD5
        or facts.crc64 == 5
        or 5 in (facts.size, facts.vendor_size)
        or (facts.content_md5_strict and facts.content_md5 == OTHER_MD5)
    )
    assert (verdict.mismatch is not None) == wrong
    assert verdict.level.rank <= strongest_possible(facts).rank
