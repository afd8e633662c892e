"""Schedules: put, get, delete, list, and the jobs that each has made."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from clipferry.aws import scheduler
from clipferry.intake.job_query import BadQuery, parse_limit, single_values
from clipferry.intake.schedule_body import define
from clipferry.steps.context import runtime
from common import location, read_body, read_query, reply

from routes.jobs import page_of_jobs

router = APIGatewayRouter()


@router.put("/schedules/<name>")
def put_schedule(name: str) -> Response[str]:
    now = runtime().now()
    wanted = define(name, read_body(router.current_event), now, scheduler.find(name))
    schedule, new = scheduler.put(wanted, now)
    status = HTTPStatus.CREATED if new else HTTPStatus.OK
    return reply(schedule.public(now), status, location(router.current_event, f"/schedules/{name}"))


@router.get("/schedules/<name>")
def get_schedule(name: str) -> Response[str]:
    return reply(scheduler.get(name).public(runtime().now()))


@router.delete("/schedules/<name>")
def delete_schedule(name: str) -> Response[str]:
    scheduler.delete(name)
    return Response(HTTPStatus.NO_CONTENT, body="")


@router.get("/schedules")
def list_schedules() -> Response[str]:
    parameters = single_values(read_query(router.current_event), {"limit", "next_token"})
    try:
        schedules, token = scheduler.page(parse_limit(parameters.get("limit")), parameters.get("next_token"))
    except scheduler.BadToken:
        raise BadQuery("next_token", "is not one of ours") from None
    now = runtime().now()
    shown = [{k: v for k, v in schedule.public(now).items() if k != "job"} for schedule in schedules]
    return reply({"schedules": shown, "next_token": token})


@router.get("/schedules/<name>/jobs")
def list_jobs_of_schedule(name: str) -> Response[str]:
    """List the jobs of a schedule, also of one that was deleted, as long as the jobs' rows are kept."""
    parameters = read_query(router.current_event)
    if "schedule" in parameters:
        raise BadQuery("schedule", "is given by the path")
    page = page_of_jobs({**parameters, "schedule": [name]})
    if not page["jobs"] and not page["next_token"]:
        scheduler.get(name)
    return reply(page)
