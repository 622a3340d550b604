"""The assembly: what `provender corpus` does, stage by stage.

    annotate     every source, unit by unit                 → annotate/<source>/<unit>/
    lm           KenLM from chosen documents                → lm/<name>/
    perplexity   a column per unit                          → perplexity/<source>/<unit>/
    duplicates   clusters over all sources                  → duplicates/
    survivors    rules, keepers, splits on stored columns   → survivors/
    repeated …   what documents share, cut out of them      → repeated/ substring/ contamination/ cuts/
    decide       the survivors after their cuts             → decisions/
    select       kept and dropped shards, ledger            → selected/<source>/<unit>/
    corpus       the folder that is handed on               → corpus/
    tokens       ids of each shard                          → encoded/<source>/<split>/<shard>/, until they are joined
    stores       a store per source and split               → tokens/<source>/<split>/

Each stage is skipped when its fingerprint stands. Thresholds enter at `decide`: changing one re-reads no raw text.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.annotate import SourceLine, annotate_pipeline, cut_units, stored_units
from corpus.artifact import (
    MANIFEST,
    Draft,
    Manifest,
    RunLock,
    code_version,
    current,
    read_parquet,
    scan_parquet,
)
from corpus.collect import Card, collect_corpus
from corpus.cuts.overlay import LEFT, OVERLAY, CutUnit
from corpus.cuts.overlay import SCHEMA as OVERLAY_SCHEMA
from corpus.cuts.settle import left_characters, settle
from corpus.cuts.stages import drops_of, find_cuts, overlay_units
from corpus.decide import DECISIONS, UnitFiles, apply_rules, read_columns, write_decisions
from corpus.dedup.signature import Signature
from corpus.document import DOCUMENTS
from corpus.engine import ExecutorSettings, Unit
from corpus.errors import DataError
from corpus.measure import COLUMNS, MeasureUnit, MeasureWork
from corpus.perplexity import (
    BUCKET,
    FOLDS,
    find_kenlm_tools,
    fold_file,
    fold_of,
    normalised,
    perplexity_step,
    train_kenlm,
    write_normalisation,
)
from corpus.recipe import CorpusSettings, SourceSettings, TrainedLm, source_line
from corpus.select import INTERNAL, SPLITS, SelectUnit, SelectWork
from corpus.stages import Stages, Watch, all_units, fingerprints, said
from corpus.step import Step
from corpus.survivors import Survivors
from corpus.tokens.store import STORE
from corpus.tokens.tokenize import CountTokens, EncodeUnit, JoinUnit, TokenizerSettings, TokensSettings


class Preparation:
    """One preparation of a corpus in a workspace; the caller holds the workspace's lock."""

    def __init__(
        self,
        settings: CorpusSettings,
        tokenizer: TokenizerSettings,
        workspace: Path,
        *,
        executor: ExecutorSettings,
        seed: int,
        phi: bool,
        lock: RunLock,
        watch: Watch,
        stored: bool = False,
    ) -> None:
        """`stored`: decide on the columns that are there; raw files are neither looked for nor read."""
        self.settings, self.tokenizer, self.workspace, self.stored = settings, tokenizer, workspace, stored
        self.stages, self.seed, self.phi = Stages(workspace, executor, lock, watch), seed, phi

    @cached_property
    def lines(self) -> dict[str, SourceLine]:
        """Sources with their built steps; every source is signed for deduplication and its tokens are counted."""
        ends: list[Step] = [CountTokens(TokensSettings(), self.tokenizer)]
        if self.settings.duplicates is not None:
            ends.insert(0, Signature(self.settings.duplicates.signature))
        return {source.name: source_line(self.settings, source, ends) for source in self.settings.sources}

    @cached_property
    def annotated(self) -> dict[str, list[Unit]]:
        root = self.workspace / "annotate"
        if self.stored:
            decided = self._decided_units()
            return {name: stored_units(line, root, decided) for name, line in self.lines.items()}
        return {name: cut_units(line, root, self.settings.unit_bytes) for name, line in self.lines.items()}

    def _decided_units(self) -> list[str]:
        """Fingerprints of the units that were last decided on."""
        for name in ("decisions", "survivors"):
            if (self.workspace / name / MANIFEST).is_file():
                units = Manifest.read(self.workspace / name).function.get("units")
                if units is not None:
                    return units
        return []

    def run(self, card: Card, description: dict[str, Any]) -> Manifest:
        """All stages; the manifest of the corpus folder. Raises DataError when nothing is kept."""
        self.stages.units(
            "annotate",
            all_units(self.annotated),
            lambda units, beat: annotate_pipeline(units, beat, self.lines, self.stages.lock),
        )
        models = {name: self._learn(name, lm) for name, lm in self.settings.lm.items()}
        perplexity = self._perplexity(models)
        files = {
            name: [
                UnitFiles(
                    (unit.folder / DOCUMENTS, *(measured.folder / COLUMNS for measured in perplexity[name][i : i + 1]))
                )
                for i, unit in enumerate(units)
            ]
            for name, units in self.annotated.items()
        }
        stages = all_units(self.annotated) + all_units(perplexity)
        decisions, files = self._decide(files, fingerprints(stages))
        selected = self._select(files, decisions)
        with self.stages.watch("corpus") as meter:
            manifest, outcome = collect_corpus(
                self.workspace / "corpus", selected, card=card, description=description, lock=self.stages.lock
            )
            meter.close(said(outcome))
        kept = sum(source["kept"]["documents"] for source in manifest.totals["sources"].values())
        if not kept:
            raise DataError(
                "no document was kept",
                where=self.workspace / "corpus",
                found=_leading_reasons(manifest),
                todo="loosen the rule that dropped most under `decide`; raw text will not be read again",
            )
        self._tokenize(manifest)
        return manifest

    def _learn(self, name: str, lm: TrainedLm) -> Path:
        """Two models, each from half of the documents of the named sources that pass every other rule."""
        chosen = [source for source in self.settings.sources if source.name in lm.sources]
        function = {
            "kind": "corpus.lm",
            "settings": lm.identity(),
            "rules": self.settings.rules_identity(chosen, without="perplexity"),
            "units": fingerprints([unit for source in chosen for unit in self.annotated[source.name]]),
            "code": code_version("corpus"),
        }

        def write(draft: Draft) -> None:
            tools = find_kenlm_tools()
            kept = {source.name: self._learned(source) for source in chosen}
            for fold in range(FOLDS):
                texts = (text for source in chosen for text in self._texts_of(source, kept[source.name], fold))
                lines = (line for text in texts for line in normalised(text, lm.kenlm.normalisation))
                train_kenlm(lines, draft.path / fold_file(fold), lm.kenlm, *tools)
            write_normalisation(draft.path, lm.kenlm.normalisation)

        return self.stages.artefact(f"lm {name}", self.workspace / "lm" / name, function, write)

    def _learned(self, source: SourceSettings) -> set[str]:
        """Ids of the documents of a source that pass every rule but perplexity."""
        rules = self.settings.decisions_of(source, without="perplexity")
        files = [UnitFiles((unit.folder / DOCUMENTS,)) for unit in self.annotated[source.name]]
        ruled = (apply_rules(read_columns(unit, index, rules), rules) for index, unit in enumerate(files))
        return {key for frame in ruled for key in frame.filter(pl.col("fate") == "kept")["id"]}

    def _texts_of(self, source: SourceSettings, kept: set[str], fold: int) -> Iterator[pa.StringArray]:
        for unit in self.annotated[source.name]:
            for rows in scan_parquet(unit.folder / DOCUMENTS, ["id", "text"]):
                learned = [key in kept and fold_of(key) == fold for key in rows["id"].to_pylist()]
                yield rows["text"].filter(pa.array(learned))

    def _perplexity(self, models: dict[str, Path]) -> dict[str, list[Unit]]:
        """The perplexity columns of the sources that name a model; no units for the others."""
        units: dict[str, list[Unit]] = {source.name: [] for source in self.settings.sources}
        for source in self.settings.sources:
            if source.perplexity is None:
                continue
            step = perplexity_step(source.perplexity, models)
            units[source.name] = [
                Unit(
                    folder=self.workspace / "perplexity" / source.name / unit.folder.name,
                    function={
                        "kind": "corpus.measured",
                        "documents": Manifest.read(unit.folder).fingerprint,
                        "step": step.identity(),
                        "guard": self.settings.guard.identity() if self.settings.guard else None,
                        "code": code_version("corpus"),
                    },
                    weight=(unit.folder / DOCUMENTS).stat().st_size,
                    work=MeasureWork(unit.folder / DOCUMENTS, step, self.settings.guard),
                )
                for unit in self.annotated[source.name]
            ]
        if flat := all_units(units):
            self.stages.units("perplexity", flat, lambda todo, beat: [MeasureUnit(todo, beat, self.stages.lock)])
        return units

    def _decide(self, files: dict[str, list[UnitFiles]], columns: list[str]) -> tuple[Path, dict[str, list[UnitFiles]]]:
        """The decisions, and the files with the overlays of the units that were cut."""
        cuts = self.settings.cuts()
        first = Survivors(self.stages, self.settings, self.annotated, self.seed)
        if cuts is None:
            return first.publish("decide", self.workspace / "decisions", files, columns), files
        survivors = first.publish("survivors", self.workspace / "survivors", files, columns)
        found = find_cuts(cuts, self.annotated, survivors, self.stages)
        overlays = overlay_units(self.annotated, found, self.tokenizer, self.workspace / "cuts")
        if cut := [unit for parts in overlays.values() for unit in parts if unit is not None]:
            self.stages.units("cuts", cut, lambda todo, beat: [CutUnit(todo, self.tokenizer, beat, self.stages.lock)])
        function = {
            "kind": "corpus.decisions",
            "survivors": Manifest.read(survivors).fingerprint,
            "found": [Manifest.read(one).fingerprint for one in found],
            "cut": fingerprints(cut),
            "after_cuts": cuts.after_cuts.identity(),
            "code": code_version("corpus"),
        }

        def write(draft: Draft) -> None:
            drops = drops_of(found)
            for name, parts in overlays.items():
                before = pl.DataFrame(pl.from_arrow(read_parquet(survivors / f"{name}.parquet", DECISIONS.names)))
                left = left_characters([unit.folder for unit in parts if unit is not None])
                frame = settle(before, left, drops, cuts.after_cuts)
                draft.rows[f"{name}.parquet"] = write_decisions(draft.path / f"{name}.parquet", frame)

        decisions = self.stages.artefact("decide", self.workspace / "decisions", function, write)
        return decisions, {
            name: [
                replace(part, overlay=unit.folder / OVERLAY if unit is not None else None)
                for part, unit in zip(parts, overlays[name], strict=True)
            ]
            for name, parts in files.items()
        }

    def _select(self, files: dict[str, list[UnitFiles]], decisions: Path) -> dict[str, list[Unit]]:
        annotations: dict[str, pa.Field] = {}
        for parts in files.values():
            for path in parts[0].paths:
                for column in pq.read_schema(path):
                    if "." in column.name and not column.name.startswith(("edit.", *INTERNAL)):
                        annotations.setdefault(column.name, column)
        if any(part.overlay for parts in files.values() for part in parts):
            annotations[LEFT] = OVERLAY_SCHEMA.field(LEFT)
        if any(source.perplexity is not None for source in self.settings.sources):
            annotations[BUCKET] = DECISIONS.field(BUCKET)
        hashes = {entry.path: entry.sha256 for entry in Manifest.read(decisions).files}
        selected = {
            name: [
                Unit(
                    folder=self.workspace / "selected" / name / f"{index:05d}",
                    function={
                        "kind": "corpus.selected",
                        "columns": [Manifest.read(path.parent).fingerprint for path in part.all_paths()],
                        "decisions": hashes[f"{name}.parquet"],
                        "unit": index,
                        "annotations": [[field.name, str(field.type)] for field in annotations.values()],
                        "dropped": not self.phi,
                        "code": code_version("corpus"),
                    },
                    weight=part.paths[0].stat().st_size,
                    work=SelectWork(part, decisions / f"{name}.parquet", index),
                )
                for index, part in enumerate(parts)
            ]
            for name, parts in files.items()
        }
        self.stages.units(
            "select",
            all_units(selected),
            lambda todo, beat: [SelectUnit(todo, list(annotations.values()), not self.phi, beat, self.stages.lock)],
        )
        return selected

    def _tokenize(self, corpus: Manifest) -> None:
        """The stores, joined from those of their shards, which are gone afterwards."""
        folder, encoded = self.workspace / "corpus", self.workspace / "encoded"
        common = {"tokenizer": self.tokenizer.identity(), "code": code_version("corpus")}
        stores, parts = [], []
        for source in self.settings.sources:
            for split in SPLITS:
                shards = [e for e in corpus.files if e.path.startswith(f"data/{source.name}/{split}-")]
                if not shards:
                    continue
                made_of = [
                    Unit(
                        folder=encoded / source.name / split / f"{index:05d}",
                        function={"kind": STORE, "shards": [entry.sha256], **common},
                        weight=entry.bytes,
                        work=folder / entry.path,
                    )
                    for index, entry in enumerate(shards)
                ]
                store = Unit(
                    folder=self.workspace / "tokens" / source.name / split,
                    function={"kind": STORE, "shards": [entry.sha256 for entry in shards], **common},
                    weight=sum(entry.bytes for entry in shards),
                    work=[unit.folder for unit in made_of],
                )
                stores.append(store)
                if current(store.folder, store.function) is None:
                    parts += made_of
        self.stages.units(
            "tokens", parts, lambda todo, beat: [EncodeUnit(todo, self.tokenizer, beat, self.stages.lock)]
        )
        self.stages.units("stores", stores, lambda todo, beat: [JoinUnit(todo, beat, self.stages.lock)])
        shutil.rmtree(encoded, ignore_errors=True)


def _leading_reasons(manifest: Manifest) -> str:
    reasons = [
        f"{entry['documents']} × {entry['step']}: {entry['reason']}"
        for source in manifest.totals["sources"].values()
        for entry in sorted(source["reasons"], key=lambda entry: -entry["documents"])[:3]
    ]
    return "; ".join(reasons) or "no records in the input"
