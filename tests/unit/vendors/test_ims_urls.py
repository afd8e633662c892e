"""IMS and URLs that look alike: each is an upload of its own, however IMS writes them back. Against the simulator."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations

import pytest
from clipferry.outbound.client import Outbound
from clipferry.vendors.contract import Account, LookStatus, Submitted, Task, TriggerUncertain
from clipferry.vendors.ims.vendor import Ims

from local.simulators.ims import ImsSimulator

HOST = "https://media.example.com/"
FAMILIES: dict[str, list[str]] = {
    "encoded blank": [HOST + path for path in ("a%20b.mp4", "a+b.mp4", "a%2520b.mp4", "a%2Bb.mp4", "a%252520b.mp4")],
    "encoded slash": [HOST + path for path in ("a%2Fb.mp4", "a/b.mp4", "a%2fb.mp4", "a%252Fb.mp4")],
    "case of the encoding": [HOST + path for path in ("%e5%bd%95.mp4", "%E5%BD%95.mp4", "%E5%bd%95.mp4", "录.mp4")],
    "composed": [HOST + unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD")] + [HOST + "%C3%A9.mp4"],
    "unreserved": [HOST + path for path in ("%7Ea.mp4", "~a.mp4", "%61.mp4", "a.mp4")],
    "percent": [HOST + path for path in ("100%.mp4", "100%25.mp4", "100%2525.mp4")],
    "query": [HOST + path for path in ("a.mp4", "a.mp4?", "a.mp4#", "a.mp4?#", "a.mp4?x=1&y=%26", "a.mp4?x=1&y=&")],
    "host": [
        "https://media.example.com/a.mp4",
        "https://MEDIA.example.com/a.mp4",
        "https://media.example.com:443/a.mp4",
        "https://media.example.com./a.mp4",
        "HTTPS://media.example.com/a.mp4",
    ],
    "scheme": [
        "http://media.example.com/a.mp4",
        "https://media.example.com/a.mp4",
        "http://media.example.com:80/a.mp4",
    ],
    "path": [HOST + path for path in ("a/../a.mp4", "./a.mp4", "a.mp4", "/a.mp4")],
}
ECHOES = ["plain", "encoded", "decoded", "newline"]
KEY = "ab" * 16


def usable(family: str) -> list[str]:
    """The simulator takes lower-case schemes only, as the page shows them."""
    return [url for url in FAMILIES[family] if url.startswith("http")]


def task(urls: Sequence[str], elapsed: float = 60.0) -> Task:
    return Task(KEY, {"upload_urls": list(urls)}, None, {}, datetime.now(UTC), elapsed)


def sent(vendor: Ims, work: Task) -> Submitted:
    submitted = vendor.trigger(work)
    while not submitted.complete:
        assert not submitted.in_doubt
        submitted = vendor.trigger(replace(work, refs=submitted.refs))
    return submitted


def assert_each_its_own(sim: ImsSimulator, urls: Sequence[str], found: Submitted) -> None:
    """Every upload that is named for a URL is one of that URL."""
    by_job = {job.job_id: job.url for job in sim.tasks}
    named = [(urls[entry["index"]], by_job[entry["job_id"]]) for entry in found.refs["jobs"] if "job_id" in entry]
    assert all(url == uploaded for url, uploaded in named), named


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("family", FAMILIES)
def test_each_url_is_uploaded_once_and_is_known_by_its_own_job(family: str, echo: str) -> None:
    urls = usable(family)
    with ImsSimulator(url_echo=echo) as sim:
        vendor = Ims(Account("a", sim.secret()), Outbound(allow_private=True))
        found = sent(vendor, task(urls))
        assert len(found.refs["jobs"]) == len(urls) == len(sim.tasks)
        assert_each_its_own(sim, urls, found)


@pytest.mark.parametrize("match", ["exact", "decoded"])
@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("family", FAMILIES)
def test_uploads_whose_answer_was_lost_are_found_each_for_its_own_url(family: str, echo: str, match: str) -> None:
    """Where IMS itself does not tell the URLs apart, nothing is found rather than the wrong thing."""
    urls = usable(family)
    with ImsSimulator(url_echo=echo, url_match=match) as sim:
        vendor = Ims(Account("a", sim.secret()), Outbound(allow_private=True))
        sent(vendor, task(urls))
        try:
            found = vendor.find(task(urls))
        except TriggerUncertain:
            assert match == "decoded"
            return
        assert found is not None
        assert_each_its_own(sim, urls, found)
        assert found.complete or match == "decoded"


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("family", FAMILIES)
def test_of_two_urls_the_one_that_did_not_arrive_is_not_taken_for_the_other(family: str, echo: str) -> None:
    for arrived, lost in combinations(usable(family), 2):
        for match in ("exact", "decoded"):
            with ImsSimulator(url_echo=echo, url_match=match) as sim:
                vendor = Ims(Account("a", sim.secret()), Outbound(allow_private=True))
                sent(vendor, task([arrived]))
                try:
                    found = vendor.find(task([arrived, lost]))
                except TriggerUncertain:
                    continue
                assert found is not None
                assert_each_its_own(sim, [arrived, lost], found)


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("family", FAMILIES)
def test_adopting_by_url_takes_uploads_of_that_very_url(family: str, echo: str) -> None:
    urls = usable(family)
    with ImsSimulator(url_echo=echo) as sim:
        vendor = Ims(Account("a", sim.secret()), Outbound(allow_private=True))
        sent(vendor, task(urls))
        adopted = vendor.adopt(Task(KEY, None, {"upload_urls": urls}, {}, datetime.now(UTC)))
        assert_each_its_own(sim, urls, adopted)
        assert len([entry for entry in adopted.refs["jobs"] if "job_id" in entry]) == len(urls)


@pytest.mark.parametrize("echo", ECHOES)
def test_the_bytes_under_each_name_are_those_of_its_url(echo: str) -> None:
    urls = usable("encoded slash")
    with ImsSimulator(url_echo=echo, stagger=0.0, media_delay=0.0) as sim:
        vendor = Ims(Account("a", sim.secret()), Outbound(allow_private=True))
        work = replace(task(urls), refs=sent(vendor, task(urls)).refs)
        sim.advance(60)
        look = vendor.poll(work)
        assert look.status is LookStatus.READY
        by_media = {job.media_id: job.url for job in sim.tasks}
        assert {seen.ref: by_media[seen.detail["media_id"]] for seen in look.files} == {url: url for url in urls}
