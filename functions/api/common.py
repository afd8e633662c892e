"""What all routes share: the log, the metrics, the clients, and functions that read a body and write a reply."""

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
FRAME = 1000  # bytes of a reply besides its entries: brackets, a token, a warning
REPLY_MAX = 5_500_000  # bytes; a reply may have at most 6 MB with its headers (Lambda quotas)


class ReplyTooLarge(Exception):
    """A reply is larger than Lambda allows. This is a defect: the route should have cut it."""


@cache
def s3() -> Any:
    return boto3.client("s3", config=Config(**link_options(), **client_options()))


@cache
def closing() -> Closing:
    return Closing(runtime(), s3())


def read_body(event: APIGatewayProxyEvent) -> dict[str, Any]:
    """The JSON object in the request's body. Raises InvalidBody."""
    try:
        text = event.decoded_body or ""
    except ValueError:  # not Base64, or not UTF-8
        raise InvalidBody([FieldError("", "must be a JSON object")]) from None
    return read_object(text)


def read_query(event: APIGatewayProxyEvent) -> dict[str, list[str]]:
    """Each parameter of the query with all its values."""
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
    """The reply as JSON. Raises ReplyTooLarge; `fitting` cuts replies that may become large."""
    if size_of(value) > REPLY_MAX:
        raise ReplyTooLarge
    return Response(status, JSON, json.dumps(value, ensure_ascii=False), headers=headers)


def size_of(value: Any) -> int:
    """Bytes of a value in a reply: the body is JSON text, and Lambda writes it as a string in JSON in ASCII again."""
    return len(json.dumps(json.dumps(value, ensure_ascii=False)))


def fitting(entries: Sequence[Any], room: int) -> int:
    """How many of the first entries fit into so many bytes of a reply; at least one, if there is one."""
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
    """The Location header of a resource, with the API's stage."""
    return {"Location": f"/{event.request_context.stage}{path}"}
