"""The Polyv simulator as a plain HTTP client sees it, with signing code of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.simulators.faults import Fault
from local.simulators.polyv import PolyvSimulator

VID = "1b448be32370f4822ac40fd926112a66_1"
OTHER = "1b448be32305bb29879b1eb06abd9fa1_1"


@pytest.fixture
def sim() -> Iterator[PolyvSimulator]:
    with PolyvSimulator() as simulator:
        yield simulator


def call(sim: PolyvSimulator, operation: str, sign: str = "", **params: Any) -> requests.Response:
    """One signed call; `params` may replace what is sent by default, None leaves it out."""
    secret = sim.secret()
    given = {"appId": secret["app_id"], "timestamp": int(time.time() * 1000), **params}
    sent = {name: str(value) for name, value in given.items() if value is not None}
    plain = "".join(name + sent[name] for name in sorted(sent) if sent[name])
    digest = hashlib.md5(f"{secret['app_secret']}{plain}{secret['app_secret']}".encode()).hexdigest().upper()
    sent["sign"] = sign or digest
    url = f"{sim.url}/v3/video/source-file-task/{operation}"
    if operation == "create":
        return requests.post(url, data=sent, timeout=5)
    return requests.get(url, params=sent, timeout=5)


def create(sim: PolyvSimulator, *vids: str, days: int = 1) -> str:
    return call(sim, "create", vids=",".join(vids), expireDays=days).json()["data"]["taskId"]


def items(sim: PolyvSimulator, task_id: str) -> list[dict[str, Any]]:
    return call(sim, "get", taskId=task_id).json()["data"]


def refused(response: requests.Response) -> tuple[int, int, int]:
    body = response.json()
    assert (body["status"], body["data"]) == ("error", None)
    assert body["requestId"]
    return response.status_code, body["code"], body["error"]["code"]


def test_a_task_goes_through_its_statuses_item_by_item():
    with PolyvSimulator(time_scale=1000) as sim:
        task_id = create(sim, VID, OTHER)
        assert len(task_id) == 32
        seen = []
        for _ in range(30):
            seen.append(tuple(item["status"] for item in items(sim, task_id)))
            sim.advance(1)
        listed = items(sim, task_id)
    assert list(dict.fromkeys(seen)) == [
        ("INIT", "INIT"),
        ("PROCESS", "PROCESS"),
        ("SUCCESS", "PROCESS"),
        ("SUCCESS", "SUCCESS"),
    ]
    for item in listed:
        assert set(item) == {"vid", "url", "status", "createTime", "successTime"}
        assert item["successTime"] >= item["createTime"]


def test_the_url_is_null_until_success_and_serves_an_mp4(sim):
    task_id = create(sim, VID)
    (item,) = items(sim, task_id)
    assert (item["url"], item["successTime"]) == (None, None)
    sim.advance(60)
    (item,) = items(sim, task_id)
    assert item["url"].startswith(f"{sim.url}/1b448be323/6/1b448be32370f4822ac40fd926112a66.mp4?auth_key=")
    body = requests.get(item["url"], timeout=5)
    assert hashlib.sha256(body.content).hexdigest() == sim.expected[VID]["sha256"]
    assert body.content[4:8] == b"ftyp"
    assert requests.get(item["url"] + "0", timeout=5).status_code == 403


@pytest.mark.parametrize("epoch", ["signed", "expiry"])
def test_urls_expire_whatever_their_epoch_means(epoch):
    with PolyvSimulator(auth_key_epoch=epoch, url_lifetime=100) as sim:
        task_id = create(sim, VID)
        sim.advance(60)
        url = items(sim, task_id)[0]["url"]
        stamp = int(url.partition("auth_key=")[2].partition("-")[0])
        assert (stamp > time.time() + 50) == (epoch == "expiry")
        assert requests.get(url, timeout=5).status_code == 200
        sim.clock.skew = 101
        assert requests.get(url, timeout=5).status_code == 403


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"timestamp": None}, (400, 100)),
        ({"timestamp": "now"}, (400, 100)),
        ({"timestamp": int((time.time() - 3600) * 1000)}, (400, 100)),
        ({"appId": "nobody"}, (400, 101)),
        ({"appId": None}, (400, 101)),
        ({"sign": "0" * 32}, (403, 104)),
        ({"taskId": "feedbeef"}, (400, 2001)),
    ],
)
@pytest.mark.parametrize("mirror", [False, True])
def test_refusals_by_body_code_with_http_200_or_its_mirror(params, expected, mirror):
    with PolyvSimulator(http_status="mirror" if mirror else "200") as sim:
        found = refused(call(sim, "get", **{"taskId": "feedbeef", **params}))
        assert found == (expected[0] if mirror else 200, *expected)


def test_the_clock_may_be_three_minutes_off(sim):
    for offset, code in ((-170, 2001), (170, 2001), (-190, 100), (190, 100)):
        response = call(sim, "get", taskId="x", timestamp=int((time.time() + offset) * 1000))
        assert response.json()["error"]["code"] == code


def test_everything_received_is_signed(sim):
    assert call(sim, "get", taskId="x", expireDays=1).json()["error"]["code"] == 2001
    extra = call(sim, "get", taskId="x")
    tampered = requests.get(extra.url + "&more=1", timeout=5)
    assert tampered.json()["error"]["code"] == 104


@pytest.mark.parametrize(
    ("vids", "days"),
    [([], 1), ([f"v{n}" for n in range(101)], 1), ([VID], 0), ([VID], 8), ([VID], "x")],
)
def test_limits_of_a_task(sim, vids, days):
    assert call(sim, "create", vids=",".join(vids), expireDays=days).json()["code"] == 400
    assert sim.tasks == []


def test_a_foreign_vid_fails_all_or_itself():
    with PolyvSimulator(foreign_vids=[OTHER]) as sim:
        assert refused(call(sim, "create", vids=f"{VID},{OTHER}", expireDays=1)) == (200, 400, 2000)
    with PolyvSimulator(foreign_vids=[OTHER], invalid_vid="item") as sim:
        task_id = create(sim, VID, OTHER)
        sim.advance(60)
        assert [item["status"] for item in items(sim, task_id)] == ["SUCCESS", "FAIL"]


def test_an_unknown_task_may_be_an_empty_list():
    with PolyvSimulator(unknown_task="empty") as sim:
        assert call(sim, "get", taskId="feedbeef").json()["data"] == []


@pytest.mark.parametrize("extends", [False, True])
def test_too_many_calls_block_the_address_for_five_minutes(extends):
    with PolyvSimulator(time_scale=1000, rate_limit=5, block_extends=extends) as sim:
        for _ in range(5):
            assert call(sim, "get", taskId="x").status_code == 200
        assert call(sim, "get", taskId="x").status_code == 403
        sim.advance(200)
        assert call(sim, "get", taskId="x").status_code == 403
        sim.advance(150)
        assert call(sim, "get", taskId="x").status_code == (403 if extends else 200)


def test_the_limit_is_1500_calls_in_10_seconds():
    with PolyvSimulator() as sim:
        assert (sim.settings.rate_limit, sim.settings.rate_window, sim.settings.block_seconds) == (1500, 10, 300)


def test_a_blocked_address_may_just_lose_its_connections():
    with PolyvSimulator(rate_limit=0, block_reply="reset") as sim, pytest.raises(requests.ConnectionError):
        call(sim, "get", taskId="x")


@pytest.mark.parametrize(
    ("after", "status", "has_url"), [("no_url", "SUCCESS", False), ("fail", "FAIL", False), ("url", "SUCCESS", True)]
)
def test_a_source_goes_back_to_cold_storage_after_its_days(after, status, has_url):
    with PolyvSimulator(expired_source=after) as sim:
        task_id = create(sim, VID, days=1)
        sim.advance(86_000)
        url = items(sim, task_id)[0]["url"]
        assert requests.get(url, timeout=5).status_code == 200
        sim.advance(1000)
        (item,) = items(sim, task_id)
        assert (item["status"], item["url"] is not None) == (status, has_url)
        assert requests.get(url, timeout=5).status_code == 404


def test_times_look_as_old_as_the_clock_was_put_forward(sim):
    task_id = create(sim, VID)
    created = items(sim, task_id)[0]["createTime"]
    sim.advance(86_400)
    assert abs(created - 86_400_000 - items(sim, task_id)[0]["createTime"]) < 1000


def test_other_methods_and_paths_are_refused(sim):
    assert requests.post(f"{sim.url}/v3/video/source-file-task/get", timeout=5).status_code == 405
    assert requests.get(f"{sim.url}/v3/video/nothing", timeout=5).status_code == 404


def test_faults_speak_polyvs_language(sim):
    sim.fail_next("get", Fault("status", status=500))
    assert refused(call(sim, "get", taskId="x")) == (500, 500, 500)
    sim.fail_next("get", Fault("refuse", code="105"))
    assert refused(call(sim, "get", taskId="x")) == (200, 403, 105)
    sim.fail_next("get", Fault("throttle", retry_after=5))
    blocked = call(sim, "get", taskId="x")
    assert (blocked.status_code, blocked.headers["Retry-After"]) == (403, "5")
