"""Where the last sample of a movie lies, by its tables in all their forms."""

from __future__ import annotations

import pytest
from clipferry.transfer.media import End, Ending
from clipferry.transfer.media.iso_samples import samples_end

from tests.unit.transfer.media.test_formats import FTYP, table, to_the_end
from tests.unit.transfer.media.test_inspect import box
from tests.unit.transfer.media.test_real_files import look

HERE = box(b"dinf", box(b"dref", bytes(4) + b"\0\0\0\1" + box(b"url ", b"\0\0\0\1")))
ELSEWHERE = box(b"dinf", box(b"dref", bytes(4) + b"\0\0\0\1" + box(b"url ", b"\0\0\0\0")))


def track(*tables: bytes, where: bytes = HERE) -> bytes:
    return box(b"trak", box(b"tkhd", bytes(84)) + box(b"mdia", box(b"minf", where + box(b"stbl", b"".join(tables)))))


def stsc(*entries: tuple[int, int]) -> bytes:
    """(first chunk, samples of each chunk)."""
    return table(b"stsc", len(entries), *(n for first, samples in entries for n in (first, samples, 1)))


def stsz(*sizes: int) -> bytes:
    return table(b"stsz", len(sizes), *sizes, extra=bytes(4))


def alike(size: int, count: int) -> bytes:
    return box(b"stsz", bytes(4) + size.to_bytes(4, "big") + count.to_bytes(4, "big"))


def stco(*chunks: int) -> bytes:
    return table(b"stco", len(chunks), *chunks)


def co64(*chunks: int) -> bytes:
    return box(b"co64", bytes(4) + len(chunks).to_bytes(4, "big") + b"".join(n.to_bytes(8, "big") for n in chunks))


@pytest.mark.parametrize(
    ("tracks", "end"),
    [
        ([track(stsc((1, 3)), stsz(10, 20, 30), stco(1000))], 1060),
        ([track(stsc((1, 1)), stsz(10, 20, 30), stco(1000, 2000, 3000))], 3030),
        ([track(stsc((1, 1), (2, 2)), stsz(10, 20, 30), stco(1000, 2000))], 2050),
        ([track(stsc((1, 2)), stsz(10, 20, 30, 40), stco(1000, 2000))], 2070),
        ([track(stsc((1, 2)), alike(500, 4), stco(1000, 2000))], 3000),
        ([track(stsc((1, 4)), alike(500, 4), stco(1000))], 3000),
        ([track(stsc((1, 5)), alike(500, 4), stco(1000))], 1001),
        ([track(stsc((1, 4)), alike(2, 4), stco(1000))], 1008),
        ([track(stsc((1, 4)), alike(1, 4), stco(1000))], 1001),
        ([track(stsc((1, 5)), stsz(10, 20, 30, 40), stco(1000))], 1001),
        ([track(stsc((1, 2)), stsz(0, 0), stco(1000))], 1001),
        ([track(stsc(), stsz(10), stco(1000))], 1001),
        ([track(stsc((1, 1)), stsz(10), co64(1000, 2**33))], 2**33 + 10),
        ([track(stsc((1, 1)), stsz(10), stco())], 0),
        ([track(stsc((1, 1)), stsz(10), table(b"stco", 9, 1000))], 0),
        ([track(stsc((1, 1)), stsz(10), table(b"stco", 2, 1000))], 0),
        ([track(stsc((1, 1)), table(b"stsz", 2, 10, extra=bytes(4)), stco(1000))], 1001),
        ([track(table(b"stsc", 2, 1, 1, 1), stsz(10), stco(1000))], 1001),
        ([track(stsc((1, 1)), stsz(10), stco(1000), where=ELSEWHERE)], 0),
        ([track(stsc((1, 1)), stsz(10), stco(1000)), track(stsc((1, 1)), stsz(10), stco(3000))], 3010),
        ([track(stsc((1, 1)), stsz(10), stco(3000)), track(stsc((1, 1)), stsz(99), stco(1000))], 3010),
        ([track(stsc((1, 1)), stsz(10), stco(1000)), track(stsc((1, 1)), stsz(10), stco(3000), where=ELSEWHERE)], 1010),
        ([track(stsc((1, 4096)), stsz(*[1] * 4096), stco(1000))], 5096),
        ([track(stsc((1, 4097)), stsz(*[1] * 4097), stco(1000))], 1001),
        ([box(b"mvhd", bytes(100)), track(stsc((1, 1)), stsz(10), stco(1000)), box(b"udta", bytes(30))], 1010),
        ([track(stsc((1, 1)), stsz(10), stco(1000)), b"\0\0\0\7trak", track(stsc((1, 1)), stsz(10), stco(3000))], 1010),
        ([box(b"free")] * 498 + [track(stsc((1, 1)), stsz(10), stco(1000))], 0),
        ([], 0),
    ],
)
def test_the_end_of_the_last_sample_is_found_in_every_form_of_the_tables(tracks: list[bytes], end: int) -> None:
    movie = b"\x05" * 40 + b"".join(tracks)
    steps = samples_end(40, len(movie))
    found = None
    reply: bytes | None = None
    while found is None:
        try:
            span = next(steps) if reply is None else steps.send(reply)
        except StopIteration as stop:
            found = stop.value
            break
        reply = movie[span.start : span.start + span.length]
    assert found == end


@pytest.mark.parametrize(("present", "missing"), [(3000, 0), (2999, 1), (5000, 0)])
def test_a_movie_is_cut_where_its_last_sample_is(present: int, missing: int) -> None:
    def of(chunk: int) -> bytes:
        return FTYP + box(b"moov", track(stsc((1, 3)), alike(1000, 3), stco(chunk)))

    start = len(of(0)) + 8
    data = of(start) + to_the_end(b"mdat", b"\x05" * present)

    why = f"ends at byte {len(data)}, its last sample at byte {len(data) + missing}"
    assert look(data).end == (End(Ending.CUT, why) if missing else End(Ending.COMPLETE))
