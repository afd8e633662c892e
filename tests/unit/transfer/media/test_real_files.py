"""Real files: what each is recognised as, and that none that is cut passes for a whole one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from clipferry.transfer.media import (
    HEAD_MAX,
    End,
    Ending,
    Format,
    NotMedia,
    end_check,
    head_wanted,
    identify,
)
from clipferry.transfer.media.ending import MAX_READ, MAX_READS

from tests.unit.transfer.media.conftest import SAMPLES, Sample

RealFile = Callable[[str], bytes]
NO_END = {"video/h264", "video/h265", "video/h266", "video/mp4v-es", "video/av1", "video/x-dirac", "application/gxf"}
NO_END |= {
    "video/x-wtv",
    "video/x-nut",
    "video/x-ivf",
    "video/x-yuv4mpeg",
    "audio/x-tta",
    "audio/x-wavpack",
    "image/tiff",
}
#: At a boundary of their own parts, or a few bytes before the end, a cut cannot be told from an end.
IN_PARTS = {"audio/mpeg", "audio/aac", "audio/mp4a-latm", "audio/ac3", "audio/eac3", "audio/vnd.dts", "audio/amr"}
IN_PARTS |= {"video/mp2t", "video/mpeg", "video/x-flv", "application/vnd.rn-realmedia"}


@dataclass
class Looked:
    found: Format | NotMedia | None
    end: End | None = None
    reads: int = 0
    forward: bool = True  # no range lies before the one asked for last


def look(data: bytes) -> Looked:
    """As the copy looks at a file: its beginning, then the ranges that the check of its end asks for."""
    head = b""
    while (wanted := head_wanted(head, len(data))) > len(head) and len(head) < len(data):
        assert wanted <= HEAD_MAX
        head = data[:wanted]
    found = identify(head, len(data))
    if not isinstance(found, Format):
        return Looked(found)
    check, reads, last, forward = end_check(found, head, len(data)), 0, 0, True
    while (span := check.wanted) is not None:
        reads += 1
        forward = forward and span.start >= last
        assert 0 < span.length <= MAX_READ
        last = span.start
        check.give(data[span.start : span.start + span.length])
    assert reads <= MAX_READS
    return Looked(found, check.end, reads, forward)


each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def expected(sample: Sample) -> Ending:
    if sample.name == "piped.wav":  # its writer could not go back to write the length
        return Ending.UNPROVEN
    return Ending.OPEN if sample.content_type in NO_END or sample.extension == ".m2v" else Ending.COMPLETE


@each_sample
def test_a_real_file_has_its_type_and_extension_by_its_bytes_and_is_whole(sample: Sample, real_file: RealFile) -> None:
    data = real_file(sample.name)

    seen = look(data)

    assert isinstance(seen.found, Format), seen
    assert (seen.found.extension, seen.found.content_type) == (sample.extension, sample.content_type)
    assert seen.end is not None
    assert seen.end.ending is expected(sample), seen.end
    assert seen.reads <= 4
    assert seen.forward


def cuts(data: bytes) -> list[int]:
    """Where a file is cut: near its beginning and its end, and at places drawn at random."""
    drawn = random.Random(len(data)).sample(range(129, len(data) - 16), min(120, len(data) - 145))
    return sorted({*range(len(data) - 16, len(data)), *drawn})


@pytest.mark.parametrize("sample", [s for s in SAMPLES if expected(s) is Ending.COMPLETE], ids=lambda s: s.name)
def test_a_cut_file_is_never_taken_for_a_whole_one(sample: Sample, real_file: RealFile) -> None:
    data = real_file(sample.name)

    seen = [look(data[:at]) for at in cuts(data)]

    passed = [at for at, each in zip(cuts(data), seen, strict=True) if each.end and each.end.whole]
    boundaries = sample.content_type in IN_PARTS or sample.name == "fragments.mp4"
    assert len(passed) <= (0.13 * len(seen) if boundaries else 0), passed
