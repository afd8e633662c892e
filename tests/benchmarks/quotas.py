"""How many jobs an AWS account carries: each quota against what one job uses of it. A model, not a measurement.

    python -m tests.benchmarks.quotas --concurrency 1000 --download-seconds 60

What a job uses is counted from the deployed stack (docs/performance.md, "Cost per job"); quotas are the defaults that
AWS publishes for its larger regions, each to be replaced by an account's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

HOUR, DAY = 3600.0, 86_400.0
PEAK_SHARE = 0.1  # of a day's jobs that come in its busiest hour
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)  # jobs a day


@dataclass(frozen=True)
class Job:
    """What one job with one file uses. Times are in seconds."""

    invocations: float = 4.2  # besides downloads: api, trigger, looks, finish
    invocation_seconds: float = 0.5
    download_seconds: float = 60.0
    life_seconds: float = 600.0  # from its start to its end
    transitions: float = 14.6
    write_units: float = 42.2
    read_units: float = 5.5


@dataclass(frozen=True)
class Account:
    """Quotas of an account in one region. Rates are for each second."""

    concurrency: float = 1000.0  # Lambda's concurrent executions; a new account may have 10
    start_rate: float = 300.0  # StartExecution; 150 in smaller regions
    transition_rate: float = 5000.0  # state transitions; 800 in smaller regions
    open_executions: float = 1_000_000.0
    api_rate: float = 500.0  # of the stack's own stage; the account's is 10,000
    write_rate: float = 40_000.0  # write units of one table on demand
    read_rate: float = 40_000.0


@dataclass(frozen=True)
class Day:
    """A day of so many jobs. `waited` is in seconds: how long a job waits at most for what is scarcest."""

    jobs: int
    bound: str
    share: float  # of the scarcest quota, in the busiest hour
    waited: float


def jobs_an_hour(account: Account, job: Job) -> dict[str, float]:
    """How many jobs an hour each quota allows, the scarcest first."""
    busy = job.invocations * job.invocation_seconds + job.download_seconds
    allowed = {
        "Lambda concurrency": account.concurrency / busy,
        "StartExecution": account.start_rate,
        "state transitions": account.transition_rate / job.transitions,
        "open executions": account.open_executions / job.life_seconds,
        "API requests": account.api_rate,
        "table writes": account.write_rate / job.write_units,
        "table reads": account.read_rate / job.read_units,
    }
    return {name: rate * HOUR for name, rate in sorted(allowed.items(), key=lambda item: item[1])}


def day(jobs: int, account: Account, job: Job, step: float = 60.0) -> Day:
    """The day minute by minute: what comes faster than it is served waits, and nothing is lost.

    A tenth of the jobs come in the first hour, the rest evenly after it.
    """
    bound, limit = next(iter(jobs_an_hour(account, job).items()))
    served, backlog, worst, moment = limit / HOUR, 0.0, 0.0, 0.0
    while moment < DAY or backlog > 0:
        rate = _arrivals(jobs, moment)
        backlog = max(0.0, backlog + (rate - served) * step)
        worst, moment = max(worst, backlog / served), moment + step
        if moment > 100 * DAY:
            break
    return Day(jobs, bound, PEAK_SHARE * jobs / limit, worst)


def _arrivals(jobs: int, moment: float) -> float:
    """Jobs a second."""
    if moment < HOUR:
        return PEAK_SHARE * jobs / HOUR
    return (1 - PEAK_SHARE) * jobs / (DAY - HOUR) if moment < DAY else 0.0


def report(account: Account, job: Job, sizes: Sequence[int] = SIZES) -> str:
    """Two tables in Markdown."""
    rows = [f"| {name} | {allowed:,.0f} |" for name, allowed in jobs_an_hour(account, job).items()]
    days = [
        f"| {found.jobs:,} | {found.bound} | {found.share:.1%} | {_span(found.waited)} |"
        for found in (day(size, account, job) for size in sizes)
    ]
    head = ["| quota | jobs an hour |", "|---|--:|"]
    of_days = ["", "| jobs a day | scarcest | used in the busiest hour | longest wait |", "|--:|---|--:|--:|"]
    return "\n".join([*head, *rows, *of_days, *days])


def _span(seconds: float) -> str:
    return "none" if seconds < 1 else f"{seconds / 60:,.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:,.1f} h"


def main() -> int:
    parser = argparse.ArgumentParser(description="How many jobs an AWS account carries.")
    parser.add_argument("--concurrency", type=float, default=Account.concurrency)
    parser.add_argument("--start-rate", type=float, default=Account.start_rate)
    parser.add_argument("--transition-rate", type=float, default=Account.transition_rate)
    parser.add_argument("--download-seconds", type=float, default=Job.download_seconds)
    parser.add_argument("--life-seconds", type=float, default=Job.life_seconds)
    given = parser.parse_args()
    account = Account(given.concurrency, given.start_rate, given.transition_rate)
    job = Job(download_seconds=given.download_seconds, life_seconds=given.life_seconds)
    print(report(account, job))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
