"""The stages between a first decision and the last: looking across the documents that stay, cutting, settling.

    survivors      rules, keepers, splits: what stays before cuts       → survivors/<source>.parquet
    repeated       lines and paragraphs of many documents               → repeated/
    substring      exact spans of many tokens                           → substring/
    contamination  overlap with evaluation sets and held-out documents  → contamination/
    cuts           overlays of the units of which something was cut     → cuts/<source>/<unit>/

Each finder works on the text without the cuts of those before it. Since cuts are made of the documents that stay, a
changed threshold runs these stages again, on the stored texts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus.artifact import Draft, Manifest, code_version, read_parquet, write_parquet
from corpus.cuts.kept import KeptDocuments
from corpus.cuts.overlay import CutWork
from corpus.cuts.settle import AfterCutsSettings
from corpus.cuts.spans import Spans, span_file
from corpus.decontaminate import DecontaminateSettings, find_contamination
from corpus.decontaminate.find import DROPS
from corpus.dedup.repeated import RepeatedSettings, find_repeated
from corpus.dedup.substring import SubstringSettings, find_substrings
from corpus.document import DOCUMENTS
from corpus.engine import Unit
from corpus.stages import all_units, fingerprints
from corpus.tokenize import TokenizerSettings

Publish = Callable[[str, Path, dict[str, Any], Callable[[Draft], None]], Path]


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


def find_cuts(
    settings: CutSettings,
    units: Mapping[str, Sequence[Unit]],
    survivors: Path,
    workspace: Path,
    publish: Publish,
) -> list[Path]:
    """The folders of the finders' spans, in the order in which they cut; the last is that of the contamination.

    `units`: the annotated units of each source. `survivors`: decisions by source, with the column `rank`.
    """
    names = tuple(units)
    kept = kept_documents(units, survivors)
    finders: list[tuple[str, Any, Callable[[Draft, Spans], Spans]]] = []
    if (repeated := settings.repeated) is not None:

        def write_repeated(draft: Draft, cuts: Spans) -> Spans:
            found = find_repeated(kept, names, repeated)
            draft.rows["most.parquet"] = write_parquet(draft.path / "most.parquet", found.most)
            return found.spans

        finders.append(("repeated", repeated, write_repeated))
    if (substring := settings.substring) is not None:
        finders.append(("substring", substring, lambda draft, cuts: find_substrings(kept, cuts, substring)))

    def write_contamination(draft: Draft, cuts: Spans) -> Spans:
        found = find_contamination(kept, cuts, settings.decontaminate)
        for name, table in (("drops", found.drops), ("items", found.items)):
            draft.rows[f"{name}.parquet"] = write_parquet(draft.path / f"{name}.parquet", table)
        draft.totals["sets"] = _by_set(found.items, found.drops)
        return found.spans

    finders.append(("contamination", settings.decontaminate, write_contamination))
    folders: list[Path] = []
    fingerprint = Manifest.read(survivors).fingerprint
    for name, chosen, find in finders:
        function = {
            "kind": f"corpus.{name}",
            "settings": chosen.identity(),
            "survivors": fingerprint,
            "units": fingerprints(all_units(units)),
            "cuts": [Manifest.read(folder).fingerprint for folder in folders],
            "code": code_version("corpus"),
        }

        def write(draft: Draft, find: Callable[[Draft, Spans], Spans] = find) -> None:
            earlier = [Spans.read(folders, number) for number in range(len(kept.documents))]
            find(draft, Spans.together(earlier)).publish(draft)

        folders.append(publish(name, workspace / name, function, write))
    return folders


def kept_documents(units: Mapping[str, Sequence[Unit]], survivors: Path) -> KeptDocuments:
    """The documents that stay, from the decisions on them."""
    documents, source, rank, held_out = [], [], [], []
    text_bytes = 0
    for number, (name, parts) in enumerate(units.items()):
        columns = ["unit", "split", "rank", "bytes"]
        table = pl.DataFrame(pl.from_arrow(read_parquet(survivors / f"{name}.parquet", columns)))
        text_bytes += int(table.filter(pl.col("rank") >= 0)["bytes"].sum())
        for index, unit in enumerate(parts):
            rows = table.filter(pl.col("unit") == index)
            documents.append(unit.folder / DOCUMENTS)
            source.append(number)
            rank.append(rows["rank"].to_numpy())
            held_out.append((rows["split"] == "validation").fill_null(False).to_numpy())
    return KeptDocuments(tuple(documents), tuple(source), tuple(rank), tuple(held_out), text_bytes)


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
