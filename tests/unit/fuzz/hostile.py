"""What the fuzz tests send: anything, long, deep, many, and good values with something changed."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: `make fuzz` sets it; the unit suite tries the same few examples each time.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
SECONDS = 2.0  # that any call may take, whatever 256 KB it is sent
REPLY_MAX = 6 * 1024 * 1024  # bytes (Lambda quotas)
SECRET = "can4ry"
LONG = 120_000  # characters of the longest texts: below what a body holds


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """The settings of a fuzz test; `examples` in the unit suite."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Processor time, so that a busy machine fails nothing."""
    started = time.process_time()
    yield
    taken = time.process_time() - started
    assert taken < seconds, f"it took {taken:.1f} s"


PIECES = (
    *"aA0 \t\n\x00/\\?#%'\",;=.-*[{(<&片é🎥\u200b\u202e\ufeff\ud800",
    *("\r\n", "//", "%25", '{"a":', "[[", "https://", "http://a@", "a=b&", "0-", "a.", "-a", "null,", ": "),
    *("{date}", "cron(", "1,", "1/1,", "JAN-", '="', "A=", "EXT"),
)
TEXTS = (
    "",
    " ",
    "null",
    "NaN",
    f"https://a.example/v.mp4?Signature={SECRET}",
    f"https://a.example/v.mp4?x=it's{SECRET}",
    f"//u:{SECRET}@a.example/片#{SECRET}",
    f'{{"url": "https:\\/\\/a.example\\/v?{SECRET}"}}',
    "cron(0 2 * * ? *)",
    "rate(999999 days)",
    "at(9999-12-31T23:59:59)",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "2027-03-28T02:30:00",
    "Asia/Shanghai",
    "../../etc/passwd",
    "manifests/a.csv",
    "f1000",
    "__proto__",
    "JOB#1",
)
NUMBERS = (0, -1, 1, 10, 10.0, 1e1, 0.1, -0.0, 1e17, 1e308, 2**53, 2**63, 2**64, 10**300, -(10**30), 60, 7200)

short_texts = st.one_of(st.sampled_from(TEXTS), st.sampled_from(PIECES), st.text(max_size=20))
long_texts = st.builds(
    lambda piece, length, tail: (piece * (length // len(piece) + 1))[:length] + tail,
    st.sampled_from(PIECES),
    st.sampled_from((100, 2049, 5000, 40_000, LONG)),
    short_texts,
)
texts = st.one_of(short_texts, short_texts, long_texts)
scalars = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.integers(), st.floats(allow_nan=True), texts)


def nested(levels: int, kind: str, inner: Any) -> Any:
    for _ in range(levels):
        inner = [inner] if kind == "list" else {"a": inner}
    return inner


deep = st.builds(nested, st.sampled_from((20, 31, 33, 100, 480, 900)), st.sampled_from(("list", "object")), scalars)
counts = st.sampled_from((9, 60, 3000, 12_000))
many = st.builds(lambda item, count: [item] * count, st.one_of(st.none(), st.integers(), short_texts), counts)
wide = st.builds(lambda key, count: {f"{key}{n}": n for n in range(count)}, short_texts, counts)


def small(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(short_texts, inner, max_size=4)


values = st.one_of(scalars, st.recursive(scalars, small, max_leaves=8), deep, many, wide)


def ways(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a value, the whole included."""
    found = [at]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += ways(item, (*at, key))
    return found


@st.composite
def changed(draw: st.DrawFn, samples: Sequence[Any]) -> Any:
    """One of the good values with up to three of its parts replaced, dropped, doubled or added to."""
    value = copy.deepcopy(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 3))):
        way = draw(st.sampled_from(ways(value)))
        holder, key = [value], 0
        for step in way:
            holder, key = holder[key], step
        match draw(st.sampled_from(("replace", "replace", "drop", "add", "wrap", "double"))):
            case "drop" if way:
                del holder[key]
            case "add" if isinstance(holder[key], dict):
                holder[key][draw(texts)] = draw(values)
            case "wrap":
                holder[key] = [holder[key]]
            case "double" if isinstance(holder[key], list):
                holder[key] = holder[key] * draw(st.sampled_from((2, 60, 500)))
            case _:
                holder[key] = draw(values)
        if not way:
            value = holder[0] if holder else None
        if len(repr(value)) > 2_000_000:
            break
    return value


def as_text(value: Any) -> str:
    """JSON, or what passes for it."""
    return json.dumps(value)
