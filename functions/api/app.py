"""HTTP in and out: routes, validation, problem+json (RFC 9457). What a route does is in the domain package."""

import json
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from clipferry import vendors
from clipferry.catalogue import describe
from clipferry.jobs import Job
from clipferry.listing import BadQuery, page_token, parse_query
from clipferry.steps.ending import Closing, NotNow
from clipferry.steps.links import LINK_SECONDS, NotStored, link
from clipferry.steps.runtime import runtime
from clipferry.steps.submit import KeyReused, retry, submit
from clipferry.store import NotFound, Superseded
from clipferry.submission import BODY_MAX, FieldError, InvalidBody

logger = Logger()
metrics = Metrics()
app = APIGatewayRestResolver()

JSON = "application/json"
PROBLEM = "application/problem+json"
KEY_MAX = 255  # characters of an Idempotency-Key


@cache
def s3() -> Any:
    return boto3.client("s3", config=Config(signature_version="s3v4"))


@cache
def closing() -> Closing:
    return Closing(runtime(), s3(), logger)


@app.post("/jobs")
def create_job() -> Response[str]:
    body = _body()
    key = app.current_event.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= KEY_MAX:
        raise InvalidBody([FieldError("Idempotency-Key", f"must have 1 to {KEY_MAX} characters")])
    job = submit(runtime(), logger, body, seed=f"key:{key}" if key else None)
    metrics.add_metric("JobsAccepted", MetricUnit.Count, 1)
    return _job(job, HTTPStatus.ACCEPTED)


@app.get("/jobs")
def list_jobs() -> Response[str]:
    query = parse_query(app.current_event.query_string_parameters or {})
    jobs, last = runtime().jobs.list(query.listing, query.limit, query.before)
    shown = [{k: v for k, v in job.public().items() if k != "files"} for job in jobs]
    return _json({"jobs": shown, "next_token": page_token(query, last) if last else None})


@app.get("/jobs/<job_id>")
def get_job(job_id: str) -> Response[str]:
    return _job(runtime().jobs.load(job_id))


@app.post("/jobs/<job_id>/cancel")
def cancel_job(job_id: str) -> Response[str]:
    return _job(closing().cancel(job_id))


@app.post("/jobs/<job_id>/retry")
def retry_job(job_id: str) -> Response[str]:
    return _job(retry(runtime(), logger, job_id), HTTPStatus.ACCEPTED)


@app.get("/jobs/<job_id>/files/<file_id>/url")
def get_file_url(job_id: str, file_id: str) -> Response[str]:
    url = link(runtime(), s3(), job_id, file_id)
    return _json({"url": url, "expires_in": LINK_SECONDS})


@app.get("/vendors")
def get_vendors() -> Response[str]:
    return _json({"vendors": [describe(vendors.vendor_class(name)) for name in vendors.VENDORS]})


def _body() -> dict[str, Any]:
    try:
        text = app.current_event.decoded_body or ""
        if len(text.encode()) > BODY_MAX:
            raise InvalidBody([FieldError("", f"must be at most {BODY_MAX} bytes")])
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidBody([FieldError("", "must be a JSON object")]) from None
    if not isinstance(body, dict):
        raise InvalidBody([FieldError("", "must be a JSON object")])
    return body


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, Any] | None = None) -> Response[str]:
    return Response(status, JSON, json.dumps(value, ensure_ascii=False), headers=headers)


def _job(job: Job, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    stage = app.current_event.request_context.stage
    return _json(job.public(), status, {"Location": f"/{stage}/jobs/{job.job_id}"})


def _problem(status: HTTPStatus, title: str, **more: Any) -> Response[str]:
    body = {"type": "about:blank", "title": title, "status": int(status), **more}
    return Response(status, PROBLEM, json.dumps(body, ensure_ascii=False))


@app.exception_handler(InvalidBody)
def _invalid(error: InvalidBody) -> Response[str]:
    errors = [{"pointer": e.pointer, "detail": e.detail} for e in error.errors]
    return _problem(HTTPStatus.BAD_REQUEST, "the request is invalid", detail=str(error), errors=errors)


@app.exception_handler(BadQuery)
def _bad_query(error: BadQuery) -> Response[str]:
    errors = [{"parameter": error.parameter, "detail": error.detail}]
    return _problem(HTTPStatus.BAD_REQUEST, "the query is invalid", detail=str(error), errors=errors)


@app.exception_handler([NotFound, NotFoundError])
def _not_found(error: Exception) -> Response[str]:
    return _problem(HTTPStatus.NOT_FOUND, "no such resource", detail="no job, file or route of that name")


@app.exception_handler([NotNow, NotStored, Superseded])
def _conflict(error: Exception) -> Response[str]:
    return _problem(HTTPStatus.CONFLICT, "not in this status", detail=str(error))


@app.exception_handler(KeyReused)
def _key_reused(error: KeyReused) -> Response[str]:
    return _problem(HTTPStatus.CONFLICT, "this Idempotency-Key came with another body before")


@app.exception_handler(Exception)
def _defect(error: Exception) -> Response[str]:
    logger.exception("the request failed")
    metrics.add_metric("ApiErrors", MetricUnit.Count, 1)
    request_id = app.lambda_context.aws_request_id
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed", request_id=request_id)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """An API Gateway proxy event → its answer."""
    resolve: Callable[..., dict[str, Any]] = app.resolve
    return resolve(event, context)
