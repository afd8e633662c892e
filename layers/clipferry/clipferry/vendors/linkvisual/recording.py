"""Decides when a recording is complete. LinkVisual lists its files one by one, and does not say which is the last.

Pure functions of values. Times since the trigger are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from clipferry.vendors.linkvisual.api import Segment

FILE_SECONDS = 1800  # "A single video file can be up to 30 minutes in length"
LOOK_MARGIN = 5.0  # after the end of a file's recording: the upload takes a moment
RECORDING_GRACE = 300.0  # after the recording's end, in which its files may still be listed
ADOPT_GRACE = 60.0  # after adopting: the recording should exist already
SETTLE = 30.0  # after the recording's end, when there are enough files, but they cover clearly less than requested
SLACK = 5.0  # seconds by which cameras may be early or late
SEAM = 1.0  # seconds that may lie between files without a gap, because the vendor's times are whole seconds
EARLIEST = 15.0  # a recording that begins so long before its trigger (and its pre-record) belongs to another trigger
LATEST = 90.0  # the same after the trigger: the call may take a minute, the camera some seconds


class Wholeness(Enum):
    OPEN = "files may still come"
    WHOLE = "every file is known"
    SHORT = "no more files will come, though fewer are there than were asked for"
    NONE = "no file will come"


@dataclass(frozen=True)
class Expected:
    """The recording that a request should give."""

    duration: int  # seconds, pre-record included
    pre_record: int = 0

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Expected:
        return cls(int(request["record_duration"]), int(request.get("pre_record_duration", 0)))

    @property
    def files(self) -> int:
        return math.ceil(self.duration / FILE_SECONDS)

    @property
    def over_after(self) -> float:
        """Seconds from the trigger to the recording's end."""
        return float(self.duration - self.pre_record)

    def file_over_after(self, earlier: int) -> float:
        """Seconds from the trigger to the end of the file after so many others; at most to the recording's end."""
        return float(min(self.duration, FILE_SECONDS * (earlier + 1)) - self.pre_record)

    def wholeness(self, found: Sequence[Segment], elapsed: float) -> Wholeness:
        """The files `found` after `elapsed` seconds. While the listing grows, only `covers` can make them final."""
        late = elapsed > self.over_after + RECORDING_GRACE
        if not found:
            return Wholeness.NONE if late else Wholeness.OPEN
        if self.covers(found):
            return Wholeness.WHOLE
        if len(found) < self.files:
            return Wholeness.SHORT if late else Wholeness.OPEN
        if len(found) > self.files and timed(found):  # a camera with shorter files: only their length shows the end
            complete = Wholeness.WHOLE if self.length_fits(found) else Wholeness.SHORT
            return complete if late else Wholeness.OPEN
        settled = elapsed > self.over_after + SETTLE
        return Wholeness.WHOLE if self.length_fits(found) or not timed(found) or settled else Wholeness.OPEN

    def covers(self, found: Sequence[Segment]) -> bool:
        """Whether the files have the requested length, so that no other file can follow."""
        last_file = self.duration - FILE_SECONDS * (self.files - 1)
        return covered(found) >= self.duration - min(SLACK, last_file / 2)

    def length_fits(self, found: Sequence[Segment]) -> bool:
        """Whether the files are not clearly shorter than requested. Not every camera can pre-record."""
        return covered(found) >= self.over_after * 0.95 - SLACK


def adopted_wholeness(found: Sequence[Segment], elapsed: float, now: datetime | None) -> Wholeness:
    """The same for an adopted recording: its last file is shorter than a full one.

    After a full file (or one without times) another may follow. `now` is UTC.
    """
    late = elapsed > ADOPT_GRACE
    if not found:
        return Wholeness.NONE if late else Wholeness.OPEN
    last = found[-1]
    if last.end is None or not timed(found) or now is None:
        return Wholeness.WHOLE if late else Wholeness.OPEN
    if last.seconds < FILE_SECONDS - SLACK:
        return Wholeness.WHOLE if late or len(recordings(found)) == 1 else Wholeness.OPEN
    patience = FILE_SECONDS + RECORDING_GRACE
    gone_by = now > last.end + timedelta(seconds=patience)
    # When waits run faster than the clock (in tests), `now` is too early: the time since adopting counts, too.
    return Wholeness.WHOLE if gone_by or elapsed > patience + FILE_SECONDS * (len(found) - 1) else Wholeness.OPEN


def timed(found: Iterable[Segment]) -> bool:
    """Whether the vendor gave each file a valid begin and end."""
    return all(segment.seconds > 0 for segment in found)


def covered(found: Iterable[Segment]) -> float:
    """Seconds that the files cover together; overlaps count once."""
    total, until = 0.0, None
    for begin, end in sorted((s.begin, s.end) for s in found if s.begin and s.end):
        start = begin if until is None else max(begin, until)
        total += max(0.0, (end - start).total_seconds())
        until = end if until is None else max(end, until)
    return total


def recordings(found: Sequence[Segment], *, finely: bool = False) -> list[list[Segment]]:
    """The files of a listing, by their begin, grouped into recordings: a full file and the next one belong together.

    `finely`: for a camera with shorter files: a file belongs to the one before it if it begins where that one ends.
    """
    groups: list[list[Segment]] = []
    for segment in found:
        if segment.seconds > 0:
            group = next((group for group in groups if _goes_on(group[-1], segment, finely=finely)), None)
            if group is None:
                groups.append([segment])
            else:
                group.append(segment)
    return groups


def _goes_on(last: Segment, segment: Segment, *, finely: bool) -> bool:
    if last.end is None or segment.begin is None:
        return False
    gap = abs((segment.begin - last.end).total_seconds())
    return gap <= SEAM if finely else last.seconds >= FILE_SECONDS - SLACK and gap <= SLACK


def window(expected: Expected, triggered_at: datetime) -> tuple[int, int]:
    """The epoch seconds between which all files of a recording with this trigger must lie."""
    begin = triggered_at - timedelta(seconds=expected.pre_record + EARLIEST)
    end = triggered_at + timedelta(seconds=LATEST + expected.duration)
    return int(begin.timestamp()), math.ceil(end.timestamp())


def plausible(found: Sequence[Segment], expected: Expected, triggered_at: datetime) -> list[list[Segment]]:
    """The recordings that a trigger at that time may have made, the nearest first.

    If none has the requested length, a row of shorter files without gaps counts that has it: even if another trigger
    made it, it shows what was to be recorded.
    """
    near = _near(recordings(found), expected, triggered_at)
    if not any(expected.length_fits(recording) for recording in near):
        rows = _near(recordings(found, finely=True), expected, triggered_at)
        near += [row for row in rows if len(row) > 1 and expected.length_fits(row)]
    return near


def _near(recorded: Iterable[list[Segment]], expected: Expected, triggered_at: datetime) -> list[list[Segment]]:
    near = []
    for recording in recorded:
        begin = recording[0].begin
        late = (begin - triggered_at).total_seconds() if begin else math.inf
        fits = covered(recording) <= expected.duration + SLACK
        if fits and -expected.pre_record - EARLIEST <= late <= LATEST:
            near.append((abs(late), recording))
    return [recording for _, recording in sorted(near, key=lambda pair: pair[0])]
