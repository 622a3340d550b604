"""Names by a model, where a user has one: spaCy, presidio or a token classifier of transformers, from a local path.

    texts of a batch ─ engine, batched ─► entities in characters ─ labels ─► spans in bytes, beside the rules' own

Nothing is downloaded, and no engine is a dependency of the corpus floor: each is imported when it is first used. What
the model finds joins the overlaps that the scanner settles, behind everything that has a check digit or a form.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from corpus.artifact import content_hash
from corpus.deidentify.recogniser import Span
from corpus.errors import ConfigError
from corpus.settings import Settings

Entity = tuple[int, int, str, float]  # start, end in characters, label, score

# The labels of the usual models, by our types; others are passed over.
LABELS: dict[str, str] = {
    **dict.fromkeys(("PER", "PERSON", "PATIENT", "STAFF", "DOCTOR", "NAME", "HCW"), "PERSON"),
    **dict.fromkeys(("ORG", "ORGANIZATION", "HOSP", "HOSPITAL", "FACILITY", "VENDOR"), "ORGANIZATION"),
    **dict.fromkeys(("LOC", "LOCATION", "GPE", "FAC", "CITY", "STREET"), "LOCATION"),
}
_WINDOW = 1000  # characters a token classifier sees at a time; longer texts are cut at white space


class NerSettings(Settings):
    """A model that finds names beside the rules."""

    engine: Literal["spacy", "presidio", "transformers"] = Field(description="Which library runs the model.")
    model: str = Field(description="Folder of the model, or the name of an installed spaCy pipeline.")
    labels: dict[str, str] = Field({}, description="Type by the model's label, where it has others than the usual.")
    batch_size: int = Field(32, ge=1, description="Texts that the model sees at a time.")
    min_score: float = Field(0.5, ge=0, le=1, description="Findings less sure are passed over.")

    def identity(self) -> dict[str, Any]:
        """The model counts by the bytes of its files, where it is a folder; batches do not count."""
        folder = Path(self.model)
        files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
        own = self.model_dump(mode="json", exclude={"model", "batch_size"} if files else {"batch_size"})
        return own | {"files": {path.relative_to(folder).as_posix(): content_hash(path) for path in files}}


def _imported(module: str, engine: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f"the engine {engine} is not installed", where="deidentify.ner.engine", todo=f"pip install {module}"
        ) from None


def _spacy(settings: NerSettings) -> Any:
    spacy = _imported("spacy", "spacy")
    try:
        return spacy.load(settings.model)
    except OSError:
        raise _no_model(settings) from None


def _no_model(settings: NerSettings) -> ConfigError:
    return ConfigError(
        f"no {settings.engine} model can be loaded",
        where="deidentify.ner.model",
        found=settings.model,
        todo="name the folder of a model that is on this machine",
    )


def _spacy_entities(settings: NerSettings) -> "Engine":
    pipeline = _spacy(settings)

    def run(texts: Sequence[str]) -> Iterator[list[Entity]]:
        for document in pipeline.pipe(texts, batch_size=settings.batch_size):
            yield [(e.start_char, e.end_char, e.label_, 1.0) for e in document.ents]

    return run


def _presidio_entities(settings: NerSettings) -> "Engine":
    analyzer_package = _imported("presidio_analyzer", "presidio")
    engines = _imported("presidio_analyzer.nlp_engine", "presidio")
    configuration = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": settings.model}]}
    engine = engines.NlpEngineProvider(nlp_configuration=configuration).create_engine()
    analyzer = analyzer_package.AnalyzerEngine(nlp_engine=engine)
    batch = analyzer_package.BatchAnalyzerEngine(analyzer_engine=analyzer)

    def run(texts: Sequence[str]) -> Iterator[list[Entity]]:
        for found in batch.analyze_iterator(texts, language="en", batch_size=settings.batch_size):
            yield [(r.start, r.end, r.entity_type, r.score) for r in found]

    return run


def _transformers_entities(settings: NerSettings) -> "Engine":
    transformers = _imported("transformers", "transformers")
    if not Path(settings.model).is_dir():
        raise _no_model(settings)
    try:
        classify = transformers.pipeline(
            "token-classification", model=settings.model, aggregation_strategy="simple", device="cpu"
        )
    except (OSError, ValueError):
        raise _no_model(settings) from None

    def run(texts: Sequence[str]) -> Iterator[list[Entity]]:
        windows = [(row, start, piece) for row, text in enumerate(texts) for start, piece in _windows(text)]
        found: list[list[Entity]] = [[] for _ in texts]
        pieces = [piece for _, _, piece in windows]
        if pieces:
            for (row, start, _), entities in zip(
                windows, classify(pieces, batch_size=settings.batch_size), strict=True
            ):
                found[row] += [
                    (start + e["start"], start + e["end"], e["entity_group"], float(e["score"])) for e in entities
                ]
        yield from found

    return run


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """(start, piece) of at most `_WINDOW` characters, cut behind white space where there is some."""
    at = 0
    while at < len(text):
        end = min(len(text), at + _WINDOW)
        if end < len(text):
            space = max(text.rfind(" ", at + _WINDOW // 2, end), text.rfind("\n", at + _WINDOW // 2, end))
            end = space + 1 if space > 0 else end
        if text[at:end].strip():
            yield at, text[at:end]
        at = end


Engine = Any  # Callable[[Sequence[str]], Iterable[list[Entity]]]
_ENGINES = {"spacy": _spacy_entities, "presidio": _presidio_entities, "transformers": _transformers_entities}


@dataclass
class NerFinder:
    """A finder that asks the model: a batch ahead with `prepare`, or text by text.

    `megabytes` and `seconds` are what the model has read and how long it took.
    """

    settings: NerSettings
    types: frozenset[str]
    type: str = "PERSON"
    name: str = "ner"
    gate: str = ""
    shield: bool = False
    megabytes: float = 0.0
    seconds: float = 0.0
    _engine: Engine = field(default=None, repr=False)
    _known: dict[bytes, list[Span]] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without the model and the texts it has read: each worker loads its own."""
        return vars(self) | {"_engine": None, "_known": {}}

    def prepare(self, texts: Iterable[bytes]) -> None:
        """Read a batch of texts (UTF-8) at once; the findings are kept until the next batch."""
        self._known = {}
        asked = [data for data in dict.fromkeys(texts) if data]
        self._known = dict(zip(asked, self._read(asked), strict=True))

    def find(self, data: bytes) -> list[Span]:
        if data not in self._known:
            return next(iter(self._read([data])))
        return self._known[data]

    @property
    def speed(self) -> float | None:
        """Megabytes a second that the model has read so far."""
        return self.megabytes / self.seconds if self.seconds else None

    def _read(self, texts: list[bytes]) -> list[list[Span]]:
        if self._engine is None:
            self._engine = _ENGINES[self.settings.engine](self.settings)
        begun = time.perf_counter()
        decoded = [data.decode() for data in texts]
        found = [self._spans(text, entities) for text, entities in zip(decoded, self._engine(decoded), strict=True)]
        self.seconds += time.perf_counter() - begun
        self.megabytes += sum(map(len, texts)) / 1e6
        return found

    def _spans(self, text: str, entities: list[Entity]) -> list[Span]:
        """In bytes, in order and disjoint, without tags of a pass before."""
        offsets = _byte_offsets(text)
        spans: list[Span] = []
        for start, end, label, score in sorted(entities):
            type = self.settings.labels.get(label) or LABELS.get(label.upper())
            value = text[start:end]
            tagged = value.strip("[]").isupper() and text[max(0, start - 1) : end + 1].startswith("[")
            if type not in self.types or score < self.settings.min_score or not value.strip() or tagged:
                continue
            start += len(value) - len(value.lstrip())
            end -= len(value) - len(value.rstrip())
            if not spans or int(offsets[start]) >= spans[-1].end:
                spans.append(
                    Span(int(offsets[start]), int(offsets[end]), type, f"ner.{self.settings.engine}", round(score, 3))
                )
        return spans


def _byte_offsets(text: str) -> np.ndarray:
    """int64[characters + 1]: where each character begins in UTF-8."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    sizes = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
    return np.concatenate([[0], np.cumsum(sizes)])
