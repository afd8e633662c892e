"""Variables of HLS playlists: EXT-X-DEFINE and `{$name}` (draft-pantos-hls-rfc8216bis §4.3, §4.4.2.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from clipferry.transfer.errors import Hopeless
from clipferry.transfer.hls.attributes import read_attributes
from clipferry.transfer.interface import Code

MAX_EXPANDED = 16 * 1024 * 1024  # characters that the values of all variables used in one playlist may have together

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_USE = re.compile(r"\{\$([A-Za-z0-9_-]{1,256})\}")
_BREAKS_OUT = re.compile(r'["\r\n]')


class Variables:
    """The variables of one playlist so far. `above`: those of its parent playlist, for IMPORT."""

    def __init__(self, url: str, above: Mapping[str, str]) -> None:
        self._url, self._above = url, above
        self._parameters: dict[str, str] | None = None
        self._left = MAX_EXPANDED
        self.defined: dict[str, str] = {}

    def define(self, attribute_list: str) -> None:
        """Take an EXT-X-DEFINE tag. Raises Hopeless (HLS_INVALID)."""
        given = {name: self.expand(value.text) for name, value in read_attributes(attribute_list).items()}
        if "QUERYPARAM" in given:
            name = given["QUERYPARAM"]
            value = self._query().get(name)
            where = "the playlist's own URL has no such parameter"
        elif "IMPORT" in given:
            name = given["IMPORT"]
            value = self._above.get(name)
            where = "the playlist above does not define it"
        else:
            name, value, where = given.get("NAME", ""), given.get("VALUE"), "the tag gives it no value"
        if not _NAME.fullmatch(name):
            raise Hopeless(Code.HLS_INVALID, "a playlist defines a variable without a name (EXT-X-DEFINE)")
        if value is None:
            raise Hopeless(Code.HLS_INVALID, f"a playlist needs the variable {name[:40]!r}, and {where}")
        if _BREAKS_OUT.search(value):
            raise Hopeless(Code.HLS_INVALID, f"the variable {name[:40]!r} of a playlist holds a quote or a line break")
        self.defined[name] = value

    def _query(self) -> dict[str, str]:
        """The parameters of the URL that the playlist was found at, decoded; parsed once."""
        if self._parameters is None:
            self._parameters = dict(parse_qsl(urlsplit(self._url).query, keep_blank_values=True))
        return self._parameters

    def expand(self, text: str) -> str:
        """The text with every `{$name}` replaced. Raises Hopeless (HLS_INVALID, HLS_TOO_LARGE)."""
        return _USE.sub(self._value_of, text) if "{$" in text else text

    def _value_of(self, use: re.Match[str]) -> str:
        value = self.defined.get(use[1])
        if value is None:
            raise Hopeless(Code.HLS_INVALID, f"a playlist uses the variable {use[1][:40]!r} and does not define it")
        self._left -= len(value)
        if self._left < 0:
            raise Hopeless(Code.HLS_TOO_LARGE, f"the variables of a playlist add up to more than {MAX_EXPANDED} bytes")
        return value
