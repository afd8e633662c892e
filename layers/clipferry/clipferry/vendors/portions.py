"""Which of many things one call, or one look, asks about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")

_GOLDEN = 0.6180339887498949  # multiples of it, without their whole part, spread evenly over 0 … 1


def batches(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    """The things in their order, at most `size` at a time."""
    return (things[at : at + size] for at in range(0, len(things), size))


def in_turn(things: Sequence[Thing], looks: int) -> list[Thing]:
    """The things in their order, from another one on in each look, so that a look that ends early does not always end
    before the same ones. `looks`: how many there were before."""
    start = int(looks * _GOLDEN % 1 * len(things))
    return [*things[start:], *things[:start]]
