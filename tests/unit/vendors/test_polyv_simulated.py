"""Polyv against its simulator, under every reading of what its pages leave open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    LookStatus,
    Task,
    VendorAuthFailed,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.polyv.vendor import Polyv

from local.simulators.faults import Fault
from local.simulators.polyv import PolyvSimulator

VIDS = [f"1b448be32370f4822ac40fd926112a6{n}_1" for n in range(3)]
OUTBOUND = Outbound(allow_private=True)


@pytest.fixture
def sim() -> Iterator[PolyvSimulator]:
    with PolyvSimulator() as simulator:
        yield simulator


def client(sim: PolyvSimulator, **secret: str) -> Polyv:
    return Polyv(Account("polyv", {**sim.secret(), **secret}), OUTBOUND)


def task(*vids: str, **request: Any) -> Task:
    return Task("0" * 32, {"vids": list(vids), **request}, None, {}, datetime.now(UTC), 30.0)


def started(sim: PolyvSimulator, *vids: str, **request: Any) -> Task:
    work = task(*vids, **request)
    return replace(work, refs=client(sim).trigger(work).refs)


def adopted(task_id: str, elapsed: float = 30.0) -> Task:
    return Task("0" * 32, None, {"task_id": task_id}, {"task_id": task_id}, datetime.now(UTC), elapsed)


def known(vid: str) -> KnownFile:
    return KnownFile(vid, vid, settled=False, ready=True)


ASSUMPTIONS = [
    {},
    {"http_status": "mirror"},
    {"auth_key_epoch": "expiry"},
    {"unknown_task": "empty", "list_delay": 4.0},
    {"list_delay": 4.0},
    {"repeated_vid": "twice"},
    {"url_delay": 6.0},
]


@pytest.mark.parametrize("assumed", ASSUMPTIONS, ids=lambda a: ",".join(f"{k}={v}" for k, v in a.items()) or "default")
def test_videos_become_ready_one_by_one_and_are_what_the_vendor_serves(assumed):
    with PolyvSimulator(**assumed) as sim:
        work = started(sim, *VIDS, VIDS[0])
        counts = []
        while True:
            look = client(sim).poll(work)
            counts.append(sum(f.status is LookStatus.READY for f in look.files))
            if look.status is LookStatus.READY:
                break
            sim.advance(5)
        assert {1, 2, 3} <= set(counts)
        assert sorted(f.ref for f in look.files) == VIDS
        for vid in VIDS:
            remote = client(sim).locate(work, known(vid))
            with OUTBOUND.stream(remote.url, hosts=()) as answer:
                assert hashlib.sha256(answer.read(1 << 24)).hexdigest() == sim.expected[vid]["sha256"]


def test_partial_failure():
    with PolyvSimulator(failing_vids=[VIDS[1]]) as sim:
        work = started(sim, *VIDS)
        sim.advance(100)
        look = client(sim).poll(work)
        assert look.status is LookStatus.READY
        assert [f.code for f in look.files] == [None, "VENDOR_FILE_FAILED", None]


@pytest.mark.parametrize("status", ["200", "mirror"])
def test_a_foreign_vid_fails_the_request_or_its_own_file(status):
    with PolyvSimulator(foreign_vids=["stolen"], http_status=status) as sim:
        with pytest.raises(VendorRefused, match="invalid vid"):
            client(sim).trigger(task(VIDS[0], "stolen"))
        assert sim.tasks == []
    with PolyvSimulator(foreign_vids=["stolen"], invalid_vid="item") as sim:
        work = started(sim, VIDS[0], "stolen")
        sim.advance(100)
        assert [f.status for f in client(sim).poll(work).files] == [LookStatus.READY, LookStatus.FAILED]


@pytest.mark.parametrize("unknown", ["error", "empty"])
@pytest.mark.parametrize("status", ["200", "mirror"])
def test_an_unknown_task_is_named(unknown, status):
    with PolyvSimulator(unknown_task=unknown, http_status=status) as sim:
        with pytest.raises(VendorRefused, match="feedbeef") as caught:
            client(sim).poll(adopted("feedbeef", elapsed=61))
        assert caught.value.kind == "VENDOR_TASK_NOT_FOUND"


def test_a_task_is_adopted_by_its_id(sim):
    task_id = started(sim, *VIDS).refs["task_id"]
    sim.advance(100)
    look = client(sim).poll(adopted(task_id))
    assert (look.status, [f.ref for f in look.files]) == (LookStatus.READY, VIDS)


def test_an_unknown_status_is_reported_then_passes():
    script = [[0, "INIT"], [5, "THAWING"], [20, "SUCCESS"]]
    with PolyvSimulator(scripts={VIDS[0]: script}) as sim:
        work = started(sim, VIDS[0])
        sim.advance(6)
        assert client(sim).poll(work).status is LookStatus.UNKNOWN
        sim.advance(20)
        assert client(sim).poll(work).status is LookStatus.READY


@pytest.mark.parametrize("after", ["no_url", "fail", "url"])
def test_an_expired_source_says_so_and_a_new_task_brings_it_back(after):
    with PolyvSimulator(expired_source=after) as sim:
        work = started(sim, VIDS[0], expire_days=1)
        sim.advance(60)
        (seen,) = client(sim).poll(work).files
        file = KnownFile(seen.ref, seen.name, settled=False, ready=True, detail=seen.detail)
        # As if a day had gone by: the task's times move back, and so does what was seen of them.
        sim.advance(86_400)
        aged = (datetime.fromisoformat(seen.detail["succeeded_at"]) - timedelta(days=1)).isoformat()
        with pytest.raises(VendorRefused) as caught:
            client(sim).locate(work, replace(file, detail={"succeeded_at": aged}))
        assert caught.value.kind == "SOURCE_EXPIRED"
        again = started(sim, VIDS[0], expire_days=1)
        sim.advance(60)
        assert client(sim).locate(again, file).url


def test_a_source_kept_available_by_another_task_is_fetched_after_its_own_days():
    with PolyvSimulator(expired_source="url") as sim:
        first = started(sim, VIDS[0], expire_days=1)
        started(sim, VIDS[0], expire_days=7)
        sim.advance(2 * 86_400)
        assert client(sim).locate(first, known(VIDS[0])).url


@pytest.mark.parametrize("http_status", ["200", "mirror"])
@pytest.mark.parametrize("error", [102, 103, 105])
def test_account_errors(http_status, error):
    with PolyvSimulator(http_status=http_status, account_error=error) as sim, pytest.raises(VendorAuthFailed):
        client(sim).trigger(task(*VIDS))


@pytest.mark.parametrize("secret", [{"app_secret": "other"}, {"app_id": "other"}])
def test_refused_credentials(sim, secret):
    with pytest.raises(VendorAuthFailed):
        client(sim, **secret).trigger(task(*VIDS))


@pytest.mark.parametrize("skew", [-600.0, 600.0])
@pytest.mark.parametrize("http_status", ["200", "mirror"])
def test_a_skewed_clock_is_corrected(http_status, skew):
    with PolyvSimulator(http_status=http_status) as sim:
        sim.clock.skew = skew
        assert client(sim).trigger(task(*VIDS)).refs
        assert len(sim.tasks) == 1


@pytest.mark.parametrize("reply", ["403", "429"])
def test_the_block_is_recognised_and_ends(reply):
    with PolyvSimulator(time_scale=1000, rate_limit=3, block_reply=reply) as sim:
        work = started(sim, *VIDS)
        for _ in range(2):
            client(sim).poll(work)
        with pytest.raises(VendorThrottled) as caught:
            client(sim).poll(work)
        assert caught.value.retry_after == 300
        sim.advance(299)
        with pytest.raises(VendorThrottled):
            client(sim).poll(work)
        sim.advance(2)
        assert client(sim).poll(work).files


def test_a_block_that_breaks_connections_is_trouble_until_it_ends():
    with PolyvSimulator(time_scale=1000, rate_limit=1, block_reply="reset") as sim:
        work = started(sim, *VIDS)
        with pytest.raises(VendorUnavailable):
            client(sim).poll(work)
        sim.advance(301)
        assert client(sim).poll(work).files


@pytest.mark.parametrize("kind", ["status", "html", "empty", "truncated", "reset_before", "reset_after"])
def test_trouble_is_tried_again(sim, kind):
    work = started(sim, *VIDS)
    sim.fail_next("get", Fault(kind))
    with pytest.raises(VendorUnavailable):
        client(sim).poll(work)
    assert client(sim).poll(work).status is LookStatus.RUNNING


def test_an_unlisted_video_is_waited_for_then_failed():
    with PolyvSimulator(unlisted_vids=[VIDS[2]]) as sim:
        work = started(sim, *VIDS)
        sim.advance(100)
        assert client(sim).poll(work).status is LookStatus.RUNNING
        assert client(sim).poll(replace(work, elapsed=601.0)).files[2].code == "VENDOR_FILE_MISSING"
