"""`provender audit …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.arguments import Overrides, RecipeName, Workspace, group, load, show, workspace_folder

if TYPE_CHECKING:
    import polars as pl

commands = group("What became of every document and token: questions, a report, and checks of all that is claimed.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Parquet = Annotated[
    Path | None, typer.Option("--parquet", help="Write parquet: a file, or a folder where there are several tables.")
]
Csv = Annotated[
    Path | None, typer.Option("--csv", help="Write CSV that no spreadsheet runs: a file, or a folder for several.")
]


@commands.command("run")
def audit_run(recipe: RecipeName, set_: Overrides = None) -> None:
    """Check everything, print the tables and write the report."""
    from pipelines.stages import audit_workspace

    report, passed = audit_workspace(load(recipe, set_))
    show(f"report: {report}")
    if not passed:
        raise typer.Exit(4)


@commands.command("funnel")
def audit_funnel(workspace: Workspace, json: Json = False, parquet: Parquet = None, csv: Csv = None) -> None:
    """Stage × source × reason, in documents, bytes and tokens."""
    from pipelines.audit import corpus_questions

    with _views(workspace) as views:
        _answer({"funnel": corpus_questions.funnel(views)}, json, parquet, csv)


@commands.command("tokens")
def audit_tokens(workspace: Workspace, json: Json = False, parquet: Parquet = None, csv: Csv = None) -> None:
    """Tokens by source, language, decision, length and perplexity band, with percentiles of the kept."""
    from pipelines.audit import token_questions as questions

    with _views(workspace) as views:
        bands = questions.bands(views)
        frames = {
            "kept": questions.tokens(views),
            "by_decision": questions.by_decision(bands),
            "by_language": questions.before_and_after(bands, "language"),
            "by_length": questions.before_and_after(bands, "length_band"),
            "by_perplexity": questions.before_and_after(bands, "perplexity_band"),
            "by_bucket": questions.before_and_after(bands, "perplexity_bucket"),
        }
        if json or parquet or csv:
            frames["bands"] = bands
        _answer(frames, json, parquet, csv)


@commands.command("dropped")
def audit_dropped(
    workspace: Workspace,
    reason: Annotated[str | None, typer.Option(help="A rule, such as 'too few words', or a step.")] = None,
    source: Annotated[str | None, typer.Option(help="One source only.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="How many documents to draw.")] = 10,
    seed: Annotated[int, typer.Option(help="Another seed draws other documents.")] = 0,
    json: Json = False,
    parquet: Parquet = None,
    csv: Csv = None,
) -> None:
    """Documents that a rule dropped, with the measured value and, where the recipe allows, their masked text."""
    from pipelines.audit.samples import dropped

    with _views(workspace) as views:
        frame = dropped(views, reason, source=source, sample=sample, seed=seed)
        _answer({"dropped": frame}, json, parquet, csv)


@commands.command("why")
def audit_why(
    workspace: Workspace,
    document: Annotated[str, typer.Argument(help="A document's id, or six or more of its first digits.")],
    json: Json = False,
    parquet: Parquet = None,
    csv: Csv = None,
) -> None:
    """One document's life: file, measurements, edits, decision, duplicates, token shard, the steps that trained it."""
    from pipelines.audit.document import life_of

    _answer(life_of(workspace_folder(workspace), document).frames(), json, parquet, csv)


@commands.command("step")
def audit_step(
    workspace: Workspace,
    number: Annotated[int, typer.Argument(help="A step as the metrics count them: the first is 1.")],
    plan: Annotated[str | None, typer.Option(help="Which plan, where there are several.")] = None,
    json: Json = False,
    parquet: Parquet = None,
    csv: Csv = None,
) -> None:
    """The documents of one step, by source, with the losses of that step."""
    from pipelines.audit.batch_questions import step

    _answer(step(workspace_folder(workspace), number, plan), json, parquet, csv)


@commands.command("duplicates")
def audit_duplicates(workspace: Workspace, json: Json = False, parquet: Parquet = None, csv: Csv = None) -> None:
    """Duplicates by source and keeper, cluster sizes, the most repeated paragraphs, contaminated evaluation items."""
    from pipelines.audit import corpus_questions as questions

    asked = (questions.duplicates, questions.cluster_sizes, questions.clusters, questions.similarities)
    with _views(workspace) as views:
        frames = {question.__name__: question(views) for question in asked}
        frames |= {"most_repeated": questions.most_repeated(views), "contamination": questions.contamination(views)}
        _answer(frames, json, parquet, csv)


@commands.command("pii")
def audit_pii(workspace: Workspace, json: Json = False, parquet: Parquet = None, csv: Csv = None) -> None:
    """Removed values by source and type, and which recogniser found them. The values are kept nowhere."""
    from pipelines.audit import corpus_questions as questions

    with _views(workspace) as views:
        _answer({"pii": questions.pii(views), "recognisers": questions.recognisers(views)}, json, parquet, csv)


@commands.command("diff")
def audit_diff(
    a: Annotated[str, typer.Argument(help="A workspace, or its recipe.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    json: Json = False,
    parquet: Parquet = None,
    csv: Csv = None,
) -> None:
    """What changed between two workspaces, and why: recipes, artefacts, totals, documents, what was learned."""
    from pipelines.audit.differences import differences

    _answer(differences(workspace_folder(a), workspace_folder(b)), json, parquet, csv)


@commands.command("verify")
def audit_verify(workspace: Workspace, json: Json = False, parquet: Parquet = None, csv: Csv = None) -> None:
    """Hash everything again; check that ledger, shards, token stores, plans and metrics add up. Exit 4 if not."""
    import polars as pl

    from pipelines.audit.verify import verify

    checks = verify(workspace_folder(workspace))
    rows = [(check.name, check.passed, check.detail) for check in checks]
    schema = {"claim": pl.String, "passed": pl.Boolean, "figures": pl.String}
    _answer({"verify": pl.DataFrame(rows, schema, orient="row")}, json, parquet, csv)
    if not all(check.passed for check in checks):
        raise typer.Exit(4)


@commands.command("sql")
def audit_sql(
    workspace: Workspace,
    query: Annotated[str, typer.Argument(help="One SELECT, as DuckDB has it; SHOW TABLES lists the views.")],
    json: Json = False,
    parquet: Parquet = None,
    csv: Csv = None,
) -> None:
    """Ask in SQL: ledger, documents, corpus, dropped, tokens, plan, steps, losses, evaluations and gates are views."""
    with _views(workspace) as views:
        _answer({"answer": views.with_training().ask(query)}, json, parquet, csv)


def _views(workspace: str):  # type: ignore[no-untyped-def]
    from pipelines.audit.views import Views

    return Views(workspace_folder(workspace))


def _answer(frames: "dict[str, pl.DataFrame]", json: bool, parquet: Path | None, csv: Path | None) -> None:
    from pipelines.report.answers import as_json, as_text, write_answer

    for path, form in ((parquet, "parquet"), (csv, "csv")):
        if path is not None:
            for written in write_answer(frames, path, form):
                show(f"written to {written}")
    if json:
        typer.echo(as_json(frames))
    elif parquet is None and csv is None:
        show(as_text(frames))
