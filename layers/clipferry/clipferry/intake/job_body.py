"""Turns a job body of a user into a Job: it checks each field, fills in defaults, and computes the id.

The API, the schedules and the batches all use it, so that they accept the same bodies. Only the vendors' JSON Schemas
say what a request may hold (`GET /vendors` shows the same schemas).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from clipferry.intake.checks import FieldError, InvalidBody, broken, place, unfit_values, unusable, with_rules
from clipferry.intake.values import canonical, fingerprint, prose_fields
from clipferry.jobs.job import DEADLINE_MAX, DEADLINE_MIN, Job, job_id
from clipferry.jobs.statuses import JobStatus
from clipferry.redaction import redact
from clipferry.vendors import VENDORS, vendor_class

#: The characters that S3 allows in object tags, because labels become tags. A key holds no `=`: a listing splits there.
_TAG = {
    "pattern": r"^(?![aA][wW][sS]:)[\w .:/=+@-]*$(?!\n)",
    "x-problem": "must be made of letters, digits, blanks and .:/=+@_- and must not start with aws:",
}
_TAG_KEY = {
    "pattern": r"^(?![aA][wW][sS]:)[\w .:/+@-]*$(?!\n)",
    "x-problem": "has a key that is not made of letters, digits, blanks and .:/+@_- or that starts with aws:",
}
#: First part of an object's key: characters that are safe in S3, no empty part, no `.` or `..`, not `.clipferry/`.
_PREFIX = r"^(?!/|\.clipferry(/|$))(?!.*(^|/)\.{1,2}(/|$))(?!.*//)[A-Za-z0-9!_.*'()/ =@:+-]*$(?!\n)"
NAME_RULE = "1 to 64 letters, digits, dots, dashes and underscores, and start with a letter or a digit"
ADOPT_MAX = 120 * 1024  # bytes; the job's row may hold it twice: as the request, and as the vendor's ids
BODY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "vendor": {"type": "string", "description": "whose cloud the video is in: a name of the registry"},
        "account": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)",
            "x-problem": f"must have {NAME_RULE}",
            "description": "name of the secret below the secret prefix; the vendor's name when absent",
        },
        "request": {"type": "object", "description": "new work for the vendor; see GET /vendors"},
        "adopt": {"type": "object", "description": "work that exists at the vendor already; see GET /vendors"},
        "destination": {
            "type": "object",
            "properties": {
                "prefix": {
                    "type": "string",
                    "maxLength": 512,
                    "pattern": _PREFIX,
                    "x-problem": "must be made of letters, digits, blanks and !_.*'()/=@:+- and have no slash in "
                    "front, no empty part, no part that is . or .., and none of .clipferry/ in front",
                    "description": "first part of the objects' keys in the bucket",
                }
            },
            "additionalProperties": False,
        },
        "deadline_seconds": {
            "type": "integer",
            "minimum": DEADLINE_MIN,
            "maximum": DEADLINE_MAX,
            "description": "seconds from now after which the job is TIMED_OUT",
        },
        "on_uncertain": {
            "enum": ["fail", "retrigger"],
            "description": "when nobody can tell whether a lost trigger reached the vendor",
        },
        "labels": {
            "type": "object",
            "maxProperties": 8,
            "propertyNames": {**_TAG_KEY, "minLength": 1, "maxLength": 64},
            "additionalProperties": {"type": "string", **_TAG, "maxLength": 128},
            "description": "for listings, events and object tags",
        },
    },
    "required": ["vendor"],
    "oneOf": [{"required": ["request"]}, {"required": ["adopt"]}],
    "x-problem": "give exactly one of request and adopt",
    "additionalProperties": False,
}


def check(body: object) -> list[FieldError]:
    """Each bad field of a body; an empty list for a valid body."""
    if unfit := unusable(body):
        return [unfit]
    vendor = body.get("vendor") if isinstance(body, dict) else None
    described = vendor_class(vendor) if isinstance(vendor, str) and vendor in VENDORS else None
    schemas = {"request": described.request_schema, "adopt": described.adopt_schema} if described else {}
    bad_values = unfit_values(body, frozenset().union(*map(prose_fields, schemas.values())))
    errors = broken(BODY_SCHEMA, body)
    if isinstance(vendor, str) and not described:
        errors.append(FieldError("/vendor", f"must be one of {', '.join(VENDORS)}"))
    for name, schema in schemas.items():
        if isinstance(body, dict) and isinstance(body.get(name), dict):
            errors += broken(schema, body[name], f"/{name}")
    return with_rules(bad_values, errors or _unfit_for_row(body))


def _unfit_for_row(body: Any) -> list[FieldError]:
    """Fields that are too large for the job's row, or that are shown without redaction and hold a URL with a secret."""
    errors = []
    if len(json.dumps(body.get("adopt"))) > ADOPT_MAX:
        errors.append(FieldError("/adopt", f"must be at most {ADOPT_MAX} bytes, written in ASCII"))
    shown = [(("destination", "prefix"), body.get("destination", {}).get("prefix", ""))]
    shown += [(("labels", key), f"{key}={value}") for key, value in body.get("labels", {}).items()]
    problem = "must not hold a URL with credentials or a query"
    return errors + [FieldError(place(parts), problem) for parts, text in shown if redact(text) != text]


def new_job(
    body: Mapping[str, Any],
    now: datetime,
    *,
    seed: str | None = None,
    source: str | None = None,
    line: int | None = None,
) -> Job:
    """A QUEUED job for a body. With a `seed` its id depends only on the seed (see `jobs.job_id`).

    Raises InvalidBody.
    """
    if errors := check(body):
        raise InvalidBody(errors)
    body = canonical(body)
    vendor = vendor_class(body["vendor"])
    seconds = int(body.get("deadline_seconds") or vendor.deadline_for(body.get("request")))
    return Job(
        job_id=job_id(now, seed),
        vendor=body["vendor"],
        account=body.get("account", body["vendor"]),
        status=JobStatus.QUEUED,
        created_at=_milliseconds(now),
        updated_at=_milliseconds(now),
        deadline_at=_milliseconds(now) + timedelta(seconds=seconds),
        deadline_seconds=seconds,
        prefix=body.get("destination", {}).get("prefix", ""),
        request=body.get("request"),
        adopt=body.get("adopt"),
        on_uncertain=body.get("on_uncertain", "fail"),
        labels=body.get("labels", {}),
        fingerprint=fingerprint(body),
        source=source,
        line=line,
    )


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
