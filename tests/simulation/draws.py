"""Everything that chance decides, as a function of the seed and of what is decided about.

A decision has a label that says who decides what ("j3 Poll 2/7 UpdateItem: crash before"), and its outcome is a hash of
seed and label. So nothing else changes when one decision is left out, which is how a failing seed is shrunk.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")
#: What brings calls together.
RACES = frozenset(
    {"invoked twice", "answer of the call lost", "cancelled", "cancelled twice", "retried twice", "slow", "very slow"}
)


class Draws:
    """`only`: labels of the decisions that may go against what is usual; None: any."""

    def __init__(self, seed: int, only: frozenset[str] | None = None) -> None:
        self.seed, self.only = seed, only
        self.taken: dict[str, None] = {}  # labels of what happened against what is usual, in order
        self.kinds: Counter[str] = Counter()
        self.calm = False  # nothing goes wrong any more
        self._key = seed.to_bytes(8, "big")
        self._asked: Counter[str] = Counter()
        self.intensity = self.one_of("intensity", (0.2, 1.0, 1.0, 2.5))  # how much goes wrong in this run …
        self.haste = self.one_of("haste", (0.5, 2.0, 6.0, 12.0))  # … and how often calls meet

    def bytes(self, label: str) -> bytes:
        return hashlib.blake2b(label.encode(), key=self._key, digest_size=16).digest()

    def fraction(self, label: str) -> float:
        """0 ≤ x < 1."""
        return (int.from_bytes(self.bytes(label)[:7], "big") >> 3) / (1 << 53)

    def between(self, label: str, low: float, high: float) -> float:
        return low + (high - low) * self.fraction(label)

    def one_of(self, label: str, choices: Sequence[Choice]) -> Choice:
        return choices[int(self.fraction(label) * len(choices))]

    def happens(self, label: str, kind: str, chance: float) -> bool:
        """Whether something unusual of this kind happens here."""
        if self.calm or self.fraction(f"{label}: {kind}") >= chance * self._scale(kind):
            return False
        return self._take(f"{label}: {kind}", kind)

    def of_these(self, label: str, kinds: Sequence[tuple[str, float]]) -> str | None:
        """At most one of several unusual things, each with its chance: one draw for all."""
        if self.calm:
            return None
        drawn = self.fraction(label)
        for kind, chance in kinds:
            chance *= self._scale(kind)
            if drawn < chance:
                return kind if self._take(f"{label}: {kind}", kind) else None
            drawn -= chance
        return None

    def _scale(self, kind: str) -> float:
        return self.haste if kind in RACES else self.intensity

    def _take(self, label: str, kind: str) -> bool:
        if self.only is not None and label not in self.only:
            return False
        self.taken[label] = None
        self.kinds[kind] += 1
        return True

    def stream(self, who: str) -> bytes:
        """The next bytes of somebody's own source of randomness."""
        self._asked[who] += 1
        return self.bytes(f"{who}#{self._asked[who]}")


class StreamRandom(random.Random):
    """`random.Random` over the bytes that `draw` gives."""

    def __init__(self, draw: object) -> None:
        super().__init__(0)
        self._draw = draw

    def random(self) -> float:
        drawn: bytes = self._draw()  # type: ignore[operator]
        return (int.from_bytes(drawn[:7], "big") >> 3) / (1 << 53)

    def getrandbits(self, k: int) -> int:
        return int(self.random() * (1 << k))

    @property
    def Random(self) -> type[random.Random]:
        """As the module's."""
        return random.Random
