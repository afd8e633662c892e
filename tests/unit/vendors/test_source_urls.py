"""URLs as identities: an echo stands for the URL that it is closest to, and never for two."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from clipferry.vendors.source_urls import Reading, alike, apart, closest, reading
from hypothesis import given
from hypothesis import strategies as st

BASE = "https://media.example.com/"
PAIRS = [
    ("a%20b.mp4", "a b.mp4"),
    ("a+b.mp4", "a%20b.mp4"),
    ("a%2Fb.mp4", "a/b.mp4"),
    ("%e5%bd%95.mp4", "%E5%BD%95.mp4"),
    ("%E5%BD%95.mp4", "录.mp4"),
    ("100%.mp4", "100%25.mp4"),
    ("a%2520b.mp4", "a%20b.mp4"),
    ("a.mp4?", "a.mp4"),
    ("a.mp4?x=1&y=%26", "a.mp4?x=1&y=&"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_urls_that_differ_in_their_writing_alone_are_two_and_each_exact_echo_is_its_own(
    first: str, second: str
) -> None:
    urls = [BASE + first, BASE + second]
    assert [closest(urls, url) for url in urls] == [0, 1]
    assert alike(urls[0]) == alike(urls[1])
    assert apart(urls, [0, 1], 10) == [[0], [1]]


@pytest.mark.parametrize("url", [BASE + path for pair in PAIRS for path in pair])
def test_an_echo_that_is_encoded_as_a_whole_or_has_blanks_around_it_is_recognised(url: str) -> None:
    assert reading(url, quote(url, safe="")) is Reading.ENCODED
    assert reading(url, f" {url}\n") is Reading.EXACT


@pytest.mark.parametrize("url", [BASE + path for path in ("a%20b.mp4", "%E5%BD%95.mp4", "a%2Fb.mp4")])
def test_an_echo_that_is_decoded_is_recognised(url: str) -> None:
    assert reading(url, unquote(url)) is Reading.RECODED


def test_an_echo_that_two_urls_are_equally_close_to_stands_for_none() -> None:
    assert closest([BASE + "a%20b", BASE + "a+b"], BASE + "a b") is None


@pytest.mark.parametrize("echo", ["", "https://media.example.com/other.mp4", "https://evil.example/a.mp4", "a.mp4"])
def test_another_url_is_no_echo(echo: str) -> None:
    assert reading(BASE + "a.mp4", echo) is None


@given(st.lists(st.sampled_from([BASE + path for pair in PAIRS for path in pair]), unique=True), st.integers(1, 5))
def test_groups_hold_every_url_once_and_no_two_that_are_alike(urls: list[str], size: int) -> None:
    groups = apart(urls, range(len(urls)), size)
    assert sorted(index for group in groups for index in group) == list(range(len(urls)))
    for group in groups:
        assert len({alike(urls[index]) for index in group}) == len(group) <= size
