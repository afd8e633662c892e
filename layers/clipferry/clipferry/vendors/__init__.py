"""The registry: one line for each vendor. A vendor is imported when needed, so that a cold start imports only one."""

from __future__ import annotations

from importlib import import_module

from clipferry.vendors.contract import Vendor

VENDORS = {
    "linkvisual": "clipferry.vendors.linkvisual.vendor:LinkVisual",
    "ims": "clipferry.vendors.ims.vendor:Ims",
    "cloudv": "clipferry.vendors.cloudv.vendor:CloudV",
    "polyv": "clipferry.vendors.polyv.vendor:Polyv",
}


def vendor_class(name: str) -> type[Vendor]:
    """The class of a registered vendor; KeyError for any other name."""
    module, _, attribute = VENDORS[name].partition(":")
    found: type[Vendor] = getattr(import_module(module), attribute)
    return found
