"""The formats of Cloud VoD's requests and replies. Like its gateway, it reads leniently and writes in several forms."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from typing import Any

from local.simulators.wire import Request, Response, json_response


def parameters_of(request: Request) -> dict[str, Any] | None:
    """The parameters from the query, a form or a JSON body; None if they cannot be read."""
    kind = (request.headers.get("content-type") or "").lower()
    if request.method == "GET" or kind.startswith("application/x-www-form-urlencoded"):
        return dict(request.query if request.method == "GET" else request.form)
    text = request.body.decode("utf-8", "replace")
    for attempt in (text, re.sub(r"([{,]\s*)([A-Za-z_]\w*)\s*:", r'\1"\2":', text)):  # keys without quotes
        try:
            value = json.loads(attempt)
        except ValueError:
            continue
        return value if isinstance(value, dict) else None
    return None


def decode_file_list(value: Any) -> list[dict[str, Any]] | None:
    """The list in Base64 of JSON, in both alphabets, with or without padding and line breaks; None if it is invalid."""
    text = re.sub(r"\s", "", str(value or "")).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        files = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(files, list) or not all(isinstance(f, dict) for f in files):
        return None
    schemes = all(re.match(r"https?://[^/]", str(f.get("fetchUrl", "")), re.I) for f in files)
    return files if schemes else None


def spelled(value: Any, spelling: str, key: str = "") -> Any:
    """The value with numbers as the setting says. "mixed": some fields as strings, the others as numbers."""
    if isinstance(value, dict):
        return {k: spelled(v, spelling, k) for k, v in value.items()}
    if isinstance(value, list):
        return [spelled(v, spelling, key) for v in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or spelling == "numbers":
        return value
    return str(value) if spelling == "strings" or key in ("pullStatus", "fileSize", "timestamp") else value


def reply(
    code: int, message: str = "操作成功", data: Any = None, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    request_id = uuid.uuid4().hex
    tracing = {"X-WS-RequestId": request_id, "x-cnc-request-id": request_id}
    return json_response({"code": code, "message": message, "data": data}, status, {**tracing, **(headers or {})})
