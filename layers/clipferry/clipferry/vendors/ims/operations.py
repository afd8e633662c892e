"""The three operations of IMS. Each may raise the errors of the contract.

Pages: IMS "UploadMediaByURL", "GetUrlUploadInfos", "GetMediaInfo" (version 2020-11-09).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clipferry.vendors import lenient
from clipferry.vendors.alibaba.failures import failure_in
from clipferry.vendors.alibaba.parameters import compact, joined
from clipferry.vendors.alibaba.rpc import Parameters, RpcClient
from clipferry.vendors.contract import VendorUnavailable
from clipferry.vendors.ims.replies import Listing, Source
from clipferry.vendors.source_urls import closest

VERSION = "2020-11-09"
SUBMIT_BATCH = 20  # URLs in one UploadMediaByURL
QUERY_BATCH = 10  # job ids or URLs in one GetUrlUploadInfos


class Operations:
    """Of one account in one region."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def submit(
        self, urls: Sequence[str], user_data: str, metadata: Sequence[Mapping[str, Any]]
    ) -> dict[int, tuple[str, str]]:
        """UploadMediaByURL of at most 20 URLs, no two of them alike. Gives job id and media id by the index of the URL.

        A URL is missing when the reply does not say that its upload was begun.
        """
        params = {
            "UploadURLs": joined(urls),
            "UserData": user_data,
            "MediaMetaData": compact(metadata) if metadata else None,
        }
        reply = self._call("UploadMediaByURL", params, acts=True)
        jobs = [job for job in lenient.entries(reply.get("UploadJobs")) if lenient.text(job.get("JobId"))]
        sources = [lenient.text(job.get("SourceURL")) for job in jobs]
        in_order = len(jobs) == len(urls) and not any(sources)
        found: dict[int, tuple[str, str]] = {}
        for position, job in enumerate(jobs):
            index = position if in_order else closest(urls, sources[position])
            if index is not None:
                found.setdefault(index, (lenient.text(job.get("JobId")), lenient.text(job.get("MediaId"))))
        if not found:
            raise VendorUnavailable("IMS accepted the URLs but named no upload jobs.")
        return found

    def by_job_id(self, job_ids: Sequence[str]) -> Listing:
        """GetUrlUploadInfos of at most 10 jobs."""
        return self._listing({"JobIds": joined(job_ids)})

    def by_url(self, urls: Sequence[str]) -> Listing:
        """GetUrlUploadInfos of at most 10 URLs, no two of them alike."""
        return self._listing({"UploadURLs": joined(urls)})

    def source(self, media_id: str) -> Source | None:
        """GetMediaInfo: the media's original; None while it has no URL."""
        return Source.parse(self._call("GetMediaInfo", {"MediaId": media_id}), media_id) if media_id else None

    def _listing(self, params: Parameters) -> Listing:
        return Listing.parse(self._call("GetUrlUploadInfos", params))

    def _call(self, action: str, params: Parameters, *, acts: bool = False) -> dict[str, Any]:
        reply = self._rpc.call(action, VERSION, params, acts=acts)
        failure = failure_in(action, reply)
        if failure:
            raise failure.error()
        return reply
