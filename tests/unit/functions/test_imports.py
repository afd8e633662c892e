"""What a cold start pays for: a handler's module brings in only what every one of its calls needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if (path / "app.py").exists())

NOBODY = {
    "jsonschema",
    "requests",
    "pydantic",
    "aws_xray_sdk",
    "aws_lambda_powertools.utilities.parameters",
    "aws_lambda_powertools.event_handler.openapi.models",
}
#: Besides: what is not for every function. Who is named may have it.
ONLY = {
    "boto3": {"api", "batch", "download", "finish", "sweep"},
    "asyncio": {"api"},
    "aws_lambda_powertools.event_handler": {"api"},
    "clipferry.transfer": {"download"},
    "clipferry.intake.job_body": {"api", "batch", "schedule"},
    "clipferry.intake.schedule_body": {"api"},
    "clipferry.aws.scheduler": {"api"},
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_imports_only_what_its_every_call_needs(function: str) -> None:
    path = [str(ROOT / "functions" / function), str(ROOT / "layers" / "clipferry")]
    script = f"import sys; sys.path[:0] = {path!r}; import app; print(*sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())

    assert "app" in loaded
    assert not loaded & NOBODY
    assert not {name for name in loaded & set(ONLY) if function not in ONLY[name]}
