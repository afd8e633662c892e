"""One emulator and one deployed stack for the whole run; a simulator and an account of its own for each test.

The stack is the real template.yaml with IAM enforced. Waits of the machine and the vendors' time run at TIME_SCALE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest
import requests

from local.emulator import Emulator
from local.stack import Caller, Stack, deploy
from tests.integration.vendors import TIME_SCALE, Vendors
from tests.published_api.replies import check_reply

#: How the emulator answers for IAM. On AWS it is API Gateway that answers, as the definition says.
REFUSED_BY_IAM = (403, "application/x-amz-json-1.0")
#: Files that take minutes: each has a worker and a stack for itself.
ALONE = {"test_least_privilege"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests of the stack run on one worker, for another would deploy it again; so do those of any other file."""
    shared = "stack" in getattr(item, "fixturenames", ()) and item.path.stem not in ALONE
    item.add_marker(pytest.mark.xdist_group("stack" if shared else item.path.stem))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Raises UsageError where pytest-xdist does not group: each worker would run the campaign and deploy the stack."""
    grouped = all("@" in item.nodeid for item in items if item.get_closest_marker("xdist_group"))
    if getattr(config.option, "loadgroup", False) and not grouped:
        raise pytest.UsageError("this pytest-xdist does not group the tests of this pytest")


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(wait_scale=TIME_SCALE) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def every_reply_is_as_published() -> Iterator[None]:
    """Whoever calls the deployed API gets what docs/openapi.yaml promises."""
    call = Caller.call

    def checked(self: Caller, method: str, url: str, **options: Any) -> requests.Response:
        reply = call(self, method, url, **options)
        _, found, route = url.partition("/_aws/execute-api/")
        if found:  # what follows is the API's id, the stage and the path
            path, kind = "/" + "".join(route.split("/", 2)[2:]).partition("?")[0], reply.headers.get("Content-Type")
            if (reply.status_code, kind) != REFUSED_BY_IAM:
                check_reply(method, path, reply.status_code, kind, reply.text)
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Caller, "call", checked)
        yield


@pytest.fixture(scope="session")
def stack(emulator: Emulator) -> Stack:
    return deploy(emulator)


@pytest.fixture(scope="session")
def account_numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def vendor(stack: Stack, account_numbers: Iterator[int]) -> Iterator[Vendors]:
    with ExitStack() as running:
        yield Vendors(stack, account_numbers, running)


@pytest.fixture
def logs(stack: Stack) -> Callable[[str], list[str]]:
    """Every line a function has logged, by its short name."""

    def read(function: str) -> list[str]:
        group = f"/aws/lambda/{stack.name}-{function}"
        pages = stack.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]

    return read
