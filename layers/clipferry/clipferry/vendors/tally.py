"""From what a look saw of each file to what it says of the task as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from clipferry.vendors.contract import Look, LookStatus, Sighting, VendorThrottled


def tally(files: Sequence[Sighting], *, done: int = 0, unseen: int = 0, limit: VendorThrottled | None = None) -> Look:
    """READY when nothing is open; UNKNOWN when nothing but files of unknown status is open.

    `done` files were settled or ready before this look, `unseen` ones are open and were not asked about, `limit` is
    what ended the look early. Progress is the percentage of files that are done.
    """
    open_ = [f.status for f in files if f.status not in (LookStatus.READY, LookStatus.FAILED)]
    if not open_ and not unseen:
        status = LookStatus.READY
    elif unseen or set(open_) != {LookStatus.UNKNOWN}:
        status = LookStatus.RUNNING
    else:
        status = LookStatus.UNKNOWN
    total = len(files) + done + unseen
    return Look(
        status=status,
        raw_status=",".join(sorted({f.raw_status for f in files if f.raw_status})),
        progress=100 * (total - len(open_) - unseen) // total if total else None,
        files=files,
        retry_after=limit.retry_after if limit else None,
        cut_short=limit,
    )
