"""What a vendor gives as a file's URL: a URL that can be asked for, nothing yet, or something that cannot be one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clipferry.outbound.url_encoding import absolute_url
from clipferry.vendors.contract import VendorRefused

INVALID = "FILE_URL_INVALID"  # the code of a file whose URL cannot be one
_NOTHING = frozenset({"", "-", "null", "none", "nil", "undefined", "n/a"})  # texts that stand for no text


@dataclass(frozen=True)
class FileUrl:
    """Without a URL and without a problem, the vendor does not say where the file is (yet)."""

    url: str | None = field(default=None, repr=False)  # absolute http or https, encoded; may be signed
    problem: str | None = None  # why what it says cannot be a URL; quotes nothing of it

    @classmethod
    def parse(cls, value: Any) -> FileUrl:
        """Any JSON value; never raises. What the vendor did not encode is encoded."""
        if not value or (isinstance(value, str) and value.strip().lower() in _NOTHING):
            return cls()
        if not isinstance(value, str):
            return cls(problem="it is no text")
        try:
            return cls(absolute_url(value))
        except ValueError as error:
            return cls(problem=str(error))

    def message(self, name: str) -> str:
        """What a user reads of the file `name` when there is a problem."""
        return f"the vendor's URL of {name} cannot be used: {self.problem}"

    def usable(self, name: str) -> str | None:
        """The URL, None when there is none yet. Raises VendorRefused (FILE_URL_INVALID) for what cannot be one."""
        if self.problem:
            raise VendorRefused(self.message(name), kind=INVALID)
        return self.url
