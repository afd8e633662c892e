"""Creates the jobs of a scheduled firing. EventBridge may deliver a firing twice; both deliveries give the same jobs.

There are two kinds of firing. The input of a schedule of `/schedules` holds the schedule's name and, filled in by
EventBridge Scheduler, the scheduled time; together they identify the firing. It also holds the schedule's token, which
only Scheduler knows: nobody else who may call this function can imitate a firing.

The constant input of an EventBridge rule holds nothing that identifies a firing. Then, and for a schedule whose time
cannot be read, the firing's name is the input's `firing` if it has one (an input transformer can put the event's id
there), else the time at which this input was first seen. Lambda repeats an asynchronous invocation with the same
request id, so a repetition is recognised at any time. Other deliveries of one input are the same firing within
SAME_FIRING seconds, and a new firing later.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from clipferry.aws import events
from clipferry.intake.checks import DEPTH_MAX, FieldError, InvalidBody, too_deep
from clipferry.intake.schedule_expressions import FIRST_YEAR, LAST_YEAR
from clipferry.intake.values import fingerprint
from clipferry.jobs.job import Job, iso
from clipferry.steps.context import Runtime
from clipferry.steps.submit import KeyReused, submit

FIRING_MAX = 256  # characters of the name that an input gives its firing
SAME_FIRING = 15  # seconds; two firings of a rule of every minute may arrive 20 seconds apart, when the first is late
RETRY_WINDOW = 7 * 3600  # seconds; Lambda keeps an asynchronous event for at most six hours


class ScheduleInvalid(Exception):
    """The rule's input holds no job, or an invalid job: an operator has to correct it."""


@dataclass
class Fired:
    firing: str
    jobs: list[Job] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    rejected: bool = False  # a schedule's firing that gave no job; an event says why

    def raise_for_invalid(self) -> None:
        """Raise ScheduleInvalid for the invalid jobs, so that the input goes to the dead-letter queue."""
        if self.invalid:
            raise ScheduleInvalid("; ".join(self.invalid))


def fire(rt: Runtime, event: Mapping[str, Any], request_id: str) -> Fired:
    """Make the jobs of one firing. Raises ScheduleInvalid when the input holds none at all."""
    if too_deep(event):
        raise ScheduleInvalid(f"the input must not be nested more than {DEPTH_MAX} levels deep")
    if isinstance(event, Mapping) and isinstance(event.get("schedule"), str):
        return _fire_schedule(rt, event, request_id)
    event = _unwrapped(event)
    bodies = _bodies(event)
    fired = Fired(_firing(rt, event, request_id))
    for number, body in enumerate(bodies):
        try:
            fired.jobs.append(submit(rt, body, seed=f"firing:{fired.firing}:{number}", source="rule"))
        except InvalidBody as error:
            rt.logger.error("a scheduled job is invalid", number=number, reason=str(error))
            fired.invalid.append(f"job {number}: {error}")
    return fired


def _unwrapped(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The input and its firing, where an input transformer has made `{"firing": "…", "input": {…}}`."""
    if isinstance(event, Mapping) and set(event) == {"firing", "input"} and isinstance(event["input"], Mapping):
        return {**event["input"], "firing": event["firing"]}
    return event


def _bodies(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if isinstance(event, Mapping):
        rest = {key: value for key, value in event.items() if key != "firing"}
        if "jobs" not in rest:
            return [rest]
        jobs = rest.pop("jobs")
        if not rest and isinstance(jobs, list) and jobs and all(isinstance(body, Mapping) for body in jobs):
            return jobs
    raise ScheduleInvalid('the input must be one job body, or {"jobs": [body, …]} with at least one and nothing else')


def _firing(rt: Runtime, event: Mapping[str, Any], request_id: str) -> str:
    content = fingerprint(event)[:16]
    if (named := _given_name(event)) is not None:
        return f"{content}:{named}"
    return f"{content}:{iso(_first_seen(rt, event, request_id))}"


def _given_name(event: Mapping[str, Any]) -> str | None:
    """The firing's name in its input; None when there is none."""
    named = event.get("firing")
    if not isinstance(named, str):
        return None
    if len(named) > FIRING_MAX:
        raise ScheduleInvalid(f"the input's firing must have at most {FIRING_MAX} characters")
    return named


def _first_seen(rt: Runtime, event: Mapping[str, Any], request_id: str) -> datetime:
    now, content = rt.now(), fingerprint(event)
    said = f"{content[:16]}:{iso(now)}"
    first = rt.jobs.claim(f"input:{content}", said, now, holds=SAME_FIRING)
    known = rt.jobs.claim(f"request:{request_id}", first, now, holds=RETRY_WINDOW)
    return datetime.fromisoformat(known.partition(":")[2])


# -- schedules ---------------------------------------------------------------------------------------------------------


def _fire_schedule(rt: Runtime, event: Mapping[str, Any], request_id: str) -> Fired:
    """Create the job of a schedule's firing, or send an event that says why it is invalid. A repetition cannot help."""
    from clipferry.intake.schedule_body import is_name  # imported here: the firing of a rule does not need it

    name = event["schedule"]
    if not is_name(name):
        raise ScheduleInvalid("the input's schedule is not a valid schedule name")
    scheduled, named = _scheduled_time(event) or _first_seen(rt, event, request_id), _given_name(event)
    fired = Fired(f"{name}@{iso(scheduled) if named is None else named}")
    try:
        _check_sender(event)
        fired.jobs.append(_submit(rt, event, scheduled, fired.firing))
    except InvalidBody as error:
        rt.logger.error("a firing created no job", schedule=name, firing=fired.firing, errors=error.told())
        events.announce_rejected(name, fired.firing, error)
        fired.rejected = True
    return fired


def _check_sender(event: Mapping[str, Any]) -> None:
    """Raises InvalidBody unless the event holds the token of the schedule that it names."""
    from clipferry.aws import scheduler  # imported here: the firing of a rule does not need it

    schedule = scheduler.find(event["schedule"])
    if schedule is None:
        raise InvalidBody([FieldError("/schedule", "no schedule has this name: it was deleted or never existed")])
    if not hmac.compare_digest(str(event.get("token")).encode(), str(schedule.token).encode()):
        problem = "is not the schedule's token: EventBridge Scheduler did not send this input"
        raise InvalidBody([FieldError("/token", problem)])


def _submit(rt: Runtime, event: Mapping[str, Any], scheduled: datetime, firing: str) -> Job:
    """Submit the job. Raises InvalidBody, with pointers into the schedule."""
    body = _body(event, scheduled)
    try:
        return submit(rt, body, seed=f"schedule:{firing}", source=f"schedule#{event['schedule']}")
    except KeyReused as error:  # the schedule was changed between two deliveries of one firing
        return error.job
    except InvalidBody as error:
        raise InvalidBody([FieldError(f"/job{e.pointer}", e.detail) for e in error.errors]) from None


def _scheduled_time(event: Mapping[str, Any]) -> datetime | None:
    """The time that EventBridge Scheduler put in place of its placeholder; None when it is not a possible time."""
    try:
        moment = datetime.fromisoformat(str(event.get("scheduled_time")))
        in_utc = moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return in_utc if in_utc and FIRST_YEAR <= in_utc.year <= LAST_YEAR else None


def _body(event: Mapping[str, Any], scheduled: datetime) -> dict[str, Any]:
    """The job body of this firing. Raises InvalidBody."""
    from clipferry.intake.schedule_body import fill, time_zone  # imported here: the firing of a rule does not need it

    try:
        zone = time_zone(str(event.get("time_zone", "UTC")))
    except ValueError as error:
        raise InvalidBody([FieldError("/time_zone", str(error))]) from None
    if not isinstance(event.get("job"), Mapping):
        raise InvalidBody([FieldError("/job", "must be of type object")])
    return fill(event["job"], scheduled.astimezone(zone))
