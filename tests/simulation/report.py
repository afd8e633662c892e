"""What many runs came to, as it stands in docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.__main__ import Totals

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- simulation -->\n", "<!-- /simulation -->\n"
HEADING = """## Every order of calls, by its seed

`make simulate` runs the bundle's own code and state machine in one process: the steps, the table, the transfer, the
vendors' clients. AWS and the vendors are models in memory, and time is virtual. A seed decides which call goes on at
each side effect and each read, and what goes wrong there: a call dies before or after the effect, lives on beside its
retry, is delivered twice, is late, is throttled; an index shows old rows; clocks differ; users submit twice, cancel
and retry. After each step the promises are checked. The same seed gives the same run to the byte, and a run that
fails is made small and told as a story.

What each of the two proves: the simulation tries orders of calls that the campaign above meets by luck, many more of
them, against models. The campaign runs the deployed stack, with its permissions, its handlers, its network and its
processes, in few orders. Neither knows what AWS and the vendors do that no page says. Batches and schedules are in the
campaign, and not yet in the simulation; nor are HLS videos and transfers over several connections."""
STEPS = ("Api", "Trigger", "Poll", "Download", "Finish", "Sweep", "Batch")


def write(totals: Totals, *, to_page: bool) -> str:
    """The report; into its place of the page, if asked."""
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
        f"What went wrong on purpose, or met: {_listed(totals.kinds)}.",
        _coverage(totals.met),
        _planted(totals.found),
    ]
    return "\n\n".join(part for part in parts if part)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _coverage(met: Counter[tuple[str, str, str, str]]) -> str:
    """By steps: how many pairs of side effects met; one call stopped before its own, another did its own meanwhile."""
    seen = [step for step in STEPS if any(step in (pair[0], pair[2]) for pair in met)]
    head = ["| stopped ↓, others go on → | " + " | ".join(seen) + " |", "|---|" + "---:|" * len(seen)]
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
        "Calls of one job that met: a call of the row's step stood before one of its effects or reads while a call of "
        "the column's step did one of its own. The cell says how many different pairs of effects met so, and how often."
    )
    left = f"Never interrupted: {', '.join(never)}." if never else "Every step was interrupted by every other."
    return "\n".join([said, "", *head, *rows, "", left])


def _planted(found: dict[str, int | None]) -> str:
    if not found:
        return ""
    rows = [f"| {name} | {'**not found**' if runs is None else runs} |" for name, runs in found.items()]
    many = sum(runs is not None for runs in found.values())
    said = f"Faults planted in the code, to see that they are found: {many} of {len(found)}."
    return "\n".join([said, "", "| fault | found in run |", "|---|---:|", *rows])
