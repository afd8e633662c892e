"""Two thousand jobs at once, a hundred that Lambda throttles, and a batch that is stopped in the middle: is all there?

    python -m tests.benchmarks.scale          writes its section of docs/performance.md

Ends with status 1 when a job or a line is lost or doubled, or a function holds more than its memory.
"""

from __future__ import annotations

import sys
from functools import partial

from tests.benchmarks.bulk import Submitted, submit
from tests.benchmarks.cost import WARM, per_job
from tests.benchmarks.fleet import AT_ONCE, Run, fleet
from tests.benchmarks.report import publish, table

MANY = 2000
WORK = 120.0  # seconds a vendor takes for a video: longer than it takes to ask for them all
THROTTLED, PLACES = 100, 2  # jobs, and how many calls of functions may run at once for them
say = partial(print, file=sys.stderr, flush=True)


def many() -> Run:
    with fleet(say) as running:
        running.run(WARM, "warm", WORK)
        return running.run(MANY, "many", WORK)


def throttled() -> Run:
    """Jobs in an account that lets hardly any call of a function run: the others get TooManyRequestsException."""
    with fleet(say, LAMBDA_ACCOUNT_CONCURRENCY=str(PLACES)) as running:
        return running.run(THROTTLED, "throttled", WORK)


def batch() -> Submitted:
    with fleet(say) as running:
        return submit(running)


def misses(jobs: list[Run], lines: Submitted) -> list[str]:
    """What was promised and is not so."""
    found = []
    for run in jobs:
        if run.lost or run.unequal or run.statuses != {"SUCCEEDED": run.size}:
            found.append(f"{run.size} jobs: {dict(run.statuses)}, {run.lost} lost, {run.unequal} files not equal")
        found += [f"{function} held {held:.0f} MB of {setting}" for function, (held, setting) in run.memory.items()
                  if held > setting * 1024**2 / 1e6]  # fmt: skip
    if lines.status != "SUBMITTED" or lines.skipped or lines.doubled or lines.executions != lines.lines:
        found.append(f"the batch: {lines}")
    return found


def page(many: Run, few: Run, lines: Submitted) -> str:
    missed = misses([many, few], lines)
    rows = [
        [f"{run.size}", ", ".join(f"{count} {status}" for status, count in run.statuses.items()), run.lost, run.unequal,
         run.most_at_once, f"{run.usage.asked('lambda', 'errors'):.0f}",
         f"{run.usage.asked('lambda', 'throttles'):.0f}", f"{run.seconds / 60:.0f} min"]
        for run in (many, few)
    ]  # fmt: skip
    memory = [[function, f"{held:.0f}", setting, f"{held * 1e6 / setting / 1024**2:.0%}"]
              for function, (held, setting) in many.memory.items() if held]  # fmt: skip
    used = ", ".join(f"{count:.2f} {name}" for name, count in per_job(many).items())
    stops = " and ".join(str(stop) for stop in lines.stopped_at)
    return "\n\n".join([
        "## Scale",
        "Jobs of all four vendors in turn run on the deployed stack in real time; a vendor needs "
        f"{WORK:.0f} s for each (`python -m tests.benchmarks.scale`). In the first run, {many.size} jobs share "
        f"{AT_ONCE} concurrent calls of functions, with a queue, because this machine has two cores. In the second "
        f"run, {few.size} jobs share {PLACES} concurrent calls, without a queue. A call that cannot run, or not within "
        "140 s in the queue, is throttled as by Lambda, and the machine repeats it. Every file must be in S3 with the "
        "SHA-256 that the vendor served.",
        table(("jobs", "ended", "lost", "files not equal", "at once", "errors", "throttled calls", "all done after"),
              rows),
        f"Each of the {many.size} jobs used, with the looks during {WORK:.0f} s and the waits for its account's budget:"
        f" {used}.",
        f"Memory with {many.size} jobs: the highest value of any process of a function (VmHWM, because the emulator's "
        "REPORT lines show the largest ended process of all functions).",
        table(("function", "MB", "setting", "used"), memory),
        f"The execution of a batch of {lines.lines} lines is stopped after {stops} lines. The sweep continues it, and "
        "the second time `POST /batches/{id}/resume` is sent too. Result: "
        f"**{lines.status}** after {lines.seconds / 60:.0f} "
        f"min in generation {lines.generation}, {lines.jobs} jobs, **{lines.skipped}** lines skipped, "
        f"**{lines.doubled}** submitted twice, {lines.executions} executions of jobs. A line costs "
        f"{lines.write_units:.1f} write units, {lines.read_units:.2f} read units and {lines.invocations:.2f} "
        "invocations. (For this run, the jobs' machine is replaced by one that ends at once.)",
        *(["**Missed**: " + "; ".join(missed)] if missed else []),
    ])  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    found, few, lines = many(), throttled(), batch()
    text = page(found, few, lines)
    print(text)
    publish("scale", text)
    return int(bool(misses([found, few], lines)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
