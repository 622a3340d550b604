"""Poisonous documents: found by halving, quarantined with step and reason, and nothing else changes."""

import json
import multiprocessing
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import poisonous_steps
import polars as pl
import pyarrow as pa
import pytest
from small_corpus import digests, prepare, write_inputs

from corpus.artifact import read_parquet
from corpus.document import Batch, Document
from corpus.engine import LocalSettings
from corpus.engine.limits import GuardSettings
from corpus.engine.local import close_pools
from corpus.engine.poison import Isolation, begun_file
from corpus.errors import ArtifactError, DataError
from corpus.memory import anonymous_bytes
from corpus.step import Step

pytestmark = pytest.mark.faults
HERE = Path(__file__).parent
GUARD = {"seconds": 1.0, "memory_gb": 0.2}
POISON = {"crash": "crashed", "spin": "timed out", "eat": "out of memory", "full": "out of memory"}


@pytest.fixture(autouse=True)
def fresh_pools() -> Iterator[None]:
    close_pools()
    yield
    close_pools()


def with_poison(root: Path, kinds: list[str]) -> Path:
    """A small corpus in which some documents of `news` are poison."""
    inputs = write_inputs(root, documents=16)
    for index, kind in enumerate(kinds):
        path = inputs / "news" / f"{index % 2}.jsonl"
        lines = path.read_text().splitlines()
        lines.insert(1, json.dumps({"text": f"This text is POISON {kind} and number {index} of its kind."}))
        path.write_text("\n".join(lines) + "\n")
    return inputs


def prepared(inputs: Path, workspace: Path, steps: str, workers: int = 2, **changes: Any) -> list[str]:
    own = {"kind": "filter", "file": str(HERE / f"{steps}_steps.py"), "function": "poisonous", "label": "kept"}
    chain = [{"kind": "repair"}, own, {"kind": "quality"}]
    return prepare(inputs, workspace, LocalSettings(workers=workers), steps=chain, guard=GUARD, **changes)


def ledger(workspace: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted(workspace.glob("corpus/ledger/*/*.parquet"))])


def documents(workspace: Path, ids: set[str]) -> list[pa.Table]:
    """The annotated rows of the other documents than `ids`, unit by unit."""
    tables = []
    for path in sorted(workspace.glob("annotate/*/*/documents.parquet")):
        table = read_parquet(path)
        tables.append(table.filter(pa.array([key not in ids for key in table["id"].to_pylist()])))
    return tables


def test_poisonous_documents_are_found_and_nothing_else_changes(tmp_path: Path) -> None:
    inputs = with_poison(tmp_path / "inputs", list(POISON))
    prepared(inputs, tmp_path / "poisoned", "poisonous")
    prepared(inputs, tmp_path / "harmless", "harmless")
    found = ledger(tmp_path / "poisoned").filter(pl.col("fate") == "quarantined")
    assert sorted(found["reason"]) == sorted(f"{how} in kept" for how in POISON.values())
    assert set(found["source"]) == {"news"} and set(found["step"]) == {"quarantine"}
    assert ledger(tmp_path / "poisoned").height == ledger(tmp_path / "harmless").height
    guilty = set(found["id"])
    assert documents(tmp_path / "poisoned", guilty) == documents(tmp_path / "harmless", guilty)
    for path in (tmp_path / "poisoned").rglob("*"):
        assert not path.is_file() or b"POISON" not in path.read_bytes(), path
    assert not list((tmp_path / "poisoned").rglob(".*.begun"))


def test_a_run_after_a_kill_guards_its_units_and_gives_the_clean_bytes(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "inputs", documents=16)
    prepared(inputs, tmp_path / "clean", "harmless")
    for name in ("news", "books"):
        begun = begun_file(tmp_path / "killed" / "annotate" / name / "00000")
        begun.parent.mkdir(parents=True)
        begun.touch()
    prepared(inputs, tmp_path / "killed", "harmless", workers=1)
    assert digests(tmp_path / "killed") == digests(tmp_path / "clean")
    assert not list((tmp_path / "killed").rglob(".*.begun"))


def test_one_worker_dies_and_the_next_run_finds_the_document(tmp_path: Path) -> None:
    """With one worker there is no other process to notice; the same command again goes on."""
    inputs = with_poison(tmp_path / "inputs", ["crash"])
    context = multiprocessing.get_context("forkserver")
    life = context.Process(target=prepared, args=(inputs, tmp_path / "work", "poisonous", 1))
    life.start()
    life.join()
    assert life.exitcode == -signal.SIGSEGV
    prepared(inputs, tmp_path / "work", "poisonous", workers=1)
    assert ledger(tmp_path / "work").filter(pl.col("fate") == "quarantined")["reason"].to_list() == ["crashed in kept"]


class Trouble(Step):
    """Does what a text says: crash, refuse; `on_any` whatever it says."""

    name = "trouble"

    def __init__(self, on_any: bool = False, model_bytes: int = 0) -> None:
        super().__init__()
        self.on_any, self.model_bytes = on_any, model_bytes

    def process(self, batch: Batch) -> Batch:
        if not hasattr(self, "model"):
            self.model = b"m" * self.model_bytes  # loaded at the first document
        for text in batch.text.to_pylist():
            if self.on_any:
                poisonous_steps.poisonous("POISON crash")
            if "refuse" in text:
                raise DataError("this document is refused")
            poisonous_steps.poisonous(text)
        return batch.with_text(pa.array([text.upper() for text in batch.text.to_pylist()]), edit="trouble")


def batch_of(texts: list[str]) -> Batch:
    return Batch.of([Document("s", "f", row, text, len(text)) for row, text in enumerate(texts)])


def isolated(step: Step, seconds: float = 1.0) -> Isolation:
    return Isolation([step], GuardSettings(seconds=seconds, memory_gb=0.1), 1.0, where="s/00000")


@pytest.mark.parametrize("guilty", [{0}, {6}, {2, 3}, set(range(7)), set()])
def test_any_set_of_documents_is_found(guilty: set[int]) -> None:
    texts = ["POISON crash" if row in guilty else f"text {row}" for row in range(7)]
    with isolated(Trouble()) as isolation:
        after = isolation.process(batch_of(texts))
    assert after.text.to_pylist() == ["" if row in guilty else f"TEXT {row}" for row in range(7)]
    assert [not readable for readable in after.readable] == [row in guilty for row in range(7)]
    assert after["reason"].to_pylist() == ["crashed in trouble" if row in guilty else None for row in range(7)]
    assert not after.unbalanced().size


def test_what_a_step_raises_is_no_poison_and_steps_that_always_fail_quarantine_nothing() -> None:
    with isolated(Trouble()) as isolation, pytest.raises(DataError, match="refused"):
        isolation.process(batch_of(["a", "refuse this", "b"]))
    with isolated(Trouble(on_any=True)) as isolation, pytest.raises(ArtifactError, match="whatever the document is"):
        isolation.process(batch_of(["a", "b"]))


def test_the_memory_of_models_is_not_a_documents() -> None:
    with isolated(Trouble(model_bytes=300 << 20)) as isolation:
        assert isolation.process(batch_of(["a"])).text.to_pylist() == ["A"]


def test_anonymous_memory_is_counted() -> None:
    before = anonymous_bytes()
    held = bytearray(64 << 20)
    assert anonymous_bytes() - before > 60 << 20 and held is not None
