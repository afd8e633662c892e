"""Attribute lists of HLS tags (RFC 8216 §4.2), read as players read them and written as the RFC says. Pure.

Reading is lenient: names in any case, blanks around commas and `=`, missing quotes. The time for a line is linear in
its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[A-Z0-9-]+")


@dataclass(frozen=True)
class Value:
    text: str  # without its quotes
    quoted: bool

    def __str__(self) -> str:
        return f'"{self.text}"' if self.quoted else self.text


def read_attributes(text: str) -> dict[str, Value]:
    """Each name in upper case, with its value, in the order of the list. The last value of a repeated name counts."""
    return {name: value for name, value in _pairs(text) if _NAME.fullmatch(name)}


def write_attributes(attributes: Mapping[str, Value]) -> str:
    return ",".join(f"{name}={value}" for name, value in attributes.items())


def _pairs(text: str) -> Iterator[tuple[str, Value]]:
    position = 0
    while (equals := text.find("=", position)) >= 0:
        # A word that has no "=" before the next comma is no attribute: the name begins behind the last comma.
        name = text[position:equals].rpartition(",")[2].strip().upper()
        value, position = _value(text, equals + 1)
        yield name, value


def _value(text: str, start: int) -> tuple[Value, int]:
    """The value that begins at `start`, and where the next pair may begin."""
    while text[start : start + 1] in (" ", "\t"):
        start += 1
    if text[start : start + 1] == '"':
        end = text.find('"', start + 1)
        end = len(text) if end < 0 else end
        comma = text.find(",", end)
        return Value(text[start + 1 : end], quoted=True), len(text) if comma < 0 else comma + 1
    comma = text.find(",", start)
    end = len(text) if comma < 0 else comma
    return Value(text[start:end].strip().replace('"', ""), quoted=False), end + 1
