"""`python -m local demo | up | down`, as the Makefile calls it."""

from __future__ import annotations

import argparse
import signal
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=["demo", "up", "down", "serve"])
    command = parser.parse_args().command
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave by the doors, so that everything started is ended
    try:
        if command == "demo":
            from local.demo import main as run
        else:
            from local import background

            run = getattr(background, command)
        return int(run())
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
