"""A copy under test: a source, an S3, and a caller that behaves like the download function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from clipferry.outbound.client import Outbound
from clipferry.transfer import Destination, Failed, More, Options, Retry, Stored, abandon, copy
from clipferry.vendors.contract import Remote

from tests.unit.transfer.s3_server import S3Server, sha256
from tests.unit.transfer.source_server import SourceServer

PART = 64 * 1024
STEM = "site-a/linkvisual/2026/11/21/job/f001"
OPTIONS = Options(connections=4, part_size=PART, buffers=8 * PART, backoff=0.005, save_every=0.05)


@dataclass
class Rig:
    s3: S3Server
    source: SourceServer
    options: Options = OPTIONS
    destination: Destination = field(default_factory=lambda: Destination("bucket", STEM, file_name="clip.mp4"))
    remote: Callable[[], Remote | None] | None = None
    budget: int = 4
    checkpoint: dict[str, Any] = field(default_factory=dict)
    saves: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    located: int = 0
    calls: int = 0
    client: Any = None
    outbound: Outbound = field(default_factory=lambda: Outbound(allow_private=True))

    def locate(self) -> Remote | None:
        self.located += 1
        return self.remote() if self.remote else Remote(self.source.url)

    def save(self, checkpoint: dict[str, Any], copied: int) -> None:
        self.checkpoint = checkpoint
        self.saves.append((checkpoint, copied))

    def call(self, *, time_left: Callable[[], float] = lambda: 60.0, **options: Any) -> Stored | More | Retry | Failed:
        """One invocation of the download function."""
        self.calls += 1
        return copy(
            locate=self.locate,
            destination=self.destination,
            outbound=self.outbound,
            hosts=[],
            s3=self.client or self.s3.client(),
            checkpoint=dict(self.checkpoint),
            save=self.save,
            time_left=time_left,
            options=replace(self.options, **options),
        )

    def finish(self) -> Stored | Failed:
        """Call until it is over; the budget's last failed attempt is a failure. Then end what crashed calls left."""
        attempts = 0
        for _ in range(60):
            result = self.call()
            if isinstance(result, Retry):
                attempts += 1
                if attempts == self.budget:
                    result = Failed(result.code, result.message)
            if isinstance(result, Stored | Failed):
                abandon(self.s3.client(), "bucket", self.checkpoint)
                return result
        raise AssertionError("the copy never comes to an end")

    def stored_body(self) -> bytes:
        return self.s3.objects[STEM + ".mp4"].body or b""

    def assert_stored(self, result: object, body: bytes) -> None:
        """The right bytes, the right digest, nothing left over."""
        assert isinstance(result, Stored), result
        assert self.stored_body() == body
        assert result.evidence["sha256"] == sha256(body)
        assert result.size == len(body)
        assert self.s3.uploads == {}

    def assert_failed(self, result: object, code: str) -> None:
        assert isinstance(result, Failed), result
        assert result.code == code, result.message
        assert self.s3.uploads == {}
        assert self.s3.objects == {}
        assert "Signature" not in result.message
