"""What a schedule is, and how it is checked. It has a job body, an expression, a time zone, a start and an end.

A job body may hold `{date}` and `{time}` in its destination's prefix and in its labels' values: every firing fills in
its own scheduled time in the schedule's time zone, as 2026-11-21 and 08-30-00 (which sort, and are safe in S3 keys).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from clipferry.intake.checks import FieldError, InvalidBody, broken, place, unfit_values, unusable, with_rules
from clipferry.intake.job_body import NAME_RULE, check
from clipferry.intake.schedule_expressions import (
    FIRST_YEAR,
    LAST_YEAR,
    At,
    BadExpression,
    Cron,
    RateExpression,
    exists,
    parse,
)
from clipferry.jobs.job import iso
from clipferry.redaction import bare

Value = TypeVar("Value")

JOB_MAX = 200 * 1024  # bytes; the input that EventBridge Scheduler sends may have 256 KB
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)"

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "expression": {
            "type": "string",
            "maxLength": 256,
            "description": "cron(…), rate(…) or at(…) in the syntax of EventBridge Scheduler",
        },
        "time_zone": {"type": "string", "description": "IANA name in which the expression is read; UTC when absent"},
        "start": {"type": "string", "description": "ISO 8601: nothing fires before"},
        "end": {"type": "string", "description": "ISO 8601: nothing fires after"},
        "enabled": {"type": "boolean", "description": "false: kept, and silent"},
        "job": {"type": "object", "description": "as POST /jobs takes it"},
        "name": {"type": "string", "readOnly": True},
        "next_at": {"type": "string", "readOnly": True, "description": "the next firing, where it is known"},
        "created_at": {"type": "string", "readOnly": True},
        "updated_at": {"type": "string", "readOnly": True},
    },
    "required": ["expression", "job"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Schedule:
    name: str
    expression: str
    job: Mapping[str, Any]
    time_zone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    enabled: bool = True
    created_at: datetime | None = None
    updated_at: datetime | None = None
    token: str | None = field(default=None, repr=False)  # proves that Scheduler sent a firing; never shown to users

    def public(self, now: datetime) -> dict[str, Any]:
        """As the API shows it. URLs in the job lose their queries, because a query may hold a signature."""
        return {
            "name": self.name,
            "expression": self.expression,
            "time_zone": self.time_zone,
            "start": iso(self.start),
            "end": iso(self.end),
            "enabled": self.enabled,
            "next_at": iso(self.next_firing(now)),
            "job": bare(self.job),
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }

    def next_firing(self, now: datetime) -> datetime | None:
        """The next firing; None when there is none, or when only Scheduler knows it (for a rate without a start)."""
        if not self.enabled:
            return None
        expression, zone = parse(self.expression), ZoneInfo(self.time_zone)
        match expression:
            case At():
                once = _local(expression, zone)
                found = once if once > now else None
            case RateExpression():
                found = self.begins(now)
            case Cron():
                since = max(now, self.start - timedelta(seconds=1)) if self.start else now
                found = expression.after(since.astimezone(zone))
        return None if found and self.end and found > self.end else found

    def begins(self, now: datetime) -> datetime | None:
        """The start to give Scheduler, which refuses a time in the past. For a rate it is the next firing."""
        expression = parse(self.expression)
        if self.start and isinstance(expression, RateExpression):
            return expression.after(now, self.start)
        return self.start if self.start and self.start > now else None

    def wants_the_same(self, other: Schedule | None) -> bool:
        """Whether both are the same for a user: only times of changes and the token may differ."""
        if other is None:
            return False
        return replace(other, created_at=self.created_at, updated_at=self.updated_at, token=self.token) == self


def is_name(text: str) -> bool:
    return re.match(NAME, text) is not None


def define(name: str, body: Mapping[str, Any], now: datetime, kept: Schedule | None = None) -> Schedule:
    """The schedule that a user puts. A field that is null counts as absent.

    `kept` is the schedule that already has the name. The body that it shows (`public`) is always accepted, and so is
    the job that it holds. A schedule that is being enabled, or changed while it is enabled, must have a next firing.

    Raises InvalidBody, which names each bad field.
    """
    wanted = _parse(name, body, kept)
    if wanted.enabled and not wanted.wants_the_same(kept) and (never := _never_fires(wanted, now)):
        raise InvalidBody([never])
    return wanted


def _parse(name: str, body: Mapping[str, Any], kept: Schedule | None) -> Schedule:
    """The schedule of a body, checked for all that does not depend on the present time. Raises InvalidBody."""
    if unfit := unusable(body):
        raise InvalidBody([unfit])
    given = {key: value for key, value in body.items() if value is not None}
    job = given.get("job")
    bad_values = unfit_values({key: value for key, value in given.items() if key != "job"})
    errors = with_rules(bad_values, [*broken(SCHEMA, given), *_name_errors(name, given)])
    if kept and job in (kept.job, bare(kept.job)):
        job = kept.job  # the stored job, because in the job that GET shows the URLs have lost their queries
    elif isinstance(job, dict):
        errors += _job_errors(job)
    zone = _read(errors, given, "time_zone", time_zone) or ZoneInfo("UTC")
    start = _read(errors, given, "start", lambda text: _moment(text, zone))
    end = _read(errors, given, "end", lambda text: _moment(text, zone))
    expression = _read(errors, given, "expression", lambda text: _expression(text, zone))
    if isinstance(expression, At):
        errors += [
            FieldError(f"/{field}", "does not go with at(), which fires once")
            for field in ("start", "end")
            if field in given
        ]
    elif start and end and end <= start:
        errors.append(FieldError("/end", "must be after start"))
    if errors:
        raise InvalidBody(errors)
    return Schedule(name, str(expression), job or {}, zone.key, start, end, given.get("enabled", True))


def _name_errors(name: str, given: Mapping[str, Any]) -> Iterator[FieldError]:
    if not is_name(name):
        yield FieldError("name", f"must have {NAME_RULE}")
    elif given.get("name", name) != name:
        yield FieldError("/name", "must be the name in the path")


def _never_fires(wanted: Schedule, now: datetime) -> FieldError | None:
    """Why a schedule has no next firing; None when it has one."""
    if wanted.end and wanted.end <= now:
        return FieldError("/end", "must be in the future")
    unbounded = replace(wanted, enabled=True, end=None)
    expression, first = parse(wanted.expression), unbounded.next_firing(now)
    if first is None:
        if isinstance(expression, RateExpression):  # Scheduler fires a rate without a start immediately
            return None
        never = "cron() never fires: no such time is to come"
        return FieldError("/expression", "at() must be in the future" if isinstance(expression, At) else never)
    if wanted.end and first > wanted.end:
        return FieldError("/end", f"is before the first firing, which would be at {iso(first)}")
    return None


def time_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises ValueError when the IANA database does not have it."""
    if name not in _zone_names():
        raise ValueError("must be a time zone of the IANA database, such as UTC or Asia/Shanghai")
    return ZoneInfo(name)


def fill(job: Mapping[str, Any], scheduled: datetime) -> dict[str, Any]:
    """The job body of one firing. `scheduled` is in the schedule's time zone."""
    values = {"{date}": f"{scheduled:%Y-%m-%d}", "{time}": f"{scheduled:%H-%M-%S}"}
    filled = {name: dict(value) if isinstance(value, Mapping) else value for name, value in job.items()}
    for name, key, text in _templates(job):
        filled[name][key] = re.sub(r"\{date\}|\{time\}", lambda found: values[found[0]], text)
    return filled


def _templates(job: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(field, key in it, text) of what a firing fills in: the destination's prefix, and the values of the labels."""
    for name, keys in (("destination", {"prefix"}), ("labels", None)):
        given = job.get(name)
        for key, text in given.items() if isinstance(given, Mapping) else ():
            if isinstance(text, str) and (keys is None or key in keys):
                yield name, key, text


def _job_errors(job: Mapping[str, Any]) -> Iterator[FieldError]:
    """The errors that `POST /jobs` would find in a firing's body, with pointers into the schedule."""
    sample = fill(job, datetime(2026, 11, 21, 8, 30, tzinfo=UTC))
    errors = check(sample)
    braces = {place((name, key)) for name, key, text in _templates(sample) if re.search("[{}]", text)}
    for error in errors:
        detail = error.detail
        if error.pointer in braces:
            detail = "knows the templates {date} and {time}, and no other braces"
        yield FieldError(f"/job{error.pointer}", detail)
    if not errors and len(json.dumps(job)) > JOB_MAX:
        yield FieldError("/job", f"must be at most {JOB_MAX} bytes, written in ASCII")


def _read(
    errors: list[FieldError], body: Mapping[str, Any], field: str, reader: Callable[[str], Value]
) -> Value | None:
    """Read one field of a body. None: it is absent, of another type, or the reader raised ValueError (see `errors`)."""
    text = body.get(field)
    if not isinstance(text, str):
        return None
    try:
        return reader(text)
    except ValueError as error:
        errors.append(FieldError(f"/{field}", str(error)))
        return None


def _expression(text: str, zone: ZoneInfo) -> Cron | RateExpression | At:
    """Raises BadExpression, a ValueError."""
    expression = parse(text)
    if isinstance(expression, At) and not exists(_local(expression, zone)):
        raise BadExpression("at() holds a time that does not exist in this time zone: the clocks go forward")
    return expression


def _local(once: At, zone: ZoneInfo) -> datetime:
    return once.when.replace(tzinfo=zone)


def _moment(text: str, zone: ZoneInfo) -> datetime:
    """The time in UTC. A time without an offset is in the schedule's time zone. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
        local = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        utc = local.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise ValueError("must be a time in ISO 8601, such as 2027-01-31T08:00:00Z") from None
    if not FIRST_YEAR <= utc.year <= LAST_YEAR:
        raise ValueError(f"must lie in the years {FIRST_YEAR} to {LAST_YEAR}")
    if not exists(local):
        raise ValueError("is a time that does not exist in this time zone: the clocks go forward; give another, or UTC")
    return utc


@cache
def _zone_names() -> frozenset[str]:
    """The names of time zones. They come from the package tzdata, so that they are the same on each machine."""
    from importlib.resources import files

    return frozenset((files("tzdata") / "zones").read_text().split())
