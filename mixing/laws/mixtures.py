"""Where a law is fitted and asked: mixtures of named sources, trained for so many tokens, by models of so many
parameters."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from corpus.errors import DataError

SUM_ERROR = 0.02  # published tables are rounded to a few digits


@dataclass(frozen=True)
class Mixtures:
    """`shares` float64[mixtures, sources], rows sum to 1; `tokens` and `parameters` float64[mixtures] where they are
    known; `unique` float64[mixtures, sources]: different tokens a source has, where that is known."""

    sources: tuple[str, ...]
    shares: np.ndarray
    tokens: np.ndarray | None = None
    parameters: np.ndarray | None = None
    unique: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        sources: Iterable[str],
        shares: np.ndarray,
        tokens: np.ndarray | None = None,
        parameters: np.ndarray | None = None,
        unique: np.ndarray | None = None,
    ) -> Self:
        """Checked and normalised: the rounding of published tables is divided out. Raises DataError when a row has a
        negative share, a value that is no number, or a sum that is not 1 within 0.02."""
        names = tuple(sources)
        shares = np.array(shares, np.float64).reshape(-1, len(names))
        totals = shares.sum(axis=1)
        wrong = ~((shares >= 0).all(axis=1) & (np.abs(totals - 1) <= SUM_ERROR))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                "the shares of a mixture must be at least 0 and sum to 1",
                where=f"row {row}",
                found=f"{', '.join(f'{n} {s:.4g}' for n, s in zip(names, shares[row], strict=True))}: "
                f"sum {totals[row]:.4g}",
                todo="name a column for every source of the mixture",
            )
        columns = [None if c is None else np.asarray(c, np.float64) for c in (tokens, parameters, unique)]
        return cls(names, shares / totals[:, None], *columns)

    def __len__(self) -> int:
        return len(self.shares)

    def take(self, rows: np.ndarray) -> Self:
        """Some of the mixtures; `rows` are indices or a mask."""

        def of(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        return replace(
            self,
            shares=self.shares[rows],
            tokens=of(self.tokens),
            parameters=of(self.parameters),
            unique=of(self.unique),
        )

    def share_of(self, names: Iterable[str]) -> np.ndarray:
        """float64[mixtures]: the share of some sources together. Raises DataError when one is unknown."""
        columns = [self.index(name) for name in names]
        return self.shares[:, columns].sum(axis=1)

    def index(self, name: str) -> int:
        if name not in self.sources:
            raise DataError(f"no such source: {name}", found=", ".join(self.sources), todo="name one of these")
        return self.sources.index(name)

    def need(self, column: str) -> np.ndarray:
        """`tokens` or `parameters` or `unique`. Raises DataError when the runs do not say."""
        value = getattr(self, column)
        if value is None:
            raise DataError(f"this law needs the {column} of every run", todo=f"name the column of the {column}")
        return value

    def groups(self) -> np.ndarray:
        """int64[mixtures]: the same number for runs of the same mixture (to a thousandth), in order of appearance."""
        _, first, inverse = np.unique(np.round(self.shares, 3), axis=0, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[inverse.ravel()]
