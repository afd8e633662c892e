"""One emulator and one deployed stack for the whole run; a simulator and an account of its own for each test.

The stack is the real template.yaml with IAM enforced. Waits of the machine and the vendors' time run at TIME_SCALE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from local.emulator import Emulator
from local.stack import Stack, deploy
from tests.integration.vendors import TIME_SCALE, Vendors


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(wait_scale=TIME_SCALE) as running:
        yield running


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
