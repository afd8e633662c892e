"""The form of parameters of Alibaba's operations that are lists or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote


def joined(names: Sequence[str]) -> str:
    """Several names in one parameter: each is percent-encoded, and commas separate them."""
    return ",".join(quote(name, safe="") for name in names)


def compact(value: Any) -> str:
    """JSON in the form of a parameter."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
