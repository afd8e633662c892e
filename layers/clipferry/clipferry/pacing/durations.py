"""Estimates from past tasks how long the next one takes. Pure: no clock, no I/O, no storage.

`Durations` is the small record of a vendor and size class: a histogram of logarithms with at most 40 numbers, in which
older tasks lose weight. `law` turns it into a smooth probability distribution. It is useful with no, few or many past
tasks, and when the tasks form clusters (a warm and a cold archive, a short and a long queue).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

STEP = 0.1  # width of a bin in ln(seconds): 10 %
MAX_BINS = 40
KEEP = 0.98  # each new task multiplies the weight of the older ones by this: a memory of about fifty tasks
KEEP_WHEN_CHANGED = 0.5  # the same factor, while new tasks are very unlikely under the law
LONGEST = 90 * 86_400.0  # seconds; a longer duration is counted as this one

_FORGOTTEN = 0.02  # a bin with less weight is removed
_CHANGED = 8.0  # a sum of surprise, in nats, that means a change: its odds are one in three thousand
_EXTREME = 0.2  # the share of the law at each end that counts as surprising
_DOUBT = 0.4  # the weight, in tasks, of the possibility that the next task differs from all before
_BROADER = 0.8  # by how much the sigma of that possibility is larger, in ln
_NARROWEST = 0.05  # the smallest sigma of a cluster, in ln: half a bin
_CLUSTERS = 3  # at most
_ROUNDS = 30  # of expectation-maximisation, at most


class Component(NamedTuple):
    """A log-normal distribution that begins at `shift` seconds, and its share of the law."""

    weight: float
    mu: float  # of ln(seconds - shift)
    sigma: float
    shift: float = 0.0


NOTHING_KNOWN = Component(1.0, math.log(40.0), 2.0)  # from some seconds to an hour


@dataclass(frozen=True)
class Law:
    """How long a task may take: a mixture whose weights sum to 1."""

    parts: tuple[Component, ...]

    def cdf(self, seconds: float) -> float:
        """The probability that a task is finished within `seconds`."""
        return sum(
            weight * _phi((math.log(seconds - shift) - mu) / sigma)
            for weight, mu, sigma, shift in self.parts
            if seconds > shift
        )

    def quantile(self, p: float) -> float:
        """The seconds within which a share `p` (0 < p < 1) of tasks is finished."""
        low, high = -10.0, 50.0  # ln seconds
        for _ in range(36):
            middle = (low + high) / 2
            low, high = (middle, high) if self.cdf(math.exp(middle)) < p else (low, middle)
        return math.exp(high)

    @property
    def scale(self) -> float:
        """The geometric mean in seconds. Unlike the median it does not jump from one cluster to another."""
        return math.exp(sum(weight * math.log(shift + math.exp(mu)) for weight, mu, _, shift in self.parts))


@dataclass(frozen=True)
class Durations:
    """How long past tasks of one class took. Immutable; `as_dict` and `parse` convert it to JSON and back.

    `bins` holds pairs (k, weight) in ascending k: tasks of this weight took about exp(k * STEP) seconds.
    """

    bins: tuple[tuple[int, float], ...] = ()
    count: int = 0  # all tasks that were ever added
    surprise: float = 0.0  # nats, summed over the latest tasks in a row: below 0 if all were early, above 0 if all late

    @property
    def weight(self) -> float:
        """The weight of all bins, in tasks: at most 1 / (1 - KEEP)."""
        return sum(weight for _, weight in self.bins)

    def add(self, seconds: float, *, after: float | None = None) -> Durations:
        """Add a task that finished `seconds` after its trigger.

        With `after`: a look found the task finished at `seconds`, and the look before found it unfinished at `after`
        (0 when the first look found it finished).

        Such a task ended between the two looks, and its weight is spread over that time as the present law has it. If
        the time of the later look were taken, the delay of our looks would be counted as the vendor's duration.
        """
        end = min(max(seconds, 1.0), LONGEST)
        begin = end if after is None else min(max(after, 0.0), end)
        surprise = self._surprise(begin, end)
        changed = abs(surprise) > _CHANGED
        keep = KEEP_WHEN_CHANGED if changed else KEEP
        bins = {k: weight * keep for k, weight in self.bins}
        for k, share in _shares(None if changed else law(self), begin, end):
            bins[k] = bins.get(k, 0.0) + share
        return Durations(_trim(bins), self.count + 1, surprise)

    def as_dict(self) -> dict[str, Any]:
        bins = {str(k): round(weight, 4) for k, weight in self.bins}
        return {"count": self.count, "surprise": round(self.surprise, 2), "bins": bins}

    @classmethod
    def parse(cls, value: Mapping[str, Any] | None) -> Durations:
        """From the form of `as_dict`, with numbers of any numeric type. None gives an empty record."""
        value = value or {}
        bins = {int(k): float(weight) for k, weight in (value.get("bins") or {}).items()}
        return cls(_trim(bins), int(value.get("count") or 0), float(value.get("surprise") or 0.0))

    def _surprise(self, begin: float, end: float) -> float:
        """The surprise with a task that ended between the two. Several early (or late) tasks in a row add up."""
        belief = law(self)
        by_begin, by_end = belief.cdf(begin), belief.cdf(end)
        if by_begin < _EXTREME and by_end < 1 - _EXTREME:
            return min(self.surprise, 0.0) + math.log(max(by_end, 1e-6))
        if by_begin > 1 - _EXTREME:
            return max(self.surprise, 0.0) - math.log(max(1 - by_begin, 1e-6))
        return 0.0


def size_class(vendor: str, size: float = 0.0) -> str:
    """The class of a task: its vendor, and the power of two below `size` (seconds of hint, or bytes)."""
    return f"{vendor}#{int(math.log2(size))}" if size >= 1 else f"{vendor}#any"


@lru_cache(maxsize=64)
def law(learned: Durations, hint: float = 0.0) -> Law:
    """The probability distribution of the next task's duration, in seconds since its trigger.

    It has three parts: the clusters of the past tasks; a broader component around them, for tasks that are longer than
    all before; and a first guess (just after `hint` seconds, if there is a hint), which the first few tasks replace.
    """
    guess = Component(1.0, math.log(max(5.0, 0.25 * hint)), 1.0, hint) if hint > 0 else NOTHING_KNOWN
    known = learned.weight
    if known < 0.5:
        return Law((guess,))
    points = [(k * STEP, weight) for k, weight in learned.bins]
    _, mu, sigma, _ = _cluster(points, known)
    parts = [part._replace(weight=part.weight * known) for part in _clusters(points, known)]
    parts += [Component(_DOUBT, mu, sigma + _BROADER), guess._replace(weight=3.0 * math.exp(-known / 3))]
    total = sum(part.weight for part in parts)
    return Law(tuple(part._replace(weight=part.weight / total) for part in parts if part.weight / total > 1e-6))


Points = Sequence[tuple[float, float]]  # (ln seconds, weight), ascending


def _clusters(points: Points, known: float) -> list[Component]:
    """One to three log-normal components; the Bayesian information criterion decides how many."""
    best, chosen = math.inf, [_cluster(points, known)]
    for count in range(1, min(_CLUSTERS, len(points) // 2 + 1) + 1):
        parts, likelihood = _fit(points, known, _split(points, known, count))
        criterion = (3 * count - 1) * math.log(max(known, 2.0)) - 2 * likelihood
        if criterion < best:
            best, chosen = criterion, parts
    return chosen


def _split(points: Points, known: float, count: int) -> list[Component]:
    """Initial components of the fit. Two: split where the variance between them is largest. More: equal weights."""
    if count == 2:
        total, gain, cut = sum(x * w for x, w in points), -1.0, 1
        below = summed = 0.0
        for i, (x, w) in enumerate(points[:-1], 1):
            below, summed = below + w, summed + x * w
            between = below * (known - below) * (summed / below - (total - summed) / (known - below)) ** 2
            if between > gain:
                gain, cut = between, i
        groups = [points[:cut], points[cut:]]
    else:
        groups, below, start = [], 0.0, 0
        for i, (_, w) in enumerate(points, 1):
            below += w
            if below >= known * (len(groups) + 1) / count - 1e-9 or i == len(points):
                groups.append(points[start:i])
                start = i
    return [_cluster(group, known) for group in groups if group]


def _cluster(points: Points, known: float) -> Component:
    weight = sum(w for _, w in points)
    mu = sum(x * w for x, w in points) / weight
    variance = sum(w * (x - mu) ** 2 for x, w in points) / weight
    return Component(weight / known, mu, math.sqrt(variance + _NARROWEST**2))


def _fit(points: Points, known: float, parts: list[Component]) -> tuple[list[Component], float]:
    """Expectation-maximisation that starts with `parts`; the fitted parts, and their ln-likelihood."""
    likelihood = -math.inf
    for _ in range(_ROUNDS if len(parts) > 1 else 1):
        before, likelihood = likelihood, 0.0
        claims: list[list[tuple[float, float]]] = [[] for _ in parts]
        for x, weight in points:
            shares = [p / sigma * math.exp(-0.5 * ((x - mu) / sigma) ** 2) for p, mu, sigma, _ in parts]
            total = sum(shares) + 1e-12
            likelihood += weight * math.log(total)
            for claim, share in zip(claims, shares, strict=True):
                claim.append((x, weight * share / total))
        if likelihood - before < 1e-3:
            break
        claims = [claim for claim in claims if sum(w for _, w in claim) > 0.5]
        parts = [_cluster(claim, known) for claim in claims] or parts
    return parts, likelihood


def _shares(belief: Law | None, begin: float, end: float) -> list[tuple[int, float]]:
    """The weight of one task spread over the bins between two times: by the law `belief`, or evenly in ln."""
    begin = max(begin, end / 50)
    first, last = _bin(begin), _bin(end)
    if first == last:
        return [(last, 1.0)]
    edges = [begin, *(math.exp((k + 0.5) * STEP) for k in range(first, last)), end]
    marks = [belief.cdf(edge) for edge in edges] if belief else []
    if not marks or marks[-1] - marks[0] < 1e-6:
        marks = [math.log(edge) for edge in edges]
    total = marks[-1] - marks[0]
    return [(first + i, (marks[i + 1] - marks[i]) / total) for i in range(len(edges) - 1)]


def _trim(bins: Mapping[int, float]) -> tuple[tuple[int, float], ...]:
    """At most MAX_BINS bins: removes those with almost no weight, then merges the lightest with their neighbours."""
    kept = {k: weight for k, weight in bins.items() if weight > _FORGOTTEN}
    while len(kept) > MAX_BINS:
        light = min(kept, key=lambda k: kept[k])
        weight = kept.pop(light)
        kept[min(kept, key=lambda k: abs(k - light))] += weight
    return tuple(sorted(kept.items()))


def _bin(seconds: float) -> int:
    return round(math.log(seconds) / STEP)


def _phi(z: float) -> float:
    return 0.5 * math.erfc(-z * math.sqrt(0.5))
