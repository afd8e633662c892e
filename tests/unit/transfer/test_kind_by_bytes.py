"""A playlist is copied as HLS because of its bytes, whatever the vendor calls it and wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clipferry.outbound.client import Outbound
from clipferry.transfer import Destination, More, Stored, copy
from clipferry.vendors.contract import Remote

from tests.unit.transfer.hls_world import M3U8, QUICK, S3, Library, s3_bucket


@pytest.fixture
def library() -> Iterator[Library]:
    with Library() as running:
        running.put_video("/v/index.m3u8", count=3)
        yield running


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_bucket() as bucket:
        yield bucket


class Calls:
    """Calls of one copy of what the vendor says is a file."""

    def __init__(self, library: Library, s3: S3, path: str, **declared: Any) -> None:
        self.library, self.s3, self.path, self.declared = library, s3, path, declared
        self.checkpoint: dict[str, Any] = {}
        self.located = 0

    def locate(self) -> Remote:
        self.located += 1
        return Remote(f"{self.library.url}{self.path}", **self.declared)

    def save(self, checkpoint: dict[str, Any], copied: int) -> None:
        self.checkpoint = checkpoint

    def __call__(self, time_left: float = 60.0) -> Any:
        return copy(
            locate=self.locate,
            destination=Destination("bucket", "p/f001", file_name="lesson.mp4"),
            outbound=Outbound(allow_private=True),
            hosts=[],
            s3=self.s3,  # type: ignore[arg-type]
            checkpoint=self.checkpoint,
            save=self.save,
            time_left=lambda: time_left,
            options=QUICK,
        )


@pytest.mark.parametrize("path", ["/v/index.m3u8", "/v/play?f=x.m3u8", "/v/list.m3u", "/v/lesson.mp4", "/v/play"])
@pytest.mark.parametrize("prefix", ["", "\ufeff"])
def test_a_playlist_that_the_vendor_calls_a_file_is_copied_with_its_segments(
    library: Library, s3: S3, path: str, prefix: str
) -> None:
    lines = "".join(f"#EXTINF:2,\ns{n}.ts\n" for n in range(3))
    playlist = f"{prefix}#EXTM3U\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n"
    library.put(path.partition("?")[0], playlist, "application/octet-stream")

    result = Calls(library, s3, path)()

    assert isinstance(result, Stored), result
    assert result.content_type == M3U8
    assert {name.rpartition(".")[2] for name in s3.objects()} == {"m3u8", "ts"}


def test_what_the_vendor_says_of_the_playlists_bytes_is_not_compared_with_the_video(library: Library, s3: S3) -> None:
    result = Calls(library, s3, "/v/index.m3u8", size=123_456_789)()

    assert isinstance(result, Stored), result


def test_a_copy_that_was_found_to_be_a_playlist_goes_on_as_one(library: Library, s3: S3) -> None:
    library.put_video("/v/index.m3u8", count=30)
    calls = Calls(library, s3, "/v/index.m3u8")
    stop = iter(range(3))

    def save(checkpoint: dict[str, Any], copied: int) -> None:
        calls.checkpoint = checkpoint
        if copied and next(stop, None) is not None:
            raise TimeoutError

    calls.save = save  # type: ignore[method-assign]
    result: Any = None
    for _ in range(6):
        try:
            result = calls()
        except TimeoutError:
            assert calls.checkpoint["kind"] == "hls"
        if result is not None and not isinstance(result, More):
            break
    assert isinstance(result, Stored), result


def test_the_url_that_the_vendor_gave_is_used_for_the_playlist_too(library: Library, s3: S3) -> None:
    calls = Calls(library, s3, "/v/index.m3u8")

    calls()

    assert calls.located == 1
