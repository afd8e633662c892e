"""Runs the benchmarks, or those named: `python -m tests.benchmarks [cadence …]`. Status 1 when one misses a bound.

A section of the page has a module of its own name with a `main() -> int`; one without a module yet is left out.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

from tests.benchmarks.report import ORDER


def main(names: list[str]) -> int:
    chosen = names or [name for name in ORDER if find_spec(f"tests.benchmarks.{name}")]
    return max(import_module(f"tests.benchmarks.{name}").main() for name in chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
