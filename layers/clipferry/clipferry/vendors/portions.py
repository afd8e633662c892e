"""Chooses the items for one call or one look, out of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")

_GOLDEN = 0.6180339887498949  # the fractional parts of its multiples are spread evenly over 0 … 1


def batches(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    """The items in their order, in lists of at most `size`."""
    return (things[at : at + size] for at in range(0, len(things), size))


def in_turn(things: Sequence[Thing], looks: int) -> list[Thing]:
    """The items in their order, but each look starts at another one, so that looks which end early reach all items.

    `looks`: how many looks there were before.
    """
    start = int(looks * _GOLDEN % 1 * len(things))
    return [*things[start:], *things[:start]]
