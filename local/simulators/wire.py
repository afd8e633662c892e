"""Requests and replies of all simulators: parsed once, with nothing of a vendor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # as on the request line: path and query
    headers: Message  # names in any case; None for a missing one
    body: bytes = b""

    @cached_property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    @cached_property
    def path(self) -> str:
        return unquote(self.raw_path)

    @cached_property
    def query(self) -> dict[str, str]:
        """Decoded query parameters, also empty ones. Of a repeated parameter the last counts."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        """Decoded form fields; empty if the body is not a form."""
        if not (self.headers.get("content-type") or "").startswith("application/x-www-form-urlencoded"):
            return {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @cached_property
    def params(self) -> dict[str, str]:
        """Query and form together."""
        return {**self.query, **self.form}

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is not JSON."""
        return json.loads(self.body)


@dataclass
class Response:
    """`body` is bytes, or `(length, chunks)` for a large body. With length None the body ends with the connection."""

    status: int = 200
    body: bytes | tuple[int | None, Iterable[bytes]] = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of the body after which the connection ends
    reset: bool = False  # … with a reset instead of a clean end


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Response(status, body, {"Content-Type": "application/json;charset=utf-8", **(headers or {})})


def html_response(status: int = 502) -> Response:
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1>nginx</body></html>".encode()
    return Response(status, body, {"Content-Type": "text/html"})
