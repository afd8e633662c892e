"""From a job body as users send it to a Job: validation with every bad field named, defaults, identity.

Used by the API, the schedules and the batches, so that all doors take the same body. The vendors' JSON Schemas are
the only statement of what a request may hold (`GET /vendors` shows the same ones).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

from clipferry.intake.characters import unseen
from clipferry.intake.values import canonical, fingerprint, prose_fields, value_errors
from clipferry.jobs import DEADLINE_MAX, DEADLINE_MIN, Job, JobStatus, job_id
from clipferry.vendors import VENDORS, vendor_class

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

ERRORS_MAX = 100  # bad fields told of one body
BODY_MAX = 256 * 1024  # bytes: a DynamoDB item holds 400 KB (AWS limit), and the row holds the request

_TAG = r"^(?![aA][wW][sS]:)[\w .:/=+@-]*$(?!\n)"  # what S3 object tags may hold; labels become tags
#: First part of an object's key: safe characters of S3, no empty part, no `.` or `..`, not `.clipferry/` (the stack's).
_PREFIX = r"^(?!/|\.clipferry(/|$))(?!.*(^|/)\.{1,2}(/|$))(?!.*//)[A-Za-z0-9!_.*'()/ =@:+-]*$(?!\n)"
BODY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "vendor": {"type": "string", "description": "whose cloud the video is in: a name of the registry"},
        "account": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)",
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
            "propertyNames": {"pattern": _TAG, "minLength": 1, "maxLength": 64},
            "additionalProperties": {"type": "string", "pattern": _TAG, "maxLength": 128},
            "description": "for listings, events and object tags",
        },
    },
    "required": ["vendor"],
    "oneOf": [{"required": ["request"]}, {"required": ["adopt"]}],
    "x-problem": "give exactly one of request and adopt",
    "additionalProperties": False,
}


@dataclass(frozen=True)
class FieldError:
    """One bad field: a JSON Pointer (RFC 6901) into the body, and the limit it breaks. Never echoes the value."""

    pointer: str
    detail: str


class InvalidBody(Exception):
    """The body cannot become a job."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{e.pointer or '/'}: {e.detail}" for e in errors))
        self.errors = errors

    def problem(self) -> dict[str, Any]:
        """What problem+json (RFC 9457) says of it, in a reply or in a batch's report."""
        errors = [{"pointer": e.pointer, "detail": e.detail} for e in self.errors]
        return {
            "type": "about:blank",
            "status": HTTPStatus.BAD_REQUEST,
            "title": "the request is invalid",
            "detail": str(self),
            "errors": errors,
        }


def broken(schema: Mapping[str, Any], value: object) -> list[FieldError]:
    """Where a value breaks a schema."""
    from jsonschema import Draft202012Validator

    return list(_field_errors(Draft202012Validator(schema).iter_errors(value), ""))


def check(body: object) -> list[FieldError]:
    """Every bad field of a body; an empty list for a good one."""
    if unfit := unusable(body):
        return [unfit]
    vendor = body.get("vendor") if isinstance(body, dict) else None
    described = vendor_class(vendor) if isinstance(vendor, str) and vendor in VENDORS else None
    schemas = {"request": described.request_schema, "adopt": described.adopt_schema} if described else {}
    bad_values = unfit_values(body, frozenset().union(*map(prose_fields, schemas.values())))
    errors = broken_limits(BODY_SCHEMA, body)
    if isinstance(vendor, str) and not described:
        errors.append(FieldError("/vendor", f"must be one of {', '.join(VENDORS)}"))
    for name, schema in schemas.items():
        if isinstance(body, dict) and isinstance(body.get(name), dict):
            errors += broken_limits(schema, body[name], f"/{name}")
    return with_rules(bad_values, errors)


def unfit_values(body: object, prose: frozenset[str] = frozenset()) -> list[FieldError]:
    """The values that no door takes: see `values`. The first ERRORS_MAX of them."""
    return [FieldError(*error) for error in islice(value_errors(body, prose), ERRORS_MAX)]


def with_rules(bad_values: list[FieldError], broken_rules: list[FieldError]) -> list[FieldError]:
    """What is wrong with a body, each place told once, and none by a name that nobody can read."""
    told = {error.pointer for error in bad_values}
    return bad_values + [e for e in broken_rules if e.pointer not in told and not unseen(e.pointer)]


def broken_limits(schema: Mapping[str, Any], value: object, base: str = "") -> list[FieldError]:
    """Every field of a value that its JSON Schema does not admit; `base` is the pointer to the value itself."""
    from jsonschema import Draft202012Validator  # here: only the doors need it, not every function

    return list(_field_errors(Draft202012Validator(schema).iter_errors(value), base))


def unusable(body: object) -> FieldError | None:
    """What no schema says: the row has to hold the body."""
    try:
        size = len(json.dumps(body))
    except (ValueError, RecursionError):  # nesting without end
        return FieldError("", "must be JSON (RFC 8259)")
    return FieldError("", f"must be at most {BODY_MAX} bytes, written in ASCII") if size > BODY_MAX else None


def new_job(
    body: Mapping[str, Any],
    now: datetime,
    *,
    seed: str | None = None,
    source: str | None = None,
    line: int | None = None,
) -> Job:
    """A QUEUED job for a body. With a `seed` its id is a function of the seed (see `jobs.job_id`).

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


def _field_errors(found: Iterator[ValidationError], base: str) -> Iterator[FieldError]:
    for error in found:
        pointer = base + "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in error.absolute_path)
        match error.validator:
            case "required" if isinstance(error.instance, dict):
                for name in error.validator_value:
                    if name not in error.instance and repr(name) in error.message:
                        yield FieldError(f"{pointer}/{name}", "is required")
            case "additionalProperties" if error.validator_value is False:
                for name in sorted(set(error.instance) - set(error.schema.get("properties", {}))):
                    yield FieldError(f"{pointer}/{name}", "is not a known field")
            case _:
                yield FieldError(pointer, _limit(error))


def _limit(error: ValidationError) -> str:
    """The broken limit in words, without the value that broke it."""
    if isinstance(error.schema, dict) and error.validator in (
        "oneOf",
        "anyOf",
        "not",
        "pattern",
        "dependentRequired",
        "propertyNames",
    ):
        told = error.schema.get("x-problem")
        if told:
            return str(told)
    limit = error.validator_value
    words = {
        "type": f"must be of type {limit}",
        "enum": f"must be one of {', '.join(map(str, limit))}" if isinstance(limit, list) else "",
        "minimum": f"must be at least {limit}",
        "maximum": f"must be at most {limit}",
        "minItems": f"must have at least {limit} items",
        "maxItems": f"must have at most {limit} items",
        "minLength": f"must have at least {limit} characters",
        "maxLength": f"must have at most {limit} characters",
        "pattern": f"must match {limit}",
        "uniqueItems": "must not hold the same item twice",
        "maxProperties": f"must have at most {limit} entries",
        "const": f"must be {limit}",
        "minProperties": f"must have at least {limit} entries",
    }
    return words.get(str(error.validator), f"breaks the rule {error.validator}")
