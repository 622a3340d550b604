"""`provender mix suggest`: a suggestion as tables for the terminal, as JSON, and as a picture of the frontier."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from corpus.artifact import write_atomic
from corpus.errors import ConfigError
from pipelines.report import charts, numbers
from pipelines.report.standalone import standing_alone

if TYPE_CHECKING:
    from mixing.laws.quality import Assessment, Quality
    from mixing.laws.suggestion import Proposal, Suggestion


def tables(suggestion: "Suggestion") -> RenderableType:
    """What to train on and why, as tables: the critical share, proposals, the budget, and how good the laws are."""
    parts: list[RenderableType] = [*_headlines(suggestion), _proposals(suggestion)]
    if suggestion.budget:
        parts.append(_budget(suggestion))
    else:
        parts.append(f"no budget: {suggestion.budget_problem}")
    parts.append(_laws(suggestion))
    parts += [f"note: {note}" for note in suggestion.notes]
    return Group(*parts)


def _headlines(suggestion: "Suggestion") -> Iterator[str]:
    critical, question = suggestion.critical, suggestion.question
    if critical.share is None:
        yield f"No share of the domain keeps {critical.broken} within epsilon."
    else:
        limit = f"set by {critical.broken}" if critical.broken else "set by what the sources have, not by epsilon"
        yield (
            f"Largest share of the domain: {critical.share:.3f}, {question.level:.0%} interval {critical.low:.3f} to "
            f"{critical.high:.3f}, {limit}"
        )
    for name, epsilon in suggestion.epsilon.items():
        yield f"  {name}: {suggestion.base[name]:.4f} before training, at most {epsilon:.4f} more"
    if suggestion.critical_by_length is not None:
        middle, low, high = suggestion.critical_by_length
        yield f"By the CMR law over lengths, at {suggestion.tokens:,} tokens: {middle:.3f} ({low:.3f} to {high:.3f})"


def _proposals(suggestion: "Suggestion") -> Table:
    level = suggestion.question.level
    table = Table(title=f"Mixtures and predicted losses ({level:.0%} interval)", title_justify="left")
    table.add_column("mixture")
    for source in suggestion.runs.at.sources:
        table.add_column(source, justify="right")
    for name in (*suggestion.epsilon, *suggestion.targets):
        table.add_column(f"loss {name}", justify="right")
    table.add_column("within ε")
    table.add_column("extrapolates")
    width = len(suggestion.runs.at.sources) + len(suggestion.epsilon) + len(suggestion.targets)
    for proposal in suggestion.proposals:
        if proposal.problem:
            table.add_row(proposal.name, *[""] * width, "", proposal.problem)
            continue
        shares = [numbers.share(share) for share in proposal.shares.values()]
        losses = [_spelled(*proposal.losses[name]) for name in (*suggestion.epsilon, *suggestion.targets)]
        table.add_row(
            proposal.name, *shares, *losses, "yes" if proposal.within else "no", "; ".join(proposal.beyond) or "no"
        )
    return table


def _spelled(middle: float, low: float, high: float) -> str:
    return f"{middle:.4f} ({low:.4f} to {high:.4f})" if np.isfinite(low) else f"{middle:.4f} (no interval)"


def _budget(suggestion: "Suggestion") -> Table:
    table = Table(title=f"Budget of the suggested mixture, {suggestion.tokens:,} tokens", title_justify="left")
    for column in ("source", "role", "tokens", "epochs", "worth in fresh tokens"):
        table.add_column(column, justify="left" if column in ("source", "role") else "right")
    for given in suggestion.budget:
        table.add_row(given.source, given.role, f"{given.tokens:,}", f"{given.epochs:.2f}", f"{given.worth:,}")
    return table


def _laws(suggestion: "Suggestion") -> Table:
    title = "Laws: error on the runs and on left-out mixtures (* is used)"
    table = Table(title=title, title_justify="left")
    for column in ("loss", "law", "R²", "MAE", "Huber", "left-out MAE", "left-out R²", "rank", "why not"):
        table.add_column(column, justify="left" if column in ("loss", "law", "why not") else "right")
    for judged in suggestion.judged:
        for each in judged.tried:
            mark = "*" if each is judged.chosen else ""
            unseen = each.held_out
            cells = (
                [f"{unseen.mae:.4f}", f"{unseen.r2:.3f}", f"{unseen.rank:.3f}"] if unseen else ["too few runs", "", ""]
            )
            fit = each.fit
            table.add_row(
                judged.loss, each.law.kind + mark, f"{fit.r2:.4f}", f"{fit.mae:.4f}", f"{fit.huber:.2e}", *cells, ""
            )
        for kind, reason in judged.refused.items():
            table.add_row(judged.loss, kind, *[""] * 6, reason)
    return table


def as_dict(suggestion: "Suggestion") -> dict[str, Any]:
    """The suggestion as plain values, for `--json`; numbers that are not finite are null."""
    question = suggestion.question
    return _plain(
        {
            "epsilon": suggestion.epsilon,
            "base": suggestion.base,
            "level": question.level,
            "tokens": suggestion.tokens,
            "parameters": suggestion.parameters,
            "critical": asdict(suggestion.critical),
            "critical_by_length": suggestion.critical_by_length,
            "proposals": [asdict(each) for each in suggestion.proposals],
            "frontier": [asdict(each) for each in suggestion.curve],
            "budget": [asdict(each) for each in suggestion.budget],
            "budget_problem": suggestion.budget_problem,
            "laws": {
                judged.loss: {
                    "used": judged.chosen.law.kind,
                    "tried": [_assessed(each) for each in judged.tried],
                    "refused": judged.refused,
                }
                for judged in suggestion.judged
            },
            "notes": suggestion.notes,
        }
    )


def _assessed(each: "Assessment") -> dict[str, Any]:
    def of(quality: "Quality | None") -> dict[str, Any] | None:
        return None if quality is None else quality.as_dict()

    return {
        "law": each.law.kind,
        "constants": each.fitted.constants(),
        "fit": of(each.fit),
        "held_out": of(each.held_out),
        "folds": each.folds,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value


def draw_frontier(suggestion: "Suggestion", picture: Path) -> None:
    """The frontier as an SVG file: the domain's mean loss over the largest rise of a general loss, every share of the
    domain from one end to the other, with the runs, the proposals and epsilon. Raises ConfigError for other endings."""
    if picture.suffix != ".svg":
        raise ConfigError("pictures are drawn as SVG", where="--picture", found=picture, todo="give a name.svg")
    write_atomic(picture, frontier(suggestion).encode())


def frontier(suggestion: "Suggestion") -> str:
    """The picture of `draw_frontier` as markup. Raises ConfigError when no loss of the domain is measured."""
    if not suggestion.targets:
        raise ConfigError("there is no loss of the domain to draw", todo="declare one: --loss NAME=COLUMN")
    curve = [_point(suggestion, proposal) for proposal in suggestion.curve]
    marks = [
        charts.Mark(proposal.name, *_point(suggestion, proposal), colour=index + 1)
        for index, proposal in enumerate(suggestion.proposals)
        if not proposal.problem
    ]
    drawn = charts.frontier(
        charts.Line("predicted", curve, 0),
        marks,
        _measured(suggestion),
        limit=1.0,
        title="Frontier of the domain's share",
        x="largest rise of a general loss, over its epsilon",
        y="mean loss of the domain",
    )
    return standing_alone(drawn)


def _point(suggestion: "Suggestion", proposal: "Proposal") -> tuple[float, float]:
    rise = max(proposal.rises[name] / suggestion.epsilon[name] for name in suggestion.epsilon)
    return rise, float(np.mean([proposal.losses[name][0] for name in suggestion.targets]))


def _measured(suggestion: "Suggestion") -> list[tuple[float, float]]:
    """The runs as points of the same plane."""
    losses = suggestion.runs.losses
    rises = [(losses[name] - suggestion.base[name]) / suggestion.epsilon[name] for name in suggestion.epsilon]
    targets = [losses[name] for name in suggestion.targets]
    return list(zip(np.max(rises, axis=0).tolist(), np.mean(targets, axis=0).tolist(), strict=True))
