"""The description of a vendor in `GET /vendors`: its schemas, limits and abilities, taken from the vendor's class."""

from __future__ import annotations

from typing import Any

from clipferry.vendors.contract import Vendor


def describe(vendor: type[Vendor]) -> dict[str, Any]:
    """JSON-able; the schemas are JSON Schema 2020-12."""
    return {
        "vendor": vendor.name,
        "title": vendor.title,
        "request": vendor.request_schema,
        "adopt": vendor.adopt_schema,
        "limits": vendor.limits,
        "supports": {"request": True, "adopt": True, "abort": vendor.can_abort},
        "secret_keys": list(vendor.secret_keys),
        "default_deadline_seconds": vendor.default_deadline,
    }
