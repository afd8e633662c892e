"""IMS against its simulator, under every reading of what its pages leave open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
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
from clipferry.vendors.ims.vendor import Ims

from local.simulators.faults import Fault
from local.simulators.ims import ImsSimulator

URLS = [f"https://media.example.com/gate/{n}.mp4?token={n}" for n in range(3)]
OUTBOUND = Outbound(allow_private=True)


@pytest.fixture
def sim() -> Iterator[ImsSimulator]:
    with ImsSimulator() as simulator:
        yield simulator


def client(sim: ImsSimulator, **secret: str) -> Ims:
    return Ims(Account("ims", {**sim.secret(), **secret}), OUTBOUND)


def task(*urls: str, **request: Any) -> Task:
    return Task("ab" * 16, {"upload_urls": list(urls), **request}, None, {}, datetime.now(UTC), 0.0)


def started(sim: ImsSimulator, *urls: str, **request: Any) -> Task:
    work = task(*urls, **request)
    given = client(sim).trigger(work)
    while not given.complete:
        given = client(sim).trigger(replace(work, refs=given.refs))
    return replace(work, refs=given.refs, elapsed=60.0)


def ready(sim: ImsSimulator, work: Task, step: float = 4.0) -> dict[str, float]:
    """Look until all is ready: how many vendor seconds each file took."""
    passed, found = 0.0, {}
    while True:
        files = [KnownFile(ref, "", settled=False, ready=True) for ref in found]
        look = client(sim).poll(replace(work, files=files))
        found |= {f.ref: passed for f in look.files if f.status is LookStatus.READY}
        if look.status is LookStatus.READY:
            return found
        assert passed < 300, look
        sim.advance(step)
        passed += step


def fetched(sim: ImsSimulator, work: Task, ref: str) -> bytes:
    file = next(f for f in client(sim).poll(work).files if f.ref == ref)
    remote = client(sim).locate(work, KnownFile(file.ref, file.name, False, True, file.detail))
    with OUTBOUND.stream(remote.url, hosts=()) as answer:
        assert answer.status == 200
        return answer.read(1 << 24)


ASSUMPTIONS = [
    {},
    {"final_status": "Normal"},
    {"final_status": "Normal", "success_error": "sample", "time_format": "space"},
    {"url_echo": "encoded"},
    {"url_echo": "newline", "non_exists": "quoted"},
    {"user_data_echo": "empty", "media_before": "no_url"},
    {"media_before": "error", "transcoded": True},
    {"listed_after": 3.0, "media_delay": 0.0},
    {"signature_status": 403, "throttling_status": 503},
]


@pytest.mark.parametrize("assumed", ASSUMPTIONS, ids=lambda a: ",".join(f"{k}={v}" for k, v in a.items()) or "default")
def test_uploads_become_ready_one_by_one_and_are_what_the_vendor_serves(assumed):
    with ImsSimulator(**assumed) as sim:
        work = started(sim, *URLS)
        when = ready(sim, work)
        assert len(set(when.values())) == 3
        for url in URLS:
            body = fetched(sim, work, url.partition("?")[0])
            assert hashlib.sha256(body).hexdigest() == sim.expected[url]["sha256"]


@pytest.mark.parametrize("assumed", ASSUMPTIONS, ids=lambda a: ",".join(f"{k}={v}" for k, v in a.items()) or "default")
def test_a_lost_reply_is_found_and_nothing_is_triggered_twice(assumed):
    with ImsSimulator(**assumed) as sim:
        sim.fail_next("UploadMediaByURL", Fault("reset_after"))
        with pytest.raises(VendorUnavailable) as caught:
            client(sim).trigger(task(*URLS))
        assert caught.value.reached
        sim.advance(10)
        found = client(sim).find(replace(task(*URLS), elapsed=20.0))
        assert found.complete
        assert {job["job_id"] for job in found.refs["jobs"]} == {job.job_id for job in sim.tasks}


def test_a_lost_later_chunk_is_found_next_to_the_first(sim):
    work = task(*(f"https://media.example.com/{n}.mp4" for n in range(45)))
    work = replace(work, refs=client(sim).trigger(work).refs)
    sim.fail_next("UploadMediaByURL", Fault("reset_after"))
    with pytest.raises(VendorUnavailable):
        client(sim).trigger(work)
    found = client(sim).find(replace(work, elapsed=20.0))
    assert (len(found.refs["jobs"]), found.complete) == (40, False)
    assert client(sim).trigger(replace(work, refs=found.refs)).complete
    assert len(sim.tasks) == 45


def test_a_trigger_that_never_arrived_is_absent(sim):
    sim.fail_next("UploadMediaByURL", Fault("reset_before"))
    with pytest.raises(VendorUnavailable):
        client(sim).trigger(task(*URLS))
    assert client(sim).find(replace(task(*URLS), elapsed=20.0)) is None
    assert sim.tasks == []


def test_an_earlier_upload_of_the_same_url_is_not_mistaken_for_ours(sim):
    started(sim, *URLS)
    sim.clock.skew = 3600.0
    other = replace(task(*URLS), key="cd" * 16, elapsed=20.0)
    assert client(sim).find(other) is None


def test_partial_failure_says_which_and_why():
    with ImsSimulator(failing={URLS[1]: "DOWNLOAD_FAIL"}) as sim:
        work = started(sim, *URLS)
        sim.advance(100)
        look = client(sim).poll(work)
        assert look.status is LookStatus.READY
        assert [f.status for f in sorted(look.files, key=lambda f: f.ref)] == [
            LookStatus.READY,
            LookStatus.FAILED,
            LookStatus.READY,
        ]
        (failed,) = (f for f in look.files if f.code)
        assert (failed.code, failed.vendor_code) == ("VENDOR_FILE_FAILED", "URLInvalidError")


def test_an_unknown_status_is_reported_then_passes():
    script = [[0, "PENDING"], [5, "REVIEWING"], [20, "SUCCESS"]]
    with ImsSimulator(scripts={URLS[0]: script}) as sim:
        work = started(sim, URLS[0])
        sim.advance(6)
        assert client(sim).poll(work).status is LookStatus.UNKNOWN
        sim.advance(30)
        assert client(sim).poll(work).status is LookStatus.READY


def test_adopting_by_url_takes_the_newest_success(sim):
    started(sim, URLS[0])
    sim.advance(60)
    started(sim, URLS[0])  # newer, still running
    adopted = Task("cd" * 16, None, {"upload_urls": [URLS[0]]}, {}, datetime.now(UTC), 0.0)
    refs = client(sim).adopt(adopted).refs
    assert refs["jobs"][0]["job_id"] == sim.tasks[0].job_id
    assert client(sim).poll(replace(adopted, refs=refs)).status is LookStatus.READY


def test_adopting_job_ids_follows_them_to_the_end(sim):
    started(sim, *URLS)
    ids = [job.job_id for job in sim.tasks]
    adopted = Task("cd" * 16, None, {"job_ids": ids}, {}, datetime.now(UTC), 0.0)
    adopted = replace(adopted, refs=client(sim).adopt(adopted).refs)
    assert set(ready(sim, adopted)) == set(ids)


@pytest.mark.parametrize("spelling", ["plain", "quoted"])
def test_an_unknown_job_id_is_named(spelling):
    with ImsSimulator(non_exists=spelling) as sim:
        adopted = Task("cd" * 16, None, {"job_ids": ["feedbeef"]}, {}, datetime.now(UTC), 20.0)
        look = client(sim).poll(replace(adopted, refs=client(sim).adopt(adopted).refs))
        assert look.code == "VENDOR_TASK_NOT_FOUND"
        assert "feedbeef" in look.message


def test_the_users_data_and_metadata_arrive(sim):
    started(
        sim, URLS[0], user_data={"Extend": {"localId": "7"}}, media_metadata=[{"SourceURL": URLS[0], "Title": "门"}]
    )
    assert '"localId":"7"' in sim.tasks[0].user_data
    assert sim.tasks[0].title == "门"


def test_a_url_without_an_extension_is_refused_in_the_vendors_words(sim):
    with pytest.raises(VendorRefused) as caught:
        client(sim).trigger(task("https://media.example.com/stream"))
    assert caught.value.code == "InvalidParameter.UploadURLs"
    assert caught.value.request_id


@pytest.mark.parametrize("secret", [{"access_key_secret": "other"}, {"access_key_id": "other"}])
def test_refused_credentials(sim, secret):
    with pytest.raises(VendorAuthFailed):
        client(sim, **secret).trigger(task(*URLS))


def test_a_skewed_clock_is_corrected(sim):
    sim.clock.skew = 3600.0
    assert client(sim).trigger(task(*URLS)).complete


@pytest.mark.parametrize(("hint", "retry_after"), [(None, None), (7.0, 7.0)])
def test_throttling_with_and_without_a_hint(sim, hint, retry_after):
    sim.fail_next("UploadMediaByURL", Fault("throttle", retry_after=hint))
    with pytest.raises(VendorThrottled) as caught:
        client(sim).trigger(task(*URLS))
    assert caught.value.retry_after == retry_after
    assert sim.tasks == []


@pytest.mark.parametrize("kind", ["status", "html", "empty", "truncated", "reset_before"])
def test_trouble_is_tried_again(sim, kind):
    work = started(sim, *URLS)
    sim.fail_next("GetUrlUploadInfos", Fault(kind))
    with pytest.raises(VendorUnavailable):
        client(sim).poll(work)
    assert client(sim).poll(work).status is LookStatus.RUNNING
