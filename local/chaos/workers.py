"""Ends a Lambda worker like a crash: `kill -9` of the process at the other end of a connection.

It kills only workers of Lambda functions that are descendants of the emulator that the campaign started. It reads
/proc, so it works only on Linux.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")


def function_of(pid: int) -> str:
    """The name of the Lambda function a process runs; "" for any other process."""
    with contextlib.suppress(OSError):
        for entry in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name == b"AWS_LAMBDA_FUNCTION_NAME":
                return value.decode()
    return ""


def kill_caller(ancestor: int | None, client_port: int, server_port: int) -> str | None:
    """Kill the Lambda worker that has this connection. Returns its function's name; None if there is no such worker."""
    inode = _inode(client_port, server_port)
    for pid in descendants(ancestor) if ancestor and inode else ():
        function = function_of(pid)
        if function and _holds(pid, f"socket:[{inode}]"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return function
    return None


def descendants(ancestor: int) -> list[int]:
    """Every process below this one, at this moment."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [ancestor]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _inode(client_port: int, server_port: int) -> str | None:
    """The client's socket of a connection over 127.0.0.1."""
    for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (local, remote) == (client_port, server_port):
            return fields[9]
    return None


def _holds(pid: int, socket: str) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(descriptor) == socket:
                    return True
    return False
