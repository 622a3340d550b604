"""Dirty, empty and enormous inputs through the whole preparation: every record is a row with its fate."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_corpus import prepare, write_inputs

from corpus.engine import LocalSettings
from corpus.errors import DataError

pytestmark = pytest.mark.faults
ONE = LocalSettings(workers=1)
TEXT = " ".join(f"word{number}" for number in range(40))
LINES = {
    b'{"text": "bad utf-8 \xff\xfe"}': "quarantined",
    b'{"text": "lone \\ud800 surrogate"}': "quarantined",
    b'{"text": 17}': "quarantined",
    b'{"text": null}': "quarantined",
    b'{"text": ["a", "list"]}': "quarantined",
    b'{"body": "another field"}': "quarantined",
    b'["no", "object"]': "quarantined",
    b'{"text": "cut off': "quarantined",
    b"[" * 5000: "quarantined",
    b'{"text": "   "}': "dropped",
    json.dumps({"text": f"{TEXT} \x00 a NUL", "id": "same"}).encode(): "kept",
    json.dumps({"text": f"{TEXT} more", "id": "same", "extra": {"deep": [1, 2]}}).encode(): "kept",
}


def ledger(workspace: Path, source: str) -> pl.DataFrame:
    frames = [pl.read_parquet(path) for path in sorted(workspace.glob(f"corpus/ledger/{source}/*.parquet"))]
    return pl.concat(frames).sort("file", "position")


def test_each_kind_of_dirt_is_a_row_with_its_fate(tmp_path: Path) -> None:
    """Bad UTF-8, lone surrogates, wrong types, missing and extra fields, deep JSON, NUL, and one id twice."""
    inputs = write_inputs(tmp_path / "inputs", documents=12)
    (inputs / "news/dirt.jsonl").write_bytes(b"\n".join(LINES) + b"\n")
    source = {"reader": {"kind": "jsonl", "path": f"{inputs}/news", "id_field": "id"}, "name": "news"}
    changes = {
        "sources": [source],
        "duplicates": None,
        "repeated": None,
        "substring": None,
        "steps": [{"kind": "repair"}],
    }
    prepare(inputs, tmp_path / "work", ONE, **changes)
    rows = ledger(tmp_path / "work", "news").filter(pl.col("file") == "dirt.jsonl")
    assert rows["fate"].to_list() == list(LINES.values())
    assert rows["id"].n_unique() == len(LINES)  # ours are of file and position, whatever the record says
    assert rows["record_id"].to_list()[-2:] == ["same", "same"]
    assert rows.filter(pl.col("fate") != "kept")["reason"].null_count() == 0


def test_columns_of_other_types_extra_ones_and_missing_ones_in_parquet(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "inputs", documents=12)
    folder = tmp_path / "tables"
    folder.mkdir()
    texts = [f"{TEXT} number {row}" for row in range(6)]
    pq.write_table(pa.table({"text": texts, "extra": [{"a": [1]}] * 6}), folder / "a.parquet")
    pq.write_table(pa.table({"text": list(range(6))}), folder / "b.parquet")
    pq.write_table(pa.table({"body": texts}), folder / "c.parquet")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), folder / "d.parquet")
    source = {"reader": {"kind": "parquet", "path": str(folder)}, "name": "tables"}
    changes = {"sources": [source], "duplicates": None, "repeated": None, "substring": None}
    prepare(inputs, tmp_path / "work", ONE, **changes)
    fates = {name: rows["fate"].to_list() for (name,), rows in ledger(tmp_path / "work", "tables").group_by("file")}
    assert fates["a.parquet"] == ["kept"] * 6 and "d.parquet" not in fates
    assert set(fates["b.parquet"]) == set(fates["c.parquet"]) == {"quarantined"}


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b'{"text": ""}\n'])
def test_inputs_without_a_document_are_refused_and_an_empty_file_among_others_is_nothing(
    content: bytes, tmp_path: Path
) -> None:
    inputs = write_inputs(tmp_path / "inputs", documents=12)
    (inputs / "empty").mkdir()
    (inputs / "empty/a.jsonl").write_bytes(content)
    source = {"reader": {"kind": "jsonl", "path": f"{inputs}/empty"}, "name": "empty"}
    with pytest.raises(DataError):
        prepare(inputs, tmp_path / "refused", ONE, sources=[source], repeated=None, substring=None)
    (inputs / "news/empty.jsonl").write_bytes(b"")
    prepare(inputs, tmp_path / "work", ONE)


BOMB = """
import sys
from pathlib import Path
import zstandard
from corpus.readers import JsonlSettings, Tally, make_reader
import resource
path = Path(sys.argv[1])
writer = zstandard.ZstdCompressor(level=1).stream_writer(open(path / "bomb.jsonl.zst", "wb"), closefd=True)
with writer:
    writer.write(b'{"text": "before"}\\n')
    for _ in range(1200):
        writer.write(b" " * (1 << 20))
with open(path / "long.jsonl", "wb") as file:
    file.write(b'{"text": "')
    for _ in range(100):
        file.write(b"a" * (1 << 20))
    file.write(b'"}\\n{"text": "after"}\\n')
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reader = make_reader(JsonlSettings(path=str(path)), "s")
tally = Tally()
said = [d.reason or d.text for file in reader.files() for d in reader.read(file, tally)]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(said, tally.records, (after - before) // 1024)
"""


def test_a_bomb_and_a_line_of_100_mb_under_a_fixed_memory(tmp_path: Path) -> None:
    """In a process of its own, which may have 150 MB more than it starts with."""
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    )
    said, _, rest = done.stdout.rpartition("]")
    assert said == "['before', 'expands beyond its bound', 'record above 64 MB', 'after'"
    records, grown = map(int, rest.split())
    assert records == 4 and grown < 150
