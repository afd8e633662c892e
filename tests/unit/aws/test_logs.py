"""The log: no URL in it keeps its query, whoever logs it and whatever the environment says."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from clipferry.aws import logs

ROOT = Path(__file__).resolve().parents[3]
SIGNED = "https://a.example/v.mp4?Signature=can'4ry"


@dataclass
class Context:
    function_name: str = "function"
    function_version: str = "1"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = "arn"
    aws_request_id: str = "request-1"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a logger with the formatter of the functions writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.logger.registered_formatter)
    logs.logger.addHandler(handler)
    yield stream
    logs.logger.removeHandler(handler)


def raised() -> None:
    try:
        raise ValueError(f"first {SIGNED}")
    except ValueError as error:
        failed = RuntimeError(f"second {SIGNED}")
        failed.add_note(f"a note on {SIGNED}")
        raise failed from error


def test_whatever_is_logged_loses_the_queries_of_urls(log: io.StringIO) -> None:
    logs.logger.info("GET %s", SIGNED)
    logs.logger.info({"url": SIGNED, SIGNED: [SIGNED]})
    logs.logger.info(json.dumps({"url": SIGNED}))
    logs.logger.warning("refused", reason=SIGNED, error=ValueError(SIGNED), job={"files": [{"name": SIGNED}]})
    logging.getLogger(f"{logs.logger.name}.vendors.ims").warning("a look ended early: %s", SIGNED)

    lines = [json.loads(line) for line in log.getvalue().splitlines()]

    assert len(lines) == 5
    assert "4ry" not in log.getvalue()
    assert all("https://a.example/v.mp4" in json.dumps(line) for line in lines)


def test_a_traceback_is_whole_and_holds_no_query(log: io.StringIO) -> None:
    try:
        raised()
    except RuntimeError:
        logs.logger.exception("it failed")

    (line,) = [json.loads(text) for text in log.getvalue().splitlines()]

    assert "4ry" not in log.getvalue()
    assert line["exception_name"] == "RuntimeError"
    told = line["exception"]
    first, cause, second = (told.index(text) for text in ("ValueError: first", "direct cause", "RuntimeError: second"))
    assert first < cause < second
    assert told.count("in raised") == 2


def test_what_a_library_logs_past_our_logger_is_redacted_and_its_debug_messages_are_off() -> None:
    stream = io.StringIO()
    installed = logging.StreamHandler(stream)
    installed.addFilter(logs._Redacting())
    library = logging.getLogger("some.library")
    library.addHandler(installed)
    try:
        raised()
    except RuntimeError:
        library.warning("retrying %s", SIGNED, exc_info=True)
    library.removeHandler(installed)

    assert "4ry" not in stream.getvalue()
    assert "https://a.example/v.mp4" in stream.getvalue()
    for name in ("botocore.parsers", "urllib3.connectionpool"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)


class Quoting(Exception):
    def __str__(self) -> str:
        return f"its own words: {SIGNED}"


@pytest.mark.parametrize("error", [ValueError(f"bad {SIGNED}"), KeyError(SIGNED), Quoting(1)])
def test_what_a_handler_raises_holds_no_query(error: Exception) -> None:
    """Lambda writes it to the log by itself, and hands it to the state machine."""

    @logs.entry
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise error

    with pytest.raises(Exception, match=r"a\.example/v\.mp4") as caught:
        handler({}, Context())  # type: ignore[arg-type]

    assert "4ry" not in str(caught.value)
    assert isinstance(caught.value, type(error) if not isinstance(error, Quoting) else logs.RedactedError)


def test_a_handlers_answer_passes_unchanged() -> None:
    @logs.entry
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"heard": event}

    assert handler({"a": 1}, Context()) == {"heard": {"a": 1}}  # type: ignore[arg-type]


FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").exists())
CALL = """
import sys
sys.path[:0] = {path!r}
from dataclasses import dataclass
import app

class Context:
    function_name = function_version = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"
    def get_remaining_time_in_millis(self):
        return 1000

event = {{"body": "{{", "path": "/jobs?{signed}", "httpMethod": "POST", "url": "{signed}", "job_id": 1}}
try:
    app.handler(event, Context())
except Exception as error:
    print(type(error))
"""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_variable_of_the_environment_makes_a_function_log_its_event(function: str) -> None:
    path = [str(ROOT / "functions" / function), str(ROOT / "layers" / "clipferry")]
    switches = ("POWERTOOLS_LOGGER_LOG_EVENT", "POWERTOOLS_DEV", "POWERTOOLS_DEBUG", "POWERTOOLS_LOGGER_SAMPLE_RATE")
    environment = {
        **dict.fromkeys(switches, "1"),
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "POWERTOOLS_METRICS_NAMESPACE": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    script = CALL.format(path=path, signed=SIGNED)
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)

    assert done.stdout + done.stderr
    assert "4ry" not in done.stdout + done.stderr


def test_a_logger_of_another_name_has_the_same_formatter() -> None:
    """Tests, and whoever makes one: the formatter is what redacts."""
    other = Logger(service="other", logger_formatter=logs.RedactingFormatter())

    assert isinstance(other.registered_formatter, logs.RedactingFormatter)
