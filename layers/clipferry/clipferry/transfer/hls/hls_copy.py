"""The copy of one HLS video: every playlist and every segment under `{stem}/`, the root playlist last.

Many segments are copied at the same time, and counted in their order. The objects in S3 are the checkpoint: each
stored segment has its SHA-256 and its plan as metadata, so that a later call does not request it again from the source.
The saved checkpoint holds only a few numbers for any number of segments.

The evidence's `sha256` is a chain over the segments: H(i) = SHA-256(H(i-1) + SHA-256(segment i)), H(0) empty, segments
and initialisation sections in the order in which the playlists first name them. `chain` computes it.

A failed copy leaves its segments, without a root playlist, so that a retry can use them.

S3 calls: PutObject and HeadObject for what fits into a part; see `assets` for larger segments.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from copy import deepcopy
from dataclasses import dataclass, field

from clipferry.transfer.checksums import object_crc
from clipferry.transfer.connection_limit import ConnectionLimit
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
from clipferry.transfer.hls.assets import Segments
from clipferry.transfer.hls.plan import ROOT, Asset, HlsPlan, make_plan
from clipferry.transfer.hls.progress import Progress, chain
from clipferry.transfer.hls.references import Kind
from clipferry.transfer.hls.segment_media import FormatsDiffer
from clipferry.transfer.hls.segment_storage import Copied, SegmentStorage
from clipferry.transfer.hls.subtitles import RenditionFailed, RenditionLeftOut, Subtitles
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
from clipferry.transfer.media.formats import HLS
from clipferry.transfer.pump import Clock
from clipferry.transfer.waiting import change_wait, not_there_wait, throttle_wait

__all__ = ["HlsCopy", "chain"]

WORKERS = 8  # segments at once
PARTS_EACH = 3  # the most parts of one segment in memory
WINDOW = 64  # the most segments that are finished before the first unfinished one
MAX_BYTES = 2 * 1024**4
MAX_REPLANS = 3  # how often one call reads the playlists again for new URLs
_TICK = 0.25  # seconds between two checks of the time


@dataclass
class _Urls:
    """The present URLs of assets and keys. When a URL is refused, the playlists are read again."""

    plan: HlsPlan
    replan: Callable[[], HlsPlan]
    left: int = MAX_REPLANS
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url_of(self, name: str, refused: str | None) -> str:
        """The URL of an asset, by its stem, or of a key, by its name; another than the one that was refused."""
        with self.lock:
            if refused is not None and self.plan.urls[name] == refused and self.left > 0:
                self.left -= 1
                fresh = self.replan()
                if fresh.digest != self.plan.digest:
                    raise SourceChanged("the playlists have changed")
                self.plan = fresh
            return self.plan.urls[name]


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
        self._of_subtitles: dict[str, list[str]] = {}  # objects stored so far, by the folder of their rendition
        self._came_with = self._progress.most
        self._stored: set[str] = set()  # stems of the segments that this call has stored
        self._began = self._saved_at = time.monotonic()

    def run(self) -> Result:
        try:
            return self._until_decided()
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
            if isinstance(error, FormatsDiffer):  # one of them is wrong: all are copied again
                self._progress.begin_again()
            self._save()
            if isinstance(error, UploadLost):
                return Retry(Code.STORAGE_UNAVAILABLE, str(error))
            return Retry(error.code, error.message, error.wait)
        except Hopeless as error:
            return Failed(error.code, error.message)
        finally:
            self._outbound.close()

    def _until_decided(self) -> Stored:
        """Copy until there is a result. When a rendition of subtitles fails, it plans again without that rendition."""
        while True:
            try:
                return self._attempt()
            except RenditionLeftOut:
                self._take_back_subtitles()
                self._progress.begin("")

    # -- the steps ----------------------------------------------------------------------------------------------------

    def _attempt(self) -> Stored:
        self._storage.stopped.clear()
        progress = self._progress
        known = progress.plan or progress.subtitles.left_out
        plan, newly_left_out = self._plan(progress.subtitles)
        if newly_left_out:
            progress.begin("")
        if plan.digest != progress.plan:
            if progress.plan:
                raise SourceChanged("the playlists have changed since the last call")
            progress.begin(plan.digest)
            self._save()  # before the first segment, so that the next call looks for stored segments
        urls = _Urls(plan, self._plan_again)
        limit = ConnectionLimit(self._workers, progress.connections)
        segments = Segments(
            self._storage, self._outbound, self._hosts, self._options, urls.url_of, plan, progress.starts, limit
        )
        try:
            self._move(plan, segments, limit, WINDOW if known else 1)
            for url in plan.unneeded_keys:
                segments.copy_key(url, self._clock.cut_off)
        finally:
            progress.connections = limit.next_first if self._got_further else max(1, limit.limit // 2)
            segments.close()
        return self._finish(plan)

    def _plan(self, subtitles: Subtitles) -> tuple[HlsPlan, bool]:
        """Read the playlists. True when this left out further renditions of subtitles."""
        before = len(subtitles.left_out)
        plan = make_plan(self._link, self._outbound, self._hosts, self._options, self._clock.cut_off, subtitles)
        return plan, len(subtitles.left_out) > before

    def _plan_again(self) -> HlsPlan:
        """Read the playlists in the middle of the copy, for fresh URLs. In another thread: it decides nothing."""
        plan, newly_left_out = self._plan(deepcopy(self._progress.subtitles))
        if newly_left_out:
            raise RenditionLeftOut
        return plan

    def _move(self, plan: HlsPlan, segments: Segments, limit: ConnectionLimit, probes: int) -> None:
        """Copy each asset that is not counted yet; raises the error of the first one that fails."""
        probe = _Probe(segments, probes)
        for asset, suffix in zip(plan.assets, self._progress.all_suffixes, strict=False):
            segments.take_note(asset, suffix)
            self._take_note(asset, suffix, probe)
        running: dict[Future[Copied], int] = {}
        ahead: dict[int, Copied] = {}
        following, total = self._progress.done, len(plan.assets)
        try:
            with ThreadPoolExecutor(self._workers) as pool:
                try:
                    while self._progress.done < total:
                        while len(running) < limit.limit and self._may_start(following, total):
                            copying = pool.submit(self._copy_one, plan, segments, probe, following)
                            running[copying] = following
                            following += 1
                        if not running:
                            raise Stopped
                        for future in wait(running, timeout=_TICK, return_when=FIRST_COMPLETED).done:
                            ahead[running.pop(future)] = self._result(future)
                        self._count(ahead)
                        limit.review(self._clock.left)
                except (AttemptFailed, NotThere):
                    raise  # after the segments under way: else the next call would request them again
                except BaseException:
                    segments.stop()
                    raise
        finally:  # segments that are in S3 count, also after an error
            self._take(ahead | {n: future.result() for future, n in running.items() if _succeeded(future)})

    def _result(self, copying: Future[Copied]) -> Copied:
        """Take the result of one segment. Raises its error, or RenditionLeftOut."""
        try:
            return copying.result()
        except RenditionFailed as failed:
            self._progress.subtitles.leave_out(failed.folder, failed.label, failed.failure)
            raise RenditionLeftOut from failed

    @property
    def _workers(self) -> int:
        in_memory = self._options.buffers // (PARTS_EACH * self._options.part_size)
        return max(1, min(WORKERS, self._options.connections, in_memory))

    def _may_start(self, number: int, total: int) -> bool:
        return number < min(total, self._progress.done + WINDOW) and self._clock.may_begin()

    def _copy_one(self, plan: HlsPlan, segments: Segments, probe: _Probe, number: int) -> Copied:
        asset = plan.assets[number]
        what = f"segment {number + 1} of {len(plan.assets)} ({asset.stem})"
        try:
            copied = self._proven(probe.found(asset) or self._store(segments, asset))
        except StorageThrottled:
            raise
        except (NotThere, AttemptFailed, Hopeless, SourceChanged) as error:
            if asset.subtitles is not None:
                raise RenditionFailed(asset.folder, asset.subtitles, _named(error, what)) from error
            if isinstance(error, SourceChanged):
                raise
            raise _named(error, what) from error
        self._take_note(asset, copied.suffix, probe)
        return copied

    def _take_note(self, asset: Asset, suffix: str, probe: _Probe) -> None:
        """Note that this asset is stored under a name with this suffix."""
        probe.learn(asset, suffix)
        if asset.subtitles is not None:
            self._of_subtitles.setdefault(asset.folder, []).append(asset.stem + suffix)

    def _take_back_subtitles(self) -> None:
        """Delete the stored segments of renditions that are left out: no playlist will name them."""
        self._storage.stopped.clear()
        for folder in self._of_subtitles.keys() & self._progress.subtitles.left_out.keys():
            for name in self._of_subtitles.pop(folder):
                self._storage.discard(name)

    def _store(self, segments: Segments, asset: Asset) -> Copied:
        copied = segments.copy(asset, self._clock.cut_off)
        self._stored.add(asset.stem)
        return copied

    def _proven(self, copied: Copied) -> Copied:
        """Refuse the copy when its evidence is weaker than `MinimumEvidence` demands."""
        if copied.level.rank < self._minimum.rank:
            message = f"the best evidence is {copied.level.value}; {self._minimum.value} is asked for"
            raise Hopeless(Code.EVIDENCE_TOO_WEAK, message)
        return copied

    def _take(self, ahead: dict[int, Copied]) -> None:
        """Count the stored segments in their order. Segments behind a gap stay in `ahead`."""
        while self._progress.done in ahead:
            self._progress.take(ahead.pop(self._progress.done))
        self._progress.most = max(self._progress.most, self._progress.done + len(ahead))

    def _count(self, ahead: dict[int, Copied]) -> None:
        self._take(ahead)
        if self._progress.size > MAX_BYTES:
            raise Hopeless(Code.HLS_TOO_LARGE, f"more than {MAX_BYTES} bytes of segments")
        if time.monotonic() - self._saved_at >= self._options.save_every:
            self._save()

    def _finish(self, plan: HlsPlan) -> Stored:
        """Store the playlists, the root playlist last: when it is there, everything is."""
        self._save()
        progress, etag = self._progress, ""
        for name, content in plan.rendered(progress.all_suffixes):
            etag = self._storage.put_object(name, content, object_crc().of(content), HLS.content_type, {})
        level = progress.level if plan.proven else Level.NONE.value
        evidence = {
            "level": level,
            "checks": [level],
            "sha256": progress.chain,
            "size": progress.size,
            "method": "sha256-chain",
            "segments": len(plan.assets),
            "playlists": len(plan.playlists),
            "keys": len(plan.keys),
            "container": "complete" if progress.complete else "unverified",
            "etag": etag,
        }
        warnings = progress.subtitles.warnings
        return Stored(self._storage.key(ROOT), progress.size, evidence, HLS.content_type, warnings)

    # -- endings ------------------------------------------------------------------------------------------------------

    @property
    def _got_further(self) -> bool:
        """Whether more segments are stored than any call before this one has left."""
        return bool(self._stored) and self._progress.most > self._came_with

    def _pause(self) -> More | Retry:
        """The result when the time is over. A call that finished no further segment has failed."""
        self._save()
        if self._got_further:
            return More()
        seconds = time.monotonic() - self._began
        message = f"the source is too slow: a call of {seconds:.0f} s did not get one more segment from it into S3"
        return Retry(Code.SOURCE_UNAVAILABLE, message)

    def _not_there(self, why: str) -> More | Failed:
        """The result when the playlist is not found: try again with growing waits until the grace period is over.

        A call with progress resets the period. A call without progress counts with all of its time.
        """
        seconds = time.monotonic() - self._began
        waited = 0.0 if self._got_further else self._progress.not_there + seconds
        if waited >= self._options.not_there_grace:
            return Failed(Code.SOURCE_GONE, f"{why}, for {waited:.0f} s")
        pause = not_there_wait(waited)
        self._progress.not_there = waited + pause
        self._save()
        return More(pause)

    def _begin_again(self, why: str) -> More | Failed:
        """The result when the source changed: start again after a pause, for the source may still write the video."""
        starts = self._progress.starts
        if starts >= self._options.max_starts:
            return Failed(Code.SOURCE_CHANGED, f"begun {starts} times, at last: {why}")
        self._progress.begin_again()
        self._save()
        return More(change_wait(starts))

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        self._save_to(self._progress.as_dict(), self._progress.size)


class _Probe:
    """Looks for segments that an earlier call has stored. It stops after several lookups in a row that found none.

    The extensions to look for are those of the segments before.
    """

    def __init__(self, segments: Segments, misses: int) -> None:
        self._segments, self._misses = segments, misses
        self._usual: dict[tuple[str, Kind], str] = {}  # extension by folder and kind
        self._lock = threading.Lock()

    def learn(self, asset: Asset, suffix: str) -> None:
        self._usual[asset.folder, asset.reference.kind] = suffix

    def found(self, asset: Asset) -> Copied | None:
        with self._lock:
            if self._misses <= 0:
                return None
        suffix = self._usual.get((asset.folder, asset.reference.kind), asset.likely_suffix)
        found = self._segments.found(asset, suffix)
        if found is None:
            with self._lock:
                self._misses -= 1
        return found


def _succeeded(future: Future[Copied]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _named(error: NotThere | AttemptFailed | Hopeless | SourceChanged, what: str) -> AttemptFailed | Hopeless:
    """The same failure, with the name of the segment."""
    if isinstance(error, SourceChanged):
        return AttemptFailed(Code.SOURCE_CHANGED, f"{what}: {error}")
    if isinstance(error, NotThere):
        return AttemptFailed(Code.HLS_SEGMENT_MISSING, f"{what} is missing at the source: {error}")
    if isinstance(error, Hopeless):
        return Hopeless(error.code, f"{what}: {error.message}")
    if isinstance(error, FormatsDiffer):
        return FormatsDiffer(f"{what}: {error.message}")
    return AttemptFailed(error.code, f"{what}: {error.message}", wait=error.wait)
