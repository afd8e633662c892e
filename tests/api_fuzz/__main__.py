"""`make api-fuzz`: schemathesis asks the deployed stack what docs/openapi.yaml lets it ask, and much that it does not.

It fails for a server error, and for a reply whose status, type or body the file does not promise. Schemathesis does not
sign: it speaks to a gateway of ours on this machine, which signs each call and hands it on.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from local.emulator import Emulator
from local.stack import Stack, deploy
from tests.published_api.definition import PUBLISHED, ROOT

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CACHE = ROOT / ".cache" / "api-fuzz"
SECONDS = 60  # of asking, without the deployment
EXAMPLES = 15  # a route and a phase
SEED = 1


@contextmanager
def signing(stack: Stack) -> Iterator[str]:
    """The URL of a gateway that signs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def hand_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
            kept = {name: value for name, value in self.headers.items() if name.lower() == "idempotency-key"}
            reply = stack.caller.call(self.command, stack.url + self.path, body=body, headers=kept)
            self.send_response(reply.status_code)
            for name in ("Content-Type", "Location", "Allow"):
                if name in reply.headers:
                    self.send_header(name, reply.headers[name])
            if reply.status_code != 204:
                self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = hand_on
        do_OPTIONS = do_TRACE = do_CONNECT = do_QUERY = hand_on  # which must not lead to a server error either

        def log_message(self, *_: object) -> None:
            """Nothing: schemathesis tells what it asked."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def main(schemathesis: str) -> int:
    """`schemathesis` is the path of the program. Its exit code: 0 when every reply was as promised."""
    with Emulator() as emulator, signing(deploy(emulator)) as url:
        command = [
            str(Path(schemathesis).absolute()),
            "run",
            str(PUBLISHED),
            "--url",
            url,
            "--checks",
            CHECKS,
            "--continue-on-failure",
        ]
        limits = ["--max-examples", str(EXAMPLES), "--max-time", str(SECONDS), "--seed", str(SEED), "--no-shrink"]
        phases = ["--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--no-color"]
        health = ["--suppress-health-check", "all", "--warnings", "off"]
        CACHE.mkdir(parents=True, exist_ok=True)  # schemathesis leaves its own cache where it runs
        return subprocess.run([*command, *limits, *phases, *health], check=False, cwd=CACHE).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
