"""DynamoDB's expressions: conditions, key conditions and updates, parsed once and evaluated on items.

Items and values have the form of the API: `{"S": "text"}`, `{"N": "1"}`, … (DynamoDB Developer Guide: "Expressions").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from decimal import Decimal
from functools import lru_cache
from typing import Any

Item = dict[str, Any]
Names = Mapping[str, str]
Values = Mapping[str, Any]
Read = Callable[[Item, Names, Values], Any]  # a value of the API's form; None where the item has none
Holds = Callable[[Item, Names, Values], bool]

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+-]|[#:]?[A-Za-z_0-9][\w.\[\]#-]*|[#:]\w+)")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Unsupported(Exception):
    """An expression that this model does not know. Teach it, rather than guess."""


def comparable(value: Any) -> tuple[str, Any]:
    """A value by which DynamoDB orders and compares: strings by their UTF-8 bytes, numbers by size, within a type."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return kind, Decimal(content)
        case "S":
            return kind, content.encode()
        case "SS" | "NS" | "BS":
            return kind, tuple(sorted(content))
    return kind, content if not isinstance(content, (dict, list)) else repr(content)


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found:
                raise Unsupported(text)
            self._tokens.append(found[1])
            position = found.end()
        self._at, self.text = 0, text

    @property
    def next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.next
        if expected and token.upper() not in expected:
            raise Unsupported(f"{token!r} in {self.text!r}")
        self._at += 1
        return token

    def took(self, word: str) -> bool:
        if self.next.upper() == word:
            self._at += 1
            return True
        return False


def _name(token: str, names: Names) -> str:
    if "." in token or "[" in token:
        raise Unsupported(f"the document path {token}")
    return names[token] if token.startswith("#") else token


def _operand(tokens: _Tokens) -> Read:
    token = tokens.take()
    if tokens.next == "(":
        return _function_value(token, tokens)
    if token.startswith(":"):
        return lambda item, names, values: values[token]
    return lambda item, names, values: item.get(_name(token, names))


def _function_value(function: str, tokens: _Tokens) -> Read:
    """`if_not_exists(path, value)` and `size(path)`."""
    tokens.take("(")
    first = _operand(tokens)
    if function == "size":
        tokens.take(")")
        return lambda item, names, values: {
            "N": str(len(next(iter((first(item, names, values) or {"S": ""}).values()))))
        }
    if function != "if_not_exists":
        raise Unsupported(function)
    tokens.take(",")
    other = _operand(tokens)
    tokens.take(")")
    return lambda item, names, values: (
        found if (found := first(item, names, values)) is not None else other(item, names, values)
    )


# -- conditions --------------------------------------------------------------------------------------------------------


@lru_cache(1024)
def condition(text: str) -> Holds:
    """A ConditionExpression, KeyConditionExpression or FilterExpression. Raises Unsupported."""
    tokens = _Tokens(text)
    holds = _any_of(tokens)
    if tokens.next:
        raise Unsupported(text)
    return holds


def _any_of(tokens: _Tokens) -> Holds:
    parts = [_all_of(tokens)]
    while tokens.took("OR"):
        parts.append(_all_of(tokens))
    return parts[0] if len(parts) == 1 else lambda item, names, values: any(p(item, names, values) for p in parts)


def _all_of(tokens: _Tokens) -> Holds:
    parts = [_one(tokens)]
    while tokens.took("AND"):
        parts.append(_one(tokens))
    return parts[0] if len(parts) == 1 else lambda item, names, values: all(p(item, names, values) for p in parts)


def _one(tokens: _Tokens) -> Holds:
    if tokens.took("NOT"):
        inner = _one(tokens)
        return lambda item, names, values: not inner(item, names, values)
    if tokens.took("("):
        inner = _any_of(tokens)
        tokens.take(")")
        return inner
    if tokens.next in ("attribute_exists", "attribute_not_exists", "begins_with", "contains", "attribute_type"):
        return _function(tokens)
    return _comparison(tokens)


def _function(tokens: _Tokens) -> Holds:
    function = tokens.take()
    tokens.take("(")
    first = _operand(tokens)
    if function in ("attribute_exists", "attribute_not_exists"):
        tokens.take(")")
        wanted = function == "attribute_exists"
        return lambda item, names, values: (first(item, names, values) is not None) is wanted
    tokens.take(",")
    second = _operand(tokens)
    tokens.take(")")
    if function == "begins_with":
        return lambda item, names, values: (
            (found := first(item, names, values)) is not None
            and str(found.get("S", "")).startswith(second(item, names, values)["S"])
        )
    raise Unsupported(function)


def _comparison(tokens: _Tokens) -> Holds:
    left = _operand(tokens)
    operator = tokens.take().upper()
    if operator == "BETWEEN":
        low = _operand(tokens)
        tokens.take("AND")
        high = _operand(tokens)
        return lambda item, names, values: (
            _compared("<=", low(item, names, values), left(item, names, values))
            and (_compared("<=", left(item, names, values), high(item, names, values)))
        )
    if operator == "IN":
        tokens.take("(")
        options = [_operand(tokens)]
        while tokens.took(","):
            options.append(_operand(tokens))
        tokens.take(")")
        return lambda item, names, values: any(
            _compared("=", left(item, names, values), option(item, names, values)) for option in options
        )
    if operator not in _COMPARISONS:
        raise Unsupported(f"{operator} in {tokens.text!r}")
    right = _operand(tokens)
    return lambda item, names, values: _compared(operator, left(item, names, values), right(item, names, values))


def _compared(operator: str, left: Any, right: Any) -> bool:
    """An attribute that is not there compares to nothing, except that it differs from everything."""
    if left is None or right is None:
        return operator == "<>"
    (kind, a), (other, b) = comparable(left), comparable(right)
    if kind != other:
        return operator == "<>"
    return _COMPARISONS[operator](a, b)


# -- updates -----------------------------------------------------------------------------------------------------------


@lru_cache(1024)
def update(text: str) -> Callable[[Item, Names, Values], Item]:
    """An UpdateExpression as a function from an item to the changed item. Raises Unsupported."""
    tokens = _Tokens(text)
    actions: list[Callable[[Item, Item, Names, Values], None]] = []
    while tokens.next:
        clause = tokens.take("SET", "REMOVE", "ADD", "DELETE").upper()
        actions.append(_action(clause, tokens))
        while tokens.took(","):
            actions.append(_action(clause, tokens))

    def changed(item: Item, names: Names, values: Values) -> Item:
        """Every action reads the item as it was before the update."""
        after = dict(item)
        for action in actions:
            action(item, after, names, values)
        return after

    return changed


def _action(clause: str, tokens: _Tokens) -> Callable[[Item, Item, Names, Values], None]:
    path = tokens.take()
    match clause:
        case "REMOVE":
            return lambda before, after, names, values: after.pop(_name(path, names), None) and None
        case "SET":
            tokens.take("=")
            value = _sum(tokens)
            return lambda before, after, names, values: after.__setitem__(
                _name(path, names), deepcopy(_present(value(before, names, values)))
            )
        case "ADD":
            amount = _operand(tokens)
            return lambda before, after, names, values: after.__setitem__(
                _name(path, names), _plus(before.get(_name(path, names), {"N": "0"}), amount(before, names, values), 1)
            )
    raise Unsupported(clause)


def _sum(tokens: _Tokens) -> Read:
    left = _operand(tokens)
    if tokens.next not in ("+", "-"):
        return left
    sign = 1 if tokens.take() == "+" else -1
    right = _operand(tokens)
    return lambda item, names, values: _plus(left(item, names, values), right(item, names, values), sign)


def _plus(left: Any, right: Any, sign: int) -> Any:
    return {"N": str(Decimal(_present(left)["N"]) + sign * Decimal(_present(right)["N"]))}


def _present(value: Any) -> Any:
    if value is None:
        raise LookupError("an attribute of the update is not in the item")
    return value
