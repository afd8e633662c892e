"""The registry: one line a vendor. Modules are imported when asked for, so that a cold start pays for one vendor."""

from __future__ import annotations

from importlib import import_module

from clipferry.vendors.contract import Vendor

VENDORS = {
    "linkvisual": "clipferry.vendors.linkvisual:LinkVisual",
    "ims": "clipferry.vendors.ims:Ims",
    "cloudv": "clipferry.vendors.cloudv:CloudV",
    "polyv": "clipferry.vendors.polyv:Polyv",
}


def vendor_class(name: str) -> type[Vendor]:
    """The class of a registered vendor; KeyError for any other name."""
    module, _, attribute = VENDORS[name].partition(":")
    found: type[Vendor] = getattr(import_module(module), attribute)
    return found
