"""Writes docs/reliability.md: the faults of a campaign, and the results. The page is never edited by hand."""

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

This page shows what happens to jobs when everything around them fails. The command below writes the page; never edit
it by hand. The command's exit status is 1 when a promise is broken.

The deployed stack, with IAM enforced, and a simulator of each vendor run on one machine. An hour of the vendors, and
of the state machine's waits, takes 36 s. Every call of a function goes through a relay. The relay answers instead of
AWS or the vendor, loses the call or its reply, or kills the function (`kill -9`) before or after the call has had its
effect. The vendors' simulators also give wrong answers. Users repeat a submission until it is accepted, some of them
submit twice at the same time, and they cancel and retry with two clicks. Firings of rules and schedules and "execution
ended" events are delivered again and late. Executions of jobs and of batches are stopped, and started a second time.
Steps are invoked twice at the same time as the machine's own call. Keys of accounts are rotated before the stack has
the new key. Some vendors' files are cut. Some lines of the batches are invalid. The emulator is restarted with its
state kept. The same seed gives the same faults. Then the faults stop, and the sweep runs until every job has ended."""

MEANING = """## What is counted

* **Lost**: an accepted job that has not ended when the campaign gives up. **Submissions that made no job, or two**: a
  user whose submission was never accepted, or made two jobs.
* **Wrong hash**: a STORED file whose bytes, read back from S3, have a SHA-256 that the vendor does not serve for this
  job, that another file of the job has too, or that differs from the file's evidence. **Lacks a file**: a SUCCEEDED
  job with fewer different files than it asked for.
* **Not whole**: a STORED MP4 whose boxes do not reach exactly the end of the file, unless a warning of the job says so
  (a vendor's checksum proves that a cut file equals the vendor's); or a stored HLS playlist that lacks a segment.
* **Calls without progress**: calls of `download` of one job that stored nothing more, divided by the number of its
  files. Six attempts fail a file; the machine repeats a call that was killed.
* **Batches**: a batch that is not SUBMITTED in the end, counts its lines wrongly, or does not report exactly the
  invalid lines. Its jobs are checked like all other jobs.
* **Ends without a cause**: a job that is CANCELLED although nobody cancelled it; TIMED_OUT although the work was
  short; FAILED or PARTIAL although the vendor had everything that it asked for, unless the reply to a trigger was lost
  (TRIGGER_UNCERTAIN), or the account was refused before the vendor had any work of the job (ACCOUNT_REFUSED).
* **Triggered twice**: according to the simulators' own records, the same piece of a job's work (a camera's recording,
  a URL, a video) was started more often than allowed: once, and once more for each retry that needed new work. Repeats
  that a job allowed (`on_uncertain: "retrigger"`, which a retry of a TRIGGER_UNCERTAIN job implies) and repeats of
  Polyv's task, which cost nothing, are counted only in the column "allowed repeats".
* **Uploads left over**: what ListMultipartUploads shows at the end.
* **Two terminal events**: more different ends (`event_id`: job, generation, status) than the job had, which is one,
  and one more for each click of a retry; or two ends of one generation. EventBridge delivers at least once, and after
  a crash between sending an event and recording that it was sent, the event is sent again. The same `event_id` again
  is not a second end; it is counted in the column "repeated events". **End without an event**: there is no event with
  the end that the API shows.
* **Last job settled**: seconds from the last fault until the last job of the seed had ended and all its duties were
  done. An account whose vendor throttled it makes no calls for some time, in real seconds: for Polyv five minutes,
  because Polyv blocks an address for so long. Most of the long times below have this cause.

The stack waits in real seconds before it decides that something is lost: up to ten minutes until the sweep looks at a
row, two minutes until another call may take over the duties of an end. The campaign moves these dates of a row back
when no call can still run, and makes open uploads look two hours older when the faults have stopped. It changes
nothing else in a row."""


#: The sections that other commands write into the page; a campaign keeps them.
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
        "## Where functions were killed\n\n"
        "Calls that change something, and how often the function was killed at them.\n\n" + _crashes(campaign),
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
    again = f" ({campaign.repeated} rounds repeated: the emulator lost its state)" if campaign.repeated else ""
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
            "most calls of download without progress for each file of a job",
            f"{max((t.idle for t in tallies), default=0)}",
            "",
        ),
        ("most seconds until the last job was settled", f"{max((t.straggler for t in tallies), default=0):.0f}", ""),
    ]
    return _table(("", "figure", "promised"), figures)


def _seeds(tallies: Sequence[Tally]) -> str:
    head = (
        "seed",
        "jobs",
        *(status.lower().replace("_", " ") for status in ENDINGS),
        "files stored",
        "vendor tasks",
        "allowed repeats",
        "repeated events",
        "faults",
        "broken",
        "last job settled (s)",
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
    return f"{table}\n\nFaults that do not belong to one job (an account's secret, a vendor's answers) are in no row."


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
    """A Markdown table: text to the left, numbers to the right."""
    body = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numeric = [all(row[n][:1].isdigit() for row in body) for n in range(len(head))]
    lines = [list(head), ["---:" if number else "---" for number in numeric], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
