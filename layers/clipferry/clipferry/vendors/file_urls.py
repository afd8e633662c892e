"""Reads what a vendor gives as a file's URL: a usable URL, no URL yet, or a text that cannot be a URL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clipferry.outbound.url_encoding import absolute_url
from clipferry.vendors.contract import VendorRefused

INVALID = "FILE_URL_INVALID"  # the error code of a file whose URL is invalid
_NOTHING = frozenset({"", "-", "null", "none", "nil", "undefined", "n/a"})  # texts that stand for no text


@dataclass(frozen=True)
class FileUrl:
    """A URL, or a problem. Neither: the vendor has given no URL yet."""

    url: str | None = field(default=None, repr=False)  # absolute http or https, encoded; may be signed
    problem: str | None = None  # why the vendor's value cannot be a URL; does not repeat the value

    @classmethod
    def parse(cls, value: Any) -> FileUrl:
        """Read any JSON value; never raises. Encodes characters that the vendor did not encode."""
        if not value or (isinstance(value, str) and value.strip().lower() in _NOTHING):
            return cls()
        if not isinstance(value, str):
            return cls(problem="it is no text")
        try:
            return cls(absolute_url(value))
        except ValueError as error:
            return cls(problem=str(error))

    def message(self, name: str) -> str:
        """The error message for the file `name` when there is a problem."""
        return f"the vendor's URL of {name} cannot be used: {self.problem}"

    def usable(self, name: str) -> str | None:
        """The URL; None when there is none yet. Raises VendorRefused (FILE_URL_INVALID) when it is invalid."""
        if self.problem:
            raise VendorRefused(self.message(name), kind=INVALID)
        return self.url
