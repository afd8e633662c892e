"""Answers the requests of the API: the routes, and a reply as problem+json (RFC 9457) for each exception of a route."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from clipferry.aws.logs import entry, logger
from clipferry.aws.scheduler import NoSchedule, NotKept
from clipferry.intake.characters import unseen
from clipferry.intake.checks import InvalidBody
from clipferry.intake.job_query import BadQuery
from clipferry.steps.batch_requests import BatchKeyReused, NotForBatch
from clipferry.steps.finish import NotNow
from clipferry.steps.links import NotStored
from clipferry.steps.submit import KeyReused
from clipferry.store.job_records import NotFound, Superseded
from common import metrics, problem
from routes import batches, jobs, schedules, vendors

PATH_MAX, NOWHERE = 1024, "/-"  # bytes of a path; a path without a route
app = APIGatewayRestResolver(debug=False)  # False also when POWERTOOLS_DEV is set, because debug mode prints events

app.include_router(batches.router)
app.include_router(jobs.router)
app.include_router(schedules.router)
app.include_router(vendors.router)


@app.exception_handler(InvalidBody)
def _invalid(error: InvalidBody) -> Response[str]:
    return problem(**error.problem())


@app.exception_handler(BadQuery)
def _bad_query(error: BadQuery) -> Response[str]:
    errors = [{"parameter": error.parameter, "detail": error.detail}]
    return problem(HTTPStatus.BAD_REQUEST, "the query is invalid", detail=str(error), errors=errors)


@app.exception_handler([NotFound, NoSchedule, NotFoundError])
def _not_found(error: Exception) -> Response[str]:
    detail = "no job, file, batch, schedule or route of that name"
    return problem(HTTPStatus.NOT_FOUND, "no such resource", detail=detail)


@app.exception_handler([NotNow, NotStored, NotForBatch, Superseded])
def _conflict(error: Exception) -> Response[str]:
    return problem(HTTPStatus.CONFLICT, "not in this status", detail=str(error))


@app.exception_handler(NotKept)
def _not_kept(error: NotKept) -> Response[str]:
    return problem(HTTPStatus.CONFLICT, "the schedule cannot be kept now", detail=str(error))


@app.exception_handler([KeyReused, BatchKeyReused])
def _key_reused(error: Exception) -> Response[str]:
    return problem(HTTPStatus.CONFLICT, "this Idempotency-Key came with another body before")


@app.exception_handler(Exception)
def _defect(error: Exception) -> Response[str]:
    logger.exception("the request failed")
    metrics.add_metric("ApiErrors", MetricUnit.Count, 1)
    request_id = app.lambda_context.aws_request_id
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed", request_id=request_id)


@entry
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an API Gateway proxy event."""
    resolve: Callable[..., dict[str, Any]] = app.resolve
    return resolve(event if _may_name_something(event["path"]) else event | {"path": NOWHERE}, context)


def _may_name_something(path: str) -> bool:
    """Whether the path may be a route: not too long, and without characters that cannot be seen.

    Checked before the router, because the router takes quadratic time to reject an unknown path.
    """
    return not unseen(path) and len(path.encode()) <= PATH_MAX
