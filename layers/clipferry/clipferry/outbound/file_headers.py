"""Headers that an account adds to the requests for its files, such as `Referer` or a token.

The values are secret. They are sent to the hosts that the vendor's API names for a file, and to those that the account
or the deployment names. They are not sent to a host that only a playlist or a redirect names. The vendor's list of file
hosts does not count, because anybody can have a bucket under a cloud's domain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from clipferry.outbound.address_guard import Target, is_under

HEADERS_MAX = 20
VALUE_MAX = 4096  # characters; servers take about 8,000 for all headers together
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # a token of RFC 9110 §5.6.2
_VALUE = re.compile(r"[!-~]|[!-~][ -~]*[!-~]")  # visible ASCII, blanks within

#: Headers that the copy or the connection sets; also all that begin with a prefix in _OURS_BY_PREFIX.
_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OURS_BY_PREFIX = ("content-", "if-", "proxy-")


def problem_with(headers: object) -> str | None:
    """Why these headers cannot be sent, as an error message without values; None when they can."""
    if not isinstance(headers, dict):
        return "is not an object of header names and values"
    if len(headers) > HEADERS_MAX:
        return f"holds more than {HEADERS_MAX} headers"
    seen: set[str] = set()
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            return "holds a name that is not a header's"
        if name.lower() in _OURS or name.lower().startswith(_OURS_BY_PREFIX):
            return f"may not hold {name}, which every request sets for itself"
        if name.lower() in seen:
            return f"holds {name} twice"
        seen.add(name.lower())
        if not isinstance(value, str) or len(value) > VALUE_MAX or not _VALUE.fullmatch(value):
            return f"holds a value of {name} that is not 1 to {VALUE_MAX} printable ASCII characters"
    return None


class FileHeaders:
    """An account's headers and the hosts that get them: those under the suffixes `hosts`, and those of trusted URLs."""

    def __init__(self, headers: Mapping[str, str], hosts: Iterable[str] = ()) -> None:
        self._headers, self._suffixes = dict(headers), tuple(hosts)
        self._named: set[str] = set()

    def trust(self, url: str) -> None:
        """Let the host of this URL get the headers, because the vendor's API named the URL."""
        try:
            host = urlsplit(url).hostname
        except ValueError:
            return
        if host:
            self._named.add(host.rstrip("."))

    def of(self, target: Target) -> Mapping[str, str]:
        """The headers to send to a checked target; empty for a host that must not get them."""
        known = target.host in self._named or any(is_under(target.host, suffix) for suffix in self._suffixes)
        return self._headers if known else {}
