"""A forecast of tokens from a sample of files and of documents in them: two-stage cluster sampling, a ratio to bytes.

    M files of B bytes ─ m of them, drawn evenly, read whole or from their beginning ─ n documents drawn evenly

Of file i with b bytes, of which a share is read with r records, the estimated tokens are

    y = r t / share + K Σ (t_d − t) / share        t: mean of the drawn documents; K: records read for each drawn one

and of the source Y = B Σy / Σb. Its variance (Cochran 1977, chapters 6 and 11; both stages without replacement) is

    v = M² (1 − m/M) s² / m + (M/m) w              s²: variance of y − b Σy/Σb between files
                                                   w: variance of Σy by the drawing of documents

so a source whose files differ has a wide interval however many documents of a few files are looked at. With few files
the interval is Student's, its degrees of freedom Satterthwaite's. Of a file that is read from its beginning the rest is
taken to be like that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class FileSample:
    """What was read of one file: its bytes, the share of it that was read, the records in that, and of the documents
    drawn from those the tokens (0 for one that is not kept) and whether they are kept."""

    bytes: int
    share: float
    records: int
    tokens: np.ndarray  # float64[drawn]
    kept: np.ndarray  # bool[drawn]


@dataclass(frozen=True)
class Forecast:
    """Kept documents and tokens of a whole source, with the standard error of the tokens, infinite where one file of
    several was read."""

    documents: float
    tokens: float
    standard_error: float
    freedom: float  # degrees of freedom of the standard error
    files: tuple[int, int]  # read, of all
    read_share: float  # of the bytes of all input files

    @property
    def margin(self) -> float:
        """Half the width of the 95% interval of the tokens."""
        if not self.standard_error or self.standard_error == inf:
            return self.standard_error
        from scipy.stats import t  # a third of a second, for this line alone

        return float(t.ppf((1 + CONFIDENCE) / 2, self.freedom)) * self.standard_error


def forecast(samples: Sequence[FileSample], files: int, all_bytes: int) -> Forecast:
    """The forecast for `files` files of `all_bytes` bytes, of which `samples` were drawn evenly. A file without bytes
    is none."""
    samples = [sample for sample in samples if sample.share > 0]
    read_share = sum(sample.bytes * sample.share for sample in samples) / max(all_bytes, 1)
    looked_at = (len(samples), files)
    if not sum(len(sample.tokens) for sample in samples):
        return Forecast(0.0, 0.0, 0.0 if len(samples) == files else inf, inf, looked_at, read_share)
    size = np.array([sample.bytes for sample in samples], np.float64)
    ratio = all_bytes / size.sum()
    tokens, drawing, drawn = _totals(samples, [sample.tokens for sample in samples])
    documents, _, _ = _totals(samples, [sample.kept.astype(np.float64) for sample in samples])
    m = len(samples)
    within = files / m * drawing
    if m == files:
        between = 0.0
    elif m == 1:
        between = inf
    else:
        residuals = tokens - size * tokens.sum() / size.sum()
        between = files**2 * (1 - m / files) / m * float(residuals @ residuals) / (m - 1)
    variance = (between + within) * (ratio * m / files) ** 2
    spread = between**2 / max(m - 1, 1) + within**2 / max(drawn - 1, 1)
    return Forecast(
        documents=float(documents.sum()) * ratio,
        tokens=float(tokens.sum()) * ratio,
        standard_error=sqrt(variance),
        freedom=(between + within) ** 2 / spread if 0 < spread < inf else inf,
        files=looked_at,
        read_share=read_share,
    )


def _totals(samples: Sequence[FileSample], values: Sequence[np.ndarray]) -> tuple[np.ndarray, float, int]:
    """(estimated total of each file, variance of their sum by the drawing of documents, documents drawn)."""
    shares = np.array([sample.share for sample in samples])
    records = np.array([sample.records for sample in samples], np.float64)
    counts = np.array([len(part) for part in values])
    drawn, everything = int(counts.sum()), records.sum()
    pooled = np.concatenate([np.asarray(part, np.float64) for part in values])
    deviations = pooled - pooled.mean()
    owners = np.repeat(np.arange(len(values)), counts)
    shifts = np.bincount(owners, weights=deviations, minlength=len(values)) * (everything / drawn)
    scaled = deviations / shares[owners]
    # Of one document nothing is known about others: as if they were none at all or twice as long.
    spread = float(scaled.var(ddof=1)) if drawn > 1 else float(pooled.mean()) ** 2
    unseen = max(0.0, 1 - drawn / float((records / shares).sum()))
    return (records * pooled.mean() + shifts) / shares, everything**2 * unseen * spread / drawn, drawn
