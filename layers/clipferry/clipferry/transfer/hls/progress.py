"""What one call of an HLS copy stores for the next: a few values, for any number of segments. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clipferry.transfer.errors import Hopeless
from clipferry.transfer.hls.segment_storage import Copied
from clipferry.transfer.hls.subtitles import Subtitles
from clipferry.transfer.interface import Code, Level

_RUN = re.compile(r"(\.[a-z0-9]{1,8})\*([0-9]{1,6})")
_MAX_SUFFIXES = 50_000  # characters; a run takes about eight


def chain(hashes: Iterable[str]) -> str:
    """The evidence's `sha256` from the SHA-256 of each segment, in order, all in hex."""
    value = ""
    for sha256 in hashes:
        value = _link(value, sha256)
    return value


def _link(before: str, sha256: str) -> str:
    return hashlib.sha256(bytes.fromhex(before) + bytes.fromhex(sha256)).hexdigest()


@dataclass
class Progress:
    stem: str
    kind: str = "hls"
    plan: str = ""  # digest of the plan the rest is about
    done: int = 0  # segments stored, counted from the first without a gap
    size: int = 0  # bytes of these
    chain: str = ""  # of these
    level: str = Level.VENDOR_MD5.value  # the weakest evidence among these
    complete: bool = True  # the structure of each of these ends where it ends
    suffixes: str = ""  # extensions of these, in runs such as ".mp4*1.m4s*300"
    starts: int = 1  # of the copy, from its first segment: one more when the playlists changed
    not_there: float = 0.0  # seconds of waiting for playlists that are reported ready but not found
    most: int = 0  # the most segments that were ever stored, with those behind a gap
    connections: int | None = None  # segments at once at the start of the next call; None: as many as are allowed
    subtitles: Subtitles = field(default_factory=Subtitles)

    def take(self, copied: Copied) -> None:
        """The next segment in order is in S3. Raises Hopeless (HLS_TOO_LARGE)."""
        self.done, self.size = self.done + 1, self.size + copied.size
        self.chain = _link(self.chain, copied.sha256)
        self.complete = self.complete and copied.complete
        if copied.level.rank < Level(self.level).rank:
            self.level = copied.level.value
        self._add_suffix(copied.suffix)

    def _add_suffix(self, suffix: str) -> None:
        before, star, count = self.suffixes.rpartition("*")
        if star and before.endswith(suffix):
            self.suffixes = f"{before}*{int(count) + 1}"
        else:
            self.suffixes += f"{suffix}*1"
        if len(self.suffixes) > _MAX_SUFFIXES:
            raise Hopeless(Code.HLS_TOO_LARGE, "the segments change their format too often")

    @property
    def all_suffixes(self) -> Iterator[str]:
        """The extension of each segment that is done."""
        for suffix, count in _RUN.findall(self.suffixes):
            for _ in range(int(count)):
                yield suffix

    def begin(self, plan: str) -> None:
        """Start again from the first segment, under another plan."""
        fresh = Progress(self.stem)
        self.plan, self.done, self.size, self.chain, self.level = plan, 0, 0, fresh.chain, fresh.level
        self.complete, self.suffixes, self.most = fresh.complete, fresh.suffixes, fresh.most

    def begin_again(self) -> None:
        """Start again from the first segment; stored segments do not count."""
        self.starts += 1
        self.begin("")

    def as_dict(self) -> dict[str, Any]:
        """The checkpoint as it is saved: `starts` by the name that it had in every release."""
        saved = asdict(self)
        return {**saved, "generation": saved.pop("starts")}

    @classmethod
    def parse(cls, value: Mapping[str, Any], stem: str) -> Progress:
        """A saved checkpoint; a new one from an empty mapping, or from another kind of copy's."""
        if value.get("kind") != "hls":
            return cls(stem)
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        known["starts"] = value.get("generation", 1)
        for name in ("done", "size", "starts", "most"):  # a store may hand numbers back as another type
            known[name] = int(known.get(name, getattr(cls, name)))
        if known.get("connections") is not None:
            known["connections"] = int(known["connections"])
        known["not_there"] = float(known.get("not_there", 0.0))
        known["subtitles"] = Subtitles.parse(known.get("subtitles", {}))
        return cls(**{**known, "stem": value.get("stem") or stem})
