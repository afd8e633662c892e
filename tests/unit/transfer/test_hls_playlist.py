"""HLS playlists: what they refer to, what is refused, what they look like when they refer to our own names."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from clipferry.transfer.errors import AttemptFailed, Hopeless
from clipferry.transfer.hls.playlist import Kind, Playlist, parse
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
        (media('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"', "#EXTINF:4,", "s.ts"), Code.HLS_ENCRYPTED),
        (media("#EXT-X-KEY:", "#EXTINF:4,", "s.ts"), Code.HLS_ENCRYPTED),
        (media("#EXTINF:4,", "s.ts", end=False), Code.HLS_LIVE),
        (media(), Code.HLS_INVALID),
        (b"#EXTM3U", Code.HLS_INVALID),
        (media("#EXT-X-STREAM-INF:BANDWIDTH=1", "v.m3u8", "#EXTINF:4,", "s.ts"), Code.HLS_INVALID),
        (b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"', Code.HLS_INVALID),
        (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1", Code.HLS_INVALID),
        (media('#EXT-X-MAP:URI=""', "#EXTINF:4,", "s.ts"), Code.HLS_INVALID),
        (media("#EXT-X-MAP:", "#EXTINF:4,", "s.ts"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "index.m3u8?token=t0"), Code.HLS_INVALID),
        (media("#EXTINF:4,", "https://media.example.com/a/b/index.m3u8?token=t0#x"), Code.HLS_INVALID),
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


# --- as players read ---


def parsed(*lines: str, **others: Any) -> Playlist:
    return parse(media(*lines), BASE, **others)


def urls(playlist: Playlist) -> list[str]:
    return [reference.url.removeprefix("https://media.example.com/a/b/") for reference in playlist.references]


@pytest.mark.parametrize("ahead", ["\n", "\r\n\n", "# by a machine\n", "##\n\n# EXTM3U\n", "\ufeff\n", " \t\n"])
def test_comments_and_blank_lines_may_stand_ahead_of_the_first_tag(ahead):
    text = parse(ahead.encode() + MEDIA.format(uri="s.ts").encode(), BASE).render(lambda _: "x.ts")
    assert text.startswith("#EXTM3U\n#EXT-X-TARGETDURATION:4\n")


@pytest.mark.parametrize("ahead", ["#EXT-X-VERSION:3\n", "hello\n", "<html>\n", "\x00"])
def test_other_things_ahead_of_the_first_tag_are_no_playlist(ahead):
    assert refusal(ahead.encode() + MEDIA.format(uri="s.ts").encode()) is Code.NOT_A_VIDEO


def test_attribute_lists_are_read_however_they_are_written():
    content = b"""#EXTM3U
#EXT-X-MEDIA: type=AUDIO , group-id="a, b" ,Name="x=1", URI=audio.m3u8,=,broken,DEFAULT=YES,default=NO,A B=1
#EXT-X-STREAM-INF:Bandwidth = 1,CODECS="avc1.4d401e,mp4a.40.2",X-COM-LINK="https://ads.example.com/?secret",AUDIO="a, b
low.m3u8
"""
    lines = parse(content, BASE).render(lambda _: "x.m3u8").splitlines()
    assert lines[1:] == [
        '#EXT-X-MEDIA:URI="x.m3u8",TYPE=AUDIO,GROUP-ID="a, b",NAME="x=1",DEFAULT=NO',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="a, b"',
        "x.m3u8",
    ]


@pytest.mark.parametrize("rendition", ['TYPE=AUDIO,URI=""', 'TYPE=VIDEO,URI=" "', 'TYPE=CLOSED-CAPTIONS,URI="cc.m3u8"'])
def test_a_rendition_that_is_in_the_variants_themselves_is_no_reference(rendition):
    content = f'#EXTM3U\n#EXT-X-MEDIA:{rendition},GROUP-ID="a",NAME="x"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n'
    playlist = parse(content.encode(), BASE)
    assert urls(playlist) == ["low.m3u8"]
    assert "URI" not in playlist.render(lambda _: "x")


def test_a_variants_attributes_stay_with_its_location():
    content = (
        b"#EXTM3U\nstray.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\n# comment\n#EXT-X-VERSION:3\nlow.m3u8\nstray.m3u8\n"
    )
    playlist = parse(content, BASE)
    assert urls(playlist) == ["low.m3u8"]
    assert playlist.render(lambda _: "x").splitlines()[-2:] == ["#EXT-X-STREAM-INF:BANDWIDTH=1", "x"]


def test_the_last_tag_ahead_of_a_location_says_what_it_is():
    assert parse(b"#EXTM3U\n#EXTINF:1,\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-ENDLIST", BASE).master
    assert not parsed("#EXT-X-STREAM-INF:BANDWIDTH=1", "#EXTINF:4,", "s.ts").master


def test_a_title_that_is_a_url_goes():
    text = parsed("#EXTINF:4,see https://ads.example.com/?secret", "s.ts").render(lambda _: "x")
    assert "#EXTINF:4,\nx\n" in text


# --- variables ---


def test_variables_stand_for_their_values_in_locations_and_attributes():
    playlist = parsed(
        '#EXT-X-DEFINE:NAME="host",VALUE="https://cdn.example.com"',
        '#EXT-X-DEFINE:NAME="path",VALUE="{$host}/p"',
        '#EXT-X-DEFINE:QUERYPARAM="token"',
        '#EXT-X-MAP:URI="{$path}/i.mp4"',
        "#EXTINF:4,",
        "{$path}/s.ts?t={$token}",
    )
    assert urls(playlist) == ["https://cdn.example.com/p/i.mp4", "https://cdn.example.com/p/s.ts?t=t0"]
    assert "{$" not in playlist.render(lambda _: "x")
    assert "DEFINE" not in playlist.render(lambda _: "x")


def test_variables_are_imported_from_the_playlist_above():
    master = parse(
        b'#EXTM3U\n#EXT-X-DEFINE:NAME="v",VALUE="1"\n#EXT-X-STREAM-INF:BANDWIDTH=1,NAME="{$v}"\n{$v}/low.m3u8', BASE
    )
    assert urls(master) == ["1/low.m3u8"]
    assert 'NAME="1"' in master.render(lambda _: "x")
    below = parsed('#EXT-X-DEFINE:IMPORT="v"', "#EXTINF:4,", "{$v}.ts", above=master.variables)
    assert urls(below) == ["1.ts"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["#EXTINF:4,", "{$who}.ts"], "'who'"),
        (["#EXTINF:4,", "{$late}.ts", '#EXT-X-DEFINE:NAME="late",VALUE="x"'], "'late'"),
        (['#EXT-X-DEFINE:IMPORT="v"'], "playlist above"),
        (['#EXT-X-DEFINE:QUERYPARAM="sign"'], "no such parameter"),
        (['#EXT-X-DEFINE:NAME="v"'], "no value"),
        (['#EXT-X-DEFINE:VALUE="v"'], "without a name"),
        (['#EXT-X-DEFINE:NAME="a b",VALUE="v"'], "without a name"),
        (['#EXT-X-DEFINE:NAME="v",VALUE=""', "#EXTINF:4,", "{$v}"], "empty"),
    ],
)
def test_variables_that_mean_nothing_are_told(lines, words):
    with pytest.raises(Hopeless, match=words) as caught:
        parse(media(*lines, "#EXTINF:4,", "s.ts"), BASE)
    assert caught.value.code is Code.HLS_INVALID


def test_a_parameter_of_the_url_cannot_add_lines_to_the_playlist():
    base = "https://media.example.com/index.m3u8?n=x%22%0A%23EXT-X-KEY"
    with pytest.raises(Hopeless, match="line break"):
        parse(media('#EXT-X-DEFINE:QUERYPARAM="n"', "#EXTINF:4,", "{$n}.ts"), base)


def test_variables_do_not_grow_without_bound():
    value = "v" * 8000
    lines = [f'#EXT-X-DEFINE:NAME="a",VALUE="{value}"', *["#EXTINF:4,", "{$a}" * 100] * 50]
    assert refusal(media(*lines)) is Code.HLS_TOO_LARGE


# --- time ---

LONG = 256 * 1024


@pytest.mark.parametrize(
    "line",
    [
        "#EXT-X-STREAM-INF:" + "A" * LONG,
        "#EXT-X-STREAM-INF:" + "," * LONG + "A=1",
        "#EXT-X-STREAM-INF:" + "A=" * (LONG // 2),
        "#EXT-X-STREAM-INF:" + 'A="' * (LONG // 3),
        "#EXT-X-STREAM-INF:" + 'A="x",' * (LONG // 6),
        "#EXT-X-MEDIA:TYPE=AUDIO,URI=" + " " * LONG + "x",
        "#EXT-X-MEDIA:" + "\t" * LONG + "=",
        "#EXT-X-KEY:METHOD=AES-128,IV=0x" + "0" * LONG,
        "#EXT-X-KEY:METHOD=" + "-" * LONG,
        "#EXT-X-MAP:URI=" + "../" * (LONG // 3),
        "#EXT-X-MAP:URI=" + "/" * LONG,
        "#EXT-X-BYTERANGE:" + "1" * LONG,
        "#EXT-X-MEDIA-SEQUENCE:" + "1" * LONG,
        "#EXTINF:" + "9" * LONG,
        "#EXT-X-DEFINE:NAME=" + "a" * LONG,
        "#EXT-X-DEFINE:" + "{$a" * (LONG // 3),
        "{$" * (LONG // 2),
        "{$a" * (LONG // 3),
        "../" * (LONG // 3) + "x",
        "a/" * (LONG // 2) + "../" * 1000,
        "http://" + "[" * LONG,
        "http://" + "a." * (LONG // 2),
        "?" * LONG,
        "#" * LONG,
        "#EXT" + " " * LONG,
        " " * LONG + "x",
        "\ufeff" * (LONG // 3),
        "%" * LONG,
    ],
    ids=lambda line: line[:20],
)
def test_a_line_of_256_kb_takes_less_than_two_seconds(line):
    for lines in (["#EXTM3U", line], ["#EXTM3U", "#EXT-X-STREAM-INF:BANDWIDTH=1", "low.m3u8", line, "x"]):
        began = time.process_time()
        with suppress(Hopeless, AttemptFailed):
            parse("\n".join([*lines, "#EXTINF:1,", "s.ts", "#EXT-X-ENDLIST"]).encode(), BASE)
        assert time.process_time() - began < 2.0


def test_many_lines_take_time_that_grows_with_their_number():
    url = f"https://media.example.com/index.m3u8?{'a=b&' * 3000}token=t"
    began = time.process_time()
    with suppress(Hopeless):
        parse(media(*['#EXT-X-DEFINE:QUERYPARAM="token"'] * 20_000, "#EXTINF:4,", "s.ts"), url)
    keys = [f'#EXT-X-KEY:METHOD=AES-128,URI="k{n}",KEYFORMAT="f{n}"' for n in range(20_000)]
    with suppress(Hopeless):
        parse(media(*keys, *["#EXTINF:4,", "s.ts"] * 20_000), BASE)
    assert time.process_time() - began < 5.0


@given(
    st.lists(
        st.sampled_from(
            [
                "#EXTM3U",
                "#EXTINF:1,",
                "s.ts",
                "../../x",
                "#EXT-X-KEY:METHOD=NONE",
                '#EXT-X-KEY:METHOD=AES-128,URI="k"',
                '#EXT-X-DEFINE:NAME="a",VALUE="b"',
                "{$a}.ts",
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
    assert b"{$a}" not in rendered
    assert len(list(parse(rendered, BASE).references)) == len(references)
