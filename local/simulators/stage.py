"""How each case of the conformance tests is set up on a simulator: the requests, and what must come of them.

The conformance tests use only this description of a vendor, so a new vendor needs only its simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from local.simulators.faults import Fault


class Lost(StrEnum):
    """What the job must do after the reply of a trigger was lost."""

    FOUND = "found"  # it finds the vendor's work and uses it; nothing is started twice
    REPEATED = "repeated"  # it triggers again, which does no harm at this vendor
    UNCERTAIN = "uncertain"  # nobody can tell whether the work exists: TRIGGER_UNCERTAIN, and no second trigger


@dataclass(frozen=True)
class Scene:
    """One request, and the settings of the simulator for it.

    `files`: how many files the job gets. `code`: the error of the job or the file, if there is one.
    """

    request: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    files: int = 1


@dataclass(frozen=True)
class Stage:
    """A vendor's requests and settings for all cases of the conformance tests."""

    one: Scene  # a request for one file
    three: Scene  # … for three files that become ready minutes apart
    partly: Scene  # … for two files, of which one fails with `code`
    odd: Scene  # … for a file whose status stays an undocumented one
    empty: Scene  # … for which the vendor lists no file in the end
    adopt: Callable[[Mapping[str, Any]], Mapping[str, Any]]  # the `adopt` for the work of a job of the API
    unknown: Mapping[str, Any]  # an `adopt` of work that the vendor does not have …
    unknown_id: str  # … and the part of it that an error must name
    trigger: str  # the vendor's operations, by their names in `Simulator.calls`
    look: str
    lost: Mapping[Lost, Mapping[str, Any]]  # by outcome: the settings with which a lost reply leads to it
    assumed: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # settings that the vendor does not document …
    # … with other possible values besides the default
    many: Scene | None = None  # a request for more files than one call may have, or for as many as a job may have
    mended: Mapping[str, Any] = field(default_factory=dict)  # settings with which the failing file of `partly` works
    repeated: Fault | None = None  # the vendor's answer to a call that it has had before
    later: Sequence[Fault] = ()  # the vendor's answers that say that it has done nothing, and may do it later
    unsent: Lost = Lost.REPEATED  # the outcome of a trigger whose connection broke before the vendor acted
