"""Rules: a decision about a measured column, stated once.

Every threshold of a recipe becomes a `Rule`; `corpus.select` evaluates the rules over the stored columns in the
recipe's order and the first that fails names the drop. Nothing is measured here, so changing a bound re-decides in
seconds.
"""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Rule:
    """`fails` is true for a row to drop; null (not measured) passes. `detail` renders value and bound, "41 < 50"."""

    step: str
    reason: str
    fails: pl.Expr
    detail: pl.Expr

    def columns(self) -> set[str]:
        """The columns it looks at."""
        return {name for expression in (self.fails, self.detail) for name in expression.meta.root_names()}

    def identity(self) -> str:
        """The rule as a fingerprint names it: its names, and its expressions in full."""
        expressions = (self.fails.meta.serialize(format="json"), self.detail.meta.serialize(format="json"))
        return "\0".join((self.step, self.reason, *expressions))


def at_least(step: str, reason: str, column: str, bound: float) -> Rule:
    """Drop where `column` < `bound`."""
    value = pl.col(column)
    return Rule(step, reason, value < bound, pl.format("{} < {}", shown(value), pl.lit(_number(bound))))


def at_most(step: str, reason: str, column: str, bound: float) -> Rule:
    """Drop where `column` > `bound`."""
    value = pl.col(column)
    return Rule(step, reason, value > bound, pl.format("{} > {}", shown(value), pl.lit(_number(bound))))


def shown(value: pl.Expr) -> pl.Expr:
    """A measured number as text, six figures at most."""
    return value.cast(pl.Float64).round_sig_figs(6).cast(pl.String).str.strip_suffix(".0")


def _number(bound: float) -> str:
    return f"{bound:g}" if bound != int(bound) else str(int(bound))
