"""Checks a value against a JSON Schema and describes the errors, field by field. Used for all inputs.

Each check takes time in proportion to the value's size, whatever the value holds: depth and size are checked first, a
text's length before its pattern, a list's length before its items. No message repeats a value. Of many errors the first
ERRORS_SHOWN are listed, and the others are only counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from clipferry.intake.characters import unseen
from clipferry.intake.values import bad_values, canonical, parts_of
from clipferry.redaction import redact

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

BODY_MAX = 256 * 1024  # bytes: a DynamoDB item holds 400 KB (AWS limit), and the row holds the request
DEPTH_MAX = 32  # levels of objects and lists; `redaction.DEPTH_SHOWN` is larger
ERRORS_SHOWN = 100
KEY_SHOWN = 100  # characters of a key that an error's pointer shows


@dataclass(frozen=True)
class FieldError:
    """One bad field: a JSON Pointer (RFC 6901) into the body, and the rule that it breaks. Never repeats the value."""

    pointer: str
    detail: str


class InvalidBody(Exception):
    """The body is invalid. `errors` holds the bad fields that were found."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        super().__init__(_sentence(self.errors, ERRORS_SHOWN))

    def told(self, limit: int = ERRORS_SHOWN) -> list[dict[str, str]]:
        """The first errors, as JSON."""
        return [{"pointer": error.pointer, "detail": error.detail} for error in self.errors[:limit]]

    def problem(self, limit: int = ERRORS_SHOWN) -> dict[str, Any]:
        """The error as problem+json (RFC 9457), for a reply or for a batch's report."""
        return {
            "type": "about:blank",
            "status": HTTPStatus.BAD_REQUEST,
            "title": "the request is invalid",
            "detail": _sentence(self.errors, limit),
            "errors": self.told(limit),
            **self.more(limit),
        }

    def more(self, limit: int = ERRORS_SHOWN) -> dict[str, int]:
        """`more_errors`: how many errors `told` leaves out; empty if it leaves out none."""
        return {"more_errors": len(self.errors) - limit} if len(self.errors) > limit else {}


def _sentence(errors: Sequence[FieldError], limit: int) -> str:
    told = "; ".join(f"{error.pointer or '/'}: {error.detail}" for error in errors[:limit])
    return told if len(errors) <= limit else f"{told}; and {len(errors) - limit} more"


def read_object(text: str) -> dict[str, Any]:
    """Parse a JSON object, within the limits of all inputs. Raises InvalidBody."""
    if len(text.encode("utf-8", "surrogatepass")) > BODY_MAX:
        raise InvalidBody([FieldError("", f"must be at most {BODY_MAX} bytes")])
    try:
        value = json.loads(text)
    except RecursionError:
        raise InvalidBody([_TOO_DEEP]) from None
    except ValueError:
        raise InvalidBody([FieldError("", "must be a JSON object")]) from None
    if unfit := unusable(value):
        raise InvalidBody([unfit])
    if not isinstance(value, dict):
        raise InvalidBody([FieldError("", "must be a JSON object")])
    return value


def unusable(body: object) -> FieldError | None:
    """The error of a body that is too deep or too large, or not JSON; a schema cannot check this. None: it is good."""
    if too_deep(body):
        return _TOO_DEEP
    try:
        size = len(json.dumps(body))
    except ValueError:
        return FieldError("", "must be JSON (RFC 8259)")
    return FieldError("", f"must be at most {BODY_MAX} bytes, written in ASCII") if size > BODY_MAX else None


_TOO_DEEP = FieldError("", f"must not be nested more than {DEPTH_MAX} levels deep")


def too_deep(value: object) -> bool:
    """Whether a value has more than DEPTH_MAX levels. Goes level by level, without recursion."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [item for holder in level for item in _held(holder)]
        if not level:
            return False
    return True


def _held(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else ()


def unfit_values(body: object, prose: frozenset[str] = frozenset()) -> list[FieldError]:
    """The values that are refused in all inputs: see `values`. Only the errors that are shown get their pointers."""
    found = list(bad_values(body, prose))
    return [FieldError(place(parts_of(way)) if n < ERRORS_SHOWN else "", told) for n, (way, told) in enumerate(found)]


def place(parts: Iterable[str | int]) -> str:
    """A JSON Pointer (RFC 6901) from keys and indexes. A user chose the keys: long ones are cut, URLs redacted."""
    return "".join("/" + redact(str(part))[:KEY_SHOWN].replace("~", "~0").replace("/", "~1") for part in parts)


def with_rules(bad_values: list[FieldError], broken_rules: list[FieldError]) -> list[FieldError]:
    """All errors of a body, each place once, and without places whose names hold characters that cannot be seen."""
    told = {error.pointer for error in bad_values[:ERRORS_SHOWN]}
    return bad_values + [e for e in broken_rules if e.pointer not in told and not unseen(e.pointer)]


def broken(schema: Mapping[str, Any], value: object, base: str = "") -> list[FieldError]:
    """Each field of a value that breaks its JSON Schema; `base` is the pointer to the value itself."""
    return list(_field_errors(_validator()(schema).iter_errors(value), base))


@cache
def _validator() -> Any:
    """A validator of JSON Schema 2020-12 that takes linear time.

    The library itself searches for a pattern in a text of any length, checks each item of a list that is too long, and
    compares each item of a mixed list with each other.
    """
    from jsonschema import Draft202012Validator, ValidationError, validators  # imported here: many calls check nothing

    def within(keyword: str, *limits: str) -> Any:
        check = Draft202012Validator.VALIDATORS[keyword]

        def limited(validator: Any, rule: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
            too_long = any(limit in schema and len(instance) > schema[limit] for limit in limits if _sized(instance))
            return iter(()) if too_long else iter(check(validator, rule, instance, schema) or ())

        return limited

    def unique_items(_: Any, wanted: bool, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        if wanted and isinstance(instance, list) and len(instance) <= schema.get("maxItems", len(instance)):
            forms = [json.dumps(item, sort_keys=True) for item in canonical({"": instance})[""]]
            if len(set(forms)) < len(forms):
                yield ValidationError("not unique")

    return validators.extend(
        Draft202012Validator,
        {
            "pattern": within("pattern", "maxLength"),
            "items": within("items", "maxItems"),
            "propertyNames": within("propertyNames", "maxProperties"),
            "additionalProperties": within("additionalProperties", "maxProperties"),
            "uniqueItems": unique_items,
        },
    )


def _sized(value: object) -> bool:
    return isinstance(value, str | list | dict)


def _field_errors(found: Iterator[ValidationError], base: str) -> Iterator[FieldError]:
    for error in found:
        at = base + place(error.absolute_path)
        match error.validator:
            case "required" if isinstance(error.instance, dict):
                for name in error.validator_value:
                    if name not in error.instance and repr(name) in error.message:
                        yield FieldError(at + place([name]), "is required")
            case "additionalProperties" if error.validator_value is False:
                for name in sorted(set(error.instance) - set(error.schema.get("properties", {}))):
                    yield FieldError(at + place([name]), "is not a known field")
            case _:
                yield FieldError(at, _limit(error))


_TOLD_BY_SCHEMA = ("oneOf", "anyOf", "not", "pattern", "dependentRequired", "propertyNames")


def _limit(error: ValidationError) -> str:
    """A sentence about the rule that is broken, without the value."""
    if isinstance(error.schema, dict) and error.validator in _TOLD_BY_SCHEMA and "x-problem" in error.schema:
        return str(error.schema["x-problem"])
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
