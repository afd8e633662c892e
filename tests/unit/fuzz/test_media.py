"""Whatever the bytes of a file are, what they are and where they end is told in time and in few small reads."""

from __future__ import annotations

import ast
from pathlib import Path

from clipferry.transfer import media
from clipferry.transfer.media.ending import MAX_READ, MAX_READS, End
from clipferry.transfer.media.formats import Format
from clipferry.transfer.media.identify import end_check, head_wanted, identify
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fuzz.hostile import fuzzed, in_time
from tests.unit.transfer.source_server import video

SIZE_MAX = 300_000  # bytes of a file here


def marks() -> list[bytes]:
    """The bytes by which the code knows a format."""
    found = {b"\x47", b"\x00\x00\x01\xba", b"\xff\xfb", b"ID3\x04"}
    for path in Path(media.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, bytes) and node.value:
                found.add(node.value)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "bytes.fromhex":
                found.add(bytes.fromhex(str(ast.literal_eval(node.args[0]))))
    return sorted(found)


LENGTHS = (0, 1, 2, 7, 8, 16, 188, 1000, 0x7FFFFFFF, 0xFFFFFFFF)
pieces = st.one_of(
    st.sampled_from(marks()),
    st.binary(max_size=12),
    st.builds(lambda n, order: n.to_bytes(4, order), st.sampled_from(LENGTHS), st.sampled_from(["big", "little"])),
    st.builds(lambda n: n.to_bytes(8, "big"), st.integers(0, 2**64 - 1)),
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Pieces that formats are made of, some of them many times; or an MP4 with something changed."""
    if draw(st.integers(0, 3)) == 0:
        good, at, piece = video(20_000), draw(st.integers(0, 100)), draw(pieces)
        return (good[:at] + piece + good[at + len(piece) * draw(st.integers(0, 1)) :])[: draw(st.integers(0, 20_100))]
    content = b"".join(
        piece * times
        for piece, times in draw(st.lists(st.tuples(pieces, st.sampled_from([1, 1, 1, 2, 40, 3000])), max_size=12))
    )
    times = draw(st.sampled_from([1, 1, 5, 500, 100_000]))
    return content * min(times, SIZE_MAX // max(1, len(content)) + 1)


@fuzzed(120)
@given(content=files())
def test_any_bytes_are_of_a_format_or_of_none_and_end_somewhere(content: bytes) -> None:
    with in_time():
        head = b""
        while (wanted := min(head_wanted(head, len(content)), len(content))) > len(head):
            head = content[:wanted]
        kind = identify(head, len(content))
        if not isinstance(kind, Format):
            return
        check, reads = end_check(kind, head, len(content)), 0
        while check.wanted is not None:
            reads += 1
            assert 0 < check.wanted.length <= MAX_READ
            check.give(content[check.wanted.start : check.wanted.start + check.wanted.length])
    assert reads <= MAX_READS
    assert isinstance(check.end, End)
