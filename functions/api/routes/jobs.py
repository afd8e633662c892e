"""Jobs: ask, list, look, cancel, retry, and links to what is stored."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.metrics import MetricUnit
from clipferry.intake.job_query import page_token, parse_query
from clipferry.jobs import Job
from clipferry.steps.context import runtime
from clipferry.steps.links import LINK_SECONDS, link
from clipferry.steps.submit import retry, submit
from common import closing, location, logger, metrics, read_body, read_key, reply, s3

router = APIGatewayRouter()


@router.post("/jobs")
def create_job() -> Response[str]:
    body, key = read_body(router.current_event), read_key(router.current_event)
    job = submit(runtime(), logger, body, seed=f"key:{key}" if key else None)
    metrics.add_metric("JobsAccepted", MetricUnit.Count, 1)
    return _job(job, HTTPStatus.ACCEPTED)


@router.get("/jobs")
def list_jobs() -> Response[str]:
    return reply(page_of_jobs(router.current_event.query_string_parameters or {}))


@router.get("/jobs/<job_id>")
def get_job(job_id: str) -> Response[str]:
    return _job(runtime().jobs.load(job_id))


@router.post("/jobs/<job_id>/cancel")
def cancel_job(job_id: str) -> Response[str]:
    return _job(closing().cancel(job_id))


@router.post("/jobs/<job_id>/retry")
def retry_job(job_id: str) -> Response[str]:
    return _job(retry(runtime(), logger, job_id), HTTPStatus.ACCEPTED)


@router.get("/jobs/<job_id>/files/<file_id>/url")
def get_file_url(job_id: str, file_id: str) -> Response[str]:
    url = link(runtime(), s3(), job_id, file_id)
    return reply({"url": url, "expires_in": LINK_SECONDS})


def page_of_jobs(parameters: Mapping[str, str]) -> dict[str, Any]:
    """One page of the jobs that a query's parameters ask for."""
    query = parse_query(parameters)
    jobs, last = runtime().jobs.list(query.listing, query.limit, query.before)
    shown = [{k: v for k, v in job.public().items() if k != "files"} for job in jobs]
    return {"jobs": shown, "next_token": page_token(query, last) if last else None}


def _job(job: Job, status: HTTPStatus = HTTPStatus.OK) -> Response[str]:
    return reply(job.public(), status, location(router.current_event, f"/jobs/{job.job_id}"))
