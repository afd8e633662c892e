"""When a recording is whole: pure rules over files, lengths and time gone by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from clipferry.vendors.contract import VendorRefused
from clipferry.vendors.linkvisual.api import CHINA, Segment, moment, segments, zone_of
from clipferry.vendors.linkvisual.recording import (
    FILE_SECONDS,
    Expected,
    Wholeness,
    adopted_wholeness,
    covered,
    plausible,
    recordings,
)
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
OPEN, WHOLE, SHORT, NONE = Wholeness.OPEN, Wholeness.WHOLE, Wholeness.SHORT, Wholeness.NONE


def files(*spans: tuple[float, float]) -> list[Segment]:
    return [
        Segment(f"f{i}", START + timedelta(seconds=begin), START + timedelta(seconds=end))
        for i, (begin, end) in enumerate(spans)
    ]


@pytest.mark.parametrize(("duration", "count"), [(10, 1), (1800, 1), (1801, 2), (3600, 2), (4200, 3), (7200, 4)])
def test_thirty_minutes_make_a_file(duration, count):
    assert Expected(duration).files == count


@pytest.mark.parametrize(
    ("duration", "spans", "elapsed", "verdict"),
    [
        (60, [], 0, OPEN),
        (60, [], 360, OPEN),
        (60, [], 361, NONE),
        (60, [(0, 60)], 70, WHOLE),
        (60, [(0, 20)], 70, OPEN),  # another piece may follow
        (60, [(0, 20)], 91, WHOLE),
        (60, [(0, 20), (30, 60)], 70, OPEN),
        (60, [(0, 20), (30, 60)], 91, OPEN),  # a camera that divides finely may have more to upload
        (60, [(0, 20), (30, 60)], 361, SHORT),
        (600, [(30 * n, 30 * n + 30) for n in range(19)], 631, OPEN),
        (600, [(30 * n, 30 * n + 30) for n in range(19)], 901, WHOLE),
        (600, [(30 * n, 30 * n + 30) for n in range(20)], 605, WHOLE),
        (60, [(0, 20), (20, 60)], 70, WHOLE),
        (1805, [(0, 1800)], 1900, OPEN),  # five seconds are still missing
        (1805, [(0, 1800), (1800, 1805)], 1900, WHOLE),
        (4200, [(0, 4200)], 4300, WHOLE),  # a vendor that did not split
        (4200, [(0, 4197)], 4300, WHOLE),
        (4200, [(0, 1800), (1800, 3600)], 4300, OPEN),
        (4200, [(0, 1800), (1800, 3600)], 4501, SHORT),
        (4200, [(0, 1800), (0, 1800), (0, 1800)], 4210, OPEN),  # the same half-hour thrice is not the whole
    ],
)
def test_a_recording_is_whole_by_count_and_cover(duration, spans, elapsed, verdict):
    assert Expected(duration).wholeness(files(*spans), elapsed) is verdict


def test_a_camera_that_cannot_record_before_the_trigger_still_makes_a_whole_recording():
    assert Expected(60, pre_record=10).wholeness(files((0, 50)), 60) is WHOLE


def test_without_times_the_count_decides():
    assert Expected(4200).wholeness([Segment("a"), Segment("b"), Segment("c")], 4210) is WHOLE
    assert Expected(4200).wholeness([Segment("a"), Segment("b")], 4210) is OPEN


@given(
    duration=st.integers(10, 7200),
    lengths=st.lists(st.integers(0, 1800), max_size=5),
    elapsed=st.floats(0, 20_000),
)
def test_the_verdict_is_final_once_the_grace_is_over_and_never_none_with_files(duration, lengths, elapsed):
    begins = [sum(lengths[:i]) for i in range(len(lengths))]
    found = files(*[(b, b + n) for b, n in zip(begins, lengths, strict=True)])
    verdict = Expected(duration).wholeness(found, elapsed)
    assert (verdict is NONE) <= (not found)
    if elapsed > duration + 300:
        assert verdict is not OPEN
    if verdict is WHOLE:
        assert len(found) >= Expected(duration).files or covered(found) >= duration - 5


@pytest.mark.parametrize(
    ("spans", "elapsed", "verdict"),
    [
        ([], 60, OPEN),
        ([], 61, NONE),
        ([(0, 60)], 0, WHOLE),
        ([(0, 1800), (1800, 2400)], 0, WHOLE),
        ([(0, 1800)], 100, OPEN),
        ([(0, 1800)], 2101, WHOLE),
        ([(0, 1800), (1800, 3600)], 2101, OPEN),
        ([(0, 1800), (3600, 4000)], 30, OPEN),  # the middle is missing
        ([(0, 1800), (3600, 4000)], 61, WHOLE),
    ],
)
def test_an_adopted_recording_ends_with_a_file_that_is_not_full(spans, elapsed, verdict):
    assert adopted_wholeness(files(*spans), elapsed, START) is verdict


def test_a_full_last_file_of_long_ago_is_the_last():
    assert adopted_wholeness(files((0, 1800)), 0, START + timedelta(days=1)) is WHOLE


def test_an_adopted_recording_without_times_is_given_a_minute():
    assert adopted_wholeness([Segment("a")], 50, START) is OPEN
    assert adopted_wholeness([Segment("a")], 61, START) is WHOLE


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 2000)), max_size=6))
def test_overlaps_count_once(spans):
    seconds = {second for begin, length in spans for second in range(begin, begin + length)}
    assert covered(files(*[(b, b + n) for b, n in spans])) == len(seconds)


def test_files_that_follow_a_full_one_belong_to_it_even_when_others_lie_between():
    found = files((0, 1800), (5, 65), (1800, 2400), (3000, 3060))
    grouped = [[f.name for f in group] for group in recordings(found)]
    assert grouped == [["f0", "f2"], ["f1"], ["f3"]]


def test_only_recordings_near_the_trigger_and_not_longer_than_asked_for_are_plausible_the_nearest_first():
    found = files((-40, 20), (-8, 52), (3, 63), (4, 1804), (80, 140), (200, 260))
    near = plausible(found, Expected(60), START)
    assert [group[0].name for group in near] == ["f2", "f1", "f4"]


@pytest.mark.parametrize(
    ("spans", "asked", "names"),
    [
        ([(2, 32), (32, 62), (62, 102)], 100, ["f0", "f1", "f2"]),
        ([(2, 32), (33, 62), (62, 102)], 100, ["f0", "f1", "f2"]),  # the vendor's times are whole seconds
        ([(2, 32), (32, 62)], 100, None),  # too short
        ([(2, 32), (32, 62), (65, 105)], 100, None),  # another recording, a call later
        ([(2, 32), (32, 62), (62, 92), (92, 122)], 100, None),  # too long
        ([(2, 32), (32, 62)], 30, ["f0"]),  # a whole one goes before a row
        ([(95, 125), (125, 155)], 60, None),  # too late
    ],
)
def test_a_finely_divided_recording_is_plausible_as_a_whole(spans, asked, names):
    expected = Expected(asked)
    near = [r for r in plausible(files(*spans), expected, START) if expected.length_fits(r)]
    assert [[f.name for f in row] for row in near[:1]] == ([names] if names else [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-01-02 11:04:05", START),
        ("2025-01-02T03:04:05Z", START),
        (1735787045, START),
        ("1735787045", START),
        (1735787045000, START),
        ("", None),
        (None, None),
        ("yesterday", None),
        ([], None),
        ("0001-01-01 00:00:00", None),
        ("9999-12-31 23:59:59", None),
        (-5, None),
        (True, None),
    ],
)
def test_times_are_read_in_every_form_seen(value, expected):
    assert moment(value, CHINA) == expected


@pytest.mark.parametrize(
    ("offset", "hours"), [("", 8), ("+08:00", 8), ("8", 8), ("-3", -3), ("-03:30", -3.5), ("+0530", 5.5), (" 0 ", 0)]
)
def test_a_zone_is_an_offset(offset, hours):
    assert zone_of(offset) == timezone(timedelta(hours=hours))


@pytest.mark.parametrize("offset", ["Asia/Shanghai", "25", "+8:0:0", "24:00"])
def test_any_other_zone_is_a_malformed_account(offset):
    with pytest.raises(VendorRefused) as raised:
        zone_of(offset)
    assert raised.value.kind == "ACCOUNT_MALFORMED"


def test_a_listing_is_read_in_order_and_each_name_once():
    listing = [
        {"FileName": "b", "BeginTime": "2025-01-02 11:34:05", "EndTime": "2025-01-02 11:44:05"},
        {"FileName": "a", "BeginTime": "2025-01-02 11:04:05", "EndTime": "2025-01-02 11:34:05"},
        {"FileName": "c"},
        {"FileName": "a"},
        {"FileName": ""},
        {},
        None,
        3,
    ]
    found = segments(listing, CHINA)
    assert [(s.name, s.seconds) for s in found] == [("a", FILE_SECONDS), ("b", 600), ("c", 0)]
    assert [Segment.from_detail(s.name, s.detail()) for s in found] == found
    assert segments(listing[0], CHINA) == found[1:2]
