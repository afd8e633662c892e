"""What can be played on a simulator, in words every vendor shares: how work is asked for, what can become of it.

The conformance suite knows a vendor by this alone, so that a new vendor brings nothing but its simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from local.simulators.faults import Fault


class Lost(StrEnum):
    """What must become of a trigger whose reply was lost."""

    FOUND = "found"  # the vendor's work is found and followed; there is one piece of it
    REPEATED = "repeated"  # triggered again, which does no harm at this vendor
    UNCERTAIN = "uncertain"  # nobody can tell: TRIGGER_UNCERTAIN, and no second trigger


@dataclass(frozen=True)
class Scene:
    """One request, and how the simulator must be set for it. `code`: the error that comes of it, if one does.

    `files`: how many come of it.
    """

    request: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    files: int = 1


@dataclass(frozen=True)
class Stage:
    """A vendor's part in every case of the suite."""

    one: Scene  # a request for one file
    three: Scene  # … for three that become ready minutes apart
    partly: Scene  # … for two of which one fails with `code`
    odd: Scene  # … for one whose status stays one that no page mentions
    empty: Scene  # … of which the vendor in the end lists nothing
    adopt: Callable[[Mapping[str, Any]], Mapping[str, Any]]  # the `adopt` for the work of a job (as the API shows it)
    unknown: Mapping[str, Any]  # an `adopt` of work that the vendor does not have …
    unknown_id: str  # … and what of it an error must name
    trigger: str  # the vendor's operations, by their names in `Simulator.calls`
    look: str
    lost: Mapping[Lost, Mapping[str, Any]]  # by outcome: the settings under which a lost reply comes to it
    assumed: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # settings that the vendor's pages leave open …
    # … with the values, besides the default, that would surprise nobody
    many: Scene | None = None  # a request for more files than one call takes, or for as many as a job may have
    mended: Mapping[str, Any] = field(default_factory=dict)  # settings under which what fails in `partly` works
    repeated: Fault | None = None  # how the vendor says that it had a call before
    later: Sequence[Fault] = ()  # how it says that it has done nothing, and may do it later
    unsent: Lost = Lost.REPEATED  # what becomes of a trigger that broke off before the vendor acted
