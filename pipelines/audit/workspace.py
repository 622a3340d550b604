"""What a workspace holds: the on-disk forms of every stage, read and nothing else.

Each function returns what is there and an empty value for what is not, so that the audit of a half-made workspace is
an audit of its half. Damage is another matter and raises ArtifactError.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from corpus.artifact import MANIFEST, Manifest, read_parquet
from corpus.errors import ArtifactError
from corpus.tokens.store import TokenStore
from mixing.sequences import Sequences

TAIL = 1 << 18  # bytes at the end of a run's metrics: more than a step's events
LINE = 4096  # bytes of an event, more than usual
STAGES = (
    ("corpus/ledger", "corpus", "make corpus"),
    ("tokens", "token stores", "make corpus"),
    ("plan", "mixture plan", "make mix"),
    ("runs", "training runs", "make train"),
)


def existing(workspace: Path) -> Path:
    """The resolved folder of a workspace. Raises ArtifactError when there is none."""
    workspace = Path(workspace).resolve()
    if not workspace.is_dir():
        raise ArtifactError(
            "no such workspace", where=workspace, todo="run `provender corpus` first, or name the workspace's folder"
        )
    return workspace


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


def dataset_files(workspace: Path, source: str) -> dict[str, list[Path]]:
    """Shards of the kept text of one source by split."""
    folder = workspace / "corpus" / "data" / source
    return {split: sorted(folder.glob(f"{split}-*.parquet")) for split in ("train", "validation")}


def annotated_files(workspace: Path, source: str) -> list[Path]:
    return sorted((workspace / "annotate" / source).glob("*/documents.parquet"))


def dataset_folders(workspace: Path, part: str) -> list[Path]:
    """The folders of the sources under `corpus/data` or `corpus/dropped`."""
    return sorted(path for path in (workspace / "corpus" / part).glob("*") if path.is_dir())


def settings_of(workspace: Path) -> dict[str, Any]:
    """recipe.json as it was last run; empty when there is none that can be read."""
    try:
        return dict(json.loads((workspace / "recipe.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def shows_texts(workspace: Path) -> bool:
    """Whether answers and reports may show samples of text: by default unless the recipe says that it may hold PHI."""
    recipe = settings_of(workspace)
    samples = (recipe.get("audit") or {}).get("samples", "auto")
    return samples == "masked" or (samples == "auto" and not recipe.get("phi", False))


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


def training_store(workspace: Path, source: str, recipe: dict[str, Any] | None = None) -> TokenStore:
    """The training tokens of a source of a plan: of the corpus, or made elsewhere and named by the recipe, by default
    the one that was run here. Raises ArtifactError when there are none that can be used."""
    values = settings_of(workspace) if recipe is None else recipe
    sources = (values.get("mix") or {}).get("sources") or {}
    if (sources.get(source) or {}).get("store") is not None:
        from pipelines.recipe import Recipe
        from pipelines.stages import source_store

        return source_store(Recipe.model_validate(values), source)
    return TokenStore.open(workspace / "tokens" / source / "train")


def planned_sequences(
    workspace: Path, plan: Path, source: str, recipe: dict[str, Any] | None = None
) -> TokenStore | Sequences:
    """The training tokens of a source as the plan in this folder takes them: packed for its run, or as they are."""
    store, packing = training_store(workspace, source, recipe), workspace / "packings" / run_of_plan(plan) / source
    return Sequences.open(store, packing) if (packing / MANIFEST).is_file() else store


@dataclass(frozen=True)
class Plan:
    """A compiled mixture: `settings` is plan.json; `quotas` is plan.parquet with the sources by name: step, source,
    sequences in the step, cumulative after it, in int64. A step that a source has no part in has no row."""

    folder: Path
    settings: dict[str, Any]
    quotas: pl.DataFrame
    fingerprint: str

    @property
    def run(self) -> str:
        """The name of the run it was compiled for."""
        return run_of_plan(self.folder)

    @property
    def sequence_length(self) -> int:
        return int(self.settings["sequence_length"])

    @property
    def sources(self) -> dict[str, dict[str, Any]]:
        """The entries of plan.json's `sources` by name."""
        entries = self.settings.get("sources", [])
        return {entry["name"]: entry for entry in entries}


def plan_folders(workspace: Path) -> list[Path]:
    """The folders of the plans that are followed: that of the run and those of comparison runs, in order."""
    found = [*workspace.glob("*/plan.json"), *workspace.glob("plans/*/plan.json")]
    folders = sorted(path.parent for path in found)
    shown = [path for path in folders if not any(part.startswith(".") for part in path.relative_to(workspace).parts)]
    return [followed_plan(workspace, path.name) if path.parent.name == "plans" else path for path in shown]


def followed_plan(workspace: Path, run: str) -> Path:
    """The folder of the plan a run follows: its own, or what the gate made of that by raising replay."""
    planned, raised = workspace / "plans" / run, workspace / "runs" / run / "plan"
    try:
        of_this = Manifest.read(raised).function.get("plan") == Manifest.read(planned).totals["plan"]
    except ArtifactError:
        return planned
    return raised if of_this else planned


def run_of_plan(folder: Path) -> str:
    """The run whose plan lies in plans/<run>, or in runs/<run>/plan where the gate raised replay."""
    return folder.parent.name if folder.parent.parent.name == "runs" else folder.name


def plans(workspace: Path) -> list[Plan]:
    """Every plan of the workspace: those that are followed, and those that a raise of replay has left behind."""
    followed = plan_folders(workspace)
    behind = [path.parent for path in sorted(workspace.glob("plans/*/plan.json")) if path.parent not in followed]
    return [read_plan(folder) for folder in [*followed, *behind] if not folder.name.startswith(".")]


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


def progress_of(workspace: Path, plan: str) -> tuple[str | None, int | None]:
    """The name and the finished steps of the run that follows the plan of this fingerprint, from the ends of its
    metrics alone; (None, None) without a run. A run follows the plan it started with, and since the gate raised replay
    the one in its own folder."""
    for path in sorted((workspace / "runs").glob("*/metrics.jsonl")):
        with open(path, "rb") as handle:
            first = handle.readline()
            if not first.endswith(b"\n") or plan not in (json.loads(first).get("plan"), _raised(path.parent)):
                continue
            handle.seek(max(0, path.stat().st_size - TAIL))
            last = reversed(handle.read().split(b"\n")[1:-1])  # the first may be cut, the last is being written
        steps = (event["step"] for event in map(json.loads, last) if event["event"] in ("step", "end"))
        return path.parent.name, next(steps, 0)
    return None, None


def _raised(run: Path) -> str | None:
    """The fingerprint of the plan that a run follows since the gate raised replay."""
    try:
        return str(Manifest.read(run / "plan").totals["plan"])
    except ArtifactError:
        return None


def last_events(path: Path, count: int) -> list[dict[str, Any]]:
    """The last events of a metrics.jsonl, at most so many, in order; lines that are being written are left out."""
    with open(path, "rb") as handle:
        handle.seek(max(0, path.stat().st_size - count * LINE))
        lines = handle.read().split(b"\n")[:-1]
    events: list[dict[str, Any]] = []
    for line in lines[-count:]:
        with suppress(ValueError):  # the first may be cut
            events.append(json.loads(line))
    return events


def plan_of(run: Run, candidates: list[Plan]) -> Plan | None:
    """The plan that `run` says it follows, if the workspace has it: the last one, where the gate raised replay."""
    raised = [event["plan"] for event in run.of("raise") if event["plan"] is not None]
    followed = raised[-1] if raised else run.start.get("plan")
    return next((plan for plan in candidates if plan.fingerprint == followed), None)


def ledger_row(path: Path, row: int, columns: list[str] | None = None) -> dict[str, Any]:
    """One row of a parquet file that grows by rows, from the one row group that holds it."""
    return rows_at(path, [row], columns)[0]


def rows_at(path: Path, rows: list[int], columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Rows of a parquet file by number, ascending; only the row groups that hold one are read."""
    found: list[dict[str, Any]] = []
    with pq.ParquetFile(path, page_checksum_verification=True) as handle:
        start, wanted = 0, list(rows)
        for group in range(handle.num_row_groups):
            size = handle.metadata.row_group(group).num_rows
            here = [row - start for row in wanted if start <= row < start + size]
            if here:
                held = handle.read_row_group(group, columns)
                found += [held.slice(row, 1).to_pylist()[0] for row in here]  # `take` of a list would import pandas
            start += size
    if len(found) != len(wanted):
        raise ArtifactError("a file has fewer rows than is said of it", where=path, todo="run `provender corpus` again")
    return found
