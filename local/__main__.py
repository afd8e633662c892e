"""`python -m local demo | up | down | invoke FUNCTION EVENT`, as the Makefile calls it."""

from __future__ import annotations

import argparse
import signal
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=["demo", "up", "down", "invoke", "serve"])
    parser.add_argument("function", nargs="?", default="", help="of invoke: a function's short name")
    parser.add_argument("event", nargs="?", default="", help="of invoke: a file with its event as JSON")
    options = parser.parse_args()
    command = options.command
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception ends all that was started
    try:
        if command == "demo":
            from local.demo import main as run
        elif command == "invoke":
            from local.invoke import invoke

            return invoke(options.function, options.event)
        else:
            from local import background

            run = getattr(background, command)
        return int(run())
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
