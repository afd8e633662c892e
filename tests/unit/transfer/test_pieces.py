"""The small parts a transfer is made of: digests, expiry, part sizes, the connection limit, headers."""

from __future__ import annotations

import hashlib
import sys
import zlib
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from clipferry.transfer import checksums
from clipferry.transfer.checkpoint import Checkpoint, declared_size, part_size
from clipferry.transfer.checksums import CRC32, Crc, Digests, crc64ecma, object_crc
from clipferry.transfer.errors import NotThere, SourceChanged
from clipferry.transfer.evidence import Facts
from clipferry.transfer.freshness import Link, expiry
from clipferry.transfer.upload import (
    MAX_OBJECT,
    MAX_PART,
    MAX_PARTS,
    UploadRef,
    content_disposition,
    part_size_for,
    tag_set,
)
from clipferry.vendors.contract import Remote
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
MIB = 1024 * 1024


# -- digests


@pytest.mark.parametrize("crc", [CRC32, object_crc()], ids=lambda crc: crc.name)
@given(a=st.binary(max_size=3000), b=st.binary(max_size=3000))
def test_crcs_of_parts_combine_to_the_crc_of_the_whole(crc: Crc, a: bytes, b: bytes) -> None:
    assert crc.combine(crc.of(a), crc.of(b), len(b)) == crc.of(a + b)


def test_crcs_are_the_published_ones() -> None:
    check = b"123456789"
    assert CRC32.of(check) == 0xCBF43926
    assert object_crc().of(check) in (0xCBF43926, 0xAE8B14860A799888)  # CRC-32, or CRC-64/NVME
    assert crc64ecma(check, len(check)) == 0x995DC9BBDF1939FA  # CRC-64/XZ


@pytest.mark.parametrize("found", [None, ModuleType("awscrt.checksums")], ids=["no awscrt", "one without crc64nvme"])
def test_without_awscrts_crc64nvme_the_object_checksum_is_crc32(
    monkeypatch: pytest.MonkeyPatch, found: ModuleType | None
) -> None:
    monkeypatch.setitem(sys.modules, "awscrt.checksums", found)  # None: importing it raises ImportError
    object_crc.cache_clear()
    try:
        assert object_crc().name == "CRC32"
    finally:
        monkeypatch.undo()
        object_crc.cache_clear()


@given(data=st.binary(min_size=1, max_size=5000), cut=st.integers(0, 5000))
def test_digests_go_on_from_a_saved_state(data: bytes, cut: int) -> None:
    cut = min(cut, len(data))
    first = Digests(CRC32, md5=True, crc64=True)
    first.update(bytearray(data[:cut]), cut)
    second = Digests.restore(CRC32, first.state(), md5=True, crc64=True)
    assert second.position == cut
    second.update(bytearray(data[cut:]), len(data) - cut)
    assert second.sha256 == hashlib.sha256(data).hexdigest()
    assert second.md5 == hashlib.md5(data).hexdigest()
    assert second.crc == zlib.crc32(data)
    assert second.crc64 == crc64ecma(data, len(data))


def test_a_state_that_lacks_what_is_needed_begins_anew() -> None:
    plain = Digests(CRC32)
    plain.update(bytearray(b"abc"), 3)
    assert Digests.restore(CRC32, plain.state(), md5=True).position == 0
    assert Digests.restore(CRC32, plain.state(), crc64=True).position == 0
    assert Digests.restore(CRC32, None).position == 0
    assert Digests.restore(CRC32, plain.state()).position == 3


def test_without_libcrypto_digests_work_but_cannot_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "_libcrypto", lambda name: None)
    digests = Digests(CRC32, md5=True)
    digests.update(bytearray(b"abc"), 3)
    assert digests.state() is None
    assert (digests.sha256, digests.md5) == (hashlib.sha256(b"abc").hexdigest(), hashlib.md5(b"abc").hexdigest())
    assert Digests.restore(CRC32, {"position": 3, "algorithm": "CRC32"}).position == 0


# -- expiry


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("Expires=1795232400&Signature=x", datetime.fromtimestamp(1795232400, UTC)),
        ("X-Amz-Date=20261121T020000Z&X-Amz-Expires=900", NOW + timedelta(seconds=900)),
        ("x-oss-date=20261121T020000Z&x-oss-expires=60", NOW + timedelta(seconds=60)),
        ("auth_key=1795232400-1-0-abc", datetime.fromtimestamp(1795232400, UTC)),
        ("auth_key=1600000000-1-0-abc", None),  # the moment of signing
        ("Expires=never", None),
        ("Expires=3600", None),
        ("X-Amz-Date=nonsense&X-Amz-Expires=9", None),
        ("a=b", None),
        ("Expires=99999999999999999999", None),
    ],
)
def test_expiry_is_read_from_the_url(query: str, ends: datetime | None) -> None:
    assert expiry(f"https://a.aliyuncs.com/v.mp4?{query}", NOW) == ends


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_link_is_renewed_a_minute_before_its_end() -> None:
    clock, made = Clock(), []

    def locate() -> Remote:
        made.append(Remote(f"https://a/{len(made)}", expires_at=clock.now + timedelta(hours=1)))
        return made[-1]

    link = Link(locate, clock)
    assert link.current() is link.current() is made[0]
    clock.now += timedelta(minutes=58, seconds=59)
    assert link.current() is made[0]
    clock.now += timedelta(seconds=2)
    assert link.current() is made[1]


def test_short_lived_link_is_used_for_most_of_its_life() -> None:
    clock, made = Clock(), []

    def locate() -> Remote:
        made.append(Remote(f"https://a/{len(made)}", expires_at=clock.now + timedelta(seconds=10)))
        return made[-1]

    link = Link(locate, clock)
    link.current()
    clock.now += timedelta(seconds=7)
    assert link.current() is made[0]
    clock.now += timedelta(seconds=2)
    assert link.current() is made[1]


def test_link_that_a_wrong_clock_calls_expired_is_used_until_it_is_refused() -> None:
    made: list[Remote] = []

    def locate() -> Remote:
        made.append(Remote(f"https://a/{len(made)}", expires_at=NOW - timedelta(minutes=5)))
        return made[-1]

    link = Link(locate, Clock())
    assert {link.current().url for _ in range(5)} == {"https://a/0"}


def test_link_refused_to_many_is_renewed_once() -> None:
    made: list[Remote] = []

    def locate() -> Remote:
        made.append(Remote(f"https://a/{len(made)}"))
        return made[-1]

    link = Link(locate)
    stale = link.current()
    assert {link.renew(stale).url for _ in range(5)} == {"https://a/1"}
    assert len(made) == 2


def test_vendor_with_no_link_and_vendor_with_another_file() -> None:
    with pytest.raises(NotThere):
        Link(lambda: None).current()
    sizes = iter([5, 6])
    link = Link(lambda: Remote("https://a/", size=next(sizes)))
    with pytest.raises(SourceChanged):
        link.renew(link.current())


# -- sizes, names, checkpoint


@given(size=st.integers(0, MAX_OBJECT))
def test_ten_thousand_parts_hold_every_object(size: int) -> None:
    part = part_size_for(size, 8 * MIB)
    assert 8 * MIB <= part <= MAX_PART
    assert part % MIB == 0
    assert -(-size // part) <= MAX_PARTS


def test_part_size_grows_only_when_it_must() -> None:
    assert part_size_for(8 * MIB * MAX_PARTS, 8 * MIB) == 8 * MIB
    assert part_size_for(8 * MIB * MAX_PARTS + 1, 8 * MIB) == 9 * MIB
    with pytest.raises(ValueError, match="more than one S3 object"):
        part_size_for(MAX_OBJECT + 1, 8 * MIB)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip.mp4", 'attachment; filename="clip.mp4"'),
        ("clip", 'attachment; filename="clip.mp4"'),
        ('../../etc/pass"wd\r\n', 'attachment; filename="passwd.mp4"'),
        ("录像.mp4", "attachment; filename=\"__.mp4\"; filename*=UTF-8''%E5%BD%95%E5%83%8F.mp4"),
        ("", 'attachment; filename="video.mp4"'),
    ],
)
def test_vendor_name_becomes_a_harmless_disposition(name: str, expected: str) -> None:
    assert content_disposition(name, ".mp4") == expected


def test_labels_become_tags_that_s3_takes() -> None:
    labels = {"site": "gate-3", "aws:x": "no", "名": "值", "odd\u2603key": "a,b;c?d", "long": "x" * 300}
    tags = {tag["Key"]: tag["Value"] for tag in tag_set(labels | {f"n{n}": "v" for n in range(20)})}
    assert len(tags) == 10
    assert not any(name.startswith("aws:") for name in tags)
    assert tag_set(labels) == [
        {"Key": "long", "Value": "x" * 256},
        {"Key": "odd_key", "Value": "a_b_c_d"},
        {"Key": "site", "Value": "gate-3"},
        {"Key": "名", "Value": "值"},
    ]
    assert tag_set({}) == []


def test_checkpoint_survives_being_stored() -> None:
    ref = UploadRef("k", "u", "t", 8 * MIB, "CRC32", "FULL_OBJECT", "video/mp4")
    facts = Facts(size=5, etag='"v"', ranges=True, crc64=2**63 + 1, vendor_md5="0" * 32)
    point = Checkpoint("stem", 2, not_there=5.0, ranges=False, facts=facts, upload=ref, digests={"position": 1})
    assert Checkpoint.parse(point.as_dict(), "other") == point
    assert Checkpoint.parse({}, "stem") == Checkpoint("stem")
    assert declared_size(point.as_dict()) == facts.size
    assert part_size(point.as_dict()) == 8 * MIB
    assert part_size({}) is part_size(Checkpoint("stem").as_dict()) is None
    assert declared_size({}) is declared_size(Checkpoint("stem").as_dict()) is None
