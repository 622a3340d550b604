"""The plan as a data set: rows in the order of training, columns of chosen rows, and Hugging Face's IterableDataset."""

import gc
import pickle

import numpy as np
import pytest

from corpus.errors import ArtifactError
from corpus.tokens.store import TokenStore
from mixing.budget import MixSettings, SourceBudget
from mixing.compile import compile_plan
from mixing.loader import Loader
from mixing.view import COLUMNS, RowView


@pytest.fixture(scope="module")
def loader(stores: dict[str, TokenStore]) -> Loader:
    sources = {"web": SourceBudget(role="replay")}
    settings = MixSettings(sequence_length=16, global_batch=11, steps=6, sources=sources)
    return Loader(compile_plan(stores, settings), stores, rank=1, world_size=2)


def test_the_rows_are_those_of_the_batches(loader: Loader) -> None:
    view = RowView(loader)
    assert len(view) == 6 * 6
    rows = list(view)
    for step in range(6):
        batch = loader.batch(step)
        columns = view[step * 6 : (step + 1) * 6]
        assert columns["step"].tolist() == [step] * 6
        for name in COLUMNS[:-1]:
            assert columns[name].tobytes() == getattr(batch, name).tobytes()
            assert np.stack([row[name] for row in rows[step * 6 : step * 6 + 6]]).tobytes() == columns[name].tobytes()
    assert (view[[7, 2]]["input_ids"][1] == view[2]["input_ids"]).all()
    assert (view[-1]["labels"] == view[35]["labels"]).all()
    with pytest.raises(IndexError):
        view[36]


def test_datasets_reads_it_from_any_row_on(loader: Loader) -> None:
    view = RowView(loader)
    found = [row["input_ids"] for row in view.to_iterable(start=9)]
    assert len(found) == 36 - 9
    assert list(found[0]) == view[9]["input_ids"].tolist()


def test_a_batch_that_is_held_stays_and_memory_is_used_again(loader: Loader) -> None:
    kept = [loader.batch(step) for step in range(6)]
    copies = [batch.input_ids.copy() for batch in kept]
    for step in range(6):
        loader.batch(step)
    assert all((batch.input_ids == copy).all() for batch, copy in zip(kept, copies, strict=True))
    row = kept[2].labels[1]  # a part of a batch keeps it, too
    wanted = row.copy()
    del kept
    gc.collect()
    addresses = {loader.batch(step % 6).input_ids.ctypes.data for step in range(40)}
    assert len(addresses) == 1
    assert (row == wanted).all()


def test_the_state_is_the_plan_and_the_step(loader: Loader) -> None:
    other = pickle.loads(pickle.dumps(loader))  # noqa: S301  as a worker process gets it
    assert other.step_of(loader.state(4)) == 4
    assert other.batch(4).input_ids.tobytes() == loader.batch(4).input_ids.tobytes()
    with pytest.raises(ArtifactError, match="another plan"):
        other.step_of({"plan": "0" * 64, "step": 1})
