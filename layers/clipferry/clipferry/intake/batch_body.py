"""The body of `POST /batches`: the manifest, its format, and defaults for its lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clipferry.intake.checks import FieldError, InvalidBody, broken, unfit_values, with_rules
from clipferry.intake.job_body import BODY_SCHEMA
from clipferry.intake.values import prose_fields
from clipferry.redaction import redact_key
from clipferry.vendors import VENDORS

PREFIX = "manifests/"  # prefix of the keys of manifests; the functions may read no other manifest
FORMATS = ("jsonl", "csv")
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
MANIFEST_MAX = 5 * 1024**3  # bytes: the limit of one PUT to S3
KEY_MAX = 900  # bytes; S3's limit is 1,024, and the key of the report is about 50 bytes longer than the manifest's

_DEFAULTS = ("vendor", "account", "destination", "labels", "deadline_seconds", "on_uncertain")
BATCH_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "manifest": {
            "type": "object",
            "properties": {
                "bucket": {"type": "string", "description": "the stack's own, which is the default"},
                "key": {
                    "type": "string",
                    "maxLength": KEY_MAX,
                    "pattern": f"^{PREFIX}[^\\x00-\\x1f]+$(?!\\n)",
                    "x-problem": f"must begin with {PREFIX} and hold no control characters",
                    "x-prose": True,
                },
                "etag": {"type": "string", "maxLength": 128, "description": "refuse any other content"},
            },
            "required": ["key"],
            "additionalProperties": False,
        },
        "format": {"enum": list(FORMATS), "description": "by the key's suffix when absent"},
        "defaults": {
            "type": "object",
            "properties": {name: BODY_SCHEMA["properties"][name] for name in _DEFAULTS},
            "additionalProperties": False,
        },
    },
    "required": ["manifest"],
    "additionalProperties": False,
}
UPLOAD_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"format": BATCH_SCHEMA["properties"]["format"]},
    "additionalProperties": False,
}


def check_upload(body: Mapping[str, Any]) -> None:
    """Raises InvalidBody."""
    if errors := with_rules(unfit_values(body), broken(UPLOAD_SCHEMA, body)):
        raise InvalidBody(errors)


def check_batch(body: Mapping[str, Any], bucket: str) -> None:
    """Check the body. `bucket` is the stack's own. Raises InvalidBody, which names each bad field."""
    errors = with_rules(unfit_values(body, prose_fields(BATCH_SCHEMA)), broken(BATCH_SCHEMA, body))
    if errors := errors or list(_unfit(body, bucket)):
        raise InvalidBody(errors)


def _unfit(body: Mapping[str, Any], bucket: str) -> Iterator[FieldError]:
    manifest, vendor = body["manifest"], body.get("defaults", {}).get("vendor")
    if manifest.get("bucket", bucket) != bucket:
        yield FieldError("/manifest/bucket", "must be this stack's own bucket")
    if len(manifest["key"].encode()) > KEY_MAX:
        yield FieldError("/manifest/key", f"must be at most {KEY_MAX} bytes")
    if redact_key(manifest["key"]) != manifest["key"]:
        yield FieldError("/manifest/key", "must not hold a URL with credentials or a query")
    if format_of(manifest["key"], body.get("format")) is None:
        yield FieldError("/format", f"is required when the key does not end in {', '.join(SUFFIXES)}")
    if vendor is not None and vendor not in VENDORS:
        yield FieldError("/defaults/vendor", f"must be one of {', '.join(VENDORS)}")


def format_of(key: str, given: str | None) -> str | None:
    """The manifest's format: as given, or by the key's suffix; None when neither names one."""
    return given or next((kind for suffix, kind in SUFFIXES.items() if key.lower().endswith(suffix)), None)
