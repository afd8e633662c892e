"""What is said of each file made by hand when it is cut anywhere near its ends, or when one of its first bytes changes.

The other tests of this folder say what is right for a file. These verdicts were computed by the code when those held:
whoever changes a bound sees here what else changes. After a deliberate change
`python -m tests.unit.transfer.media.test_pinned_verdicts` writes them anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from clipferry.transfer.media import SMALLEST, Format, NotMedia
from clipferry.transfer.media.audio_frames import KINDS

from tests.unit.transfer.media.test_formats import CUT, NO_END, WHOLE
from tests.unit.transfer.media.test_inspect import SEGMENTS
from tests.unit.transfer.media.test_real_files import look
from tests.unit.transfer.media.test_said_of_an_end import ALL, STREAMS

VERDICTS = Path(__file__).with_name("pinned_verdicts.json")
LARGEST = 12_000  # bytes of a file that is looked at here
NEAR = 40  # bytes from either end at which a file is cut
CHANGED = 40  # first bytes that are changed
CHANGED_OF_MOVIES = 400  # of a file with sample tables: they come first
CHANGES = (1, 0x80, 0xFF)  # what a byte is exclusive-ored with

#: Without repetitions: a file is told by its bytes alone.
FILES = {
    data: name
    for name, data in [
        *((told.name, told.data) for told in [*ALL, *STREAMS]),
        *((name, data) for name, data, _ in [*WHOLE, *NO_END]),
        *CUT,
        *((f"segment {number}", data) for number, (data, *_) in enumerate(SEGMENTS)),
    ]
    if len(data) <= LARGEST
}
NAMED = {f"{number} {name}": data for number, (data, name) in enumerate(FILES.items())}

#: A header of each kind of audio frame.
HEADERS = {
    "AC-3": b"\x0b\x77\x00\x00\x14\x40",
    "E-AC-3": b"\x0b\x77\x02\x2f\x3f\x86",
    "DTS": b"\x7f\xfe\x80\x01\xfc\x3c\x7f\xf0",
    "ADTS": b"\xff\xf1\x50\x80\x06\x3f",
    "MPEG-1 layer III": b"\xff\xfb\x90\x00",
    "MPEG-1 layer I": b"\xff\xff\x90\x00",
    "MPEG-2 layer III": b"\xff\xf3\x90\x00",
    "MPEG-2.5 layer II": b"\xff\xe5\x90\x00",
    "LOAS": b"\x56\xe0\x40",
}


def verdict(data: bytes) -> str:
    """The format and what is said of its end. Numbers are left out: they differ from cut to cut."""
    seen = look(data)
    match seen.found:
        case Format():
            end = f"{seen.end.ending} {seen.end.why}" if seen.end else ""
            return re.sub(r"\d+", "#", f"{seen.found.name}: {end}".strip())
        case NotMedia():
            return re.sub(r"\d+", "#", seen.found.what)
    return "unknown"


def runs(values: Iterable[str]) -> str:
    """`values` in short: how often in a row, and what."""
    return "; ".join(
        f"{count} × {value}" if (count := len(list(some))) > 1 else value for value, some in groupby(values)
    )


def cuts(data: bytes) -> Iterator[bytes]:
    for length in range(SMALLEST - 1, len(data) + 1):
        if length < SMALLEST + NEAR or length > len(data) - NEAR:
            yield data[:length]


def changed(data: bytes) -> Iterator[bytes]:
    for change in CHANGES:
        for at in range(min(CHANGED_OF_MOVIES if b"stsz" in data else CHANGED, len(data))):
            yield data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]


def frame_lengths(header: bytes) -> list[str]:
    """Of each kind that sees a frame: its length in bytes (0: none), for every value of every byte but the first."""
    lengths = (
        [str(kind.at(header[:at] + bytes([value]) + header[at + 1 :], 0)) for value in range(256)]
        for kind in KINDS
        for at in range(1, len(header))
    )
    return [runs(some) for some in lengths if set(some) != {"0"}]


def verdicts() -> dict[str, dict[str, Any]]:
    return {
        "cut": {name: runs(map(verdict, cuts(data))) for name, data in NAMED.items()},
        "changed": {name: runs(map(verdict, changed(data))) for name, data in NAMED.items()},
        "frame lengths": {name: frame_lengths(header) for name, header in HEADERS.items()},
    }


PINNED = json.loads(VERDICTS.read_text()) if VERDICTS.exists() else {}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_said_of_a_file_that_is_cut(name: str) -> None:
    assert runs(map(verdict, cuts(NAMED[name]))) == PINNED["cut"][name]


@pytest.mark.parametrize("name", NAMED)
def test_what_is_said_of_a_file_whose_first_bytes_change(name: str) -> None:
    assert runs(map(verdict, changed(NAMED[name]))) == PINNED["changed"][name]


@pytest.mark.parametrize("name", HEADERS)
def test_how_long_an_audio_frame_is_by_its_header(name: str) -> None:
    assert frame_lengths(HEADERS[name]) == PINNED["frame lengths"][name]


if __name__ == "__main__":
    VERDICTS.write_text(json.dumps(verdicts(), indent=1, ensure_ascii=False) + "\n")
