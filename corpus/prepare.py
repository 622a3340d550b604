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
    tokens       a store per source and split               → tokens/<source>/<split>/

Each stage is skipped when its fingerprint stands. Thresholds enter at `decide`: changing one re-reads no raw text.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.annotate import DOCUMENTS, SourceLine, annotate_pipeline, cut_units, stored_units
from corpus.artifact import (
    MANIFEST,
    Draft,
    Manifest,
    RunLock,
    code_version,
    current,
    publish,
    read_parquet,
    scan_parquet,
    write_parquet,
)
from corpus.collect import Card, collect_corpus
from corpus.cuts.kept import keep_ranks
from corpus.cuts.overlay import LEFT, OVERLAY, CutUnit
from corpus.cuts.overlay import SCHEMA as OVERLAY_SCHEMA
from corpus.cuts.settle import left_characters, settle
from corpus.cuts.stages import drops_of, find_cuts, overlay_units
from corpus.decide import (
    DECISIONS,
    UnitFiles,
    apply_rules,
    as_decisions,
    drop_copies,
    drop_duplicates,
    read_columns,
    split_documents,
    without_duplicates,
)
from corpus.dedup.cluster import DedupSettings, Workplace, find_clusters
from corpus.dedup.keep import UnitMeasure, choose_keepers
from corpus.dedup.semantic import SemanticSettings, find_semantic, semantic_removals
from corpus.dedup.signature import Signature
from corpus.engine import ExecutorSettings, Heartbeat, Outcome, Unit, run_units
from corpus.errors import DataError
from corpus.measure import COLUMNS, MeasureUnit, MeasureWork
from corpus.perplexity import (
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
from corpus.rules import Rule
from corpus.select import INTERNAL, SPLITS, SelectUnit, SelectWork
from corpus.step import Step
from corpus.tokenize import CountTokens, StoreUnit, TokenizerSettings, TokensSettings


class Watch(Protocol):
    """Shows a stage: a context whose value has `update(done, total, note)` and `close(result)`."""

    def __call__(self, title: str) -> AbstractContextManager[Any]: ...


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
        self.executor, self.seed, self.phi, self.lock, self.watch = executor, seed, phi, lock, watch

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
        self._units(
            "annotate",
            self._all(self.annotated),
            lambda units, beat: annotate_pipeline(units, beat, self.lines, self.lock),
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
        stages = self._all(self.annotated) + self._all(perplexity)
        decisions, files = self._decide(files, _fingerprints(stages))
        selected = self._select(files, decisions)
        with self.watch("corpus") as meter:
            manifest, outcome = collect_corpus(
                self.workspace / "corpus", selected, card=card, description=description, lock=self.lock
            )
            meter.close(_said(outcome))
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

    @staticmethod
    def _all(units: dict[str, list[Unit]]) -> list[Unit]:
        return [unit for parts in units.values() for unit in parts]

    def _units(self, stage: str, units: list[Unit], pipeline: Callable[[list[Unit], Heartbeat], list[Any]]) -> None:
        with self.watch(stage) as meter:
            outcome = run_units(
                stage,
                units,
                pipeline,
                executor=self.executor,
                logs=self.workspace / "logs",
                progress=lambda done, total, ended, of: meter.update(done, total, f"({ended} of {of} units)"),
            )
            meter.close(_said(outcome))

    def _rules(self, source: SourceSettings, without: str | None = None) -> list[Rule]:
        """The rules of a source, but not those of the step `without`."""
        return [rule for rule in self.settings.decisions_of(source) if rule.step != without]

    def _rules_identity(self, sources: Sequence[SourceSettings], without: str | None = None) -> dict[str, list[str]]:
        """What `_rules` gives for each source, as a fingerprint names it."""
        return {source.name: [rule.identity() for rule in self._rules(source, without)] for source in sources}

    def _publish(self, title: str, folder: Path, function: dict[str, Any], write: Callable[[Draft], None]) -> Path:
        """Publish a stage that is one artefact, unless its function stands; `function["kind"]` is the artefact's."""
        with self.watch(title) as meter:
            missing = current(folder, function) is None
            if missing:
                with publish(folder, kind=function["kind"], function=function, lock=self.lock) as draft:
                    write(draft)
            meter.close(_said(Outcome(ran=int(missing), skipped=int(not missing))))
        return folder

    def _learn(self, name: str, lm: TrainedLm) -> Path:
        """Two models, each from half of the documents of the named sources that pass every other rule."""
        chosen = [source for source in self.settings.sources if source.name in lm.sources]
        function = {
            "kind": "corpus.lm",
            "settings": lm.identity(),
            "rules": self._rules_identity(chosen, without="perplexity"),
            "units": _fingerprints([unit for source in chosen for unit in self.annotated[source.name]]),
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

        return self._publish(f"lm {name}", self.workspace / "lm" / name, function, write)

    def _learned(self, source: SourceSettings) -> set[str]:
        """Ids of the documents of a source that pass every rule but perplexity."""
        rules = self._rules(source, without="perplexity")
        files = [UnitFiles((unit.folder / DOCUMENTS,)) for unit in self.annotated[source.name]]
        return set(apply_rules(read_columns(files, rules), rules).filter(pl.col("fate") == "kept")["id"])

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
                        "code": code_version("corpus"),
                    },
                    weight=(unit.folder / DOCUMENTS).stat().st_size,
                    work=MeasureWork(unit.folder / DOCUMENTS, step),
                )
                for unit in self.annotated[source.name]
            ]
        if flat := self._all(units):
            self._units("perplexity", flat, lambda todo, beat: [MeasureUnit(todo, beat, self.lock)])
        return units

    def _clusters(self, copies: DedupSettings) -> Path:
        """Clusters of copies over all sources, as clusters.parquet and pairs.parquet."""
        units = self._all(self.annotated)
        function = {
            "kind": "corpus.duplicates",
            "settings": copies.identity(),
            "units": _fingerprints(units),
            "code": code_version("corpus"),
        }

        def write(draft: Draft) -> None:
            place = Workplace(self.workspace / "dedup", self.executor, self.lock)
            sources = {name: [unit.folder for unit in parts] for name, parts in self.annotated.items()}
            found = find_clusters(sources, copies, place)
            for name, table in (("clusters", found.clusters), ("pairs", found.pairs)):
                draft.rows[f"{name}.parquet"] = write_parquet(draft.path / f"{name}.parquet", table)
            draft.totals |= {"clusters": pl.DataFrame(pl.from_arrow(found.clusters))["cluster"].n_unique()}
            draft.totals |= {"documents": found.clusters.num_rows, "pairs": found.pairs.num_rows}

        return self._publish("duplicates", self.workspace / "duplicates", function, write)

    def _decide(
        self, files: dict[str, list[UnitFiles]], fingerprints: list[str]
    ) -> tuple[Path, dict[str, list[UnitFiles]]]:
        """The decisions, and the files with the overlays of the units that were cut."""
        cuts = self.settings.cuts()
        if cuts is None:
            return self._survivors("decide", self.workspace / "decisions", files, fingerprints), files
        survivors = self._survivors("survivors", self.workspace / "survivors", files, fingerprints)
        found = find_cuts(cuts, self.annotated, survivors, self.workspace, self._publish)
        overlays = overlay_units(self.annotated, found, self.tokenizer, self.workspace / "cuts")
        if cut := [unit for parts in overlays.values() for unit in parts if unit is not None]:
            self._units("cuts", cut, lambda todo, beat: [CutUnit(todo, self.tokenizer, beat, self.lock)])
        function = {
            "kind": "corpus.decisions",
            "survivors": Manifest.read(survivors).fingerprint,
            "found": [Manifest.read(one).fingerprint for one in found],
            "cut": _fingerprints(cut),
            "after_cuts": cuts.after_cuts.identity(),
            "code": code_version("corpus"),
        }

        def write(draft: Draft) -> None:
            drops = drops_of(found)
            for name, parts in overlays.items():
                before = pl.DataFrame(pl.from_arrow(read_parquet(survivors / f"{name}.parquet", DECISIONS.names)))
                left = left_characters([unit.folder for unit in parts if unit is not None])
                frame = settle(before, left, drops, cuts.after_cuts)
                draft.rows[f"{name}.parquet"] = write_parquet(draft.path / f"{name}.parquet", as_decisions(frame))

        decisions = self._publish("decide", self.workspace / "decisions", function, write)
        return decisions, {
            name: [
                replace(part, overlay=unit.folder / OVERLAY if unit is not None else None)
                for part, unit in zip(parts, overlays[name], strict=True)
            ]
            for name, parts in files.items()
        }

    def _survivors(self, title: str, folder: Path, files: dict[str, list[UnitFiles]], fingerprints: list[str]) -> Path:
        """Decisions by rules, keepers and splits, with each kept document's place in the keep order, `rank`."""
        settings = self.settings
        clusters = self._clusters(settings.duplicates) if settings.duplicates is not None else None
        semantic = self._semantic(settings.semantic) if settings.semantic is not None else None
        function = {
            "kind": f"corpus.{folder.name}",
            "semantic": Manifest.read(semantic).fingerprint if semantic else None,
            "units": fingerprints,
            "clusters": Manifest.read(clusters).fingerprint if clusters else None,
            "rules": self._rules_identity(settings.sources),
            "keep": settings.keep.identity(),
            "priority": {source.name: source.priority for source in settings.sources},
            "validation": {source.name: settings.validation_of(source) for source in settings.sources},
            "seed": self.seed,
            "code": code_version("corpus"),
        }

        def write(draft: Draft) -> None:
            for name, frame in self._decided(files, clusters, semantic).items():
                table = as_decisions(frame)
                for column in ("rank", "bytes"):
                    table = table.append_column(column, pa.array(frame[column].to_numpy(), pa.int64()))
                draft.rows[f"{name}.parquet"] = write_parquet(draft.path / f"{name}.parquet", table)

        return self._publish(title, folder, function, write)

    def _semantic(self, copies: SemanticSettings) -> Path:
        """Pairs of semantic duplicates, as pairs.parquet."""
        function = {
            "kind": "corpus.semantic",
            "settings": copies.identity(),
            "units": _fingerprints(self._all(self.annotated)),
            "code": code_version("corpus"),
        }

        def write(draft: Draft) -> None:
            names = [
                pl.DataFrame(pl.from_arrow(read_parquet(unit.folder / DOCUMENTS, ["id", "record_id", "source"])))
                for unit in self._all(self.annotated)
            ]
            found = find_semantic(pl.concat(names), copies)
            draft.rows["pairs.parquet"] = write_parquet(draft.path / "pairs.parquet", found)

        return self._publish("semantic", self.workspace / "semantic", function, write)

    def _decided(
        self, files: dict[str, list[UnitFiles]], clusters: Path | None, semantic: Path | None
    ) -> dict[str, pl.DataFrame]:
        common = ["id", "unit", "source", "priority", "quality", "bytes", "fate", "step", "reason", "detail"]
        keep = self.settings.keep
        frames = []
        for source in self.settings.sources:
            rules = self._rules(source)
            frame = apply_rules(read_columns(files[source.name], rules, keep.columns), rules)
            labels = (pl.lit(source.name).alias("source"), pl.lit(source.priority).alias("priority"))
            frames.append(frame.with_columns(*labels, keep.quality_of(frame)).select(common))
        frame = pl.concat(frames)
        keep.check_quality(frame["quality"])
        copies = self.settings.duplicates
        if clusters is not None and copies is not None:
            groups = pl.DataFrame(pl.from_arrow(read_parquet(clusters / "clusters.parquet")))
            members = frame.join(groups.select("id", "cluster"), on="id").with_columns(
                (pl.col("fate") == "kept").alias("passes")
            )
            measure = UnitMeasure([unit.folder for unit in self._all(self.annotated)], copies.signature.ngram)
            pairs = read_parquet(clusters / "pairs.parquet")
            removals = choose_keepers(members, pairs, measure, copies.threshold, keep)
            frame = drop_duplicates(frame, removals, groups)
        else:
            frame = without_duplicates(frame)
        if semantic is not None:
            rest = frame.filter(pl.col("fate") == "kept")
            frame = drop_copies(frame, semantic_removals(rest, read_parquet(semantic / "pairs.parquet"), keep))
        shares = {source.name: self.settings.validation_of(source) for source in self.settings.sources}
        frame = split_documents(frame, shares, self.seed)
        frame = frame.with_columns(keep_ranks(frame, keep))
        return {name: frame.filter(pl.col("source") == name) for name in files}

    def _select(self, files: dict[str, list[UnitFiles]], decisions: Path) -> dict[str, list[Unit]]:
        annotations: dict[str, pa.Field] = {}
        for parts in files.values():
            for path in parts[0].paths:
                for column in pq.read_schema(path):
                    if "." in column.name and not column.name.startswith(("edit.", *INTERNAL)):
                        annotations.setdefault(column.name, column)
        if any(part.overlay for parts in files.values() for part in parts):
            annotations[LEFT] = OVERLAY_SCHEMA.field(LEFT)
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
        self._units(
            "select",
            self._all(selected),
            lambda todo, beat: [SelectUnit(todo, list(annotations.values()), not self.phi, beat, self.lock)],
        )
        return selected

    def _tokenize(self, corpus: Manifest) -> None:
        folder = self.workspace / "corpus"
        identity = self.tokenizer.identity()
        units = []
        for source in self.settings.sources:
            for split in SPLITS:
                shards = [e for e in corpus.files if e.path.startswith(f"data/{source.name}/{split}-")]
                if shards:
                    units.append(
                        Unit(
                            folder=self.workspace / "tokens" / source.name / split,
                            function={
                                "kind": "corpus.tokens",
                                "shards": [entry.sha256 for entry in shards],
                                "tokenizer": identity,
                                "code": code_version("corpus"),
                            },
                            weight=sum(entry.bytes for entry in shards),
                            work=[folder / entry.path for entry in shards],
                        )
                    )
        self._units("tokens", units, lambda todo, beat: [StoreUnit(todo, self.tokenizer, beat, self.lock)])


def _fingerprints(units: Sequence[Unit]) -> list[str]:
    return [Manifest.read(unit.folder).fingerprint for unit in units]


def _said(outcome: Outcome) -> str:
    if not outcome.ran:
        return "unchanged, skipped"
    return f"{outcome.ran} made" + (f", {outcome.skipped} unchanged" if outcome.skipped else "")


def _leading_reasons(manifest: Manifest) -> str:
    reasons = [
        f"{entry['documents']} × {entry['step']}: {entry['reason']}"
        for source in manifest.totals["sources"].values()
        for entry in sorted(source["reasons"], key=lambda entry: -entry["documents"])[:3]
    ]
    return "; ".join(reasons) or "no records in the input"
