"""The whole preparation with everything that looks across documents, on generated sources."""

import hashlib
import json
from contextlib import nullcontext
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_corpus import HEADER, ITEM, NOTICE, write_tokenizer

from corpus.artifact import Manifest, RunLock
from corpus.engine import LocalSettings, workplace
from corpus.prepare import Preparation
from corpus.recipe import CorpusSettings
from corpus.tokens.tokenize import TokenizerSettings

pytestmark = [pytest.mark.slow, pytest.mark.distributed]


def sentence(random: Random, words: int) -> str:
    return " ".join(f"{random.choice('abcdefghij')}{random.randint(0, 3000)}" for _ in range(words)) + "."


def paragraphs(random: Random, count: int = 3) -> list[str]:
    return [sentence(random, 40) for _ in range(count)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Two sources: news with a repeated header, notices and quoted items, books without."""
    root, random = tmp_path_factory.mktemp("inputs"), Random(11)
    news, books = [], []
    for number in range(60):
        parts = paragraphs(random)
        if number % 2 == 0:
            parts.insert(0, HEADER)
        if number % 15 == 1:
            parts.insert(2, NOTICE)
        if number == 5:
            parts[1] += " " + ITEM.upper() + "?"
        if number == 8:
            parts = [HEADER, "Short rest."]
        news.append("\n\n".join(parts))
    books = ["\n\n".join(paragraphs(random)) for _ in range(40)]
    for name, texts in (("news", news), ("books", books)):
        for part in range(4):
            records = [{"text": text, "key": f"{name}{i}"} for i, text in enumerate(texts) if i % 4 == part]
            folder = root / name
            folder.mkdir(exist_ok=True)
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (root / "bench.jsonl").write_text(json.dumps({"question": ITEM}) + "\n")
    vectors = np.eye(40, 48, dtype=np.float32)
    vectors[7] = vectors[3] + 0.05 * vectors[9]
    columns = {"id": [f"books{i}" for i in range(40)], "embedding": pa.array(vectors.tolist(), pa.list_(pa.float32()))}
    pq.write_table(pa.table(columns), root / "vectors.parquet")
    write_tokenizer(root / "tokenizer", {word for text in (*news, *books) for word in text.split()})
    return root


def prepare(inputs: Path, workspace: Path, workers: int = 1, **changes) -> tuple[Manifest, list[str]]:
    """The corpus manifest, and the stages that were not skipped."""
    sources = [
        {"name": name, "reader": {"kind": "jsonl", "path": str(inputs / name), "id_field": "key"}}
        for name in ("news", "books")
    ]
    bench = {"name": "bench", "path": str(inputs / "bench.jsonl"), "fields": ["question"]}
    settings = {
        "sources": sources,
        "unit_bytes": 4_000,
        "validation": 0.2,
        "repeated": {"lines": {"min_documents": 10}, "sources": ["news"]},
        "substring": {"tokens": 30},
        "semantic": {"path": str(inputs / "vectors.parquet"), "source": "books"},
        "decontaminate": {"sets": [bench]},
        **changes,
    }
    ran: list[str] = []

    def watch(title: str):
        def close(said: str) -> None:
            if "made" in said:
                ran.append(title)

        return nullcontext(SimpleNamespace(update=lambda *_: None, close=close))

    with RunLock(workspace) as lock:
        preparation = Preparation(
            CorpusSettings.model_validate(settings),
            TokenizerSettings(path=str(inputs / "tokenizer"), eos_token="<end>", engine="tokenizers"),
            workspace,
            executor=LocalSettings(workers=workers),
            seed=1,
            phi=False,
            lock=lock,
            watch=watch,
        )
        return preparation.run(lambda totals: "card", {}), ran


def corpus_of(workspace: Path, what: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((workspace / "corpus" / what).rglob("*.parquet"))])


def digests(workspace: Path) -> dict[str, str]:
    stages = (
        "survivors",
        "semantic",
        "repeated",
        "substring",
        "contamination",
        "cuts",
        "decisions",
        "corpus",
        "tokens",
    )
    paths = [path for stage in stages for path in sorted((workspace / stage).rglob("*")) if path.is_file()]
    return {str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def spread(monkeypatch) -> set[str]:
    """The stages that are given to the executor from now on; none is too small for it."""
    stages: set[str] = set()

    def run_units(stage: str, *words, **named):
        stages.add(stage)
        return run(stage, *words, **named)

    run = workplace.run_units
    monkeypatch.setattr(workplace, "run_units", run_units)
    monkeypatch.setattr(workplace, "INLINE", 0)
    return stages


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory) -> Path:
    workspace = tmp_path_factory.mktemp("finished")
    prepare(inputs, workspace)
    return workspace


def test_every_cut_and_every_drop_is_in_the_ledger(finished):
    ledger = corpus_of(finished, "ledger").with_columns(pl.col("record_id").alias("key"))
    fate = {row["key"]: row for row in ledger.to_dicts()}
    assert fate["news5"]["reason"] == "overlaps bench" and "shared with 0" in fate["news5"]["detail"]
    assert fate["news8"]["reason"] == "left too short after cuts" and fate["news8"]["detail"] == "11 < 100"
    pair = {fate["books3"]["fate"], fate["books7"]["fate"]}
    gone = next(fate[key] for key in ("books3", "books7") if fate[key]["fate"] == "dropped")
    assert pair == {"kept", "dropped"} and gone["duplicate_kind"] == "semantic"
    assert gone["similarity"] == pytest.approx(1 / np.sqrt(1 + 0.05**2), abs=1e-4)
    edits = {key: {e["key"]: e["value"] for e in row["edits"]} for key, row in fate.items()}
    assert edits["news2"] == {"repeated_lines": -len(HEADER) - 2}
    cut = [key for key in edits if "substring" in edits[key]]
    assert len(cut) == 3 and set(cut) < {"news1", "news16", "news31", "news46"}
    kept = ledger.filter(pl.col("fate") == "kept")
    size = kept["bytes_in"] + pl.Series([sum(edits[key].values()) for key in kept["key"]])
    assert (size == kept["bytes_out"]).all()


def test_texts_and_token_counts_are_those_after_the_cuts(finished):
    texts = corpus_of(finished, "data")
    assert not texts["text"].str.contains("county hospital").any()
    assert texts.filter(pl.col("text").str.contains("Notice7 Notice8")).height == 1
    assert (texts["text"].str.split(by="\n\n").list.len() == 3).sum() >= texts.height - 1
    assert (texts["token_count"] == texts["text"].str.extract_all(r"\S+").list.len()).all()
    left = texts["annotations"].struct.field("cuts_left_characters")
    changed = left.is_not_null()
    assert (left.filter(changed) == texts["text"].filter(changed).str.len_chars()).all() and changed.sum() > 20


def test_the_reports_of_the_finders_are_published(finished):
    most = pl.read_parquet(finished / "repeated/most.parquet")
    assert most.row(0, named=True) | {"text": HEADER, "scope": "news"} == most.row(0, named=True)
    totals = Manifest.read(finished / "contamination").totals["sets"]
    assert totals["bench"] == {"items": 1, "too_short": 0, "shared": 1, "contaminated": 1, "documents": 1}
    assert totals["validation"]["items"] > 5
    names = {path.name for path in (finished / "contamination").iterdir()}
    assert {"drops.parquet", "items.parquet"} <= names


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bytes(inputs, finished, tmp_path, workers, spread):
    """However little there is to do, every stage of a search is given to the workers."""
    prepare(inputs, tmp_path, workers)
    assert digests(tmp_path) == digests(finished)
    assert spread >= {
        "duplicates/keys",
        "duplicates/verify",
        "semantic/compared",
        "repeated/lines-pieces",
        "repeated/lines-counts",
        "repeated/lines-cut",
        "substring/1-windows",
        "substring/1-runs",
        "substring/1-sorted",
        "substring/1-cut",
        "contamination/sets",
        "contamination/held-out",
        "contamination/split",
    }


def test_a_second_run_skips_everything_and_a_bound_decides_again(inputs, finished):
    before = digests(finished)
    assert prepare(inputs, finished)[1] == []
    assert digests(finished) == before
    _, ran = prepare(inputs, finished, after_cuts={"min_characters": 10})
    assert "annotate" not in ran and "substring" not in ran and "cuts" not in ran and "decide" in ran
    assert "news8" in corpus_of(finished, "ledger").filter(pl.col("fate") == "kept")["record_id"].to_list()
    prepare(inputs, finished)
    assert digests(finished) == before


def test_without_held_out_documents_and_settings_nothing_is_looked_for(inputs, tmp_path):
    changes = {"repeated": None, "substring": None, "semantic": None, "decontaminate": {}, "validation": 0}
    prepare(inputs, tmp_path, **changes)
    assert not (tmp_path / "survivors").exists() and not (tmp_path / "contamination").exists()
    assert corpus_of(tmp_path, "data")["text"].str.contains("county hospital").sum() == 30
