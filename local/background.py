"""`make up` and `make down`: run the world in a separate process until it is told to end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

from local.emulator import REGION, ROOT
from local.patience import Patience
from local.stack import WORK
from local.world import world

TIME_SCALE = 1 / 60  # an hour passes in a minute
PATIENCE = 180  # seconds to wait until the world has started or ended
STATE = WORK / "up.json"  # pid, addresses, stack and key of the running world
LOCK = WORK / "up.lock"  # held while the world runs: a STATE without it is left over from an earlier world
LOG = WORK / "up.log"


def up() -> int:
    """Start the world, unless it already runs, and print how to call it."""
    if not running():
        WORK.mkdir(exist_ok=True)
        STATE.unlink(missing_ok=True)
        print("starting; this takes some seconds …", flush=True)
        with LOG.open("w") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "local", "serve"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        patience = Patience(PATIENCE)
        while not STATE.exists():
            if server.poll() is not None or patience.over:
                server.terminate()
                print(f"it did not start:\n{LOG.read_text()[-4000:]}", file=sys.stderr)
                return 1
            time.sleep(0.2)
    state = json.loads(STATE.read_text())
    print(_how_to_talk_to(state["url"], state["access_key_id"], state["secret_access_key"], state["simulators"]))
    return 0


def down() -> int:
    """End the running world and wait until it is gone."""
    if not running():
        print("nothing is running")
        return 0
    os.kill(json.loads(STATE.read_text())["pid"], signal.SIGTERM)
    patience = Patience(PATIENCE)
    while running():
        if patience.over:
            print("it does not end", file=sys.stderr)
            return 1
        time.sleep(0.2)
    print("stopped")
    return 0


def serve() -> int:
    """Run the world until SIGTERM."""
    ended = Event()
    WORK.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with world(TIME_SCALE, lambda what: print(what, flush=True)) as place:
            caller = place.stack.caller
            state = {
                "pid": os.getpid(),
                "url": place.stack.url,
                "access_key_id": caller.access_key_id,
                "secret_access_key": caller.secret_access_key,
                "stack": place.stack.name,
                "aws_endpoint_url": place.stack.emulator.url,
                "simulators": {vendor: simulator.url for vendor, simulator in place.simulators.items()},
            }
            _write_whole(STATE, json.dumps(state))
            signal.signal(signal.SIGTERM, lambda *_: ended.set())
            ended.wait()
        STATE.unlink(missing_ok=True)
    return 0


def running() -> bool:
    """Whether a world runs: its state file exists, and its process holds the lock."""
    if not STATE.exists() or not LOCK.exists():
        return False
    with LOCK.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _write_whole(path: Path, text: str) -> None:
    """Write the file so that readers see all of it or nothing. Only the owner may read it, because it holds a key."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def _how_to_talk_to(url: str, key: str, secret: str, simulators: dict[str, str]) -> str:
    curl = f"curl -s --aws-sigv4 aws:amz:{REGION}:execute-api -u {key}:{secret}"
    body = {"vendor": "linkvisual", "request": {"iot_id": "gate-3", "record_duration": 60}}
    vendors = "\n".join(f"  {vendor:<11}{address}" for vendor, address in simulators.items())
    return (
        f"\nAPI  {url}\nan hour passes in {3600 * TIME_SCALE:.0f} s; `make down` ends it\n\n"
        f"{curl} -H 'content-type: application/json' \\\n  -d '{json.dumps(body)}' {url}/jobs\n\n"
        f"{curl} {url}/jobs\n\nvendors\n{vendors}"
    )
