"""cron, rate and at: what EventBridge Scheduler takes is taken, and every mistake is told in its own words."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from clipferry.intake.schedule_expressions import At, BadExpression, Cron, Days, RateExpression, exists, parse
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 11, 21)  # a Saturday


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("cron(0 10 * * ? *)", TODAY),
        ("cron(15 12 * * ? 2027)", date(2027, 1, 1)),
        ("cron(0 18 ? * MON-FRI *)", date(2026, 11, 23)),
        ("cron(0/5 8-17 ? * 2-6 *)", date(2026, 11, 23)),
        ("cron(0,30 9 ? jan,Jul Sun *)", date(2027, 1, 3)),
        ("cron(0 8 1 * ? *)", date(2026, 12, 1)),
        ("cron(0 8 1/7 * ? *)", date(2026, 11, 22)),
        ("cron(0 8 L * ? *)", date(2026, 11, 30)),
        ("cron(0 8 L 2 ? 2028)", date(2028, 2, 29)),
        ("cron(0 8 LW * ? *)", date(2026, 11, 30)),
        ("cron(0 8 LW 1 ? 2027)", date(2027, 1, 29)),  # the 31st is a Sunday
        ("cron(0 8 21W * ? *)", date(2026, 12, 21)),  # the 21st is a Saturday, its nearest working day the 20th
        ("cron(0 8 22W * ? *)", date(2026, 11, 23)),
        ("cron(0 8 1W 8 ? 2027)", date(2027, 8, 2)),  # the 1st is a Sunday
        ("cron(0 8 1W 5 ? 2027)", date(2027, 5, 3)),  # the 1st is a Saturday: never into the month before
        ("cron(0 8 31W 10 ? 2027)", date(2027, 10, 29)),  # the 31st is a Sunday: never into the month after
        ("cron(0 8 ? * L *)", TODAY),
        ("cron(0 8 ? * 6L *)", date(2026, 11, 27)),
        ("cron(0 8 ? * FRIL *)", date(2026, 11, 27)),
        ("cron(0 8 ? * 3#2 *)", date(2026, 12, 8)),
        ("cron(0 8 ? * TUE#2 *)", date(2026, 12, 8)),
        ("cron(0 8 29 2 ? *)", date(2028, 2, 29)),
        ("cron(0 8 30 2 ? *)", None),
        ("cron(0 8 * * ? 2025)", None),
        ("cron(0 8 ? 2 SUN#5 2027-2030)", None),
    ],
)
def test_a_cron_expression_fires_on_the_days_it_names(text: str, first: date | None) -> None:
    expression = parse(text)

    assert isinstance(expression, Cron)
    assert expression.first_day(TODAY) == first
    assert str(expression) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be cron"),
        ("every day", "must be cron"),
        ("0 2 * * ? *", "must be cron"),
        ("cron(0 2 * * ? *", "must be cron"),
        ("Cron(0 2 * * ? *)", "must be cron"),
        ("cron(0 2 * * ? *)\n", "must be cron"),
        ("cron()", "six fields"),
        ("cron(0 2 * * ?)", "six fields"),
        ("cron(0 0 2 * * ? *)", "six fields"),
        ("cron(60 2 * * ? *)", "minutes of cron() takes 0-59"),
        ("cron(-1 2 * * ? *)", "minutes"),
        ("cron(? 2 * * ? *)", "minutes"),
        ("cron(0 24 * * ? *)", "hours of cron() takes 0-23"),
        ("cron(0 2 0 * ? *)", "day-of-month of cron() takes 1-31"),
        ("cron(0 2 32 * ? *)", "day-of-month"),
        ("cron(0 2 W * ? *)", "day-of-month"),
        ("cron(0 2 1#2 * ? *)", "day-of-month"),
        ("cron(0 2 * 13 ? *)", "month of cron() takes 1-12 or JAN-DEC"),
        ("cron(0 2 * MAI ? *)", "month"),
        ("cron(0 2 ? * 0 *)", "day-of-week of cron() takes 1-7 or SUN-SAT"),
        ("cron(0 2 ? * 8 *)", "day-of-week"),
        ("cron(0 2 ? * MON/2 *)", "no steps"),
        ("cron(0 2 ? * 3#6 *)", "day#turn"),
        ("cron(0 2 ? * 3#1,6#3 *)", "alone"),
        ("cron(0 2 * * ? 1969)", "year of cron() takes 1970-2199"),
        ("cron(0 2 * * ? 2200)", "year"),
        ("cron(0 2 * * * *)", "must be ?"),
        ("cron(0 2 ? * ? *)", "must be ?"),
        ("cron(0 2 1 * MON *)", "must be ?"),
        ("cron(0 2 1 1 ? 2030-2027)", "ends before it starts"),
        ("cron(0/0 2 * * ? *)", "steps from 1 to 59"),
        ("cron(0/60 2 * * ? *)", "steps"),
        ("cron(0/x 2 * * ? *)", "steps"),
        ("cron(0, 2 * * ? *)", "minutes"),
        ("cron(1- 2 * * ? *)", "minutes"),
        ("cron(٣ 2 * * ? *)", "minutes"),
        ("cron(/5 2 * * ? *)", "minutes"),
        ("rate(1 minutes)", "rate(1 minute)"),
        ("rate(5 minute)", "rate(5 minutes)"),
        ("rate(2 hour)", "rate(2 hours)"),
        ("rate(1 days)", "rate(1 day)"),
        ("rate(0 minutes)", "above 0"),
        ("rate(-1 minutes)", "above 0"),
        ("rate(1.5 hours)", "whole number"),
        ("rate(5 weeks)", "minutes, hours or days"),
        ("rate(30 seconds)", "minutes"),
        ("rate(5)", "rate()"),
        ("rate(5  minutes)", "rate()"),
        ("rate(05 minutes)", "rate()"),
        ("at(2027-01-31)", "without an offset"),
        ("at(2027-01-31T08:00:00Z)", "without an offset"),
        ("at(2027-01-31T08:00)", "without an offset"),
        ("at(2027-02-29T08:00:00)", "does not exist"),
        ("at(2027-01-31T24:00:00)", "does not exist"),
        ("at(9999-12-31T23:59:59)", "2199"),
    ],
)
def test_what_cannot_be_is_told_in_words_about_its_place(text: str, why: str) -> None:
    with pytest.raises(BadExpression) as caught:
        parse(text)
    assert why in str(caught.value)


@given(st.integers(1, 999_999), st.sampled_from(["minute", "hour", "day"]))
def test_every_rate_with_its_right_unit_is_taken_as_it_is(value: int, unit: str) -> None:
    right, wrong = (unit, f"{unit}s") if value == 1 else (f"{unit}s", unit)
    assert parse(f"rate({value} {right})") == RateExpression(value, right)
    assert str(parse(f"rate({value} {right})")) == f"rate({value} {right})"
    with pytest.raises(BadExpression):
        parse(f"rate({value} {wrong})")


@given(st.datetimes(max_value=datetime(2199, 12, 31)))
def test_every_at_is_taken_as_it_is(when: datetime) -> None:
    text = f"at({when.replace(microsecond=0).isoformat()})"
    assert isinstance(parse(text), At)
    assert str(parse(text)) == text


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "since", "firing"),
    [
        ("cron(30 2 * * ? *)", "2027-03-27T02:30:00+01:00", "2027-03-29T02:30:00+02:00"),  # the 28th has no 02:30
        ("cron(0 * * * ? *)", "2027-03-28T01:00:00+01:00", "2027-03-28T03:00:00+02:00"),
        ("cron(30 2 * * ? *)", "2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("cron(30 2 * * ? *)", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),  # the 25th has two 02:30
        ("cron(30 2 * * ? *)", "2026-10-25T02:00:00+01:00", "2026-10-26T02:30:00+01:00"),
        ("cron(15,45 8-9 ? * MON *)", "2026-11-23T08:45:00+01:00", "2026-11-23T09:15:00+01:00"),
        ("cron(15,45 8-9 ? * MON *)", "2026-11-23T09:45:00+01:00", "2026-11-30T08:15:00+01:00"),
        ("cron(59 23 31 12 ? 2199)", "2026-11-23T09:45:00+01:00", "2199-12-31T23:59:00+01:00"),
        ("cron(59 23 31 12 ? 2026)", "2026-12-31T23:59:00+01:00", None),
        ("cron(30 2 28 3 ? 2027)", "2027-01-01T00:00:00+01:00", None),
    ],
)
def test_the_next_firing_is_by_the_clocks_of_its_time_zone(text: str, since: str, firing: str | None) -> None:
    expression = parse(text)

    assert isinstance(expression, Cron)
    found = expression.after(datetime.fromisoformat(since).astimezone(BERLIN))
    assert (found and found.isoformat()) == firing


# -- cron as a grammar -------------------------------------------------------------------------------------------------


def values(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """One item of a field, and what it stands for."""
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(lambda pair: (min(pair), max(pair)))
    step = st.integers(1, high)
    return st.one_of(
        number.map(lambda n: (str(n), {n})),
        ranges.map(lambda r: (f"{r[0]}-{r[1]}", set(range(r[0], r[1] + 1)))),
        st.tuples(number, step).map(lambda p: (f"{p[0]}/{p[1]}", set(range(p[0], high + 1, p[1])))),
        st.tuples(ranges, step).map(lambda p: (f"{p[0][0]}-{p[0][1]}/{p[1]}", set(range(p[0][0], p[0][1] + 1, p[1])))),
        step.map(lambda n: (f"*/{n}", set(range(low, high + 1, n)))),
    )


def field(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    items = st.lists(values(low, high), min_size=1, max_size=3)
    joined = items.map(lambda found: (",".join(text for text, _ in found), set().union(*(n for _, n in found))))
    return st.just(("*", set(range(low, high + 1)))) | joined


YEARS = st.tuples(st.integers(2026, 2032), st.integers(0, 3)).map(
    lambda pair: (f"{pair[0]}-{sum(pair)}", set(range(pair[0], sum(pair) + 1)))
)


@given(field(0, 59), field(0, 23), field(1, 31), field(1, 12), YEARS)
def test_every_field_of_the_grammar_means_what_it_says(
    minutes: tuple[str, set[int]],
    hours: tuple[str, set[int]],
    days: tuple[str, set[int]],
    months: tuple[str, set[int]],
    years: tuple[str, set[int]],
) -> None:
    expression = parse(f"cron({minutes[0]} {hours[0]} {days[0]} {months[0]} ? {years[0]})")

    assert isinstance(expression, Cron)
    wanted = (
        day
        for day in (TODAY + timedelta(days=n) for n in range(366 * 10))
        if day.day in days[1] and day.month in months[1] and day.year in years[1]
    )
    assert expression.first_day(TODAY) == next(wanted, None)


@given(st.integers(1, 7), st.integers(1, 5), st.integers(2026, 2040), st.integers(1, 12))
def test_the_nth_and_the_last_weekday_agree_with_a_calendar(weekday: int, turn: int, year: int, month: int) -> None:
    length = calendar.monthrange(year, month)[1]
    of_month = [d for d in range(1, length + 1) if date(year, month, d).isoweekday() % 7 + 1 == weekday]

    nth, last = (parse(f"cron(0 0 ? {month} {day} {year})") for day in (f"{weekday}#{turn}", f"{weekday}L"))

    assert isinstance(nth, Cron)
    assert isinstance(last, Cron)
    assert list(nth.days.of(year, month)) == of_month[turn - 1 : turn]
    assert list(last.days.of(year, month)) == of_month[-1:]


@given(st.text(alphabet="0123456789*?/,-#LWMONSUJA ()crate", max_size=40) | st.text(max_size=20))
def test_no_text_whatever_is_more_than_refused(text: str) -> None:
    for candidate in (text, f"cron({text})", f"rate({text})", f"at({text})"):
        try:
            parsed = parse(candidate)
        except BadExpression:
            continue
        assert parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ("cron(0 20-2 * * ? *)", {20, 21, 22, 23, 0, 1, 2}),
        ("cron(0 22-1/2 * * ? *)", {22, 0}),
        ("cron(0 23-23 * * ? *)", {23}),
        ("cron(0 8,22-1 * * ? *)", {8, 22, 23, 0, 1}),
    ],
)
def test_a_range_of_hours_goes_on_after_midnight(expression: str, numbers: set[int]) -> None:
    found = parse(expression)
    assert isinstance(found, Cron)
    assert found.hours == numbers


def test_every_range_but_that_of_years_may_pass_the_highest_number() -> None:
    found = parse("cron(58-1 0 ? NOV-FEB SAT-MON *)")
    assert isinstance(found, Cron)
    assert (found.minutes, found.months, found.days.weekdays) == ({58, 59, 0, 1}, {11, 12, 1, 2}, {7, 1, 2})
    days = parse("cron(0 0 30-2 * ? *)")
    assert isinstance(days, Cron)
    assert list(days.days.of(2027, 2)) == [1, 2]
    assert list(days.days.of(2027, 1)) == [1, 2, 30, 31]


def test_a_cron_expression_is_its_six_fields() -> None:
    assert parse("cron(0,30 8-9 1,15W JAN/6 ? 2027-2028)") == Cron(
        ("0,30", "8-9", "1,15W", "JAN/6", "?", "2027-2028"),
        minutes=frozenset({0, 30}),
        hours=frozenset({8, 9}),
        months=frozenset({1, 7}),
        years=frozenset({2027, 2028}),
        days=Days(numbers=frozenset({1}), near=frozenset({15})),
    )


@pytest.mark.parametrize(
    ("day", "weekday", "days"),
    [
        ("*", "?", Days(numbers=frozenset(range(1, 32)))),
        ("L", "?", Days(last=True)),
        ("l,1", "?", Days(numbers=frozenset({1}), last=True)),
        ("lw", "?", Days(last_working=True)),
        ("1w,31W", "?", Days(near=frozenset({1, 31}))),
        ("28-2/2", "?", Days(numbers=frozenset({28, 30, 1}))),
        ("?", "*", Days(weekdays=frozenset(range(1, 8)))),
        ("?", "L", Days(weekdays=frozenset({7}))),
        ("?", "sun,6l", Days(weekdays=frozenset({1}), last_weekdays=frozenset({6}))),
        ("1,15W,20", "?", Days(numbers=frozenset({1, 20}), near=frozenset({15}))),
        ("?", "mon,wed,6L", Days(weekdays=frozenset({2, 4}), last_weekdays=frozenset({6}))),
        ("?", "satL", Days(last_weekdays=frozenset({7}))),
        ("?", "1#1", Days(nth=(1, 1))),
        ("?", "sat#5", Days(nth=(7, 5))),
    ],
)
def test_days_are_read_as_scheduler_reads_them(day: str, weekday: str, days: Days) -> None:
    expression = parse(f"cron(0 0 {day} * {weekday} *)")
    assert isinstance(expression, Cron)
    assert expression.days == days
    assert expression.months == set(range(1, 13))
    assert expression.years == set(range(1970, 2200))


START = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rate", "moment", "firing"),
    [
        ("rate(5 minutes)", START - timedelta(seconds=1), START),
        ("rate(5 minutes)", START, START + timedelta(minutes=5)),
        ("rate(5 minutes)", START + timedelta(minutes=4, seconds=59), START + timedelta(minutes=5)),
        ("rate(5 minutes)", START + timedelta(minutes=5), START + timedelta(minutes=10)),
        ("rate(1 minute)", START, START + timedelta(minutes=1)),
        ("rate(2 hours)", START + timedelta(hours=5), START + timedelta(hours=6)),
        ("rate(1 hour)", START, START + timedelta(hours=1)),
        ("rate(1 day)", START, START + timedelta(days=1)),
        ("rate(3 days)", START + timedelta(days=7), START + timedelta(days=9)),
    ],
)
def test_a_rate_fires_in_steps_from_its_start(rate: str, moment: datetime, firing: datetime) -> None:
    expression = parse(rate)
    assert isinstance(expression, RateExpression)
    assert expression.after(moment, START) == firing


def test_an_at_is_its_time() -> None:
    assert parse("at(2199-12-31T23:59:59)") == At(datetime(2199, 12, 31, 23, 59, 59))
    assert parse("at(0001-01-01T00:00:00)") == At(datetime(1, 1, 1))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("cron(59 23 31 12 ? 2199)", 59, 2199),
        ("cron(0 0 1 1 ? 1970)", 0, 1970),
        ("cron(0/59 0 1 DEC ? 2027)", 59, 2027),
    ],
)
def test_the_bounds_of_the_fields_are_inside(text: str, low: int, high: int) -> None:
    expression = parse(text)
    assert isinstance(expression, Cron)
    assert max(expression.minutes) == low
    assert expression.years == {high}


@pytest.mark.parametrize(
    ("local", "shown"),
    [
        (datetime(2027, 3, 28, 1, 59), True),
        (datetime(2027, 3, 28, 2, 0), False),
        (datetime(2027, 3, 28, 2, 59), False),
        (datetime(2027, 3, 28, 3, 0), True),
        (datetime(2027, 10, 31, 2, 30), True),
        (datetime(2027, 10, 31, 2, 30, fold=1), True),
        (datetime(1, 1, 1), False),
    ],
)
def test_a_time_that_the_clocks_leave_out_does_not_exist(local: datetime, shown: bool) -> None:
    assert exists(local.replace(tzinfo=BERLIN)) is shown


@pytest.mark.parametrize(
    ("day", "weekday", "year", "month", "days"),
    [
        ("21W", "?", 2026, 11, [20]),
        ("22W", "?", 2026, 11, [23]),
        ("23W", "?", 2026, 11, [23]),
        ("1W", "?", 2027, 5, [3]),
        ("2W", "?", 2027, 5, [3]),
        ("31W", "?", 2027, 10, [29]),
        ("30W", "?", 2027, 10, [29]),
        ("31W", "?", 2026, 11, []),
        ("30W", "?", 2026, 11, [30]),
        ("LW", "?", 2027, 1, [29]),
        ("L", "?", 2028, 2, [29]),
        ("31", "?", 2026, 11, []),
        ("?", "7", 2026, 11, [7, 14, 21, 28]),
        ("?", "7L", 2026, 11, [28]),
        ("?", "1L", 2026, 11, [29]),
        ("?", "2L", 2026, 11, [30]),
        ("?", "3L", 2026, 11, [24]),
        ("?", "1#1", 2026, 11, [1]),
        ("?", "7#1", 2026, 11, [7]),
        ("?", "1#2", 2026, 11, [8]),
        ("?", "2#5", 2026, 11, [30]),
        ("?", "3#5", 2026, 11, []),
    ],
)
def test_the_days_of_a_month_are_those_of_the_calendar(
    day: str, weekday: str, year: int, month: int, days: list[int]
) -> None:
    expression = parse(f"cron(0 0 {day} * {weekday} *)")
    assert isinstance(expression, Cron)
    assert list(expression.days.of(year, month)) == days
