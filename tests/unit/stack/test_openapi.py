"""The OpenAPI description and docs/api.md have every field that the code takes and shows, nested ones too."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from clipferry.batches import Batch, BatchStatus, Counts
from clipferry.intake.batch_body import BATCH_SCHEMA
from clipferry.intake.checks import FieldError, InvalidBody
from clipferry.intake.job_body import BODY_SCHEMA
from clipferry.intake.schedule_body import SCHEMA as SCHEDULE_SCHEMA
from clipferry.intake.schedule_body import Schedule
from clipferry.jobs.file import File
from clipferry.jobs.job import Job
from clipferry.jobs.problems import Problem, warning
from clipferry.jobs.statuses import FileStatus, JobStatus

from tests.unit.stack.transformed import ROOT, published_api

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
COMPONENTS = published_api()["components"]["schemas"]
API_PAGE = (ROOT / "docs" / "api.md").read_text()
FREE = ("request", "adopt", "vendor_refs", "labels")  # objects whose fields are the user's or the vendor's
Tree = Mapping[str, Any]


def described(schema: Any) -> Tree:
    """The fields of a schema and theirs: OpenAPI's or ours."""
    if "$ref" in schema:
        return described(COMPONENTS[schema["$ref"].rpartition("/")[2]])
    if "items" in schema:
        return described(schema["items"])
    return {name: {} if name in FREE else described(inner) for name, inner in schema.get("properties", {}).items()}


def shown(value: Any) -> Tree:
    """The fields of a value and theirs."""
    if isinstance(value, list):
        return {name: inner for item in value for name, inner in shown(item).items()}
    if not isinstance(value, dict):
        return {}
    return {name: {} if name in FREE else shown(inner) for name, inner in value.items()}


def paths(tree: Tree, above: str = "") -> Iterator[str]:
    for name, inner in tree.items():
        yield f"{above}{name}"
        yield from paths(inner, f"{above}{name}.")


PROBLEM = Problem("A", "b", "c", "d")


def a_job() -> Job:
    """One with something in each of its fields."""
    file = File("f001", "r", "n", FileStatus.FAILED, size=5, part_size=2, error=PROBLEM, evidence=evidence())
    file.warnings = [warning("A", "b")]
    job = Job("j", "ims", "ims", JobStatus.PARTIAL, NOON, NOON, NOON, error=PROBLEM, files=[file])
    job.warnings = [warning("A", "b")]
    return job


def evidence() -> dict[str, Any]:
    """Every field that a copy can put into its evidence, read off the code."""
    found: dict[str, Any] = {}
    for path in (ROOT / "layers/clipferry/clipferry/transfer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict) and {"level", "sha256"} <= set(keys(node)):
                for key, inner in keys(node).items():
                    found[key] = dict.fromkeys(keys(inner)) if isinstance(inner, ast.Dict) else None
    return found


def keys(node: ast.Dict) -> dict[str, ast.expr]:
    return {str(k.value): v for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)}


def a_batch() -> dict[str, Any]:
    batch = Batch("b", BatchStatus.FAILED, "my-bucket", "manifests/a.csv", "", 1, "csv", NOON, NOON, error=PROBLEM)
    batch.report = "manifests/a.csv.rejected.jsonl"
    return batch.public(Counts())


def a_problem() -> dict[str, Any]:
    said = InvalidBody([FieldError("/a", "b")] * 101).problem()
    return said | {"errors": [*said["errors"], {"parameter": "a"}], "request_id": "1"}


@pytest.mark.parametrize(
    ("name", "schema"), [("NewJob", BODY_SCHEMA), ("NewBatch", BATCH_SCHEMA)], ids=["NewJob", "NewBatch"]
)
def test_what_is_sent_is_described_with_every_field(name: str, schema: Mapping[str, Any]) -> None:
    assert set(paths(described(COMPONENTS[name]))) == set(paths(described(schema)))


def test_a_schedule_is_described_with_every_field() -> None:
    ours = {**described(SCHEDULE_SCHEMA), "job": described(BODY_SCHEMA)}
    listed = {name: inner for name, inner in ours.items() if name != "job"}

    assert set(paths(described(COMPONENTS["NewSchedule"]))) == set(paths(ours))
    assert set(paths(described(COMPONENTS["Schedule"]))) == set(paths(ours))
    assert set(paths(described(COMPONENTS["ListedSchedule"]))) == set(paths(listed))
    assert set(ours) == set(Schedule("a", "rate(1 day)", {}).public(NOON))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Job", a_job().public()),
        ("File", a_job().public()["files"]),
        ("Warning", a_job().public()["warnings"]),
        ("Batch", {**a_batch(), "defaults": {}}),
        ("Problem", a_problem()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_answered_is_described_with_every_field(name: str, value: Any) -> None:
    told = described({**COMPONENTS[name], "properties": {**COMPONENTS[name]["properties"], "defaults": {}}})

    assert set(paths(told)) - {"defaults"} == set(paths(shown(value))) - {"defaults"}


@pytest.mark.parametrize("schema", [BODY_SCHEMA, BATCH_SCHEMA, SCHEDULE_SCHEMA], ids=["job", "batch", "schedule"])
def test_the_page_of_the_api_has_every_field_that_may_be_sent(schema: Mapping[str, Any]) -> None:
    in_examples = {path for example in examples() for path in paths(shown(example))}
    in_text = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", API_PAGE))

    fields = set(paths(described(schema)))
    as_in_a_job = {f"defaults.{path}" for path in paths(described(BODY_SCHEMA))}  # which the page says

    assert fields - as_in_a_job <= in_examples | in_text


def examples() -> Iterator[Any]:
    """The bodies and answers that the page shows."""
    for text in re.findall(r"^```json\n(.*?)^```", API_PAGE, flags=re.M | re.S):
        yield json.loads(text)
    for text in re.findall(r"-d '(\{.*?\})'", API_PAGE, flags=re.S):
        yield json.loads(text)


def test_the_page_of_the_api_shows_a_job_with_every_field_of_its_own_objects() -> None:
    jobs = [example for example in examples() if "generation" in example and "job_id" in example]

    assert any(job["files"] for job in jobs)
    for job in jobs:
        assert list(job["destination"]) == list(a_job().public()["destination"])
        for file in job["files"]:
            assert set(file) == set(a_job().public()["files"][0])
            assert set(file["evidence"]) <= set(evidence())
    assert {field for field in evidence() if f"`{field}`" in API_PAGE or f'"{field}"' in API_PAGE} == set(evidence())


def test_a_nested_field_that_is_left_out_would_be_found() -> None:
    assert {"destination.prefix", "manifest.key"} <= {*paths(described(BODY_SCHEMA)), *paths(described(BATCH_SCHEMA))}
    assert {"files.parts.copied", "error.vendor_code", "files.evidence.checksum.confirmed_as"} <= set(
        paths(shown(a_job().public()))
    )


def without_value(node: Any, place: str = "") -> Iterator[str]:
    """The keys without a value. YAML makes such a key of each unquoted text after a comma in `{…}`."""
    if isinstance(node, dict):
        for key, inner in node.items():
            if inner is None:
                yield f"{place}/{key}"
            elif key != "example":  # examples may show null
                yield from without_value(inner, f"{place}/{key}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from without_value(inner, f"{place}/{number}")


def test_no_description_is_cut_at_its_comma() -> None:
    assert list(without_value(published_api())) == []
