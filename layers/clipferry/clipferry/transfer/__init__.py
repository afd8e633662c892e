"""Copying one file from a vendor into S3: in parallel, resumable over any number of calls, proven whole.

It knows HTTP (through `outbound.client`), S3 (through a client it is given) and nothing of jobs or tables.
`copy` copies or goes on copying, `abandon` ends whatever a checkpoint names, `declared_size` and
`part_size` are what one goes by, `client_config` makes the S3 client fit.
"""

from __future__ import annotations

from clipferry.transfer.checkpoint import declared_size, part_size
from clipferry.transfer.copy import abandon, copy
from clipferry.transfer.interface import (
    Code,
    CopySuperseded,
    CopyWarning,
    Destination,
    Failed,
    Level,
    More,
    Options,
    Retry,
    Stored,
    WarningCode,
)
from clipferry.transfer.upload import client_config

__all__ = [
    "Code",
    "CopySuperseded",
    "CopyWarning",
    "Destination",
    "Failed",
    "Level",
    "More",
    "Options",
    "Retry",
    "Stored",
    "WarningCode",
    "abandon",
    "client_config",
    "copy",
    "declared_size",
    "part_size",
]
