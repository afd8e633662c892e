"""docs/reliability.md: what a campaign did to the stack and what the stack made of it. Never typed in."""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from local.chaos.campaign import Campaign
from local.chaos.verdict import PROMISES, Tally
from local.emulator import ROOT

PAGE = ROOT / "docs" / "reliability.md"
ENDINGS = ("SUCCEEDED", "PARTIAL", "FAILED", "TIMED_OUT", "CANCELLED")

INTRODUCTION = """# Reliability

What happens to jobs when everything around them fails. This page is written by the command below; nothing here is
typed in, and the command's status is 1 when a promise is broken.

The deployed stack, IAM enforced, and a simulator of each vendor run on one machine; an hour of the vendors, and of the
state machine's waits, passes in 36 s. Every call of a function goes through a relay, which answers in place of AWS or
the vendor, loses the call or its reply, or kills the function (`kill -9`) before or after the call has acted. The
vendors' simulators answer wrongly on top. Users submit until they are heard, some of them twice at once, cancel and
retry with two clicks; firings of rules and schedules and "execution ended" events are delivered again and late;
executions of jobs and of batches are stopped, and started a second time; steps are invoked twice at once beside the
machine's own call; keys of accounts are rotated before the stack has the new one; some vendors' files are cut short;
some lines of the batches can be no job; the emulator is restarted with its state kept. The same seed draws the same
faults.
Then the faults stop, and the sweep runs until every job has ended."""

MEANING = """## What is counted

* **Lost**: an accepted job that is not terminal when the campaign gives up. **Submissions that made no job, or two**:
  a user who was never heard, or heard twice.
* **Wrong hash**: a STORED file whose bytes, read back from S3, have another SHA-256 than the vendor serves for this
  job, than another file of the job has not, or than its evidence says. **Lacks a file**: SUCCEEDED with fewer
  different files than the job asked for.
* **Not whole**: a STORED MP4 whose boxes do not come to the end of the file, without a warning of the job that says so
  (a vendor's checksum proves a cut file equal to the vendor's); or a stored HLS playlist that lacks a segment.
* **Calls without progress**: calls of `download` of one job that stored nothing more, by its files. Six attempts end a
  file; the machine repeats a call that was killed.
* **Batches**: a batch that is not SUBMITTED in the end, counts its lines wrongly, or does not tell exactly of the lines
  that can be no job. Its jobs are judged as all others.
* **Endings without a cause**: CANCELLED and nobody cancelled; TIMED_OUT though the work was short; FAILED or PARTIAL
  though the vendor had all that was asked for, unless a reply was lost for good (TRIGGER_UNCERTAIN), or the account was
  refused before anything was asked of the vendor (ACCOUNT_REFUSED).
* **Triggered twice**: by the simulators' own record, the same piece of a job's work (a camera's recording, a URL, a
  video) started more often than the job was entitled to: once, and once more for each retry that found its work spent.
  Repeats that a job allowed (`on_uncertain: "retrigger"`, which a retry of a TRIGGER_UNCERTAIN job implies) and
  repeats of Polyv's task, which cost nothing, are in the column "allowed again" and nowhere else.
* **Uploads left over**: what ListMultipartUploads shows at the end.
* **Two terminal events**: more different endings (`event_id`: job, generation, status) than the job had, which is one,
  and one more for each click of a retry; or two endings of one generation. EventBridge delivers at least once, and a
  crash between sending and writing that down makes the sender repeat itself: the same `event_id` again is not a second
  ending, and is in the column "told again". **Nobody was told**: no event with the ending that the API shows.
* **Straggler**: seconds from the last fault until the last job of the seed had ended and all its duties were done.
  An account whose vendor said "throttled" rests, in real seconds: Polyv's for the five minutes that Polyv would block
  it, which is most of what is seen here.

The stack waits in real seconds before it takes anything for lost: up to ten minutes until a sweep's candidate comes
up, two minutes until somebody else may take over. The campaign moves these dates of a row back once no call can be
alive any more, and makes open uploads look two hours older when the faults have stopped; it touches nothing else of a
row."""


#: What another command writes into the page, and a campaign leaves as it is.
KEPT = re.compile(r"<!-- (\w+) -->.*?<!-- /\1 -->\n", re.DOTALL)


def write(campaign: Campaign, command: str, page: Path = PAGE) -> None:
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    kept = "".join(f"\n{found[0]}" for found in KEPT.finditer(before))
    page.write_text(text(campaign, command) + kept, encoding="utf-8")


def text(campaign: Campaign, command: str) -> str:
    tallies = [campaign.tallies[seed] for seed in sorted(campaign.tallies)]
    kept = "Every promise was kept." if campaign.kept else "**Promises were broken**; see the last section."
    sections = [
        INTRODUCTION,
        f"```\n{command}\n```\n\n{_size(campaign, tallies)} {_machine()}. {kept}",
        "## Promises\n\n" + _promises(tallies),
        "## Seed by seed\n\n" + _seeds(tallies),
        MEANING,
        "## Endings\n\n" + _endings(tallies),
        "## Faults\n\n" + _faults(campaign),
        "## Where functions were killed\n\nCalls that change something, and how often the function died at them.\n\n"
        + _crashes(campaign),
    ]
    broken = [
        f"* seed {tally.seed}, {promise}: {what}"
        for tally in tallies
        for promise, breaches in tally.broken.items()
        for what in breaches
    ]
    if broken:
        sections.append("## Broken promises\n\n" + "\n".join(broken))
    return "\n\n".join(sections) + "\n"


def _size(campaign: Campaign, tallies: Sequence[Tally]) -> str:
    jobs, faults = sum(tally.jobs for tally in tallies), sum(_totals(campaign).values())
    again = f" ({campaign.repeated} rounds begun anew: the emulator lost its own state)" if campaign.repeated else ""
    size = f"{jobs} jobs over {len(tallies)} seeds and {faults:,} faults in {campaign.seconds / 60:.0f} minutes"
    return f"{size}{again} on"


def _machine() -> str:
    return f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python {platform.python_version()}"


def _promises(tallies: Sequence[Tally]) -> str:
    figures = [
        ("jobs submitted", sum(t.jobs for t in tallies), "at least 500"),
        ("jobs terminal", sum(sum(t.statuses[s] for s in ENDINGS) for t in tallies), "all"),
        *((promise, sum(len(t.broken[promise]) for t in tallies), "0") for promise in PROMISES),
        ("files stored and read back", f"{sum(t.stored for t in tallies)}", ""),
        ("bytes stored and read back", f"{sum(t.bytes for t in tallies):,}", ""),
        (
            "most calls of download without progress, by a job's files",
            f"{max((t.idle for t in tallies), default=0)}",
            "",
        ),
        ("seconds until the last straggler was settled", f"{max((t.straggler for t in tallies), default=0):.0f}", ""),
    ]
    return _table(("", "figure", "promised"), figures)


def _seeds(tallies: Sequence[Tally]) -> str:
    head = (
        "seed",
        "jobs",
        *(status.lower().replace("_", " ") for status in ENDINGS),
        "files stored",
        "vendor tasks",
        "allowed again",
        "told again",
        "faults",
        "broken",
        "straggler (s)",
    )
    table = _table(
        head,
        [
            (
                t.seed,
                t.jobs,
                *(t.statuses[status] for status in ENDINGS),
                t.stored,
                t.tasks,
                t.asked_again,
                t.deliveries,
                t.faults,
                sum(map(len, t.broken.values())),
                f"{t.straggler:.0f}",
            )
            for t in tallies
        ],
    )
    return f"{table}\n\nFaults that cannot be told of one job (an account's secret, a vendor's answers) are in no row."


def _endings(tallies: Sequence[Tally]) -> str:
    endings = sum((tally.endings for tally in tallies), Counter())
    rows = [(*ending, times) for ending, times in sorted(endings.items())]
    return _table(("vendor", "status", "error", "jobs"), rows)


def _totals(campaign: Campaign) -> Counter[tuple[str, str]]:
    return sum((ledger.faults for ledger in campaign.ledgers), Counter())


def _faults(campaign: Campaign) -> str:
    return _table(("where", "what", "times"), [(*kind, times) for kind, times in sorted(_totals(campaign).items())])


def _crashes(campaign: Campaign) -> str:
    crashes = sum((ledger.crashes for ledger in campaign.ledgers), Counter())
    places = sorted({(function, effect) for function, effect, _ in crashes})
    return _table(
        ("function", "call", "right before", "right after"),
        [
            (function, effect, crashes[function, effect, "before"], crashes[function, effect, "after"])
            for function, effect in places
        ],
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Words to the left, numbers to the right."""
    body = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numeric = [all(row[n][:1].isdigit() for row in body) for n in range(len(head))]
    lines = [list(head), ["---:" if number else "---" for number in numeric], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
