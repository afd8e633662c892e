"""Many one-file jobs at once on the emulator, all vendors alike, in real time: what came of them and what they used.

The stack is the deployed one, asked through its API. Everything is counted outside the functions: the vendors count
their calls, Step Functions' histories have the states, and `counted` has everything else.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from local.emulator import Emulator
from local.simulators.base import Simulator
from local.simulators.cloudv import CloudVSimulator
from local.simulators.ims import ImsSimulator
from local.simulators.linkvisual import LinkVisualSimulator
from local.simulators.polyv import PolyvSimulator
from local.stack import TERMINAL, Stack, deploy
from tests.benchmarks.states import transitions

AT_ONCE = 12  # functions running at once: this machine has two cores
CLIENTS = 6  # callers of the API at once
SAMPLE = 200  # executions whose history is read
PATIENCE = 3600.0  # seconds until what has not ended counts as lost
REFUSED = 3  # seconds until a call that found no place is made again

#: For each vendor: the simulator, how many accounts share its jobs, and what job `n` asks for. A hundred jobs an
#: account stay within the 300 calls in five minutes that one account of cloudv has.
VENDORS: dict[str, tuple[type[Simulator], int, Callable[[str], dict[str, Any]]]] = {
    "linkvisual": (LinkVisualSimulator, 1, lambda n: {"iot_id": f"camera-{n}"}),
    "ims": (ImsSimulator, 1, lambda n: {"upload_urls": [f"https://media.example.com/{n}.mp4"]}),
    "cloudv": (CloudVSimulator, 5, lambda n: {"files": [{"fetch_url": f"https://media.example.com/{n}.mp4"}]}),
    "polyv": (PolyvSimulator, 1, lambda n: {"vids": [f"vid-{n}"]}),
}
SHORTEST = 10  # seconds that a camera records, at least


def vendors_take(simulators: Mapping[str, list[Simulator]], seconds: float) -> None:
    """From now on a vendor needs so long for a video; a camera, after its recording, needs nothing."""
    names = {"ims": ("work_seconds",), "cloudv": ("pull_seconds",), "polyv": ("process_seconds",),
             "linkvisual": ("upload_delay", "generation")}  # fmt: skip
    for vendor, all_of in simulators.items():
        for one in all_of:
            for name in names[vendor]:
                setattr(one.settings, name, 0.0 if vendor == "linkvisual" else seconds)
            if vendor == "ims":
                one.settings.media_delay = 0.0
            if vendor == "polyv":
                one.settings.init_seconds = 0.0


@dataclass
class Usage:
    """What was used so far, or between two moments."""

    vendor_calls: Counter[str] = field(default_factory=Counter)  # by vendor; not the videos themselves
    requests: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # as `counted` has them

    def since(self, before: Usage) -> Usage:
        def less(now: Counter[Any], then: Counter[Any]) -> Counter[Any]:
            return Counter({key: count - then[key] for key, count in now.items() if count != then[key]})

        return Usage(less(self.vendor_calls, before.vendor_calls), less(self.requests, before.requests))

    def asked(self, service: str, *operations: str) -> float:
        """What the jobs' functions asked of a service: the sweep's come with the clock, not with jobs."""
        return sum(
            count for (function, of, operation), count in self.requests.items()
            if of == service and function != "sweep" and (not operations or operation in operations)
        )  # fmt: skip


@dataclass(frozen=True)
class Run:
    """So many jobs at once, from the first call of the API to the last execution's end."""

    size: int
    seconds: float
    most_at_once: int  # executions running
    statuses: Counter[str]
    lost: int  # accepted, and not in the table, or not ended
    unequal: int  # files whose SHA-256 is not the vendor's
    transitions: float  # a job, on average
    usage: Usage
    memory: Mapping[str, tuple[float, int]]  # by function: the most a process of it ever held, in MB, and its setting


class Fleet:
    """The running emulator, the vendors and the stack."""

    def __init__(self, stack: Stack, simulators: Mapping[str, list[Simulator]], counts: Path) -> None:
        self.stack, self.simulators, self._counts = stack, simulators, counts
        self._lambda, self._states = stack.client("lambda"), stack.client("stepfunctions")
        pages = self._lambda.get_paginator("list_functions").paginate()
        self.settings = {
            config["FunctionName"].removeprefix(f"{stack.name}-"): int(config["MemorySize"])
            for page in pages for config in page["Functions"] if config["FunctionName"].startswith(f"{stack.name}-")
        }  # fmt: skip

    def run(self, size: int, name: str, work: float) -> Run:
        """`size` jobs as fast as the API takes them, a vendor after the other by turns, each `work` seconds for it."""
        vendors_take(self.simulators, work)
        before, started, ended = self.usage(), time.monotonic(), Event()
        memory: dict[str, float] = {}
        watch = Thread(target=self._watch, args=(memory, ended))
        watch.start()
        most = 0
        with ThreadPoolExecutor(CLIENTS) as clients:
            jobs = [clients.submit(self._submit, n, name, work) for n in range(size)]
            while (running := self._running()) or not all(job.done() for job in jobs):
                most = max(most, running)
                if time.monotonic() - started > PATIENCE:
                    break
                time.sleep(3)
        seconds = time.monotonic() - started
        time.sleep(3)  # the last counts are on their way to their file
        ended.set()
        watch.join()
        ids = [job.result() for job in jobs]
        rows = self._rows_of(ids)
        statuses = Counter(row["status"]["S"] for row in rows.values() if row["sk"]["S"] == "JOB")
        finished = [row for row in rows.values() if row["sk"]["S"] == "JOB" and row["status"]["S"] in TERMINAL]
        step = max(1, size // SAMPLE)
        return Run(
            size, seconds, most, statuses, size - len({row["pk"]["S"] for row in finished}), self._unequal(rows),
            sum(map(self._transitions, ids[::step])) / len(ids[::step]), self.usage().since(before),
            {function: (memory.get(function, 0.0), setting) for function, setting in self.settings.items()},
        )  # fmt: skip

    def usage(self) -> Usage:
        found = Usage()
        for vendor, simulators in self.simulators.items():
            found.vendor_calls[vendor] = sum(
                count for one in simulators for operation, count in one.calls.items() if operation != "download"
            )
        for function, service, operation, count in json.loads(self._counts.read_text()):
            found.requests[function.removeprefix(f"{self.stack.name}-"), service, operation] = count
        return found

    def _submit(self, n: int, name: str, work: float) -> str:
        """Job `n` of a run by the API; a call that finds no place is made again, with the key that makes it one job."""
        vendor = list(VENDORS)[n % len(VENDORS)]
        _, accounts, request = VENDORS[vendor]
        length = {"record_duration": max(SHORTEST, int(work))} if vendor == "linkvisual" else {}
        body = {"vendor": vendor, "account": f"{vendor}-{n // len(VENDORS) % accounts}",
                "request": {**request(f"{name}-{n}"), **length}, "destination": {"prefix": name}}  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while True:
            reply = self.stack.call("POST", "/jobs", body=body, headers={"Idempotency-Key": f"{name}-{n}"})
            if reply.ok:
                return str(reply.json()["job_id"])
            if reply.status_code not in (429, 500, 502, 503, 504) or time.monotonic() > deadline:
                raise RuntimeError(f"{reply.status_code}: {reply.text[:500]}")
            time.sleep(REFUSED)

    def _running(self) -> int:
        return sum(1 for _ in self._executions(statusFilter="RUNNING"))

    def _executions(self, **which: Any) -> Iterator[Any]:
        machine = self.stack.outputs["StateMachineArn"]
        pages = self._states.get_paginator("list_executions").paginate(stateMachineArn=machine, **which)
        return (execution for page in pages for execution in page["executions"])

    def executions(self) -> int:
        """Of the jobs' machine, ever."""
        return sum(1 for _ in self._executions())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every item of the table, read behind the API by one scan."""
        pages = (
            self.stack.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.stack.outputs["TableName"], ConsistentRead=True)
        )
        return (item for page in pages for item in page["Items"])

    def _rows_of(self, ids: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
        wanted = {f"JOB#{job_id}" for job_id in ids}
        return {(item["pk"]["S"], item["sk"]["S"]): item for item in self.rows() if item["pk"]["S"] in wanted}

    def _unequal(self, rows: Mapping[Any, Mapping[str, Any]]) -> int:
        """Files that are not in S3 with the bytes the vendor served."""
        served = {str(known["sha256"]) for all_of in self.simulators.values() for one in all_of
                  for known in one.expected.values()}  # fmt: skip
        bucket = self.stack.outputs["BucketName"]
        pages = self.stack.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        stored = {
            f"s3://{bucket}/{found['Key']}": found["Size"] for page in pages for found in page.get("Contents", [])
        }
        wrong = 0
        for row in rows.values():
            if row["sk"]["S"].startswith("FILE#"):
                evidence = json.loads(row["evidence"]["S"]) if "evidence" in row else {}
                size = stored.get(row["s3_uri"]["S"]) if "s3_uri" in row else None
                wrong += evidence.get("sha256") not in served or size != int(row["size"]["N"])
        return wrong

    def _transitions(self, job_id: str) -> int:
        execution = f"{self.stack.outputs['StateMachineArn'].replace(':stateMachine:', ':execution:')}:{job_id}-1"
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=execution)
        return transitions(event for page in pages for event in page["events"])

    def _watch(self, memory: dict[str, float], ended: Event) -> None:
        """Note the most that a worker process of each function has held, until the end."""
        while not ended.wait(2):
            for function, held in workers(self.stack.name, self.stack.emulator.url):
                memory[function] = max(memory.get(function, 0.0), held)


def workers(stack: str, url: str) -> Iterator[tuple[str, float]]:
    """Every process that runs a function of the stack: its short name and the most it ever held, in MB."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = dict(
                entry.split("=", 1) for entry in (process / "environ").read_text().split("\0") if "=" in entry
            )
            if environment.get("AWS_ENDPOINT_URL") != url or "AWS_LAMBDA_FUNCTION_NAME" not in environment:
                continue
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            name = environment["AWS_LAMBDA_FUNCTION_NAME"].removeprefix(f"{stack}-")
            yield name, int(status["VmHWM"].split()[0]) * 1024 / 1e6
        except (OSError, KeyError, UnicodeDecodeError):  # it has ended meanwhile, or is somebody else's
            continue


@contextmanager
def fleet(say: Callable[[str], None], **settings: str) -> Iterator[Fleet]:
    """Everything running, as counted; all of it gone afterwards. `settings` go into the emulator's environment."""
    with ExitStack() as running:
        counts = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="clipferry-bench-"))) / "counts.json"
        counts.write_text("[]")
        own = {"COUNTS": str(counts), "LAMBDA_WARM_TTL_SECONDS": "60", **(settings or {"LAMBDA_AT_ONCE": str(AT_ONCE)})}
        emulator = running.enter_context(Emulator(program="tests.benchmarks.counted", settings=own))
        say("building and deploying the stack")
        stack = deploy(emulator)
        simulators: dict[str, list[Simulator]] = {}
        for vendor, (kind, accounts, _) in VENDORS.items():
            for n in range(accounts):
                simulator = running.enter_context(kind())
                simulators.setdefault(vendor, []).append(simulator)
                stack.add_account(f"{vendor}-{n}", simulator.account())
        yield Fleet(stack, simulators, counts)
