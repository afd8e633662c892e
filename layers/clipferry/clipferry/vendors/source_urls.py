"""URLs as identities: which of the URLs that a vendor was told does it mean by the one it writes back?

Two URLs are two sources as soon as they differ in one character: `a%2Fb` and `a/b`, `%e5` and `%E5`, `a+b` and `a%20b`
may lead to different videos. But a vendor may write a URL back in another way than it was told: percent-encoded,
decoded, with blanks around it. So URLs that such an echo could confuse (`alike`) are never in one call; and within a
call the closest reading counts, for one URL alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from urllib.parse import unquote, unquote_plus, urlsplit

_NESTED_PERCENT = re.compile(r"%(?:25)+")  # a percent sign, encoded once or many times
_DECODINGS = 8  # a URL encoded more often than this is compared as it then is
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Reading(IntEnum):
    """How close an echo is to a URL; the lower the closer."""

    EXACT = 0
    ENCODED = 1  # as a whole, `https%3A%2F%2F…`: no URL of its own, so that it can stand for no other
    RECODED = 2  # decoded, or some of its characters encoded: may be another URL, exactly
    ALIKE = 3  # written in some other way


def reading(url: str, echo: str) -> Reading | None:
    """How a vendor that was told `url` may have come to write `echo`; None: it did not."""
    echo = echo.strip()
    if echo == url:
        return Reading.EXACT
    if url in (unquote(echo), unquote_plus(echo)):
        return Reading.RECODED if "://" in echo else Reading.ENCODED
    if echo in (unquote(url), unquote_plus(url)):
        return Reading.RECODED
    return Reading.ALIKE if alike(echo) == alike(url) else None


def closest(urls: Sequence[str], echo: str) -> int | None:
    """The index of the URL that an echo stands for; None for no URL, and for several that are equally close."""
    found = sorted((how, index) for index, url in enumerate(urls) if (how := reading(url, echo)) is not None)
    if not found or (len(found) > 1 and found[0][0] is found[1][0]):
        return None
    return found[0][1]


@lru_cache(maxsize=1024)
def alike(url: str) -> str:
    """One text for all URLs that differ only in how they are written, whichever way a vendor may rewrite them."""
    text = _NESTED_PERCENT.sub("%", url.strip())
    for _ in range(_DECODINGS):
        text = unquote_plus(text)
    scheme, _, rest = unicodedata.normalize("NFC", text).partition("://")
    authority, _, path = rest.partition("/")
    host = authority.lower().removesuffix(_DEFAULT_PORTS.get(scheme.lower(), ""))
    return f"{scheme.lower()}://{host}/{path}".rstrip("?#/ ")


def apart(urls: Sequence[str], indexes: Sequence[int], size: int) -> list[list[int]]:
    """The indexes of `urls` in groups of at most `size`, in their order, with no two URLs of a group alike."""
    groups: list[dict[str, int]] = []
    for index in indexes:
        key = alike(urls[index])
        group = next((group for group in groups if len(group) < size and key not in group), None)
        if group is None:
            groups.append(group := {})
        group[key] = index
    return [list(group.values()) for group in groups]


def bare(url: str) -> str:
    """The URL without what may be secret in it: user information, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
