"""The documents say what the code does: parameters, outputs, routes, error codes, alarms, examples and links."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from clipferry.aws.events import detail
from clipferry.batches import Batch, BatchStatus, Counts
from clipferry.intake.job_body import BODY_SCHEMA, check, new_job
from clipferry.intake.schedule_body import define
from clipferry.jobs.job import Job
from clipferry.transfer import Code, WarningCode
from clipferry.transfer.media import SMALLEST, formats
from clipferry.vendors import VENDORS, vendor_class

from tests.unit.stack.metrics import emitted as emitted_metrics
from tests.unit.stack.transformed import ROOT, published_api, source

README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
VENDOR_PAGE = (ROOT / "docs" / "vendors.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()
MEDIA = (ROOT / "docs" / "media.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
#: Every page of the repository; what is made, installed or hidden is none of it.
DOCUMENTS = sorted(
    path
    for top in (ROOT, ROOT / "docs", ROOT / "functions", ROOT / "layers", ROOT / "local", ROOT / "tests")
    for path in (top.glob("*.md") if top == ROOT else top.rglob("*.md"))
)
CODE = [*(ROOT / "layers" / "clipferry").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its rank or higher."""
    rank, start = len(heading.split()[0]), text.index(f"\n{heading}\n")
    rest = text[start + len(heading) + 2 :]
    return re.split(rf"^#{{1,{rank}}} ", rest, maxsplit=1, flags=re.M)[0]


def first_column(text: str) -> list[str]:
    """What the rows of the tables in a text are about."""
    return re.findall(r"^\| `([^`]+)`", text, flags=re.M)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def allowed(parameter: dict[str, Any]) -> str:
    """The values a parameter takes, in words."""
    values = [f"`{value}`" if value != "" else "empty" for value in parameter.get("AllowedValues", [])]
    if values:
        return f" One of {', '.join(values)}."
    low, high = parameter.get("MinValue"), parameter.get("MaxValue")
    if low is None:
        return ""
    return f" At least {low}." if high is None else f" {low} to {high}."


def sentence(text: str) -> str:
    """As Markdown shows it in a table."""
    return (text if text.endswith(".") else f"{text}.").replace("<", "&lt;").replace("|", "&#124;")


def parameter_rows() -> str:
    rows = []
    for name, parameter in source()["Parameters"].items():
        default = f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"
        rows.append(f"| `{name}` | {default} | {sentence(parameter['Description'])}{allowed(parameter)} |")
    return "\n".join(rows)


def output_rows() -> str:
    return "\n".join(f"| `{name}` | {sentence(given['Description'])} |" for name, given in source()["Outputs"].items())


def test_the_readme_has_every_parameter_as_the_template_has_it() -> None:
    assert parameter_rows() in section(README, "## Parameters")


def test_the_page_on_media_has_every_format_as_the_code_has_it() -> None:
    rows = [f"| {k.name} | {k.family} | `{k.extension}` | `{k.content_type}` | {k.end} |" for k in formats.ALL]

    table = section(MEDIA, "## Formats").split("|---|---|---|---|---|\n")[1].split("\n\n")[0]

    assert table.splitlines() == rows
    assert f"fewer than {SMALLEST} bytes" in MEDIA
    assert first_column(section(MEDIA, "## Whole or cut")) == ["complete", "none", "unverified"]


def test_the_readme_has_every_output_as_the_template_has_it() -> None:
    assert output_rows() in section(README, "## Outputs")


def test_the_readme_shows_every_route() -> None:
    paths = published_api()["paths"]
    routes = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}

    shown = set(re.findall(r"^\| \[?`([A-Z]+ /[^`]*)`", README, flags=re.M))

    assert shown == routes


CODE_AT = {
    "Problem": 0,
    "AccountError": 0,
    "ManifestError": 0,
    "_failed": 1,
    "warning": 0,
}  # which argument of what is a code
KEYWORDS = ("code", "kind")


def literals(node: ast.AST) -> Iterator[str]:
    """The texts in an expression that names a code, or decides between some."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def emitted(path: Path) -> Iterator[str]:
    """Every error code that a file can put into a job or a file."""
    tree = ast.parse(path.read_text())
    named = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        given: list[ast.AST] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            given += [node.args[CODE_AT[name]]] if name in CODE_AT and len(node.args) > CODE_AT[name] else []
            given += [keyword.value for keyword in node.keywords if keyword.arg in KEYWORDS]
        elif isinstance(node, ast.arguments):
            given += [d for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d and a.arg in KEYWORDS]
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "code" for target in node.targets):
            given.append(node.value)
        for value in given:
            yield from literals(value)
            if isinstance(value, ast.Name) and value.id in named:
                yield named[value.id]


def test_every_code_that_the_code_can_give_is_explained_once_and_no_other() -> None:
    found = {code for path in CODE for code in emitted(path) if re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code)}
    found |= {code.value for code in (*Code, *WarningCode)} | {
        code for name in VENDORS for code in vendor_class(name).spent_codes
    }

    explained = first_column(ERRORS)

    assert set(explained) == found
    assert len(explained) == len(set(explained))


def test_every_alarm_is_in_the_operations() -> None:
    alarms = {name for name, resource in source()["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Alarm"}

    named = {
        name.replace("<Function>", function)
        for name in first_column(section(OPERATIONS, "## Alarms"))
        for function in ([f.removesuffix("Function") for f in functions()] if "<Function>" in name else [""])
    }

    assert named == alarms


def functions() -> list[str]:
    return [name for name, given in source()["Resources"].items() if given["Type"] == "AWS::Serverless::Function"]


def test_the_operations_explain_every_metric_of_ours_once_and_no_other() -> None:
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section(OPERATIONS, "## Metrics"), flags=re.M)
    explained = [name for cell in cells for name in re.findall(r"\w+", cell)]

    assert set(explained) == {name for name, _ in emitted_metrics()}
    assert len(explained) == len(set(explained))


def test_the_page_of_the_api_names_every_column_of_a_manifest() -> None:
    (told,) = re.findall(r"^\| columns \|(.*)\|$", section(API, "## Batches"), flags=re.M)
    plain = {name for name, schema in BODY_SCHEMA["properties"].items() if schema.get("type") != "object"}

    assert plain <= set(re.findall(r"`(\w+)`", told))


EXAMPLES = [json.loads(text) for text in blocks(VENDOR_PAGE, "json")]


def test_every_vendor_has_a_section_with_an_example_of_both_ways() -> None:
    shown = {(body["vendor"], "adopt" if "adopt" in body else "request") for body in EXAMPLES}

    assert shown == {(name, way) for name in VENDORS for way in ("request", "adopt")}
    for name in VENDORS:
        assert all(host in section(VENDOR_PAGE, f"## {name}") for host in vendor_class(name).download_hosts)


@pytest.mark.parametrize("body", EXAMPLES, ids=lambda body: f"{body['vendor']}-{'adopt' if 'adopt' in body else 'new'}")
def test_an_example_of_a_job_is_one(body: dict[str, Any]) -> None:
    assert check(body) == []


def test_an_account_is_shown_with_every_key_it_must_have() -> None:
    secrets = [json.loads(text) for text in re.findall(r"--secret-string \\\n  '(\{.*?\})'", README)]

    assert {secret["vendor"] for secret in secrets} == set(VENDORS)
    for secret in secrets:
        assert set(vendor_class(secret["vendor"]).secret_keys) <= set(secret)


def a_job() -> Job:
    return new_job({"vendor": "polyv", "request": {"vids": ["a"]}}, datetime.now(UTC))


def test_the_job_and_the_event_are_shown_with_the_fields_they_have() -> None:
    jobs = [json.loads(text) for text in blocks(API, "json")]

    whole = [job for job in jobs if "generation" in job and "job_id" in job]
    assert whole
    assert all(list(job) == list(a_job().public()) for job in whole)
    (event,) = (json.loads(text) for text in blocks(section(README, "## Events"), "json"))
    assert list(event) == list(detail(a_job()))


def test_a_batch_is_shown_with_the_fields_it_has() -> None:
    text, now = section(API, "## Batches"), datetime(2026, 11, 21, tzinfo=UTC)
    shown = json.loads(blocks(text, "json")[0])
    batch = Batch("b", BatchStatus.READING, "my-bucket", "manifests/a.csv", "", 1, "csv", now, now)

    said = batch.public(Counts())

    assert list(shown) == list(said)
    for part in ("manifest", "lines", "jobs"):
        assert list(shown[part]) == list(said[part])
    described = published_api()["components"]["schemas"]["Batch"]
    assert list(described["properties"]) == list(said)
    assert described["properties"]["status"]["enum"] == [status.value for status in BatchStatus]


def test_a_schedule_is_shown_as_it_is_put_and_answered() -> None:
    text, now = section(API, "## Schedules"), datetime(2026, 11, 21, tzinfo=UTC)
    ((name, body),) = re.findall(r'-X PUT "\$API/schedules/([^"]+)" -d \'(.*?)\'$', text, flags=re.M | re.S)
    answer = json.loads(blocks(text, "json")[0])

    said = define(name, json.loads(body), now).public(now)

    assert list(answer) == list(said)
    kept = ("name", "expression", "time_zone", "start", "end", "enabled", "next_at")
    assert {key: answer[key] for key in kept} == {key: said[key] for key in kept}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_of_json_can_be_read_and_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text()

    for block in blocks(text, "json"):
        json.loads(block)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            aim = (path.parent / file).resolve() if file else path
            assert aim.exists(), target
            assert not anchor or anchor in anchors(aim), target


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def names_in_the_code() -> set[str]:
    """Every class, every function of a class, and every field of one, as `Class` and `Class.name`."""
    found: set[str] = set()
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                own = [getattr(inner, "name", getattr(getattr(inner, "target", None), "id", "")) for inner in node.body]
                found |= {node.name, *(f"{node.name}.{name}" for name in own)}
    return found


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/glossary.md", "CONTRIBUTING.md"])
def test_a_page_for_those_who_change_the_code_names_what_is_there(name: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / name).read_text(), flags=re.M | re.S)
    package, tests = ROOT / "layers" / "clipferry" / "clipferry", ROOT / "tests"
    files = {path.name for path in (*CODE, *tests.rglob("*.py"))}

    classes = set(re.findall(r"`([A-Z][a-z]+[A-Za-z]*\.\w+)`", text))
    classes |= set(re.findall(r"`([A-Z][a-z]\w*)`", text)) if name.endswith("glossary.md") else set()
    for path in re.findall(r"`(\w+(?:/\w+)*(?:\.py|\.yaml|\.md|/))`", text):
        assert (ROOT / path).exists() or (package / path).exists() or path in files, path
    assert classes <= names_in_the_code()


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))

    for path in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(), flags=re.M))
        assert named <= targets, (path.name, named - targets)
