"""A check of a file's end asks for few ranges, once each, whether they are read or pass by."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from clipferry.transfer.media import End, EndCheck, Ending, EndWatch, Span, check_end
from clipferry.transfer.media.ending import MAX_READ, WINDOW

DATA = bytes(n * 7 % 251 for n in range(100_000))
WHOLE = End(Ending.COMPLETE)


def asking(*spans: Span, seen: list[bytes]) -> Generator[Span, bytes, End]:
    """A check that asks for these ranges, and notes what it gets."""
    for span in spans:
        seen.append((yield span))
    return WHOLE


def ranges(*spans: Span, head: int = 0, size: int = len(DATA)) -> list[Span]:
    """What is read for a check that asks for these ranges."""
    seen: list[bytes] = []
    check, read = EndCheck(asking(*spans, seen=seen), DATA[:head], size), list[Span]()
    while check.wanted is not None:
        assert check.end is None
        read.append(check.wanted)
        check.give(DATA[check.wanted.start : check.wanted.start + check.wanted.length])
    assert check.end == WHOLE
    assert seen == [DATA[span.start : min(span.start + span.length, size)] for span in spans]
    return read


def test_a_range_is_read_with_what_lies_behind_it() -> None:
    assert ranges(Span(50, 4)) == [Span(50, WINDOW)]
    assert ranges(Span(50, 4), Span(60, WINDOW - 10), Span(70, WINDOW - 19)) == [
        Span(50, WINDOW),
        Span(70, WINDOW),
    ]
    assert ranges(Span(50, WINDOW + 1)) == [Span(50, WINDOW + 1)]
    assert ranges(Span(len(DATA) - 4, 4)) == [Span(len(DATA) - 4, 4)]


def test_what_lies_in_the_head_is_not_read_again() -> None:
    assert ranges(Span(0, 16), Span(84, 16), head=100) == []
    assert ranges(Span(85, 16), head=100) == [Span(85, WINDOW)]
    assert ranges(Span(0, 200), head=100, size=100) == []
    assert ranges(Span(50_000, 4), Span(0, 100), head=100) == [Span(50_000, WINDOW)]


def test_what_was_read_before_the_last_range_is_read_again() -> None:
    assert ranges(Span(0, 4), Span(50_000, 4), Span(0, 4)) == [
        Span(0, WINDOW),
        Span(50_000, WINDOW),
        Span(0, WINDOW),
    ]


def test_behind_the_end_there_is_nothing_to_read() -> None:
    assert ranges(Span(len(DATA), 4), Span(len(DATA) + 9, 4)) == []


def test_no_range_is_longer_than_may_be_read_at_once() -> None:
    seen: list[bytes] = []
    check = EndCheck(asking(Span(0, 3 * MAX_READ), seen=seen), b"", 4 * MAX_READ)
    assert check.wanted == Span(0, MAX_READ)
    check.give(bytes(MAX_READ))
    assert (check.end, [len(data) for data in seen]) == (WHOLE, [MAX_READ])


@pytest.mark.parametrize(("reads", "proven"), [(2, False), (3, True)])
def test_no_more_ranges_are_read_than_may_be(reads: int, proven: bool) -> None:
    check = EndCheck(asking(*(Span(n, 1) for n in (0, 30_000, 60_000)), seen=[]), b"", len(DATA), reads=reads)
    while check.wanted is not None:
        check.give(DATA[check.wanted.start :][: check.wanted.length])
    assert check.end == (WHOLE if proven else End(Ending.UNPROVEN, "has more parts than are looked at"))


def test_bytes_that_nobody_asked_for_are_a_mistake() -> None:
    check = EndCheck(asking(seen=[]), b"", 10)
    with pytest.raises(RuntimeError, match="nothing was asked for"):
        check.give(b"x")


@pytest.mark.parametrize("block", [1, 100, 16_384, 30_000, 100_000])
def test_a_check_sees_its_ranges_while_the_file_passes(block: int) -> None:
    seen: list[bytes] = []
    spans = (Span(0, 16), Span(40_000, 20_000), Span(50_000, 9), Span(99_990, 10))
    watch = EndWatch(EndCheck(asking(*spans, seen=seen), b"", len(DATA)))
    for at in range(0, len(DATA), block):
        if at:
            watch.see(at, memoryview(DATA[at : at + block]))
            continue
        assert watch.end is None
        watch.see(0, memoryview(DATA[:block]))
    assert watch.end == WHOLE
    assert seen == [DATA[span.start : span.start + span.length] for span in spans]


def test_a_check_that_goes_back_to_what_has_passed_tells_nothing() -> None:
    watch = EndWatch(EndCheck(asking(Span(50_000, 9), Span(0, 9), seen=[]), b"", len(DATA)))
    for at in range(0, len(DATA), 10_000):
        watch.see(at, memoryview(DATA[at : at + 10_000]))
    assert watch.end is None


def test_a_check_that_begins_too_late_tells_nothing() -> None:
    watch = EndWatch(EndCheck(asking(Span(0, 9), seen=[]), b"", len(DATA)))
    watch.see(1, memoryview(DATA[1:]))
    watch.see(0, memoryview(DATA))
    assert watch.end is None


def test_a_check_is_run_with_a_reader() -> None:
    seen: list[bytes] = []
    spans = (Span(0, 4), Span(40_000, 30_000))
    assert check_end(asking(*spans, seen=seen), lambda at, n: DATA[at : at + n], DATA[:99], len(DATA)) == WHOLE
    assert seen == [DATA[:4], DATA[40_000:70_000]]


@pytest.mark.parametrize(
    ("ending", "whole"),
    [(Ending.COMPLETE, True), (Ending.OPEN, True), (Ending.CUT, False), (Ending.UNPROVEN, False)],
)
def test_an_end_is_whole_as_far_as_the_format_can_tell(ending: Ending, whole: bool) -> None:
    assert End(ending).whole is whole
