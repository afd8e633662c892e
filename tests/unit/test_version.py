"""The version stands in the package, and nothing says another."""

from __future__ import annotations

import re
import tomllib

from clipferry import __version__

from tests.unit.steps.aws import REPOSITORY


def test_the_project_has_the_version_of_its_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_the_newest_release_in_the_changelog_is_the_version() -> None:
    releases = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == __version__
