"""URLs as vendors write them: encoded where they are not, left alone where they are, refused where they are none."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from clipferry.outbound.address_guard import check_url
from clipferry.outbound.url_encoding import URL_MAX, absolute_url, encode_raw
from clipferry.vendors.file_urls import FileUrl
from hypothesis import given
from hypothesis import strategies as st

HOST = "https://a.example.com"


@pytest.mark.parametrize(
    ("given", "encoded"),
    [
        ("/my clip.mp4", "/my%20clip.mp4"),
        ("/录像/１.mp4", "/%E5%BD%95%E5%83%8F/%EF%BC%91.mp4"),
        ("/100%.mp4", "/100%25.mp4"),
        ("/%zz%4", "/%25zz%254"),
        ("/a%20b%2Fc%E5%BD%95.mp4", "/a%20b%2Fc%E5%BD%95.mp4"),
        ("/a\\b.mp4", "/a%5Cb.mp4"),
        ('/a|b^c`d{e}<f>"g', "/a%7Cb%5Ec%60d%7Be%7D%3Cf%3E%22g"),
        ("/v.mp4?sign=a%2Bb/c=&name=录 像&p=5%", "/v.mp4?sign=a%2Bb/c=&name=%E5%BD%95%20%E5%83%8F&p=5%25"),
        ("/v.mp4?auth_key=1-0-'(a),b:c;d@e!~*", "/v.mp4?auth_key=1-0-'(a),b:c;d@e!~*"),
        ("/clip#1.mp4", "/clip%231.mp4"),
        ("/clip#1.mp4?sign=x", "/clip%231.mp4?sign=x"),
        ("/v.mp4#t=10,20", "/v.mp4"),
        ("/v.mp4?sign=x#top", "/v.mp4?sign=x"),
        ("/v.mp4?sign=x#/top", "/v.mp4?sign=x"),
        ("/a\u3000b\u00a0c", "/a%E3%80%80b%C2%A0c"),
        ("/half\ud83c.mp4", "/half%3F.mp4"),
        ("", ""),
    ],
)
def test_what_is_not_encoded_is_encoded_and_the_rest_stays_byte_for_byte(given: str, encoded: str) -> None:
    assert absolute_url(HOST + given) == HOST + encoded
    assert absolute_url(f"  {HOST}{given}\n") == HOST + encoded
    assert absolute_url(absolute_url(HOST + given)) == HOST + encoded
    assert check_url(HOST + encoded, ["example.com"]).path == (encoded or "/")


def test_a_url_without_a_scheme_is_taken_for_https() -> None:
    assert absolute_url("//a.example.com:8443/v.mp4?x=1") == "https://a.example.com:8443/v.mp4?x=1"


@pytest.mark.parametrize(
    ("host", "encoded"),
    [
        ("录像.example.com", "xn--o1qw76a.example.com"),
        ("Bücher.example.com:8443", "xn--bcher-kva.example.com:8443"),
        ("faß.example.com", "xn--fa-hia.example.com"),
        ("video。example。com", "video.example.com"),
    ],
)
def test_a_host_name_beyond_ascii_is_written_as_dns_asks_for_it(host: str, encoded: str) -> None:
    assert absolute_url(f"https://{host}/录.mp4") == f"https://{encoded}/%E5%BD%95.mp4"
    assert check_url(absolute_url(f"https://{host}/v.mp4"), ["example.com"]).host == encoded.partition(":")[0]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://\u2260\u0338.example.com/v.mp4", "DNS"),
        ("https://" + "录" * 64 + ".example.com/v.mp4", "DNS"),
        ("/v.mp4", "begin"),
        ("v.mp4", "begin"),
        ("a.example.com/v.mp4", "begin"),
        ("ftp://a.example.com/v.mp4", "begin"),
        ("javascript:alert(1)", "begin"),
        ("https://", "host"),
        ("https:///v.mp4", "host"),
        ("//", "host"),
        ("https://?x=1", "host"),
        ("https://a b.example.com/", "host"),
        ("https://a.example.com\\@b.example.com/", "host"),
        ("https://a.example.com:0/", "host"),
        ("https://a.example.com:99999/", "port"),
        ("https://a.example.com:x/", "port"),
        ("https://[::1/", "host"),
        ("https://a.example.com/a\nb", "control"),
        ("https://a.example.com/a\x00b", "control"),
        (HOST + "/" + "a" * URL_MAX, "longer"),
    ],
)
def test_what_cannot_be_a_url_is_told_without_a_quotation(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        absolute_url(url)
    assert url not in str(told.value)
    assert FileUrl.parse(url).problem == str(told.value)


@given(path=st.text(max_size=40), query=st.text(max_size=40))
def test_any_text_becomes_a_url_that_means_the_same_or_is_refused(path: str, query: str) -> None:
    try:
        url = absolute_url(f"{HOST}/{path}?{query}")
    except ValueError:
        return
    assert url.isascii()
    assert " " not in url
    target = check_url(url, ["example.com"])
    assert f"{HOST}{target.path}" == (url if urlsplit(url).path else f"{HOST}/")
    if not set("?#%") & set(path + query) and url == url.strip() and path.strip() == path:
        assert unquote(urlsplit(url).path, errors="strict") == "/" + path


@given(st.one_of(st.none(), st.integers(), st.floats(), st.lists(st.text()), st.dictionaries(st.text(), st.text())))
def test_no_json_value_is_taken_for_a_url(value: object) -> None:
    assert FileUrl.parse(value).url is None


def test_a_location_in_raw_bytes_is_encoded_as_it_was_sent() -> None:
    sent = "/录 像.mp4?x=1%2B".encode()
    assert encode_raw(sent.decode("latin-1")) == "/%E5%BD%95 %E5%83%8F.mp4?x=1%2B"
