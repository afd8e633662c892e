"""boto3 clients for tests, of one session: a new one reads botocore's descriptions again, for 0.3 seconds."""

from __future__ import annotations

from typing import Any

import boto3

REGION = "us-east-1"
_SESSION = boto3.Session("test", "test", region_name=REGION)


def new_client(service: str, **options: Any) -> Any:
    """A client with keys that are no secret; `options` as for `boto3.client`."""
    return _SESSION.client(service, **options)  # type: ignore[call-overload]
