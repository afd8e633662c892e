"""Lambda's own SDK has no awscrt: a copy then proves its objects by CRC-32, and every proof still holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HIDDEN = """
import sys
sys.modules["awscrt"] = None  # importing it raises ImportError
import pytest
from clipferry.transfer.checksums import object_crc
assert object_crc().name == "CRC32"
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def test_copies_are_proven_without_awscrt_too() -> None:
    command = [sys.executable, "-c", HIDDEN, "tests/unit/transfer/test_evidence.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "layers" / "clipferry")}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
