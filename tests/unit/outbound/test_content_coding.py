"""Content codings: what a coded body stands for, and that nothing cut, damaged or continued passes for whole."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Callable, Sequence

import pytest
from clipferry.outbound.content_coding import CodingCut, CodingError, Read, codings_of, decoded
from hypothesis import given
from hypothesis import strategies as st

PLAIN = b"frame " * 5000 + bytes(range(256)) * 40


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def with_name(data: bytes) -> bytes:
    """A gzip member with an extra field, a file name and a comment (RFC 1952 §2.3)."""
    plain = gzip.compress(data, mtime=0)
    return plain[:3] + b"\x1c" + plain[4:10] + b"\x04\x00ab\x00\x00" + b"clip.mp4\x00" + b"a comment\x00" + plain[10:]


def reader(body: bytes, step: int = 1 << 20) -> Read:
    """A body that arrives in pieces of at most `step` bytes."""
    position = 0

    def read(limit: int) -> bytes:
        nonlocal position
        assert limit > 0
        piece = body[position : position + min(limit, step)]
        position += len(piece)
        return piece

    return read


def plain(body: bytes, codings: Sequence[str], step: int = 1 << 20, limit: int = 1 << 16) -> bytes:
    read, pieces = decoded(reader(body, step), codings), []
    while piece := read(limit):
        assert len(piece) <= limit
        pieces.append(piece)
    assert read(limit) == b""
    return b"".join(pieces)


# -- names


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        (None, ()),
        ("identity", ()),
        ("gzip", ("gzip",)),
        ("X-GZip", ("gzip",)),
        ("deflate", ("deflate",)),
        ("deflate, gzip", ("deflate", "gzip")),
        ("gzip,identity,,gzip", ("gzip", "gzip")),
        ('"gzip"', ("gzip",)),
        ("aws-chunked,gzip", ("gzip",)),
    ],
)
def test_the_codings_are_named_in_the_order_in_which_they_were_applied(header: str | None, codings: object) -> None:
    assert codings_of(header) == codings


@pytest.mark.parametrize(
    "header", ["", " ", ",", "aws-chunked", "none", "None", "binary", "utf-8", "UTF-8", "8bit", "base64", "video/mp4"]
)
def test_a_coding_that_means_nothing_leaves_the_bytes_as_they_are(header: str) -> None:
    assert codings_of(header) == ()
    assert plain(PLAIN, codings_of(header)) == PLAIN


@pytest.mark.parametrize("header", ["br", "zstd", "compress", "gzip, br", "BR", "zstd;q=1"])
def test_a_coding_that_cannot_be_undone_is_refused_by_name(header: str) -> None:
    with pytest.raises(CodingError, match=r"'(br|zstd|compress)'"):
        codings_of(header)


def test_more_codings_than_anybody_applies_are_refused() -> None:
    assert len(codings_of(",".join(["gzip"] * 5))) == 5
    with pytest.raises(CodingError, match="more than 5"):
        codings_of(",".join(["gzip"] * 6))


# -- whole bodies


@pytest.mark.parametrize(
    ("body", "codings"),
    [
        (gzip.compress(PLAIN), ["gzip"]),
        (with_name(PLAIN), ["gzip"]),
        (gzip.compress(PLAIN[:1]) + with_name(PLAIN[1:]), ["gzip"]),
        (b"".join(gzip.compress(PLAIN[at : at + 900]) for at in range(0, len(PLAIN), 900)), ["gzip"]),
        (gzip.compress(b"") + gzip.compress(PLAIN) + gzip.compress(b""), ["gzip"]),
        (zlib.compress(PLAIN), ["deflate"]),
        (zlib.compress(PLAIN, wbits=9), ["deflate"]),
        (raw_deflate(PLAIN), ["deflate"]),
        (gzip.compress(zlib.compress(PLAIN)), ["deflate", "gzip"]),
        (raw_deflate(gzip.compress(PLAIN[:99]) + gzip.compress(PLAIN[99:])), ["gzip", "deflate"]),
        (gzip.compress(gzip.compress(PLAIN)), ["gzip", "gzip"]),
    ],
    ids=itertools.count(),  # not the bytes: a gzip holds the time at which it was made
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_whole_body_is_decoded_however_it_arrives(body: bytes, codings: list[str], step: int) -> None:
    assert plain(body, codings, step) == PLAIN
    assert plain(body, codings, step, limit=100) == PLAIN


@given(
    members=st.lists(st.binary(max_size=500), min_size=1, max_size=8),
    step=st.integers(1, 700),
    limit=st.integers(1, 400),
)
def test_every_member_of_a_gzip_body_is_decoded(members: list[bytes], step: int, limit: int) -> None:
    body = b"".join(gzip.compress(member) for member in members)
    assert plain(body, ["gzip"], step, limit) == b"".join(members)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_empty_body_stands_for_an_empty_one(coding: str) -> None:
    assert plain(b"", [coding]) == b""


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("body", [PLAIN, b"#EXTM3U", b"x", b"\x1f\x8c"])
def test_a_body_that_is_gzip_by_its_label_only_is_handed_on(body: bytes, step: int) -> None:
    assert plain(body, ["gzip"], step) == body
    assert plain(body, ["gzip"], step, limit=3) == body


def test_a_bare_deflate_stream_is_told_from_a_zlib_stream_by_all_of_its_header() -> None:
    """A stored block (RFC 1951 §3.2.4) whose padding bits make its first two bytes divisible by 31, as zlib's are."""
    length = next(size for size in range(256) if (0xF800 + size) % 31 == 0)
    block = bytes([0xF8, length, 0, 0xFF - length, 0xFF]) + PLAIN[:length]
    assert plain(block + b"\x01\x00\x00\xff\xff", ["deflate"]) == PLAIN[:length]


# -- bodies that are not whole


@pytest.mark.parametrize(
    ("pack", "coding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (raw_deflate, "deflate")]
)
def test_a_body_cut_anywhere_is_never_whole(pack: Callable[[bytes], bytes], coding: str) -> None:
    body = pack(b"some frames " * 9)
    for end in range(1, len(body)):
        with pytest.raises(CodingCut):
            plain(body[:end], [coding])


def test_a_body_cut_in_a_later_member_is_never_whole() -> None:
    body, first = gzip.compress(b"one") + gzip.compress(b"two"), len(gzip.compress(b"one"))
    for end in (*range(1, first), *range(first + 1, len(body))):
        with pytest.raises(CodingCut):
            plain(body[:end], ["gzip"], step=5)


@pytest.mark.parametrize("behind", [b"\x00", bytes(512), b"garbage", b"\x1f\x8b\x07", b"\n"])
@pytest.mark.parametrize(
    ("pack", "coding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (raw_deflate, "deflate")]
)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_bytes_behind_the_end_are_refused(
    behind: bytes, pack: Callable[[bytes], bytes], coding: str, step: int
) -> None:
    with pytest.raises(CodingError, match="behind the end"):
        plain(pack(PLAIN) + behind, [coding], step)


def test_bytes_behind_the_end_of_an_inner_coding_are_refused() -> None:
    with pytest.raises(CodingError, match="behind the end"):
        plain(gzip.compress(zlib.compress(PLAIN) + b"more"), ["deflate", "gzip"])


@pytest.mark.parametrize(("pack", "coding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
@pytest.mark.parametrize("place", [20, -6, -1])
def test_a_damaged_body_is_refused(pack: Callable[[bytes], bytes], coding: str, place: int) -> None:
    body = bytearray(pack(PLAIN))
    body[place] ^= 0x55
    with pytest.raises(CodingError):
        plain(bytes(body), [coding])


# -- memory


def test_memory_does_not_grow_with_what_a_body_expands_to() -> None:
    bomb = gzip.compress(bytes(40_000_000))
    double = gzip.compress(bomb)
    for body, codings in ((bomb, ["gzip"]), (double, ["gzip", "gzip"]), (gzip.compress(b"") * 20_000, ["gzip"])):
        read = decoded(reader(body), codings)
        tracemalloc.start()
        size = 0
        while piece := read(1 << 16):
            size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size in (0, 40_000_000)
        assert peak < 1_000_000
