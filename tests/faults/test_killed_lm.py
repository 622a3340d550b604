"""kill -9 while the corpus learns the language models it is measured by, their programs running or not."""

import multiprocessing
import signal
from pathlib import Path
from random import Random
from typing import Any

import killed_preparation
import pytest
from seeds import EVERY
from small_corpus import digests, prepare, write_inputs
from test_perplexity_models import needs_kenlm

from corpus.engine import LocalSettings

pytestmark = [pytest.mark.faults, needs_kenlm]
NEVER = 10**9


def changes_for(inputs: Path) -> dict[str, Any]:
    source = {"perplexity": "own"}
    sources = [{"name": name, "reader": {"kind": "jsonl", "path": f"{inputs}/{name}"}} for name in ("news", "books")]
    kenlm = {"order": 2, "prune": [0], "memory": "100M"}
    return {
        "sources": [one | source for one in sources],
        "lm": {"own": {"sources": ["news", "books"], "kenlm": kenlm}},
        "decide": [{"rule": "perplexity", "max": 1e9}],
        "steps": [{"kind": "repair"}],
        "repeated": None,
        "substring": None,
        "duplicates": None,
        "decontaminate": {},
        "unit_bytes": 1 << 20,
    }


def life(*words: Any) -> int | None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_corpus", "corpus.prepare"])
    process = context.Process(target=killed_preparation.run_and_die, args=words)
    process.start()
    process.join()
    return process.exitcode


def test_a_preparation_killed_while_it_learns_a_language_model_ends_with_the_clean_bytes(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "inputs", documents=16)
    changes = changes_for(inputs)
    assert life(inputs, tmp_path / "clean", NEVER, tmp_path / "told", changes) == 0
    clean = digests(tmp_path / "clean")
    began = [line.split("\t") for line in (tmp_path / "told").read_text().splitlines()]
    titles = [title for title, _ in began]
    first, last = (int(began[titles.index("lm own") + later][1]) for later in (0, 2))  # with the measuring after it
    assert last - first > 10
    points = range(first, last) if EVERY else sorted(Random(4).sample(range(first, first + 8), 2))
    for calls in points:
        workspace = tmp_path / str(calls)
        assert life(inputs, workspace, calls, None, changes) == -signal.SIGKILL
        prepare(inputs, workspace, LocalSettings(workers=1), **changes)
        assert digests(workspace) == clean
        assert not [path for path in workspace.rglob(".*-*") if path.is_dir()]
