"""`provender corpus …`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.arguments import DryRun, Overrides, RecipeName, SettingOverrides, group, load, load_to_run, show

commands = group("Raw files → de-identified, filtered, deduplicated shards, a ledger and token stores.")


@commands.command("run")
def corpus_run(recipe: RecipeName, set_: Overrides = None, dry_run: DryRun = False) -> None:
    """Prepare the corpus of a recipe; what has not changed since the last run is skipped."""
    loaded = load_to_run(recipe, set_, "corpus", dry_run)
    from pipelines.outline import corpus_summary
    from pipelines.stages import prepare_corpus

    show(corpus_summary(prepare_corpus(loaded)))


@commands.command("decide")
def corpus_decide(recipe: RecipeName, set_: Overrides = None) -> None:
    """Decide again on the stored columns after a change of thresholds; no raw text is read."""
    from pipelines.outline import corpus_summary
    from pipelines.stages import prepare_corpus

    show(corpus_summary(prepare_corpus(load(recipe, set_), stored=True)))


@commands.command("preview")
def corpus_preview(
    recipe: RecipeName,
    documents: Annotated[int, typer.Option(min=1, help="Documents to draw from each source.")] = 200,
    examples: Annotated[int, typer.Option(min=0, help="Examples of what each rule would drop.")] = 2,
    set_: Overrides = None,
) -> None:
    """Run a sample through the steps and rules: what each rule would drop, examples, a forecast of tokens."""
    from pipelines.preview import preview, preview_tables

    show(preview_tables(preview(load(recipe, set_), documents, examples)))


@commands.command("lm")
def corpus_lm(
    documents: Annotated[
        list[str], typer.Argument(help="Files, folders or globs: jsonl, parquet, text, or a prepared corpus.")
    ],
    output: Annotated[Path, typer.Option(help="The folder to write the model to.")],
    set_: SettingOverrides = None,
) -> None:
    """Train a KenLM model from chosen documents; a recipe then names its folder under `perplexity`."""
    from corpus.perplexity import train_lm
    from corpus.perplexity.estimate import LmTraining
    from pipelines.recipe_file import overridden

    totals = train_lm(documents, output, overridden(LmTraining, set_)).totals
    fates = ", ".join(f"{count:,} {fate}" for fate, count in totals["documents"].items())
    show(f"{totals['lines']:,} lines; documents: {fates}")
    show(f"model: {output}")


@commands.command("classifier")
def corpus_classifier(
    good: Annotated[Path, typer.Argument(help="A folder or file of good documents: txt, jsonl or parquet.")],
    bad: Annotated[Path, typer.Argument(help="The same of bad ones.")],
    output: Annotated[Path, typer.Argument(help="The folder to write the model to.")],
    set_: SettingOverrides = None,
) -> None:
    """Train a fastText quality classifier; a recipe then names its folder in a `classifier` step."""
    from corpus.quality.training import ClassifierTraining, train_classifier
    from pipelines.outline import classifier_table
    from pipelines.recipe_file import overridden

    show(classifier_table(train_classifier(good, bad, output, overridden(ClassifierTraining, set_))))
    show(f"model: {output}")


@commands.command("duplicates")
def corpus_duplicates(
    recipe: RecipeName,
    of: Annotated[
        str | None, typer.Option(help="Show the copies of this document: its id, or the start of it.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Print which pairs the recipe's bands propose.")] = False,
    set_: Overrides = None,
) -> None:
    """Show a cluster of duplicates side by side (--of ID), or the S-curve of the recipe's bands (--curve)."""
    from corpus.dedup.members import cluster_of
    from pipelines.duplicates import cluster_view, recipe_curve

    loaded = load(recipe, set_)
    if of is not None:
        show(cluster_view(cluster_of(loaded.folder, of)))
    if curve or of is None:
        show(recipe_curve(loaded))


@commands.command("deid-eval")
def corpus_deid_eval(
    cases: Annotated[Path, typer.Argument(help="JSON lines of {text, spans: [[start, end, type]]}.")],
    profile: Annotated[str, typer.Option(help="The de-identification profile to score.")] = "hipaa_safe_harbor",
) -> None:
    """Score de-identification on labelled text: precision, recall and leak-free recall by type."""
    from pipelines.outline import deidentification_scores

    show(deidentification_scores(cases, profile))


@commands.command("forget")
def corpus_forget(
    recipe: RecipeName,
    subject: Annotated[str, typer.Option(help="The patient or author, as the metadata name them.")],
    field: Annotated[str, typer.Option(help="The metadata field that names them.")] = "subject",
    set_: Overrides = None,
) -> None:
    """Remove every document of one subject from shards, ledger and token stores; say what has seen them."""
    from pipelines.forget import forget_subject
    from pipelines.outline import forgetting_summary

    show(forgetting_summary(forget_subject(load(recipe, set_), subject, field)))
