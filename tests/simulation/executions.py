"""Step Functions of a run: executions that begin, call functions, wait, are stopped and end."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.simulation.draws import Draws
from tests.simulation.kernel import Kernel
from tests.simulation.machine import Execution, Failed, Fork, Invoke, Machine, Start, TaskFailed, Wait

#: How a function is called: with a request, and what is to be told its answer, or the error's name.
Invoker = Callable[[Invoke, Callable[[Any, str | None], None]], None]


@dataclass
class Record:
    """One execution."""

    machine: str
    name: str
    given: dict[str, Any]
    started: float
    status: str = "RUNNING"
    stopped: float | None = None
    states: list[str] = field(default_factory=list)


class Executions:
    """`invoke` calls a function; `ended` is told of each execution that ends."""

    def __init__(self, kernel: Kernel, draws: Draws, invoke: Invoker, ended: Callable[[Record], None]) -> None:
        self.kernel, self.draws, self._invoke, self._ended = kernel, draws, invoke, ended
        self.records: dict[tuple[str, str], Record] = {}

    # -- the API ------------------------------------------------------------------------------------------------------

    def call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """As `client._make_api_call`. Raises ClientError."""
        match operation:
            case "StartExecution":
                machine = asked["stateMachineArn"].rsplit(":", 1)[1]
                self.start(machine, asked["name"], json.loads(asked["input"]))
                return {"executionArn": f"arn:{asked['name']}"}
            case "StopExecution":
                self._end(self._record(asked, operation), "ABORTED")
                return {"stopDate": self._date(self.kernel.now)}
            case "DescribeExecution":
                return {"status": self._record(asked, operation).status}
            case "ListExecutions":
                return {"executions": self._list(asked)}
        raise NotImplementedError(f"Step Functions' {operation}")

    def start(self, machine: str, name: str, given: dict[str, Any]) -> None:
        """Raises ExecutionAlreadyExists: but for a running one of the same input, which is left to go on."""
        found = self.records.get((machine, name))
        if found:
            if found.status == "RUNNING" and found.given == given:
                return
            raise _error("ExecutionAlreadyExists", "StartExecution")
        record = self.records[machine, name] = Record(machine, name, given, self.kernel.now)
        asl = Machine(
            machine, lambda: self.draws.fraction(f"{name} jitter {self.kernel.now:.6f}"), record.states.append
        )
        process = _Process(self, record, asl.execution(given), lambda output, error: self._over(record, error))
        self.kernel.after(self.draws.between(f"{name} begins", 0.005, 0.05), lambda: process.go(None))

    def _over(self, record: Record, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, Failed):
            raise error
        self._end(record, "FAILED" if error else "SUCCEEDED")

    def _end(self, record: Record, status: str) -> None:
        if record.status == "RUNNING":
            record.status, record.stopped = status, self.kernel.now
            self._ended(record)

    def _record(self, asked: Mapping[str, Any], operation: str) -> Record:
        machine, name = asked["executionArn"].rsplit(":", 2)[1:]
        if (machine, name) not in self.records:
            raise _error("ExecutionDoesNotExist", operation)
        return self.records[machine, name]

    def _list(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        machine = asked["stateMachineArn"].rsplit(":", 1)[1]
        found = [r for r in self.records.values() if r.machine == machine and r.status == asked["statusFilter"]]
        newest = sorted(found, key=lambda record: -record.started)[: asked.get("maxResults", 100)]
        return [{"name": r.name, "status": r.status, "stopDate": self._date(r.stopped or 0.0)} for r in newest]

    @staticmethod
    def _date(moment: float) -> datetime:
        return datetime.fromtimestamp(moment, UTC)

    def any_running(self) -> bool:
        return any(record.status == "RUNNING" for record in self.records.values())


class _Process:
    """One line of an execution: the whole, or an item of a map. `over` is told its output, or what ended it."""

    def __init__(
        self,
        executions: Executions,
        record: Record,
        steps: Execution,
        over: Callable[[Any, BaseException | None], None],
    ) -> None:
        self.all, self.record, self.steps, self.over = executions, record, steps, over

    def go(self, answer: Any, error: str | None = None) -> None:
        """Hand the answer of the last request in, and carry out the next."""
        if self.record.status != "RUNNING":
            return
        try:
            request = self.steps.send(answer) if error is None else self.steps.throw(TaskFailed(error))
        except StopIteration as end:
            self.over(end.value, None)
        except (Failed, TaskFailed) as failure:
            self.over(None, failure)
        else:
            self._carry_out(request)

    def _carry_out(self, request: Any) -> None:
        kernel = self.all.kernel
        match request:
            case Wait(seconds):
                kernel.after(seconds + 0.01, lambda: self.go(None))
            case Invoke():
                self.all._invoke(request, self.go)
            case Fork():
                self._fork(request)
            case Start(name, given):
                try:
                    self.all.start(self.record.machine, name, given)
                except ClientError:
                    kernel.after(0.02, lambda: self.go(None, "StepFunctions.ExecutionAlreadyExistsException"))
                else:
                    kernel.after(0.02, lambda: self.go({"ExecutionArn": name}))

    def _fork(self, fork: Fork) -> None:
        outputs: list[Any] = [None] * len(fork.branches)
        waiting, left = deque(enumerate(fork.branches)), len(fork.branches)

        def begin() -> None:
            number, steps = waiting.popleft()

            def over(output: Any, error: BaseException | None) -> None:
                nonlocal left
                if error is not None:
                    self.go(None, getattr(error, "name", "States.TaskFailed"))
                    return
                outputs[number], left = output, left - 1
                if waiting:
                    begin()
                elif not left:
                    self.go(outputs)

            _Process(self.all, self.record, steps, over).go(None)

        if not left:
            self.all.kernel.after(0.01, lambda: self.go([]))
        for _ in range(min(fork.at_once, left)):
            begin()


def _error(code: str, operation: str) -> ClientError:
    metadata: Any = {"HTTPStatusCode": 400}
    return ClientError({"Error": {"Code": code, "Message": code}, "ResponseMetadata": metadata}, operation)
