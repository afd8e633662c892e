"""What one call of a copy stores for the next. It is small JSON: S3's list of parts says which bytes are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipferry.transfer.evidence import Facts
from clipferry.transfer.upload import UploadRef


def declared_size(checkpoint: Mapping[str, Any]) -> int | None:
    """Bytes of the whole file, as the source of a saved checkpoint declares them."""
    facts = checkpoint.get("facts")
    return Facts.parse(facts).size if facts else None


def part_size(checkpoint: Mapping[str, Any]) -> int | None:
    """Bytes of each part but the last, in the upload of a saved checkpoint."""
    upload = checkpoint.get("upload")
    return UploadRef.parse(upload).part_size if upload else None


@dataclass
class Checkpoint:
    stem: str
    starts: int = 1  # how often the copy has started from the first byte; see `interface.Options.max_starts`
    not_there: float = 0.0  # seconds waited for a source that was reported ready but was not found
    ranges: bool = True  # False: requests for ranges of this source have failed, read it as one stream
    connections: int | None = None  # at the start of the next call; None: as many as are allowed
    part_size: int | None = None  # bytes of the smallest parts of the next upload; None: as in the options
    was_cut: bool = False  # an attempt found that the file ends before its container does
    facts: Facts | None = None
    upload: UploadRef | None = None
    digests: dict[str, Any] | None = None  # Digests.state()

    def forget_upload(self) -> None:
        self.facts = self.upload = self.digests = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "stem": self.stem,
            "generation": self.starts,
            "not_there": round(self.not_there, 1),
            "ranges": self.ranges,
            "connections": self.connections,
            "part_size": self.part_size,
            "was_cut": self.was_cut,
            "facts": self.facts.as_dict() if self.facts else None,
            "upload": self.upload.as_dict() if self.upload else None,
            "digests": self.digests,
        }

    @classmethod
    def parse(cls, value: Mapping[str, Any], stem: str) -> Checkpoint:
        """A saved checkpoint; a new one from an empty mapping."""
        facts, upload = value.get("facts"), value.get("upload")
        return cls(
            stem=value.get("stem") or stem,
            starts=int(value.get("generation", 1)),
            not_there=float(value.get("not_there", 0)),
            ranges=bool(value.get("ranges", True)),
            connections=_whole(value.get("connections")),
            part_size=_whole(value.get("part_size")),
            was_cut=bool(value.get("was_cut", False)),
            facts=Facts.parse(facts) if facts else None,
            upload=UploadRef.parse(upload) if upload else None,
            digests=dict(value["digests"]) if value.get("digests") else None,
        )


def _whole(value: Any) -> int | None:
    """A whole number, because a store may return numbers as another type."""
    return None if value is None else int(value)
