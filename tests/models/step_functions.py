"""Step Functions in memory: state machines whose executions run until somebody stops them. No state is ever entered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.models.service import Parameters, Refused, Service

NAME_MAX = 80  # characters of an execution's name (AWS limit)
INPUT_MAX = 256 * 1024  # bytes of an execution's input (AWS limit)
PAGE = 100  # executions of a listing by default


class StepFunctions(Service):
    """The service. An execution is its description, as DescribeExecution shows it."""

    def __init__(self, region: str, account: str) -> None:
        super().__init__()
        self._prefix = f"arn:aws:states:{region}:{account}"
        self._executions: dict[str, dict[str, dict[str, Any]]] = {}  # by machine's ARN and execution's ARN

    def _create_state_machine(self, asked: Parameters) -> dict[str, Any]:
        arn = f"{self._prefix}:stateMachine:{asked['name']}"
        self._executions.setdefault(arn, {})
        return {"stateMachineArn": arn, "creationDate": datetime.now(UTC)}

    def _start_execution(self, asked: Parameters) -> dict[str, Any]:
        executions, name, given = self._of_machine(asked["stateMachineArn"]), asked["name"], asked.get("input", "{}")
        if len(name) > NAME_MAX:
            raise Refused("ValidationException", f"the name {name} is longer than {NAME_MAX} characters")
        if len(given.encode()) > INPUT_MAX:
            raise Refused("InvalidExecutionInput", f"the input is larger than {INPUT_MAX} bytes")
        arn = f"{asked['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{name}"
        if arn in executions:
            known = executions[arn]
            if known["status"] != "RUNNING" or known["input"] != given:
                raise Refused("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        else:
            executions[arn] = {
                "executionArn": arn,
                "stateMachineArn": asked["stateMachineArn"],
                "name": name,
                "status": "RUNNING",
                "startDate": datetime.now(UTC),
                "input": given,
            }
        return {"executionArn": arn, "startDate": executions[arn]["startDate"]}

    def _stop_execution(self, asked: Parameters) -> dict[str, Any]:
        execution = self._find(asked["executionArn"])
        execution |= {"status": "ABORTED", "stopDate": datetime.now(UTC)}
        return {"stopDate": execution["stopDate"]}

    def _describe_execution(self, asked: Parameters) -> dict[str, Any]:
        return dict(self._find(asked["executionArn"]))

    def _list_executions(self, asked: Parameters) -> dict[str, Any]:
        """Those that were started last come first; one page is all there is."""
        found = [
            {name: value for name, value in execution.items() if name != "input"}
            for execution in reversed(self._of_machine(asked["stateMachineArn"]).values())
            if asked.get("statusFilter") in (None, execution["status"])
        ]
        return {"executions": found[: asked.get("maxResults", PAGE)]}

    def _of_machine(self, arn: str) -> dict[str, dict[str, Any]]:
        if arn not in self._executions:
            raise Refused("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return self._executions[arn]

    def _find(self, arn: str) -> dict[str, Any]:
        machine = arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")
        execution = self._executions.get(machine, {}).get(arn)
        if execution is None:
            raise Refused("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return execution

    operations = {  # noqa: RUF012 - a constant of the base class's type
        "CreateStateMachine": _create_state_machine,
        "StartExecution": _start_execution,
        "StopExecution": _stop_execution,
        "DescribeExecution": _describe_execution,
        "ListExecutions": _list_executions,
    }
