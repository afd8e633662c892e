"""What is said of a vendor is what its own class says."""

from __future__ import annotations

import json

import pytest
from clipferry.intake.vendor_descriptions import describe
from clipferry.vendors import VENDORS, vendor_class


@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_is_described_by_its_own_class(name: str) -> None:
    vendor = vendor_class(name)

    described = describe(vendor)

    assert described == {
        "vendor": name,
        "title": vendor.title,
        "request": vendor.request_schema,
        "adopt": vendor.adopt_schema,
        "limits": vendor.limits,
        "supports": {"request": True, "adopt": True, "abort": vendor.can_abort},
        "secret_keys": list(vendor.secret_keys),
        "default_deadline_seconds": vendor.default_deadline,
    }
    assert json.loads(json.dumps(described)) == described
