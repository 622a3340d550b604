"""What the command line prints: the outline of a recipe, tables of a corpus and of a plan."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.tree import Tree

from corpus.artifact import Manifest
from corpus.document import QUARANTINE
from corpus.errors import ConfigError, DataError

if TYPE_CHECKING:
    import polars as pl

    from corpus.quality.training import ClassifierReport
    from mixing.plan import MixturePlan
    from pipelines.forget import Forgetting
    from pipelines.planned import Planned
    from pipelines.recipe import Recipe


def outline(recipe: "Recipe", part: str) -> RenderableType:
    """The recipe as a tree: what the stage would do, and which of its inputs are not there yet. Reads no data."""
    from corpus.perplexity import models_named

    tree = Tree(f"{recipe.name} → {recipe.workspace}" + (" (PHI)" if recipe.phi else ""))
    tree.add(f"tokenizer {_place(recipe.tokenizer.path)}")
    corpus = tree.add(f"corpus, {recipe.executor.said()}")
    for source in recipe.corpus.sources:
        reader = source.reader
        branch = corpus.add(f"{source.name}: {reader.kind} {_place(reader.path)}")
        branch.add("steps: " + (" → ".join(step.kind for step in recipe.corpus.steps_of(source)) or "none"))
        branch.add("rules: " + (", ".join(rule.rule for rule in recipe.corpus.rules_of(source)) or "none"))
        if source.perplexity:
            named = models_named(source.perplexity)
            branch.add(f"perplexity under {', '.join(named) or 'a causal language model'}")
    if part in ("mix", "train") and recipe.need("mix"):
        mix = tree.add("mix")
        for line in _settings(recipe.need("mix")):
            mix.add(line)
    if part == "train":
        train = tree.add(f"train → {recipe.folder / 'runs' / recipe.run}")
        for line in _settings(recipe.need("train")):
            train.add(line)
    return tree


def _settings(settings: Any) -> Iterable[str]:
    for key, value in settings.model_dump(mode="json", exclude_defaults=True).items():
        yield f"{key}: {value}"


def _place(path: str) -> str:
    """A local path, marked when nothing is there."""
    remote = "://" in path or any(sign in path for sign in "*?[")
    return path if remote or Path(path).exists() else f"{path} (not found yet)"


def corpus_summary(manifest: Manifest) -> RenderableType:
    """The token ledger: documents, bytes and tokens in and out by source, and the leading reasons of drops; below it,
    why records of a source could not be read."""
    table = Table(title="Token ledger", title_justify="left")
    columns = ("source", "in", "kept", "dropped", "quarantined", "MB in", "MB kept", "tokens kept", "leading drops")
    for column in columns:
        table.add_column(column, justify="left" if column in ("source", "leading drops") else "right")
    for source, totals in manifest.totals["sources"].items():
        reasons = sorted(totals["reasons"], key=lambda entry: -entry["documents"])[:2]
        table.add_row(
            source,
            f"{totals['documents_in']:,}",
            *(f"{totals[fate]['documents']:,}" for fate in ("kept", "dropped", "quarantined")),
            f"{totals['bytes_in'] / 1e6:,.2f}",
            f"{totals['kept']['bytes_out'] / 1e6:,.2f}",
            f"{totals['kept']['tokens']:,}",
            ", ".join(f"{entry['documents']} {entry['reason']}" for entry in reasons),
        )
    return Group(table, *_unread(manifest))


def _unread(manifest: Manifest) -> Iterable[str]:
    """A line for each source that has records in quarantine."""
    for source, totals in manifest.totals["sources"].items():
        entries = [entry for entry in totals["reasons"] if entry["step"] == QUARANTINE]
        if entries:
            count = sum(entry["documents"] for entry in entries)
            reasons = (f"{e['documents']:,} {e['reason']}" for e in sorted(entries, key=lambda e: -e["documents"]))
            share = count / totals["documents_in"]
            yield f"{source}: {count:,} records could not be read ({share:.1%}): {', '.join(reasons)}"


def plan_table(plan: "MixturePlan") -> RenderableType:
    """Asked and realised tokens, epochs and the discount of repetition by source."""
    return framed(plan.table(), f"Mixture, {plan.steps:,} steps")


def framed(frame: "pl.DataFrame", title: str) -> RenderableType:
    table = Table(title=title, title_justify="left")
    for column in frame.columns:
        table.add_column(column.replace("_", " "), justify="right" if frame[column].dtype.is_numeric() else "left")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "not available"
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def step_table(planned: "Planned", step: int) -> RenderableType:
    """Rows of the step's global batch: source, sequence, epoch, and the documents in it."""
    steps = planned.plan.steps
    if not 0 <= step < steps:
        raise ConfigError("no such step", where=f"--step {step}", found=f"steps 0 to {steps - 1} in the plan")
    return framed(planned.plan.show(step, planned.stores), f"Step {step} of {steps}")


def where_table(planned: "Planned", document: str) -> RenderableType:
    """Every step, row and token range in which a document is trained."""
    found = planned.plan.where(document, planned.stores)
    if not found:
        return Group(f"{document} is in no step of the plan.")
    table = Table(title=document, title_justify="left")
    for column in ("step", "row", "places in the row", "epoch"):
        table.add_column(column, justify="right")
    for visit in found:
        table.add_row(str(visit.step), str(visit.row), f"{visit.start} to {visit.stop}", str(visit.epoch))
    return table


def deidentification_scores(cases: Path, profile: str) -> RenderableType:
    """Precision, recall and leak-free recall by type, with 95% Wilson intervals."""
    from corpus.deidentify import DeidentifySettings
    from corpus.deidentify.evaluate import score

    if not cases.is_file():
        raise DataError("no such file", where=cases, todo="give JSON lines of {text, spans: [[start, end, type]]}")
    settings = DeidentifySettings.model_validate({"kind": "deidentify", "profile": profile})
    table = Table(title=f"{cases.name}, profile {profile}", title_justify="left")
    for column in ("type", "labelled", "precision", "recall", "leak-free recall"):
        table.add_column(column, justify="left" if column == "type" else "right")
    for kind, scored in score(cases, settings).items():
        shares = (scored.precision, scored.recall, scored.leak_free)
        table.add_row(kind, f"{scored.recall.total:,}", *(str(share) for share in shares))
    return table


def classifier_table(report: "ClassifierReport") -> RenderableType:
    """How a quality classifier does on documents it has not seen."""
    counts = ", ".join(f"{count:,} {label}" for label, count in report.held_out.items())
    title = f"Held out: {counts}; accuracy {report.accuracy:.3f} (always the larger: {report.majority:.3f})"
    table = Table(title=f"{title}, AUC {report.auc:.3f}", title_justify="left")
    for column in report.thresholds[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in report.thresholds:
        table.add_row(*(f"{value:.3f}" for value in row.values()))
    return table


def forgetting_summary(forgetting: "Forgetting") -> RenderableType:
    """The documents that were removed, where their raw records lie, and the plans and checkpoints that saw them."""
    documents = Table(title="Forgotten; the raw records are yours to remove", title_justify="left")
    for column in ("document", "source", "file", "record"):
        documents.add_column(column)
    for document in forgetting.documents:
        documents.add_row(document.id, document.source, document.file, str(document.position))
    seen = Table(title="What has seen them", title_justify="left")
    for column in ("plan", "steps that train them", "checkpoints after one"):
        seen.add_column(column)
    for exposure in forgetting.exposures:
        steps = exposure.unreadable or (
            f"{len(exposure.steps):,}, first {exposure.steps[0]:,}" if exposure.steps else "none"
        )
        seen.add_row(exposure.plan, steps, "\n".join(exposure.checkpoints) or "none")
    return Group(
        documents, seen, "Plans fit the stores no more: run `provender mix`; train again from a clean checkpoint."
    )
