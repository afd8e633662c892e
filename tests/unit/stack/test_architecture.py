"""Imports point one way. Read from the source, so that an import inside a function counts too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "layers" / "clipferry" / "clipferry"
FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").exists())
AWS = {"boto3", "botocore", "pynamodb", "aws_lambda_powertools"}
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imports(path: Path) -> Iterator[str]:
    """Dotted names a file imports at run time; what only a type checker reads does not count."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def top_level(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def room(module: str) -> str:
    """The first word below the package: a module, or a folder as a whole."""
    return module.removeprefix("clipferry").removeprefix(".").partition(".")[0]


def needs() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        own = {name for name in imports(path) if name in MODULES and room(name)}
        found.setdefault(room(module), set()).update({room(name) for name in own} - {room(module)})
    return found


def test_rooms_of_the_package_do_not_depend_on_each_other_in_a_circle() -> None:
    assert list(TopologicalSorter(needs()).static_order()), "a circle raises CycleError"


def test_the_page_on_the_architecture_shows_every_room_with_what_it_imports_all_of_it_further_down() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    section = page.split("\n## The domain package\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\|(.*)\|$", section, flags=re.M)
    shown = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}

    assert shown == {name: imported for name, imported in needs().items() if name}
    order = list(shown)
    for name, imported in shown.items():
        assert imported <= set(order[order.index(name) + 1 :]), name


def test_no_public_class_has_the_name_of_another_one_outside_the_vendors() -> None:
    found: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if room(module) != "vendors":
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, set()).add(module)

    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_never_imports_another(function: str) -> None:
    for path in (ROOT / "functions" / function).rglob("*.py"):
        assert not top_level(path) & {"app", "functions", *(set(FUNCTIONS) - {function})}, path


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == "vendors"])
def test_a_vendor_never_imports_aws_or_what_knows_of_jobs(module: str) -> None:
    used = set(imports(MODULES[module]))

    assert not {name.split(".")[0] for name in used} & AWS
    assert not {room(name) for name in used if name.startswith("clipferry.")} & {
        "jobs",
        "batches",
        "store",
        "aws",
        "settings",
        "intake",
        "steps",
        "transfer",
    }


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in ("jobs", "pacing")])
def test_the_core_is_pure(module: str) -> None:
    assert not top_level(MODULES[module]) & (AWS | {"requests", "urllib3", "socket", "time"})


def test_only_the_store_knows_dynamodb() -> None:
    knowing = {room(module) for module, path in MODULES.items() if "pynamodb" in top_level(path)}

    assert knowing == {"store"}


def test_only_settings_reads_the_environment() -> None:
    reading = {room(module) for module, path in MODULES.items() if "os.environ" in path.read_text()}

    assert reading == {"settings"}


def test_what_is_deployed_knows_nothing_of_where_it_is_tried_out() -> None:
    for path in [*MODULES.values(), *(ROOT / "functions").rglob("*.py")]:
        assert not top_level(path) & {"local", "tests", "moto", "ministack"}, path
        assert "emulator" not in path.read_text().lower(), path


def test_the_top_of_the_package_is_few_entries() -> None:
    entries = {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__pycache__", "py"}

    assert len(entries) <= 12, sorted(entries)


def test_no_module_has_the_name_of_one_in_another_room() -> None:
    rooms: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            rooms.setdefault(path.stem, set()).add(room(module))

    assert not {name: found for name, found in rooms.items() if len(found) > 1}
