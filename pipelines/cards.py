"""Cards: the README.md that says what a corpus or a model is made of, for people and for the Hugging Face Hub.

Both are pure functions from figures to text. The front matter of a dataset card is what makes
`datasets.load_dataset(folder)` work: one configuration with everything, one per source, and one with the dropped
documents when they are handed on.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.report.numbers import count, decimal, paired, share, size

DEFAULT, DROPPED = "default", "dropped"
SPLITS = ("train", "validation")
IDENTIFIERS = re.compile(r"[A-Za-z0-9.+-]+")  # what the Hub takes for a licence: an SPDX-like identifier


@dataclass(frozen=True)
class CardSource:
    """One source as a card shows it. `totals` are those of its ledger (corpus.ledger.Ledger.totals); `splits` are the
    splits that have a shard."""

    name: str
    totals: Mapping[str, Any]
    splits: Sequence[str] = SPLITS
    license: str | None = None
    description: str | None = None


def dataset_card(
    name: str,
    sources: Sequence[CardSource],
    *,
    steps: Sequence[str] = (),
    limits: Sequence[str] = (),
    languages: Sequence[str] = (),
    dropped: bool = False,
) -> str:
    """The card of a corpus folder (data/<source>/…, dropped/<source>/…).

    steps: what was done, one sentence each, in order. limits: what is known to be wanting. dropped: whether the
    dropped documents are in the folder.
    """
    front: dict[str, Any] = {"pretty_name": name}
    if languages:
        front["language"] = sorted(set(languages))
    if licences := sorted({source.license.lower() for source in sources if _is_identifier(source.license)}):  # type: ignore[union-attr]
        front["license"] = licences
    front["configs"] = _configurations(sources, dropped)
    kept = sum(source.totals["kept"]["documents"] for source in sources)
    tokens = sum(source.totals["kept"]["tokens"] for source in sources)
    parts = [
        _front_matter(front),
        f"# {_line(name)}\n",
        f"{count(kept)} documents, {count(tokens)} tokens from {len(sources)} sources, prepared with Provender.\n",
        "```python\nfrom datasets import load_dataset\n\n"
        'corpus = load_dataset("path/to/this/folder")            # everything\n'
        + (f'one = load_dataset("path/to/this/folder", {json.dumps(sources[0].name)})\n' if sources else "")
        + "```\n",
        "## Sources\n",
        _statistics(sources),
        "## Why documents were not kept\n",
        _reasons(sources),
        "## Processing\n",
        _list(steps, "No step was named in the recipe."),
        "Every input record, kept or not, has a row in `ledger/`: what was measured, edited and decided, and why.\n",
        "## Known limits\n",
        _list(limits, "None was stated. De-identification finds what its recognisers look for and nothing else."),
    ]
    return "\n".join(parts)


def model_card(
    name: str,
    *,
    base_model: str,
    mixture: Sequence[Mapping[str, Any]],
    evaluation: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
    licences: Mapping[str, str] | None = None,
    base_license: str | None = None,
    limits: Sequence[str] = (),
    evaluations: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The card of an exported model.

    mixture: rows of `source`, `role`, `realised_tokens`, as the audit's `mixture` has them. evaluation: rows of `set`,
    `role`, `before`, `after`, `delta`, `delta_se` (bits per byte), as its `forgetting` has them. licences: of the
    sources, by name; base_license: of the model that training started from. evaluations: rows of `set`, `step`,
    `bits_per_byte`, as the audit's `evaluations` has them; with them the card has the whole matrix of set and step.
    """
    front: dict[str, Any] = {
        "base_model": base_model,
        "pipeline_tag": "text-generation",
        "library_name": "transformers",
    }
    if _is_identifier(base_license):
        front["license"] = str(base_license).lower()
    total = sum(row["realised_tokens"] for row in mixture)
    trained = _markdown_table(
        ("source", "role", "tokens", "share", "licence"),
        [
            (row["source"], row["role"] or "–", count(row["realised_tokens"]), share(row["realised_tokens"], total),
             (licences or {}).get(row["source"], "not stated"))
            for row in mixture
        ],
        numbers=(2, 3),
    )  # fmt: skip
    matrix = _markdown_table(
        ("set", "role", "before", "after", "change ± standard error"),
        [
            (row["set"], row["role"] or "–", decimal(row["before"]), decimal(row["after"]),
             paired(row["delta"], row["delta_se"]))
            for row in evaluation
        ],
        numbers=(2, 3, 4),
    )  # fmt: skip
    parts = [
        _front_matter(front),
        f"# {_line(name)}\n",
        f"Continued pre-training of {_line(base_model)} on {count(total)} tokens, with Provender.\n",
        "## What it was trained on\n",
        trained,
        "Tokens are input tokens as the trainer saw them, the end of each document included.\n",
        "## Evaluation\n",
        matrix,
        "Bits per byte of held-out text: lower is better, a positive change is loss of what the base model knew. The "
        "error is paired by document.\n",
    ]
    if evaluations:
        parts += ["## Bits per byte by step\n", _matrix(evaluations)]
    if settings:
        rows = [(key, value) for key, value in settings.items()]
        parts += ["## Training\n", _markdown_table(("setting", "value"), rows)]
    parts += ["## Known limits\n", _list(limits, "A base model: it continues text and follows no instructions.")]
    return "\n".join(parts)


def _matrix(evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Set × step."""
    steps = sorted({row["step"] for row in evaluations})
    bits = {(row["set"], row["step"]): row["bits_per_byte"] for row in evaluations}
    names = sorted({row["set"] for row in evaluations})
    rows = [(name, *[decimal(bits.get((name, step))) for step in steps]) for name in names]
    return _markdown_table(("set", *map(count, steps)), rows, numbers=range(1, len(steps) + 1))


def _configurations(sources: Sequence[CardSource], dropped: bool) -> list[dict[str, Any]]:
    """The `configs` of the front matter. A source called like one of ours keeps its data in the default one only."""
    splits = [split for split in SPLITS if any(split in source.splits for source in sources)]
    everything = [{"split": split, "path": f"data/*/{split}-*.parquet"} for split in splits]
    configurations: list[dict[str, Any]] = [{"config_name": DEFAULT, "data_files": everything, "default": True}]
    for source in sources:
        if source.name not in (DEFAULT, DROPPED):
            files = [
                {"split": split, "path": f"data/{source.name}/{split}-*.parquet"}
                for split in SPLITS
                if split in source.splits
            ]
            configurations.append({"config_name": source.name, "data_files": files})
    if dropped:
        files = [{"split": "train", "path": "dropped/*/*.parquet"}]
        configurations.append({"config_name": DROPPED, "data_files": files})
    return configurations


def _statistics(sources: Sequence[CardSource]) -> str:
    rows = []
    for source in sources:
        totals = source.totals
        kept = totals["kept"]
        rows.append(
            (source.name, count(totals["documents_in"]), count(kept["documents"]),
             share(kept["documents"], totals["documents_in"]), size(kept["bytes_out"]), count(kept["tokens"]),
             source.license or "not stated")
        )  # fmt: skip
    headings = ("source", "documents read", "kept", "share", "text", "tokens", "licence")
    table = _markdown_table(headings, rows, numbers=(1, 2, 3, 4, 5))
    described = [f"{source.name}: {source.description}" for source in sources if source.description]
    return table + ("\n" + _list(described, "") if described else "")


def _reasons(sources: Sequence[CardSource]) -> str:
    rows = [
        (source.name, entry["step"], entry["reason"], count(entry["documents"]), size(entry["bytes"]))
        for source in sources
        for entry in source.totals["reasons"]
    ]
    if not rows:
        return "Every document was kept.\n"
    return _markdown_table(("source", "step", "reason", "documents", "bytes"), rows, numbers=(3, 4))


def _front_matter(front: Mapping[str, Any]) -> str:
    """YAML front matter. JSON is YAML, and quotes every name as it must be quoted."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items() if key != "configs"]
    if "configs" in front:
        lines.append("configs:")
        lines += [f"- {json.dumps(entry, ensure_ascii=False)}" for entry in front["configs"]]
    return "\n".join(["---", *lines, "---", ""])


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[object]], numbers: Sequence[int] = ()) -> str:
    rule = ["---:" if index in numbers else "---" for index in range(len(headings))]
    lines = [headings, rule, *[[_line(value) for value in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _list(sentences: Sequence[str], otherwise: str) -> str:
    return "\n".join(f"- {_line(sentence)}" for sentence in sentences) + "\n" if sentences else otherwise + "\n"


def _line(value: object) -> str:
    """Text on one line that neither Markdown nor HTML takes for markup."""
    plain = re.sub(r"([\\`*_\[\]|])", r"\\\1", " ".join(str(value).split()))
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_identifier(license: str | None) -> bool:
    return license is not None and IDENTIFIERS.fullmatch(license) is not None
