"""Cloud VoD against its simulator, under every reading of what its pages leave open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.vendors.cloudv.vendor import CloudV
from clipferry.vendors.contract import (
    Account,
    KnownFile,
    Look,
    LookStatus,
    Task,
    TriggerUncertain,
    VendorAuthFailed,
    VendorThrottled,
    VendorUnavailable,
)

from local.simulators.cloudv import CloudVSimulator
from local.simulators.faults import Fault

SOURCES = [f"https://source.example.com/clips/{name}.mp4?signature=x" for name in "abc"]
OUTBOUND = Outbound(allow_private=True)
READY, FAILED, RUNNING = LookStatus.READY, LookStatus.FAILED, LookStatus.RUNNING


@pytest.fixture
def sim() -> Iterator[CloudVSimulator]:
    with CloudVSimulator() as simulator:
        yield simulator


def client(sim: CloudVSimulator, **secret: str) -> CloudV:
    return CloudV(Account("cloudv", {**sim.secret(), **secret}), OUTBOUND)


def task(*urls: str, **request: Any) -> Task:
    body = {"files": [{"fetch_url": url} for url in urls], **request}
    return Task("0" * 32, body, None, {}, datetime.now(UTC), 30.0)


def started(sim: CloudVSimulator, *urls: str, **request: Any) -> Task:
    work = task(*urls, **request)
    return replace(work, refs=client(sim).trigger(work).refs)


def adopted(**adopt: Any) -> Task:
    return Task("f" * 32, None, adopt, {k: v for k, v in adopt.items() if k != "renditions"}, datetime.now(UTC))


def content(sim: CloudVSimulator, work: Task, file: Any) -> bytes:
    remote = client(sim).locate(work, KnownFile(file.ref, file.name, False, True, file.detail))
    assert remote is not None
    assert remote.kind == file.kind
    with OUTBOUND.stream(remote.url, hosts=client(sim).trusted_hosts) as answer:
        assert answer.status == 200
        return answer.read(1 << 24)


def seen_through(sim: CloudVSimulator, work: Task, step: float = 5) -> tuple[Look, list[int]]:
    """Looks until the vendor is done, what was seen in one handed to the next as the store does."""
    counts: list[int] = []
    for _ in range(60):
        look = client(sim).poll(work)
        counts.append(sum(file.status is READY for file in look.files))
        if look.status is not RUNNING:
            return look, counts
        known = [KnownFile(f.ref, f.name, f.status is FAILED, f.status is READY, f.detail) for f in look.files]
        work = replace(work, files=known)
        sim.advance(step)
    raise AssertionError("never done")


ASSUMPTIONS: list[dict[str, Any]] = [
    {},
    {"auth": "cnc"},
    {"reused_trans_no": "same"},
    {"unknown_task": "null", "list_delay": 7.0},
    {"unknown_task": "http", "list_delay": 7.0},
    {"list_delay": 7.0},
    {"spelling": "numbers"},
    {"spelling": "strings"},
    {"submit_key": "transNo"},
    {"md5": "empty"},
    {"md5": "filled"},
    {"original_server_type": 1},
    {"command_without": "null"},
    {"command_without": "absent"},
    {"media_base": False},
    {"url_style": "absolute"},
    {"url_style": "signed"},
    {"url_style": "signed", "media_base": False},
    {"url_style": "none", "media_base": False},
    {"url_delay": 12.0},
    {"url_delay": 12.0, "media_base": False},
    {"item_order": "reversed"},
    {"always_transcode": True},
]
NAMED = {"ids": lambda a: ",".join(f"{k}={v}" for k, v in a.items()) or "default"}


@pytest.mark.parametrize("assumed", ASSUMPTIONS, **NAMED)
def test_files_become_ready_one_by_one_and_are_what_the_vendor_serves(assumed):
    with CloudVSimulator(**assumed) as sim:
        work = started(sim, *SOURCES, SOURCES[0])
        assert client(sim).find(work) is None or not sim.settings.list_delay
        look, counts = seen_through(sim, work)
        assert (look.status, len(look.files)) == (READY, 3)
        assert {1, 2, 3} <= set(counts)
        hashes = [hashlib.sha256(content(sim, work, file)).hexdigest() for file in look.files]
        assert sorted(hashes) == sorted(sim.expected[f"{url}#1"]["sha256"] for url in SOURCES)
        assert len(sim.tasks) == 1


@pytest.mark.parametrize("assumed", [a for a in ASSUMPTIONS if a.get("url_style") != "none"], **NAMED)
def test_all_renditions_are_found_as_playlists(assumed):
    with CloudVSimulator(**assumed) as sim:
        work = started(sim, SOURCES[0], cmd="{workflowCode:hls}", renditions="all")
        look, _ = seen_through(sim, work)
        assert [(file.status, file.kind) for file in look.files] == [(READY, "file"), *[(READY, "hls")] * 3]
        for file in look.files[1:]:
            assert content(sim, work, file).startswith(b"#EXTM3U")


def test_chosen_renditions_and_one_that_is_missing(sim):
    work = started(sim, SOURCES[0], workflow_id="w", renditions=[3, 5])
    look, _ = seen_through(sim, work)
    assert [(file.status, file.kind, file.code) for file in look.files] == [
        (READY, "hls", None),
        (FAILED, "file", "RENDITION_MISSING"),
    ]


@pytest.mark.parametrize("spelling", ["mixed", "numbers", "strings"])
def test_partial_failure(spelling):
    with CloudVSimulator(spelling=spelling) as sim:
        work = started(sim, SOURCES[0], "https://x/fail-fetch/b.mp4", SOURCES[2])
        look, _ = seen_through(sim, work)
        assert (look.status, [file.status for file in look.files]) == (READY, [READY, FAILED, READY])
        assert look.files[1].code == "VENDOR_FILE_FAILED"


def test_a_failed_command_costs_the_renditions_and_not_the_original(sim):
    work = started(sim, "https://x/fail-command/b.mp4", cmd="{a:b}", renditions=[1, 2])
    look, _ = seen_through(sim, work)
    assert [(file.status, file.code) for file in look.files] == [(READY, None), (FAILED, "RENDITION_MISSING")]


def test_an_item_whose_md5_is_wrong_fails_and_one_whose_is_right_says_so(sim):
    md5 = sim.source_md5(SOURCES[0])
    files = [{"fetch_url": SOURCES[0], "md5": md5.upper()}, {"fetch_url": SOURCES[1], "md5": "0" * 32}]
    work = Task("0" * 32, {"files": files}, None, {}, datetime.now(UTC), 30.0)
    work = replace(work, refs=client(sim).trigger(work).refs)
    look, _ = seen_through(sim, work)
    assert [(file.status, file.md5) for file in look.files] == [(READY, md5), (FAILED, None)]


def test_video_info_that_stays_away_is_not_ready(sim):
    work = started(sim, "https://x/no-info/b.mp4")
    sim.advance(100)
    look = client(sim).poll(work)
    assert (look.status, look.files[0].status) == (RUNNING, RUNNING)
    known = [KnownFile(f.ref, f.name, False, False, f.detail) for f in look.files]
    later = client(sim).poll(replace(work, files=known, elapsed=work.elapsed + 1900))
    assert (later.status, later.files[0].code) == (READY, "NO_FILE_URL")


def test_an_unknown_status_is_said_to_be_unknown(sim):
    work = started(sim, "https://x/odd-status/b.mp4")
    sim.advance(100)
    assert client(sim).poll(work).status is LookStatus.UNKNOWN


def test_an_item_that_is_never_listed_has_failed():
    with CloudVSimulator(dropped=[SOURCES[1]]) as sim:
        work = started(sim, *SOURCES)
        look, _ = seen_through(sim, work)
        assert (look.status, sorted(file.status for file in look.files)) == (READY, [FAILED, READY, READY])
    with CloudVSimulator(dropped=[SOURCES[1]]) as sim:
        assert seen_through(sim, started(sim, SOURCES[1]))[0].code == "NO_FILES"


# --- adopting ---


@pytest.mark.parametrize("how", ["task_id", "trans_no"])
def test_existing_work_is_adopted(sim, how):
    refs = started(sim, *SOURCES).refs
    sim.advance(100)
    work = adopted(**{how: refs[how]})
    work = replace(work, refs=client(sim).adopt(work).refs)
    look = client(sim).poll(work)
    assert (look.status, len(look.files)) == (READY, 3)
    assert hashlib.sha256(content(sim, work, look.files[1])).hexdigest() == sim.expected[f"{SOURCES[1]}#1"]["sha256"]


@pytest.mark.parametrize("unknown", ["code", "null", "http"])
@pytest.mark.parametrize("how", ["task_id", "trans_no"])
def test_an_id_that_the_vendor_does_not_know_is_named(unknown, how):
    with CloudVSimulator(unknown_task=unknown) as sim:
        look = client(sim).poll(adopted(**{how: "feedbeef"}))
        assert (look.status, look.code) == (FAILED, "VENDOR_TASK_NOT_FOUND")
        assert "feedbeef" in look.message


# --- nothing is triggered twice ---


@pytest.mark.parametrize("reused", ["reject", "same"])
@pytest.mark.parametrize("lost", [Fault("reset_after"), Fault("truncated")], ids=lambda f: f.kind)
def test_a_trigger_whose_reply_was_lost_is_found(lost, reused):
    with CloudVSimulator(reused_trans_no=reused) as sim:
        sim.fail_next("pullVideo", lost)
        with pytest.raises(VendorUnavailable) as caught:
            client(sim).trigger(task(SOURCES[0]))
        assert caught.value.reached
        found = client(sim).find(task(SOURCES[0]))
        assert found is not None
        assert found.refs["task_id"] == sim.tasks[0].task_id
        assert client(sim).trigger(task(SOURCES[0])).refs == found.refs
        assert len(sim.tasks) == 1


@pytest.mark.parametrize("fault", [Fault("reset_before"), Fault("status", status=503), Fault("html")], ids=str)
def test_a_trigger_that_did_not_arrive_is_provably_absent(sim, fault):
    sim.fail_next("pullVideo", fault)
    with pytest.raises(VendorUnavailable):
        client(sim).trigger(task(SOURCES[0]))
    assert client(sim).find(task(SOURCES[0])) is None


def test_a_lost_trigger_whose_task_shows_late_is_waited_for():
    with CloudVSimulator(list_delay=20.0) as sim:
        sim.fail_next("pullVideo", Fault("reset_after"))
        with pytest.raises(VendorUnavailable, match=r"answer|closed"):
            client(sim).trigger(task(SOURCES[0]))
        for elapsed in (5.0, 15.0):
            with pytest.raises(TriggerUncertain) as caught:
                client(sim).find(replace(task(SOURCES[0]), elapsed=elapsed))
            assert caught.value.look_again == 30 - elapsed
        sim.advance(20)
        found = client(sim).find(replace(task(SOURCES[0]), elapsed=25.0))
        assert found is not None
        assert found.refs["task_id"] == sim.tasks[0].task_id
        assert len(sim.tasks) == 1


def test_a_trans_no_that_was_used_by_a_task_that_does_not_show_yet_is_a_doubt():
    with CloudVSimulator(list_delay=20.0) as sim:
        sim.fail_next("pullVideo", Fault("reset_after"))
        for _ in range(2):
            with pytest.raises(VendorUnavailable) as caught:
                client(sim).trigger(task(SOURCES[0]))
            assert caught.value.reached
        assert len(sim.tasks) == 1


# --- trouble ---


@pytest.mark.parametrize("auth_reply", ["401", "403", "200"])
def test_wrong_credentials(auth_reply):
    with CloudVSimulator(auth_reply=auth_reply) as sim, pytest.raises(VendorAuthFailed):
        client(sim, secret_key="another").trigger(task(SOURCES[0]))


def test_an_account_without_permission():
    with CloudVSimulator(permission=False) as sim, pytest.raises(VendorAuthFailed) as caught:
        client(sim).trigger(task(SOURCES[0]))
    assert caught.value.code == "1301"
    assert caught.value.request_id


@pytest.mark.parametrize("skew", [-900, 900])
@pytest.mark.parametrize("auth_reply", ["401", "403", "200"])
def test_a_clock_that_is_off_costs_one_more_call(skew, auth_reply):
    with CloudVSimulator(auth_reply=auth_reply) as sim:
        sim.clock.skew = skew
        started(sim, SOURCES[0])
        assert (sim.calls["pullVideo"], len(sim.tasks)) == (2, 1)


@pytest.mark.parametrize("rate_reply", ["429", "403", "code"])
@pytest.mark.parametrize("hint", [0, 9])
def test_too_many_calls(rate_reply, hint):
    with CloudVSimulator(rate_limit=2, rate_reply=rate_reply, rate_hint=hint) as sim:
        work = started(sim, SOURCES[0])
        client(sim).poll(work)
        with pytest.raises(VendorThrottled) as caught:
            client(sim).poll(work)
        assert caught.value.retry_after == (hint or None)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html"),
        Fault("html", status=200),
        Fault("empty"),
        Fault("truncated"),
        Fault("status", status=500),
        Fault("body", body='{"code": 200'),
        Fault("body", body="null"),
        Fault("body", body="[" * 5000),
        Fault("reset_before"),
        Fault("reset_after"),
        Fault("throttle"),
        Fault("throttle", retry_after=3),
    ],
    ids=lambda f: f"{f.kind}-{f.status}-{f.body[:4]}",
)
def test_a_look_that_fails_can_be_repeated(sim, fault):
    work = started(sim, SOURCES[0])
    sim.fail_next("pullVideoQuery", fault)
    with pytest.raises((VendorUnavailable, VendorThrottled)):
        client(sim).poll(work)
    assert client(sim).poll(work).status is RUNNING


def test_a_url_that_is_not_there_yet_or_any_more_is_located_again_without_new_work():
    with CloudVSimulator(url_style="signed", missing_seconds=30.0) as sim:
        work = started(sim, SOURCES[0])
        sim.advance(25)
        (file,) = client(sim).poll(work).files
        known = KnownFile(file.ref, file.name, False, True, file.detail)
        first = client(sim).locate(work, known)
        with OUTBOUND.stream(first.url, hosts=()) as answer:
            assert answer.status == 404
        sim.advance(40)
        sim.clock.skew = 7200  # the first URL is over by now
        with OUTBOUND.stream(first.url, hosts=()) as answer:
            assert answer.status == 403
        with OUTBOUND.stream(client(sim).locate(work, known).url, hosts=()) as answer:
            assert answer.status == 200
        assert len(sim.tasks) == 1
