"""`make chaos`: runs the whole campaign and writes its report. The exit status is 1 when a promise is broken."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from local.chaos import report
from local.chaos.campaign import Form, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=25, help="of each seed")
    parser.add_argument("--at-once", type=int, default=2, help="rounds of five seeds")
    parser.add_argument("--no-report", action="store_true", help="print the report instead of writing it")
    options = parser.parse_args()
    for end in (signal.SIGTERM, signal.SIGINT):  # at once; each emulator's keeper cleans up
        signal.signal(end, lambda number, _: os._exit(128 + number))
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    form = Form(seeds=seeds, jobs=options.jobs, rounds_at_once=options.at_once)
    began = time.monotonic()
    campaign = run(form, lambda what: print(f"{time.monotonic() - began:6.0f} s  {what}", flush=True))
    command = f"python -m local.chaos --seeds {options.seeds} --first-seed {options.first_seed} --jobs {options.jobs}"
    if options.no_report:
        print(report.text(campaign, command))
    else:
        report.write(campaign, command)
        print(f"written: {report.PAGE}")
    for tally in campaign.tallies.values():
        for promise, breaches in tally.broken.items():
            for breach in breaches:
                print(f"BROKEN, seed {tally.seed}: {promise}: {breach}", file=sys.stderr)
    return 0 if campaign.kept else 1


if __name__ == "__main__":
    sys.exit(main())
