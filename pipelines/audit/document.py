"""`why DOC`: the whole life of one document, from its line in a file to the rows of the batches that trained it.

    id ─ index ─► row of the ledger ─► the same row of annotate/ and perplexity/      (units keep the order of records)
                                   ─► its row in the token store                     (stores keep the order of shards)
                                   ─► steps and rows of every plan                   (plans run backwards)

No scan and no log: a few row groups, a few pages of an index. The row in the store is computed and then compared with
the id that stands there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from corpus.artifact import Manifest, read_parquet
from corpus.document import DOCUMENTS
from corpus.errors import ArtifactError
from corpus.tokens.store import TokenStore
from pipelines.audit.identities import IdIndex, Place
from pipelines.audit.measurements import FOLDERS, is_shown
from pipelines.audit.workspace import ledger_row, plan_folders, planned_sequences, progress_of

FACTS = ("id", "source", "file", "position", "record_id", "bytes_in", "bytes_out", "tokens_in", "tokens_out")
DECISION = ("fate", "step", "reason", "detail", "split")
CLUSTER = ("cluster", "duplicate_of", "duplicate_kind", "similarity")
TRAINED = {
    "plan": pl.String, "run": pl.String, "step": pl.Int64, "row": pl.Int64, "from": pl.Int64, "to": pl.Int64,
    "sequence": pl.Int64, "epoch": pl.Int64, "trained": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True)
class Life:
    """`facts` name the record and what was decided; `trained` has one row per stretch of it in a batch of a plan, from
    token `from` to before `to` of row `row`; `step` counts finished steps, and `trained` says whether the run has
    finished it (null without a run)."""

    facts: dict[str, Any]
    measurements: dict[str, Any]
    edits: dict[str, int]
    pii: dict[str, int]
    store: dict[str, Any] = field(default_factory=dict)
    trained: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TRAINED))

    def frames(self) -> dict[str, pl.DataFrame]:
        """One table of named values by topic, and the steps."""
        topics = {
            "document": {name: self.facts[name] for name in FACTS},
            "decision": {name: self.facts[name] for name in DECISION},
            "duplicates": {name: self.facts[name] for name in CLUSTER if self.facts[name] is not None},
            "measurement": self.measurements,
            "edit (bytes)": self.edits,
            "removed values": self.pii,
            "token shard": self.store,
        }
        rows = [
            (topic, name, None if value is None else str(value))
            for topic, values in topics.items()
            for name, value in values.items()
        ]
        schema = {"topic": pl.String, "name": pl.String, "value": pl.String}
        return {"life": pl.DataFrame(rows, schema, orient="row"), "trained": self.trained}


def life_of(workspace: Path, id: str, index: IdIndex | None = None) -> Life:
    """The life of the document with this id, or with the only id that begins so.

    Raises DataError when there is none. Cost: milliseconds, plus the index when it has not been built.
    """
    index = index or IdIndex.open(workspace)
    place = index.find(id)
    facts = ledger_row(workspace / place.file, place.row)
    edits, pii = ({entry["key"]: entry["value"] for entry in facts[name] or ()} for name in ("edits", "pii"))
    if facts["duplicate_of"] is not None:
        keeper = index.find(facts["duplicate_of"])
        where = ledger_row(workspace / keeper.file, keeper.row, ["source", "file", "position"])
        facts["duplicate_of"] += f" ({where['source']}, {where['file']}, record {where['position']})"
    measurements = _measurements(workspace, facts["source"], place)
    if facts["fate"] != "kept":
        return Life(facts, measurements, edits, pii)
    store = workspace / "tokens" / facts["source"] / facts["split"]
    if not (store / "manifest.json").is_file():
        return Life(facts, measurements, edits, pii)
    tokens, row = TokenStore.open(store), _store_row(workspace, facts, place)
    shard = int(tokens.shard_documents.searchsorted(row, side="right")) - 1
    first, last = tokens.span_of(row)
    offset = int(tokens.shard_starts[shard])
    held = {
        "store": f"tokens/{facts['source']}/{facts['split']}",
        "shard": f"{shard:05d}.ds",
        "tokens": f"{first - offset} to {last - offset}, the last one EOS",
        "document": row - int(tokens.shard_documents[shard]),
    }
    trained = pl.DataFrame(schema=TRAINED)
    if facts["split"] == "train":
        trained = pl.DataFrame(list(_visits(workspace, facts["source"], row)), TRAINED, orient="row")
    return Life(facts, measurements, edits, pii, held, trained)


def _measurements(workspace: Path, source: str, place: Place) -> dict[str, Any]:
    """Every measured column of the record, by its name; where the units of annotate/ are there."""
    found: dict[str, Any] = {}
    for folder in FOLDERS:
        for path in sorted((workspace / folder / source / Path(place.file).stem).glob("*.parquet")):
            shown = [field.name for field in pq.read_schema(path) if is_shown(field)]
            row = ledger_row(path, place.row, ["id", *shown])
            if path.name == DOCUMENTS and row["id"] is None:
                continue
            found |= {name: row[name] for name in shown if row[name] is not None}
    for span in found.pop("deidentify.spans", None) or ():
        name = f"{span['type']} at {span['start']}"
        found[name] = f"{span['length']} characters, by {span['recogniser'] or 'a second look'}, {span['score']:.2f}"
    return found


def _store_row(workspace: Path, facts: dict[str, Any], place: Place) -> int:
    """The document's row in its token store: the kept ones of its split before it."""
    ledger, split = workspace / place.file, facts["split"]
    shards = Manifest.read(workspace / "corpus").files
    number = int(ledger.stem)
    prefix = f"data/{facts['source']}/{split}-"
    earlier = sum(
        entry.rows or 0
        for entry in shards
        if entry.path.startswith(prefix) and int(entry.path.removeprefix(prefix)[:5]) < number
    )
    rows = pl.DataFrame(pl.from_arrow(read_parquet(ledger, ["fate", "split"]).slice(0, place.row)))
    row = earlier + rows.filter((pl.col("fate") == "kept") & (pl.col("split") == split)).height
    store = workspace / "tokens" / facts["source"] / split / "documents.parquet"
    there = ledger_row(store, row, ["id"])["id"]
    if there != facts["id"]:
        raise ArtifactError(
            "the token store is not in the order of the ledger",
            where=store,
            found=f"row {row} is {there}",
            todo="run `provender corpus` again",
        )
    return row


def _visits(workspace: Path, source: str, row: int) -> Iterator[tuple]:
    """The rows of `trained` over all plans."""
    from mixing.plan import MixturePlan

    for folder in plan_folders(workspace):
        plan = MixturePlan.load(folder)
        if source not in plan.names:
            continue
        run, finished = progress_of(workspace, plan.fingerprint)
        name = folder.relative_to(workspace).as_posix()
        for visit in plan.steps_of(source, row, planned_sequences(workspace, folder, source)):
            done = None if finished is None else visit.step < finished
            yield name, run, visit.step + 1, visit.row, visit.start, visit.stop, visit.sequence, visit.epoch, done
