"""A download server, an S3 and a copy between them, for tests of HLS."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from clipferry.outbound.client import Outbound
from clipferry.transfer.hls.hls_copy import HlsCopy
from clipferry.transfer.interface import CopyCall, Destination, Options
from clipferry.vendors.contract import Remote
from moto import mock_aws

from local.simulators.base import Simulator
from local.simulators.media import Clip
from local.simulators.wire import Request, Response
from tests.unit.aws_clients import new_client

QUICK = Options(backoff=0.005, part_size=8 * 1024 * 1024)
TS = b"\x47" + b"\x00" * 187
M3U8 = "application/vnd.apple.mpegurl"


def ffmpeg(*arguments: str | Path) -> str:
    """Run ffmpeg as it comes, without options that let more pass; what it writes to its output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def played(playlist: Path, stream: str = "v:0") -> list[str]:
    """The MD5 of every frame that a player shows, or of every packet of sound."""
    shown = ffmpeg("-i", playlist, "-map", f"0:{stream}", "-f", "framemd5", "-").splitlines()
    return [line.rsplit(",", 1)[1].strip() for line in shown if not line.startswith("#")]


class Library(Simulator):
    """A download server and nothing else."""

    vendor = "library"
    download_style = "open"

    def operation(self, request: Request) -> str:
        return "missing"

    def answer(self, operation: str, request: Request) -> Response:
        return Response(404)

    def put(self, path: str, content: bytes | str, content_type: str = "video/mp2t") -> None:
        body = content.encode() if isinstance(content, str) else content
        self.downloads.publish(path, path, Clip(Path(os.devnull), body, content_type))

    def put_media(self, path: str, *segments: str) -> None:
        lines = "".join(f"#EXTINF:2,\n{segment}\n" for segment in segments)
        self.put(path, f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{lines}#EXT-X-ENDLIST\n", M3U8)

    def put_video(self, path: str = "/v/index.m3u8", count: int = 5) -> None:
        names = [f"s{n}.ts" for n in range(count)]
        for n, name in enumerate(names):
            self.put(f"/v/{name}", TS * (n + 2) + b"\x47" + bytes([n] * 187))
        self.put_media(path, *names)

    def put_folder(self, path: str, folder: Path) -> None:
        """Every file below `folder`, under `path`."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes(), "")

    def asked(self, path: str) -> int:
        return sum(access.path == path for access in self.log)


class S3:
    """A client that counts its operations and fails them as told."""

    def __init__(self, client: Any) -> None:
        self.client, self.calls, self.failures = client, Counter(), {}
        self.meta = client.meta
        self._one_at_a_time = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.client, name)

        def call(**parameters: Any) -> Any:
            self.calls[name] += 1
            failures = self.failures.get(name, [])
            if failures and failures[0](parameters.get("Key", "")):
                raise failures.pop(0)("")
            if "Body" in parameters:
                parameters["Body"] = bytes(parameters["Body"])  # moto takes nothing else
            with self._one_at_a_time:  # moto trips over two writes of one key
                return operation(**parameters)

        return call

    def objects(self) -> dict[str, int]:
        found = self.client.list_objects_v2(Bucket="bucket").get("Contents", [])
        return {entry["Key"].removeprefix("p/f001/"): entry["Size"] for entry in found}

    def read(self, name: str) -> bytes:
        return self.client.get_object(Bucket="bucket", Key=f"p/f001/{name}")["Body"].read()

    def content_type(self, name: str) -> str:
        return self.client.head_object(Bucket="bucket", Key=f"p/f001/{name}")["ContentType"]

    def save(self, folder: Path) -> Path:
        """All objects as files; the root playlist."""
        for name in self.objects():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(name))
        return folder / "index.m3u8"


@contextmanager
def s3_bucket() -> Iterator[S3]:
    """An S3 of this process's own with one bucket, `bucket`."""
    with mock_aws():
        client = new_client("s3")
        client.create_bucket(Bucket="bucket")
        yield S3(client)


class Copy:
    """Calls of one copy, each going on with what the last one saved."""

    def __init__(self, library: Library, s3: S3, path: str = "/v/index.m3u8", options: Options = QUICK) -> None:
        self.library, self.s3, self.path, self.options = library, s3, path, options
        self.checkpoint: dict[str, Any] = {}
        self.located = 0

    def locate(self) -> Remote | None:
        self.located += 1
        return Remote(f"{self.library.url}{self.path}", kind="hls")

    def save(self, checkpoint: dict[str, Any], size: int) -> None:
        self.checkpoint = checkpoint

    def __call__(self, time_left=lambda: 60.0, **other: Any) -> Any:
        call = CopyCall(
            **{
                "locate": self.locate,
                "destination": Destination("bucket", "p/f001", tags={"site": "gate"}),
                "outbound": Outbound(allow_private=True),
                "hosts": [],
                "s3": self.s3,
                "checkpoint": self.checkpoint,
                "save": self.save,
                "time_left": time_left,
                "options": self.options,
                **other,
            }
        )
        return HlsCopy(call).run()
