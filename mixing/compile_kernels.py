"""Compile every kernel of mixing into the cache (`python -m mixing.compile_kernels`), after `python -m corpus.kernels`.

Each is called the way a run calls it, on a store of a few tokens and on two short texts.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import pyarrow as pa

from corpus.artifact import publish
from corpus.tokens.store import TokenizerIdentity, TokenStore, TokenStoreWriter
from mixing.budget import MixSettings
from mixing.compile import compile_plan
from mixing.loader import Loader
from mixing.packing import Method, PackingSettings, pack
from mixing.select.dsir import DsirSettings
from mixing.select.novelty import DiversitySettings
from mixing.select.similarity import SimilaritySettings
from mixing.sequences import Stores

TEXTS = ("A few words, and a few words more. That is all.", "Other words; of 2 lines\nand a sign: é.")
LENGTH = 4


def compile_kernels() -> None:
    """Measures of selection, the three ways to pack, a plan, its batches and look-ups in both directions."""
    measure_texts()
    with TemporaryDirectory() as folder:
        run_plan(Path(folder))


def measure_texts() -> None:
    """The kernels of mixing/select."""

    def texts() -> Iterator[pa.StringArray]:
        yield pa.array(TEXTS, pa.string())

    for measure in (DsirSettings(), SimilaritySettings(), DiversitySettings()):
        measure.fit(texts, texts, Path(), 0).score(next(texts()))


def run_plan(folder: Path) -> None:
    """The kernels of plan, packing and loader."""
    with publish(folder / "store", kind="corpus.tokens", function={}) as draft:
        writer = TokenStoreWriter(draft, TokenizerIdentity("0" * 64, 16, 0))
        lengths = np.array([5, 3, 9, 2, 7])
        writer.add(pa.array([str(n) for n in range(len(lengths))]), "compile", lengths, np.ones(26, np.int64), lengths)
        writer.close()
    store = TokenStore.open(folder / "store")
    for method in get_args(Method):
        packing = PackingSettings.model_validate({"method": method})
        cut = pack(store, packing, LENGTH, folder / method, source="compile")
        sources = {"compile": {"packing": packing.model_dump()}, "replay": {"role": "replay"}}
        mix = MixSettings.model_validate(
            {"sequence_length": LENGTH, "global_batch": 2, "steps": 2, "sources": sources, "seed": 1}
        )
        stores: Stores = {"compile": cut, "replay": store}
        plan = compile_plan(stores, mix)
        Loader(plan, stores).batch(0)
        plan.show(0, stores)
        plan.steps_of("compile", 0, cut)


if __name__ == "__main__":
    compile_kernels()
