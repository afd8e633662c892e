"""Finds the address of a Cloud VoD file: an absolute URL, a path on the account's media domain, or by getPublishCode.

Of the API, this module knows only getPublishCode. URLs may be signed, so none is stored.

Source: CDNetworks Cloud VoD "getPublishCode".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clipferry.outbound.url_encoding import encode_path, encode_query
from clipferry.vendors.cloudv.gateway import Gateway
from clipferry.vendors.cloudv.replies import path_of
from clipferry.vendors.cloudv.sources import last_segment, text
from clipferry.vendors.contract import (
    VendorAuthFailed,
    VendorError,
    VendorRefused,
    VendorThrottled,
    VendorUnavailable,
)
from clipferry.vendors.file_urls import FileUrl

VIDEO_URL = 4  # codeType of getPublishCode
_PUBLISHED = {1: "originUrl", 2: "fluentUrl", 3: "sdUrl", 4: "highUrl", 5: "hdPullUrl"}  # by clarity
DEFAULT_PAUSE = 30.0  # seconds without a call when the API gave no Retry-After


@dataclass(frozen=True)
class MediaUrls:
    """The addresses of one account's files. `media_base`: its playback domain, for a relative fileUrl."""

    gateway: Gateway
    media_base: str | None

    def needs_call(self, address: str) -> bool:
        """Whether only getPublishCode can give the address of a fileUrl."""
        return not (_is_absolute(address) or (address and self.media_base))

    def of(self, address: str, video_id: str, clarity: int) -> str | None:
        """The http(s) URL of a file, by its fileUrl ("" when it has none); None when the vendor gives none (yet).

        Raises the contract's errors.
        """
        if _is_absolute(address):
            return FileUrl.parse(address).usable(last_segment(address) or "the file")
        if address and self.media_base:
            return self._on_media_domain(address)
        return self._published(video_id, clarity) if video_id else None

    def _on_media_domain(self, address: str) -> str:
        path, mark, query = address.partition("?")
        base = FileUrl.parse((self.media_base or "").rstrip("/")).url
        if base is None:
            raise VendorRefused("the account's media_base_url is not an http(s) URL", kind="ACCOUNT_MALFORMED")
        return f"{base}/{encode_path(path.lstrip('/'))}{mark}{encode_query(query)}"

    def _published(self, video_id: str, clarity: int) -> str | None:
        data = self.gateway.call("/vod/videoManage/getPublishCode", {"videoId": video_id, "codeType": VIDEO_URL})
        urls = data.get("videoUrl") if isinstance(data, Mapping) else None
        found = [url for url in (urls if isinstance(urls, list) else [urls]) if isinstance(url, Mapping)]
        found.sort(key=lambda url: text(url.get("urlType")).upper() != "PC")
        given = [FileUrl.parse(text(url.get(_PUBLISHED.get(clarity, "")))) for url in found]
        unusable = next((one for one in given if one.problem), FileUrl())
        return next((one.url for one in given if one.url), None) or unusable.usable("the file")


class Lookups:
    """The lookups of addresses in one look. Their number is limited, and the look counts even if a lookup fails."""

    def __init__(self, urls: MediaUrls, limit: int) -> None:
        self._urls, self._left = urls, limit
        self.retry_after: float | None = None  # seconds until the next look, when some lookups are left
        self.limit: VendorThrottled | None = None  # an error of a lookup
        self.refusal: VendorError | None = None  # of the last lookup

    def url(self, address: str, video_id: str, clarity: int) -> str | None:
        """As `MediaUrls.of`, but without errors that a later look may not meet."""
        self.refusal = None
        if self._urls.needs_call(address):
            if self._left <= 0:
                self.retry_after = self.retry_after or DEFAULT_PAUSE
                return None
            self._left -= 1
        try:
            return self._urls.of(address, video_id, clarity)
        except VendorThrottled as error:
            self._left, self.limit, self.retry_after = 0, error, error.retry_after or DEFAULT_PAUSE
        except VendorUnavailable:
            self._left = 0
        except (VendorRefused, VendorAuthFailed) as error:
            if isinstance(error, VendorRefused) and error.kind == "ACCOUNT_MALFORMED":
                raise
            self.refusal = error
        return None


def kind_of(url: str) -> str:
    """Playlists are "hls", all others are "file"."""
    return "hls" if path_of(url).lower().endswith(".m3u8") else "file"


def _is_absolute(address: str) -> bool:
    return address.startswith("//") or "://" in path_of(address)
