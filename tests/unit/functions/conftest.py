"""The handlers as Lambda loads them, in the small world of the steps' tests."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import pytest

from tests.published_api.replies import check_reply
from tests.unit.steps import world as worlds
from tests.unit.steps.aws import REPOSITORY

NAMES = ("api", "batch", "trigger", "poll", "download", "finish", "schedule", "sweep")


@dataclass
class Context:
    """What Lambda tells a handler of the call."""

    aws_request_id: str = "request-1"
    function_name: str = "function"
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


@cache
def _load(name: str) -> ModuleType:
    """A function's `app`; modules beside it are imported as in Lambda, from the function's own folder."""
    folder = REPOSITORY / "functions" / name
    spec = importlib.util.spec_from_file_location(f"function_{name}", folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def _modules_of_functions() -> list[ModuleType]:
    """Each `app` and what was imported from beside it."""
    folder = str(REPOSITORY / "functions")
    beside = [m for m in list(sys.modules.values()) if str(getattr(m, "__file__", None) or "").startswith(folder)]
    return [*(_load(name) for name in NAMES), *beside]


@dataclass
class Functions:
    """The handlers, and everything they logged."""

    world: worlds.World
    log: io.StringIO
    modules: dict[str, ModuleType]
    replies: list[Any] = field(default_factory=list)
    as_published: bool = True  # False: a test puts into rows what no function writes there

    def call(self, name: str, event: Any, request_id: str = "request-1") -> Any:
        reply = self.modules[name].handler(event, Context(request_id))
        self.replies.append(reply)
        return reply

    def api(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        reply = self.call("api", proxy_event(method, path, body, query=query, headers=headers))
        found = {name: values[0] for name, values in reply["multiValueHeaders"].items()}
        if self.as_published:
            check_reply(method, path, reply["statusCode"], found.get("Content-Type"), reply["body"] or "")
        return Answer(reply["statusCode"], json.loads(reply["body"] or "{}"), found)


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


def proxy_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """As a REST API sends it (AWS_PROXY, payload 1.0)."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "isBase64Encoded": False,
        "headers": headers or {},
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {k: [v] for k, v in (query or {}).items()},
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"stage": "v1", "path": f"/v1{path}", "httpMethod": method, "requestId": "gateway-1"},
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
    }


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    with worlds.world(monkeypatch) as world:
        modules = {name: _load(name) for name in NAMES}
        for module in _modules_of_functions():
            for made_once in ("closing", "batch_context"):
                if hasattr(getattr(module, made_once, None), "cache_clear"):
                    getattr(module, made_once).cache_clear()
            if hasattr(module, "s3"):
                monkeypatch.setattr(module, "s3", lambda: world.s3)
            if hasattr(module, "runtime"):
                monkeypatch.setattr(module, "runtime", lambda: world.rt)
        log = io.StringIO()
        handler = logging.StreamHandler(log)
        handler.setFormatter(modules["api"].logger.registered_formatter)
        loggers = [logging.getLogger(name) for name in ("clipferry", "test")]
        for logger in loggers:
            logger.addHandler(handler)
        yield Functions(world, log, modules)
        for logger in loggers:
            logger.removeHandler(handler)
        for module in _modules_of_functions():
            for made_once in ("closing", "batch_context"):
                if hasattr(getattr(module, made_once, None), "cache_clear"):
                    getattr(module, made_once).cache_clear()
