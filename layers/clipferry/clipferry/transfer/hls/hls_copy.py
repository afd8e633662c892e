"""The copy of one HLS video: every playlist and every segment under `{stem}/`, the root playlist last.

Segments are copied many at once and taken into account in their order. What S3 has is the checkpoint: each stored
segment carries its SHA-256 and the plan it belongs to, so that a later call asks the source for nothing that is there.
The saved checkpoint is a few numbers, however many segments there are.

The evidence's `sha256` is a chain over the segments: H(i) = SHA-256(H(i-1) + SHA-256(segment i)), H(0) empty, segments
and initialisation sections in the order in which the playlists first name them. `chain` computes it.

A copy that failed leaves its segments, without a root playlist: a retry goes on with them.

S3 calls: PutObject and HeadObject for what fits into a part; see `assets` for larger segments.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from typing import Any

from clipferry.transfer.checksums import object_crc
from clipferry.transfer.errors import (
    AttemptFailed,
    Hopeless,
    NotThere,
    SourceChanged,
    Stopped,
    StorageThrottled,
    UploadLost,
)
from clipferry.transfer.evidence import level_named
from clipferry.transfer.freshness import Link
from clipferry.transfer.hls.assets import Copied, Segments, SegmentStorage, content_type
from clipferry.transfer.hls.plan import ROOT, Asset, Plan, make_plan
from clipferry.transfer.interface import (
    Code,
    CopyCall,
    Failed,
    Level,
    More,
    Result,
    Retry,
    Stored,
)
from clipferry.transfer.pump import Clock
from clipferry.transfer.waiting import change_wait, not_there_wait, throttle_wait

WORKERS = 8  # segments at once
PARTS_EACH = 3  # that one of them holds in memory at most
WINDOW = 64  # segments that may be finished ahead of the first unfinished one
MAX_BYTES = 2 * 1024**4
MAX_REPLANS = 3  # times in one call that the playlists are read again for fresh URLs
_TICK = 0.25  # seconds between looks at the clock


@dataclass
class Progress:
    """What one call leaves for the next."""

    stem: str
    kind: str = "hls"
    plan: str = ""  # digest of the plan the rest is about
    done: int = 0  # segments stored, counted from the first without a gap
    size: int = 0  # bytes of these
    chain: str = ""  # of these
    level: str = Level.VENDOR_MD5.value  # the weakest evidence among these
    generation: int = 1  # raised when the playlists changed, and all begins again
    not_there: float = 0.0  # seconds waited for playlists that are ready but not to be found
    idle: int = 0  # calls in a row that could not finish a single segment

    def take(self, copied: Copied) -> None:
        """The next segment in order is in S3."""
        self.done, self.size = self.done + 1, self.size + copied.size
        self.chain = _link(self.chain, copied.sha256)
        if copied.level.rank < Level(self.level).rank:
            self.level = copied.level.value

    def begin(self, plan: str) -> None:
        """From nothing, under another plan."""
        fresh = Progress(self.stem)
        self.plan, self.done, self.size, self.chain, self.level = plan, 0, 0, fresh.chain, fresh.level

    @classmethod
    def parse(cls, value: Mapping[str, Any], stem: str) -> Progress:
        """A saved checkpoint; a new one from an empty mapping, or from another kind of copy's."""
        if value.get("kind") != "hls":
            return cls(stem)
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        for name in ("done", "size", "generation", "idle"):  # a store may hand numbers back as another type
            known[name] = int(known.get(name, getattr(cls, name)))
        known["not_there"] = float(known.get("not_there", 0.0))
        return cls(**{**known, "stem": value.get("stem") or stem})


def chain(hashes: Iterable[str]) -> str:
    """The evidence's `sha256` from the SHA-256 of each segment, in order, all in hex."""
    value = ""
    for sha256 in hashes:
        value = _link(value, sha256)
    return value


def _link(before: str, sha256: str) -> str:
    return hashlib.sha256(bytes.fromhex(before) + bytes.fromhex(sha256)).hexdigest()


@dataclass
class _Urls:
    """Where the assets are now: the playlists are read again when a URL is refused."""

    plan: Plan
    replan: Callable[[], Plan]
    left: int = MAX_REPLANS
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url_of(self, asset: Asset, refused: str | None) -> str:
        with self.lock:
            position = self._positions[asset.name]
            if refused is not None and self.plan.assets[position].reference.url == refused and self.left > 0:
                self.left -= 1
                fresh = self.replan()
                if fresh.digest != self.plan.digest:
                    raise SourceChanged("the playlists have changed")
                self.plan = fresh
            return self.plan.assets[position].reference.url

    def __post_init__(self) -> None:
        self._positions = {asset.name: position for position, asset in enumerate(self.plan.assets)}


class HlsCopy:
    """One call of the copy of one HLS video.

    The key of its result is the root playlist's, its size that of all segments together, in bytes.
    """

    def __init__(self, call: CopyCall) -> None:
        self._link = Link(call.locate)
        self._outbound, self._hosts, self._options = call.outbound, call.hosts, call.options
        self._minimum = level_named(call.options.minimum_evidence)
        self._storage = SegmentStorage(call.s3, call.destination, call.options)
        self._clock = Clock(call.time_left)
        self._save_to = call.save
        self._progress = Progress.parse(call.checkpoint, call.destination.stem)
        self._saved_at = time.monotonic()

    def run(self) -> Result:
        try:
            return self._attempt()
        except SourceChanged as error:
            return self._begin_again(str(error))
        except Stopped:
            return self._pause()
        except NotThere as error:
            return self._not_there(str(error))
        except StorageThrottled:
            self._save()
            return More(throttle_wait())
        except (AttemptFailed, UploadLost) as error:
            self._save()
            if isinstance(error, UploadLost):
                return Retry(Code.STORAGE_UNAVAILABLE, str(error))
            return Retry(error.code, error.message, error.wait)
        except Hopeless as error:
            return Failed(error.code, error.message)
        finally:
            self._outbound.close()

    # -- the steps ----------------------------------------------------------------------------------------------------

    def _attempt(self) -> Stored:
        self._storage.stopped.clear()
        plan = self._plan()
        progress = self._progress
        probes = WINDOW if progress.plan == plan.digest else 1
        if plan.digest != progress.plan:
            if progress.plan:
                raise SourceChanged("the playlists have changed since the last call")
            progress.begin(plan.digest)
            self._save()  # before the first segment: whoever continues looks for what is stored
        progress.not_there = 0.0
        urls = _Urls(plan, self._plan)
        segments = Segments(self._storage, self._outbound, self._hosts, self._options, urls.url_of, plan.digest)
        try:
            self._move(plan, segments, probes)
        finally:
            segments.close()
        return self._finish(plan)

    def _plan(self) -> Plan:
        return make_plan(self._link, self._outbound, self._hosts, self._options, self._clock.cut_off)

    def _move(self, plan: Plan, segments: Segments, probes: int) -> None:
        """Copy every asset that is not counted yet; raises what the first failing one raises."""
        probe = _Probe(self._storage, plan.digest, probes)
        running: dict[Future[Copied], int] = {}
        ahead: dict[int, Copied] = {}
        following, total = self._progress.done, len(plan.assets)
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                while self._progress.done < total:
                    while self._may_start(following, total, len(running)):
                        running[pool.submit(self._copy_one, plan, segments, probe, following)] = following
                        following += 1
                    if not running:
                        raise Stopped
                    for future in wait(running, timeout=_TICK, return_when=FIRST_COMPLETED).done:
                        ahead[running.pop(future)] = future.result()
                        self._progress.idle = 0
                    self._count(ahead)
            except BaseException:
                segments.stop()
                raise

    @property
    def _workers(self) -> int:
        in_memory = self._options.buffers // (PARTS_EACH * self._options.part_size)
        return max(1, min(WORKERS, self._options.connections, in_memory))

    def _may_start(self, number: int, total: int, running: int) -> bool:
        room = running < self._workers and number < min(total, self._progress.done + WINDOW)
        return room and self._clock.may_begin()

    def _copy_one(self, plan: Plan, segments: Segments, probe: _Probe, number: int) -> Copied:
        asset = plan.assets[number]
        try:
            return probe.found(asset) or segments.copy(asset, self._clock.cut_off)
        except NotThere as error:
            what = f"segment {number + 1} of {len(plan.assets)} ({asset.name}) is missing at the source"
            raise AttemptFailed(Code.HLS_SEGMENT_MISSING, f"{what}: {error}") from None
        except StorageThrottled:
            raise
        except AttemptFailed as error:
            what = f"segment {number + 1} of {len(plan.assets)}"
            raise AttemptFailed(error.code, f"{what}: {error.message}", wait=error.wait) from error

    def _count(self, ahead: dict[int, Copied]) -> None:
        while self._progress.done in ahead:
            self._progress.take(ahead.pop(self._progress.done))
        if self._progress.size > MAX_BYTES:
            raise Hopeless(Code.HLS_TOO_LARGE, f"more than {MAX_BYTES} bytes of segments")
        if time.monotonic() - self._saved_at >= self._options.save_every:
            self._save()

    def _finish(self, plan: Plan) -> Stored:
        """The playlists, those below first: whoever finds the root finds everything."""
        level = Level(self._progress.level) if plan.proven else Level.NONE
        if level.rank < self._minimum.rank:
            message = f"the best evidence is {level.value}; {self._minimum.value} is asked for"
            raise Hopeless(Code.EVIDENCE_TOO_WEAK, message)
        self._save()
        etag = ""
        for name, playlist in reversed(plan.playlists):
            content = plan.rendered(name, playlist)
            etag = self._storage.put_object(name, content, object_crc().of(content), {})
        evidence = {
            "level": level.value,
            "checks": [level.value],
            "sha256": self._progress.chain,
            "size": self._progress.size,
            "method": "sha256-chain",
            "segments": len(plan.assets),
            "playlists": len(plan.playlists),
            "etag": etag,
        }
        return Stored(self._storage.key(ROOT), self._progress.size, evidence, content_type(ROOT))

    # -- endings ------------------------------------------------------------------------------------------------------

    def _pause(self) -> More | Retry:
        """Time is short. A call that could not finish one segment is no progress, and is counted when it repeats."""
        self._progress.idle += 1
        self._save()
        if self._progress.idle > 2:
            return Retry(Code.SOURCE_UNAVAILABLE, "the source is too slow to send one segment within a call")
        return More()

    def _not_there(self, why: str) -> More | Failed:
        """Ready, but not to be found: looked for again with growing waits until the grace period is over."""
        waited = self._progress.not_there
        if waited >= self._options.not_there_grace:
            return Failed(Code.SOURCE_GONE, f"{why}, for {waited:.0f} s")
        pause = not_there_wait(waited)
        self._progress.not_there += pause
        self._save()
        return More(pause)

    def _begin_again(self, why: str) -> More | Failed:
        """After a pause that grows, for the source may be at work on the video."""
        generation = self._progress.generation
        if generation >= self._options.max_generations:
            return Failed(Code.SOURCE_CHANGED, f"begun {generation} times, at last: {why}")
        self._progress.generation += 1
        self._progress.begin("")
        self._save()
        return More(change_wait(generation))

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        self._save_to(asdict(self._progress), self._progress.size)


class _Probe:
    """Looks whether an earlier call has stored a segment, until that has been in vain often enough."""

    def __init__(self, storage: SegmentStorage, plan: str, misses: int) -> None:
        self._storage, self._plan, self._misses = storage, plan, misses
        self._lock = threading.Lock()

    def found(self, asset: Asset) -> Copied | None:
        with self._lock:
            if self._misses <= 0:
                return None
        found = self._storage.found(asset.name, self._plan)
        if found is None:
            with self._lock:
                self._misses -= 1
        return found
