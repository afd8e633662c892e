"""Copies one file from a vendor into S3: in parallel, in any number of calls, with proof that the copy is complete.

It uses HTTP (`outbound.client`) and S3 (with the caller's client), and does not depend on jobs or tables. `copy` starts
or continues a copy, `abandon` ends the uploads of a checkpoint, `declared_size` and `part_size` read a checkpoint, and
`client_config` is the configuration for the S3 client.
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
