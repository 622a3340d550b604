"""What a workspace holds: the on-disk forms of every stage, read and nothing else.

Each function returns what is there and an empty value for what is not, so that the audit of a half-made workspace is
an audit of its half. Damage is another matter and raises ArtifactError.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import MANIFEST, Manifest, read_parquet
from corpus.errors import ArtifactError
from corpus.ledger import LEDGER
from corpus.tokens import TokenStore

STAGES = (
    ("corpus/ledger", "corpus", "make corpus"),
    ("tokens", "token stores", "make corpus"),
    ("plan", "mixture plan", "make mix"),
    ("runs", "training runs", "make train"),
)


@dataclass(frozen=True)
class Missing:
    """A part that the workspace does not have yet, and the command that makes it."""

    part: str
    command: str


def missing(workspace: Path) -> list[Missing]:
    """The stages that have left nothing in `workspace`, in the order in which data flows."""
    found = {"plan": bool(plans(workspace)), "runs": bool(runs(workspace))}
    return [
        Missing(part, command)
        for folder, part, command in STAGES
        if not found.get(folder, any((workspace / folder).glob("*")))
    ]


def ledger_files(workspace: Path) -> dict[str, list[Path]]:
    """Ledger shards by source."""
    folders = sorted(path for path in (workspace / "corpus" / "ledger").glob("*") if path.is_dir())
    return {folder.name: sorted(folder.glob("*.parquet")) for folder in folders}


def ledger(workspace: Path, *columns: str) -> pl.DataFrame:
    """The named columns of the whole ledger: one row per input record."""
    names = list(columns)
    tables = [read_parquet(path, names) for paths in ledger_files(workspace).values() for path in paths]
    empty = pa.schema([LEDGER.field(name) for name in names]).empty_table()
    return pl.DataFrame(pl.from_arrow(pa.concat_tables([empty, *tables], promote_options="permissive")))


def dataset_files(workspace: Path, source: str) -> dict[str, list[Path]]:
    """Shards of the kept text of one source by split."""
    folder = workspace / "corpus" / "data" / source
    return {split: sorted(folder.glob(f"{split}-*.parquet")) for split in ("train", "validation")}


def annotated_files(workspace: Path, source: str) -> list[Path]:
    return sorted((workspace / "annotate" / source).glob("*/documents.parquet"))


def languages(workspace: Path) -> pl.DataFrame:
    """id, language: the label that language identification gave, where the annotations have one."""
    tables = []
    for path in sorted((workspace / "annotate").glob("*/*/documents.parquet")):
        with pq.ParquetFile(path) as handle:
            fields = [field for field in handle.schema_arrow if field.name.startswith("language.")]
        labels = [field.name for field in fields if pa.types.is_string(field.type)]
        if labels:
            tables.append(read_parquet(path, ["id", labels[0]]).rename_columns(["id", "language"]))
    empty = pa.schema([("id", pa.string()), ("language", pa.string())]).empty_table()
    return pl.DataFrame(pl.from_arrow(pa.concat_tables([empty, *tables], promote_options="permissive")))


def artefacts(workspace: Path) -> Iterator[Path]:
    """Folders with a manifest, relative to the workspace, in order; drafts, logs and the report itself left out."""
    for path in sorted(workspace.rglob(MANIFEST)):
        folder = path.parent.relative_to(workspace)
        hidden = any(part.startswith(".") for part in folder.parts)
        if folder.parts and not hidden and folder.parts[0] not in ("report", "logs"):
            yield folder


def token_stores(workspace: Path) -> dict[tuple[str, str], Path]:
    """Folders of the token stores by (source, split)."""
    manifests = sorted((workspace / "tokens").glob(f"*/*/{MANIFEST}"))
    return {(path.parent.parent.name, path.parent.name): path.parent for path in manifests}


def training_store(workspace: Path, source: str) -> TokenStore:
    """The training tokens of a source of a plan: of the corpus, or made elsewhere and named by the workspace's recipe.
    Raises ArtifactError when there are none that can be used."""
    recorded = workspace / "recipe.json"
    if recorded.exists():
        from pipelines.recipe import Recipe
        from pipelines.stages import source_store

        recipe = Recipe.model_validate_json(recorded.read_bytes())
        if recipe.mix is not None and source in recipe.mix.sources and recipe.mix.sources[source].store is not None:
            return source_store(recipe, source)
    return TokenStore.open(workspace / "tokens" / source / "train")


@dataclass(frozen=True)
class Plan:
    """A compiled mixture: `settings` is plan.json; `quotas` is plan.parquet with the sources by name: step, source,
    sequences in the step, cumulative after it, in int64. A step that a source has no part in has no row."""

    folder: Path
    settings: dict[str, Any]
    quotas: pl.DataFrame
    fingerprint: str

    @property
    def sequence_length(self) -> int:
        return int(self.settings["sequence_length"])

    @property
    def sources(self) -> dict[str, dict[str, Any]]:
        """The entries of plan.json's `sources` by name."""
        entries = self.settings.get("sources", [])
        return {entry["name"]: entry for entry in entries}


def plans(workspace: Path) -> list[Plan]:
    """Every plan of the workspace: plan/ and the plans of comparison runs, in order of their folders."""
    found = []
    for path in sorted(workspace.rglob("plan.json")):
        folder = path.parent
        if any(part.startswith(".") for part in folder.relative_to(workspace).parts):
            continue
        found.append(read_plan(folder))
    return found


def read_plan(folder: Path) -> Plan:
    """A published plan. Raises ArtifactError when it is damaged."""
    Manifest.read(folder)
    try:
        settings = json.loads((folder / "plan.json").read_bytes())
        names = [entry["name"] for entry in settings["sources"]]
        fingerprint = settings["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            "unreadable plan", where=folder / "plan.json", found=error, todo="delete the folder and run `make mix`"
        ) from None
    quotas = pl.DataFrame(pl.from_arrow(read_parquet(folder / "plan.parquet")))
    by_index = pl.DataFrame({"index": range(len(names)), "name": names}, {"index": pl.Int64, "name": pl.String})
    quotas = (
        quotas.with_columns(pl.all().cast(pl.Int64))
        .join(by_index, left_on="source", right_on="index", how="left", maintain_order="left")
        .select("step", pl.col("name").alias("source"), "sequences", "cumulative")
    )
    return Plan(folder, settings, quotas, fingerprint)


@dataclass(frozen=True)
class Run:
    """A training run: its name and the events of metrics.jsonl in order."""

    name: str
    folder: Path
    events: list[dict[str, Any]]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.events if entry["event"] == event]

    @property
    def start(self) -> dict[str, Any]:
        starts = self.of("start")
        return starts[-1] if starts else {}


def runs(workspace: Path) -> list[Run]:
    """Every run with a metrics.jsonl, by name."""
    paths = sorted((workspace / "runs").glob("*/metrics.jsonl"))
    return [Run(path.parent.name, path.parent, read_events(path)) for path in paths]


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a metrics.jsonl. A last line without its newline is being written (or was, when the machine
    stopped) and is left out; any other unreadable line raises ArtifactError."""
    lines = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            event = json.loads(line)
            event["event"]
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                "unreadable line of metrics",
                where=f"{path}:{number}",
                found=error,
                todo="resume the run from its last checkpoint: `make train`",
            ) from None
        events.append(event)
    return events


def plan_of(run: Run, candidates: list[Plan]) -> Plan | None:
    """The plan that `run` says it follows, if the workspace has it."""
    return next((plan for plan in candidates if plan.fingerprint == run.start.get("plan")), None)
