"""How many looks a job needs, and how late they notice: the real cadence in simulated time against three others.

    python -m tests.benchmarks.cadence        writes its section of docs/performance.md, and docs/cadence.svg

Every duration is drawn from a seeded law. Ours learns from fifty jobs, seeing only what polls see (unfinished at one
look, finished at the next), and is then measured on others. The optimum is what a dynamic programme over the true law
finds, which nobody outside a simulation knows. Ends with status 1 when a number misses its bound.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from statistics import fmean

from clipferry.pacing.poll_plan import CAP, LAG_PER_LOOK, Durations, View, next_wait

from tests.benchmarks.plot import Curve, Panel, svg
from tests.benchmarks.report import PAGE, publish, table

Part = tuple[float, float, float]  # weight, median seconds, sigma of ln

LEARNED = 50  # jobs
MEASURED = 200  # jobs after that, in each repeat
REPEATS = 32
THRIFT = tuple(LAG_PER_LOOK * 2.0**step for step in (-2, -1, 0, 1, 2))
PRICES = tuple(LAG_PER_LOOK * 2.0 ** (step / 2) for step in range(-9, 12))

WORST_RATIO = 1.15  # of the optimum's calls at the same mean lag
WORST_SHARE = 0.5  # of exponential back-off's lag at the same calls


@dataclass(frozen=True)
class Outcome:
    """What a way of looking costs per job: calls, and the mean and 95th percentile of the lag in seconds."""

    calls: float
    lag: float
    p95: float = math.nan

    @classmethod
    def of(cls, results: Sequence[tuple[int, float]]) -> Outcome:
        lags = sorted(lag for _, lag in results)
        return cls(fmean(calls for calls, _ in results), fmean(lags), lags[int(0.95 * len(lags))])


@dataclass(frozen=True)
class Workload:
    """A law of durations: a mixture of log-normals, whose medians may grow as job follows job."""

    name: str
    parts: tuple[Part, ...]
    growth: float = 1.0  # of the medians, from the first measured job to the last
    progress: bool = False  # the vendor reports percent, as LinkVisual does while it makes the file

    def factor(self, number: int) -> float:
        return self.growth ** (max(0, number - LEARNED) / MEASURED)

    def draw(self, rng: random.Random) -> float:
        """A duration before any growth."""
        weights = [weight for weight, _, _ in self.parts]
        _, median, sigma = rng.choices(self.parts, weights)[0]
        return median * math.exp(sigma * rng.gauss(0, 1))

    def cdf(self, seconds: float) -> float:
        return cdf(self.parts, seconds)

    @property
    def scale(self) -> float:
        return math.exp(sum(w * math.log(m) for w, m, _ in self.parts))


CLIP = Workload("clip, 45 s σ 0.4", ((1.0, 45, 0.4),))
TRANSCODE = Workload("transcode, 300 s σ 0.6", ((1.0, 300, 0.6),))
ARCHIVE = Workload("archive, 1 h σ 0.7", ((1.0, 3600, 0.7),))
BIMODAL = Workload("bimodal, 60 % 40 s, 40 % 480 s", ((0.6, 40, 0.25), (0.4, 480, 0.3)))
SLOWING = Workload("drifting, 300 s → 900 s σ 0.5", ((1.0, 300, 0.5),), growth=3.0)
HASTENING = Workload("drifting, 900 s → 300 s σ 0.5", ((1.0, 900, 0.5),), growth=1 / 3)
REPORTED = Workload("clip with progress reports", CLIP.parts, progress=True)
WORKLOADS = (CLIP, TRANSCODE, ARCHIVE, BIMODAL, SLOWING, HASTENING, REPORTED)
DRAWN = (CLIP, TRANSCODE, ARCHIVE, BIMODAL, SLOWING, REPORTED)


def cdf(parts: Sequence[Part], seconds: float) -> float:
    return sum(w * 0.5 * math.erfc(-math.log(seconds / m) / s / math.sqrt(2)) for w, m, s in parts)


def even(parts: Sequence[Part], size: int, rng: random.Random) -> list[float]:
    """`size` durations, one from each equal share of the law, shuffled: luck of the draw is not what is measured."""
    shares = rng.sample([(i + rng.random()) / size for i in range(size)], size)
    return [_root(lambda t, p=p: cdf(parts, t) - p, 0.01, 1e7) for p in shares]


class Reports:
    """The percent a vendor shows for one job: nothing until the file is being made, then an uneven climb."""

    def __init__(self, rng: random.Random, duration: float) -> None:
        self.begin, self.duration, self.bend = rng.uniform(0.2, 0.5) * duration, duration, math.exp(rng.gauss(0, 0.15))

    def at(self, elapsed: float) -> int | None:
        if elapsed <= self.begin:
            return None
        return int(100 * ((elapsed - self.begin) / (self.duration - self.begin)) ** self.bend)


def looks(duration: float, rng: random.Random, view: View, reports: Reports | None) -> list[float]:
    """The moments of one job's looks; the last is the first that finds it finished."""
    moments = [0.0]
    while moments[-1] < duration:
        moments.append(moments[-1] + next_wait(view, rng))
        seen = reports.at(moments[-1]) if reports and moments[-1] < duration else None
        earlier = (view.elapsed, view.progress) if view.progress is not None else None
        view = replace(view, elapsed=moments[-1], looks=view.looks + 1, progress=seen, last_progress=earlier)
    return moments


def ours(workload: Workload, thrift: float = LAG_PER_LOOK, repeats: int = REPEATS) -> tuple[Outcome, Outcome]:
    """What the cadence costs: (while it learns, after that). Only under drift does it go on learning."""
    learning, measured = [], []
    for repeat in range(repeats):
        rng, learned = random.Random(f"{workload.parts}:{repeat}"), Durations()
        drawn = [workload.draw(rng) for _ in range(LEARNED)] + even(workload.parts, MEASURED, rng)
        for number, duration in enumerate(duration * workload.factor(n) for n, duration in enumerate(drawn)):
            reports = Reports(rng, duration) if workload.progress else None
            moments = looks(duration, rng, View(0.0, learned=learned, lag_per_look=thrift), reports)
            (learning if number < LEARNED else measured).append((len(moments) - 1, moments[-1] - duration))
            if number < LEARNED or workload.growth != 1.0:
                learned = learned.add(moments[-1], after=moments[-2])
    return Outcome.of(learning), Outcome.of(measured)


@cache
def sample(workload: Workload) -> list[float]:
    rng = random.Random(f"{workload.parts}:sample")
    return [workload.draw(rng) * workload.factor(LEARNED + i % MEASURED) for i in range(20_000)]


def fixed(durations: Sequence[float], interval: float) -> Outcome:
    counts = [math.ceil(duration / interval) for duration in durations]
    return Outcome.of([(n, n * interval - duration) for n, duration in zip(counts, durations, strict=True)])


def exponential(durations: Sequence[float], base: float) -> Outcome:
    """Waits of base, 2 base, 4 base …: the n-th look is at base * (2**n - 1)."""
    counts = [max(1, math.ceil(math.log2(duration / base + 1))) for duration in durations]
    return Outcome.of([(n, base * (2**n - 1) - duration) for n, duration in zip(counts, durations, strict=True)])


def fixed_at(durations: Sequence[float], lag: float) -> Outcome:
    """Fixed polling at the interval that has this mean lag."""
    return fixed(durations, _root(lambda interval: fixed(durations, interval).lag - lag, lag, 4 * lag))


def exponential_at(durations: Sequence[float], calls: float) -> Outcome:
    """Exponential back-off from the base that makes this many calls."""
    return exponential(durations, _root(lambda base: calls - exponential(durations, base).calls, 0.01, 1e5))


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high


@cache
def optimum(workload: Workload, price: float, points: int = 700) -> Outcome:
    """The programme over the true law on a fine grid; `price` is the seconds of lag that a look is worth."""
    low, high = (_root(lambda t, p=p: workload.cdf(t) - p, 0.01, 1e7) for p in (1e-4, 1 - 1e-5))
    times = [0.0, *(low * (high / low) ** (i / (points - 1)) for i in range(points))]
    done = [0.0, *(workload.cdf(t) for t in times[1:-1]), 1.0]
    spent = [0.0]
    for i, j in pairwise(range(points + 1)):
        spent.append(spent[i] + (done[j] - done[i]) * (times[i] + times[j]) / 2)
    calls, lag = [0.0] * (points + 1), [0.0] * (points + 1)
    furthest = points
    for i in range(points - 1, -1, -1):
        options = [
            (calls[j] + (lag[j] + times[j] * (done[j] - done[i]) - spent[j] + spent[i]) / price, j)
            for j in range(i + 1, furthest + 1)
        ]
        _, furthest = min(options)
        calls[i] = 1 - done[i] + calls[furthest]
        lag[i] = lag[furthest] + times[furthest] * (done[furthest] - done[i]) - spent[furthest] + spent[i]
    return Outcome(calls[0], lag[0])


@cache
def optimal_curve(workload: Workload) -> list[Outcome]:
    """The optimum at many prices, by rising lag. Under drift it knows each job's own law, at one price for all."""
    steady = replace(workload, growth=1.0)
    factors = [workload.factor(LEARNED + i) for i in range(10, MEASURED, 20)] if workload.growth != 1.0 else [1.0]
    curve = []
    for price in PRICES:
        each = [(optimum(steady, price * math.sqrt(workload.scale / CLIP.scale) / f), f) for f in factors]
        curve.append(Outcome(fmean(o.calls for o, _ in each), fmean(o.lag * f for o, f in each)))
    return curve


def calls_at(curve: Sequence[Outcome], lag: float) -> float:
    """The calls of a curve (by rising lag) at this mean lag; mixing two neighbours makes every point between them."""
    for a, b in pairwise(curve):
        if a.lag <= lag <= b.lag:
            return a.calls + (b.calls - a.calls) * (lag - a.lag) / (b.lag - a.lag)
    raise ValueError(f"a mean lag of {lag:.1f} s is off the curve")


@dataclass(frozen=True)
class Row:
    """One workload's verdict, at the thrift that ships."""

    workload: Workload
    learning: Outcome
    measured: Outcome
    best_calls: float
    fixed_calls: float
    exponential_lag: float

    @classmethod
    def measure(cls, workload: Workload, repeats: int = REPEATS) -> Row:
        learning, after = ours(workload, repeats=repeats)
        durations = sample(workload)
        best = calls_at(optimal_curve(workload), after.lag)
        return cls(workload, learning, after, best, fixed_at(durations, after.lag).calls,
                   exponential_at(durations, after.calls).lag)  # fmt: skip

    @property
    def ratio(self) -> float:
        return self.measured.calls / self.best_calls

    def misses(self) -> list[str]:
        """The bounds this row does not keep, in words."""
        bounds = {
            f"{self.ratio:.2f} × the optimum's calls": self.ratio <= (1.0 if self.workload.progress else WORST_RATIO),
            "more calls than fixed polling": self.measured.calls <= self.fixed_calls,
            "more than half of back-off's lag": self.measured.lag <= WORST_SHARE * self.exponential_lag,
            "a p95 lag above the cap": self.measured.p95 <= CAP,
        }
        return [f"{self.workload.name}: {words}" for words, kept in bounds.items() if not kept]

    def cells(self) -> list[str]:
        m = self.measured
        return [
            self.workload.name, f"{m.calls:.2f}", f"{m.lag:.1f} s", f"{m.p95:.0f} s", f"{self.best_calls:.2f}",
            f"**{self.ratio:.2f}**", f"{self.fixed_calls:.2f}", f"{self.exponential_lag:.1f} s",
            f"{self.learning.calls:.2f}, {self.learning.lag:.1f} s",
        ]  # fmt: skip


HEAD = ("durations", "calls", "mean lag", "p95 lag", "optimum: calls at that lag", "ratio", "fixed: calls at that lag",
        "doubling: lag at those calls", "while learning")  # fmt: skip

TEXT = """## Cadence

This section shows how many looks a job needs, and how late they find the end ("lag"), in simulated time with the code
of the poll function (`python -m tests.benchmarks.cadence`). The code does not know the distribution of the durations:
it learns from the looks of {learned} jobs. It is then measured on {measured} other jobs, drawn evenly from the
distribution, and all this is repeated {repeats} times. The optimum knows the true distribution. The two columns after
it compare fixed polling with the same mean lag, and doubling back-off with the same number of calls.

{rows}

If the vendor reports progress, the same clips need fewer looks than the optimum without progress reports. No wait
between two looks is longer than {cap:.0f} s; for the archive, this limit decides the number of looks.

![Calls per job against mean lag, on logarithmic axes](cadence.svg)
"""


def panel(workload: Workload) -> Panel:
    durations, best = sample(workload)[:5000], optimal_curve(workload)
    curve = [ours(workload, thrift, REPEATS // 3)[1] for thrift in THRIFT]
    low, high = min(o.lag for o in curve) * 0.8, max(o.lag for o in curve) * 1.25
    lags = [low * (high / low) ** (i / 12) for i in range(13)]
    steady = [fixed_at(durations, lag) for lag in lags]
    doubling = [exponential_at(durations, o.calls) for o in curve]
    curves = [
        Curve("fixed", [(o.lag, o.calls) for o in steady]),
        Curve("doubling", sorted(((o.lag, o.calls) for o in doubling), key=itemgetter(1))),
        Curve("ours", sorted(((o.lag, o.calls) for o in curve), key=itemgetter(1))),
        Curve("optimum", [(o.lag, o.calls) for o in best if low <= o.lag <= high]),
    ]
    return Panel(workload.name, curves)


def main() -> int:
    rows = [Row.measure(workload) for workload in WORKLOADS]
    text = TEXT.format(learned=LEARNED, measured=MEASURED, repeats=REPEATS, cap=CAP,
                       rows=table(HEAD, (row.cells() for row in rows)))  # fmt: skip
    print(text)
    publish("cadence", text)
    drawing = svg([panel(workload) for workload in DRAWN], x="mean lag, seconds", y="calls per job")
    Path(PAGE.parent / "cadence.svg").write_text(drawing, encoding="utf-8")
    misses = [miss for row in rows for miss in row.misses()]
    print("\n".join(misses) or "every bound kept")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
