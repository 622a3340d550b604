"""Flipped bits in what searches over all documents publish between their stages: found when a later stage reads it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from cut_units import kept, spans
from seeds import EVERY
from test_damage import flipped
from test_dedup_cluster import near_copies
from test_dedup_semantic import noisy
from test_dedup_stages import SETTINGS, write_sources

from corpus.arrays import load, mapped
from corpus.artifact import MANIFEST, publish
from corpus.cuts.kept import KeptUnit
from corpus.cuts.spans import Cuts, Spans
from corpus.decontaminate import DecontaminateSettings, EvaluationSet, find_contamination
from corpus.dedup import cluster
from corpus.dedup.cosine import similar_pairs
from corpus.dedup.repeated import RepeatedSettings, RepeatSettings, find_repeated
from corpus.dedup.substring import SubstringSettings, find_substrings
from corpus.engine import Workplace
from corpus.errors import ArtifactError

pytestmark = pytest.mark.faults
TEXTS = [*near_copies(12, seed=3), "a common line\n\nof two paragraphs\n\n" * 3, "a common line\n\nof another kind"]
Search = Callable[[Path], object]  # in the folder in which it works; its findings, which compare


def clusters(inputs: Path) -> Search:
    sources = write_sources(inputs)

    def search(folder: Path) -> object:
        found = cluster.find_clusters(sources, SETTINGS, Workplace(folder))
        return found.clusters.to_pylist(), found.pairs.to_pylist()

    return search


def semantic(inputs: Path) -> Search:
    vectors = noisy(400)
    with publish(inputs / "vectors", kind="vectors", function={}) as draft:
        np.save(draft.path / "vectors.npy", vectors)

    def search(folder: Path) -> object:
        if not (folder / "vectors").exists():
            shutil.copytree(inputs / "vectors", folder / "vectors")
        return [
            column.tolist() for column in similar_pairs(folder / "vectors/vectors.npy", 0.95, 20, 1, Workplace(folder))
        ]

    return search


def listed(found: Spans) -> list[list[int]]:
    return [column.tolist() for column in (found.unit, found.row, found.start, found.stop, found.kind)]


def repeated(inputs: Path) -> Search:
    documents = kept(inputs, TEXTS, units=2)
    asked = RepeatedSettings(lines=RepeatSettings(min_documents=2, keep=1))
    return lambda folder: listed(spans(documents, find_repeated(documents, ("s",), asked, Workplace(folder)).passes))


def substring(inputs: Path) -> Search:
    documents = kept(inputs, TEXTS, units=2)
    asked = SubstringSettings(tokens=8)
    return lambda folder: listed(spans(documents, find_substrings(documents, Cuts(), asked, Workplace(folder))))


def contamination(inputs: Path) -> Search:
    documents = kept(inputs, TEXTS, units=2, held_out=[1, 5])
    items = inputs / "items.jsonl"
    items.write_text("".join(json.dumps({"question": text}) + "\n" for text in TEXTS[:4]))
    asked = DecontaminateSettings(sets=(EvaluationSet(name="bench", path=str(items), fields=("question",)),))

    def search(folder: Path) -> object:
        found = find_contamination(documents, Cuts(), asked, Workplace(folder))
        return found.drops.to_pylist(), found.items.to_pylist(), listed(spans(documents, found.passes))

    return search


SEARCHES = {one.__name__: one for one in (clusters, semantic, repeated, substring, contamination)}


def numbers_in(folder: Path) -> list[Path]:
    """A file of each kind of each stage; with PROVENDER_FAULTS=all every file."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".npy", ".npz", ".bin"))
    kinds: dict[tuple[str, str], Path] = {}
    for path in files:
        if path.stat().st_size > 128:  # more than a header
            stage = path.relative_to(folder).parts[0].rstrip("-0123456789")
            kinds.setdefault((stage, path.name.rstrip(".npyzbi").rstrip("-0123456789")), path)
    return files if EVERY else list(kinds.values())


def manifest_of(path: Path) -> Path:
    return next(parent / MANIFEST for parent in path.parents if (parent / MANIFEST).exists())


@pytest.mark.parametrize("name", SEARCHES)
def test_a_flipped_bit_between_two_stages_of_a_search_is_found_or_was_read_by_nobody(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inputs").mkdir()
    search, work = SEARCHES[name](tmp_path / "inputs"), tmp_path / "work"
    monkeypatch.setattr(cluster.shutil, "rmtree", lambda *_, **__: None)  # what stages publish stays
    clean = search(work)
    monkeypatch.undo()
    random, refused, files = Random(5), 0, numbers_in(work)
    assert len(files) >= {"clusters": 14, "semantic": 4, "repeated": 3, "substring": 5, "contamination": 10}[name]
    for number, path in enumerate(files):
        later = tmp_path / str(number)
        shutil.copytree(work, later)
        written = manifest_of(path).stat().st_mtime_ns
        stage = path.relative_to(work).parts[0]
        for manifest in work.rglob(MANIFEST):
            if manifest.stat().st_mtime_ns > written and manifest.relative_to(work).parts[0] != stage:
                shutil.rmtree(later / manifest.parent.relative_to(work), ignore_errors=True)
        damaged = later / path.relative_to(work)
        data = damaged.read_bytes()
        flipped(damaged, data, random.randrange(len(data)), random.randrange(8))
        try:
            assert search(later) == clean, path
        except ArtifactError as error:
            assert "differs from its manifest" in str(error)
            refused += 1
        shutil.rmtree(later)
    assert refused >= 0.8 * len(files)


def test_the_rows_that_stay_are_compared_with_what_was_written(tmp_path: Path) -> None:
    unit: KeptUnit = kept(tmp_path, ["a", "b"]).units[0]
    assert unit.rows["rank"].tolist() == [0, 1]
    again: KeptUnit = kept(tmp_path, ["a", "b"]).units[0]
    flipped(again.file, again.file.read_bytes(), 130, 1)
    with pytest.raises(ArtifactError, match="differs from its manifest"):
        _ = again.rows


def test_a_file_that_was_read_before_is_compared_again_when_it_changed(tmp_path: Path) -> None:
    with publish(tmp_path / "made", kind="k", function={}) as draft:
        np.save(draft.path / "a.npy", np.arange(9))
        np.savez(draft.path / "b.npz", left=np.arange(3))
        (draft.path / "part").mkdir()
        np.save(draft.path / "part/c.npy", np.arange(5))
    path = tmp_path / "made/a.npy"
    assert load(path).tolist() == mapped(path).tolist() == list(range(9))
    assert load(tmp_path / "made/b.npz")["left"].tolist() == [0, 1, 2]
    assert mapped(tmp_path / "made/part/c.npy").tolist() == list(range(5))
    data = path.read_bytes()
    path.unlink()
    flipped(path, data, len(data) - 1, 7)
    for read in (load, mapped):
        with pytest.raises(ArtifactError, match="differs from its manifest"):
            read(path)
    for name, said in (("none.npy", "missing"), ("part/d.npy", "does not name")):
        other = tmp_path / "made" / name
        if "part" in name:
            np.save(other, np.arange(2))
        with pytest.raises(ArtifactError, match=said):
            load(other)
