"""Jobs: create, list, get, cancel, retry, and links to stored files."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.metrics import MetricUnit
from clipferry.intake.job_query import page_token, parse_file_query, parse_query
from clipferry.jobs.job import Job
from clipferry.jobs.problems import warning
from clipferry.steps.context import runtime
from clipferry.steps.links import LINK_SECONDS, link
from clipferry.steps.submit import retry, submit
from clipferry.store.job_rows import created_key
from common import (
    FRAME,
    REPLY_MAX,
    closing,
    fitting,
    location,
    metrics,
    read_body,
    read_key,
    read_query,
    reply,
    s3,
    size_of,
)

router = APIGatewayRouter()


@router.post("/jobs")
def create_job() -> Response[str]:
    body, key = read_body(router.current_event), read_key(router.current_event)
    job = submit(runtime(), body, seed=f"key:{key}" if key else None)
    metrics.add_metric("JobsAccepted", MetricUnit.Count, 1)
    return _job(job, HTTPStatus.ACCEPTED)


@router.get("/jobs")
def list_jobs() -> Response[str]:
    return reply(page_of_jobs(read_query(router.current_event)))


@router.get("/jobs/<job_id>")
def get_job(job_id: str) -> Response[str]:
    after = parse_file_query(read_query(router.current_event))
    return _job(runtime().jobs.load(job_id), files_after=after)


@router.post("/jobs/<job_id>/cancel")
def cancel_job(job_id: str) -> Response[str]:
    context = router.lambda_context
    return _job(closing().within(lambda: context.get_remaining_time_in_millis() / 1000).cancel(job_id))


@router.post("/jobs/<job_id>/retry")
def retry_job(job_id: str) -> Response[str]:
    return _job(retry(runtime(), job_id), HTTPStatus.ACCEPTED)


@router.get("/jobs/<job_id>/files/<file_id>/url")
def get_file_url(job_id: str, file_id: str) -> Response[str]:
    url = link(runtime(), s3(), job_id, file_id)
    return reply({"url": url, "expires_in": LINK_SECONDS})


def page_of_jobs(parameters: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """One page of the jobs that a query selects, at most as many as fit into a reply."""
    query = parse_query(parameters)
    jobs, last = runtime().jobs.list(query.listing, query.limit, query.before)
    shown = [{k: v for k, v in job.public().items() if k != "files"} for job in jobs]
    held = fitting(shown, REPLY_MAX - FRAME)
    if held < len(shown):
        last = created_key(jobs[held - 1])
    return {"jobs": shown[:held], "next_token": page_token(query, last) if last else None}


def _job(job: Job, status: HTTPStatus = HTTPStatus.OK, files_after: int = 0) -> Response[str]:
    shown = job.public()
    files = [said for file, said in zip(job.files, shown["files"], strict=True) if file.number > files_after]
    held = fitting(files, REPLY_MAX - size_of(shown | {"files": []}) - FRAME)
    if held < len(files):
        last, left = files[held - 1]["file_id"], len(files) - held
        message = f"the reply cannot hold more files; files_after={last} in the query shows the other {left}"
        shown["warnings"] = [*shown["warnings"], warning("FILES_LEFT_OUT", message)]
    return reply(shown | {"files": files[:held]}, status, location(router.current_event, f"/jobs/{job.job_id}"))
