"""What the papers found, asked of the rows: every answer is computed, with the estimate it rests on.

    shown      every part of the claim is clear of its standard error (one-sided t test, 5% shared over the parts)
    refuted    a part of it is clearly the other way
    undecided  neither: the effect is within the noise of this grid
    missing    a row that the claim is about has not been made

A claim of "somewhere" is shown by one cell, at 5% shared over all cells that were tried, and refuted when all of them
are clearly the other way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from pipelines.study.grid import GENERAL_TESTS, LINE, SHARES, SHIFTS, TASK, TESTS, Cell, named
from pipelines.study.results import Estimate, Row, Term, estimate
from pipelines.study.texts import DOMAINS

Outcome = Literal["shown", "refuted", "undecided", "missing"]
Rows = Mapping[str, Row]
BASE = "base"
LEVEL = 0.05
COUNTED = ("unigram", "bigram", "trigram")  # rows of counting models, by how many tokens they look back
MOST = 0.5  # of what half of replay buys: what "the first percent buys most" says
FLAT = 0.05  # of what the domain's loss falls by: what "nearly flat" allows


@dataclass(frozen=True)
class Evidence:
    """One part of a claim: what must be above 0 for the claim to hold."""

    what: str
    estimate: Estimate


@dataclass(frozen=True)
class Verdict:
    """A claim, what came out, and what it rests on."""

    claim: str
    outcome: Outcome
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[str, ...] = ()
    somewhere: bool = False


def judged(claim: str, evidence: Sequence[Evidence], *, somewhere: bool = False) -> Verdict:
    """The verdict on a claim whose parts all hold, or `somewhere` one of them, where the estimate is above 0."""
    if not evidence:
        return Verdict(claim, "undecided", somewhere=somewhere)
    level = LEVEL / len(evidence)
    above = [each.estimate.above(level) for each in evidence]
    below = [each.estimate.below(level) for each in evidence]
    holds, fails = (any(above), all(below)) if somewhere else (all(above), any(below))
    outcome: Outcome = "shown" if holds else "refuted" if fails else "undecided"
    return Verdict(claim, outcome, tuple(evidence), somewhere=somewhere)


def verdicts(rows: Rows, cells: Sequence[Cell] = ()) -> list[Verdict]:
    """Every claim that the study was made to look at; `cells` are all of the grid, made or not."""
    found = [competent(rows, model) for model in COUNTED[1:]]
    for domain, shift in SHIFTS.items():
        found += [monotone(rows, domain, shift), first_percent(rows, domain, shift), nearly_flat(rows, domain, shift)]
    for domain, shift in SHIFTS.items():
        found.append(better_frontier(rows, domain, shift, ("KL", "KL on replay", "EWC"), cells))
    return [*found, own_model_best(rows), selected_as_good(rows), selected_better_than_random(rows)]


def _needs(claim: str, rows: Rows, names: Sequence[str], found: Callable[[], Verdict]) -> Verdict:
    missing = tuple(name for name in dict.fromkeys(names) if name not in rows)
    return Verdict(claim, "missing", missing=missing) if missing else found()


def _general(weight: float, row: Row) -> Term:
    return Term(weight, row, GENERAL_TESTS)


def _on(weight: float, row: Row, kind: str) -> Term:
    return Term(weight, row, (TESTS[kind],))


def competent(rows: Rows, model: str) -> Verdict:
    """The base has learned more of general text than a counting model knows of it."""
    claim = f"the base is competent: better on general text than a {model} model of the same training text"
    return _needs(
        claim,
        rows,
        [BASE, model],
        lambda: judged(
            claim,
            [
                Evidence(
                    f"the base lies below the {model} model by",
                    estimate([_general(1, rows[model]), _general(-1, rows[BASE])]),
                )
            ],
        ),
    )


def monotone(rows: Rows, domain: str, shift: str) -> Verdict:
    """Each larger share of replay leaves a lower loss on general text than the share before it."""
    names = {share: named(domain, share) for share in SHARES}
    claim = f"{shift} shift ({domain}): the loss on general text falls with every larger share of replay"
    return _needs(
        claim,
        rows,
        list(names.values()),
        lambda: judged(
            claim,
            [
                Evidence(
                    f"{domain}: {less:.0%} to {more:.0%} of replay lowers the general loss by",
                    estimate([_general(1, rows[names[less]]), _general(-1, rows[names[more]])]),
                )
                for less, more in pairwise(SHARES)
            ],
        ),
    )


def first_percent(rows: Rows, domain: str, shift: str) -> Verdict:
    """The first percent of replay saves more than half of what the largest share saves."""
    none, first, largest = (named(domain, share) for share in (SHARES[0], SHARES[1], SHARES[-1]))
    claim = f"{shift} shift ({domain}): the first percent of replay buys most of what {SHARES[-1]:.0%} buys"
    terms = ((1 - MOST, none), (-1, first), (MOST, largest))
    what = f"{domain}: what 1% saves, less {MOST:.0%} of what {SHARES[-1]:.0%} saves"
    return _needs(
        claim,
        rows,
        [none, first, largest],
        lambda: judged(claim, [Evidence(what, estimate([_general(weight, rows[name]) for weight, name in terms]))]),
    )


def nearly_flat(rows: Rows, domain: str, shift: str) -> Verdict:
    """A tenth of replay costs less than a twentieth of what the domain's loss falls by without any."""
    none, tenth = named(domain, 0.0), named(domain, 0.1)
    claim = f"{shift} shift ({domain}): the loss on the domain is nearly flat up to 10% of replay"
    terms = ((FLAT, BASE), (1 - FLAT, none), (-1, tenth))
    what = f"{domain}: {FLAT:.0%} of the domain's gain, less what 10% of replay costs of it"
    return _needs(
        claim,
        rows,
        [BASE, none, tenth],
        lambda: judged(claim, [Evidence(what, estimate([_on(weight, rows[name], domain) for weight, name in terms]))]),
    )


def better_frontier(rows: Rows, domain: str, shift: str, methods: Sequence[str], cells: Sequence[Cell] = ()) -> Verdict:
    """Somewhere a method has a lower domain loss than replay alone has at the same general loss and equal tokens. That
    it is nowhere so cannot be said while a cell of such a method is not made."""
    curve = [named(domain, share) for share in SHARES]
    tried = [name for name, row in rows.items() if row.domain == domain and row.method in methods]
    lacking = [
        cell.name for cell in cells if cell.domain == domain and cell.method in methods and cell.workspace == LINE
    ]
    lacking = [name for name in lacking if name not in rows]
    claim = f"{shift} shift ({domain}): {' or '.join(methods)} beats replay alone somewhere, at equal tokens"

    def found() -> Verdict:
        margins = {name: margin(rows[name], [rows[each] for each in curve], domain) for name in tried}
        evidence = [
            Evidence(f"{name} lies below the curve of replay by", value)
            for name, value in margins.items()
            if value is not None
        ]
        verdict = judged(claim, evidence, somewhere=True)
        return (
            verdict
            if verdict.outcome == "shown" or not lacking
            else replace(verdict, outcome="missing", missing=tuple(lacking))
        )

    return _needs(claim, rows, curve if tried else [*curve, f"a cell of {' or '.join(methods)} on {domain}"], found)


def margin(row: Row, curve: Sequence[Row], domain: str) -> Estimate | None:
    """How far a row's domain loss lies below that of replay alone at the row's general loss, between the two nearest
    shares in a straight line; None where the row is beyond both ends, so that neither is better.

    With slope s and weight w of the nearer end A of [A, B]: w d_A + (1−w) d_B − d + s·(g − w g_A − (1−w) g_B), whose
    last bracket is 0 and carries the error of the general losses.
    """
    general = row.bits(GENERAL_TESTS)
    ends = sorted(curve, key=lambda each: each.bits(GENERAL_TESTS))
    for one, other in pairwise(ends):
        low, high = one.bits(GENERAL_TESTS), other.bits(GENERAL_TESTS)
        if low <= general <= high and low < high:
            weight = (high - general) / (high - low)
            slope = (other.bits((TESTS[domain],)) - one.bits((TESTS[domain],))) / (high - low)
            terms = [_on(weight, one, domain), _on(1 - weight, other, domain), _on(-1, row, domain)]
            terms += [_general(slope, row), _general(-slope * weight, one), _general(-slope * (1 - weight), other)]
            return estimate(terms)
    nearest = ends[0] if general < ends[0].bits(GENERAL_TESTS) else ends[-1]
    gain = estimate([_on(1, nearest, domain), _on(-1, row, domain)])
    better_general = nearest is ends[0]
    return gain if better_general == (gain.value > 0) else None


def own_model_best(rows: Rows) -> Verdict:
    """Gururangan et al. 2020: on a domain's text the model that went on with it is better than every other."""
    models = {domain: named(domain, 0.0) for domain in DOMAINS}
    claim = "matrix: on every domain the model trained on it is the best of all (Gururangan et al. 2020)"
    return _needs(
        claim,
        rows,
        [BASE, *models.values()],
        lambda: judged(
            claim,
            [
                Evidence(
                    f"on {domain}, {other} is worse than the domain's own model by",
                    estimate([_on(1, rows[other], domain), _on(-1, rows[own], domain)]),
                )
                for domain, own in models.items()
                for other in (BASE, *models.values())
                if other != own
            ],
        ),
    )


SELECTIONS = ("select-dsir", "select-moore-lewis")


def _selections(claim: str, rows: Rows, against: str, what: str, somewhere: bool) -> Verdict:
    return _needs(
        claim,
        rows,
        [against, *SELECTIONS],
        lambda: judged(
            claim,
            [
                Evidence(f"{name} {what}", estimate([_on(1, rows[against], TASK), _on(-1, rows[name], TASK)]))
                for name in SELECTIONS
            ],
            somewhere=somewhere,
        ),
    )


def selected_as_good(rows: Rows) -> Verdict:
    """Xie et al. 2023: a chosen tenth of the pool, a tenth of the steps, is at least as good as all of it."""
    claim = "selection: a selected tenth is at least as good for the task as all of the pool (Xie et al. 2023)"
    return _selections(claim, rows, "select-all", "is below all of the pool by", somewhere=True)


def selected_better_than_random(rows: Rows) -> Verdict:
    claim = "selection: a selected tenth is better for the task than a random tenth"
    return _selections(claim, rows, "select-random", "is below a random tenth by", somewhere=False)
