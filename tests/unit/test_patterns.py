"""Every pattern that is matched against what users or vendors send takes time in proportion to its length.

The patterns are read off the code, so that a new one is tried without being named here. One that backtracks is
quadratic at least: it takes a second where a linear one takes a millisecond.
"""

from __future__ import annotations

import ast
import importlib
import re
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "clipferry"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((PACKAGE / "clipferry").rglob("*.py"))
}
METHODS = ("match", "fullmatch", "search", "sub", "finditer", "findall", "split", "subn")
SHORT, LONG = 4_000, 16_000  # characters
SECONDS = 0.002  # within which most patterns are through with SHORT characters; the others are tried on LONG ones


def calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """(object, method, call) of every call `name.method(…)`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            yield node.func.value.id, node.func.attr, node


def value_of(node: ast.expr, module: ModuleType, place: str) -> str:
    """A pattern in the code: a text, or put together from the module's own constants."""
    try:
        found = eval(compile(ast.Expression(node), place, "eval"), vars(module))
    except NameError as error:
        raise AssertionError(f"{place}: give this pattern a name in the module, so that it is tried: {error}") from None
    return str(found)


def in_schemas(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for inner in value.values():
            yield from in_schemas(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from in_schemas(inner)


def in_tables(value: Any) -> Iterator[re.Pattern[str]]:
    """Compiled patterns in the rows of a table: tuples, lists, mappings and data classes, one in the other."""
    if isinstance(value, re.Pattern):
        if isinstance(value.pattern, str):
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from in_tables(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from in_tables(inner)
    elif is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            yield from in_tables(getattr(value, part.name))


def collected() -> Mapping[tuple[str, int], tuple[str, set[str]]]:
    """(pattern, flags) → where it stands, and the methods that it is used with."""
    found: dict[tuple[str, int], tuple[str, set[str]]] = {}
    used: dict[str, set[str]] = {}
    modules = {name: importlib.import_module(name) for name in MODULES}
    for name, path in MODULES.items():
        for owner, method, node in calls(ast.parse(path.read_text())):
            if method not in METHODS:
                continue
            if owner == "re":
                place = f"{name}:{node.lineno}"
                flags = value_of(node.args[-1], modules[name], place) if "re.I" in ast.unparse(node) else "0"
                key = (value_of(node.args[0], modules[name], place), int(flags))
                found.setdefault(key, (place, set()))[1].add(method)
            else:
                used.setdefault(owner, set()).add(method)
    for name, module in modules.items():
        owners: list[Any] = [vars(module), *(vars(c) for c in vars(module).values() if isinstance(c, type))]
        for owner in owners:
            for attribute, value in list(owner.items()):
                for compiled in in_tables(value):
                    key = (compiled.pattern, compiled.flags & ~re.UNICODE)
                    found.setdefault(key, (f"{name}.{attribute}", set()))[1].update(used.get(attribute, {"search"}))
                if isinstance(value, dict):
                    for pattern in in_schemas(value):
                        found.setdefault((pattern, 0), (f"{name}.{attribute}", set()))[1].add("search")
    return found


PATTERNS = collected()


def pieces(pattern: str, flags: int) -> set[str]:
    """What a pattern is made of: its literal texts, and a member of each of its sets."""
    found, run = {"a", "A", "0", " ", "/", ".", "-", "\n", "é", "\x00"}, ""

    def walk(parsed: Any) -> None:
        nonlocal run
        for code, argument in parsed:
            kind = str(code)
            if kind == "LITERAL":
                run += chr(argument)
                found.add(chr(argument))
                continue
            if len(run) > 1:
                found.add(run)
            run = ""
            if kind == "IN":
                for inner, value in argument:
                    if str(inner) == "LITERAL":
                        found.add(chr(value))
                    elif str(inner) == "RANGE":
                        found.add(chr(value[0]))
            elif isinstance(argument, tuple | list):
                for part in argument:
                    if isinstance(part, parser.SubPattern):
                        walk(part)
                    elif isinstance(part, list):
                        for branch in part:
                            walk(branch)
        if len(run) > 1:
            found.add(run)
        run = ""

    parsed = parser.parse(pattern, flags)
    walk(parsed)
    beginnings = {sample(parsed[:end]) for end in range(1, len(parsed) + 1)} - {""}
    return found | beginnings | {f"{text} " for text in beginnings}


def sample(parsed: Any) -> str:
    """A short text that (part of) a pattern matches, as far as its looking around allows."""
    text = ""
    for code, argument in parsed:
        match str(code):
            case "LITERAL":
                text += chr(argument)
            case "IN":
                members = [value if str(inner) == "LITERAL" else value[0] for inner, value in argument if named(inner)]
                text += chr(members[0]) if members else "a"
            case "ANY" | "NOT_LITERAL":
                text += "a"
            case "MAX_REPEAT" | "MIN_REPEAT":
                text += sample(argument[2]) * max(1, argument[0])
            case "SUBPATTERN":
                text += sample(argument[-1])
            case "BRANCH":
                text += sample(argument[1][0])
    return text


def named(code: Any) -> bool:
    return str(code) in ("LITERAL", "RANGE")


def heads(pattern: str, flags: int) -> set[str]:
    """Beginnings that bring a pattern past its own beginning."""
    literal = ""
    for code, argument in parser.parse(pattern, flags):
        if str(code) == "AT":
            continue
        if str(code) != "LITERAL":
            break
        literal += chr(argument)
    return {"", literal, 'A="'}


def texts(pattern: str, flags: int, length: int) -> Iterator[str]:
    for piece in sorted(pieces(pattern, flags)):
        for head in sorted(heads(pattern, flags)):
            for tail in ("", "\x01"):
                yield head + piece * (length // len(piece)) + tail


def user(pattern: str, flags: int, method: str) -> Callable[[str], Any]:
    compiled = re.compile(pattern, flags)
    if method in ("sub", "subn"):
        return lambda text: compiled.sub("", text)
    if method == "finditer":
        return lambda text: list(compiled.finditer(text))
    found: Callable[[str], Any] = getattr(compiled, method)
    return found


def seconds(use: Callable[[str], Any], text: str) -> float:
    started = time.process_time()
    use(text)
    return time.process_time() - started


def test_the_patterns_are_found() -> None:
    """In calls, in names, in schemas."""
    assert len(PATTERNS) > 40
    assert any("https?://" in pattern for pattern, _ in PATTERNS)
    places = [place for place, _ in PATTERNS.values()]
    for room in ("intake", "vendors", "transfer", "outbound", "redaction"):
        assert any(f"clipferry.{room}" in place for place in places), room


@pytest.mark.parametrize("key", PATTERNS, ids=lambda key: PATTERNS[key][0])
def test_a_pattern_takes_time_in_proportion_to_the_text(key: tuple[str, int]) -> None:
    pattern, flags = key
    place, methods = PATTERNS[key]
    for method in methods or {"search"}:
        use = user(pattern, flags, method)
        for text in texts(pattern, flags, SHORT):
            if seconds(use, text) < SECONDS:
                continue
            short = min(seconds(use, text) for _ in range(3))
            longer = text[: len(text) // 2] * (2 * LONG // SHORT) + text[-1:]
            long = min(seconds(use, longer) for _ in range(3))
            assert long < 9 * max(short, SECONDS), (place, pattern, method, text[:20], short, long)
