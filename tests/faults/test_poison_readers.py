"""Files that crash or hang the reader: what came before stays, the rest is a quarantined row, nothing else changes."""

import json
import multiprocessing
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from poisonous_reader import PoisonousReader
from small_corpus import prepare, write_inputs
from test_poison import ledger, with_poison

from corpus import recipe
from corpus.engine import LocalSettings
from corpus.engine.limits import GuardSettings
from corpus.engine.local import close_pools
from corpus.engine.reading import isolated
from corpus.errors import DataError
from corpus.readers import InputFile, JsonlSettings, Tally

pytestmark = pytest.mark.faults
GUARD = {"seconds": 0.1, "memory_gb": 0.2}
KINDS = {"crash": "crashed in read", "spin": "timed out in read", "eat": "out of memory in read"}


@pytest.fixture(autouse=True)
def fresh_pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    close_pools()
    monkeypatch.setattr(recipe, "make_reader", PoisonousReader)
    yield
    close_pools()


def prepared(inputs: Path, workspace: Path, workers: int = 2) -> None:
    options: dict[str, Any] = {"repeated": None, "substring": None, "decontaminate": {}, "duplicates": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "make_reader", PoisonousReader)  # in a process of its own, too
        prepare(inputs, workspace, LocalSettings(workers=workers), guard=GUARD, steps=[{"kind": "repair"}], **options)


def rows(workspace: Path, lost: set[tuple[str, int]]) -> list[dict[str, Any]]:
    """The ledger without the records that are `lost`: (file of news, position)."""
    columns = ["id", "source", "file", "position", "fate", "reason", "bytes_in", "bytes_out"]
    every = ledger(workspace).select(columns).sort("source", "file", "position").to_dicts()
    return [row for row in every if (row["file"], row["position"]) not in lost or row["source"] != "news"]


def test_a_file_that_kills_its_reader_keeps_what_came_before_and_the_rest_is_one_row(tmp_path: Path) -> None:
    kinds = ["crash", "spin"]
    inputs = with_poison(tmp_path / "inputs", kinds)
    prepared(inputs, tmp_path / "poisoned")
    found = ledger(tmp_path / "poisoned").filter(pl.col("fate") == "quarantined").sort("file")
    assert found["reason"].to_list() == [KINDS[kind] for kind in kinds]
    assert found["position"].to_list() == [1, 1] and set(found["step"]) == {"quarantine"}
    write_inputs(tmp_path / "harmless", documents=16)
    prepared(tmp_path / "harmless", tmp_path / "clean")
    lines = len((inputs / "news/0.jsonl").read_text().splitlines())
    lost = {(f"{file}.jsonl", position) for file in range(2) for position in range(1, lines)}
    assert rows(tmp_path / "poisoned", lost) == rows(tmp_path / "clean", lost)
    assert not list((tmp_path / "poisoned").rglob(".*.begun"))


def test_with_one_worker_the_same_command_finds_the_record(tmp_path: Path) -> None:
    inputs = with_poison(tmp_path / "inputs", ["crash"])
    life = multiprocessing.get_context("forkserver").Process(target=prepared, args=(inputs, tmp_path / "work", 1))
    life.start()
    life.join()
    assert life.exitcode == -signal.SIGSEGV
    prepared(inputs, tmp_path / "work", workers=1)
    assert ledger(tmp_path / "work").filter(pl.col("fate") == "quarantined")["reason"].to_list() == ["crashed in read"]


def file_of(folder: Path, texts: list[str]) -> tuple[PoisonousReader, InputFile]:
    (folder / "f.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    reader = PoisonousReader(JsonlSettings(kind="jsonl", path=str(folder)), "s")
    return reader, reader.files()[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [0, 2])
def test_rows_and_bytes_are_those_that_were_counted(kind: str, before: int, tmp_path: Path) -> None:
    texts = [*(f"text {row}" for row in range(before)), f"POISON {kind}", "never read"]
    reader, file = file_of(tmp_path, texts)
    tally = Tally()
    # What eats memory is not to be ended for its time, however slow the machine is at giving it.
    guard = GuardSettings(**GUARD | ({"seconds": 20.0} if kind == "eat" else {}))
    documents = list(isolated(reader, file, tally, guard))
    assert [document.text for document in documents] == [*texts[:before], ""]
    assert documents[-1].reason == KINDS[kind] and documents[-1].position == before
    assert tally.records == before + 1 and tally.bytes == file.bytes


def test_a_sound_file_is_read_as_it_would_be_without_a_child(tmp_path: Path) -> None:
    reader, _ = file_of(tmp_path, ["a", "", "b"])
    with open(tmp_path / "f.jsonl", "a") as lines:
        lines.write("\n{broken\n")
    file = reader.files()[0]
    here, there = Tally(), Tally()
    expected = list(reader.read(file, here))
    assert list(isolated(reader, file, there, GuardSettings(**GUARD))) == expected
    assert here == there


def test_what_the_storage_says_is_no_fault_of_the_file(tmp_path: Path) -> None:
    reader, file = file_of(tmp_path, ["a"])
    (tmp_path / "f.jsonl").unlink()
    with pytest.raises(DataError):
        list(isolated(reader, file, Tally(), GuardSettings(**GUARD)))
