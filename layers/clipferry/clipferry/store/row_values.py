"""Rows to values and back, field by field.

One rule for rows of earlier releases: an attribute that a row does not have is the default of the field it stands for.
Fields without a default have been written by every release; a row without one of them cannot be read.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from pynamodb.attributes import Attribute
from pynamodb.expressions.condition import Condition

Value = TypeVar("Value")


class IncompleteRow(Exception):
    """An item lacks what every release has written: it was changed by hand, or is none of ours."""


def value_of(row: Any, cls: type[Value], **given: Any) -> Value:
    """The row as a dataclass. `given`: fields that are in no attribute. Raises IncompleteRow."""
    values = dict(given)
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in given:
            continue
        value = getattr(row, field.name)
        if value is not None:
            values[field.name] = value
        elif _required(field):
            raise IncompleteRow(f"{row.pk}/{row.sk} has no {field.name}")
    return cls(**values)


def attributes_of(value: Any, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields of a dataclass by the attributes they are written to."""
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name not in without}


def as_read(attribute: Attribute[Any], value: Any, default: Any = None) -> Condition:
    """That an attribute still has the value that was read: as its default, it may be absent as well."""
    absent: Condition = attribute.does_not_exist()
    if value is None:
        return absent
    same: Condition = attribute == value
    return same | absent if value == default else same


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
