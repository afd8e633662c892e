"""What the code under test takes for the outside of its process: clocks, randomness and threads, put in one place.

Modules of the domain and of the vendors' simulators get stand-ins for `time`, `random`, `uuid`, `secrets`, `datetime`
and `threading` that ask the run which is under way. Threads of a transfer run at once, in the thread that starts them.
"""

from __future__ import annotations

import datetime as real_datetime
import importlib
import pkgutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from tests.simulation.draws import Draws, StreamRandom
from tests.simulation.kernel import Kernel

PACKAGES = ("clipferry", "local.simulators")
_NEEDS_NOW = ("vendors.ims.look", "alibaba.signature", "outbound.retry_after", "transfer.freshness", "job_records")


class Environment:
    """The run under way. Who asks is the call that has the baton, or AWS itself."""

    def __init__(self) -> None:
        self.kernel: Any = Kernel()
        self.draws = Draws(0)
        self.random = StreamRandom(self.stream)
        self.world: Any = None

    def stream(self) -> bytes:
        call = self.kernel.current
        return self.draws.stream(call.label if call else "aws")

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(bytes=self.stream(), version=4)

    def urandom(self, size: int) -> bytes:
        return b"".join(self.stream() for _ in range(-(-size // 16)))[:size]

    def token_hex(self, size: int = 16) -> str:
        return self.urandom(size).hex()

    def epoch(self) -> float:
        call = self.kernel.current
        return float(self.kernel.now + (call.skew if call else 0.0))

    def true_epoch(self) -> float:
        return float(self.kernel.now)

    def sleep(self, seconds: float) -> None:
        call = self.kernel.current
        if call is None or seconds <= 0:
            return
        self.kernel.pause(call, seconds, "sleep")

    def now(self, zone: Any = None) -> real_datetime.datetime:
        return real_datetime.datetime.fromtimestamp(self.epoch(), zone)


class _Meta(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, real_datetime.datetime)


class _Thread:
    """Does its work when it is started."""

    def __init__(self, target: Callable[..., Any], args: Any = (), daemon: bool = True, **_: Any) -> None:
        self._work = lambda: target(*args)

    def start(self) -> None:
        self._work()

    def join(self, timeout: float | None = None) -> None: ...


class _Pool:
    """Does its work when it is submitted."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, work: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future

    def map(self, work: Callable[..., Any], *items: Any) -> list[Any]:
        return [work(*each) for each in zip(*items, strict=False)]


def _stand_ins(env: Environment) -> dict[str, Any]:
    class Nothing:
        """A lock, a condition or an event of which there is one user at a time."""

        def __init__(self, *_: Any) -> None:
            self._set = False

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...
        def notify_all(self) -> None: ...
        def set(self) -> None:
            self._set = True

        def clear(self) -> None:
            self._set = False

        def is_set(self) -> bool:
            return self._set

        def wait(self, timeout: float | None = None) -> bool:
            if not self._set:
                env.sleep(60.0 if timeout is None else timeout)
            return self._set

    threads = {name: Nothing for name in ("Lock", "RLock", "Condition", "Event", "Semaphore")}
    clock = {"time": env.epoch, "monotonic": env.true_epoch, "perf_counter": env.true_epoch, "sleep": env.sleep}
    now = _Meta("datetime", (real_datetime.datetime,), {"now": staticmethod(env.now)})
    return {
        "time": SimpleNamespace(**clock, strftime=time.strftime, gmtime=time.gmtime),
        "random": env.random,
        "uuid": SimpleNamespace(uuid4=env.uuid4, UUID=uuid.UUID, uuid5=uuid.uuid5),
        "uuid4": env.uuid4,
        "secrets": SimpleNamespace(token_hex=env.token_hex),
        "os": SimpleNamespace(urandom=env.urandom),
        "threading": SimpleNamespace(**threads, Thread=_Thread, get_ident=threading.get_ident),
        "datetime": now,
        "ThreadPoolExecutor": _Pool,
    }


def _modules() -> list[Any]:
    """All of both packages, imported."""
    found = []
    for package in PACKAGES:
        module = importlib.import_module(package)
        found.append(module)
        for info in pkgutil.walk_packages(module.__path__, package + "."):
            found.append(importlib.import_module(info.name))
    return found


def _wanted(module: Any, name: str) -> bool:
    of = module.__name__
    if name == "os":
        return bool(of == "clipferry.jobs.job")
    if name == "threading":
        return bool(of.startswith("clipferry.transfer"))
    if name == "datetime":
        return any(of.endswith(ending) for ending in _NEEDS_NOW) or of.endswith("parameters.base")
    return True


@contextmanager
def installed(env: Environment) -> Iterator[None]:
    """For as long as it lasts, the code asks `env`."""

    changed: list[tuple[Any, str, Any]] = []
    modules = [*_modules(), sys.modules["aws_lambda_powertools.utilities.parameters.base"]]
    originals = {
        "time": sys.modules["time"],
        "random": sys.modules["random"],
        "uuid": sys.modules["uuid"],
        "secrets": sys.modules["secrets"],
        "os": sys.modules["os"],
        "threading": sys.modules["threading"],
    }
    try:
        for module in modules:
            for name, stand_in in _stand_ins_of(env).items():
                there = vars(module).get(name)
                if there is not None and _wanted(module, name) and originals.get(name, there) is there:
                    changed.append((module, name, there))
                    setattr(module, name, stand_in)
        yield
    finally:
        for module, name, there in changed:
            setattr(module, name, there)


def _stand_ins_of(env: Environment) -> dict[str, Any]:
    made: dict[str, Any] = env.__dict__.setdefault("_made", {})
    if not made:
        made.update(_stand_ins(env))
    return made
