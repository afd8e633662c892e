"""What a one-file job uses, from eight jobs at once to two thousand, and what that costs at AWS's list prices.

    python -m tests.benchmarks.cost           writes its section of docs/performance.md

Ends with status 1 when a job costs more or less in one run than in another by over five percent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from statistics import mean

from tests.benchmarks import prices
from tests.benchmarks.counted import READS
from tests.benchmarks.fleet import VENDORS, Run, fleet
from tests.benchmarks.report import publish, table

WARM = 40  # jobs before the first run, so that durations are learned and functions warm
SIZES = (8, 100, 2000)
WORK = 1.0  # seconds a vendor takes: each video is there at the first look, on a busy machine as on an idle one
MOST_APART = 0.05


def runs(sizes: Sequence[int] = SIZES) -> list[Run]:
    """One run a size, on one stack."""
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    with fleet(say) as running:
        say(f"{WARM} jobs to learn from")
        running.run(WARM, "warm", WORK)
        found = []
        for size in sizes:
            say(f"{size} jobs at once")
            found.append(running.run(size, f"jobs-{size}", WORK))
        say("done")
        return found


def per_job(run: Run) -> dict[str, float]:
    """What one job of a run used. Vendors count alike, however many jobs each had."""
    usage, size = run.usage, run.size
    jobs = {vendor: len(range(n, size, len(VENDORS))) for n, vendor in enumerate(VENDORS)}
    reads = usage.asked("dynamodb", *READS)
    return {
        "vendor calls": mean(usage.vendor_calls[vendor] / count for vendor, count in jobs.items() if count),
        "Lambda invocations": usage.asked("lambda", "invocations") / size,
        "state transitions": run.transitions,
        "DynamoDB reads": reads / size,
        "DynamoDB writes": (usage.asked("dynamodb") - reads) / size,
        "read units": usage.asked("capacity", "read") / size,
        "write units": usage.asked("capacity", "write") / size,
    }


def gb_seconds(run: Run, unhurried: Run) -> dict[str, float]:
    """A job's, by function. Calls last as long as in the run that kept this machine least busy."""
    found = {}
    for function, (_, megabytes) in run.memory.items():
        calls = run.usage.requests[function, "lambda", "invocations"]
        known = unhurried.usage.requests[function, "lambda", "invocations"]
        if calls and known and function != "sweep":
            seconds = unhurried.usage.requests[function, "lambda", "milliseconds"] / known / 1000
            found[function] = calls / run.size * seconds * megabytes / 1024
    return found


def dollars(run: Run, unhurried: Run) -> dict[str, float]:
    """Of a thousand jobs, by service."""
    usage, used = run.usage, per_job(run)
    return {
        "Step Functions": 1000 * used["state transitions"] * prices.TRANSITION,
        "Lambda": 1000 * (used["Lambda invocations"] * prices.INVOCATION
                          + sum(gb_seconds(run, unhurried).values()) * prices.GB_SECOND),
        "DynamoDB": 1000 * (used["read units"] * prices.READ_UNIT + used["write units"] * prices.WRITE_UNIT),
        "S3": 1000 / run.size * (usage.asked("s3", "PUT", "POST", "LIST") * prices.PUT
                                 + usage.asked("s3", "GET", "HEAD") * prices.GET),
        "Secrets Manager": 1000 / run.size * usage.asked("secretsmanager") * prices.SECRET_CALL,
        "API Gateway": 1000 * prices.API_CALL,
        "EventBridge": 1000 / run.size * usage.asked("events") * prices.EVENT,
    }  # fmt: skip


def apart(values: Sequence[float]) -> float:
    """By how much the values differ from their middle, as a share of it."""
    low, high = min(values), max(values)
    return (high - low) / (high + low) if high else 0.0


def page(found: Sequence[Run]) -> str:
    used = [per_job(run) for run in found]
    rows = []
    for name in used[0]:
        spread = apart([one[name] for one in used])
        verdict = "holds" if spread <= MOST_APART else "MISSED"
        rows.append([name, *(f"{one[name]:.2f}" for one in used), f"± {spread:.1%}", verdict])
    rows.append(["jobs in flight at once, at most", *(f"{run.most_at_once}" for run in found), "", ""])
    paid = [dollars(run, found[0]) for run in found]
    prices_rows = [[name, *(f"{one[name]:.3f}" for one in paid)] for name in paid[0]]
    prices_rows.append(["**all**", *(f"**{sum(one.values()):.2f}**" for one in paid)])
    largest = found[-1]
    return "\n\n".join([
        "## Cost per job",
        "Jobs with one file, of all four vendors in turn, are submitted at the same time through the API of the "
        f"deployed stack, and run in real time (`python -m tests.benchmarks.cost`). {WARM} jobs ran before, so that "
        "the usual durations are learned. Each vendor has its video ready at the first look. The section on cadence "
        "shows how many looks a job needs; each further look adds a vendor call, an invocation and three transitions, "
        "or only the call, if it is made in the same call of poll. The vendors' simulators count their calls (without "
        "downloads). Requests to Lambda, DynamoDB and the other services are counted where the emulator receives "
        "them, with the capacity units that AWS would bill. Transitions are counted in the executions' histories; "
        "those inside the Map are not in the histories, and are computed from the definition.",
        table(("used by a job", *(f"{run.size} jobs" for run in found), "difference", ""), rows),
        f"The limit is ± {MOST_APART:.0%}. Each process reads an account's secret once in five minutes, so the price "
        "of the secret falls as more jobs run.",
        f"Vendor calls of a job: {_by_vendor(largest)}. Requests of a job by function: {_by_function(largest)}.",
        "USD for 1,000 jobs at us-east-1 list prices of early 2025, without free tiers, storage, traffic and logs. "
        "Durations are those of the smallest run, on this machine.",
        table(("USD for 1,000 jobs", *(f"{run.size} jobs" for run in found)), prices_rows),
    ])  # fmt: skip


def _by_vendor(run: Run) -> str:
    jobs: Mapping[str, int] = {vendor: len(range(n, run.size, len(VENDORS))) for n, vendor in enumerate(VENDORS)}
    return ", ".join(f"{vendor} {run.usage.vendor_calls[vendor] / count:.2f}" for vendor, count in jobs.items())


def _by_function(run: Run) -> str:
    said = []
    for function in run.memory:
        calls = run.usage.requests[function, "lambda", "invocations"] / run.size
        tables = sum(count for (of, service, _), count in run.usage.requests.items()
                     if of == function and service == "dynamodb") / run.size  # fmt: skip
        if calls and function != "sweep":
            said.append(f"{function} {calls:.2f} calls, {tables:.2f} requests to the table")
    return "; ".join(said)


def main(arguments: list[str] | None = None) -> int:
    found = runs()
    text = page(found)
    print(text)
    publish("cost", text)
    used = [per_job(run) for run in found]
    return int(any(apart([one[name] for one in used]) > MOST_APART for name in used[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
