"""Packing: every token in its place once, documents whole where they can be; naive packers and a slow reading."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import ArtifactError, ConfigError, DataError
from corpus.tokens.store import TokenStore
from mixing.batch import IGNORE
from mixing.bins import best_fit, bucketed, chunked
from mixing.budget import MixSettings, SourceBudget
from mixing.compile import compile_plan
from mixing.loader import Loader
from mixing.packing import PackingSettings, compare, pack
from mixing.sequences import Sequences
from mixing.weights import copies, order_of

LENGTH = 16
BEST, BUCKETED = PackingSettings(method="best_fit"), PackingSettings(method="bucketed")

lengths_ = st.lists(st.integers(0, 70), min_size=0, max_size=60).map(lambda v: np.array(v, np.int64))
capacities = st.integers(2, 40)


def _rows(rows: np.ndarray, pieces: np.ndarray) -> list[list[tuple[int, int, int]]]:
    return [[tuple(p) for p in pieces[a:b].tolist()] for a, b in pairwise(rows)]


@settings(max_examples=200, deadline=None)
@given(lengths_, capacities, st.sampled_from([chunked, best_fit, bucketed]))
def test_every_token_is_placed_once_and_no_row_overflows(lengths: np.ndarray, capacity: int, method) -> None:
    packed = _rows(*method(lengths, capacity))
    placed = sorted(piece for row in packed for piece in row)
    covered = [(i, o + k) for i, o, size in placed for k in range(size)]
    wanted = [(i, place) for i, length in enumerate(lengths.tolist()) for place in range(length)]
    if method is chunked:
        wanted = wanted[: len(wanted) // capacity * capacity]
    assert covered == wanted
    assert all(sum(size for _, _, size in row) <= capacity and row for row in packed)


@settings(max_examples=200, deadline=None)
@given(lengths_, capacities, st.sampled_from([best_fit, bucketed]))
def test_only_documents_longer_than_a_row_are_cut(lengths: np.ndarray, capacity: int, method) -> None:
    _, pieces = method(lengths, capacity)
    for i, length in enumerate(lengths.tolist()):
        sizes = pieces[pieces[:, 0] == i, 2].tolist()
        assert len(sizes) == -(-length // capacity)


def _naive_best_fit(lengths: list[int], capacity: int) -> list[int]:
    """Rooms left, sorted: the definition, one document at a time."""
    rooms: list[int] = []
    for length in sorted((n % capacity for n in lengths if n % capacity), reverse=True):
        fitting = [(room, k) for k, room in enumerate(rooms) if room >= length]
        if fitting:
            rooms[min(fitting)[1]] -= length
        else:
            rooms.append(capacity - length)
    return sorted(rooms + [0] * sum(n // capacity for n in lengths))


@settings(max_examples=300, deadline=None)
@given(lengths_, capacities)
def test_best_fit_fills_rows_as_the_definition_does(lengths: np.ndarray, capacity: int) -> None:
    packed = _rows(*best_fit(lengths, capacity))
    rooms = sorted(capacity - sum(size for _, _, size in row) for row in packed)
    assert rooms == _naive_best_fit(lengths.tolist(), capacity)


@settings(max_examples=100, deadline=None)
@given(lengths_, capacities)
def test_a_bucketed_row_holds_documents_of_one_power_of_two(lengths: np.ndarray, capacity: int) -> None:
    for row in _rows(*bucketed(lengths, capacity)):
        assert len({(size - 1).bit_length() for _, _, size in row}) == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=80), st.integers(0, 1 << 40))
def test_copies_are_the_weight_rounded_and_sum_to_the_weights(weights: list[float], seed: int) -> None:
    count = copies(np.array(weights), seed, "notes")
    total = sum(round(w * (1 << 24)) for w in weights) / (1 << 24)
    assert all(int(w - 1e-6) <= c <= w + 1 for w, c in zip(weights, count.tolist(), strict=True))
    assert abs(count.sum() - total) < 1
    if total == int(total):
        assert count.sum() == total
    order = order_of(count)
    assert (np.bincount(order, minlength=len(count)) == count).all()
    assert (np.sort(order[: (count > 0).sum()]) == np.flatnonzero(count)).all()  # all first copies before any second


def test_copies_are_the_weight_on_average() -> None:
    weights = np.array([0.1, 2.3, 0.0, 1.0, 0.5, 7.75, 0.01])
    mean = np.mean([copies(weights, seed, "notes") for seed in range(4000)], axis=0)
    # A fraction f has variance f(1 − f) ≤ ¼ per draw; five standard errors.
    assert np.abs(mean - weights).max() < 5 * 0.5 / np.sqrt(4000)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), 70_000.0])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(DataError, match="quality weight"):
        copies(np.array([1.0, weight]), 0, "notes")


@pytest.fixture(scope="module")
def packed(
    stores: dict[str, TokenStore], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, TokenStore | Sequences]:
    folder = tmp_path_factory.mktemp("packings")
    weights = {
        f"books-{s}-{row}": 0.4 + row % 3 for s, part in enumerate(np.array_split(np.arange(60), 3)) for row in part
    }
    pl.DataFrame({"id": list(weights), "quality": list(weights.values())}).write_parquet(folder / "weights.parquet")
    weighted = PackingSettings(method="best_fit", weights=folder / "weights.parquet", weight_column="quality")
    return {
        "books": pack(stores["books"], weighted, LENGTH, folder / "books", source="books"),
        "notes": pack(stores["notes"], BUCKETED, LENGTH, folder / "notes", source="notes"),
        "web": pack(stores["web"], PackingSettings(), LENGTH, folder / "web", source="web"),
    }


def _mix(**changes) -> MixSettings:
    base = {"sequence_length": LENGTH, "global_batch": 11, "steps": 20, "sources": {"web": SourceBudget(role="replay")}}
    return MixSettings(**(base | changes))


def test_a_packed_batch_is_its_pieces_and_padding(packed: dict, stores: dict[str, TokenStore]) -> None:
    plan = compile_plan(packed, _mix())
    loader = Loader(plan, packed)
    padded = 0
    for step in range(plan.steps):
        rows, batch = plan.batch(step), loader.batch(step)
        assert (loader.ids(step) == batch.input_ids).all()
        for row in range(len(rows)):
            name = plan.names[rows.source[row]]
            cut = Sequences.of(packed[name], LENGTH)
            tokens, labels, positions, owners = [], [], [], []
            for piece in cut.pieces(int(rows.sequence[row])):
                own = stores[name].read(piece.start, piece.start + piece.size).tolist()
                first, last = stores[name].span_of(piece.document)
                assert first <= piece.start
                assert piece.start + piece.size <= last
                tokens += own
                labels += [*own[1:], IGNORE]
                positions += range(piece.size)
                owners += [piece.document] * piece.size
            room = LENGTH - len(tokens)
            padded += room
            assert batch.input_ids[row].tolist() == tokens + [0] * room
            assert batch.labels[row].tolist() == labels + [IGNORE] * room
            assert batch.position_ids[row].tolist() == positions + list(range(room))
            assert batch.document_ids[row].tolist() == owners + [-1] * room
    assert padded > 0


def test_packed_documents_are_found_in_exactly_the_batches_that_hold_them(packed: dict) -> None:
    plan = compile_plan(packed, _mix(steps=30))
    loader, held = Loader(plan, packed), {}
    for step in range(plan.steps):
        batch = loader.batch(step)
        for row, source in enumerate(batch.source_ids.tolist()):
            for document in set(batch.document_ids[row].tolist()) - {-1}:
                # Two pieces of one document never stand side by side, but a copy may share the row.
                places = np.flatnonzero(batch.document_ids[row] == document)
                starts = places[(batch.position_ids[row, places] == 0)].tolist()
                for first in starts:
                    stop = first + 1
                    while stop < LENGTH and batch.position_ids[row, stop] and batch.document_ids[row, stop] == document:
                        stop += 1
                    held.setdefault((source, document), []).append((step, row, first, stop))
    for source, name in enumerate(plan.names):
        store = Sequences.of(packed[name], LENGTH).store
        for document in range(store.document_count):
            found = [(f.step, f.row, f.start, f.stop) for f in plan.steps_of(name, document, packed[name])]
            assert found == sorted(held.get((source, document), [])), (name, document)


def test_the_report_counts_what_a_person_would(stores: dict[str, TokenStore]) -> None:
    store = stores["books"]
    table = {row["method"]: row for row in compare(store, LENGTH).iter_rows(named=True)}
    ends = np.asarray(store.ends)
    starts = np.concatenate([[0], ends[:-1]])
    last = ends[-1] // LENGTH * LENGTH
    crossing = sum(
        1 for a, b in zip(starts, ends, strict=True) if a < last and (b > last or a // LENGTH != (b - 1) // LENGTH)
    )
    assert table["concatenate"]["truncated"] == crossing
    assert table["concatenate"]["padding_tokens"] == 0
    assert table["concatenate"]["tail_tokens"] == store.tokens % LENGTH
    long = [n for n in (ends - starts).tolist() if n > LENGTH]
    for method in ("best_fit", "bucketed"):
        assert table[method]["truncated"] == len(long)
        assert table[method]["cut_tokens"] == sum(n - LENGTH for n in long)
        assert table[method]["padding_tokens"] == table[method]["sequences"] * LENGTH - store.tokens
    assert table["best_fit"]["padding_tokens"] <= table["bucketed"]["padding_tokens"]


def test_a_packing_is_published_once_and_again_when_it_must(stores: dict[str, TokenStore], tmp_path: Path) -> None:
    first = pack(stores["notes"], BEST, LENGTH, tmp_path / "p", source="notes")
    stamp = (tmp_path / "p" / "manifest.json").stat().st_mtime_ns
    assert pack(stores["notes"], BEST, LENGTH, tmp_path / "p", source="notes").fingerprint == first.fingerprint
    assert (tmp_path / "p" / "manifest.json").stat().st_mtime_ns == stamp
    other = pack(stores["notes"], BUCKETED, LENGTH, tmp_path / "p", source="notes")
    assert other.fingerprint != first.fingerprint
    with pytest.raises(ArtifactError, match="no packing of the token store"):
        Sequences.open(stores["web"], tmp_path / "p")
    with pytest.raises(ArtifactError, match="another sequence length"):
        compile_plan({"notes": other}, _mix(sequence_length=32, sources={}))


def test_weights_that_do_not_fit_are_refused(stores: dict[str, TokenStore], tmp_path: Path) -> None:
    path = tmp_path / "w.parquet"
    wanted = PackingSettings(weights=path)
    with pytest.raises(ConfigError, match="no file of quality weights"):
        pack(
            stores["notes"], PackingSettings(weights=tmp_path / "none.parquet"), LENGTH, tmp_path / "p", source="notes"
        )
    pl.DataFrame({"id": ["notes-0-0"], "weight": [1.0]}).write_parquet(path)
    with pytest.raises(DataError, match="24 documents of notes have no quality weight"):
        pack(stores["notes"], wanted, LENGTH, tmp_path / "p", source="notes")
