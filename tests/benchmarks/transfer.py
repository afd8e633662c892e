"""Transfers against the tools people use today, on loopback: `python -m tests.benchmarks.transfer [--runs N]`.

Long haul: every connection is limited and slow to answer. Fast line: nothing is limited. Then memory by file size, and
what a killed copy reads twice. Writes the transfer section of docs/performance.md; status 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import prices
from tests.benchmarks.report import publish, table
from tests.benchmarks.transfer_contenders import (
    ARIA2C,
    CURL_AWS,
    OURS,
    ROOT,
    SINGLE,
    Contender,
    Measured,
    environment,
    finish,
    measure,
    start,
)

MIB, GIB = 1024**2, 1024**3
RATE, FIRST_BYTE = 4_000_000, 0.15  # bytes a second and seconds: one long-haul connection
PART, CONNECTIONS = 8 * MIB, 16
MEMORY_MOST = 256_000_000

Runs = dict[Contender, list[Measured]]


@contextmanager
def server(role: str, *options: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.transfer_servers", role, *options],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def source(size: int, *, limited: bool) -> object:
    limits = ("--rate", str(RATE), "--first-byte", str(FIRST_BYTE)) if limited else ()
    return server("source", "--size", str(size), *limits)


def stats(url: str) -> str:
    with urllib.request.urlopen(f"{url}/stats") as answer:
        return str(answer.read().decode())


def median(runs: list[Measured]) -> Measured:
    return Measured(
        statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs),
        max(run.peak for run in runs),
    )  # fmt: skip


def long_haul(runs: int, size: int, scratch: Path) -> Runs:
    """Ours and aria2c alone; the three that have one connection side by side, since they wait most of the time."""
    result: Runs = {}
    with source(size, limited=True) as url, server("sink") as sink:
        for contender in (OURS, ARIA2C):
            if contender.installed:
                result[contender] = [measure(contender, f"{url}/video.mp4", sink, scratch) for _ in range(runs)]
        single = [contender for contender in SINGLE if contender.installed]
        for _ in range(runs):
            with ThreadPoolExecutor() as pool:
                found = pool.map(lambda c: measure(c, f"{url}/video.mp4", sink, scratch), single)
                for contender, measured in zip(single, found, strict=True):
                    result.setdefault(contender, []).append(measured)
    return result


def fast_line(runs: int, size: int, scratch: Path) -> Runs:
    result: Runs = {}
    with source(size, limited=False) as url, server("sink") as sink:
        for _ in range(runs):  # in turns, so that a disturbance of the machine meets all of them
            for contender in (OURS, *SINGLE):
                if contender.installed:
                    measured = measure(contender, f"{url}/video.mp4", sink, scratch)
                    result.setdefault(contender, []).append(measured)
    return result


def memory(sizes: list[int], scratch: Path) -> tuple[dict[int, Measured], dict[int, str]]:
    """One copy by size, and the S3 requests it made."""
    peaks, requests = {}, {}
    with server("sink") as sink:
        for size in sizes:
            with source(size, limited=False) as url:
                stats(sink)
                peaks[size] = measure(OURS, f"{url}/video.mp4", sink, scratch)
                requests[size] = stats(sink)
    return peaks, requests


def resume(size: int, scratch: Path) -> dict[int, tuple[int, float]]:
    """Kill a copy at 25, 50 and 75 percent: bytes the source had to send twice, and the second call's seconds."""
    twice = {}
    for percent in (25, 50, 75):
        kept = scratch / f"checkpoint-{percent}"
        with source(size, limited=True) as url, server("sink") as sink:
            command = OURS.command(f"{url}/video.mp4", sink, scratch) + f" {kept}"
            first = start(command)
            while int(stats(url)) < size * percent // 100:
                time.sleep(0.02)
            first.kill()
            first.communicate()
            second = finish(start(command), time.monotonic())
            twice[percent] = (int(stats(url)) - size, second.wall)
    return twice


def rows(runs: Runs, size: int, contenders: tuple[Contender, ...]) -> list[list[str]]:
    ours = median(runs[OURS])
    lines = []
    for contender in contenders:
        if contender not in runs:
            lines.append([contender.name, *["not installed"] * 4])
            continue
        found = median(runs[contender])
        lines.append([
            contender.name, f"{found.wall:.2f}", f"{found.wall / ours.wall:.2f}", f"{found.cpu * 1e9 / size:.2f}",
            f"{found.peak / 1e6:.0f}",
        ])  # fmt: skip
    return lines


def bounds(long: Runs, fast: Runs, peaks: dict[int, Measured], twice: dict[int, tuple[int, float]],
           fast_size: int) -> list[tuple[str, float, float]]:  # fmt: skip
    """What is promised: a name, the value, and the most it may be."""
    ours, ours_fast = median(long[OURS]), median(fast[OURS])
    found = []
    if ARIA2C in long:
        found.append(("long haul: wall time against aria2c -x16", ours.wall / median(long[ARIA2C]).wall, 1.3))
    for contender in SINGLE:
        if contender in long:
            gain = ours.wall / median(long[contender]).wall
            found.append((f"long haul: wall time against {contender.name}", gain, 1 / 9))
    rivals = [median(fast[c]).wall for c in SINGLE if c in fast]
    found.append(("fast line: wall time against the fastest of the three", ours_fast.wall / min(rivals), 1.0))
    if CURL_AWS in fast:
        share = ours_fast.cpu / median(fast[CURL_AWS]).cpu
        found.append((f"fast line: CPU against {CURL_AWS.name}", share, 0.8))
    found += [(f"peak RSS in MB, {size / MIB:.0f} MiB", m.peak / 1e6, MEMORY_MOST / 1e6) for size, m in peaks.items()]
    most = CONNECTIONS * PART / MIB
    found += [(f"MiB read twice, killed at {p} %", count / MIB, most) for p, (count, _) in twice.items()]
    return found


MEMORY_GB, TRANSITIONS_A_CALL = 1769 / 1024, 3  # the function's memory in GB; states one download call passes


def cost_rows() -> list[list[str]]:
    """Per file, at 16 connections of 4 MB/s, from the counts the code makes; calls end after 840 s."""
    lines = []
    for name, size in (("50 MB", 50e6), ("1 GB", 1e9), ("20 GB", 20e9)):
        seconds = size / min(CONNECTIONS * RATE, -(-size // PART) * RATE) + 1.0
        calls = int(seconds // 840) + 1
        parts = int(-(-size // PART))
        requests = parts + 3 + (calls - 1)
        writes = 5 + int(seconds / 4)
        transitions = TRANSITIONS_A_CALL * calls
        gb_seconds = seconds * MEMORY_GB
        dollars = gb_seconds * prices.GB_SECOND + requests * prices.PUT
        dollars += transitions * prices.TRANSITION + writes * prices.WRITE_UNIT
        lines.append([name, str(calls), f"{gb_seconds:.0f}", str(requests), str(writes), str(transitions),
                      f"{dollars:.5f}"])  # fmt: skip
    return lines


HEAD = ("", "wall s", "× ours", "CPU s / GB", "peak RSS MB")


def page(long: Runs, fast: Runs, peaks: dict[int, Measured], requests: dict[int, str],
         twice: dict[int, tuple[int, float]], long_size: int, fast_size: int, runs: int) -> str:  # fmt: skip
    judged = bounds(long, fast, peaks, twice, fast_size)
    memory_rows = [[f"{size / MIB:.0f} MiB", f"{m.wall:.1f}", f"{m.peak / 1e6:.0f}", requests[size]]
                   for size, m in peaks.items()]  # fmt: skip
    return "\n\n".join([
        "## Transfer",
        "Source and sink are separate processes on loopback. The values are medians of "
        f"{runs} runs of whole processes, with all their hashing (`python -m tests.benchmarks.transfer`; aria2c and "
        "rclone from Debian, aws from PyPI). The sink stores nothing. Clipferry also computes SHA-256 and the CRC of "
        "the whole file.",
        f"**Long haul**: {long_size / MIB:.0f} MiB, each connection limited to {RATE / 1e6:.0f} MB/s and "
        f"{FIRST_BYTE * 1000:.0f} ms to the first byte. The three tools with one connection ran at the same time.",
        table(HEAD, rows(long, long_size, (OURS, ARIA2C, *SINGLE))),
        f"**Fast line**: {fast_size / MIB:.0f} MiB, no limit.",
        table(HEAD, rows(fast, fast_size, (OURS, *SINGLE))),
        "**Memory** use does not grow with the file. The table also has the requests that S3 got:",
        table(("file", "wall s", "peak RSS MB", "S3 requests"), memory_rows),
        f"**Resume**: `kill -9` during the long haul, then the same call again. Each connection can lose at most one "
        f"part of {PART / MIB:.0f} MiB.",
        table(("killed at", "MiB read twice", "seconds to finish"),
              [[f"{p} %", f"{count / MIB:.1f}", f"{wall:.1f}"] for p, (count, wall) in twice.items()]),
        "**Limits** of these values:",
        table(("", "measured", "limit", ""),
              [[name, f"{value:.2f}", f"{most:.2f}", "holds" if value <= most else "MISSED"]
               for name, value, most in judged]),
        f"**Cost of one file** at {CONNECTIONS} connections of {RATE / 1e6:.0f} MB/s: Lambda with 1,769 MB, calls of "
        "at most 840 s, us-east-1 list prices, without storage and traffic.",
        table(("file", "calls", "GB-seconds", "S3 requests", "table writes", "state transitions", "USD"), cost_rows()),
    ])  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small files; prints instead of writing the page")
    given = parser.parse_args(arguments or [])
    long_size, fast_size = (32 * MIB, 256 * MIB) if given.quick else (256 * MIB, GIB)
    sizes = [MIB, GIB] if given.quick else [MIB, GIB, 20 * GIB]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        scratch = Path(folder)
        fast = fast_line(given.runs, fast_size, scratch)
        peaks, requests = memory(sizes, scratch)
        twice = resume(long_size, scratch)
        long = long_haul(given.runs, long_size, scratch)
    text = page(long, fast, peaks, requests, twice, long_size, fast_size, given.runs)
    print(text)
    if not given.quick:
        publish("transfer", text)
    return int(any(value > most for _, value, most in bounds(long, fast, peaks, twice, fast_size)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
