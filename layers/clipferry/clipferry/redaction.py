"""Takes out of texts and values what nobody may read: what a URL says beyond scheme, host and path. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

_URL = re.compile(r"[a-z][a-z0-9+.-]{1,15}://[^\s'\"<>]+", re.IGNORECASE)


def redact(text: str) -> str:
    """The text with every URL in it cut down to scheme, host and path: no userinfo, query or fragment."""
    return _URL.sub(lambda match: _bare(match.group()), text)


def _bare(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return f"{url.partition('://')[0]}://…"


def bare(value: Any) -> Any:
    """The JSON value with `redact` applied to every string in it, except the keys of objects."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {key: bare(item) for key, item in value.items()}
        case list():
            return [bare(item) for item in value]
    return value
