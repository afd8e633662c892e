"""Batches: `/batches` and what is below it."""

from functools import cache
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.metrics import MetricUnit
from clipferry.steps import batch_requests
from clipferry.steps.batch_context import BatchContext
from clipferry.steps.context import runtime
from clipferry.store.batch_records import Batches
from common import location, metrics, read_body, read_key, reply, s3

router = APIGatewayRouter()


@cache
def batch_context() -> BatchContext:
    return BatchContext(runtime(), Batches(), s3())


@router.post("/batches/uploads")
def create_upload() -> Response[str]:
    event = router.current_event
    return reply(
        batch_requests.upload_link(batch_context(), read_body(event) if event.body else {}), HTTPStatus.CREATED
    )


@router.post("/batches")
def create_batch() -> Response[str]:
    opened = batch_requests.open_batch(
        batch_context(), read_body(router.current_event), key=read_key(router.current_event)
    )
    metrics.add_metric("BatchesAccepted", MetricUnit.Count, 1)
    return _shown(opened.batch_id, HTTPStatus.ACCEPTED)


@router.get("/batches/<batch_id>")
def get_batch(batch_id: str) -> Response[str]:
    return _shown(batch_id)


@router.post("/batches/<batch_id>/cancel")
def cancel_batch(batch_id: str) -> Response[str]:
    return _shown(batch_requests.cancel(batch_context(), batch_id).batch_id, HTTPStatus.ACCEPTED)


@router.post("/batches/<batch_id>/resume")
def resume_batch(batch_id: str) -> Response[str]:
    return _shown(batch_requests.resume(batch_context(), batch_id).batch_id, HTTPStatus.ACCEPTED)


@router.get("/batches/<batch_id>/report/url")
def get_report_url(batch_id: str) -> Response[str]:
    return reply(batch_requests.report_link(batch_context(), batch_id))


def _shown(batch_id: str, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    found, counts = batch_context().batches.load_with_counts(batch_id)
    return reply(found.public(counts), status, location(router.current_event, f"/batches/{batch_id}"))
