"""How many ranges are read at once: by what the source says, and by whether they arrive before the end of the call."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from clipferry.transfer import connection_limit
from clipferry.transfer.connection_limit import ConnectionLimit, Reading

MIB = 1024 * 1024
PART = 8 * MIB
CALL = 865.0  # seconds that a download call has for its requests
MOST = 16
OPERATIONS = (Path(__file__).parents[3] / "docs/operations.md").read_text()


def reading(position: int = 0, length: int = PART) -> Reading:
    return Reading(("", position), length)


def soon() -> float:
    return time.monotonic() + 0.02


def later() -> float:
    return time.monotonic() + 5


# -- what the source says ---------------------------------------------------------------------------------------------


def test_it_halves_once_for_a_storm_of_refusals_and_climbs_one_by_one() -> None:
    limit = ConnectionLimit(16)
    for _ in range(5):
        refused = reading()
        assert limit.enter(refused, later())
        limit.slow_down(0.0)
        limit.leave(refused, good=False)
    assert limit.limit == 8
    climbed = []
    for _ in range(200):
        whole = reading()
        assert limit.enter(whole, later())
        limit.leave(whole, good=True)
        climbed.append(limit.limit)
    assert climbed[7:9] == [9, 9]
    assert climbed[-1] == 16


def test_nobody_gets_a_place_before_the_wait_that_the_source_asked_for_is_over() -> None:
    limit = ConnectionLimit(2)
    limit.slow_down(0.1)
    assert not limit.enter(reading(), soon())
    assert limit.enter(reading(), later())


def test_it_lets_no_more_in_than_its_limit_and_nobody_after_the_deadline() -> None:
    limit, first = ConnectionLimit(1), reading()
    assert limit.enter(first, later())
    assert not limit.enter(reading(), soon())
    threading.Timer(0.02, lambda: limit.leave(first, good=True)).start()
    assert limit.enter(reading(), later())


def test_a_free_place_is_for_what_comes_first_in_the_file() -> None:
    limit, first, order = ConnectionLimit(1), reading(), list[int]()
    assert limit.enter(first, later())

    def wait(waiting: Reading) -> None:
        assert limit.enter(waiting, later())
        order.append(waiting.position[1])
        limit.leave(waiting, good=False)

    threads = [threading.Thread(target=wait, args=(reading(position),)) for position in (3, 1, 2)]
    for thread in threads:
        thread.start()
    while len(limit._readings) < 4:
        time.sleep(0.001)
    limit.leave(first, good=False)
    for thread in threads:
        thread.join()
    assert order == [1, 2, 3]


def test_closing_sends_everybody_away_who_waits() -> None:
    limit, answers = ConnectionLimit(1), list[bool]()
    assert limit.enter(reading(), later())
    threads = [
        threading.Thread(target=lambda: answers.append(limit.enter(reading(), time.monotonic() + 60))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    limit.close()
    for thread in threads:
        thread.join()
    assert answers == [False] * 3
    assert time.monotonic() - began < 5
    assert not limit.enter(reading(), later())


# -- what arrives in time ---------------------------------------------------------------------------------------------


class Blocked(Exception):
    """Whoever would have waited."""


class Alone:
    """In place of the condition: nobody waits in a simulation."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
    def notify_all(self) -> None: ...
    def wait(self, _: float) -> None:
        raise Blocked


@dataclass
class Simulation:
    """Calls of a copy in time that passes by steps. Speeds in bytes a second: of all connections, and of each."""

    shared: float = 1e12
    each: float = 1e12
    most: int = MOST
    part: int = PART
    first: int | None = None  # connections at the start of the next call
    now: float = 0.0
    under_way: list[Reading] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def call(self, parts: int) -> int:
        """How many of the next parts one call stores. A part is begun while one like the last would arrive."""
        limit = ConnectionLimit(self.most, self.first)
        limit._changed = Alone()  # type: ignore[assignment]
        begun, stored, slowest, ends = 0, 0, 0.0, self.now + CALL
        self.under_way = []
        while self.now < ends:
            room = min(self.most, limit.limit)
            while begun < parts and len(self.under_way) < room and self.now + slowest + 10 < ends:
                begun += 1
                self.under_way.append(reading(begun, self.part))
            if not self.under_way:
                break
            self._admit(limit, ends)
            self._send(0.5)
            for each in list(self.under_way):
                if each.received >= each.length:
                    slowest = max(slowest, self.now - each.begun)
                    limit.leave(each, good=True)
                    self.under_way.remove(each)
                    stored += 1
                elif each.active and each.paused:
                    limit.leave(each, good=False)
            limit.review(ends - self.now)
        self.first = limit.next_first
        return stored

    def _admit(self, limit: ConnectionLimit, until: float) -> None:
        for each in self.under_way:
            if not each.active:
                try:
                    limit.enter(each, until)
                except Blocked:
                    continue

    def _send(self, seconds: float) -> None:
        active = [each for each in self.under_way if each.active]
        for each in active:
            each.received += int(min(self.each, self.shared / len(active)) * seconds)
        self.now += seconds

    def calls(self, parts: int) -> list[int]:
        """What each call stores until all is stored, or six in a row have stored nothing."""
        stored: list[int] = []
        while sum(stored) < parts and stored[-6:] != [0] * 6:
            stored.append(self.call(parts - sum(stored)))
        return stored


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Any:
    def simulation(**what: Any) -> Simulation:
        made = Simulation(**what)
        monkeypatch.setattr(connection_limit, "time", made)
        return made

    return simulation


@pytest.mark.parametrize("most", [1, 4, 16, 64])
@pytest.mark.parametrize("speed", [10.5e3, 12e3, 30e3, 100e3, 155e3, 400e3, 1e6, 10e6])
def test_a_bandwidth_that_all_connections_share_stores_at_least_half_of_what_it_sends(
    simulated: Any, speed: float, most: int
) -> None:
    parts = max(4, int(4 * speed * CALL / PART))
    stored = simulated(shared=speed, most=most).calls(parts)
    assert sum(stored) == parts
    assert sum(count == 0 for count in stored) <= 1, "at the start, until one connection reads alone"
    assert len(stored) <= 2 + 2 * parts * PART / (speed * CALL)


@pytest.mark.parametrize("speed", [100e3, 155e3])
def test_a_weak_source_stores_its_first_parts_in_the_first_call(simulated: Any, speed: float) -> None:
    """Sixteen connections alone would not get one whole part each within a call."""
    assert MOST * PART / speed > CALL
    assert simulated(shared=speed).call(parts=1000) >= 8


@pytest.mark.parametrize("speed", [15e3, 30e3, 100e3])
def test_connections_that_have_a_bandwidth_each_are_all_kept(simulated: Any, speed: float) -> None:
    simulation = simulated(each=speed)
    batches = int(CALL / (PART / speed))
    assert simulation.call(parts=1000) == MOST * batches
    assert simulation.first == MOST


def test_connections_grow_again_from_call_to_call_where_parts_arrive(simulated: Any) -> None:
    simulation = simulated(each=12e3, first=1)
    started_with = []
    for _ in range(6):
        started_with.append(simulation.first)
        assert simulation.call(parts=1000) == simulation.first - 1 or simulation.first == MOST
    assert started_with == [1, 2, 3, 4, 5, 6]


def test_connections_grow_at_once_where_there_is_time(simulated: Any) -> None:
    simulation = simulated(each=1e6, first=1)
    simulation.call(parts=1000)
    assert simulation.first == MOST


def test_a_source_that_goes_quiet_for_a_minute_has_all_its_connections_again_soon(simulated: Any) -> None:
    simulation = simulated(each=2e6)
    speeds = iter([*[2e6] * 100, *[0.0] * 130])
    send = simulation._send

    def with_a_gap(seconds: float) -> None:
        simulation.each = next(speeds, 2e6)
        send(seconds)

    simulation._send = with_a_gap
    simulation.call(parts=2000)
    assert simulation.first == MOST


def test_a_source_that_sends_nothing_is_asked_by_fewer_in_the_next_call(simulated: Any) -> None:
    simulation = simulated(shared=0.0)
    assert simulation.calls(parts=10) == [0] * 6
    assert simulation.first == 1


def test_a_call_that_read_nothing_says_nothing_about_connections() -> None:
    assert ConnectionLimit(16, 5).next_first == 5
    assert ConnectionLimit(4, 9).next_first == 4


def test_a_paused_range_keeps_what_it_has_and_goes_on_when_there_is_room(simulated: Any) -> None:
    """Together they would both be late. One after the other takes 860 seconds, and 27 more if one began again."""
    simulation = simulated(shared=100e3, most=2, part=43_000_000)
    assert simulation.call(parts=2) == 2


@pytest.mark.parametrize(("speed", "most"), [(50e3, 48), (100e3, 25), (155e3, 16)])
def test_a_gigabyte_takes_as_many_calls_as_the_operations_say(simulated: Any, speed: float, most: int) -> None:
    parts = -(-(10**9) // PART)
    calls = len(simulated(shared=speed).calls(parts))
    assert f"| {speed / 1000:.0f} KB/s | {most} | {calls} |" in OPERATIONS
    assert calls <= most <= 2 + 2 * 10**9 / (speed * CALL)
