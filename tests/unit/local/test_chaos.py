"""The campaign's own tools: draws that only the seed decides, a relay that changes nothing, a killer that is picky."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from clipferry.jobs.statuses import FileStatus
from clipferry.store.rows import FileRow
from pynamodb.expressions.update import Update

from local.chaos.draws import Call, Draws, Harm, Ledger
from local.chaos.relay import Gate, Marks, Relay, aws_reader, values_set
from local.chaos.work import plans
from local.chaos.workers import kill_caller

CALL = Call("poll", "dynamodb", "UpdateItem", effect=True, job="1-1")


class TestDraws:
    def test_a_job_meets_the_same_faults_whatever_happens_between(self) -> None:
        alone, among_others = Draws(1, hangs=False), Draws(1, hangs=False)
        alone.on = among_others.on = True

        wanted = [alone.at(CALL) for _ in range(300)]
        found = []
        for _ in range(300):
            among_others.at(replace(CALL, job="1-2"))
            found.append(among_others.at(CALL))

        assert found == wanted
        assert {harm for harm in wanted if harm} > {Harm.CRASH_BEFORE, Harm.CRASH_AFTER}

    def test_another_job_meets_others(self) -> None:
        draws = Draws(1, hangs=False)
        draws.on = True

        mine, theirs = ([draws.at(replace(CALL, job=job)) for _ in range(300)] for job in ("1-1", "1-2"))

        assert mine != theirs

    def test_nothing_is_drawn_in_peace(self) -> None:
        assert {Draws(1, hangs=True).at(CALL) for _ in range(300)} == {None}


class TestPlans:
    def test_a_seed_is_a_list_of_jobs(self) -> None:
        assert plans(3, 25) == plans(3, 25)
        assert plans(3, 25) != plans(4, 25)

    def test_no_two_jobs_name_the_same_thing_at_a_vendor(self) -> None:
        some = [plan for seed in range(1, 21) for plan in plans(seed, 25)]
        names = [
            name
            for plan in some
            for name in (
                plan.request.get("upload_urls")
                or plan.request.get("vids")
                or [file["fetch_url"] for file in plan.request.get("files", [])]
                or [plan.request["iot_id"]]
            )
        ]

        assert len(some) == 500
        assert len(set(names)) == len(names)


class Upstream(ThreadingHTTPServer):
    """Remembers what it was asked and answers 200."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Remember)


class _Remember(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.command, self.path, dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Scripted(Draws):
    """Draws what a test says."""

    def __init__(self, harm: Harm | None) -> None:
        super().__init__(1, hangs=False)
        self.harm = harm

    def at(self, call: Call) -> Harm | None:
        return self.harm


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


HEADERS = {
    "Host": "elsewhere:1",
    "Authorization": "AWS4-HMAC-SHA256 Signature=00",
    "X-Amz-Target": "AWSEvents.PutEvents",
    "Content-Type": "application/x-amz-json-1.1",
}


def ask(upstream: Upstream, harm: Harm | None, gate: Gate | None = None) -> tuple[int, Ledger]:
    """The status of one call through a relay, 0 when the connection broke."""
    ledger, address = Ledger(), f"http://127.0.0.1:{upstream.server_address[1]}"
    reader = aws_reader("finish", Marks())
    with Relay(address, reader, Scripted(harm), ledger, lambda: None, "way to AWS", gate or Gate()) as relay:
        connection = http.client.HTTPConnection("127.0.0.1", relay.server_address[1], timeout=10)
        try:
            connection.request("POST", "/?x=%2F", b'{"Entries": []}', HEADERS)
            return connection.getresponse().status, ledger
        except (ConnectionError, http.client.HTTPException):
            return 0, ledger
        finally:
            connection.close()


class TestRelay:
    def test_a_call_goes_through_as_it_came(self, upstream: Upstream) -> None:
        status, ledger = ask(upstream, None)

        ((method, path, headers, body),) = upstream.heard
        assert (status, method, path, body) == (200, "POST", "/?x=%2F", b'{"Entries": []}')
        assert {name: headers[name] for name in HEADERS} == HEADERS
        assert not ledger.faults

    @pytest.mark.parametrize(
        ("harm", "status", "acted"),
        [
            (Harm.ERROR_BEFORE, 500, 0),
            (Harm.ERROR_AFTER, 500, 1),
            (Harm.THROTTLED, 400, 0),
            (Harm.LOST_BEFORE, 0, 0),
            (Harm.LOST_AFTER, 0, 1),
            (Harm.LATE, 200, 1),
        ],
    )
    def test_harm_is_what_it_says(self, upstream: Upstream, harm: Harm, status: int, acted: int) -> None:
        found, ledger = ask(upstream, harm)

        assert (found, len(upstream.heard)) == (status, acted)
        assert ledger.faults == {("way to AWS", harm.value): 1}

    def test_a_caller_that_cannot_be_found_is_not_harmed(self, upstream: Upstream) -> None:
        status, ledger = ask(upstream, Harm.CRASH_BEFORE)

        assert (status, len(upstream.heard), sum(ledger.faults.values())) == (200, 1, 0)

    def test_nothing_passes_a_closed_gate(self, upstream: Upstream) -> None:
        gate = Gate()
        gate.close()

        assert ask(upstream, None, gate)[0] == 0
        assert upstream.heard == []


HOLD = (
    "import socket,sys; s=socket.create_connection(('127.0.0.1',int(sys.argv[1]))); print('ready',flush=True); input()"
)


class TestKiller:
    @pytest.mark.parametrize(
        ("function", "related", "killed"),
        [
            ("clipferry-poll", True, "clipferry-poll"),
            ("", True, None),
            ("clipferry-poll", False, None),
        ],
    )
    def test_only_a_worker_of_the_emulator_dies(self, function: str, related: bool, killed: str | None) -> None:
        environment = {"AWS_LAMBDA_FUNCTION_NAME": function} if function else {}
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            holder: subprocess.Popen[Any] = subprocess.Popen(
                [sys.executable, "-c", HOLD, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
            with holder:
                assert holder.stdout is not None
                holder.stdout.readline()
                _, (_, client_port) = server.accept()

                ancestor = os.getpid() if related else holder.pid

                assert kill_caller(ancestor, client_port, port) == killed
                if killed:
                    assert holder.wait(10) == -9
                else:
                    assert holder.poll() is None
                    holder.communicate(b"\n", 10)


def test_the_relay_reads_what_an_update_sets_and_not_what_it_removes_or_asks() -> None:
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    update = Update(FileRow.refused_at.set(datetime(2026, 11, 21, tzinfo=UTC)), FileRow.worker.remove())
    condition = (FileRow.status == FileStatus.COPYING).serialize(names, values)
    expression = update.serialize(names, values)
    placeholders = {placeholder: name for name, placeholder in names.items()}
    body = {"UpdateExpression": expression, "ConditionExpression": condition, "ExpressionAttributeNames": placeholders}

    assert values_set(json.dumps(body).encode()) == {"refused_at"}
