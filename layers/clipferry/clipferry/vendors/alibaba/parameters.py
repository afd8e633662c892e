"""How Alibaba's operations take parameters that are lists or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote


def joined(names: Sequence[str]) -> str:
    """Several names in one parameter: each percent-encoded, then joined with commas."""
    return ",".join(quote(name, safe="") for name in names)


def compact(value: Any) -> str:
    """JSON as a parameter carries it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
