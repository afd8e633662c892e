"""One run: jobs of all vendors, their users, AWS and the vendors, by one seed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import botocore.client
from botocore.exceptions import ClientError
from clipferry import transfer
from clipferry.settings import settings
from clipferry.steps.context import Runtime
from clipferry.steps.download import download
from clipferry.steps.finish import Closing
from clipferry.steps.poll import poll
from clipferry.steps.step_result import Run
from clipferry.steps.sweep import Sweep
from clipferry.steps.trigger import trigger
from clipferry.store.job_records import Jobs
from clipferry.store.rows import Item as Rows

from tests.models.dynamodb import Key
from tests.models.expressions import Item
from tests.models.s3 import S3
from tests.simulation.draws import Draws
from tests.simulation.environment import Environment, installed
from tests.simulation.executions import Executions, Record
from tests.simulation.invariants import Invariants
from tests.simulation.kernel import STARTED, Call, Crash, Kernel
from tests.simulation.machine import Invoke
from tests.simulation.table import LateIndexes
from tests.simulation.vendors import VENDORS, Simulators, Way, without_sockets
from tests.unit.steps.aws import BUCKET, BUS, PREFIX, READS, client, forget_values, table_properties

_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
SWEEP_EVERY = 300.0  # seconds
SWEEPS_MAX = 60  # until everything must be over, once nothing goes wrong any more
LIFETIMES = {"Trigger": 120.0, "Poll": 120.0, "Download": 900.0, "Finish": 120.0, "Sweep": 120.0, "Api": 29.0}
SAFETY = 30.0  # seconds that the download function keeps back

#: What goes wrong with a call of the table or another AWS service: each kind and its chance.
AWS_FAULTS = (
    ("crash before", 0.003),
    ("crash after", 0.003),
    ("throttled", 0.004),
    ("answer lost", 0.003),
    ("repeated by the SDK", 0.004),
)
READ_FAULTS = (("crash before", 0.0015), ("throttled", 0.002))
CONFLICT = ("conflict", 0.006)
DELAYS = (("slow", 0.03), ("very slow", 0.003))
#: What AWS does to an invocation.
INVOKE_FAULTS = (("invocation throttled", 0.015), ("invoked twice", 0.012), ("answer of the call lost", 0.015))


class World:
    def __init__(self, env: Environment, seed: int, only: frozenset[str] | None = None) -> None:
        self.env, self.draws, self.kernel = env, Draws(seed, only), Kernel()
        env.kernel, env.draws = self.kernel, self.draws
        self.bucket, self.began = BUCKET, self.kernel.now
        self.trace: list[str] = []
        self.effects: Counter[str] = Counter()
        self.met: Counter[tuple[str, str, str, str]] = Counter()
        self._names: dict[str, str] = {}
        self._calls: Counter[str] = Counter()
        forget_values()
        self._shown_at: dict[Key, float] = {}
        self._asked: dict[str, Counter[str]] = {}
        self.extra_tasks: Counter[str] = Counter()
        self.watchers: list[Callable[[str, Item | None, Item], None]] = []
        self.invariants = Invariants(self)
        self.table = LateIndexes(Rows.Meta.table_name, table_properties(), self._row_changed, self._show_later)
        self.s3 = S3(self.now, self._upload_id, min_part=PART_SIZE)
        self.executions = Executions(self.kernel, self.draws, self.invoke, self._execution_ended)
        self.simulators = Simulators(self.effect)
        self.jobs = Jobs(VENDORS)
        self.logger: Any = SimpleNamespace(info=_silent, error=_silent, exception=_silent, warning=_silent)

    # -- time and names -----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.env.epoch(), UTC)

    def _upload_id(self) -> str:
        return f"upload-{self.draws.stream('uploads').hex()[:8]}"

    def name_of(self, job_id: str) -> str:
        return self._names.get(job_id, job_id)

    def id_of(self, name: str) -> str | None:
        return next((job_id for job_id, known in self._names.items() if known == name), None)

    def source_of(self, vendor: str, ref: str) -> str:
        """The job whose request this source, or this file of the vendor, comes from."""
        found = re.search(r"j(\d+)x", ref)
        return f"j{found[1]}" if found else ""

    def allowed_tasks(self, name: str) -> int:
        """How often the vendor may be asked for one source of a job: once a round, and where a user said so."""
        return max(1, self.extra_tasks[name])

    def job_rows(self) -> dict[str, Item]:
        rows = self.table.table.items.values()
        return {row["job_id"]["S"]: row for row in rows if row.get("kind", {}).get("S") == "job"}

    # -- effects ------------------------------------------------------------------------------------------------------

    def effect(
        self,
        name: str,
        act: Callable[[str | None], Any],
        faults: Sequence[tuple[str, float]] = (),
        *,
        reads: bool,
        on: str = "",
    ) -> Any:
        """Something that a call does outside of its process. It stops here, and whatever is due first goes on.

        `act` gets the fault it is to commit, one of those that are not the caller's own death.
        """
        call = self.kernel.current
        if call is None:
            return act(None)
        call.effects += 1
        label = f"{call.label}/{call.effects} {name}"
        self._stop(call, label, name, reads, on)
        if call.dead:
            raise Crash(label)
        fault = self.draws.of_these(label, faults)
        self.effects["read" if reads else "effect"] += 1
        job = self._job_of(on) or call.job
        for other in self.kernel.parked:
            if other is not call and not reads and other.job == job:
                self.met[other.step, other.next, call.step, name] += 1
        if fault == "crash before":
            call.dead = True
            self.note(f"{label}: crash before")
            raise Crash(label)
        try:
            result = act(None if fault == "crash after" else fault)
        except BaseException as error:
            self.note(f"{label} {self._told(on)}: {fault or ''} {type(error).__name__} {_code_of(error)}")
            raise
        if not reads or fault:
            self.note(f"{label} {self._told(on)}{': ' + fault if fault else ''}")
        if fault == "crash after":
            call.dead = True
            raise Crash(label)
        return result

    def _stop(self, call: Call, label: str, name: str, reads: bool, on: str) -> None:
        drawn = self.draws.fraction(f"{label} takes")
        if reads and drawn > 0.25:
            return
        how = self.draws.of_these(f"{label} delay", DELAYS)
        seconds = 0.002 + 0.03 * drawn
        if how == "slow":
            seconds = 2 ** self.draws.between(f"{label} slow", -4, 2)
        elif how == "very slow":
            seconds = 2 ** self.draws.between(f"{label} very slow", 2, 6)
        self.kernel.pause(call, seconds, name)

    def note(self, what: str) -> None:
        call = self.kernel.current
        self.trace.append(f"{self.kernel.now - STARTED:11.4f} {what}" if call or what else what)

    def _job_of(self, on: str) -> str:
        found = _ID.search(on)
        return self._names.get(found[0], "") if found else ""

    def _told(self, on: str) -> str:
        return _ID.sub(lambda found: self._names.get(found[0], found[0]), on)

    # -- AWS ----------------------------------------------------------------------------------------------------------

    def api_call(self, boto: Any, operation: str, asked: dict[str, Any]) -> Any:
        """In place of every request to AWS."""
        service = boto.meta.service_model.service_name
        reads = operation.startswith(READS)
        call = self.kernel.current
        if call and reads and service == "dynamodb":
            call.reads += 1

        def act(fault: str | None) -> Any:
            if fault in ("throttled", "conflict"):
                raise _refused(service, fault, operation, asked)
            result = self._do(service, operation, asked)
            if fault == "answer lost":
                raise _refused(service, fault, operation, asked)
            return self._do(service, operation, asked) if fault == "repeated by the SDK" else result

        faults = READ_FAULTS if reads else AWS_FAULTS
        if service == "dynamodb" and not reads:
            faults = (*faults, CONFLICT)
        try:
            return self.effect(f"{operation}", act, faults, reads=reads, on=_row_or_object(asked))
        except ClientError as error:
            raise boto.exceptions.from_code(error.response["Error"]["Code"])(error.response, operation) from None

    def _do(self, service: str, operation: str, asked: dict[str, Any]) -> Any:
        match service:
            case "dynamodb":
                return self.table.call(operation, asked)
            case "s3":
                return self.s3.call(operation, asked)
            case "stepfunctions":
                return self.executions.call(operation, asked)
            case "events":
                return self._put_events(asked)
            case "secretsmanager":
                return {"SecretString": json.dumps(self._secret(asked["SecretId"].rsplit("/", 1)[1]))}
        raise NotImplementedError(f"{service}: {operation}")

    def _secret(self, vendor: str) -> dict[str, Any]:
        """In every other run an account has few slots for tasks."""
        capped = self.draws.fraction(f"{vendor} slots") < 0.4
        return {**self.simulators.of[vendor].secret(), **({"max_in_flight": "2"} if capped else {})}

    def _put_events(self, asked: dict[str, Any]) -> dict[str, Any]:
        for entry in asked["Entries"]:
            self.invariants.event_sent(json.loads(entry["Detail"]))
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in asked["Entries"]]}

    def _show_later(self, key: Key, show: Callable[[], None]) -> None:
        """An index shows a write after a while; the writes of one item in their order."""
        label = f"index {self._told(str(key))} {self.kernel.now:.4f}"
        lag = 2 ** self.draws.between(label, -6, -1)
        if self.draws.happens(label, "stale index", 0.02):
            lag = 2 ** self.draws.between(f"{label} stale", 1, 8)
        at = max(self._shown_at.get(key, 0.0), self.kernel.now + lag)
        self._shown_at[key] = at
        self.kernel.after(at - self.kernel.now, show)

    def _row_changed(self, key: Key, before: Item | None, after: Item | None) -> None:
        if after is not None and after.get("kind", {}).get("S") == "job":
            job_id, call = after["job_id"]["S"], self.kernel.current
            if job_id not in self._names:
                name = call.job if call else job_id
                self._names[job_id] = name if name not in self._names.values() else f"{name}'{len(self._names)}"
            own = self._names[job_id].split("'")[0]
            for field in ("trigger_round", "retriggers"):
                earlier = int(before[field]["N"]) if before else 0
                self.extra_tasks[own] += max(0, int(after[field]["N"]) - earlier)
            for watcher in self.watchers:
                watcher(job_id, before, after)
        self.invariants.row_changed(key, before, after)

    # -- functions ----------------------------------------------------------------------------------------------------

    def runtime(self, call_limit: Callable[[], float] | None = None) -> Runtime:
        """As a fresh process would make it."""
        way: Any = Way(self.simulators)
        return Runtime(self.jobs, way, now=self.now, sleep=self.env.sleep, rng=self.env.random, logger=self.logger)

    def begin(
        self,
        step: str,
        job: str,
        work: Callable[[Callable[[], float]], Any],
        over: Callable[[Call], None],
        delay: float = 0.0,
    ) -> Call:
        """Call a function: `work` gets the seconds that are left. `over` is told when it has ended, however."""
        self._calls[f"{job} {step}"] += 1
        label = f"{job} {step} {self._calls[f'{job} {step}']}"
        skew = self.draws.between(f"{label} skew", -4, 4) if self.draws.happens(label, "clock differs", 0.15) else 0.0
        ends = self.kernel.now + delay + LIFETIMES[step]

        def time_left() -> float:
            return ends - self.kernel.now

        call = Call(label, step, job, lambda: work(time_left), ends, skew)

        def ended(call: Call) -> None:
            error = call.error
            self.note(f"{label} ends: {type(error).__name__ if error else _short(call.result)}")
            self.invariants.call_over(step, label, call.reads)
            self._count_tasks()
            if error is not None and not isinstance(error, Crash | Exception):
                raise error
            over(call)

        self.kernel.begin(call, ended, delay)
        return call

    def invoke(self, request: Invoke, answer: Callable[[Any, str | None], None]) -> None:
        """As Step Functions calls a function: at least once, and its answer may get lost."""
        job = self.name_of(request.payload.get("job_id", ""))
        self._calls[f"{job} {request.state} invoked"] += 1
        label = f"{job} {request.state} {self._calls[f'{job} {request.state} invoked']} invoked"
        fault = self.draws.of_these(label, INVOKE_FAULTS)
        told = False

        def tell(result: Any, error: str | None) -> None:
            nonlocal told
            if not told:
                told = True
                self.kernel.after(0.01, lambda: answer(result, error))

        def over(call: Call) -> None:
            if call.error is None:
                tell(call.result, None)
            elif isinstance(call.error, Crash):
                tell(None, "Lambda.Unknown" if self.kernel.now < call.ends else "Sandbox.Timedout")
            else:
                tell(None, type(call.error).__name__)

        if fault == "invocation throttled":
            tell(None, "Lambda.TooManyRequestsException")
            return
        work, start = self._work(request), self.draws.between(f"{label} starts", 0.01, 0.2)
        self.begin(request.function, job, work, over, start)
        if fault == "invoked twice":
            again = start + 2 ** self.draws.between(f"{label} again", -6, 3)
            self.begin(request.function, job, work, lambda call: None, again)
        if fault == "answer of the call lost":
            lost = start + 2 ** self.draws.between(f"{label} lost", -7, 5)
            self.kernel.after(lost, lambda: tell(None, "Lambda.Unknown"))
        self.kernel.after(request.timeout, lambda: tell(None, "States.Timeout"))

    def _work(self, request: Invoke) -> Callable[[Callable[[], float]], Any]:
        asked = request.payload
        match request.function:
            case "Trigger":
                return lambda left: trigger(
                    self.runtime(), asked["job_id"], asked["generation"], Run.of(asked), left
                ).as_state()
            case "Poll":
                return lambda left: poll(
                    self.runtime(), asked["job_id"], asked["generation"], Run.of(asked), left
                ).as_state()
            case "Download":
                return lambda left: download(
                    self.runtime(),
                    client("s3"),
                    asked["job_id"],
                    asked["generation"],
                    asked["file_id"],
                    lambda: left() - SAFETY,
                ).as_state()
            case "Finish":
                return lambda left: (
                    Closing(self.runtime(), client("s3"))
                    .finish(asked["job_id"], asked["generation"], asked.get("caught"))
                    .as_state()
                )
        raise NotImplementedError(request.function)

    def _count_tasks(self) -> None:
        """After a call: how often each vendor has been asked for each source."""
        for vendor, simulator in self.simulators.of.items():
            asked = Counter(simulator.asked())
            if asked != self._asked.get(vendor):
                self._asked[vendor] = asked
                for source, times in asked.items():
                    self.invariants.triggered(vendor, source, times)

    # -- the sweep ----------------------------------------------------------------------------------------------------

    def _execution_ended(self, record: Record) -> None:
        """EventBridge tells the sweep of an execution that ended badly: late, more than once, or never."""
        if record.status not in ("FAILED", "TIMED_OUT", "ABORTED") or record.machine != "retrieve":
            return
        label = f"{self._told(record.name)} ended"
        fault = self.draws.of_these(label, (("event lost", 0.1), ("event twice", 0.1), ("event late", 0.1)))
        delay = self.draws.between(f"{label} delay", 0.05, 2.0) + (200.0 if fault == "event late" else 0.0)
        job_id, generation = record.given["job_id"], record.given["generation"]
        for number in range({"event lost": 0, "event twice": 2}.get(fault or "", 1)):
            self.begin(
                "Sweep",
                self.name_of(job_id),
                lambda left: Sweep(Closing(self.runtime(), client("s3")), left).reconcile(job_id, generation),
                lambda call: None,
                delay + number * self.draws.between(f"{label} again", 0.0, 5.0),
            )

    def sweep(self) -> None:
        self.begin(
            "Sweep", "all", lambda left: Sweep(Closing(self.runtime(), client("s3")), left).run(), lambda call: None
        )

    def run(self) -> None:
        """Until everything is over. The first violation ends it, and is raised."""
        sweeps = 0
        while self.invariants.violation is None:
            self.kernel.run(self.kernel.now + SWEEP_EVERY)
            running = self.executions.any_running()
            quiet = not (self.kernel.parked or running or self.invariants.unsettled()) and self.expected_over()
            self.draws.calm = self.draws.calm or self.expected_over()
            if quiet:
                self.kernel.run(self.kernel.now + 10)
                self.invariants.at_the_end()
                break
            sweeps += self.draws.calm
            self.invariants.check(
                sweeps < SWEEPS_MAX, f"after {sweeps} sweeps: {', '.join(self.invariants.unsettled())}"
            )
            if self.draws.calm or not self.draws.happens(f"sweep at {self.kernel.now:.0f}", "no sweep", 0.2):
                self.sweep()
        if self.invariants.violation:
            raise self.invariants.violation

    def expected_over(self) -> bool:
        """Whether users ask for nothing more; set by whoever plays them."""
        return True

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


PART_SIZE = 160  # bytes: the videos have some 500


def _silent(*_: Any, **__: Any) -> None: ...


def _short(result: Any) -> str:
    if isinstance(result, dict):
        return " ".join(f"{name}={value}" for name, value in result.items() if name not in ("job_id", "generation"))
    return type(result).__name__


def _code_of(error: BaseException) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _row_or_object(asked: dict[str, Any]) -> str:
    """What an API call is about, as far as it names one."""
    row = asked.get("Key", asked.get("Item", {}))
    if isinstance(row, dict) and row:
        return "/".join(str(row[name]["S"]) for name in ("pk", "sk") if name in row)
    if "TransactItems" in asked:
        return " ".join(_row_or_object(next(iter(item.values()))) for item in asked["TransactItems"])
    return str(row or asked.get("executionArn") or asked.get("name") or "")


def _refused(service: str, fault: str, operation: str, asked: dict[str, Any]) -> ClientError:
    more: dict[str, Any] = {}
    if fault == "conflict" and operation == "TransactWriteItems":
        code = "TransactionCanceledException"
        reasons = [{"Code": "None"} for _ in asked["TransactItems"]]
        reasons[0] = {"Code": "TransactionConflict", "Message": "conflict"}
        more = {"CancellationReasons": reasons}
    elif fault == "conflict":
        code = "TransactionConflictException"
    elif fault == "throttled":
        code = {"dynamodb": "ProvisionedThroughputExceededException", "s3": "SlowDown"}.get(
            service, "ThrottlingException"
        )
    else:
        code = "InternalServerError" if service == "dynamodb" else "InternalError"
    status = 500 if fault == "answer lost" else {"s3": 503}.get(service, 400)
    said: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(said, operation)


@contextmanager
def simulation() -> Iterator[Environment]:
    """The process is set up for runs, one after another."""
    from clipferry.aws import events, executions

    arn = "arn:aws:states:us-east-1:123456789012:stateMachine"
    variables = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "TABLE_NAME": Rows.Meta.table_name,
        "BUCKET_NAME": BUCKET,
        "SECRET_PREFIX": PREFIX,
        "EVENT_BUS_NAME": BUS,
        "STATE_MACHINE_ARN": f"{arn}:retrieve",
        "BATCH_MACHINE_ARN": f"{arn}:batch",
        "CONNECTIONS": "1",
        "ALLOW_PRIVATE_NETWORK": "true",
    }
    options = transfer.Options

    def small_options(**given: Any) -> Any:
        return options(**given, part_size=PART_SIZE, smallest_part=PART_SIZE, buffers=1 << 20)

    env = Environment()
    with (
        patch.dict(os.environ, variables),
        installed(env),
        without_sockets(),
        patch.object(events, "_client", lambda: client("events")),
        patch.object(executions, "_client", lambda: client("stepfunctions")),
        patch.object(transfer, "Options", small_options),
    ):
        settings.cache_clear()
        logging.disable(logging.CRITICAL)
        real = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

        def api_call(boto: Any, operation: str, asked: dict[str, Any]) -> Any:
            return env.world.api_call(boto, operation, asked)

        botocore.client.BaseClient._make_api_call = api_call  # type: ignore[attr-defined]
        try:
            yield env
        finally:
            botocore.client.BaseClient._make_api_call = real  # type: ignore[attr-defined]
            logging.disable(logging.NOTSET)
            settings.cache_clear()
            forget_values()
