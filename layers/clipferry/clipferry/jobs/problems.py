"""Why a job or a file failed, and warnings about one that did not fail: redacted, and of limited length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipferry.redaction import redact

MAX_MESSAGE = 1000  # characters of a problem's message
MAX_CODE = 200  # characters of a problem's code, and of a vendor's code and request id
MAX_WARNINGS = 50  # of a job, and of a file; further ones are left out
WARNINGS_BYTES = 12 * 1024  # of all warnings of a job in its row, as JSON in ASCII
MAX_WARNING = 500  # characters of a warning's message
#: Error codes of problems with the account.
ACCOUNT_CODES = frozenset({"ACCOUNT_REFUSED", "ACCOUNT_MISSING", "ACCOUNT_UNREADABLE", "ACCOUNT_MALFORMED"})


@dataclass(frozen=True)
class Problem:
    """Why a job or a file failed, so that a user can act on it. URLs in it lose their queries."""

    code: str
    message: str
    vendor_code: str | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", _shortened(self.message, MAX_MESSAGE))
        for name in ("code", "vendor_code", "request_id"):
            value = getattr(self, name)
            object.__setattr__(self, name, value if value is None else _shortened(value, MAX_CODE))

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if v is not None}

    @classmethod
    def parse(cls, value: Mapping[str, Any] | None) -> Problem | None:
        return cls(**{k: value.get(k) for k in cls.__dataclass_fields__}) if value else None  # type: ignore[arg-type]


def _shortened(value: object, limit: int) -> str:
    """The value as redacted text of at most `limit` characters. A vendor may send a list as code, or a URL as id."""
    text = redact(str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def warning(code: str, message: str) -> dict[str, str]:
    """Something that a user should know about a job or a file that did not fail, as the row and the API hold it."""
    return {"code": code, "message": redact(message)[:MAX_WARNING]}
