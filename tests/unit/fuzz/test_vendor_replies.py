"""Whatever a vendor answers, its module gives one of the contract's answers, in time, and fit to be written down."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from clipferry import vendors
from clipferry.outbound.client import NoReply, Reply
from clipferry.vendors import vendor_class
from clipferry.vendors.contract import Account, KnownFile, Look, Submitted, Task, VendorError
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.replies import Answering, assert_writable, reply
from tests.unit.fuzz.hostile import SECRET, deep, fuzzed, in_time, scalars, texts

REAL = ("linkvisual", "ims", "cloudv", "polyv")
CALLS = 60  # of one question; then nobody answers any more
SECRETS = dict.fromkeys(("access_key_id", "access_key_secret", "access_key", "secret_key", "app_id", "app_secret"), "k")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = "ab" * 16
STATUSES = st.sampled_from([200, 200, 200, 302, 400, 403, 404, 429, 500])
REQUESTS: dict[str, Any] = {
    "linkvisual": {"iot_id": "cam", "record_duration": 60},
    "ims": {"upload_urls": ["https://a.example/1.mp4", "https://a.example/2.mp4"]},
    "cloudv": {"files": [{"fetch_url": "https://a.example/1.mp4"}], "renditions": "all"},
    "polyv": {"vids": ["a", "b"]},
}
REFS: dict[str, Any] = {
    "linkvisual": {"record_id": "r"},
    "ims": {"jobs": [{"index": 0, "job_id": "j", "media_id": "m"}, {"index": 1, "job_id": "k"}]},
    "cloudv": {"task_id": "t", "trans_no": KEY},
    "polyv": {"task_id": "t"},
}


@cache
def words(name: str) -> tuple[str, ...]:
    """The texts in a vendor's code and in what it shares: the fields and values that it looks for among them."""
    folder, others = Path(vendors.__file__).parent, {*REAL} - {name}
    found = {"code", "message", "data"}
    for path in folder.rglob("*.py"):
        if others & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 40:
                found.add(node.value)
    return tuple(sorted(found))


@st.composite
def bodies(draw: st.DrawFn, name: str) -> bytes:
    """JSON made of the vendor's own words, with anything in it."""
    names = st.sampled_from(words(name))
    leaves = st.one_of(names, st.sampled_from([0, 1, 100, 200, "200", "0", "100"]), scalars, texts)
    tree = st.recursive(
        leaves,
        lambda inner: st.dictionaries(names, inner, max_size=6) | st.lists(inner, max_size=4),
        max_leaves=25,
    )
    value = draw(st.one_of(st.dictionaries(names, tree, max_size=8), tree, deep))
    content = json.dumps(value).encode("utf-8", "replace")
    if draw(st.integers(0, 9)) == 0 and len(content) < 1_000:
        content = json.dumps({draw(names): [value] * draw(st.sampled_from([100, 5_000]))}).encode("utf-8", "replace")
    return content if draw(st.integers(0, 9)) else content[: draw(st.integers(0, len(content)))]


@pytest.mark.parametrize("name", REAL)
@fuzzed(25)
@given(data=st.data())
def test_any_answer_to_any_question_is_within_the_contract(name: str, data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.tuples(bodies(name), STATUSES), min_size=1, max_size=4))
    headers = {"Retry_After": data.draw(texts), "Date": data.draw(texts)} if data.draw(st.booleans()) else {}
    asked = 0

    def answer(_: Any) -> Reply:
        nonlocal asked
        asked += 1
        if asked > CALLS:
            raise NoReply("nobody answers")
        content, status = answers[asked % len(answers)]
        return reply(content, status, **headers)

    detail = data.draw(st.dictionaries(st.sampled_from(words(name)), scalars, max_size=3))
    known = KnownFile("r", "n", settled=False, ready=True, detail=detail)
    outbound: Any = Answering(answer, data.draw(st.sampled_from([206, 403, 500])))
    vendor = vendor_class(name)(Account(name, SECRETS | {"vendor": name}), outbound)
    fresh, running = (Task(KEY, REQUESTS[name], None, refs, NOW, 600.0) for refs in ({}, REFS[name]))
    questions = {
        "trigger": lambda: vendor.trigger(fresh),
        "find": lambda: vendor.find(fresh),
        "poll": lambda: vendor.poll(running),
        "locate": lambda: vendor.locate(running, known),
        "abort": lambda: vendor.abort(running),
    }
    for verb, question in questions.items():
        asked = 0
        try:
            with in_time(4):
                found = question()
        except VendorError as error:
            found = [error.message, error.code, error.request_id]
            assert SECRET not in repr(found), verb
        if isinstance(found, Look):
            for seen in found.files:
                assert_writable(seen)
        elif found is not None:
            assert_writable(found)
        assert not isinstance(found, Submitted) or found.refs is not None
