"""The matrix of evaluation sets × steps, and what training on later text did to what was known before.

With R[s] the bits per byte of a set at step s, of which lower is better:

    backward transfer   mean over the general sets of R[0] − R[last]          (Lopez-Paz & Ranzato 2017)
    forgetting          mean over all sets of R[last] − min over s of R[s]    (Chaudhry et al. 2018)

A backward transfer below zero is knowledge lost; a forgetting above zero on a domain set says that its best step came
earlier in the curriculum.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Matrix = dict[str, dict[int, float]]  # bits per byte by set and step


def evaluation_matrix(events: Sequence[Mapping[str, Any]]) -> Matrix:
    """The matrix of a run's events (metrics.jsonl), steps ascending."""
    matrix: Matrix = {}
    for event in events:
        if event["event"] == "eval":
            for name, scores in event["sets"].items():
                matrix.setdefault(name, {})[event["step"]] = scores["bits_per_byte"]
    return matrix


def transfer(matrix: Matrix, general: Collection[str]) -> dict[str, float | None]:
    """`backward_transfer` and `forgetting`; None where there is no such set or only step 0."""
    rows = {name: list(scores.values()) for name, scores in matrix.items() if len(scores) > 1}
    backward = [row[0] - row[-1] for name, row in rows.items() if name in general]
    lost = [row[-1] - min(row) for row in rows.values()]
    return {"backward_transfer": _mean(backward), "forgetting": _mean(lost)}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
