"""Runs one command while the keeper's standard input is open, then ends the command's whole process group.

The process that starts the keeper holds the other end of that pipe. When that process ends, for whatever reason, the
operating system closes the pipe. So no process is left over, not even after `kill -9`. A line "keep" before the end
keeps the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading

PATIENCE = 120  # seconds that a command has to stop cleanly and save its state


def _end(group: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
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
        if keep:  # only a clean stop saves the state
            _end(child.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE)
        _end(child.pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    _end(child.pid, signal.SIGKILL)  # workers that are still running after their server
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
