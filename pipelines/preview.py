"""What `provender corpus preview` prints: what each rule would drop of a sample, with examples, and the forecast."""

from math import inf

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from corpus.artifact import MANIFEST
from corpus.perplexity import models_named, perplexity_step
from corpus.preview import SourcePreview, preview_source
from corpus.recipe import SourceSettings
from corpus.step import Step
from corpus.tokens.tokenize import CountTokens, TokensSettings
from pipelines.recipe import Recipe


def preview(recipe: Recipe, documents: int, examples: int) -> list[SourcePreview]:
    """Every source of a recipe on a sample of `documents`; texts are left out where the recipe may hold PHI."""
    counting = CountTokens(TokensSettings(), recipe.tokenizer)
    return [
        preview_source(
            recipe.corpus,
            source,
            counting,
            _perplexity(recipe, source),
            documents=documents,
            examples=examples,
            seed=recipe.seed,
            show_text=not recipe.phi,
        )
        for source in recipe.corpus.sources
    ]


def _perplexity(recipe: Recipe, source: SourceSettings) -> Step | None:
    """The step that measures a source under its language model; None where it has none yet."""
    if source.perplexity is None:
        return None
    learned = {name: recipe.folder / "lm" / name for name in recipe.corpus.lm}
    named = [learned[name] for name in models_named(source.perplexity) if name in learned]
    if not all((folder / MANIFEST).is_file() for folder in named):
        return None
    return perplexity_step(source.perplexity, learned)


def preview_tables(previews: list[SourcePreview]) -> RenderableType:
    """Drops by rule, examples of them, and the forecast."""
    parts: list[RenderableType] = []
    for found in previews:
        parts += [_drops(found), *_notes(found), *_examples(found)]
    return Group(*parts, _forecast(previews))


def _drops(found: SourcePreview) -> RenderableType:
    title = f"{found.name}: {found.kept:,} of {found.sampled:,} drawn documents would be kept"
    table = Table(title=title, title_justify="left")
    for column in ("rule", "reason", "first to fail", "fails", "only this fails", "share"):
        table.add_column(column, justify="left" if column in ("rule", "reason") else "right")
    for rule in found.rules:
        counts = (f"{count:,}" for count in (rule.first, rule.fails, rule.alone))
        table.add_row(rule.step, rule.reason, *counts, f"{rule.fails / max(found.sampled, 1):.1%}")
    return table


def _notes(found: SourcePreview) -> list[str]:
    return ["perplexity: its language model is still to be learned"] if found.unread_perplexity else []


def _examples(found: SourcePreview) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for rule in found.rules:
        for example in rule.examples:
            place = f"{example.file} {example.position}"
            lines.append(Text(f"  {rule.step}, {rule.reason}: {example.detail or ''}  {place}"))
            if example.text:
                lines.append(Text(f"    {example.text}", style="dim"))
    return lines


def _forecast(previews: list[SourcePreview]) -> RenderableType:
    table = Table(title="Forecast, before duplicates and cuts", title_justify="left")
    for column in ("source", "documents kept", "tokens kept", "95% interval", "files read", "input read"):
        table.add_column(column, justify="left" if column == "source" else "right")
    for found in previews:
        ahead = found.forecast
        table.add_row(
            found.name,
            f"{ahead.documents:,.0f}",
            f"{ahead.tokens:,.0f}",
            _interval(ahead.tokens, ahead.margin),
            f"{ahead.files[0]:,} of {ahead.files[1]:,}",
            f"{ahead.read_share:.0%}",
        )
    tokens = sum(found.forecast.tokens for found in previews)
    margin = sum(found.forecast.margin**2 for found in previews) ** 0.5
    table.add_section()
    table.add_row(
        "all",
        f"{sum(f.forecast.documents for f in previews):,.0f}",
        f"{tokens:,.0f}",
        _interval(tokens, margin),
        "",
        "",
    )
    return table


def _interval(tokens: float, margin: float) -> str:
    if margin == inf:  # one file says nothing of how files differ
        return "unknown"
    return f"{max(0.0, tokens - margin):,.0f} to {tokens + margin:,.0f}"
