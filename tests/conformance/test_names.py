"""What a vendor calls its files never reaches a key; it is kept beside the object, whatever it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from clipferry.jobs.statuses import FileStatus, JobStatus

from local.simulators.faults import Fault
from local.simulators.stage import Scene
from tests.conformance import toy
from tests.conformance.ground import Ground, ground
from tests.unit.steps.aws import BUCKET

NAMES = [
    "../../etc/passwd",
    "/absolute.mp4",
    "x" * 1000,
    "录像🎥.mp4",
    "trailing.dot.",
    "..",
    "a\\b.mp4",
    'quo"te; x-amz-acl: public-read',
    "🎥" * 250,
]


def of_cloudv(names: list[str]) -> dict[str, Any]:
    files = [{"fetch_url": f"https://a.example/{n}.mp4", "file_name": name} for n, name in enumerate(names)]
    return {"files": files}


@pytest.mark.parametrize(("vendor", "request_"), [(toy.NAME, lambda names: {"dishes": names}), ("cloudv", of_cloudv)])
def test_keys_are_ours_and_names_are_kept(
    monkeypatch: pytest.MonkeyPatch, vendor: str, request_: Callable[[list[str]], dict[str, Any]]
) -> None:
    toy.register(monkeypatch)
    with ground(monkeypatch, vendor) as played:
        job = played.play(Scene(request_(NAMES)))
        played.assert_ended(job, JobStatus.SUCCEEDED, len(NAMES))
        keys = [f"{job.object_prefix}f{number:03d}.mp4" for number in range(1, len(NAMES) + 1)]
        assert [file.s3_uri for file in job.files] == [f"s3://{BUCKET}/{key}" for key in keys]
        assert {file.name for file in job.files} == set(NAMES)
        assert {file["name"] for file in played.manifest(job.job_id)["files"]} == set(NAMES)
        for file, key in zip(job.files, keys, strict=True):
            assert_kept_beside(played, file.name, key)


def assert_kept_beside(played: Ground, name: str, key: str) -> None:
    """As the name that a browser saves the object under: no path, nothing unprintable, not endless (RFC 6266)."""
    head = played.s3.head_object(Bucket=BUCKET, Key=key)
    shown = head["ContentDisposition"]
    found = re.fullmatch(r"attachment; filename=\"([ !#-\[\]-~]+)\"(?:; filename\*=UTF-8''([!-~]+))?", shown)
    assert found, shown
    saved = unquote(found[2]) if found[2] else found[1]
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(character for character in last if character.isprintable() and character != '"')
    assert saved.removesuffix(".mp4") == plain[:120].removesuffix(".mp4")
    assert len(shown) < 2000
    assert head["Metadata"]["vendor"] == played.vendor


def test_half_a_surrogate_pair_is_no_reason_to_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON may hold one; neither DynamoDB nor S3 takes it."""
    toy.register(monkeypatch)
    dishes = [{"name": "so\ud800up", "state": "burnt"}, {"name": "fish\udfff", "state": "\ud800"}]
    with ground(monkeypatch, toy.NAME) as played:
        played.simulator.fail_next("look", Fault("body", body=json.dumps({"dishes": dishes})))
        job_id = played.ask_for(Scene({"dishes": ["cake"]}))
        played.trigger(job_id)
        played.poll(job_id)
        files = played.job(job_id).files
    assert [(file.name, file.status) for file in files] == [("so?up", FileStatus.FAILED), ("fish?", FileStatus.PENDING)]


def test_the_same_video_asked_for_twice_is_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://a.example/v.mp4"
    for vendor, twice in {
        "polyv": {"vids": ["v1", "v1"]},
        "ims": {"upload_urls": [url, url]},
        "cloudv": {"files": [{"fetch_url": url}, {"fetch_url": url}]},
    }.items():
        with ground(monkeypatch, vendor) as played:
            played.assert_ended(played.play(Scene(twice)), JobStatus.SUCCEEDED, 1)
