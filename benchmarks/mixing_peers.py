"""The loaders of others on the same tokens, one per process, in an interpreter of their own.

    python benchmarks/mixing_peers.py litdata FOLDER ROWS

FOLDER holds `<source>.ds` (uint16) and `<source>.ds.index` for three sources. The peer's own files are built beside
them, then "ready" is printed; for every line on stdin the next ROWS rows of 2,048 tokens are loaded in batches of 64
and "done" is printed. Runs without Provender, whose pins the peers do not share. Each peer gives the token ids alone
(Megatron labels and positions, too), where ours gives four arrays of int64; `datasets` is run twice, with its torch
format, which trains as it is, and with its bare numpy arrays of uint16.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

LENGTH, BATCH, EOS = 2048, 64, 0
SOURCES = ("one", "two", "three")


def rows_of(folder: Path, source: str) -> np.ndarray:
    """uint16[rows, LENGTH] over the map of a source's tokens."""
    tokens = np.memmap(folder / f"{source}.ds", "<u2", "r")
    return tokens[: len(tokens) // LENGTH * LENGTH].reshape(-1, LENGTH)


def grain(folder: Path) -> Iterator[Any]:
    import grain as gr

    parts = [gr.MapDataset.source(rows_of(folder, source)).seed(0).shuffle().repeat() for source in SOURCES]
    mixed = gr.MapDataset.mix(parts, weights=[1, 1, 1]).batch(BATCH)
    return iter(mixed.to_iter_dataset(gr.ReadOptions(num_threads=1, prefetch_buffer_size=4)))


def datasets(folder: Path, form: str = "torch") -> Iterator[Any]:
    import datasets as hf
    import pyarrow as pa

    hf.disable_progress_bars()
    parts = []
    for source in SOURCES:
        rows = rows_of(folder, source)
        column = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), LENGTH)
        part = hf.Dataset(pa.table({"input_ids": column})).shuffle(seed=0)
        parts.append(part)
    mixed = hf.interleave_datasets(parts, stopping_strategy="all_exhausted").with_format(form)
    while True:
        yield from mixed.iter(BATCH, drop_last_batch=True)


def trainable(folder: Path) -> Iterator[Any]:
    """The bare rows of `datasets` as ours are: int64 ids, labels, positions and documents of packed rows."""
    place = np.arange(LENGTH)
    for batch in datasets(folder, "numpy"):
        ids = batch["input_ids"].astype(np.int64)
        ends = ids == EOS
        labels = np.empty_like(ids)
        labels[:, :-1], labels[:, -1] = ids[:, 1:], -100
        labels[ends] = -100
        starts = np.zeros_like(ids)
        starts[:, 1:] = np.where(ends[:, :-1], place[1:], 0)
        positions = place - np.maximum.accumulate(starts, axis=1)
        documents = np.cumsum(ends, axis=1) - ends
        yield ids, labels, positions, documents


def mosaicml(folder: Path) -> Iterator[Any]:
    from streaming import MDSWriter, Stream, StreamingDataLoader, StreamingDataset

    streams = []
    for source in SOURCES:
        out = folder / "mds" / source
        with MDSWriter(out=str(out), columns={"input_ids": f"ndarray:uint16:{LENGTH}"}) as writer:
            for row in rows_of(folder, source):
                writer.write({"input_ids": np.array(row)})
        streams.append(Stream(local=str(out), proportion=1 / len(SOURCES)))
    data = StreamingDataset(streams=streams, batch_size=BATCH, shuffle=True, num_canonical_nodes=1)
    while True:
        yield from StreamingDataLoader(data, batch_size=BATCH, num_workers=0, drop_last=True)


def litdata(folder: Path) -> Iterator[Any]:
    import litdata as ld

    parts = []
    for source in SOURCES:
        out = folder / "litdata" / source
        ld.optimize(
            partial(_tensor_rows, folder, source), [0], str(out), chunk_bytes="64MB", num_workers=1,
            item_loader=ld.TokensLoader(block_size=LENGTH), verbose=False,
        )  # fmt: skip
        loader = ld.TokensLoader(block_size=LENGTH)
        parts.append(ld.StreamingDataset(str(out), item_loader=loader, shuffle=True, drop_last=True))
    mixed = ld.CombinedStreamingDataset(parts, weights=[1 / 3] * 3, iterate_over_all=False, seed=0)
    while True:
        yield from ld.StreamingDataLoader(mixed, batch_size=BATCH, num_workers=0, drop_last=True)


def _tensor_rows(folder: Path, source: str, _: int) -> Iterator[Any]:
    import torch

    for row in rows_of(folder, source):
        yield torch.from_numpy(row.astype(np.int32))


def megatron(folder: Path) -> Iterator[Any]:
    from types import SimpleNamespace

    import torch
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder, get_bin_path, get_idx_path

    rendezvous = f"file://{folder / 'megatron-group'}"  # it asks for its rank
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=0, world_size=1)
    prefixes = []
    for source in SOURCES:
        prefix = str(folder / f"megatron-{source}")
        builder = IndexedDatasetBuilder(get_bin_path(prefix), dtype=np.uint16)
        tokens = np.memmap(folder / f"{source}.ds", "<u2", "r")
        start = 0
        for end in np.fromfile(folder / f"{source}.ds.index", "<u8").tolist():
            builder.add_document(torch.from_numpy(tokens[start:end].astype(np.int32)), [end - start])
            start = end
        builder.finalize(get_idx_path(prefix))
        prefixes.append(prefix)
    tokenizer = SimpleNamespace(eod=0, pad=None, vocab_size=49_152, unique_identifiers={"class": "none"})
    config = GPTDatasetConfig(
        random_seed=0, sequence_length=LENGTH, blend=(prefixes, [1.0, 1.0, 1.0]), split="1,0,0",
        reset_position_ids=False, reset_attention_mask=False, eod_mask_loss=False, create_attention_mask=False,
        tokenizer=tokenizer, path_to_cache=str(folder / "megatron-cache"), mid_level_dataset_surplus=0.005,
    )  # fmt: skip
    data = BlendedMegatronDatasetBuilder(GPTDataset, [8000, 0, 0], lambda: True, config).build()[0]
    batches = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=False, num_workers=0, drop_last=True)
    while True:
        yield from batches


PEERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    "grain": grain,
    "datasets": datasets,
    "datasets, numpy uint16": partial(datasets, form="numpy"),
    "datasets, the same four arrays": trainable,
    "litdata": litdata,
    "mosaicml-streaming": mosaicml,
    "megatron-core": megatron,
}


def main() -> None:
    """Serve one peer; see the module's docstring."""
    answer = sys.stdout
    sys.stdout = sys.stderr  # what the peer prints must not be taken for an answer
    name, folder, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    batches = PEERS[name](folder)
    next(batches)
    print("ready", file=answer, flush=True)
    for _ in sys.stdin:
        for _ in range(rows // BATCH):
            next(batches)
        print("done", file=answer, flush=True)


if __name__ == "__main__":
    main()
