"""Renditions of Cloud VoD tasks, from the task's reply to objects in S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.transfer import Code, Destination, Failed, Retry, Stored, copy
from clipferry.transfer.hls.hls_copy import chain
from clipferry.vendors.cloudv.vendor import CloudV
from clipferry.vendors.contract import Account, KnownFile, LookStatus, Task

from local.simulators.cloudv import CloudVSimulator
from tests.unit.transfer.hls_world import QUICK, S3, played, s3_bucket

OUTBOUND = Outbound(allow_private=True)


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


def copied(sim: CloudVSimulator, s3: S3, url: str, clarity: int) -> Any:
    vendor = CloudV(Account("cloudv", sim.secret()), OUTBOUND)
    work = Task(
        "0" * 32,
        {"files": [{"fetch_url": url}], "cmd": "{a:b}", "renditions": [clarity]},
        None,
        {},
        datetime.now(UTC),
        30.0,
    )
    work = replace(work, refs=vendor.trigger(work).refs)
    sim.advance(120)
    (file,) = vendor.poll(work).files
    assert (file.status, file.kind) == (LookStatus.READY, "hls")
    known = KnownFile(file.ref, file.name, False, True, file.detail)
    return copy(
        locate=lambda: vendor.locate(work, known),
        destination=Destination("bucket", "p/f001", file_name=file.name),
        outbound=OUTBOUND,
        hosts=vendor.trusted_hosts,
        s3=s3,
        checkpoint={},
        save=lambda checkpoint, size: None,
        time_left=lambda: 60.0,
        options=QUICK,
    )


@pytest.mark.parametrize(
    "assumed",
    [
        {},
        {"media_base": False},
        {"url_style": "absolute"},
        {"url_style": "signed", "media_base": False},
        {"auth": "cnc"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("clarity", "playlists"), [(2, 1), (4, 3)])
def test_a_rendition_is_stored_whole(assumed, clarity, playlists, s3):
    url = "https://source.example.com/a.mp4"
    with CloudVSimulator(**assumed) as sim:
        result = copied(sim, s3, url, clarity)
        own = f"{url}#{clarity}/"
        segments = [ref for ref in sorted(sim.expected) if ref.startswith(own) and ref.endswith(".ts")]
        wanted = segments if clarity == 4 else [ref for ref in segments if "/360p/" in ref]
        assert isinstance(result, Stored)
        assert result.key == "p/f001/index.m3u8"
        assert result.evidence["sha256"] == chain(str(sim.expected[ref]["sha256"]) for ref in wanted)
        assert result.size == sum(int(str(sim.expected[ref]["size"])) for ref in wanted)
        assert result.evidence["playlists"] == playlists


@pytest.mark.parametrize(
    ("mark", "kind", "code"),
    [
        ("drm", Failed, Code.HLS_ENCRYPTED),
        ("live", Failed, Code.HLS_LIVE),
        ("lost-segment", Retry, Code.HLS_SEGMENT_MISSING),
        ("pixel-segment", Retry, Code.NOT_A_VIDEO),
    ],
)
@pytest.mark.parametrize("clarity", [2, 4])
def test_a_rendition_that_cannot_be_copied_says_why(mark, kind, code, clarity, s3):
    with CloudVSimulator() as sim:
        result = copied(sim, s3, f"https://source.example.com/{mark}/a.mp4", clarity)
        assert (type(result), result.code) == (kind, code)
        assert "index.m3u8" not in s3.objects()


@pytest.mark.parametrize("clarity", [2, 4])
def test_an_encrypted_rendition_is_stored_with_its_keys_and_plays(clarity, s3, tmp_path):
    with CloudVSimulator(url_style="signed", media_base=False) as sim:
        result = copied(sim, s3, "https://source.example.com/encrypted/a.mp4", clarity)
        assert isinstance(result, Stored), result
        assert result.evidence["keys"] == (1 if clarity == 2 else 2)
        assert len(played(s3.save(tmp_path))) == 15 * 8
