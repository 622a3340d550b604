"""The stages between a first decision and the last: looking across the documents that stay, cutting, settling.

    survivors      rules, keepers, splits: what stays before cuts       → survivors/<source>.parquet
    repeated       lines and paragraphs of many documents               → repeated/
    substring      exact spans of many tokens                           → substring/
    contamination  overlap with evaluation sets and held-out documents  → contamination/
    cuts           overlays of the units of which something was cut     → cuts/<source>/<unit>/

Each finder works on the text without the cuts of those before it, in stages over the units and over partitions of what
they hold, spread by the executor; what these publish lies in finders/ until the finder has ended. Since cuts are made
of the documents that stay, a changed threshold runs these stages again, on the stored texts.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus.artifact import Draft, Manifest, code_version, read_parquet, write_parquet
from corpus.artifact import fingerprint as hashed
from corpus.cuts.kept import KeptDocuments, KeptUnit
from corpus.cuts.overlay import CutWork
from corpus.cuts.settle import AfterCutsSettings
from corpus.cuts.spans import Cuts, publish_spans, span_file
from corpus.decontaminate import DecontaminateSettings, find_contamination
from corpus.decontaminate.search import DROPS
from corpus.dedup.repeated import RepeatedSettings, find_repeated
from corpus.dedup.substring import SubstringSettings, find_substrings
from corpus.document import DOCUMENTS
from corpus.engine import Progress, Unit, Workplace
from corpus.settings import Settings
from corpus.stages import Stages, all_units, fingerprints
from corpus.tokens.tokenize import TokenizerSettings

FINDERS = "finders"  # where finders work, in the workspace


@dataclass(frozen=True)
class CutSettings:
    """The parts of a recipe that look across documents for what to cut; None: not asked for."""

    repeated: RepeatedSettings | None
    substring: SubstringSettings | None
    decontaminate: DecontaminateSettings
    after_cuts: AfterCutsSettings

    def find_anything(self, held_out: bool) -> bool:
        """Whether there is anything to look for in a corpus with or without held-out documents."""
        return bool(self.repeated or self.substring or self.decontaminate.sets or held_out)


@dataclass(frozen=True)
class Finder:
    """One finder: its name and settings, and what it does with what was cut before it in a place to work: publishes
    reports and gives the stages of its spans."""

    name: str
    settings: Settings
    find: Callable[[Draft, Cuts, Workplace], Sequence[Path]]


def find_cuts(
    settings: CutSettings, units: Mapping[str, Sequence[Unit]], survivors: Path, stages: Stages
) -> list[Path]:
    """The folders of the finders' spans, in the order in which they cut; the last is that of the contamination.

    `units`: the annotated units of each source. `survivors`: decisions by source, with the column `rank`.
    """
    root = stages.workspace / FINDERS
    folders: list[Path] = []
    fingerprint = Manifest.read(survivors).fingerprint
    for finder in _finders(settings, units, survivors, root / "kept"):
        function = {
            "kind": f"corpus.{finder.name}",
            "settings": finder.settings.identity(),
            "survivors": fingerprint,
            "units": fingerprints(all_units(units)),
            "cuts": [Manifest.read(folder).fingerprint for folder in folders],
            "code": code_version("corpus"),
        }
        cuts = Cuts(tuple(folders))

        def write(
            draft: Draft,
            progress: Progress,
            finder: Finder = finder,
            cuts: Cuts = cuts,
            origin: str = hashed(function),
        ) -> None:
            where = (root / finder.name, stages.executor, stages.lock, progress)
            passes = finder.find(draft, cuts, Workplace(*where, name=finder.name, function=origin))
            found = Cuts(passes=tuple(passes))
            publish_spans((found.of(number) for number in range(len(all_units(units)))), draft)

        folders.append(stages.watched(finder.name, stages.workspace / finder.name, function, write))
        shutil.rmtree(root / finder.name, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    return folders


def _finders(
    settings: CutSettings, units: Mapping[str, Sequence[Unit]], survivors: Path, folder: Path
) -> Iterator[Finder]:
    """The finders asked for, in their order; `folder`: where the rows that stay are noted when one works."""

    def kept() -> KeptDocuments:
        return kept_documents(units, survivors, folder)

    if (repeated := settings.repeated) is not None:

        def find_lines(draft: Draft, cuts: Cuts, place: Workplace) -> Sequence[Path]:
            found = find_repeated(kept(), tuple(units), repeated, place)
            draft.rows["most.parquet"] = write_parquet(draft.path / "most.parquet", found.most)
            return found.passes

        yield Finder("repeated", repeated, find_lines)
    if (substring := settings.substring) is not None:
        yield Finder("substring", substring, lambda draft, cuts, place: find_substrings(kept(), cuts, substring, place))

    def find_overlaps(draft: Draft, cuts: Cuts, place: Workplace) -> Sequence[Path]:
        found = find_contamination(kept(), cuts, settings.decontaminate, place)
        for name, table in (("drops", found.drops), ("items", found.items)):
            draft.rows[f"{name}.parquet"] = write_parquet(draft.path / f"{name}.parquet", table)
        draft.totals["sets"] = _by_set(found.items, found.drops)
        return found.passes

    yield Finder("contamination", settings.decontaminate, find_overlaps)


def kept_documents(units: Mapping[str, Sequence[Unit]], survivors: Path, folder: Path) -> KeptDocuments:
    """The documents that stay, from the decisions on them; a file of rows for each unit is written into `folder`, anew
    each time. Memory: 25 bytes a record of one source."""
    folder.mkdir(parents=True, exist_ok=True)
    kept: list[KeptUnit] = []
    for source, (name, parts) in enumerate(units.items()):
        columns = ["unit", "split", "rank", "bytes"]
        table = pl.DataFrame(pl.from_arrow(read_parquet(survivors / f"{name}.parquet", columns)))
        for index, unit in enumerate(parts):
            rows = table.filter(pl.col("unit") == index)
            size = int(rows.filter(pl.col("rank") >= 0)["bytes"].sum())
            file = folder / f"{len(kept):05d}.npy"
            held_out = (rows["split"] == "validation").fill_null(False).to_numpy()
            documents = unit.folder / DOCUMENTS
            kept.append(
                KeptUnit.write(
                    len(kept), source, documents, file, rank=rows["rank"].to_numpy(), held_out=held_out, text_bytes=size
                )
            )
    return KeptDocuments(tuple(kept))


def overlay_units(
    units: Mapping[str, Sequence[Unit]], found: Sequence[Path], tokenizer: TokenizerSettings, root: Path
) -> dict[str, list[Unit | None]]:
    """The overlays to publish, by source and unit; None where nothing was cut."""
    hashes = [{entry.path: entry.sha256 for entry in Manifest.read(folder).files} for folder in found]
    identity = tokenizer.identity()
    overlays: dict[str, list[Unit | None]] = {}
    number = 0
    for name, parts in units.items():
        overlays[name] = []
        for unit in parts:
            spans = [one[span_file(number)] for one in hashes if span_file(number) in one]
            function = {
                "kind": "corpus.cut",
                "documents": Manifest.read(unit.folder).fingerprint,
                "spans": spans,
                "tokenizer": identity,
                "code": code_version("corpus"),
            }
            work = CutWork(unit.folder / DOCUMENTS, number, tuple(found))
            weight = (unit.folder / DOCUMENTS).stat().st_size
            overlay = Unit(folder=root / name / unit.folder.name, function=function, weight=weight, work=work)
            overlays[name].append(overlay if spans else None)
            number += 1
    return overlays


def drops_of(found: Sequence[Path]) -> Any:
    """The documents that go for contamination (schema DROPS)."""
    return read_parquet(found[-1] / "drops.parquet") if found else DROPS.empty_table()


def _by_set(items: Any, drops: Any) -> dict[str, dict[str, int]]:
    """Totals of the report by evaluation set."""
    counted = pl.DataFrame(pl.from_arrow(items)).group_by("set", maintain_order=True)
    totals = counted.agg(
        items=pl.len(),
        too_short=(pl.col("words") == 0).sum(),
        shared=(pl.col("documents") > 0).sum(),
        contaminated=(pl.col("contaminated") > 0).sum(),
    )
    documents = pl.DataFrame(pl.from_arrow(drops)).group_by("set").agg(documents=pl.len().cast(pl.Int64))
    totals = totals.join(documents, on="set", how="left", maintain_order="left").with_columns(
        pl.col("documents").fill_null(0)
    )
    return {row.pop("set"): row for row in totals.to_dicts()}
