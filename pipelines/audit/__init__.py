"""The audit: what a workspace claims, asked and checked again.

    audit = ask(workspace)         every question, one polars frame each
    audit.checks                   verify: does it add up?
    audit.missing                  what is not there yet, and the command that makes it

Nothing but the on-disk forms of docs/design.md is read, so an audit needs neither the models nor the recipe.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from corpus.artifact import read_parquet
from corpus.errors import ArtifactError
from pipelines.audit import corpus_questions, provenance, training_questions
from pipelines.audit.verify import Check, verify
from pipelines.audit.workspace import Missing, missing

__all__ = ["QUESTIONS", "Audit", "Check", "Missing", "ask", "planted", "verify"]


def planted(workspace: Path) -> pl.DataFrame:
    """kind → planted, found, false alarms: the score of a workspace whose truth is known (the demo's)."""
    schema = pa.schema(
        [("kind", pa.string()), ("planted", pa.int64()), ("found", pa.int64()), ("false_alarms", pa.int64())]
    )
    path = workspace / "planted.parquet"
    table = read_parquet(path, schema.names).cast(schema) if path.is_file() else schema.empty_table()
    return pl.DataFrame(pl.from_arrow(table))


QUESTIONS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "funnel": corpus_questions.funnel,
    "totals": corpus_questions.totals,
    "edits": corpus_questions.edits,
    "pii": corpus_questions.pii,
    "duplicates": corpus_questions.duplicates,
    "similarities": corpus_questions.similarities,
    "clusters": corpus_questions.clusters,
    "cluster_sizes": corpus_questions.cluster_sizes,
    "tokens": corpus_questions.tokens,
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
    """Every answer and every check. Raises ArtifactError when there is no workspace or a file of it is damaged."""
    workspace = Path(workspace).resolve()
    if not workspace.is_dir():
        raise ArtifactError(
            "no such workspace", where=workspace, todo="run `provender corpus` first, or name the workspace's folder"
        )
    frames = {name: question(workspace) for name, question in QUESTIONS.items()}
    return Audit(workspace.name, frames, verify(workspace), missing(workspace), provenance.recipe(workspace))
