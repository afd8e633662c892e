"""Whatever stands in a path or a query, the answer is never a 500."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.functions.conftest import Functions, proxy_event

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")

IDS = (
    "x" * 3000,
    "片" * 900,
    "片" * 300,
    "%00",
    "\x00",
    "a%2Fb",
    "..",
    "%",
    "%ZZ",
    "a b",
    "'\"<>",
    "\u202e",
    "\ud800",
    "#?",
    "0" * 26 + "\n",
    "JOB#1",
)
PATHS = (
    ("GET", "/jobs/{}"),
    ("POST", "/jobs/{}/cancel"),
    ("POST", "/jobs/{}/retry"),
    ("GET", "/jobs/{}/files/f001/url"),
    ("GET", "/jobs/00000000000000000000000000/files/{}/url"),
    ("GET", "/batches/{}"),
    ("POST", "/batches/{}/cancel"),
    ("POST", "/batches/{}/resume"),
    ("GET", "/batches/{}/report/url"),
    ("GET", "/schedules/{}"),
    ("DELETE", "/schedules/{}"),
    ("GET", "/schedules/{}/jobs"),
    ("PUT", "/schedules/{}"),
    ("GET", "/{}"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_an_id_of_any_content_names_nothing(functions: Functions, method: str, path: str) -> None:
    for text in IDS:
        answer = functions.api(method, path.format(text), {} if method == "PUT" else None)
        assert answer.status in (400, 404), (text, answer)
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "name", ["vendor", "status", "label", "schedule", "batch", "since", "until", "limit", "next_token", "files_after"]
)
@pytest.mark.parametrize("path", ["/jobs", "/schedules", "/jobs/00000000000000000000000000", "/schedules/a/jobs"])
def test_a_parameter_of_any_content_is_refused_or_finds_nothing(functions: Functions, path: str, name: str) -> None:
    for text in (
        "",
        *IDS,
        "a=" + "x" * 3000,
        "片=" + "片" * 500,
        "9" * 5000,
        "9999-12-31T23:59:59-23:59",
        "0001-01-01",
    ):
        answer = functions.api("GET", path, query={name: text})
        assert answer.status in (200, 400, 404), (text, answer)


def test_a_parameter_given_twice_counts_or_is_refused(functions: Functions) -> None:
    def listed(**query: list[str]) -> Any:
        event = proxy_event("GET", "/jobs") | {
            "queryStringParameters": {name: values[-1] for name, values in query.items()},
            "multiValueQueryStringParameters": query,
        }
        return functions.call("api", event)

    both, one = (functions.world.submit(labels=labels) for labels in ({"a": "1", "b": "2"}, {"b": "2"}))

    for labels in (["a=1", "b=2"], ["b=2", "a=1"]):
        found = listed(label=labels)["body"]
        assert both in found
        assert one not in found
    assert one in listed(label=["b=2"])["body"]
    assert listed(label=["a=1", "b=3"])["body"] == '{"jobs": [], "next_token": null}'
    assert listed(status=["QUEUED", "FAILED"])["statusCode"] == 400
    assert listed(vendor=["scripted", "scripted"])["statusCode"] == 400


@pytest.mark.parametrize("headers", [None, {}, {"Idempotency-Key": "\ud800"}, {"idempotency-key": "片" * 200}])
def test_headers_of_any_content_are_no_defect(functions: Functions, headers: Any) -> None:
    event = proxy_event("POST", "/jobs", {"vendor": "scripted", "request": {"url": "https://media.example/a"}})
    event |= {"headers": headers, "multiValueHeaders": headers and {name: [text] for name, text in headers.items()}}

    assert functions.call("api", event)["statusCode"] in (202, 400)


@pytest.mark.parametrize("body", ["\udc80", "!", "====", "eyJ"])
def test_a_body_that_says_it_is_base64_and_is_not_is_refused(functions: Functions, body: str) -> None:
    event = proxy_event("POST", "/jobs", body) | {"isBase64Encoded": True}

    assert functions.call("api", event)["statusCode"] == 400
