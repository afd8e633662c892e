"""One simulator for each vendor, in the module with the vendor's name: HTTP, signatures, faults on request."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.simulators.base import Simulator


def simulator_class(vendor: str) -> type[Simulator]:
    """A vendor's simulator. Raises LookupError when there is none: then nothing about the vendor can be tested."""
    try:
        module = import_module(f"local.simulators.{vendor}")
        found: type[Simulator] = next(kind for kind in vars(module).values() if getattr(kind, "vendor", "") == vendor)
    except (ModuleNotFoundError, StopIteration):
        raise LookupError(f"the vendor {vendor} has no simulator in local/simulators/{vendor}.py") from None
    return found


def vendors() -> list[str]:
    """The vendors that have a simulator here."""
    found = []
    for module in iter_modules(__path__):
        try:
            simulator_class(module.name)
        except LookupError:  # a module that the simulators use
            continue
        found.append(module.name)
    return found
