"""Which JSON values users may send, and when two bodies are the same. One rule for all inputs. Pure.

Numbers are compared as numbers: `10`, `10.0` and `1e1` are the same value, stored as `10`. To make this exact, only
numbers are accepted that parsing does not change: finite, a whole number of at most 64 bits, or a fraction. `1e17` is
refused, because a double may not hold such a number exactly (RFC 8259, section 6).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from clipferry.intake import characters

WHOLE_MIN, WHOLE_MAX = -(2**63), 2**64 - 1
EXACT_MAX = 2**53 - 1  # above it two whole numbers may become the same double (IEEE 754)

#: The path to a value: the path to its container, and the key or index there. None is the body itself.
_Way = tuple[Any, "str | int"] | None


def bad_values(body: object, prose: frozenset[str] = frozenset()) -> Iterator[tuple[_Way, str]]:
    """The bad values in a body: (the path to the value, what is wrong), in linear time and at any depth.

    `prose` names the fields that people read as text; see `characters`. For a bad key the path leads to the object that
    holds it, so that no path shows a bad key.
    """
    pending: list[tuple[_Way, object, bool]] = [(None, body, False)]
    while pending:
        way, value, is_prose = pending.pop()
        if problem := _problem_of(value, is_prose):
            yield way, problem
        match value:
            case list():
                pending += [((way, number), item, is_prose) for number, item in reversed(list(enumerate(value)))]
            case Mapping():
                for key, item in reversed(list(value.items())):
                    if found := characters.unseen(key, prose=is_prose):
                        yield way, f"has a key that holds {characters.name(found)}"
                    else:
                        pending.append(((way, key), item, is_prose or key in prose))


def _problem_of(value: object, is_prose: bool) -> str | None:
    """What is wrong with a text or a number; None for a good one, and for a value of another type."""
    if isinstance(value, str):
        found = characters.unseen(value, prose=is_prose)
        return f"holds {characters.name(found)}" if found else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_problem(value)
    return None


def parts_of(way: _Way) -> list[str | int]:
    """The keys and indexes of a path."""
    parts: list[str | int] = []
    while way is not None:
        way, part = way
        parts.append(part)
    return parts[::-1]


def prose_fields(schema: Mapping[str, Any]) -> frozenset[str]:
    """Names of the properties, at any depth of a JSON Schema, that are marked `"x-prose": true`."""
    found = {name for name, inner in schema.get("properties", {}).items() if inner.get("x-prose")}
    inner_schemas = [*schema.get("properties", {}).values(), schema.get("items", {})]
    return frozenset(found).union(*(prose_fields(inner) for inner in inner_schemas if inner))


def _number_problem(number: float) -> str | None:
    if isinstance(number, int):
        return None if WHOLE_MIN <= number <= WHOLE_MAX else "must be a number of at most 64 bits; or write it as text"
    if number != number or number in (float("inf"), float("-inf")):
        return "must be a finite number"
    if abs(number) > EXACT_MAX:
        return f"beyond {EXACT_MAX}, a number must be written with all its digits, and without a point or an exponent"
    return None


def canonical(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same body with each number in one form: 60 for 60.0, 6e1 and 60.00; 0 for -0.0."""
    written: dict[str, Any] = json.loads(json.dumps(body), parse_float=_one_form)
    return written


def _one_form(digits: str) -> float | int:
    number = float(digits)
    return int(number) if number.is_integer() else number


def fingerprint(body: Mapping[str, Any]) -> str:
    """A hash that is equal for equal bodies. The order of keys and the form of numbers do not matter."""
    return _digest(canonical(body))


def fingerprints(body: Mapping[str, Any]) -> tuple[str, str]:
    """The fingerprint, and that of the first release, in which 60 and 60.0 differed. Its rows hold the latter."""
    return fingerprint(body), _digest(body)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
