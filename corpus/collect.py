"""The corpus folder: the selected units under Hugging Face names, one manifest over all.

The files are hard links to the units where the file system allows it, so the folder costs no space, and it appears in
one rename.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.artifact import Manifest, RunLock, code_version, current, link, publish
from corpus.engine import Outcome, Unit
from corpus.ledger import Ledger
from corpus.select import SPLITS

Card = Callable[[dict[str, Any]], str]


def collect_corpus(
    folder: Path,
    selected: Mapping[str, Sequence[Unit]],
    *,
    card: Card,
    description: dict[str, Any],
    lock: RunLock,
) -> tuple[Manifest, Outcome]:
    """Publish the corpus of all selected units. `card` renders README.md from the totals; `description` is what the
    card needs beside them, and part of the function."""
    units = {source: [Manifest.read(unit.folder).fingerprint for unit in parts] for source, parts in selected.items()}
    function = {"kind": "corpus", "units": units, "description": description, "code": code_version("corpus")}
    manifest = current(folder, function)
    if manifest is not None:
        return manifest, Outcome(ran=0, skipped=1)
    with publish(folder, kind="corpus", function=function, lock=lock) as draft:
        by_source: dict[str, Any] = {}
        for source, parts in selected.items():
            ledger = Ledger(pl.concat([Ledger.read(unit.folder / "ledger.parquet").frame for unit in parts]))
            by_source[source] = ledger.totals() | {"splits": _splits(ledger)}
            for index, unit in enumerate(parts):
                entries = {entry.path: entry for entry in Manifest.read(unit.folder).files}
                shard = f"{index:05d}-of-{len(parts):05d}.parquet"
                names = {f"{split}.parquet": f"data/{source}/{split}-{shard}" for split in SPLITS}
                names |= {"dropped.parquet": f"dropped/{source}/dropped-{shard}"}
                names |= {"ledger.parquet": f"ledger/{source}/{index:05d}.parquet"}
                for name, target in names.items():
                    if name in entries and (entries[name].rows or name == "ledger.parquet"):
                        if link(unit.folder / name, draft.path / target):
                            draft.hashes[target] = entries[name].sha256
                        draft.rows[target] = entries[name].rows or 0
        draft.totals["sources"] = by_source
        (draft.path / "README.md").write_text(card(draft.totals | description), encoding="utf-8")
    return Manifest.read(folder), Outcome(ran=1, skipped=0)


def _splits(ledger: Ledger) -> dict[str, dict[str, int]]:
    kept = ledger.frame.filter(pl.col("fate") == "kept")
    rows = kept.group_by("split").agg(pl.len(), pl.col("bytes_out").sum(), pl.col("tokens_out").sum()).sort("split")
    return {split: {"documents": n, "bytes": size, "tokens": tokens} for split, n, size, tokens in rows.iter_rows()}
