"""HLS playlists: what they refer to, what is refused, what they look like when they refer to our own names."""

from __future__ import annotations

import pytest
from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.hls.playlist import Kind, parse
from clipferry.transfer.interface import Code
from hypothesis import given
from hypothesis import strategies as st

BASE = "https://media.example.com/a/b/index.m3u8?token=t0"
MEDIA = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{uri}\n#EXT-X-ENDLIST\n"


def media(*lines: str, end: bool = True) -> bytes:
    body = ["#EXTM3U", "#EXT-X-VERSION:4", "#EXT-X-TARGETDURATION:4", *lines, *(["#EXT-X-ENDLIST"] if end else [])]
    return "\n".join(body).encode()


def refusal(content: bytes) -> Code:
    with pytest.raises((Hopeless, AttemptFailed)) as caught:
        parse(content, BASE)
    return caught.value.code


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("seg1.ts", "https://media.example.com/a/b/seg1.ts"),
        ("../seg1.ts?sign=1", "https://media.example.com/a/seg1.ts?sign=1"),
        ("/seg1.ts", "https://media.example.com/seg1.ts"),
        ("//cdn.example.com/seg1.ts", "https://cdn.example.com/seg1.ts"),
        ("http://cdn.example.com/x.ts#t=1", "http://cdn.example.com/x.ts"),
    ],
)
def test_references_are_resolved_against_where_the_playlist_was_found(uri, url):
    (reference,) = parse(MEDIA.format(uri=uri).encode(), BASE).references
    assert (reference.kind, reference.url) == (Kind.SEGMENT, url)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_lines_are_understood(newline):
    content = "\ufeff" + MEDIA.format(uri="s.ts").replace("\n", newline)
    assert parse(content.encode(), BASE).render(lambda _: "x.ts").splitlines()[-2:] == ["x.ts", "#EXT-X-ENDLIST"]


def test_a_master_playlist_refers_to_variants_audio_and_trick_play():
    content = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English, stereo",URI="audio/en.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"
low/index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="low/iframes.m3u8"
"""
    playlist = parse(content, BASE)
    assert playlist.master
    assert [r.url.removeprefix("https://media.example.com/a/b/") for r in playlist.references] == [
        "audio/en.m3u8",
        "low/index.m3u8",
        "low/iframes.m3u8",
    ]
    lines = playlist.render(lambda r: f"v/{r.url[-6]}.m3u8").splitlines()
    assert lines[1] == '#EXT-X-MEDIA:URI="v/n.m3u8",TYPE=AUDIO,GROUP-ID="a",NAME="English, stereo"'
    assert lines[2] == '#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="CC",INSTREAM-ID="CC1"'
    assert lines[3:5] == ['#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"', "v/x.m3u8"]


def test_byte_ranges_become_spans_and_the_tags_go():
    content = media(
        '#EXT-X-MAP:URI="all.mp4",BYTERANGE="800@0"',
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:1000@800",
        "all.mp4",
        "#EXTINF:4,",
        "#EXT-X-BYTERANGE:500",
        "all.mp4",
    )
    playlist = parse(content, BASE)
    assert [(r.kind, r.span) for r in playlist.references] == [
        (Kind.INIT, (0, 800)),
        (Kind.SEGMENT, (800, 1000)),
        (Kind.SEGMENT, (1800, 500)),
    ]
    assert "BYTERANGE" not in playlist.render(lambda _: "x")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (media('#EXT-X-KEY:METHOD=AES-128,URI="k"', "#EXTINF:4,", "s.ts"), Code.HLS_ENCRYPTED),
        (media('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"', "#EXTINF:4,", "s.ts"), Code.HLS_ENCRYPTED),
        (media("#EXT-X-KEY:", "#EXTINF:4,", "s.ts"), Code.HLS_ENCRYPTED),
        (
            b'#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8',
            Code.HLS_ENCRYPTED,
        ),
        (media("#EXTINF:4,", "s.ts", end=False), Code.HLS_LIVE),
        (media(), Code.HLS_INVALID),
        (b"#EXTM3U", Code.HLS_INVALID),
        (media("#EXT-X-STREAM-INF:BANDWIDTH=1", "v.m3u8"), Code.HLS_INVALID),
        (media("#EXT-X-SKIP:SKIPPED-SEGMENTS=3", "#EXTINF:4,", "s.ts"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "#EXT-X-GAP", "s.ts"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "data:video/mp2t;base64,Rw=="), Code.HLS_INVALID),
        (media("#EXTINF:4,", "file:///etc/passwd"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "https://[::1/s.ts"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "{$host}/s.ts"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "#EXT-X-BYTERANGE:10", "s.ts"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "#EXT-X-BYTERANGE:x@0", "s.ts"), Code.HLS_INVALID),
        (b"<html><body>502</body></html>", Code.NOT_A_VIDEO),
        (b'{"code": 403}', Code.NOT_A_VIDEO),
        (b"", Code.NOT_A_VIDEO),
    ],
)
def test_what_cannot_be_copied_is_refused_by_its_own_code(content, code):
    assert refusal(content) is code


def test_unencrypted_by_its_own_words_is_not_encrypted():
    assert "KEY" not in parse(media("#EXT-X-KEY:METHOD=NONE", "#EXTINF:4,", "s.ts"), BASE).render(lambda _: "x")


def test_tags_that_lead_elsewhere_do_not_survive():
    content = media(
        '#EXT-X-DATERANGE:ID="ad",X-ASSET-URI="https://ads.example.com/?token=secret"',
        "# https://example.com/?secret",
        '#EXT-X-CONTENT-STEERING:SERVER-URI="https://steer.example.com/secret"',
        "#EXTINF:4,",
        "s.ts?token=secret",
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="next.ts?secret"',
    )
    assert "secret" not in parse(content, BASE).render(lambda _: "v0/00001.ts")


@given(
    st.lists(
        st.sampled_from(
            [
                "#EXTM3U",
                "#EXTINF:1,",
                "s.ts",
                "../../x",
                "#EXT-X-KEY:METHOD=NONE",
                '#EXT-X-MAP:URI="i.mp4"',
                "#EXT-X-MAP:",
                "#EXT-X-BYTERANGE:5@9",
                "#EXT-X-BYTERANGE:5",
                "#EXT-X-STREAM-INF:",
                '#EXT-X-MEDIA:URI=""',
                "#EXT-X-ENDLIST",
                "http://[",
                "#EXT",
                "\x00",
                "é\u2028s.ts",
            ]
        )
        | st.text(max_size=30)
    )
)
def test_any_text_is_either_a_playlist_or_refused(lines):
    content = "\n".join(["#EXTM3U", *lines]).encode("utf-8", "replace")
    try:
        playlist = parse(content, BASE)
    except (Hopeless, AttemptFailed):
        return
    references = list(playlist.references)
    assert references
    assert all(r.url.startswith(("http://", "https://")) for r in references)
    rendered = playlist.render(lambda r: "x.ts").encode()
    assert len(list(parse(rendered, BASE).references)) == len(references)
