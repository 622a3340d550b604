"""The first decision: rules on the stored columns, one keeper of every group of copies, and the split.

duplicates   clusters over all sources                  → duplicates/
semantic     pairs from given embeddings                → semantic/
survivors    rules, keepers, splits, the keep order     → survivors/, or decisions/ where nothing is cut
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from corpus.artifact import Draft, Manifest, code_version, read_parquet, write_parquet
from corpus.artifact import fingerprint as hashed
from corpus.cuts.kept import keep_ranks
from corpus.cuts.stages import FINDERS
from corpus.decide import (
    UnitFiles,
    apply_rules,
    drop_copies,
    drop_duplicates,
    read_columns,
    split_documents,
    without_duplicates,
    write_decisions,
)
from corpus.dedup.cluster import DedupSettings, find_clusters
from corpus.dedup.keep import UnitMeasure, choose_keepers
from corpus.dedup.semantic import SemanticSettings, find_semantic, semantic_removals
from corpus.document import DOCUMENTS
from corpus.engine import Progress, Unit, Workplace
from corpus.perplexity import BUCKET, MEASURED, pooled, with_buckets
from corpus.recipe import CorpusSettings
from corpus.stages import Stages, all_units, fingerprints


class Survivors:
    """Decides on the annotated units of all sources."""

    def __init__(
        self, stages: Stages, settings: CorpusSettings, annotated: Mapping[str, Sequence[Unit]], seed: int
    ) -> None:
        self.stages, self.settings, self.annotated, self.seed = stages, settings, annotated, seed

    def publish(self, title: str, folder: Path, files: Mapping[str, Sequence[UnitFiles]], columns: list[str]) -> Path:
        """Decisions by rules, keepers and splits, with each kept document's place in the keep order, `rank`; `columns`:
        the fingerprints of the units whose columns are read."""
        settings = self.settings
        clusters = self._clusters(settings.duplicates) if settings.duplicates is not None else None
        semantic = self._semantic(settings.semantic) if settings.semantic is not None else None
        function = {
            "kind": f"corpus.{folder.name}",
            "semantic": Manifest.read(semantic).fingerprint if semantic else None,
            "units": columns,
            "clusters": Manifest.read(clusters).fingerprint if clusters else None,
            "rules": settings.rules_identity(settings.sources),
            "buckets": {source.name: settings.buckets_of(source).identity() for source in settings.sources},
            "keep": settings.keep.identity(),
            "priority": {source.name: source.priority for source in settings.sources},
            "validation": {source.name: settings.validation_of(source) for source in settings.sources},
            "seed": self.seed,
            "code": code_version("corpus"),
        }

        def write(draft: Draft) -> None:
            for name, frame in self._decided(files, clusters, semantic).items():
                path = draft.path / f"{name}.parquet"
                draft.rows[path.name] = write_decisions(path, frame, ("rank", "bytes"))

        return self.stages.artefact(title, folder, function, write)

    def _semantic(self, copies: SemanticSettings) -> Path:
        """Pairs of semantic duplicates, as pairs.parquet."""
        function = {
            "kind": "corpus.semantic",
            "settings": copies.identity(),
            "units": fingerprints(all_units(self.annotated)),
            "code": code_version("corpus"),
        }

        def write(draft: Draft, progress: Progress) -> None:
            where = (self.stages.workspace / FINDERS / "semantic", self.stages.executor, self.stages.lock, progress)
            place = Workplace(*where, name="semantic", function=hashed(function))
            names = [
                pl.DataFrame(pl.from_arrow(read_parquet(unit.folder / DOCUMENTS, ["id", "record_id", "source"])))
                for unit in all_units(self.annotated)
            ]
            found = find_semantic(pl.concat(names), copies, place)
            draft.rows["pairs.parquet"] = write_parquet(draft.path / "pairs.parquet", found)

        folder = self.stages.watched("semantic", self.stages.workspace / "semantic", function, write)
        shutil.rmtree(self.stages.workspace / FINDERS / "semantic", ignore_errors=True)
        return folder

    def _decided(
        self, files: Mapping[str, Sequence[UnitFiles]], clusters: Path | None, semantic: Path | None
    ) -> dict[str, pl.DataFrame]:
        common = ["id", "unit", "source", "priority", "quality", "bytes", "fate", "step", "reason", "detail", BUCKET]
        keep = self.settings.keep
        measured = {name: _measured(parts) for name, parts in files.items()}
        models = {source.name: source.perplexity for source in self.settings.sources}
        frames = []
        for source in self.settings.sources:
            rules, buckets = self.settings.decisions_of(source), self.settings.buckets_of(source)
            bounds = buckets.bounds(pooled(measured, models, buckets, source.name))
            labels = (pl.lit(source.name).alias("source"), pl.lit(source.priority).alias("priority"))
            # Unit by unit: of the many columns that rules ask, the corpus has no more than one unit's at a time.
            for index, unit in enumerate(files[source.name]):
                unruled = with_buckets(read_columns(unit, index, rules, (*keep.columns, *MEASURED)), bounds, buckets)
                ruled = apply_rules(unruled, rules)
                frames.append(ruled.with_columns(*labels, keep.quality_of(ruled)).select(common))
        frame = pl.concat(frames)
        keep.check_quality(frame["quality"])
        copies = self.settings.duplicates
        if clusters is not None and copies is not None:
            groups = pl.DataFrame(pl.from_arrow(read_parquet(clusters / "clusters.parquet")))
            members = frame.join(groups.select("id", "cluster"), on="id").with_columns(
                (pl.col("fate") == "kept").alias("passes")
            )
            measure = UnitMeasure([unit.folder for unit in all_units(self.annotated)], copies.signature.ngram)
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

    def _clusters(self, copies: DedupSettings) -> Path:
        """Clusters of copies over all sources, as clusters.parquet and pairs.parquet."""
        units = all_units(self.annotated)
        function = {
            "kind": "corpus.duplicates",
            "settings": copies.identity(),
            "units": fingerprints(units),
            "code": code_version("corpus"),
        }

        def write(draft: Draft, progress: Progress) -> None:
            place = Workplace(self.stages.workspace / "dedup", self.stages.executor, self.stages.lock, progress)
            sources = {name: [unit.folder for unit in parts] for name, parts in self.annotated.items()}
            found = find_clusters(sources, copies, place)
            for name, table in (("clusters", found.clusters), ("pairs", found.pairs)):
                draft.rows[f"{name}.parquet"] = write_parquet(draft.path / f"{name}.parquet", table)
            draft.totals |= {"clusters": pl.DataFrame(pl.from_arrow(found.clusters))["cluster"].n_unique()}
            draft.totals |= {"documents": found.clusters.num_rows, "pairs": found.pairs.num_rows}

        return self.stages.watched("duplicates", self.stages.workspace / "duplicates", function, write)


def _measured(files: Sequence[UnitFiles]) -> pl.DataFrame:
    """The columns MEASURED of the documents of a source that were measured, which percentiles are taken over."""
    value, language = MEASURED
    none = pl.DataFrame(schema={value: pl.Float64, language: pl.String})
    return pl.concat([none, *(unit.read(MEASURED) for unit in files if value in unit.names())], how="diagonal_relaxed")
