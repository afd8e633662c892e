"""The log of all functions: JSON lines of Powertools, in which URLs have lost their queries.

No environment variable can change this. Whole events are never logged (`POWERTOOLS_LOGGER_LOG_EVENT`). The loggers of
the libraries stay at WARNING, because at DEBUG they show requests with their credentials.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.utilities.typing import LambdaContext

from clipferry.redaction import bare, redact

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]
Raised = tuple[type[BaseException], BaseException, TracebackType | None]

_POWERTOOLS = "aws_lambda_powertools"  # POWERTOOLS_DEBUG gives this logger a handler of its own
_LIBRARIES = ("boto3", "botocore", "s3transfer", "urllib3", "requests", "pynamodb", _POWERTOOLS)
_CHAINED = {
    True: "\nThe above exception was the direct cause of the following exception:\n\n",
    False: "\nDuring handling of the above exception, another exception occurred:\n\n",
}


class RedactedError(Exception):
    """Raised in place of an exception whose message cannot be redacted."""


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Redacts every string of a line. It redacts the message of each exception in a traceback, and keeps the frames."""

    def formatException(self, ei: Any) -> str:
        return _traceback(ei)

    def serialize(self, log: Any) -> str:
        shown = {key: value if key == "exception" else bare(value) for key, value in dict(log).items()}
        return str(super().serialize(shown))


class _Redacting(logging.Filter):
    """Redacts what libraries log without Powertools, through the handlers that Lambda has installed."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if isinstance(record.exc_info, tuple) and record.exc_info[0]:
            record.exc_text = _traceback(record.exc_info)
        return True


def _traceback(raised: Raised) -> str:
    """The traceback as Python prints it. The message of each exception is redacted; the frames only show code."""
    return "".join(_told(raised[1], raised[2])).rstrip("\n")


def _told(error: BaseException, frames: TracebackType | None, depth: int = 10) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and depth:
        yield from _told(before, before.__traceback__, depth - 1)
        yield _CHAINED[error.__cause__ is not None]
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(frames)
    yield redact("".join(traceback.format_exception_only(error)).rstrip("\n")) + "\n"


def entry(handler: Handler) -> Handler:
    """Decorator of each function's handler: adds the call's context to the log, and redacts what the handler raises.

    Lambda writes the message of an exception to the log, and Step Functions writes it into the execution's history.
    """
    with_context = logger.inject_lambda_context(handler, log_event=False)

    @wraps(handler)
    def run(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = with_context(event, context)
        except Exception as error:
            if redact(str(error)) == str(error):
                raise
            error.args = tuple(redact(said) if isinstance(said, str) else said for said in error.args)
            if redact(str(error)) == str(error):
                raise
            raise RedactedError(f"{type(error).__name__}: {redact(str(error))}") from None
        return answer

    return run


def _quiet_libraries() -> None:
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    for installed in [*logging.getLogger().handlers, *logging.getLogger(_POWERTOOLS).handlers]:
        installed.addFilter(_Redacting())


_quiet_libraries()
#: It has the package's name, so that it also gets what modules log through `logging.getLogger(__name__)`.
logger = Logger(service="clipferry", logger_formatter=RedactingFormatter())
