"""Writes a benchmark's tables into its own section of docs/performance.md, and leaves every other section alone.

    publish("cadence", "## Cadence\\n\\n| … |")

The page is its sections in ORDER; each stands between two marker comments and belongs to one benchmark command. A
section that was never written is left out; text outside the markers belongs to people and is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
ORDER = ("transfer", "cadence", "budget", "cost", "start", "scale")
TITLE = "# Performance\n\nThe command that a section names writes its tables and numbers. Never edit them by hand.\n"


def publish(section: str, text: str, page: Path = PAGE) -> None:
    """Puts `text` (Markdown) in place of the section's earlier text, or where ORDER has it."""
    old = page.read_text(encoding="utf-8") if page.exists() else TITLE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(placed(old, section, text), encoding="utf-8")


def placed(old: str, section: str, text: str) -> str:
    """The page `old` with the section's text in its place."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    block = f"{begin}\n\n{text.strip()}\n\n{end}"
    if begin in old:
        return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: block, old, flags=re.DOTALL)
    later = ORDER[ORDER.index(section) + 1 :] if section in ORDER else ()
    for name in later:
        head, marker, tail = old.partition(f"<!-- {name}: begin -->")
        if marker:
            return f"{head.rstrip()}\n\n{block}\n\n{marker}{tail}"
    return f"{old.rstrip()}\n\n{block}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, numbers to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
