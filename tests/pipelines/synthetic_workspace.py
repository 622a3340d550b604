"""A workspace as the stages leave it, written through the contract classes, with figures drawn by a seed.

The texts are made of numbered words and are nobody's; the ledger is built row by row from what was drawn, so a test
can count it again in plain Python.
"""

import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import Manifest, fingerprint, publish, write_atomic, write_parquet
from corpus.document import BASE, document_id
from corpus.ledger import LEDGER
from corpus.tokens.store import TokenizerIdentity, TokenStoreWriter

TOKENIZER = TokenizerIdentity(sha256="ab" * 32, vocab_size=1000, eos_id=0)
SEQUENCE, BATCH = 16, 8
REASONS = (
    ("quality", "fewer words than the bound", "dropped"),
    ("quality", "too many symbols per word", "dropped"),
    ("language", "not a wanted language", "dropped"),
    ("duplicates", "near duplicate", "dropped"),
    ("duplicates", "exact duplicate", "dropped"),
    ("perplexity", "perplexity above the bound", "dropped"),
    ("reader", "malformed JSON", "quarantined"),
)
RECOGNISERS = ("pattern", "names", None)
SPANS = pa.list_(
    pa.struct(
        [("type", pa.string()), ("start", pa.int64()), ("length", pa.int64()), ("recogniser", pa.string()),
         ("score", pa.float32())]
    )
)  # fmt: skip
PII = ("EMAIL", "PHONE", "DATE", "RECORD_NUMBER", "IP_ADDRESS")
DATASET = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("token_count", pa.int64(), nullable=False),
        pa.field("metadata", pa.string()),
    ]
)


@dataclass
class Written:
    """The workspace and what was drawn for it."""

    folder: Path
    rows: list[dict] = field(default_factory=list)
    languages: dict[str, str] = field(default_factory=dict)


def write_corpus(
    folder: Path, sources: tuple[str, ...] = ("notes", "papers", "general"), documents: int = 60, seed: int = 7
) -> Written:
    """annotate/, corpus/ and tokens/ of `sources`, each of `documents` input records."""
    draw = random.Random(seed)
    written = Written(folder)
    texts: dict[str, str] = {}
    for source in sources:
        rows, own = _source_rows(draw, source, documents, written.languages)
        texts |= own
        written.rows += rows
        _write_annotations(folder, source, rows, own, written.languages)
        for split in ("train", "validation"):
            _write_store(folder, source, split, rows)
    with publish(folder / "corpus", kind="corpus.dataset", function={"sources": list(sources), "seed": seed}) as draft:
        for source in sources:
            rows = [row for row in written.rows if row["source"] == source]
            for part in ("ledger", "data", "dropped"):
                (draft.path / part / source).mkdir(parents=True)
            write_parquet(draft.path / "ledger" / source / "00000.parquet", pa.Table.from_pylist(rows, LEDGER))
            for split in ("train", "validation"):
                kept = [row for row in rows if row["split"] == split]
                table = pa.Table.from_pylist([_dataset_row(row, texts) for row in kept], DATASET)
                write_parquet(draft.path / "data" / source / f"{split}-00000-of-00001.parquet", table)
            gone = [_dataset_row(row, texts) for row in rows if row["fate"] == "dropped"]
            write_parquet(draft.path / "dropped" / source / "00000.parquet", pa.Table.from_pylist(gone, DATASET))
    return written


def _source_rows(
    draw: random.Random, source: str, documents: int, languages: dict[str, str]
) -> tuple[list[dict], dict[str, str]]:
    rows: list[dict] = []
    texts: dict[str, str] = {}
    for position in range(documents):
        words = [f"w{draw.randrange(1, 900)}" for _ in range(max(3, int(draw.lognormvariate(3.4, 0.7))))]
        text = " ".join(words)
        identity = document_id(source, "part-0.jsonl", position)
        edits = {
            "extract": -draw.randrange(0, 40),
            "repair": draw.randrange(-3, 3),
            "deidentify": draw.randrange(-9, 9),
        }
        kept = [row for row in rows if row["fate"] == "kept"]
        step, reason, fate = draw.choice(REASONS) if draw.random() < 0.3 else (None, None, "kept")
        if step == "duplicates" and not kept:
            step, reason, fate = None, None, "kept"
        size = len(text.encode())
        row = dict.fromkeys(LEDGER.names) | {
            "id": identity,
            "source": source,
            "file": "part-0.jsonl",
            "position": position,
            "fate": fate,
            "step": step,
            "reason": reason,
            "bytes_in": size - sum(edits.values()),
            "bytes_out": size if fate == "kept" else 0,
            "tokens_in": None if fate == "quarantined" else len(words),
            "tokens_out": len(words) if fate == "kept" else 0,
            "edits": [{"key": kind, "value": value} for kind, value in edits.items()],
            "pii": [{"key": kind, "value": draw.randrange(1, 4)} for kind in PII if draw.random() < 0.2],
        }
        if fate == "quarantined":
            row |= {"edits": [], "pii": []}
        else:
            row["perplexity_bucket"] = ("head", "middle", "tail")[position % 3]
        if fate == "kept":
            row["split"] = "validation" if draw.random() < 0.1 else "train"
        if step == "duplicates":
            keeper = draw.choice(kept)
            cluster = keeper["cluster"] or keeper["id"]
            keeper["cluster"] = row["cluster"] = cluster
            exact = reason == "exact duplicate"
            row["duplicate_of"], row["duplicate_kind"] = keeper["id"], "exact" if exact else "near"
            row["similarity"] = 1.0 if exact else draw.choice([0.8, 0.85, 0.9, 0.95, 0.97])
        rows.append(row)
        texts[identity] = text
        languages[identity] = row["language"] = draw.choice(["en", "en", "en", "de"])
    return rows, texts


def _dataset_row(row: dict, texts: dict[str, str]) -> dict:
    text = texts[row["id"]]
    return {"id": row["id"], "text": text, "source": row["source"], "token_count": len(text.split()), "metadata": None}


def _write_annotations(
    folder: Path, source: str, rows: list[dict], texts: dict[str, str], languages: dict[str, str]
) -> None:
    schema = pa.schema([*BASE, pa.field("language.label", pa.string()), pa.field("language.score", pa.float32())])
    table = pa.Table.from_pylist(
        [
            {name: row.get(name) for name in BASE.names}
            | {"text": texts[row["id"]], "language.label": languages[row["id"]], "language.score": 0.9}
            for row in rows
        ],
        schema,
    )
    function = {"unit": 0, "source": source}
    with publish(folder / "annotate" / source / "00000", kind="corpus.annotated", function=function) as draft:
        draft.rows["documents.parquet"] = write_parquet(draft.path / "documents.parquet", table)


def _write_store(folder: Path, source: str, split: str, rows: list[dict]) -> None:
    kept = [row for row in rows if row["split"] == split]
    function = {"store": source, "split": split, "ids": [row["id"] for row in kept]}
    with publish(folder / "tokens" / source / split, kind="corpus.tokens", function=function) as draft:
        writer = TokenStoreWriter(draft, TOKENIZER)
        if kept:
            lengths = np.array([row["tokens_out"] for row in kept], np.int64)
            tokens = np.arange(lengths.sum()) % 900 + 1
            nbytes = np.array([row["bytes_out"] for row in kept])
            writer.add(pa.array([row["id"] for row in kept]), source, lengths, tokens, nbytes)
        writer.close()


def write_plan(
    folder: Path,
    shares: dict[str, float],
    *,
    steps: int = 40,
    name: str = "plan",
    replay: tuple[str, ...] = ("general",),
) -> str:
    """A plan over the stores of `folder`; returns its fingerprint."""
    plan_rows, done = [], dict.fromkeys(shares, 0)
    for step in range(steps):
        exact = {source: share * BATCH * (step + 1) for source, share in shares.items()}
        counts = {source: math.floor(value + 1e-9) - done[source] for source, value in exact.items()}
        last = next(reversed(shares))
        counts[last] += BATCH - sum(counts.values())
        for source, count in counts.items():
            done[source] += count
            if count:
                row = {"step": step, "source": list(shares).index(source), "sequences": count}
                plan_rows.append(row | {"cumulative": done[source]})
    entries = []
    for source in shares:
        store = Manifest.read(folder / "tokens" / source / "train")
        held = store.totals["tokens"]
        entries.append(
            {
                "name": source, "role": "replay" if source in replay else "domain", "tokens": held,
                "tail_tokens": held % SEQUENCE, "sequences": held // SEQUENCE, "store": store.fingerprint,
            }
        )  # fmt: skip
    settings = {"sequence_length": SEQUENCE, "global_batch": BATCH, "steps": steps, "sources": entries}
    settings |= {
        "tokens": steps * BATCH * SEQUENCE,
        "seed": 0,
        "segments": [{"start": 0, "steps": steps, "asked": list(shares.values())}],
    }
    settings = {"fingerprint": fingerprint(settings)} | settings
    rows = sorted(plan_rows, key=lambda row: (row["source"], row["step"]))
    with publish(folder / name, kind="mixing.plan", function={"shares": shares, "steps": steps}) as draft:
        (draft.path / "plan.json").write_text(json.dumps(settings))
        write_parquet(draft.path / "plan.parquet", pa.Table.from_pylist(rows))
    return settings["fingerprint"]


def write_run(
    folder: Path,
    name: str,
    plan: str = "plan",
    *,
    sets: tuple[str, ...] | None = None,
    rise: float = 0.02,
    seed: int = 3,
) -> None:
    """metrics.jsonl of a finished run that follows `plan`; the replay sets rise by `rise` bits per byte at the end."""
    draw = random.Random(seed)
    settings = json.loads((folder / plan / "plan.json").read_text())
    by_step: dict[int, dict[str, int]] = {}
    for row in pq.read_table(folder / plan / "plan.parquet").to_pylist():
        by_step.setdefault(row["step"], {})[settings["sources"][row["source"]]["name"]] = row["sequences"]
    roles = {entry["name"]: entry["role"] for entry in settings["sources"]} | {"general": "replay"}
    steps = settings["steps"]
    sets = sets or tuple(entry["name"] for entry in settings["sources"])
    events: list[dict] = [
        {
            "event": "start", "step": 0, "plan": settings["fingerprint"], "model": "tiny",
            "parameters": 134_515_008, "world_size": 1, "guards": {"kl": 0.1 if rise < 0.1 else 0.0},
            "precision": "fp32",
        },
        _evaluation(0, sets, roles, 0.0, rise, draw),
    ]  # fmt: skip
    total: dict[str, int] = {}
    for step in range(1, steps + 1):
        quota = {source: count for source, count in by_step[step - 1].items() if count}
        seen = {source: count * SEQUENCE for source, count in quota.items()}
        for source, count in seen.items():
            total[source] = total.get(source, 0) + count
        loss = {
            source: (3.1 if roles[source] == "replay" else 3.4 - 0.9 * (1 - math.exp(-step / 12))) + draw.gauss(0, 0.06)
            for source in quota
        }
        mean = sum(loss.values()) / len(loss)
        events.append(
            {
                "event": "step", "step": step, "lr": 1e-4 * min(1, step / 5) * (1 - 0.8 * step / steps), "loss": mean,
                "kl": 0.01, "penalty": 0.0, "grad_norm": 1.0, "tokens": BATCH * SEQUENCE,
                "predicted": BATCH * (SEQUENCE - 1), "source_tokens": seen, "source_sequences": quota,
                "source_loss": loss, "seconds": 0.5, "tokens_per_second": 256.0, "mfu": 0.3 + 0.001 * step,
                "memory": 2_000_000 + 1000 * step,
            }
        )  # fmt: skip
        if step % max(steps // 8, 1) == 0:
            events.append(_evaluation(step, sets, roles, step / steps, rise, draw))
            worst = next((name for name in sets if roles.get(name) == "replay"), sets[-1])
            events.append(
                {
                    "event": "gate", "step": step, "set": worst, "rise": rise * step / steps, "epsilon": 0.05,
                    "action": "pass" if rise * step / steps <= 0.05 else "warn", "best_step": step,
                }
            )  # fmt: skip
    events.append(
        {
            "event": "end", "step": steps, "reason": "finished", "best_step": steps, "tokens": sum(total.values()),
            "source_tokens": total,
        }
    )  # fmt: skip
    body = "".join(json.dumps(event) + "\n" for event in events)
    write_atomic(folder / "runs" / name / "metrics.jsonl", body.encode())


def _evaluation(
    step: int, sets: tuple[str, ...], roles: dict[str, str], progress: float, rise: float, draw: random.Random
) -> dict:
    values = {}
    for index, name in enumerate(sets):
        start = 0.92 + 0.07 * index
        change = rise * progress if roles.get(name) == "replay" else -0.18 * (1 - math.exp(-3 * progress))
        bits, nbytes = start + change, 200_000 + 1000 * index
        nats = bits * nbytes * math.log(2)
        values[name] = {
            "nats": nats, "tokens": 50_000, "bytes": nbytes, "documents": 120,
            "perplexity": math.exp(nats / 50_000), "bits_per_byte": bits, "delta": change,
            "delta_se": 0.0 if not step else 0.004 + 0.002 * draw.random(),
        }  # fmt: skip
    return {"event": "eval", "step": step, "sets": values}


def write_planted(folder: Path) -> None:
    """planted.parquet, as the demo leaves it."""
    schema = pa.schema(
        [("kind", pa.string()), ("planted", pa.int64()), ("found", pa.int64()), ("false_alarms", pa.int64())]
    )
    rows = [
        {"kind": "exact duplicates", "planted": 120, "found": 120, "false_alarms": 0},
        {"kind": "near duplicates", "planted": 80, "found": 77, "false_alarms": 2},
        {"kind": "e-mail addresses", "planted": 60, "found": 60, "false_alarms": None},
        {"kind": "broken lines", "planted": 15, "found": 15, "false_alarms": 0},
        {"kind": "identity: EMAIL", "planted": 40, "found": 39, "false_alarms": None},
    ]
    write_parquet(folder / "planted.parquet", pa.Table.from_pylist(rows, schema))


def write_measured(folder: Path, written: Written, seed: int = 5) -> None:
    """What only some recipes measure, over a corpus that `write_corpus` wrote: perplexity, words and spans of removed
    values beside the ledger, repeated paragraphs, contaminated evaluation items, and planted identities."""
    draw = random.Random(seed)
    for source in dict.fromkeys(row["source"] for row in written.rows):
        rows = [row for row in written.rows if row["source"] == source]
        path = folder / "annotate" / source / "00000" / "documents.parquet"
        table = pq.ParquetFile(path).read()
        words = [None if row["fate"] == "quarantined" else float(row["tokens_in"]) for row in rows]
        spans = [
            [
                {
                    "type": entry["key"],
                    "start": 9 * at,
                    "length": 5,
                    "recogniser": draw.choice(RECOGNISERS),
                    "score": 0.5,
                }
                for entry in row["pii"]
                for at in range(entry["value"])
            ]
            for row in rows
        ]
        table = table.append_column("quality.words", pa.array(words, pa.float64()))
        table = table.append_column("deidentify.spans", pa.array(spans, SPANS))
        with publish(path.parent, kind="corpus.annotated", function={"measured": source}) as draft:
            draft.rows[path.name] = write_parquet(draft.path / path.name, table)
        values = [None if row["fate"] == "quarantined" else draw.lognormvariate(5, 1) for row in rows]
        columns = {"id": [row["id"] for row in rows], "perplexity.value": pa.array(values, pa.float32())}
        with publish(folder / "perplexity" / source / "00000", kind="p", function={"perplexity": source}) as draft:
            draft.rows["columns.parquet"] = write_parquet(draft.path / "columns.parquet", pa.table(columns))
    repeated = [
        {"scope": scope, "kind": kind, "documents": draw.randrange(5, 90), "keep": 1, "text": f"{kind} {n}, a@b.org"}
        for scope in ("notes", "papers")
        for kind in ("line", "paragraph")
        for n in range(3)
    ]
    items = [
        {"set": name, "words": draw.choice([0, 20]), "documents": draw.randrange(3), "contaminated": draw.randrange(2),
         "coverage": draw.random()}
        for name in ("exam", "quiz")
        for _ in range(20)
    ]  # fmt: skip
    for name, rows in (("repeated/most.parquet", repeated), ("contamination/items.parquet", items)):
        with publish((folder / name).parent, kind="finder", function={"of": name}) as draft:
            write_parquet(draft.path / Path(name).name, pa.Table.from_pylist(rows))


def write_all(folder: Path, documents: int = 60, steps: int = 40, measured: bool = False) -> Written:
    """A whole workspace: corpus, plan, a run with replay and one without; `measured`: with all that can be measured."""
    written = write_corpus(folder, documents=documents)
    if measured:
        write_measured(folder, written)
    write_plan(folder, {"notes": 0.4, "papers": 0.35, "general": 0.25}, steps=steps)
    write_plan(folder, {"notes": 0.55, "papers": 0.45}, steps=steps, name="plan-no-replay")
    write_run(folder, "guarded")
    write_run(folder, "no-replay", "plan-no-replay", sets=("notes", "papers", "general"), rise=0.19, seed=4)
    write_planted(folder)
    return written
