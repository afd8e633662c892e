"""The emulator with a counter at its door and a queue before its Lambda: `python -m tests.benchmarks.counted`.

Calls of functions are counted, and the requests that functions send to other services, by function, service and
operation; DynamoDB's with the capacity that AWS would bill. The counts are in the file that COUNTS names, written anew
while they change. Calls beyond LAMBDA_AT_ONCE, if that is set, wait for a free place, as they would find one among
AWS's thousand: this machine has two cores. Nothing inside the functions, nor in their environment, is different.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import dynamodb, eventbridge, lambda_svc, s3, secretsmanager, stepfunctions

from local import launcher

Handler = Callable[..., Awaitable[tuple[Any, ...]]]
SERVICES = {
    "dynamodb": dynamodb, "s3": s3, "events": eventbridge, "secretsmanager": secretsmanager, "states": stepfunctions,
}  # fmt: skip
READS = {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}
PATIENCE = 140.0  # seconds in the queue; then AWS's answer, TooManyRequestsException
WRITE_EVERY = 0.5  # seconds


class Counts:
    """What was asked, by function, service and operation. A request of nobody's function is not counted."""

    def __init__(self) -> None:
        self.functions: dict[str, str] = {}  # by access key
        self.found: Counter[tuple[str, str, str]] = Counter()
        self._changed = threading.Event()

    def add(self, headers: Mapping[str, str], service: str, operation: str, count: float = 1) -> None:
        """`count` more; for a capacity, units in place of requests."""
        key = re.search(r"Credential=([^/]+)/", headers.get("authorization", ""))
        function = self.functions.get(key[1]) if key else None
        if function:
            self.note(function, service, operation, count)

    def note(self, function: str, service: str, operation: str, count: float) -> None:
        self.found[function, service, operation] += count  # type: ignore[assignment]
        self._changed.set()

    def write(self, path: Path) -> None:
        """Keep `path` up to date for ever."""
        fresh = path.with_suffix(".new")
        while self._changed.wait():
            self._changed.clear()
            fresh.write_text(json.dumps([[*names, count] for names, count in self.found.copy().items()]))
            fresh.replace(path)
            time.sleep(WRITE_EVERY)


def counted(counts: Counts, service: str, handler: Handler) -> Handler:
    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> tuple[Any, ...]:
        listing = service == "s3" and method == "GET" and {"uploads", "list-type"} & set(query)
        operation = headers.get("x-amz-target", "").rpartition(".")[2] or ("LIST" if listing else method)
        if service == "dynamodb":
            body = json.dumps({**json.loads(body), "ReturnConsumedCapacity": "TOTAL"}).encode()
        answer = await handler(method, path, headers, body, query)
        counts.add(headers, service, operation)
        if service == "dynamodb":
            counts.add(headers, "capacity", "read" if operation in READS else "write", _units(json.loads(answer[2])))
        return answer

    return handle


def _units(reply: Mapping[str, Any]) -> float:
    """What a reply says it consumed. A refused write says nothing and is billed like one of its size: one unit here."""
    consumed = reply.get("ConsumedCapacity", {"CapacityUnits": 1.0})
    return sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))


def invocations(counts: Counts) -> None:
    """Count calls of functions as they start, those that the emulator refuses, and how long they run once they do."""
    dispatch, logs, emit = (
        lambda_svc._execute_function_dispatch, lambda_svc._emit_lambda_logs, lambda_svc._emit_lambda_metrics
    )  # fmt: skip

    def run(func: Any, config: Any, event: Any, request_id: str, started: float) -> Any:
        return dispatch(func, config, event, request_id, time.time())

    def note(func: Any, request_id: str, text: str, error: bool, milliseconds: int, **more: Any) -> None:
        name = (func.get("config") or func)["FunctionName"]
        counts.note(name, "lambda", "invocations", 1)
        counts.note(name, "lambda", "milliseconds", milliseconds)
        counts.note(name, "lambda", "errors", int(error))
        logs(func, request_id, text, error, milliseconds, **more)

    def refuse(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        counts.note(function_name, "lambda", "throttles", int(throttle))
        emit(function_name, duration_ms, error, throttle)

    lambda_svc._execute_function_dispatch, lambda_svc._emit_lambda_logs = run, note
    lambda_svc._emit_lambda_metrics = refuse


def queue(at_once: int) -> None:
    """Let at most `at_once` calls of functions run; the others wait in front of the emulator's own limit."""
    places = threading.Semaphore(at_once)
    acquire, release = lambda_svc._acquire_execution_slot, lambda_svc._release_execution_slot

    def wait_and_acquire(func: Any, config: Any) -> Any:
        if not places.acquire(timeout=PATIENCE):
            return None, "account"
        slot, limit = acquire(func, config)
        if slot is None:
            places.release()
        return slot, limit

    def give_back(slot: Any) -> None:
        release(slot)
        places.release()

    lambda_svc._acquire_execution_slot, lambda_svc._release_execution_slot = wait_and_acquire, give_back


def main() -> None:
    counts, credentials = Counts(), lambda_runtime.execution_credentials

    def remembered(config: dict[str, Any]) -> dict[str, str]:
        keys = credentials(config)
        counts.functions[keys["AWS_ACCESS_KEY_ID"]] = config["FunctionName"]
        return keys

    lambda_runtime.execution_credentials = remembered
    for service, module in SERVICES.items():
        module.handle_request = counted(counts, service, module.handle_request)
    invocations(counts)
    if at_once := os.environ.get("LAMBDA_AT_ONCE"):
        queue(int(at_once))
    threading.Thread(target=counts.write, args=(Path(os.environ["COUNTS"]),), daemon=True).start()
    launcher.share_archives()
    launcher.main()


if __name__ == "__main__":
    main()
