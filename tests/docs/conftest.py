"""A workspace drawn with a seed, in a folder where the guides' commands find it as work/mine."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """work/mine below a fresh current folder."""
    from synthetic_workspace import write_all

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    write_all(Path("work/mine"), documents=60, measured=True)
    return tmp_path / "work" / "mine"
