"""The body of a batch: every bad field named before anything is read."""

from __future__ import annotations

from typing import Any

import pytest
from clipferry.intake.batch_body import KEY_MAX, check_batch, check_upload, format_of
from clipferry.intake.checks import InvalidBody
from clipferry.vendors import VENDORS

GOOD: dict[str, Any] = {"manifest": {"key": "manifests/a.jsonl"}}


def pointers(body: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidBody) as refused:
        check_batch(body, "videos")
    return [error.pointer for error in refused.value.errors]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/manifest"),
        ({"manifest": {"key": "elsewhere/a.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": "manifests/"}}, "/manifest/key"),
        ({"manifest": {"key": "manifests/a\n.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": "manifests/a\u200b.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": "manifests/\ud800.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": f"manifests/{'é' * 450}.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": f"manifests/{'x' * KEY_MAX}.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": "manifests/https://a.example/v?Signature=x.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": "manifests/https://u:p@a.example/v.jsonl"}}, "/manifest/key"),
        ({"manifest": {"key": "manifests/a.jsonl", "bucket": "other"}}, "/manifest/bucket"),
        ({"manifest": {"key": "manifests/a.txt"}}, "/format"),
        (GOOD | {"format": "xml"}, "/format"),
        (GOOD | {"defaults": {"request": {}}}, "/defaults/request"),
        (GOOD | {"defaults": {"deadline_seconds": 1}}, "/defaults/deadline_seconds"),
        (GOOD | {"defaults": {"vendor": "nobody"}}, "/defaults/vendor"),
        (GOOD | {"defaults": {"labels": {"a\u0000": "b"}}}, "/defaults/labels"),
        (GOOD | {"defaults": {"labels": {"a=b": "c"}}}, "/defaults/labels"),
        (GOOD | {"defaults": {"deadline_seconds": float("nan")}}, "/defaults/deadline_seconds"),
    ],
)
def test_what_cannot_be_is_refused_by_name(body: dict[str, Any], pointer: str) -> None:
    assert pointers(body) == [pointer]


def test_a_key_may_be_in_any_script() -> None:
    for key in ("manifests/می\u200cخواهم 2026.csv", "manifests/what? #1?x=2.csv", "manifests/me@home/a.csv"):
        check_batch({"manifest": {"key": key, "bucket": "videos"}}, "videos")


def test_an_upload_says_its_format_or_nothing() -> None:
    check_upload({})
    check_upload({"format": "csv"})
    for body in ({"format": "xml"}, {"a\u200b": 1}):
        with pytest.raises(InvalidBody):
            check_upload(body)


@pytest.mark.parametrize(
    ("key", "given_", "found"),
    [
        ("manifests/a.JSONL", None, "jsonl"),
        ("manifests/a.ndjson", None, "jsonl"),
        ("manifests/a.csv", None, "csv"),
        ("manifests/a.txt", None, None),
        ("manifests/a.txt", "csv", "csv"),
    ],
)
def test_the_format_is_the_keys_suffix_unless_it_is_said(key: str, given_: str | None, found: str | None) -> None:
    assert format_of(key, given_) == found


def test_a_batch_at_its_bounds_is_taken() -> None:
    check_batch({"manifest": {"key": "manifests/" + "x" * (KEY_MAX - 10)}, "format": "csv"}, "videos")
    check_batch({"manifest": {"key": "manifests/" + "é" * 443 + ".csv"}}, "videos")
    assert pointers({"manifest": {"key": "manifests/" + "é" * 443 + "x.csv"}}) == ["/manifest/key"]
    for vendor in VENDORS:
        check_batch(GOOD | {"defaults": {"vendor": vendor}}, "videos")
