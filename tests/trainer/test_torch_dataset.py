"""Torch's DataLoader gives the plan's batches in its order, with any number of workers, from any step on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import pyarrow as pa  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from corpus.artifact import publish  # noqa: E402
from corpus.tokens.store import TokenizerIdentity, TokenStore, TokenStoreWriter  # noqa: E402
from mixing.budget import MixSettings  # noqa: E402
from mixing.compile import compile_plan  # noqa: E402
from mixing.loader import Loader  # noqa: E402
from trainer.batches.torch_dataset import TokenBatches  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    folder = tmp_path_factory.mktemp("tokens") / "notes"
    lengths = np.random.default_rng(0).integers(1, 60, 80)
    with (
        publish(folder, kind="corpus.tokens", function={"name": "notes"}) as draft,
        TokenStoreWriter(draft, TokenizerIdentity("0" * 64, 900, 0)) as writer,
    ):
        tokens = np.random.default_rng(1).integers(1, 900, int(lengths.sum()))
        writer.add(pa.array([str(i) for i in range(80)]), "notes", lengths, tokens, lengths)
    stores = {"notes": TokenStore.open(folder)}
    return Loader(compile_plan(stores, MixSettings(sequence_length=16, global_batch=4, steps=9)), stores)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_order_is_the_plans_whatever_the_workers(loader: Loader, workers: int) -> None:
    batches = TokenBatches(loader)
    batches.load_state_dict(batches.state_dict(2))
    context = {"multiprocessing_context": "spawn"} if workers else {}
    found = list(DataLoader(batches, batch_size=None, num_workers=workers, **context))
    assert [batch["step"] for batch in found] == list(range(2, 9))
    assert len(batches) == 7
    for batch in found:
        wanted = loader.batch(batch["step"])
        for name in ("input_ids", "labels", "position_ids", "document_ids", "source_ids"):
            assert (batch[name].numpy() == getattr(wanted, name)).all()
