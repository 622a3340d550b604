"""The loader against a slow reading of the same plan, and lookups against a search through every batch."""

import threading
from pathlib import Path

import numpy as np
import pytest
from small_stores import make_store

from corpus.errors import ArtifactError, ConfigError, DataError
from corpus.tokens.store import TokenStore
from mixing.batch import IGNORE
from mixing.budget import MixSettings, SourceBudget
from mixing.compile import compile_plan, plan_function
from mixing.loader import Loader
from mixing.plan import MixturePlan

LENGTH = 16


@pytest.fixture(scope="module")
def plan(stores: dict[str, TokenStore]) -> MixturePlan:
    return compile_plan(stores, _settings())


def _settings(**changes) -> MixSettings:
    base = {"sequence_length": LENGTH, "global_batch": 11, "steps": 20, "sources": {"web": SourceBudget(role="replay")}}
    return MixSettings(**(base | changes))


def test_a_batch_is_what_a_slow_reading_of_the_plan_gives(plan: MixturePlan, stores: dict[str, TokenStore]) -> None:
    loader = Loader(plan, stores)
    for step in range(plan.steps):
        rows, batch = plan.batch(step), loader.batch(step)
        assert batch.step == step
        assert (batch.source_ids == rows.source).all()
        for row in range(len(rows)):
            store = stores[plan.names[rows.source[row]]]
            start = int(rows.sequence[row]) * LENGTH
            tokens = store.read(start, start + LENGTH).tolist()
            owners = [int(np.sum(store.ends <= start + place)) for place in range(LENGTH)]
            assert batch.input_ids[row].tolist() == tokens
            assert batch.document_ids[row].tolist() == owners
            for place in range(LENGTH):
                same = place + 1 < LENGTH and owners[place + 1] == owners[place]
                assert batch.labels[row, place] == (tokens[place + 1] if same else IGNORE)
                assert batch.position_ids[row, place] == place - owners.index(owners[place])


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int32])
def test_ids_alone_are_those_of_the_batch(plan: MixturePlan, stores: dict[str, TokenStore], dtype: type) -> None:
    for loader in (Loader(plan, stores), Loader(plan, stores, rank=1, world_size=3)):
        for step in range(plan.steps):
            ids = loader.ids(step, dtype)
            assert ids.dtype == dtype
            assert (ids == loader.batch(step).input_ids).all()


def test_a_type_too_small_for_the_ids_is_refused(plan: MixturePlan, stores: dict[str, TokenStore]) -> None:
    for dtype in (np.uint8, np.float32):
        with pytest.raises(ConfigError, match="cannot hold"):
            Loader(plan, stores).ids(0, dtype)


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_the_ranks_together_have_the_same_global_batch(
    plan: MixturePlan, stores: dict[str, TokenStore], world_size: int
) -> None:
    whole = Loader(plan, stores).batch(7)
    parts = [Loader(plan, stores, rank, world_size).batch(7) for rank in range(world_size)]
    assert max(len(part) for part in parts) - min(len(part) for part in parts) <= 1
    for name in ("input_ids", "labels", "position_ids", "document_ids", "source_ids"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert joined.tobytes() == getattr(whole, name).tobytes()


def test_the_loader_gives_the_tokens_the_plan_promises(plan: MixturePlan, stores: dict[str, TokenStore]) -> None:
    tokens = dict.fromkeys(plan.names, 0)
    for batch in Loader(plan, stores).iterate():
        for source in batch.source_ids:
            tokens[plan.names[source]] += batch.input_ids.shape[1]
    table = plan.table()
    assert tokens == dict(zip(table["source"], table["realised_tokens"], strict=True))
    assert sum(tokens.values()) == plan.tokens


def test_every_document_is_found_in_exactly_the_batches_that_hold_it(
    plan: MixturePlan, stores: dict[str, TokenStore]
) -> None:
    held: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    loader = Loader(plan, stores)
    for step in range(plan.steps):
        batch = loader.batch(step)
        for row, source in enumerate(batch.source_ids.tolist()):
            for document in np.unique(batch.document_ids[row]).tolist():
                places = np.flatnonzero(batch.document_ids[row] == document)
                stretch = (step, row, int(places[0]), int(places[-1]) + 1)
                held.setdefault((source, document), []).append(stretch)
    assert max(len(stretches) for stretches in held.values()) > 3
    for source, name in enumerate(plan.names):
        for document in range(len(stores[name].ends)):
            found = plan.steps_of(name, document, stores[name])
            expected = sorted(held.get((source, document), []))
            assert [(f.step, f.row, f.start, f.stop) for f in found] == expected


def test_lookup_by_id_and_show_agree(plan: MixturePlan, stores: dict[str, TokenStore]) -> None:
    frame = plan.show(5, stores)
    assert frame.height == plan.global_batch
    for row, first, last in frame.select("row", "first_document", "last_document").iter_rows():
        for document in (first, last):
            assert (5, row) in [(found.step, found.row) for found in plan.where(document, stores)]
    with pytest.raises(DataError, match="no token store has this document"):
        plan.where("nobody", stores)


def test_iterating_from_a_step_is_the_rest_of_the_run(plan: MixturePlan, stores: dict[str, TokenStore]) -> None:
    loader = Loader(plan, stores)
    rest = list(loader.iterate(13))
    assert [batch.step for batch in rest] == list(range(13, plan.steps))
    assert rest[0].input_ids.tobytes() == loader.batch(13).input_ids.tobytes()


def test_an_error_in_the_thread_reaches_the_caller_and_closing_ends_the_thread(
    plan: MixturePlan, stores: dict[str, TokenStore]
) -> None:
    with pytest.raises(ConfigError, match="no such step"):
        list(Loader(plan, stores).iterate(plan.steps - 1, plan.steps + 1))
    batches = Loader(plan, stores).iterate()
    next(batches)
    batches.close()
    assert "provender-loader" not in [thread.name for thread in threading.enumerate()]


def test_another_store_is_refused_by_name(plan: MixturePlan, stores: dict[str, TokenStore], tmp_path: Path) -> None:
    other = make_store(tmp_path, "notes", 26, 1)
    with pytest.raises(ArtifactError, match="token store of notes is not the one"):
        Loader(plan, stores | {"notes": other})
    with pytest.raises(ArtifactError, match="not there: web"):
        Loader(plan, {name: store for name, store in stores.items() if name != "web"})
    large = make_store(tmp_path, "large", 5, 1, vocabulary=70_000)
    with pytest.raises(ArtifactError, match="different tokenizers"):
        compile_plan(stores | {"large": large}, _settings())


def test_the_function_changes_with_the_stores_and_the_settings(stores: dict[str, TokenStore]) -> None:
    function = plan_function(stores, _settings())
    assert function == plan_function(dict(reversed(stores.items())), _settings())
    assert function != plan_function(stores, _settings(seed=2))
    assert function != plan_function({"web": stores["web"]}, _settings())
