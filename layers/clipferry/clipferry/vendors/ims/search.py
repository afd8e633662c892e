"""Uploads found by their URL: after a trigger whose outcome is not known, and for work that is adopted.

A URL may have been uploaded many times, by anybody, and IMS may write it differently in its answer (`source_urls`). An
upload never counts for two URLs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from clipferry.vendors.contract import VendorThrottled, VendorUnavailable
from clipferry.vendors.ims.operations import QUERY_BATCH, Operations
from clipferry.vendors.ims.replies import Listing, Record
from clipferry.vendors.source_urls import Reading, alike, apart

RECORDS_MAX = 100  # in one GetUrlUploadInfos reply


@dataclass(frozen=True)
class Uploads:
    """What IMS reports about one URL: its uploads, or that there are none."""

    records: Sequence[Record] = ()
    reading: Reading | None = None  # how the records' URLs were recognised
    absent: bool = False

    @property
    def unclear(self) -> bool:
        """Whether IMS neither lists an upload nor reports that there is none."""
        return not (self.records or self.absent)


@dataclass
class Search:
    """`found`: by index, for the URLs asked about so far. `limit`: what ended the search early, if something did."""

    found: dict[int, Uploads] = field(default_factory=dict)
    limit: VendorThrottled | VendorUnavailable | None = None


def search(operations: Operations, urls: Sequence[str], indexes: Sequence[int], taken: Collection[str]) -> Search:
    """Ask about the URLs at `indexes`, as far as the vendor and the time allow.

    `taken`: job ids that stand for others of the URLs. Raises VendorThrottled or VendorUnavailable only when not one
    URL could be asked about.
    """
    asking, limit, seen = _Asking(operations, urls), None, dict[int, Uploads]()
    for group in apart(urls, indexes, QUERY_BATCH):
        try:
            seen |= asking.about(group)
        except (VendorThrottled, VendorUnavailable) as error:
            limit = error
            break
    whole = _without_open_twins(urls, indexes, seen)
    if limit and not whole:
        raise limit
    owned = _one_owner_each(seen, taken)
    return Search({index: uploads for index, uploads in owned.items() if index in whole}, limit)


@dataclass
class _Asking:
    operations: Operations
    urls: Sequence[str]
    alone_helps: bool = True  # whether asking about one URL alone has told anything so far

    def about(self, group: Sequence[int]) -> dict[int, Uploads]:
        """One call, and one more for each URL of which it leaves everything open."""
        listing = self.operations.by_url([self.urls[index] for index in group])
        full = len(listing.records) >= RECORDS_MAX  # one URL's records may have crowded out another's
        found = {}
        for index in group:
            uploads = _of(listing, self.urls[index])
            if (full or uploads.unclear) and len(group) > 1 and self.alone_helps:
                uploads = _of(self.operations.by_url([self.urls[index]]), self.urls[index])
                self.alone_helps = not uploads.unclear
            found[index] = uploads
        return found


def _of(listing: Listing, url: str) -> Uploads:
    reading, records = listing.of(url)
    return Uploads(records, reading, listing.lacks(url))


def _without_open_twins(urls: Sequence[str], indexes: Sequence[int], seen: Collection[int]) -> set[int]:
    """Those of the URLs seen that are alike to none which is still to be asked about."""
    still_open = {alike(urls[index]) for index in indexes if index not in seen}
    return {index for index in seen if alike(urls[index]) not in still_open}


def _one_owner_each(seen: Mapping[int, Uploads], taken: Collection[str]) -> dict[int, Uploads]:
    """An upload that is listed for several URLs belongs to none of them: nothing tells which it was made for.

    A URL whose uploads are all known as others' has none of its own.
    """
    claims = Counter(job_id for uploads in seen.values() for job_id in {record.job_id for record in uploads.records})
    owned = {}
    for index, uploads in seen.items():
        free = [record for record in uploads.records if record.job_id not in taken]
        own = [record for record in free if claims[record.job_id] == 1]
        owned[index] = Uploads(own, uploads.reading, uploads.absent or bool(uploads.records and not free))
    return owned
