"""All four vendors on the deployed stack: asked, adopted, asked for what they do not know, and retried.

Every job of this module is submitted before the first is waited for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import pytest

from local.simulators import simulator_class, vendors
from local.simulators.base import Simulator
from local.simulators.polyv import PolyvSimulator
from local.stack import Stack
from tests.integration.vendors import Vendors

VENDORS = vendors()
LADDER = "https://source.example.com/ladder/a.mp4"


@dataclass
class Ground:
    """The stack, one simulator and one account a vendor, and the jobs that run on them by what they are for."""

    stack: Stack
    simulators: dict[str, Simulator] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)

    def submit(self, name: str, vendor: str, **body: Any) -> None:
        job = self.stack.submit({"vendor": vendor, "account": self.accounts[vendor], **body})
        self.jobs[name] = job["job_id"]

    def ended(self, name: str) -> dict[str, Any]:
        return self.stack.wait(self.jobs[name])

    def assert_equal(self, vendor: str, file: dict[str, Any]) -> None:
        """What is stored is what the vendor serves."""
        digest = hashlib.sha256(self.stack.stored(file["s3_uri"])).hexdigest()
        assert digest == file["evidence"]["sha256"]
        assert digest in {known["sha256"] for known in self.simulators[vendor].expected.values()}


@pytest.fixture(scope="module")
def ground(stack: Stack, account_numbers: Iterator[int]) -> Iterator[Ground]:
    found = Ground(stack)
    with ExitStack() as running:
        start = Vendors(stack, account_numbers, running)
        for vendor in VENDORS:
            found.simulators[vendor], found.accounts[vendor] = start(simulator_class(vendor))
            stage = found.simulators[vendor].stage
            found.submit(f"{vendor} request", vendor, request=stage.one.request)
            found.submit(f"{vendor} unknown", vendor, adopt=stage.unknown)
        files = [{"fetch_url": LADDER}]
        found.submit("ladder", "cloudv", request={"files": files, "cmd": "{tcTemplateName:hls}", "renditions": [4]})
        yield found


@pytest.mark.parametrize("vendor", VENDORS)
def test_work_is_asked_for_and_then_adopted(ground: Ground, vendor: str) -> None:
    first = ground.ended(f"{vendor} request")
    assert (first["status"], len(first["files"])) == ("SUCCEEDED", 1), first
    ground.assert_equal(vendor, first["files"][0])
    if vendor == "cloudv":
        ground.ended("ladder")  # its trigger counts too, whenever it comes
    triggered = ground.simulators[vendor].calls[ground.simulators[vendor].stage.trigger]

    ground.submit(f"{vendor} adopt", vendor, adopt=ground.simulators[vendor].stage.adopt(first))
    again = ground.ended(f"{vendor} adopt")

    assert (again["status"], again["request"]) == ("SUCCEEDED", None), again
    assert again["files"][0]["evidence"]["sha256"] == first["files"][0]["evidence"]["sha256"]
    assert again["files"][0]["s3_uri"] != first["files"][0]["s3_uri"]
    assert ground.simulators[vendor].calls[ground.simulators[vendor].stage.trigger] == triggered


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_id_that_the_vendor_does_not_know_is_named(ground: Ground, vendor: str) -> None:
    job = ground.ended(f"{vendor} unknown")

    assert (job["status"], job["error"]["code"]) == ("FAILED", "VENDOR_TASK_NOT_FOUND"), job
    assert all(file["status"] == "FAILED" for file in job["files"])  # an id may have been waited for as a file to come
    assert ground.simulators[vendor].stage.unknown_id in job["error"]["message"]


def test_a_source_that_expired_is_brought_back_by_a_retry(stack: Stack, vendor: Vendors) -> None:
    simulator, account = vendor(PolyvSimulator, process_seconds=3600.0)
    request = {"vids": ["e8888b74d1229efec6b4712e17cb6b7a_e"], "expire_days": 1}
    job_id = stack.submit({"vendor": "polyv", "account": account, "request": request})["job_id"]
    stack.wait(job_id, until=lambda job: bool(job["vendor_refs"]))

    simulator.advance(3 * 86_400)
    failed = stack.wait(job_id)

    assert (failed["status"], failed["files"][0]["error"]["code"]) == ("FAILED", "SOURCE_EXPIRED"), failed
    assert "retry this job" in failed["files"][0]["error"]["message"]
    simulator.settings.process_seconds = 5.0
    stack.retry(job_id)
    job = stack.wait(job_id)
    assert (job["status"], job["generation"], len(simulator.tasks)) == ("SUCCEEDED", 2, 2), job
    assert job["vendor_refs"] != failed["vendor_refs"]


def test_a_ladder_is_copied_whole_and_still_plays(ground: Ground) -> None:
    """From its master playlist on, every reference leads to an object beside it, equal to the vendor's."""
    job = ground.ended("ladder")

    assert job["status"] == "SUCCEEDED", job
    (file,) = job["files"]
    served = {known["sha256"] for ref, known in ground.simulators["cloudv"].expected.items() if ref.startswith(LADDER)}
    playlists, segments = _walked(ground.stack, file["s3_uri"])
    assert (len(playlists), len(segments)) == (3, 8)
    assert {hashlib.sha256(body).hexdigest() for body in segments.values()} <= served
    assert all(uri.startswith(file["s3_uri"].rpartition("/")[0] + "/") for uri in [*playlists, *segments])
    assert file["evidence"]["playlists"] == len(playlists)
    assert file["size"] == sum(map(len, segments.values()))


def _walked(stack: Stack, uri: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Every playlist and every segment that a player would come to, by their S3 URIs."""
    playlists, segments, pending = dict[str, str](), dict[str, bytes](), [uri]
    while pending:
        here = pending.pop()
        playlists[here] = stack.stored(here).decode()
        for line in playlists[here].splitlines():
            if line and not line.startswith("#"):
                path = urljoin(here.removeprefix("s3:/"), line)
                if line.endswith(".m3u8"):
                    pending.append(f"s3:/{path}")
                else:
                    segments[f"s3:/{path}"] = stack.stored(f"s3:/{path}")
    return playlists, segments
