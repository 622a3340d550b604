"""A workspace of any number of documents, drawn with a seed, as the stages leave it: for measuring the audit.

Every file goes through the writers of the stages, and everything adds up, so `verify` passes. The documents are short,
since what is measured grows with their number; a text is the word `word` again and again.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.artifact import Draft, publish, write_atomic, write_parquet
from corpus.document import BASE, DOCUMENTS
from corpus.ledger import LEDGER
from corpus.select import shard_schema
from corpus.tokens.store import TokenizerIdentity, TokenStoreWriter

UNIT = 131_072
ROW_GROUP = 16_384  # of a ledger: large enough to scan, small enough to read for one row
SOURCES = ("papers", "notes", "web")
REASONS = (
    ("quality", "too few words", "dropped"),
    ("gopher_quality", "too many symbols", "dropped"),
    ("gopher_repetition", "repeated lines", "dropped"),
    ("language", "not a wanted language", "dropped"),
    ("language", "uncertain", "dropped"),
    ("perplexity", "too improbable", "dropped"),
    ("duplicates", "exact duplicate", "dropped"),
    ("duplicates", "near duplicate", "dropped"),
    ("read", "empty text", "dropped"),
    ("quarantine", "malformed JSON", "quarantined"),
)
LANGUAGES = ("en", "de", "fr", "no", "es")
TYPES = ("EMAIL", "PHONE", "DATE", "PERSON", "RECORD_NUMBER")
WORD = 4  # bytes of a token's text
TOKENIZER = TokenizerIdentity(sha256="ab" * 32, vocab_size=1000, eos_id=0)
MEASURED = (
    pa.field("language.label", pa.string()),
    pa.field("language.score", pa.float32()),
    pa.field("quality.words", pa.int32()),
    pa.field("perplexity.value", pa.float32()),
)


def generate(workspace: Path, documents: int, seed: int = 1, steps: int = 1000) -> None:
    """annotate/, corpus/, tokens/, plans/main/ and runs/main/metrics.jsonl of so many documents."""
    rng = np.random.default_rng(seed)
    with publish(workspace / "corpus", kind="corpus", function={"documents": documents, "seed": seed}) as draft:
        for source in SOURCES:
            _write_source(workspace, draft, source, documents // len(SOURCES), rng)
    _write_run(workspace, steps)


def _write_source(workspace: Path, draft: Draft, source: str, documents: int, rng: np.random.Generator) -> None:
    for part in ("ledger", "data"):
        (draft.path / part / source).mkdir(parents=True)
    store_function = {"store": source, "documents": documents}
    units = -(-documents // UNIT)
    with publish(workspace / "tokens" / source / "train", kind="corpus.tokens", function=store_function) as store:
        writer = TokenStoreWriter(store, TOKENIZER)
        for index in range(units):
            rows = min(UNIT, documents - index * UNIT)
            ledger, measured = _unit(source, index, rows, rng)
            name = f"ledger/{source}/{index:05d}.parquet"
            draft.rows[name] = write_parquet(draft.path / name, ledger.to_batches(ROW_GROUP), LEDGER)
            kept = ledger.filter(pa.compute.equal(ledger["fate"], "kept"))
            name = f"data/{source}/train-{index:05d}-of-{units:05d}.parquet"
            draft.rows[name] = write_parquet(draft.path / name, _shard(kept))
            lengths = kept["tokens_out"].to_numpy()
            ids = kept["id"].combine_chunks()
            writer.add(ids, source, lengths, np.ones(int(lengths.sum()), np.int64), kept["bytes_out"].to_numpy())
            unit = workspace / "annotate" / source / f"{index:05d}"
            with publish(unit, kind="corpus.annotated", function={"unit": index, "source": source}) as annotated:
                annotated.rows[DOCUMENTS] = write_parquet(annotated.path / DOCUMENTS, measured)
        writer.close()


def _unit(source: str, index: int, rows: int, rng: np.random.Generator) -> tuple[pa.Table, pa.Table]:
    """The ledger and the columns of one unit."""
    ids = _ids(rng, rows)
    which = np.where(rng.random(rows) < 0.3, rng.integers(0, len(REASONS), rows), -1)
    which[0] = -1
    kept = which < 0
    fates = _taken(["kept", *[fate for _, _, fate in REASONS]], which)
    steps, reasons = _taken([None, *[r[0] for r in REASONS]], which), _taken([None, *[r[1] for r in REASONS]], which)
    tokens = np.maximum(10, rng.lognormal(2.6, 0.8, rows).astype(np.int64))
    size = tokens * WORD
    edit = rng.integers(-20, 20, rows)
    copy = (which == 6) | (which == 7)
    keeper = np.where(copy, np.maximum.accumulate(np.where(kept, np.arange(rows), 0)), -1)
    in_cluster = copy.copy()
    in_cluster[keeper[copy]] = True
    leader = np.where(copy, keeper, np.arange(rows))
    unread = which == len(REASONS) - 1
    bounds = np.arange(rows + 1, dtype=np.int32)
    edits = pa.ListArray.from_arrays(
        pa.array(bounds * 2),
        pa.StructArray.from_arrays(
            [
                pa.array(["repair", "deidentify"] * rows),
                pa.array(np.stack([edit, rng.integers(-9, 9, rows)], 1).ravel(), pa.int64()),
            ],
            names=["key", "value"],
        ),
    )
    shift = edits.flatten().field("value").to_numpy().reshape(-1, 2).sum(axis=1)
    found = (rng.random(rows) < 0.1) & ~unread
    pii = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(found)]).astype(np.int32)),
        pa.StructArray.from_arrays(
            [
                _taken(list(TYPES), rng.integers(0, len(TYPES), int(found.sum())) - 1),
                pa.array(rng.integers(1, 4, int(found.sum())), pa.int32()),
            ],
            names=["key", "value"],
        ),
    )
    columns = {
        "id": ids,
        "source": pa.array([source] * rows),
        "file": pa.array([f"part-{index:05d}.jsonl.zst"] * rows),
        "position": pa.array(np.arange(rows)),
        "record_id": pa.array(np.arange(rows) + index * UNIT).cast(pa.string()),
        "split": _taken(["train", None], np.where(kept, -1, 0)),
        "fate": fates,
        "step": steps,
        "reason": reasons,
        "detail": pa.compute.if_else(
            pa.array(kept),
            None,
            pa.compute.binary_join_element_wise(pa.array(tokens).cast(pa.string()), "50", " < "),
        ),
        "bytes_in": pa.array(size - shift),
        "bytes_out": pa.array(np.where(kept, size, 0)),
        "tokens_in": pa.array(tokens, mask=unread),
        "tokens_out": pa.array(np.where(kept, tokens, 0)),
        "edits": edits,
        "pii": pii,
        "cluster": pa.compute.if_else(pa.array(in_cluster), ids.take(pa.array(leader)), None),
        "duplicate_of": pa.compute.if_else(pa.array(copy), ids.take(pa.array(leader)), None),
        "duplicate_kind": _taken([None, "exact", "near"], np.where(copy, which - 6, -1)),
        "language": _taken(list(LANGUAGES), rng.integers(0, len(LANGUAGES), rows) - 1),
        "perplexity_bucket": _taken(["head", "middle", "tail"], rng.integers(0, 3, rows) - 1),
        "similarity": pa.array(np.where(which == 6, 1.0, rng.uniform(0.8, 1, rows)), pa.float32(), mask=~copy),
    }
    ledger = pa.table({name: columns[name].cast(LEDGER.field(name).type) for name in LEDGER.names}, schema=LEDGER)
    base = {name: ledger[name] for name in BASE.names if name in LEDGER.names}
    measured = base | {
        "text": pa.array([""] * rows),
        "metadata": pa.nulls(rows, pa.string()),
        "language.label": ledger["language"],
        "language.score": pa.array(rng.random(rows), pa.float32()),
        "quality.words": pa.array(tokens, pa.int32()),
        "perplexity.value": pa.array(rng.lognormal(6, 0.6, rows), pa.float32(), mask=unread),
    }
    schema = pa.schema([*BASE, *MEASURED])
    return ledger, pa.table({name: measured[name] for name in schema.names}, schema=schema)


def _ids(rng: np.random.Generator, rows: int) -> pa.StringArray:
    text = rng.bytes(16 * rows).hex().encode()
    offsets = pa.py_buffer((np.arange(rows + 1, dtype=np.int32) * 32).tobytes())
    return pa.StringArray.from_buffers(rows, offsets, pa.py_buffer(text))


def _taken(values: list[str | None], index: np.ndarray) -> pa.Array:
    """values[index + 1] for each index."""
    return pa.array(values, pa.string()).take(pa.array(index + 1))


def _shard(kept: pa.Table) -> pa.Table:
    size = kept["bytes_out"].to_numpy()
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int32)
    text = pa.StringArray.from_buffers(
        len(size), pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"word" * (int(offsets[-1]) // WORD))
    )
    columns = [kept["id"], text, kept["source"], kept["tokens_out"], pa.nulls(kept.num_rows, pa.string())]
    return pa.Table.from_arrays(columns, schema=shard_schema([]))


def _write_run(workspace: Path, steps: int) -> None:
    """A compiled plan over the stores and the metrics of a run that followed it."""
    from corpus.tokens.store import TokenStore
    from mixing.budget import MixSettings
    from mixing.compile import compile_plan, plan_function

    stores = {source: TokenStore.open(workspace / "tokens" / source / "train") for source in SOURCES}
    roles = {source: {"role": "replay" if source == "web" else "domain"} for source in SOURCES}
    settings = MixSettings.model_validate(
        {"sequence_length": 128, "global_batch": 32, "steps": steps, "sources": roles}
    )
    plan = compile_plan(stores, settings)
    plan.save(workspace / "plans" / "main", function=plan_function(stores, settings))
    said = json.loads((workspace / "plans" / "main" / "plan.json").read_bytes())["fingerprint"]
    events = list(_events(plan, said))
    write_atomic(workspace / "runs" / "main" / "metrics.jsonl", "".join(json.dumps(e) + "\n" for e in events).encode())


def _events(plan: object, said: str) -> Iterator[dict]:
    yield {"event": "start", "step": 0, "plan": said, "model": "tiny", "parameters": 1, "world_size": 1, "guards": {}}
    sums = dict.fromkeys(plan.names, 0)  # type: ignore[attr-defined]
    for step in range(plan.steps):  # type: ignore[attr-defined]
        own = {n: int(q) for n, q in zip(plan.names, plan.quotas(step), strict=True) if q}  # type: ignore[attr-defined]
        tokens = {name: quota * 128 for name, quota in own.items()}
        for name, count in tokens.items():
            sums[name] += count
        yield {
            "event": "step", "step": step + 1, "lr": 1e-4, "loss": 3.0, "kl": 0.0, "penalty": 0.0, "grad_norm": 1.0,
            "tokens": sum(tokens.values()), "predicted": sum(tokens.values()), "source_tokens": tokens,
            "source_sequences": own, "source_loss": dict.fromkeys(own, 3.0), "seconds": 1.0,
            "tokens_per_second": 4096.0,
        }  # fmt: skip
    yield {"event": "end", "step": plan.steps, "reason": "finished", "tokens": sum(sums.values()),  # type: ignore[attr-defined]
           "source_tokens": sums}  # fmt: skip
