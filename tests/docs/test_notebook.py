"""The notebooks in examples/ run from their first cell to their last, as in a fresh kernel."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    """Without Jupyter: cells are plain Python, and what one fails on is told with its text."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells, 1):
        assert not cell["outputs"], "a notebook is committed without outputs"
        exec(compile("".join(cell["source"]), f"{notebook.name}, code cell {number}", "exec"), names)
    assert len(cells) > 5
