"""docs/openapi.yaml is whole and true, and takes nothing away that clients of the last release use."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from clipferry.intake.job_body import DEADLINE_MAX, DEADLINE_MIN, check, new_job
from clipferry.jobs.statuses import FileStatus, JobStatus
from clipferry.vendors import VENDORS

from tests.published_api.breaking import losses
from tests.published_api.definition import METHODS, RELEASES, ROOT, published, read, resolved, validator
from tests.published_api.replies import Unpublished, check_reply
from tests.published_api.vendor_schemas import components, in_openapi
from tests.unit.stack.test_openapi import NOON, examples

SCHEMAS = published()["components"]["schemas"]
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in published()["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
LAST_RELEASE = max(RELEASES.glob("openapi-*.yaml"))


def objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in a value, itself among them."""
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def test_it_has_the_version_and_the_licence_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert published()["info"]["version"] == project["version"]
    assert published()["info"]["license"]["name"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


@pytest.mark.parametrize("name", components())
def test_what_a_vendor_takes_is_what_its_own_schema_says(name: str) -> None:
    ways = "PYTHONPATH=layers/clipferry python -m tests.published_api.vendor_schemas prints what to put in"

    assert SCHEMAS[name] == json.loads(json.dumps(components()[name])), ways


def test_a_job_is_described_for_each_vendor_as_new_work_and_as_work_taken_over() -> None:
    branches = [(b["required"], b["properties"]["vendor"]["enum"]) for b in SCHEMAS["VendorWork"]["oneOf"]]

    assert branches == [([kind], [vendor]) for vendor in VENDORS for kind in ("request", "adopt")]
    assert SCHEMAS["VendorName"]["enum"] == list(VENDORS)


def test_the_statuses_and_limits_are_those_of_the_code() -> None:
    deadline = SCHEMAS["NewJob"]["properties"]["deadline_seconds"]

    assert SCHEMAS["JobStatus"]["enum"] == list(JobStatus)
    assert SCHEMAS["File"]["properties"]["status"]["enum"] == list(FileStatus)
    assert (deadline["minimum"], deadline["maximum"]) == (DEADLINE_MIN, DEADLINE_MAX)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = {found["$ref"] for found in objects(published()) if "$ref" in found}
    there = {f"#/components/{kind}/{name}" for kind, held in published()["components"].items() for name in held}

    assert used == {reference for reference in there if "/securitySchemes/" not in reference}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_says_what_the_gateway_and_a_defect_answer(name: str) -> None:
    responses = OPERATIONS[name]["responses"]

    assert {"403", "429", "500", "502", "504"} <= set(responses)
    assert any(status.startswith("2") for status in responses)
    for answer in responses.values():
        assert resolved(published(), answer)["description"].endswith(".")


@pytest.mark.parametrize("name", [name for name, o in OPERATIONS.items() if "requestBody" in o])
def test_the_example_of_a_body_is_one_that_is_taken(name: str) -> None:
    content = OPERATIONS[name]["requestBody"]["content"]["application/json"]

    schema = content["schema"]["$ref"].rpartition("/")[2]

    assert list(validator(schema, closed=False).iter_errors(content["example"])) == []
    if name == "POST /jobs":
        assert check(content["example"]) == []


def test_the_example_of_an_answer_is_one_that_is_given() -> None:
    shown = 0
    for answer in published()["components"]["responses"].values():
        for content in answer.get("content", {}).values():
            if "example" in content:
                name = content["schema"]["$ref"].rpartition("/")[2]
                assert list(validator(name, closed=True).iter_errors(content["example"])) == []
                shown += 1
    assert shown > 5


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        ({"vendor": "polyv", "request": {"vids": ["a"]}}, True),
        ({"vendor": "polyv", "adopt": {"task_id": "t"}}, True),
        ({"vendor": "polyv", "request": {"vids": []}}, False),
        ({"vendor": "polyv", "request": {"vids": ["a"]}, "adopt": {"task_id": "t"}}, False),
        ({"vendor": "polyv", "request": {"upload_urls": ["https://a/b.mp4"]}}, False),
        ({"vendor": "ims", "request": {"upload_urls": ["https://a/b.mp4"], "user_data": {"a": 1}}}, True),
        ({"vendor": "ims", "request": {"upload_urls": ["https://a/b.mp4"], "user_data": 1}}, False),
        ({"vendor": "cloudv", "request": {"files": [{"fetch_url": "https://a/b"}], "renditions": [1, 2]}}, True),
        ({"vendor": "nobody", "request": {}}, False),
        ({"vendor": "polyv"}, False),
    ],
)
def test_the_definition_and_the_code_take_the_same_jobs(body: dict[str, Any], taken: bool) -> None:
    assert (check(body) == []) is taken
    assert (list(validator("NewJob", closed=False).iter_errors(body)) == []) is taken


class TestReplies:
    def test_a_job_with_all_its_fields_or_with_few_is_as_published(self) -> None:
        few = new_job({"vendor": "polyv", "request": {"vids": ["a"]}}, NOON).public()
        for job in (few, *(example for example in examples() if {"job_id", "generation"} <= set(example))):
            check_reply("GET", "/jobs/a", 200, "application/json", json.dumps(job))

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"progress": "much"}, "progress"),
            ({"colour": "red"}, "colour"),
            ({"status": "LOST"}, "status"),
            ({"account": None}, "account"),
        ],
    )
    def test_a_field_that_is_not_as_published_is_named(self, change: dict[str, Any], told: str) -> None:
        few = new_job({"vendor": "polyv", "request": {"vids": ["a"]}}, NOON).public()

        with pytest.raises(Unpublished, match=told):
            check_reply("GET", "/jobs/a", 200, "application/json", json.dumps(few | change))

    @pytest.mark.parametrize(
        ("method", "path", "status", "kind"),
        [
            ("GET", "/jobs", 404, "application/problem+json"),
            ("GET", "/jobs/a", 200, "text/html"),
            ("GET", "/nowhere", 200, "application/json"),
            ("DELETE", "/schedules/a", 204, "application/json"),
        ],
    )
    def test_an_unpublished_route_status_type_or_body_is_told(
        self, method: str, path: str, status: int, kind: str
    ) -> None:
        with pytest.raises(Unpublished):
            check_reply(method, path, status, kind, "{}")


class TestThePromise:
    def test_nothing_that_clients_of_the_last_release_use_is_taken_away(self) -> None:
        told = losses(read(LAST_RELEASE), published())

        assert told == [], "keep it, or make it a new major version with its own definition in docs/releases"

    def test_a_release_has_its_definition_kept(self) -> None:
        assert read(LAST_RELEASE)["info"]["version"] == LAST_RELEASE.stem.removeprefix("openapi-")

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda d: d["paths"].pop("/vendors"), "/vendors: the path is taken away"),
            (lambda d: d["paths"]["/jobs"].pop("get"), "GET /jobs: the method is taken away"),
            (lambda d: d["paths"]["/jobs"]["post"]["responses"].pop("409"), "POST /jobs: the status 409 is taken away"),
            (lambda d: _field(d, "Job").pop("polls"), "GET /jobs/{job_id}: 200.polls is taken away"),
            (
                lambda d: _field(d, "Job").update(polls={"type": "string"}),
                "GET /jobs/{job_id}: 200.polls is no longer of type integer but string",
            ),
            (lambda d: _field(d, "Job")["account"].update(nullable=True), "200.account may now be null"),
            (lambda d: d["components"]["schemas"]["Job"]["required"].remove("polls"), "200.polls may now be absent"),
            (
                lambda d: d["components"]["schemas"]["NewJob"]["required"].append("account"),
                "POST /jobs: body.account is made required",
            ),
            (lambda d: _field(d, "NewJob").pop("labels"), "POST /jobs: body.labels is taken away"),
            (
                lambda d: _field(d, "NewJob")["on_uncertain"]["enum"].remove("fail"),
                "POST /jobs: body.on_uncertain no longer takes the value fail",
            ),
            (
                lambda d: _field(d, "PolyvRequest")["vids"].update(type="string"),
                "body(allOf 1)(oneOf 7).request.vids is no longer of type array but string",
            ),
            (
                lambda d: d["components"]["schemas"]["VendorWork"]["oneOf"].pop(),
                "POST /jobs: body(allOf 1): an alternative of oneOf is taken away",
            ),
            (
                lambda d: d["components"]["parameters"]["Limit"].update(required=True),
                "GET /jobs: parameter limit is made required",
            ),
            (
                lambda d: d["paths"]["/jobs"]["get"]["parameters"].pop(0),
                "GET /jobs: parameter vendor is taken away",
            ),
            (
                lambda d: d["paths"]["/batches/uploads"]["post"]["requestBody"].update(required=True),
                "POST /batches/uploads: the body is made required",
            ),
            (
                lambda d: d["components"]["responses"]["Job"].update(content={}),
                "GET /jobs/{job_id}: 200 is no longer answered as application/json",
            ),
        ],
    )
    def test_what_breaks_a_client_is_told_in_a_sentence(self, change: Callable[[Any], Any], told: str) -> None:
        changed = copy.deepcopy(published())
        change(changed)

        found = losses(published(), changed)

        assert any(told in sentence for sentence in found), found

    def test_what_is_added_breaks_nobody(self) -> None:
        changed = copy.deepcopy(published())
        changed["paths"]["/new"] = {"get": {"responses": {"200": {"description": "New."}}}}
        changed["paths"]["/jobs"]["get"]["responses"]["418"] = {"description": "New."}
        _field(changed, "Job")["colour"] = {"type": "string"}
        _field(changed, "NewJob")["colour"] = {"type": "string"}
        _field(changed, "NewJob")["on_uncertain"]["enum"].append("ask")

        assert losses(published(), changed) == []


def _field(definition: Any, name: str) -> Any:
    return definition["components"]["schemas"][name]["properties"]


def test_a_schema_of_ours_is_written_as_openapi_has_it() -> None:
    ours = {
        "type": ["string", "object"],
        "maxLength": 5,
        "x-prose": True,
        "properties": {"enum": {"enum": [0, 1]}, "end": {"type": "string", "pattern": r"^a$(?!\n)"}},
    }

    assert in_openapi(ours) == {
        "oneOf": [{"type": "string", "maxLength": 5}, {"type": "object"}],
        "properties": {"enum": {"type": "integer", "enum": [0, 1]}, "end": {"type": "string", "pattern": "^a$"}},
    }
