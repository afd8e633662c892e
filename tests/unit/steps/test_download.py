"""The copying of one file, seen from the job: who has a say, what counts as an attempt, what is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from clipferry import transfer
from clipferry.aws.account_secrets import load_account
from clipferry.jobs.file import DOWNLOAD_BUDGET
from clipferry.jobs.job import percent
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.outbound.client import Outbound
from clipferry.store.job_records import Listing
from clipferry.store.rows import FileRow
from clipferry.vendors.contract import OverBudget, Remote, VendorRefused, VendorThrottled, VendorUnavailable

from tests.unit.outbound.test_client import serving
from tests.unit.steps.aws import PREFIX, client
from tests.unit.steps.world import SECRET, SIGNED, Crash, World

CANARY = "canary-of-a-header"


@pytest.fixture
def ready(world: World) -> str:
    """A job with one file ready to be copied."""
    job_id = world.submit(destination={"prefix": "site-a/"}, labels={"site": "gate"})
    world.trigger(job_id)
    world.wait(5)
    world.poll(job_id)
    return job_id


def test_a_whole_copy_is_stored_with_its_evidence(world: World, ready: str) -> None:
    assert world.download(ready) == {"file_id": "f001", "more": False, "wait_seconds": 0}
    file = world.job(ready).files[0]
    assert (file.status, file.size, file.bytes_copied) == (FileStatus.STORED, 4, 4)
    assert file.evidence == {"level": "content-length", "sha256": "00"}
    assert file.s3_uri == f"s3://videos/{world.job(ready).object_prefix}f001.mp4"
    assert file.s3_uri.startswith("s3://videos/site-a/scripted/20")


CUT = transfer.CopyWarning(transfer.WarningCode.CONTAINER_INCOMPLETE, "its moov is at https://a.example/b?sig=1")


def test_warnings_of_a_copy_are_shown_with_the_job_then_listed_and_in_the_manifest(world: World, ready: str) -> None:
    world.copying.results = [transfer.Stored("k", 4, {}, "video/mp4", warnings=[CUT] * 60)]
    world.download(ready)
    shown = [{"code": "CONTAINER_INCOMPLETE", "message": "its moov is at https://a.example/b…", "file_id": "f001"}]
    assert world.job(ready).public()["warnings"] == shown

    world.poll(ready)
    world.finish(ready)

    key = world.job(ready).object_prefix + "manifest.json"
    manifest = json.loads(world.s3.get_object(Bucket="videos", Key=key)["Body"].read())
    assert manifest["warnings"] == shown
    (listed,) = world.rt.jobs.list(Listing(), 10)[0]
    assert (listed.files, listed.public()["warnings"]) == ([], shown)
    assert world.job(ready).public()["warnings"] == shown  # once, though both the job and its file hold it


@pytest.mark.parametrize(("own", "used"), [({}, 16), ({"connections": 4}, 4), ({"connections": "24"}, 24)])
def test_an_account_may_have_its_own_number_of_connections(
    world: World, ready: str, own: dict[str, object], used: int
) -> None:
    secret = json.dumps({"vendor": "scripted", "secret_key": SECRET, **own})
    client("secretsmanager").put_secret_value(SecretId=f"{PREFIX}/scripted", SecretString=secret)
    load_account("scripted", "scripted", fresh=True)
    world.download(ready)
    assert world.copying.options is not None
    assert world.copying.options.connections == used


def test_an_accounts_headers_go_to_the_host_that_the_vendor_names(world: World, ready: str) -> None:
    """And to no other that a file may come from; nothing that is kept of the job shows them."""
    secret = json.dumps({"secret_key": SECRET, "download_headers": {"X-Token": CANARY}})
    client("secretsmanager").put_secret_value(SecretId=f"{PREFIX}/scripted", SecretString=secret)
    load_account("scripted", "scripted", fresh=True)
    seen: list[str | None] = []

    def fetch() -> None:
        for url in (named, other):
            with world.copying.outbound.stream(url, hosts=["127.0.0.1"]):
                pass

    with serving(lambda h: (seen.append(h.headers["X-Token"]), h.reply(200))) as (named, _):  # type: ignore[arg-type]
        other = named.replace("127.0.0.1", "localhost")
        world.rt = replace(world.rt, outbound=Outbound(allow_private=True))
        world.stage.locate = [lambda: Remote(named)]
        world.copying.during = fetch
        world.download(ready)
    assert seen == [CANARY, None]
    assert CANARY not in repr(world.job(ready).public())


def test_a_stored_file_is_not_copied_again(world: World, ready: str) -> None:
    world.download(ready)
    assert world.download(ready)["more"] is False
    assert len(world.copying.copied) == 1


def test_a_copy_under_way_shows_how_far_it_is_though_the_vendor_named_no_size(world: World, ready: str) -> None:
    """The source's own word of its size is for the progress alone: to the transfer it is nothing the vendor said."""
    seen = []
    world.copying.during = lambda: seen.append(world.job(ready))
    world.stage.locate = [lambda: Remote(SIGNED)]
    world.download(ready)
    (file,) = seen[0].files
    assert (file.public()["size"], file.public()["bytes_copied"], percent(seen[0])) == (4, 2, 75)
    assert file.public()["parts"] == {"copied": 1, "total": 2}
    assert file.size is None


def test_more_is_called_again_after_its_wait(world: World, ready: str) -> None:
    world.copying.results = [transfer.More(12)]
    assert world.download(ready) == {"file_id": "f001", "more": True, "wait_seconds": 12}
    assert world.download(ready)["more"] is False


@pytest.mark.parametrize(
    "result",
    [
        transfer.More(86_400),
        transfer.Retry("SOURCE_THROTTLED", "slow down", 86_400),
        VendorThrottled("", retry_after=9e9),
    ],
)
def test_no_wait_passes_the_jobs_deadline(world: World, ready: str, result: object) -> None:
    left = (world.job(ready).deadline_at - world.rt.now()).total_seconds()
    world.copying.results = [result]
    outcome = world.download(ready)
    assert outcome["more"]
    assert left <= outcome["wait_seconds"] <= left + 1 < 86_400


def test_a_failed_attempt_is_counted_and_its_reason_shown(world: World, ready: str) -> None:
    world.copying.results = [transfer.Retry("SHORT_BODY", "ended after 3 of 4 bytes", 20.0)]
    outcome = world.download(ready)
    assert outcome["more"]
    assert outcome["wait_seconds"] >= 20
    file = world.job(ready).files[0]
    assert (file.public()["attempts"], file.error.code) == (1, "SHORT_BODY")  # type: ignore[union-attr]
    world.download(ready)
    assert world.job(ready).files[0].error is None


def test_the_download_budget_is_the_files_own(world: World, ready: str) -> None:
    world.copying.results = [transfer.Retry("SHORT_BODY", "ended early")] * 50
    calls = 1
    while world.download(ready)["more"]:
        calls += 1
    assert calls == DOWNLOAD_BUDGET
    job = world.job(ready)
    assert (job.files[0].status, job.poll_errors, job.trigger_attempts) == (FileStatus.FAILED, 0, 1)


def test_an_attempt_that_got_further_begins_the_count_anew(world: World, ready: str) -> None:
    """A copy of hours meets more than six outages; it is given up where it gets no further."""
    reached = [10, 20, 30, 40, 50, 60, 70, 0, 70, 65, 70, 0]

    def until(copied: int) -> Callable[[dict[str, Any], Callable[[dict[str, Any], int], None]], transfer.Retry]:
        def outcome(checkpoint: dict[str, Any], save: Callable[[dict[str, Any], int], None]) -> transfer.Retry:
            save(checkpoint, copied)
            return transfer.Retry("SHORT_BODY", "ended early")

        return outcome

    world.copying.results = [until(copied) for copied in reached]
    attempts = []
    for _ in reached:
        world.download(ready)
        attempts.append(world.job(ready).files[0].attempts)
    assert attempts == [1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6]
    assert world.job(ready).files[0].status is FileStatus.FAILED


def outcome(world: World, copied: int, seconds: float = 0.0, ends: Any = None) -> Callable[..., Any]:
    """A call that has so many bytes in S3 after so many seconds, and ends with that result or exception."""

    def run(checkpoint: dict[str, Any], save: Callable[[dict[str, Any], int], None]) -> Any:
        world.wait(seconds)
        save(checkpoint, copied)
        if isinstance(ends, BaseException):
            raise ends
        return ends

    return run


def test_a_call_that_got_further_than_any_before_it_ends_the_count(world: World, ready: str) -> None:
    short = transfer.Retry("SHORT_BODY", "ended early")
    copied = [(0, short), (0, short), (10, transfer.More()), (10, short), (5, transfer.More()), (20, transfer.More())]
    world.copying.results = [outcome(world, count, ends=ends) for count, ends in copied]
    attempts = []
    for _ in copied:
        world.download(ready)
        attempts.append(world.job(ready).files[0].attempts)
    assert attempts == [1, 2, 0, 1, 1, 0]
    assert world.job(ready).files[0].reached == 20


def test_a_call_that_the_vendor_throttled_is_an_attempt_when_it_tried_for_long_and_got_nowhere(
    world: World, ready: str
) -> None:
    def throttled() -> VendorThrottled:
        return VendorThrottled("slow down", retry_after=7.0)

    world.copying.results = [
        outcome(world, 0, seconds=5, ends=throttled()),
        outcome(world, 10, seconds=600, ends=throttled()),
        outcome(world, 10, seconds=600, ends=throttled()),
        outcome(world, 10, seconds=600, ends=OverBudget(30.0)),
    ]
    attempts = []
    for _ in range(4):
        assert world.download(ready)["more"]
        attempts.append(world.job(ready).files[0].attempts)
    assert attempts == [0, 0, 1, 2]


def test_calls_that_die_after_minutes_are_attempts_though_nobody_hears_of_them(world: World, ready: str) -> None:
    """The machine repeats a call that died six times before it goes on: that would be 42 calls of 15 minutes."""
    world.copying.results = [outcome(world, 0, seconds=60 * n, ends=Crash("killed")) for n in range(1, 20)]
    calls = 0
    while world.job(ready).files[0].status is not FileStatus.FAILED:
        calls += 1
        with suppress(Crash):
            world.download(ready)
    assert calls == DOWNLOAD_BUDGET + 1, "the one after the last of them ends the file"
    file = world.job(ready).files[0]
    assert (file.attempts, file.error.code) == (DOWNLOAD_BUDGET, "DOWNLOAD_BROKEN")  # type: ignore[union-attr]


def test_calls_that_die_at_once_or_after_they_got_further_are_no_attempts(world: World, ready: str) -> None:
    world.copying.results = [
        outcome(world, 0, seconds=5, ends=Crash("killed")),
        outcome(world, 0, seconds=5, ends=Crash("killed")),
        outcome(world, 10, seconds=600, ends=Crash("killed")),
        outcome(world, 20, seconds=600, ends=Crash("killed")),
        outcome(world, 30, seconds=600, ends=transfer.More()),
        outcome(world, 30, ends=transfer.More()),
    ]
    attempts = []
    for _ in range(6):
        with suppress(Crash):
            world.download(ready)
        attempts.append(world.job(ready).files[0].attempts)
    assert attempts == [0, 0, 0, 0, 0, 0]


def test_the_row_of_a_file_of_the_release_before_is_copied_on(world: World, ready: str) -> None:
    FileRow(f"JOB#{ready}", "FILE#f001").update(actions=[FileRow.call_seconds.remove()])
    assert world.download(ready)["more"] is False
    assert world.job(ready).files[0].status is FileStatus.STORED


def test_a_final_no_fails_the_file_at_once(world: World, ready: str) -> None:
    world.copying.results = [transfer.Failed("ADDRESS_REFUSED", "refused host 10.0.0.1")]
    assert world.download(ready)["more"] is False
    assert world.job(ready).files[0].error.code == "ADDRESS_REFUSED"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("error", "more", "status"),
    [
        (VendorThrottled("slow down"), True, FileStatus.COPYING),
        (VendorUnavailable("timeout"), True, FileStatus.COPYING),
        (VendorRefused("expired", kind="SOURCE_EXPIRED"), False, FileStatus.FAILED),
    ],
)
def test_trouble_with_the_link_is_sorted(
    world: World, ready: str, error: Exception, more: bool, status: FileStatus
) -> None:
    world.stage.locate = [error]
    assert world.download(ready)["more"] is more
    file = world.job(ready).files[0]
    assert file.status is status
    assert file.attempts == (1 if isinstance(error, VendorUnavailable) else 0)


def test_a_ready_file_that_is_not_there_yet_is_asked_for_again(world: World, ready: str) -> None:
    world.stage.locate = [lambda: None]
    assert world.download(ready)["more"]
    assert world.job(ready).files[0].attempts == 0


def test_a_copy_dropped_by_a_crash_is_gone_on_with(world: World, ready: str) -> None:
    world.copying.during = _crash
    with pytest.raises(Crash):
        world.download(ready)
    assert world.job(ready).files[0].checkpoint["upload"]
    world.copying.during = lambda: None
    world.download(ready)
    world.finish(ready)
    assert world.uploads() == []


def test_a_copy_that_ends_after_the_cancel_is_not_stored(world: World, ready: str) -> None:
    world.copying.during = lambda: world.cancel(ready) and None
    assert world.download(ready)["more"] is False
    world.settle()
    world.assert_honest(ready, JobStatus.CANCELLED, stored=0)


def test_a_copy_of_an_older_generation_loses_its_say(world: World, ready: str) -> None:
    """Its execution was stopped and a new one has taken the file over while it still ran."""

    def overtaken() -> None:
        world.copying.during = lambda: None
        world.stop_execution(ready)
        world.sweep_one(ready)
        world.trigger(ready, 2)
        world.poll(ready, 2)
        assert world.download(ready, generation=2)["more"] is False

    world.copying.during = overtaken
    assert world.download(ready)["more"] is False
    file = world.job(ready).files[0]
    assert (file.status, file.generation) == (FileStatus.STORED, 2)
    assert len(world.copying.copied) == 1


@pytest.mark.parametrize("generation", [0, 2])
def test_only_the_jobs_generation_copies(world: World, ready: str, generation: int) -> None:
    assert world.download(ready, generation=generation)["more"] is False
    assert world.copying.copied == []


def test_nothing_is_begun_after_the_deadline(world: World, ready: str) -> None:
    world.wait(3600)
    assert world.download(ready)["more"] is False
    assert world.copying.copied == []


def test_a_file_that_does_not_exist_is_no_error(world: World, ready: str) -> None:
    assert world.download(ready, "f999") == {"file_id": "f999", "more": False, "wait_seconds": 0}


def _crash() -> None:
    raise Crash("in the copy")
