"""`make mutants`: mutmut over the pure core with its own tests; the score goes into docs/reliability.md.

Each module is changed in one small way at a time (another operator, another number, a call left out), and the tests
that are named here for it must fail. mutmut works on a copy of the package in `.cache/mutants/work`. It does not change
properties and other decorated functions, nor constants.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "mutants" / "work"
PAGE = ROOT / "docs" / "reliability.md"
COPIED = ("tests", "local", "functions", "events", "statemachine", "docs", "template.yaml")
HEADING = """## Small wrong changes that the tests notice

`make mutants` changes each module of the pure core in one small way at a time (another operator, another number, a
call left out) and runs the module's own tests. A mutant is killed when a test fails."""
BEGIN, END = "<!-- mutants -->\n", "<!-- /mutants -->\n"

#: Of the media's tests those with files made by hand: ffmpeg would make its files anew for each mutant.
MADE_BY_HAND = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "tests" / "unit" / "transfer" / "media").glob("test_*.py"))
    if path.name != "test_real_files.py"
]

#: By name in the report: the modules below the package, and the tests that must notice.
PARTS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "jobs": (["jobs/*.py"], ["tests/unit/test_jobs.py", "tests/unit/test_job_values.py"]),
    "pacing": (["pacing/*.py"], ["tests/unit/pacing"]),
    "evidence": (
        ["transfer/evidence.py"],
        ["tests/unit/transfer/test_evidence.py", "tests/unit/transfer/test_judge.py"],
    ),
    "containers": (["transfer/media/*.py"], MADE_BY_HAND),
    "address guard": (
        ["outbound/address_guard.py"],
        ["tests/unit/outbound/test_address_guard.py", "tests/unit/outbound/test_refusal_reasons.py"],
    ),
    "redaction": (["redaction.py"], ["tests/unit/test_redaction.py"]),
    "intake": (["intake/*.py", "intake/manifest/*.py"], ["tests/unit/intake"]),
}
KILLED = frozenset({"killed", "timeout", "suspicious", "segfault", "caught by type check"})
NOT_COUNTED = frozenset({"skipped", "not checked"})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all when absent")
    parser.add_argument("--at-once", type=int, default=2, help="processes")
    parser.add_argument("--no-report", action="store_true", help="print the survivors, write nothing")
    options = parser.parse_args()
    scores = {}
    for part in options.parts or PARTS:
        scores[part] = _play(part, options.at_once)
        print(f"{part}: {_percent(scores[part])} killed of {sum(scores[part].values())}", flush=True)
    if not options.no_report:
        _write(scores)
    return 0


def _play(part: str, at_once: int) -> Counter[str]:
    """Mutants of one part by what became of them: killed, survived, timeout, …"""
    _lay_out(*PARTS[part])
    mutmut = [sys.executable, "-m", "mutmut"]
    subprocess.run([*mutmut, "run", "--max-children", str(at_once)], cwd=WORK, check=True, stdout=subprocess.DEVNULL)
    told = subprocess.run([*mutmut, "results", "--all", "true"], cwd=WORK, check=True, capture_output=True, text=True)
    outcomes = dict(line.strip().rsplit(": ", 1) for line in told.stdout.splitlines() if ": " in line)
    for mutant, outcome in sorted(outcomes.items()):
        if outcome not in KILLED | NOT_COUNTED:
            print(f"{part}: {outcome}: {mutant}", flush=True)
    return Counter(outcome for outcome in outcomes.values() if outcome not in NOT_COUNTED)


def _lay_out(modules: Sequence[str], tests: Sequence[str]) -> None:
    """A copy of what the tests need, with the package where mutmut looks for it."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "layers" / "clipferry" / "clipferry", WORK / "src" / "clipferry")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, WORK / name)  # type: ignore[operator]
    (WORK / "layers").mkdir()
    (WORK / "layers" / "clipferry").symlink_to("../src")
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/clipferry/{module}" for module in modules],
        "also_copy": [*COPIED, "layers"],
        "pytest_add_cli_args_test_selection": [test for test in tests if (ROOT / test).exists()],
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    pytest_options = 'pythonpath = [".", "src"]\naddopts = "-q -x --import-mode=importlib -p no:cacheprovider"\n'
    text = f"[tool.pytest.ini_options]\n{pytest_options}\n[tool.mutmut]\n" + "\n".join(lines) + "\n"
    (WORK / "pyproject.toml").write_text(text)


def _percent(score: Counter[str]) -> str:
    total = sum(score.values())
    return f"{100 * sum(score[outcome] for outcome in KILLED) / total:.1f} %" if total else "none"


def _write(scores: Mapping[str, Counter[str]]) -> None:
    """The table, in its place of the page."""
    rows = [
        f"| {part} | {sum(score.values())} | {sum(score[o] for o in KILLED)} | {_percent(score)} |"
        for part, score in scores.items()
    ]
    whole = sum(scores.values(), Counter())
    rows.append(f"| all | {sum(whole.values())} | {sum(whole[o] for o in KILLED)} | {_percent(whole)} |")
    table = "\n".join(["| part | mutants | killed | |", "|---|---:|---:|---:|", *rows])
    text = f"{BEGIN}\n{HEADING}\n\n{table}\n\n{END}"
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before.rstrip() + "\n\n" + text + rest.partition(END)[2])


if __name__ == "__main__":
    sys.exit(main())
