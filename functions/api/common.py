"""What every route works with: the log, the metrics, the clients, and how a body is read and a reply written."""

import json
from functools import cache
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from botocore.config import Config
from clipferry.aws.logs import logger
from clipferry.intake.job_body import BODY_MAX, FieldError, InvalidBody
from clipferry.steps.context import runtime
from clipferry.steps.finish import Closing

metrics = Metrics()

JSON = "application/json"
PROBLEM = "application/problem+json"
KEY_MAX = 255  # characters of an Idempotency-Key


@cache
def s3() -> Any:
    return boto3.client("s3", config=Config(signature_version="s3v4"))


@cache
def closing() -> Closing:
    return Closing(runtime(), s3(), logger)


def read_body(event: APIGatewayProxyEvent) -> dict[str, Any]:
    """The JSON object that was sent. Raises InvalidBody."""
    try:
        text = event.decoded_body or ""
        if len(text.encode()) > BODY_MAX:
            raise InvalidBody([FieldError("", f"must be at most {BODY_MAX} bytes")])
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidBody([FieldError("", "must be a JSON object")]) from None
    if not isinstance(body, dict):
        raise InvalidBody([FieldError("", "must be a JSON object")])
    return body


def read_key(event: APIGatewayProxyEvent) -> str | None:
    """The Idempotency-Key, if one was sent. Raises InvalidBody."""
    key: str | None = event.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= KEY_MAX:
        raise InvalidBody([FieldError("Idempotency-Key", f"must have 1 to {KEY_MAX} characters")])
    return key


def reply(value: Any, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, Any] | None = None) -> Response[str]:
    return Response(status, JSON, json.dumps(value, ensure_ascii=False), headers=headers)


def problem(status: HTTPStatus, title: str, **more: Any) -> Response[str]:
    """RFC 9457."""
    body = {"type": "about:blank", "title": title, "status": int(status), **more}
    return Response(status, PROBLEM, json.dumps(body, ensure_ascii=False))


def location(event: APIGatewayProxyEvent, path: str) -> dict[str, Any]:
    """The header that says where a resource is, below the API's stage."""
    return {"Location": f"/{event.request_context.stage}{path}"}
