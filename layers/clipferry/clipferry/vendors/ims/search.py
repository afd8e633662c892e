"""Finds uploads by their URL: after a trigger whose outcome is not known, and for adopted work.

Others may have uploaded the same URL, also several times, and IMS may write it differently in its reply
(`source_urls`). An upload never counts for two URLs.
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
    """The report of IMS about one URL: its uploads, or that there are none."""

    records: Sequence[Record] = ()
    reading: Reading | None = None  # how the records' URLs were recognised
    absent: bool = False

    @property
    def unclear(self) -> bool:
        """Whether IMS neither lists an upload nor reports that there is none."""
        return not (self.records or self.absent)


@dataclass
class Search:
    """`found`: the reports so far, by the index of the URL. `limit`: the error that ended the search early, or None."""

    found: dict[int, Uploads] = field(default_factory=dict)
    limit: VendorThrottled | VendorUnavailable | None = None


def search(operations: Operations, urls: Sequence[str], indexes: Sequence[int], taken: Collection[str]) -> Search:
    """Ask about the URLs at `indexes`, as far as the vendor and the time allow.

    `taken`: job ids that belong to other URLs of the task. Raises VendorThrottled or VendorUnavailable only when not
    even one URL could be asked about.
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
    alone_helps: bool = True  # whether a call about one URL alone has helped so far

    def about(self, group: Sequence[int]) -> dict[int, Uploads]:
        """One call, and another call for each URL that the first reply does not mention."""
        listing = self.operations.by_url([self.urls[index] for index in group])
        full = len(listing.records) >= RECORDS_MAX  # the records of one URL may have left no room for those of another
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
    """The reports whose URL is not alike to a URL that must still be asked about."""
    still_open = {alike(urls[index]) for index in indexes if index not in seen}
    return {index for index in seen if alike(urls[index]) not in still_open}


def _one_owner_each(seen: Mapping[int, Uploads], taken: Collection[str]) -> dict[int, Uploads]:
    """Remove uploads that are listed for several URLs: it is not known for which of them they were made.

    A URL has no uploads when all of them are known to belong to other URLs.
    """
    claims = Counter(job_id for uploads in seen.values() for job_id in {record.job_id for record in uploads.records})
    owned = {}
    for index, uploads in seen.items():
        free = [record for record in uploads.records if record.job_id not in taken]
        own = [record for record in free if claims[record.job_id] == 1]
        owned[index] = Uploads(own, uploads.reading, uploads.absent or bool(uploads.records and not free))
    return owned
