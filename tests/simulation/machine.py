"""The state machines of `statemachine/`, interpreted: what an execution does next, as a generator of requests.

    Invoke  a function is called; the generator is sent its answer, or has TaskFailed thrown into it
    Wait    seconds pass
    Fork    generators run side by side, so many at once; it is sent the list of what they returned
    Start   another execution is started

Knows the JSONata states that the project's machines use; expressions are evaluated by jsonata-python. Whatever it does
not know raises. A test holds it to a second interpreter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonata

FOLDER = Path(__file__).resolve().parents[2] / "statemachine"
FUNCTIONS = ("Trigger", "Poll", "Download", "Finish", "Batch", "Sweep")
_REFERENCE = re.compile(r"\$(states(?:\.\w+)+|[a-z_]\w*\b(?!\())(?![\w(])")
_PATH = re.compile(r"\$([a-z_]\w*)((?:\.\w+)*)")


@dataclass(frozen=True)
class Invoke:
    function: str
    payload: dict[str, Any]
    timeout: float  # seconds; then the machine takes the call for failed
    state: str


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Fork:
    branches: Sequence[Execution]
    at_once: int


@dataclass(frozen=True)
class Start:
    name: str
    given: dict[str, Any]


class TaskFailed(Exception):
    """A task's error, by its name in ErrorEquals."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Failed(Exception):
    """The execution ends FAILED."""


Request = Invoke | Wait | Fork | Start
Execution = Generator[Request, Any, Any]


@cache
def definition(machine: str) -> dict[str, Any]:
    text = (FOLDER / f"{machine}.asl.json").read_text().replace("${Partition}", "aws")
    for name in FUNCTIONS:
        text = text.replace(f"${{{name}Function}}", name)
    return dict(json.loads(text))


class Machine:
    """Interprets one definition. `jitter` draws 0 ≤ x < 1 for the pause before a retry."""

    def __init__(self, name: str, jitter: Callable[[], float], entered: Callable[[str], None] = lambda _: None) -> None:
        self.definition, self._jitter, self._entered = definition(name), jitter, entered

    def execution(self, given: Mapping[str, Any]) -> Execution:
        """Returns the output. Raises Failed."""
        return self._run(self.definition, given, {}, {"StateMachine": {"Id": "machine"}})

    def _run(self, level: Mapping[str, Any], given: Any, variables: dict[str, Any], context: Any) -> Execution:
        name = level["StartAt"]
        while True:
            self._entered(name)
            state = level["States"][name]
            match state["Type"]:
                case "Succeed":
                    return given
                case "Fail":
                    raise Failed(_value(state["Error"], _scope(variables, given, context)))
                case "Wait":
                    scope = _scope(variables, given, context)
                    yield Wait(float(_value(state["Seconds"], scope)))
                    name, given = _leave(state, given, variables, scope, given)
                case "Pass":
                    name, given = _leave(state, given, variables, _scope(variables, given, context), given)
                case "Choice":
                    name, given = self._choose(state, given, variables, context)
                case "Task" | "Map":
                    name, given = yield from self._work(name, state, given, variables, context)
                case other:
                    raise NotImplementedError(f"a state of type {other}")

    def _choose(self, state: Any, given: Any, variables: dict[str, Any], context: Any) -> tuple[str, Any]:
        scope = _scope(variables, given, context)
        for choice in state["Choices"]:
            if _value(choice["Condition"], scope) is True:
                return _leave(choice, given, variables, scope, given)
        return state["Default"], given

    def _work(self, name: str, state: Any, given: Any, variables: dict[str, Any], context: Any) -> Execution:
        retries = [0] * len(state.get("Retry", ()))
        while True:
            scope = _scope(variables, given, {**context, "State": {"Name": name, "RetryCount": sum(retries)}})
            try:
                result = yield from (self._map if state["Type"] == "Map" else self._task)(name, state, scope, context)
            except TaskFailed as error:
                pause = self._retry(state, error.name, retries)
                if pause is not None:
                    yield Wait(pause)
                    continue
                for catch in state.get("Catch", ()):
                    if _matches(catch["ErrorEquals"], error.name):
                        return _leave(catch, given, variables, scope, {"Error": error.name, "Cause": ""})
                raise Failed(error.name) from None
            return _leave(state, given, variables, {**scope, "states": {**scope["states"], "result": result}}, result)

    def _retry(self, state: Any, error: str, retries: list[int]) -> float | None:
        """Seconds until the next try; None: no more. The first retrier that names the error counts."""
        for number, retrier in enumerate(state.get("Retry", ())):
            if _matches(retrier["ErrorEquals"], error):
                if retries[number] >= retrier.get("MaxAttempts", 3):
                    return None
                pause = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retries[number]
                retries[number] += 1
                pause = min(pause, retrier.get("MaxDelaySeconds", pause))
                return float(pause * self._jitter() if retrier.get("JitterStrategy") == "FULL" else pause)
        return None

    def _task(self, name: str, state: Any, scope: Mapping[str, Any], context: Any) -> Execution:
        arguments = _value(state["Arguments"], scope)
        if state["Resource"].endswith(":states:startExecution"):
            return (yield Start(arguments["Name"], arguments["Input"]))
        if not state["Resource"].endswith(":lambda:invoke"):
            raise NotImplementedError(state["Resource"])
        answer = yield Invoke(arguments["FunctionName"], arguments["Payload"], state["TimeoutSeconds"], name)
        return {"StatusCode": 200, "Payload": json.loads(json.dumps(answer))}

    def _map(self, name: str, state: Any, scope: Mapping[str, Any], context: Any) -> Execution:
        branches = []
        for number, item in enumerate(_value(state["Items"], scope)):
            inside = {**context, "Map": {"Item": {"Index": number, "Value": item}}}
            own = {**scope, "states": {**scope["states"], "context": inside}}
            given = _value(state["ItemSelector"], own) if "ItemSelector" in state else item
            variables = {key: value for key, value in scope.items() if key != "states"}
            branches.append(self._run(state["ItemProcessor"], given, variables, inside))
        return (yield Fork(branches, state.get("MaxConcurrency") or len(branches)))


def _scope(variables: Mapping[str, Any], given: Any, context: Any) -> dict[str, Any]:
    return {**variables, "states": {"input": given, "context": context}}


def _leave(how: Any, given: Any, variables: dict[str, Any], scope: Mapping[str, Any], result: Any) -> tuple[str, Any]:
    """The next state and its input, after Assign and Output, which both see the variables as they were."""
    output = _value(how["Output"], scope) if "Output" in how else result
    variables.update(_value(how.get("Assign", {}), scope))
    return how.get("Next", ""), output


def _matches(names: Sequence[str], error: str) -> bool:
    return error in names or "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


def _value(template: Any, scope: Mapping[str, Any]) -> Any:
    if isinstance(template, dict):
        return {name: _value(item, scope) for name, item in template.items()}
    if isinstance(template, list):
        return [_value(item, scope) for item in template]
    if isinstance(template, str) and template.startswith("{%"):
        return _evaluated(template[2:-2].strip(), scope)
    return template


class _Missing:
    """No value."""


def _at(scope: Mapping[str, Any], path: Sequence[str]) -> tuple[str, Any]:
    """How far the path leads through objects, and what is there: the rest of it, through arrays, is JSONata's."""
    found: Any = scope
    for number, name in enumerate(path):
        if isinstance(found, list):
            return ".".join(path[:number]), found
        if not isinstance(found, dict) or name not in found:
            return ".".join(path), _Missing
        found = found[name]
    return ".".join(path), found


def _evaluated(expression: str, scope: Mapping[str, Any]) -> Any:
    """The expression's value. One of the same words about the same values is worked out once."""
    plain = _PATH.fullmatch(expression)
    if plain:
        _, found = _at(scope, [plain[1], *plain[2].split(".")[1:]])
        if found is _Missing:
            raise TaskFailed("States.QueryEvaluationError")
        if not isinstance(found, list) or not plain[2]:
            return found
    used = dict(_at(scope, reference.split(".")) for reference in _references(expression))
    key = expression, json.dumps([None if value is _Missing else [value] for value in used.values()])
    if key not in _known:
        _known[key] = json.dumps(_jsonata(expression, used))
    return json.loads(_known[key])


_known: dict[tuple[str, str], str] = {}


@cache
def _references(expression: str) -> list[str]:
    return list(dict.fromkeys(_REFERENCE.findall(expression)))


def _jsonata(expression: str, used: Mapping[str, Any]) -> Any:
    bound: dict[str, Any] = {}
    for reference, value in used.items():
        *folders, last = reference.split(".")
        folder = bound
        for name in folders:
            folder = folder.setdefault(name, {})
        if value is not _Missing:
            folder[last] = value
    compiled = _compiled(expression)
    frame = compiled.create_frame()
    for name, value in bound.items():
        frame.bind(name, value)
    return compiled.evaluate(None, frame)


@cache
def _compiled(expression: str) -> Any:
    return jsonata.Jsonata(expression)
