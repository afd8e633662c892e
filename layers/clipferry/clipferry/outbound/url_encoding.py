"""Makes URLs of vendors and servers valid (RFC 3986), without a change of their meaning. Pure.

It encodes what should be encoded and is not: blanks, characters beyond ASCII (as UTF-8), a `%` that begins no escape, a
backslash. Parts that are already encoded stay the same byte for byte, because the URL may be signed.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

URL_MAX = 16_384  # characters; a presigned URL with a session token takes about 2,000

_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IN_NAME = re.compile(r"[?/]|\.[0-9A-Za-z]{2,5}\Z")  # if the text after `#` matches, it is a part of the file's name


def encode_path(path: str) -> str:
    return quote(_BARE_PERCENT.sub("%25", path), safe="/%:@!$&'()*+,;=~-._[]", errors="replace")


def encode_query(query: str) -> str:
    return quote(_BARE_PERCENT.sub("%25", query), safe="/%:@!$&'()*+,;=~-._?[]{}|^`\"<>", errors="replace")


def encode_raw(header: str) -> str:
    """Encode a URL from a header. http.client gives its bytes beyond ASCII as characters of Latin-1."""
    return quote(header.encode("latin-1", "replace"), safe="".join(map(chr, range(128))))


def absolute_url(text: str) -> str:
    """The http or https URL of a file as a vendor gives it, encoded; `//host/path` counts as https.

    Raises ValueError when it cannot be a URL; the message says why, and does not repeat the text.
    """
    text = text.strip()
    if len(text) > URL_MAX:
        raise ValueError(f"it is longer than {URL_MAX} characters")
    if _CONTROL.search(text):
        raise ValueError("it holds a control character")
    try:
        parts = urlsplit("https:" + text if text.startswith("//") else text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("its host or its port cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("it does not begin with https://")
    if not host or port == 0 or re.search(r"[\s\\]", parts.netloc):
        raise ValueError("it names no host")
    netloc = parts.netloc if parts.netloc.isascii() else _encode_host(parts.netloc)
    path, query = parts.path, parts.query
    if not query and _IN_NAME.search(parts.fragment):  # a `#` that is a part of the name
        path, _, query = f"{path}#{parts.fragment}".partition("?")
    return f"{parts.scheme}://{netloc}{encode_path(path)}" + (f"?{encode_query(query)}" if query else "")


def _encode_host(netloc: str) -> str:
    """Encode a host name beyond ASCII for the DNS (RFC 5891, after the mapping of UTS #46). Raises ValueError."""
    import idna  # imported here, because few URLs need it

    user, at, place = netloc.rpartition("@")
    host, colon, port = place.partition(":")
    try:
        return f"{user}{at}{idna.encode(host, uts46=True).decode()}{colon}{port}"
    except idna.IDNAError:
        raise ValueError("its host name cannot be a name of the DNS") from None
