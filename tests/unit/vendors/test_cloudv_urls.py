"""Cloud VoD and sources that look alike: each is a file of its own, however the vendor writes its URL back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.vendors.cloudv.sources import files_of, identity_of, source_of
from clipferry.vendors.cloudv.vendor import CloudV
from clipferry.vendors.contract import Account, KnownFile, LookStatus, Task, VendorRefused, VendorUnavailable

from local.simulators.cloudv import CloudVSimulator
from tests.unit.vendors.test_ims_urls import FAMILIES

KEY = "cd" * 16


def task(*files: dict[str, Any], **more: Any) -> Task:
    return Task(KEY, {"files": list(files)}, None, {}, datetime.now(UTC), 60.0, **more)


def of(urls: Sequence[str]) -> list[dict[str, Any]]:
    return [{"fetch_url": url} for url in urls]


def media_of(sim: CloudVSimulator) -> dict[str, str]:
    """The source of each video, by its id at the vendor."""
    return {item.video_id: item.fetch_url for pull in sim.tasks for item in pull.items}


@pytest.mark.parametrize("order", ["asked", "reversed"])
@pytest.mark.parametrize("echo", ["plain", "encoded", "decoded"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_source_is_a_file_of_its_own_from_look_to_look(family: str, echo: str, order: str) -> None:
    urls = [url for url in FAMILIES[family] if url.startswith("http")]
    with CloudVSimulator(url_echo=echo, item_order=order, stagger=0.0, url_style="absolute") as sim:
        vendor = CloudV(Account("a", sim.secret()), Outbound(allow_private=True))
        work = task(*of(urls))
        work = replace(work, refs=vendor.trigger(work).refs)
        sim.advance(60)
        wanted = {identity_of(url): url for url in urls}
        for _ in range(3):
            look = vendor.poll(work)
            assert look.status is LookStatus.READY
            for seen in look.files:
                assert media_of(sim)[seen.detail["video_id"]] == wanted[source_of(seen.ref)]
                remote = vendor.locate(work, KnownFile(seen.ref, seen.name, False, True, seen.detail))
                assert remote is not None
                assert seen.detail["video_id"] in remote.url


def test_a_source_that_has_no_twin_keeps_the_name_that_the_user_gave_or_left_out() -> None:
    files = files_of({"files": [{"fetch_url": "https://a.example/a.mp4"}, {"fetch_url": "https://a.example/b.mp4"}]})
    assert files == [{"fetchUrl": "https://a.example/a.mp4"}, {"fetchUrl": "https://a.example/b.mp4"}]


def test_twins_get_names_of_their_own_the_same_at_every_trigger() -> None:
    request = {"files": of(["https://a.example/a%20b.mp4", "https://a.example/a+b.mp4", "https://a.example/c.mp4"])}
    names = [file.get("fileName") for file in files_of(request)]
    assert names == ["a b-1.mp4", "a+b-2.mp4", None]
    assert files_of(request) == files_of(request)


def test_twins_with_one_name_are_refused_before_any_call() -> None:
    files = [{"fetch_url": f"https://a.example/{path}.mp4", "file_name": "x.mp4"} for path in ("a%2Fb", "a/b")]
    with CloudVSimulator() as sim:
        vendor = CloudV(Account("a", sim.secret()), Outbound(allow_private=True))
        with pytest.raises(VendorRefused, match="need different file_names") as caught:
            vendor.trigger(task(*files))
        assert (caught.value.kind, sim.calls) == ("REQUEST_INVALID", {})


def test_files_that_are_known_by_the_vendors_writing_keep_their_refs() -> None:
    """As they are in the row of a job that was begun before URLs were read in more ways than one."""
    url = "https://a.example/a%20b.mp4"
    with CloudVSimulator(url_echo="decoded") as sim:
        vendor = CloudV(Account("a", sim.secret()), Outbound(allow_private=True))
        work = task(*of([url]))
        work = replace(work, refs=vendor.trigger(work).refs)
        known = f"{identity_of('https://a.example/a b.mp4')}:1"
        work = replace(work, files=[KnownFile(known, "a b.mp4", False, False)])
        assert [seen.ref for seen in vendor.poll(work).files] == [known]


@pytest.mark.parametrize("echo", ["plain", "encoded", "decoded"])
def test_a_retry_asks_only_for_what_failed_however_urls_are_written_back(echo: str) -> None:
    urls = ["https://a.example/a%20b.mp4", "https://a.example/fail-fetch%20c.mp4"]
    with CloudVSimulator(url_echo=echo, stagger=0.0) as sim:
        vendor = CloudV(Account("a", sim.secret()), Outbound(allow_private=True))
        work = task(*of(urls))
        work = replace(work, refs=vendor.trigger(work).refs)
        sim.advance(60)
        ready = [seen for seen in vendor.poll(work).files if seen.status is LookStatus.READY]
        stored = [KnownFile(seen.ref, seen.name, True, False) for seen in ready]
        vendor.trigger(replace(work, key="ef" * 16, refs={}, files=stored))
        assert sim.asked() == [*urls, urls[1]]


def test_a_reply_about_another_task_is_no_reply() -> None:
    with CloudVSimulator() as sim:
        vendor = CloudV(Account("a", sim.secret()), Outbound(allow_private=True))
        work = task(*of(["https://a.example/a.mp4"]))
        refs = vendor.trigger(work).refs
        sim.tasks[0].task_id, asked = "other", refs["task_id"]
        sim._find = lambda _: sim.tasks[0]  # type: ignore[method-assign]
        with pytest.raises(VendorUnavailable, match=f"another task than taskId {asked}"):
            vendor.poll(replace(work, refs=refs))
