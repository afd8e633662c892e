"""What a cold start costs: each handler imported from the built artefacts in a fresh interpreter, and the layers' size.

    python -m tests.benchmarks.start          writes its section of docs/performance.md

A handler sees what it sees in Lambda: its own folder, the two layers, and the runtime's boto3. Ends with status 1 when
a number misses its bound.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from local.stack import build
from tests.benchmarks.report import publish, table

ROUNDS = 21
RUNTIME = ("boto3", "botocore", "s3transfer", "dateutil", "six", "jmespath", "urllib3")  # what Lambda brings itself
YARDSTICK = 'import boto3; boto3.client("s3")'
HANDLER = "import app; app.handler"
MOST = {"trigger": 0.8, "poll": 0.8, "finish": 0.8, "download": 1.2, "api": 1.5}  # times the yardstick
LAYERS_MOST = 60_000_000  # bytes, unzipped

_TIMED = """
import sys, time
sys.path[:0] = {path!r}
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""
_ENVIRONMENT = {
    "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_METRICS_NAMESPACE": "clipferry",
    "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "POWERTOOLS_SERVICE_NAME": "clipferry",
}  # fmt: skip


def seconds(statement: str, path: Sequence[Path]) -> float:
    """How long a fresh interpreter takes for the statement with only the standard library and `path` to import from."""
    script = _TIMED.format(path=[str(folder) for folder in path], statement=statement)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], env=_ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def runtime(folder: Path) -> Path:
    """The packages of the Lambda runtime, and nothing else of this interpreter's, as a folder to import from."""
    for name in RUNTIME:
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        source = Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)
        (folder / source.name).symlink_to(source)
    return folder


def measure(built: Path, functions: Sequence[str], rounds: int) -> tuple[float, dict[str, float]]:
    """The yardstick's and each function's median; one of each by turns, so that a busy moment meets all alike."""
    with tempfile.TemporaryDirectory() as scratch:
        boto3 = runtime(Path(scratch))
        layers = [built / "ClipferryLayer" / "python", built / "DependenciesLayer" / "python"]
        yardstick: list[float] = []
        found: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(rounds):
            yardstick.append(seconds(YARDSTICK, [boto3]))
            for name in functions:
                found[name].append(seconds(HANDLER, [built / f"{name.title()}Function", *layers, boto3]))
    return median(yardstick), {name: median(times) for name, times in found.items()}


def unzipped(built: Path) -> dict[str, int]:
    """Bytes of each layer as Lambda unpacks it."""
    return {
        layer.name: sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())
        for layer in sorted(built.glob("*Layer"))
    }


def page(yardstick: float, found: Mapping[str, float], layers: Mapping[str, int]) -> str:
    rows = [
        [name, f"{value * 1000:.0f}", f"{value / yardstick:.2f}", MOST.get(name, ""), verdict(value / yardstick, name)]
        for name, value in found.items()
    ]
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in layers.items())
    return "\n\n".join([
        "## Cold start",
        "How long the import of each handler takes in a new interpreter that has only the handler's built folder, the "
        f"two layers and the runtime's boto3 (`python -m tests.benchmarks.start`). For comparison, `{YARDSTICK}` takes "
        f"{yardstick * 1000:.0f} ms in the same run. The values are medians of {ROUNDS} runs, in turn.",
        table(("handler", "ms", "ratio", "at most", ""), rows),
        f"Unzipped, the layers are {sum(layers.values()) / 1e6:.1f} MB of at most {LAYERS_MOST / 1e6:.0f} MB: {sizes}.",
    ])  # fmt: skip


def verdict(ratio: float, name: str) -> str:
    if name not in MOST:
        return ""
    return "holds" if ratio <= MOST[name] else "MISSED"


def main(arguments: list[str] | None = None) -> int:
    built = build()
    functions = [name for name in MOST if (built / f"{name.title()}Function").exists()]
    functions += sorted({f.name.removesuffix("Function").lower() for f in built.glob("*Function")} - set(functions))
    yardstick, found = measure(built, functions, ROUNDS)
    layers = unzipped(built)
    text = page(yardstick, found, layers)
    print(text)
    publish("start", text)
    missed = any(verdict(value / yardstick, name) == "MISSED" for name, value in found.items())
    return int(missed or sum(layers.values()) > LAYERS_MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
