"""The performance page: each benchmark replaces its own section and leaves the others alone."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from tests.benchmarks import report
from tests.benchmarks.plot import Curve, Panel, svg
from tests.benchmarks.report import placed, publish, table


def test_a_section_is_replaced_where_it_stands() -> None:
    page = placed(placed("# P\n", "cadence", "one \\1"), "budget", "two")
    again = placed(page, "cadence", "other")
    assert "one" not in again
    assert again.index("other") < again.index("two")
    assert placed(again, "cadence", "one \\1") == page


def test_sections_stand_in_their_order_whoever_wrote_first() -> None:
    page = placed(placed(placed("# P\n", "scale", "s"), "transfer", "t"), "budget", "b")
    assert [name for name in report.ORDER if f"<!-- {name}: begin -->" in page] == ["transfer", "budget", "scale"]
    places = [page.index(f"<!-- {name}: begin -->") for name in ("transfer", "budget", "scale")]
    assert places == sorted(places)


def test_what_people_wrote_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "performance.md"
    publish("cadence", "numbers", page)
    page.write_text(page.read_text() + "\nBy hand.\n")
    publish("cadence", "new numbers", page)
    assert "By hand." in page.read_text()
    assert "new numbers" in page.read_text()


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [[1, 2]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_a_drawing_is_well_formed_and_reads_in_the_dark() -> None:
    curves = [Curve(name, [(1.0, 10.0), (50.0, 2.0)]) for name in ("fixed", "doubling", "ours & more", "optimum")]
    drawing = svg([Panel("one < two", curves)] * 4, "lag", "calls")
    root = ElementTree.fromstring(drawing)
    assert len(root.findall(".//{*}polyline")) == 16
    assert "prefers-color-scheme: dark" in drawing
