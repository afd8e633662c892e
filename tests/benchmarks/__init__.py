"""The figures of docs/performance.md: one module a section, each a command of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "layers" / "clipferry"))
