"""URLs as identifiers: which URL of a request does a vendor mean by the URL in its answer (the echo)?

Two URLs are two sources if they differ in one character: `a%2Fb` and `a/b`, `%e5` and `%E5`, `a+b` and `a%20b` may lead
to different videos. But a vendor may write a URL differently in its answer: percent-encoded, decoded, or with blanks
around it. So URLs that such an echo could confuse (`alike`) are never in one call; and within a call the closest URL
counts, if only one is that close.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from urllib.parse import unquote, unquote_plus, urlsplit

_NESTED_PERCENT = re.compile(r"%(?:25)+")  # a percent sign, encoded once or many times
_DECODINGS = 8  # a URL is decoded at most so many times before it is compared
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Reading(IntEnum):
    """How close an echo is to a URL; a lower value is closer."""

    EXACT = 0
    ENCODED = 1  # encoded as a whole, `https%3A%2F%2F…`: not a URL itself, so it cannot be another URL
    RECODED = 2  # decoded, or with some characters encoded: it may be equal to another URL
    ALIKE = 3  # written in some other way


def reading(url: str, echo: str) -> Reading | None:
    """How `echo` was made from `url`; None: it was not."""
    echo = echo.strip()
    if echo == url:
        return Reading.EXACT
    if url in (unquote(echo), unquote_plus(echo)):
        return Reading.RECODED if "://" in echo else Reading.ENCODED
    if echo in (unquote(url), unquote_plus(url)):
        return Reading.RECODED
    return Reading.ALIKE if alike(echo) == alike(url) else None


def closest(urls: Sequence[str], echo: str) -> int | None:
    """The index of the URL that an echo means; None when there is none, or several are equally close."""
    found = sorted((how, index) for index, url in enumerate(urls) if (how := reading(url, echo)) is not None)
    if not found or (len(found) > 1 and found[0][0] is found[1][0]):
        return None
    return found[0][1]


@lru_cache(maxsize=1024)
def alike(url: str) -> str:
    """A form that is equal for all URLs which differ only in their encoding, port, case of the host, and the like."""
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
    """The URL without its parts that may be secret: user information, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
