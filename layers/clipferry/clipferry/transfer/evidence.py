"""Compares the declared facts of a file with the bytes that came, to prove that the copy is right. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from clipferry.transfer.checksums import Digests
from clipferry.transfer.interface import Level

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Facts:
    """The facts that were declared about a file when its copy began; stored in the checkpoint, compared at the end.

    A *strict* value must match. The others are hints: an ETag often is an MD5 but need not be, and the Content-MD5 of a
    partial answer may belong to the part. A hint counts when it matches, and is ignored when it does not.
    """

    size: int | None  # bytes, from Content-Range or Content-Length
    etag: str | None = None  # strong, with its quotes
    modified: str | None = None
    ranges: bool = False
    end_declared: bool = False  # by a length of the body as it travels, or by the last chunk of chunked framing
    vendor_size: int | None = None
    vendor_md5: str | None = None  # strict
    crc64: int | None = None  # strict; x-oss-hash-crc64ecma
    content_md5: str | None = None
    content_md5_strict: bool = False

    @property
    def etag_md5(self) -> str | None:
        text = (self.etag or "").strip('"').lower()
        return text if _MD5.fullmatch(text) else None

    @property
    def checksum_of_whole(self) -> bool:
        """Whether a checksum will show at the end if some bytes are wrong."""
        return bool(self.vendor_md5) or self.crc64 is not None or self.content_md5_strict

    @property
    def wants_md5(self) -> bool:
        """Whether to compute MD5: only when it could be the strongest evidence."""
        if self.vendor_md5 or self.content_md5_strict:
            return True
        return self.crc64 is None and bool(self.content_md5 or self.etag_md5)

    @property
    def wants_crc64(self) -> bool:
        return self.crc64 is not None

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Facts:
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        for name in ("size", "vendor_size", "crc64"):  # a store may hand numbers back as another type
            if known.get(name) is not None:
                known[name] = int(known[name])
        if value.get("compressed"):  # an earlier release, of a declared length of coded bytes
            known["end_declared"] = True
        return cls(**{"size": None, **known})


def clean_md5(text: str | None) -> str | None:
    """An MD5 as 32 lower-case hex digits; None when it is not one."""
    text = (text or "").strip().lower()
    return text if _MD5.fullmatch(text) else None


@dataclass(frozen=True)
class Verdict:
    level: Level  # the strongest check that passed
    checks: tuple[Level, ...]  # all checks that passed, the strongest first
    mismatch: str | None  # what was expected and what came


def size_problem(facts: Facts) -> str | None:
    """The error message when two declared sizes differ, before any byte is copied; None when they agree."""
    if facts.size is not None and facts.vendor_size is not None and facts.size != facts.vendor_size:
        return f"the vendor declares {facts.vendor_size} bytes, the download {facts.size}"
    return None


def strongest_possible(facts: Facts) -> Level:
    """The strongest level that these facts allow, if all of them match."""
    if facts.vendor_md5:
        return Level.VENDOR_MD5
    if facts.crc64 is not None:
        return Level.VENDOR_CRC64
    if facts.content_md5:
        return Level.CONTENT_MD5
    if facts.etag_md5:
        return Level.ETAG_MD5
    return _by_size(facts)


def _by_size(facts: Facts) -> Level:
    declared = sum((facts.size is not None or facts.end_declared, facts.vendor_size is not None))
    return (Level.NONE, Level.CONTENT_LENGTH, Level.SIZE_TWO_SOURCES)[declared]


def judge(facts: Facts, digests: Digests) -> Verdict:
    """Compare each declared fact with the digests of the whole file."""
    size, md5, crc64 = digests.position, digests.md5, digests.crc64
    checks: list[Level] = []
    problems: list[str] = []

    def check(level: Level, expected: object, came: object, *, strict: bool) -> None:
        if expected is None or came is None:
            return
        if expected == came:
            checks.append(level)
        elif strict:
            problems.append(f"{level.value}: expected {expected}, got {came}")

    check(Level.VENDOR_MD5, facts.vendor_md5, md5, strict=True)
    check(Level.VENDOR_CRC64, facts.crc64, crc64, strict=True)
    check(Level.CONTENT_MD5, facts.content_md5, md5, strict=facts.content_md5_strict)
    check(Level.ETAG_MD5, facts.etag_md5, md5, strict=False)
    for declared in (facts.size, facts.vendor_size):
        if declared is not None and declared != size:
            problems.append(f"size: expected {declared} bytes, got {size}")
    if (by_size := _by_size(facts)) is not Level.NONE and not problems:
        checks.append(by_size)
    return Verdict(checks[0] if checks else Level.NONE, tuple(checks), "; ".join(problems) or None)


def level_named(text: str) -> Level:
    """The level with this name. Raises ValueError, which lists the levels."""
    try:
        return Level(text)
    except ValueError:
        raise ValueError(f"unknown evidence level {text!r}; there are {', '.join(Level)}") from None
