"""What every route works with: the log, the metrics, the clients, and how a body is read and a reply written."""

import json
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from botocore.config import Config
from clipferry.aws.sdk import client_options, link_options
from clipferry.intake.characters import name, unseen
from clipferry.intake.checks import FieldError, InvalidBody, read_object
from clipferry.steps.context import runtime
from clipferry.steps.finish import Closing

metrics = Metrics()

JSON = "application/json"
PROBLEM = "application/problem+json"
KEY_MAX = 255  # characters of an Idempotency-Key
FRAME = 1000  # bytes of a reply around the entries that it holds: brackets, a token, a warning
REPLY_MAX = 5_500_000  # bytes; a function answers with at most 6 MB (Lambda quotas), headers included


class ReplyTooLarge(Exception):
    """A defect: a reply that nobody has cut to what Lambda lets through."""


@cache
def s3() -> Any:
    return boto3.client("s3", config=Config(**link_options(), **client_options()))


@cache
def closing() -> Closing:
    return Closing(runtime(), s3())


def read_body(event: APIGatewayProxyEvent) -> dict[str, Any]:
    """The JSON object that was sent. Raises InvalidBody."""
    try:
        text = event.decoded_body or ""
    except ValueError:  # no Base64, or no UTF-8 in it
        raise InvalidBody([FieldError("", "must be a JSON object")]) from None
    return read_object(text)


def read_query(event: APIGatewayProxyEvent) -> dict[str, list[str]]:
    """Each parameter of the query with every value it was given."""
    found = {name: [value] for name, value in (event.query_string_parameters or {}).items()}
    return {**found, **event.multi_value_query_string_parameters}


def read_key(event: APIGatewayProxyEvent) -> str | None:
    """The Idempotency-Key, if one was sent. Raises InvalidBody."""
    key: str | None = event.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= KEY_MAX:
        raise InvalidBody([FieldError("Idempotency-Key", f"must have 1 to {KEY_MAX} characters")])
    if key and (found := unseen(key)):
        raise InvalidBody([FieldError("Idempotency-Key", f"holds {name(found)}")])
    return key


def reply(value: Any, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, Any] | None = None) -> Response[str]:
    """Raises ReplyTooLarge: what may be large is cut before, by `fitting`."""
    if size_of(value) > REPLY_MAX:
        raise ReplyTooLarge
    return Response(status, JSON, json.dumps(value, ensure_ascii=False), headers=headers)


def size_of(value: Any) -> int:
    """Bytes of a value in a reply: the body is JSON text, and Lambda writes it as a string in JSON in ASCII again."""
    return len(json.dumps(json.dumps(value, ensure_ascii=False)))


def fitting(entries: Sequence[Any], room: int) -> int:
    """How many of the entries, from the first on, so many bytes of a reply hold; at least one, if there is one."""
    for number, entry in enumerate(entries):
        room -= size_of(entry) + 2
        if room < 0:
            return max(1, number)
    return len(entries)


def problem(status: HTTPStatus, title: str, **more: Any) -> Response[str]:
    """RFC 9457."""
    body = {"type": "about:blank", "title": title, "status": int(status), **more}
    return Response(status, PROBLEM, json.dumps(body, ensure_ascii=False))


def location(event: APIGatewayProxyEvent, path: str) -> dict[str, Any]:
    """The header that says where a resource is, below the API's stage."""
    return {"Location": f"/{event.request_context.stage}{path}"}
