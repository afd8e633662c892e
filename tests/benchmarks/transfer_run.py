"""One copy by Clipferry's transfer in a process of its own: `… -m tests.benchmarks.transfer_run SOURCE SINK [FILE]`.

With FILE, the checkpoint is kept there after every save and taken up from there at the start.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from botocore.session import get_session
from clipferry.outbound.client import Outbound
from clipferry.transfer import Destination, More, Stored, client_config, copy
from clipferry.vendors.contract import Remote


def main(source: str, sink: str, kept: str = "") -> int:
    checkpoint: dict[str, Any] = {}
    if kept and Path(kept).exists():
        checkpoint = json.loads(Path(kept).read_text())

    def save(point: dict[str, Any], copied: int) -> None:
        nonlocal checkpoint
        checkpoint = point
        if kept:
            Path(kept).write_text(json.dumps(point))

    s3 = get_session().create_client("s3", endpoint_url=sink, config=client_config())
    while True:
        result = copy(
            locate=lambda: Remote(source), destination=Destination("bench", f"ours/{'resumed' if kept else 'file'}"),
            outbound=Outbound(allow_private=True), hosts=[], s3=s3, checkpoint=checkpoint, save=save,
            time_left=lambda: 3600.0,
        )  # fmt: skip
        if not isinstance(result, More):
            break
    print(result)
    return 0 if isinstance(result, Stored) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
