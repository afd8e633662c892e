"""The results of many runs, for docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.__main__ import Totals

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- simulation -->\n", "<!-- /simulation -->\n"
HEADING = """## The simulation: many orders of calls

`make simulate` runs Clipferry's own code and state machine in one process: the steps, the table, the transfer and the
vendors' clients. AWS and the vendors are models in memory, and time is virtual. A seed decides which call continues at
each side effect and each read, and which fault happens there: a call crashes before or after the effect, runs on at
the same time as its retry, is delivered twice, is late, or is throttled; an index shows old rows; clocks differ; users
submit twice, cancel and retry. The promises are checked after each step. The same seed gives exactly the same run. A
run that fails is reduced to a smaller one and printed as a list of its events.

The simulation and the campaign prove different things. The simulation tries very many orders of calls against models;
the campaign above meets such orders only by chance. The campaign runs the deployed stack, with its permissions, its
handlers, its network and its processes, in few orders. Neither of them tests behaviour of AWS or of a vendor that is
not documented. The campaign has batches, schedules and HLS videos; the simulation does not have them yet, and no
transfers over several connections."""
STEPS = ("Api", "Trigger", "Poll", "Download", "Finish", "Sweep", "Batch")


def write(totals: Totals, *, to_page: bool) -> str:
    """The report. With `to_page` it also replaces the section of the page."""
    text = _report(totals)
    if to_page:
        page = PAGE.read_text()
        before, found, rest = page.partition(BEGIN)
        rest = rest.partition(END)[2] if found else ""
        PAGE.write_text(f"{before.rstrip()}\n\n{BEGIN}\n{text}\n\n{END}{rest}")
    return text


def _report(totals: Totals) -> str:
    hours = totals.seconds / 3600
    rate = round(totals.jobs / hours) if hours else 0
    parts = [
        HEADING,
        f"{totals.runs:,} runs of one seed each, {totals.jobs:,} jobs in {totals.seconds / 60:.0f} minutes "
        f"({rate:,} jobs an hour), {totals.virtual / 86_400:,.0f} days of virtual time, "
        f"{totals.effects['effect']:,} side effects and {totals.effects['read']:,} reads. "
        f"Failures: {len(totals.failures)}.",
        f"Ends: {_listed(totals.ends)}.",
        f"Faults and coincidences: {_listed(totals.kinds)}.",
        _coverage(totals.met),
        _planted(totals.found),
    ]
    return "\n\n".join(part for part in parts if part)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _coverage(met: Counter[tuple[str, str, str, str]]) -> str:
    """A table by steps: how often a call waited before an effect while a call of another step did one of its own."""
    seen = [step for step in STEPS if any(step in (pair[0], pair[2]) for pair in met)]
    head = ["| waiting ↓, others continue → | " + " | ".join(seen) + " |", "|---|" + "---:|" * len(seen)]
    rows, never = [], []
    for stopped in seen:
        cells = []
        for other in seen:
            pairs = [count for pair, count in met.items() if (pair[0], pair[2]) == (stopped, other)]
            cells.append(f"{len(pairs)} ({sum(pairs):,})" if pairs else "none")
            if not pairs:
                never.append(f"{stopped} by {other}")
        rows.append(f"| {stopped} | " + " | ".join(cells) + " |")
    said = (
        "Calls of one job at the same time: a call of the row's step waited before an effect or a read while a call of "
        "the column's step did one. Each cell has the number of different pairs of effects, and how often they met."
    )
    left = f"Never interrupted: {', '.join(never)}." if never else "Every step was interrupted by every other."
    return "\n".join([said, "", *head, *rows, "", left])


def _planted(found: dict[str, int | None]) -> str:
    if not found:
        return ""
    rows = [f"| {name} | {'**not found**' if runs is None else runs} |" for name, runs in found.items()]
    many = sum(runs is not None for runs in found.values())
    said = f"Faults that were put into the code, and were found: {many} of {len(found)}."
    return "\n".join([said, "", "| fault | found in run |", "|---|---:|", *rows])
