"""When a schedule fires: `cron(…)`, `rate(…)` and `at(…)` in the syntax of EventBridge Scheduler. Pure.

Each field is checked here, so that an error message can name the field, and before the schedule is stored (EventBridge
Scheduler User Guide: "Schedule types").
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product

FORMS = "cron(minutes hours day-of-month month day-of-week year), rate(value unit) or at(yyyy-mm-ddThh:mm:ss)"
FIRST_YEAR, LAST_YEAR = 1970, 2199


class BadExpression(ValueError):
    """The expression is invalid; the message says why, and does not repeat it."""


@dataclass(frozen=True)
class RateExpression:
    """Every `value` units, counted from the schedule's start."""

    value: int
    unit: str

    def __str__(self) -> str:
        return f"rate({self.value} {self.unit})"

    def after(self, moment: datetime, start: datetime) -> datetime:
        """The first firing after a moment, counted from a start. A day is 24 hours, also when clocks change."""
        if start > moment:
            return start
        every = timedelta(**{self.unit.rstrip("s") + "s": self.value})
        return start + ((moment - start) // every + 1) * every


@dataclass(frozen=True)
class At:
    """Once, at a time of the schedule's own time zone."""

    when: datetime

    def __str__(self) -> str:
        return f"at({self.when.isoformat(timespec='seconds')})"


@dataclass(frozen=True)
class Cron:
    """The six fields as written, and what they mean."""

    fields: tuple[str, ...]
    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    years: frozenset[int]
    days: Days

    def __str__(self) -> str:
        return f"cron({' '.join(self.fields)})"

    def after(self, moment: datetime) -> datetime | None:
        """The first firing after a moment, in the moment's time zone; None when there is none.

        As in Scheduler, a firing in the hour that clocks skip is left out, and a firing in the hour that they repeat
        happens once.
        """
        day = self.first_day(moment.date())
        while day:
            for hour, minute in product(sorted(self.hours), sorted(self.minutes)):
                firing = datetime(day.year, day.month, day.day, hour, minute, tzinfo=moment.tzinfo)
                if firing.astimezone(UTC) > moment.astimezone(UTC) and exists(firing):
                    return firing
            day = self.first_day(day + timedelta(days=1))
        return None

    def first_day(self, start: date) -> date | None:
        """The first day from `start` on with a firing; None when there is none, as for a 30 February."""
        for year in sorted(year for year in self.years if year >= start.year):
            for month in sorted(self.months):
                for day in self.days.of(year, month):
                    if (found := date(year, month, day)) >= start:
                        return found
        return None


@dataclass(frozen=True)
class Days:
    """Days of a month: by number if `weekdays` is empty, by weekday (1 is Sunday) otherwise."""

    numbers: frozenset[int] = frozenset()
    last: bool = False  # L: the last day of the month
    near: frozenset[int] = frozenset()  # 15W: the working day nearest to the 15th
    last_working: bool = False  # LW
    weekdays: frozenset[int] = frozenset()
    last_weekdays: frozenset[int] = frozenset()  # 6L: the month's last Friday
    nth: tuple[int, int] | None = None  # 3#2: the second Tuesday

    def of(self, year: int, month: int) -> Iterator[int]:
        length = calendar.monthrange(year, month)[1]
        return (day for day in range(1, length + 1) if self._holds(date(year, month, day), length))

    def _holds(self, day: date, length: int) -> bool:
        weekday = day.isoweekday() % 7 + 1
        return (
            day.day in self.numbers
            or (self.last and day.day == length)
            or any(n <= length and day.day == _working_day(day.year, day.month, n, length) for n in self.near)
            or (self.last_working and day.day == _working_day(day.year, day.month, length, length))
            or weekday in self.weekdays
            or (weekday in self.last_weekdays and day.day > length - 7)
            or self.nth == (weekday, (day.day - 1) // 7 + 1)
        )


def exists(local: datetime) -> bool:
    """Whether the clocks of its time zone ever show this time."""
    try:
        shown = local.astimezone(UTC).astimezone(local.tzinfo)
    except OverflowError:  # before the year 1 or after 9999 in UTC
        return False
    return shown.replace(tzinfo=None, fold=0) == local.replace(tzinfo=None, fold=0)


def parse(text: str) -> Cron | RateExpression | At:
    """Raises BadExpression."""
    form = re.fullmatch(r"(cron|rate|at)\((.*)\)", text)
    if not form:
        raise BadExpression(f"must be {FORMS}")
    kind, inside = form.groups()
    return _cron(inside) if kind == "cron" else _rate(inside) if kind == "rate" else _at(inside)


def _rate(inside: str) -> RateExpression:
    form = re.fullmatch(r"([0-9]{1,6}) (minute|hour|day)(s?)", inside)
    if not form or form[1].startswith("0"):
        raise BadExpression("rate() takes a whole number above 0 and minutes, hours or days, as in rate(5 minutes)")
    value, unit, plural = int(form[1]), form[2], form[3]
    if (value == 1) is bool(plural):
        right = unit if value == 1 else f"{unit}s"
        raise BadExpression(f"rate() of {value} takes the unit {right}, as in rate({value} {right})")
    return RateExpression(value, unit + plural)


def _at(inside: str) -> At:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}", inside):
        raise BadExpression("at() takes a time without an offset, as in at(2027-01-31T08:00:00)")
    try:
        when = datetime.fromisoformat(inside)
    except ValueError:
        raise BadExpression("at() holds a date or time that does not exist") from None
    if when.year > LAST_YEAR:
        raise BadExpression(f"at() takes years up to {LAST_YEAR}")
    return At(when)


# -- cron ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int]
    wraps: bool = True  # whether a range may pass the highest number and go on at the lowest

    def numbers(self, text: str) -> frozenset[int]:
        """The numbers of `*`, of values, ranges and steps, and of lists of these. Raises BadExpression."""
        if text == "*":
            return frozenset(range(self.low, self.high + 1))
        return frozenset(number for item in text.split(",") for number in self._item(item))

    def number(self, text: str) -> int:
        value = self.names.get(text.upper())
        if value is None and re.fullmatch("[0-9]{1,4}", text):
            value = int(text)
        if value is None or not self.low <= value <= self.high:
            words = f" or {next(iter(self.names))}-{list(self.names)[-1]}" if self.names else ""
            raise self.wrong(f"takes {self.low}-{self.high}{words}")
        return value

    def wrong(self, why: str) -> BadExpression:
        return BadExpression(f"the field {self.name} of cron() {why}")

    def _item(self, item: str) -> Iterator[int]:
        """The numbers of a value or a range. A range that ends before it starts continues at the field's lowest number:
        20-2 of hours is 20, 21, 22, 23, 0, 1, 2 (EventBridge Scheduler User Guide: "Cron-based schedules")."""
        base, slash, step = item.partition("/")
        if base == "*" and slash:
            low, high = self.low, self.high
        else:
            first, dash, last = base.partition("-")
            low = self.number(first)
            high = self.number(last) if dash else self.high if slash else low
        if slash and not (re.fullmatch("[0-9]{1,4}", step) and 1 <= int(step) <= self.high):
            raise self.wrong(f"takes steps from 1 to {self.high}")
        if low > high and not self.wraps:
            raise self.wrong("holds a range that ends before it starts")
        numbers = self.high - self.low + 1
        end = high if low <= high else high + numbers
        return (self.low + (number - self.low) % numbers for number in range(low, end + 1, int(step) if slash else 1))


def _named(first: int, text: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(text.split(), first)}


_MINUTES, _HOURS = _Field("minutes", 0, 59, {}), _Field("hours", 0, 23, {})
_DAY = _Field("day-of-month", 1, 31, {})
_MONTH = _Field("month", 1, 12, _named(1, "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"))
_WEEKDAY = _Field("day-of-week", 1, 7, _named(1, "SUN MON TUE WED THU FRI SAT"))
_YEAR = _Field("year", FIRST_YEAR, LAST_YEAR, {}, wraps=False)


def _cron(inside: str) -> Cron:
    fields = tuple(inside.split())
    if len(fields) != 6:
        raise BadExpression(
            f"cron() takes six fields, minutes hours day-of-month month day-of-week year, not {len(fields)}"
        )
    minutes, hours, day, month, weekday, year = fields
    at = _MINUTES.numbers(minutes), _HOURS.numbers(hours)
    if (day == "?") is (weekday == "?"):
        raise BadExpression("exactly one of day-of-month and day-of-week of cron() must be ?")
    days = _weekdays(weekday) if day == "?" else _days(day)
    return Cron(fields, *at, _MONTH.numbers(month), _YEAR.numbers(year), days)


def _days(text: str) -> Days:
    if text.upper() == "LW":
        return Days(last_working=True)
    items = text.upper().split(",")
    near = frozenset(_DAY.number(item[:-1]) for item in items if item.endswith("W"))
    plain = ",".join(item for item in items if item != "L" and not item.endswith("W"))
    return Days(numbers=_DAY.numbers(plain) if plain else frozenset(), last="L" in items, near=near)


def _weekdays(text: str) -> Days:
    if "#" in text:
        day, _, turn = text.partition("#")
        if not re.fullmatch("[1-5]", turn):
            raise _WEEKDAY.wrong("takes one day#turn alone, with a turn from 1 to 5, as in 3#2 or TUE#2")
        return Days(nth=(_WEEKDAY.number(day), int(turn)))
    if "/" in text:
        raise _WEEKDAY.wrong("takes no steps; write the days, as in MON,WED,FRI")
    items = ["7" if item == "L" else item for item in text.upper().split(",")]  # L alone: the week's last day
    last = frozenset(_WEEKDAY.number(item[:-1]) for item in items if item.endswith("L"))
    plain = ",".join(item for item in items if not item.endswith("L"))
    return Days(weekdays=_WEEKDAY.numbers(plain) if plain else frozenset(), last_weekdays=last)


def _working_day(year: int, month: int, day: int, length: int) -> int:
    """The day from Monday to Friday that is nearest to a day, within its month."""
    weekday = date(year, month, day).isoweekday()
    if weekday == 6:
        return day - 1 if day > 1 else 3
    if weekday == 7:
        return day + 1 if day < length else day - 2
    return day
