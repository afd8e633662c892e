"""Copying one file from a vendor into S3: in parallel, resumable over any number of calls, proven whole.

It knows HTTP (through `clipferry.http`), S3 (through a client it is given) and nothing of jobs, tables or vendors.
"""

from __future__ import annotations

from clipferry.transfer.contract import (
    Code,
    Destination,
    Failed,
    Level,
    More,
    Options,
    Retry,
    Stored,
    Superseded,
)

__all__ = ["Code", "Destination", "Failed", "Level", "More", "Options", "Retry", "Stored", "Superseded"]
