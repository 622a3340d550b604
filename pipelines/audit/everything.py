"""Every question at once, and every check: what the report is made of."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from corpus.artifact import read_parquet
from pipelines.audit import corpus_questions, provenance, samples, token_questions, training_questions
from pipelines.audit.counters import Conservation, Edits, Ids, RemovedValues
from pipelines.audit.verify import Check, verify
from pipelines.audit.views import Views
from pipelines.audit.workspace import Missing, existing, missing


def planted(workspace: Path) -> pl.DataFrame:
    """kind → planted, found, false alarms: the score of a workspace whose truth is known (the demo's)."""
    schema = pa.schema(
        [("kind", pa.string()), ("planted", pa.int64()), ("found", pa.int64()), ("false_alarms", pa.int64())]
    )
    path = workspace / "planted.parquet"
    # Not empty_table(): it imports pandas, for half a second.
    table = read_parquet(path, schema.names).cast(schema) if path.is_file() else pa.Table.from_batches([], schema)
    return pl.DataFrame(pl.from_arrow(table))


CORPUS_QUESTIONS: dict[str, Callable[[Views], pl.DataFrame]] = {
    "recognisers": corpus_questions.recognisers,
    "duplicates": corpus_questions.duplicates,
    "similarities": corpus_questions.similarities,
    "clusters": corpus_questions.clusters,
    "cluster_sizes": corpus_questions.cluster_sizes,
    "most_repeated": corpus_questions.most_repeated,
    "contamination": corpus_questions.contamination,
    "samples": samples.by_reason,
    "tokens": token_questions.tokens,
    "bands": token_questions.bands,
    "quality": token_questions.quality,
}
PASS_QUESTIONS: dict[str, Callable[[Views], pl.DataFrame]] = {
    "edits": corpus_questions.edits,
    "pii": corpus_questions.pii,
}
TRAINING_QUESTIONS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "planned": training_questions.planned,
    "mixture": training_questions.mixture,
    "mixture_steps": training_questions.mixture_steps,
    "losses": training_questions.losses,
    "steps": training_questions.steps,
    "evaluations": training_questions.evaluations,
    "forgetting": training_questions.forgetting,
    "gates": training_questions.gates,
    "planted": planted,
    "provenance": provenance.provenance,
    "packages": lambda workspace: provenance.packages(),
    "run_settings": provenance.run_settings,
}


@dataclass(frozen=True)
class Audit:
    """The answers about one workspace: `frames` by question, the checks, what is missing, the resolved recipe."""

    name: str
    frames: dict[str, pl.DataFrame]
    checks: list[Check]
    missing: list[Missing]
    recipe: str | None

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def ask(workspace: Path) -> Audit:
    """Every answer and every check. Raises ArtifactError when there is no workspace or a file of it is damaged.

    Two strands side by side, since neither fills two processors: queries, and the pass over the ledger with the checks.
    """
    workspace = existing(workspace)
    with ThreadPoolExecutor(1) as beside:
        passed = beside.submit(_pass, workspace)
        with Views(workspace) as views:
            frames = {"funnel": corpus_questions.funnel(views)}
            frames["totals"] = corpus_questions.totals_of(frames["funnel"])
            frames |= {name: question(views) for name, question in CORPUS_QUESTIONS.items()}
        frames |= {name: question(workspace) for name, question in TRAINING_QUESTIONS.items()}
        counted, checks = passed.result()
    return Audit(workspace.name, frames | counted, checks, missing(workspace), provenance.recipe(workspace))


def _pass(workspace: Path) -> tuple[dict[str, pl.DataFrame], list[Check]]:
    """The answers and the checks that share one pass over the ledger."""
    with Views(workspace) as views:
        for source in views.ledgers:
            views.counted(source, Edits, RemovedValues, Conservation, Ids)
        return {name: question(views) for name, question in PASS_QUESTIONS.items()}, verify(workspace, views)
