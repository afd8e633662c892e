"""Runs one command for as long as its own standard input stays open, then ends the command's whole process group.

Whoever starts the keeper holds the other end of that pipe; however the holder ends, the operating system closes it.
So nothing outlives its owner, not even after a kill -9. A line "keep" before the end leaves the folder behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading

PATIENCE = 120  # seconds a command has for a clean stop, in which it writes its state down


def _end(group: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself meanwhile
        os.killpg(group, how)


def main(folder: str, *command: str) -> int:
    """Run `command` with its output in `folder`/log; its exit status when it ended by itself."""
    for ignored in (signal.SIGINT, signal.SIGHUP):  # a Ctrl-C reaches the holder too, which then closes the pipe
        signal.signal(ignored, signal.SIG_IGN)
    keep = False
    with open(os.path.join(folder, "log"), "ab") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: _end(child.pid, signal.SIGTERM))

    def watch() -> None:
        nonlocal keep
        for line in sys.stdin:
            keep = keep or line.strip() == "keep"
        if keep:  # only a clean stop writes the state down
            _end(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE)
        _end(child.pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    _end(child.pid, signal.SIGKILL)  # workers that did not follow their server
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
