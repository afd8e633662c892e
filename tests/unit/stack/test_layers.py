"""The layers' builds: which Python may build them, and that nothing is built with another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAYERS = Path(__file__).resolve().parents[3] / "layers"
PRETENDING = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = (3, {minor}, 18); exec(sys.argv[1])' "$2"
"""


def build(layer: str, target: str, minor: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build with a Python that says it is 3.`minor`."""
    python = folder / "python"
    python.write_text(PRETENDING.format(python=sys.executable, minor=minor))
    python.chmod(0o755)
    command = ["make", "-C", str(LAYERS / layer), target, f"PYTHON={python}", f"ARTIFACTS_DIR={folder / 'built'}"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("layer", "target"), [("clipferry", "build-ClipferryLayer"), ("dependencies", "build-DependenciesLayer")]
)
@pytest.mark.parametrize("minor", [9, 10])
def test_a_python_that_cannot_build_is_refused_by_name_before_anything_is_built(
    tmp_path: Path, layer: str, target: str, minor: int
) -> None:
    done = build(layer, target, minor, tmp_path)

    assert done.returncode != 0
    assert f"is Python 3.{minor}; building needs 3.11 or later" in done.stderr
    assert not (tmp_path / "built").exists()
