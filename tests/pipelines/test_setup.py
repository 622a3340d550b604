import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("environment", "packages", "kenlm")
SCRIPTS = [ROOT / ".ci/run", *sorted((ROOT / "pipelines/setup").glob("*.sh"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_parse(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0


def test_ci_and_the_set_up_programs_are_executable_and_stop_at_the_first_error() -> None:
    for script in (ROOT / ".ci/run", *(ROOT / "pipelines/setup" / f"{what}.sh" for what in PARTS)):
        assert script.stat().st_mode & 0o111
        assert "set -euo pipefail" in script.read_text()


def test_make_help_lists_every_target_that_the_readme_may_name() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())
    assert phony is not None
    assert re.findall(r"(?m)^  make ([\w-]+)", shown) == phony[1].split()
    line = {"help", "demo", "setup", "corpus", "mix", "train", "audit", "test", "check", "bench", "clean"}
    assert line | {"study", "study-quick", "docs"} == set(phony[1].split())


def _dry_run(*arguments: str) -> str:
    # -o: as if the set-up had been done.
    return subprocess.run(
        ["make", "-n", "-o", "setup", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_targets_hand_their_variables_to_the_command() -> None:
    assert "provender corpus mine.yaml" in _dry_run("corpus", "RECIPE=mine.yaml")
    assert "provender demo --fast" in _dry_run("demo", "FAST=1")
    assert "--fast" not in _dry_run("demo", "FAST=0")


def test_the_versions_of_torch_and_kenlm_are_read_from_pyproject() -> None:
    pins = re.findall(r'"((?:torch|kenlm)==[^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert len(pins) == 2
    shown = subprocess.run(
        ["make", "-n", "-W", "pyproject.toml", ".venv/.packages"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert next(pin for pin in pins if pin.startswith("torch")) in shown
