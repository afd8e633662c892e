"""What every simulator offers: operations, faults, clocks, counters, control over HTTP, a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from local.simulators.base import Fault, Rate, Request, Response, Simulator, json_response

ROOT = Path(__file__).parents[3]


class Counting(Simulator):
    """Starts a task for each POST."""

    vendor = "counting"

    def operation(self, request: Request) -> str:
        return request.path.strip("/") or "root"

    def answer(self, operation: str, request: Request) -> Response:
        if request.method == "POST":
            self.tasks.append({"name": operation})
        return json_response({"operation": operation, "query": request.query, "form": request.form})

    def secret(self) -> dict[str, str]:
        return {"endpoint": self.url}


@pytest.fixture
def sim():
    with Counting() as simulator:
        yield simulator


def test_an_operation_is_counted_and_logged_without_its_query(sim):
    body = requests.get(f"{sim.url}/list?token=private&empty=", timeout=5).json()
    assert body == {"operation": "list", "query": {"token": "private", "empty": ""}, "form": {}}
    assert sim.calls == {"list": 1}
    (line,) = sim.log
    assert (line.operation, line.method, line.path, line.status) == ("list", "GET", "/list", 200)


def test_a_connection_is_kept_for_the_next_request(sim):
    with requests.Session() as session:
        for _ in range(3):
            assert session.post(f"{sim.url}/create", data={"a": "1"}, timeout=5).json()["form"] == {"a": "1"}
    assert len(sim.tasks) == 3


@pytest.mark.parametrize(
    ("fault", "status", "acted"),
    [
        (Fault("status", status=503), 503, False),
        (Fault("throttle", retry_after=7), 429, False),
        (Fault("refuse", status=400, code="no"), 400, False),
        (Fault("html"), 502, False),
        (Fault("empty"), 200, False),
        (Fault("body", body="{}", status=201), 201, False),
        (Fault("truncated"), 200, True),
        (Fault("delay", seconds=0.01), 200, True),
        (Fault("reset_before"), None, False),
        (Fault("reset_after"), None, True),
    ],
)
def test_a_fault_happens_once_and_says_whether_the_vendor_acted(sim, fault, status, acted):
    sim.fail_next("create", fault)
    if status is None:
        with pytest.raises(requests.ConnectionError):
            requests.post(f"{sim.url}/create", timeout=5)
    else:
        assert requests.post(f"{sim.url}/create", timeout=5).status_code == status
    assert bool(sim.tasks) is acted
    assert requests.post(f"{sim.url}/create", timeout=5).json()["operation"] == "create"


def test_faults_come_in_order_for_their_operation_and_as_often_as_asked(sim):
    sim.fail_next("a", Fault("status", status=501), times=2)
    sim.fail_next("*", Fault("status", status=599), times=None)
    seen = [requests.get(f"{sim.url}/{name}", timeout=5).status_code for name in ("a", "b", "a", "a")]
    assert seen == [501, 599, 501, 599]
    sim.heal()
    assert requests.get(f"{sim.url}/a", timeout=5).status_code == 200


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="explode"):
        Fault("explode")


def test_a_throttling_reply_carries_its_hint(sim):
    sim.fail_next("a", Fault("throttle", retry_after=7))
    assert requests.get(f"{sim.url}/a", timeout=5).headers["Retry-After"] == "7"


def test_the_vendors_time_runs_faster_and_can_jump():
    sim = Counting(time_scale=0.001)
    before = sim.now()
    time.sleep(0.02)
    assert sim.now() - before >= 20
    sim.advance(3600)
    assert sim.now() - before >= 3620
    assert abs(sim.clock.wall() - time.time()) < 5
    with pytest.raises(ValueError, match="time scale"):
        Counting(time_scale=0)


def test_a_clock_that_is_off_shows_in_the_date_header(sim):
    sim.clock.skew = 3600
    date = parsedate_to_datetime(requests.get(f"{sim.url}/a", timeout=5).headers["Date"])
    assert 3590 < date.timestamp() - time.time() < 3610


def test_a_rate_allows_so_many_calls_in_its_window():
    rate = Rate(2, 10.0)
    assert [rate.allows(now) for now in (0.0, 1.0, 2.0, 10.5, 10.6, 11.5)] == [True, True, False, True, False, True]


def test_faults_and_clocks_are_switched_over_http(sim):
    control = f"{sim.url}/_sim"
    planned = {"operation": "a", "fault": {"kind": "status", "status": 503}, "times": 2}
    assert requests.post(f"{control}/faults", json=planned, timeout=5).json()["faults"][0]["times"] == 2
    assert requests.get(f"{sim.url}/a", timeout=5).status_code == 503
    requests.delete(f"{control}/faults", timeout=5)
    assert requests.get(f"{sim.url}/a", timeout=5).status_code == 200
    before = sim.now()
    state = requests.post(f"{control}/state", json={"skew": 60, "advance": 500}, timeout=5).json()
    assert state["skew"] == 60
    assert sim.now() - before >= 500
    assert requests.get(f"{control}/state", timeout=5).json()["calls"] == {"a": 2}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("faults", {"operation": "a"}, 400), ("faults", {"operation": "a", "fault": {"kind": "x"}}, 400), ("no", {}, 404)],
)
def test_wrong_control_requests_are_refused(sim, path, body, status):
    assert requests.post(f"{sim.url}/_sim/{path}", json=body, timeout=5).status_code == status


def test_a_stopped_simulator_answers_no_more_not_even_on_kept_connections():
    with requests.Session() as session:
        with Counting() as sim:
            session.get(f"{sim.url}/a", timeout=5)
        with pytest.raises(requests.ConnectionError):
            session.get(f"{sim.url}/a", timeout=5)


def test_a_simulator_runs_as_a_process_of_its_own_until_it_is_told_to_stop():
    command = [sys.executable, "-m", "local.simulators.linkvisual", "--time-scale", "0.1", "--set", "upload_delay=3"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ})
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        state = requests.get(f"{url}/_sim/state", timeout=5).json()
        assert (state["vendor"], state["time_scale"], state["settings"]["upload_delay"]) == ("linkvisual", 0.1, 3)
        assert state["secret"]["endpoint"] == url
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
