"""Does it add up? Every claim of a workspace, checked again from the bytes.

    files      every file of every manifest is hashed again
    ledger     in = kept + dropped + quarantined, bytes out = bytes in + edits, against the text that is there
    dataset    the rows handed on are the documents the ledger kept
    tokens     a store's tokens = Σ token_count + documents
    plan       quotas fill every step and add up to the totals, over the stores that are there
    training   tokens seen = tokens planned, by source, to the token
    evaluation bits per byte = nats / (bytes · ln 2)

Cost: one pass over all bytes of the workspace for the hashes and one over the text for the ledger.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.artifact import MANIFEST, Manifest, scan_parquet
from corpus.errors import ArtifactError
from corpus.tokens.store import TokenStore
from pipelines.audit import training_questions
from pipelines.audit.counters import FAULTS, Conservation, Ids, digest_of_ids, total
from pipelines.audit.identities import repeated_among
from pipelines.audit.row_groups import each_of
from pipelines.audit.views import Views
from pipelines.audit.workspace import (
    Plan,
    Run,
    annotated_files,
    artefacts,
    dataset_files,
    plan_of,
    plans,
    runs,
    token_stores,
    training_store,
)


@dataclass(frozen=True)
class Check:
    """One claim: its name, whether it holds, and the figures that show it."""

    name: str
    passed: bool
    detail: str


def verify(workspace: Path, views: Views | None = None) -> list[Check]:
    """Check every claim that can be checked with what the workspace holds. Never raises on damage: that is a failed
    check, and the others go on. `views` are open ones of the workspace, whose counts of the ledger are used."""
    workspace = Path(workspace).resolve()
    checks: list[Check] = []
    parts: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("files", partial(_files, workspace)),
        ("ledger", partial(_with_views, _ledgers, workspace, views)),
        ("dataset", partial(_with_views, _datasets, workspace, views)),
        ("tokens", partial(_with_views, _stores, workspace, views)),
        ("plan", partial(_plans, workspace)),
        ("runs", partial(_runs, workspace)),
        ("evaluations", partial(_evaluations, workspace)),
    ]
    for name, part in parts:
        try:
            checks += part()
        except ArtifactError as error:
            checks.append(Check(name, False, str(error)))
    return checks


def _with_views(part: Callable[[Views], Iterator[Check]], workspace: Path, views: Views | None) -> Iterator[Check]:
    if views is not None:
        yield from part(views)
        return
    with Views(workspace) as own:
        yield from part(own)


def _checked(name: str, claim: Callable[[], str]) -> Check:
    """Run `claim`, which returns the figures or raises ArtifactError."""
    try:
        return Check(name, True, claim())
    except ArtifactError as error:
        found = f": {error.found}" if error.found is not None else ""
        return Check(name, False, f"{error.where}: {error.what}{found}")


def _require(holds: bool, what: str, where: object, found: object) -> None:
    if not holds:
        raise ArtifactError(what, where=where, found=found)


def _files(workspace: Path) -> Iterator[Check]:
    """One check per top-level folder: thousands of units are one line unless one fails."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for folder in artefacts(workspace):
        groups[folder.parts[0]].append(folder)
    for group, folders in groups.items():

        def claim(folders: list[Path] = folders) -> str:
            manifests = [Manifest.read(workspace / folder) for folder in folders]
            with ThreadPoolExecutor() as pool:  # hashing lets other threads run
                list(pool.map(lambda own: own[0].verify(workspace / own[1]), zip(manifests, folders, strict=True)))
            files = sum(len(manifest.files) for manifest in manifests)
            size = sum(entry.bytes for manifest in manifests for entry in manifest.files)
            return f"{files:,} files of {len(folders):,} artefacts hashed again, {size:,} bytes"

        yield _checked(f"files of {group}/", claim)


def _ledgers(views: Views) -> Iterator[Check]:
    for source, paths in views.ledgers.items():

        def claim(source: str = source, paths: list[Path] = paths) -> str:
            units = annotated_files(views.workspace, source)
            rows = sum(pq.read_metadata(path).num_rows for path in paths)
            records = sum(pq.read_metadata(path).num_rows for path in units) if units else rows
            conservation, ids = views.counted(source, Conservation, Ids)
            figures = total(one.sums for one in conservation)
            text = _text_sums(views, source)
            failures = [f"{figures[fault]:,} {fault}" for fault in FAULTS if figures[fault]]
            if rows != records:
                failures.insert(0, f"{rows:,} rows for {records:,} input records")
            if repeats := repeated_among([one.hashes for one in ids], paths):
                failures.append(f"{repeats:,} repeated ids")
            for name, in_text in zip(("bytes", "tokens"), text, strict=True):
                if figures[name] != in_text:
                    failures.append(f"{figures[name]:,} {name} in the ledger, {in_text:,} in the text")
            _require(not failures, "the ledger does not add up", source, "; ".join(failures))
            against = "the reader's records" if units else "its own rows (annotate/ is gone)"
            return (
                f"{rows:,} in = {figures['kept']:,} kept + {figures['dropped']:,} dropped + "
                f"{figures['quarantined']:,} quarantined, against {against}; {text[0]:,} bytes and {text[1]:,} tokens "
                "in the text"
            )

        yield _checked(f"ledger of {source}", claim)


def _text_sums(views: Views, source: str) -> tuple[int, int]:
    """UTF-8 bytes and tokens of the kept text, measured on the text column of the dataset."""
    files = [path for paths in dataset_files(views.workspace, source).values() for path in paths]
    if not files:
        return 0, 0
    sums = "coalesce(sum(strlen(text)), 0)::BIGINT, coalesce(sum(token_count), 0)::BIGINT"
    return views.query(f"SELECT {sums} FROM {views.scan(files)}").row(0)  # type: ignore[return-value]


def _datasets(views: Views) -> Iterator[Check]:
    for source, ledgers in views.ledgers.items():

        def claim(source: str = source, ledgers: list[Path] = ledgers) -> str:
            _, ids = views.counted(source, Conservation, Ids)
            counts = []
            for split, shards in dataset_files(views.workspace, source).items():
                rows = sum(pq.read_metadata(path).num_rows for path in shards)
                wanted = sum(one.kept[split] for one in ids)
                kept = [(one.kept[split], one.digests[split].digest()) for one in ids if one.kept[split]]
                same = rows == wanted and (
                    kept == [(count, digest) for count, digest in each_of(shards, digest_of_ids) if count]
                    or _same_ids(views, split, ledgers, shards)
                )
                _require(
                    same,
                    f"the {split} rows are not the documents the ledger kept",
                    source,
                    f"{rows:,} rows, {wanted:,} kept",
                )
                counts.append(f"{rows:,} {split}")
            return f"{' + '.join(counts)} rows, the same ids as the ledger's"

        yield _checked(f"dataset of {source}", claim)


def _same_ids(views: Views, split: str, ledgers: list[Path], shards: list[Path]) -> bool:
    """Whether the shards hold as many ids as the ledger kept, and the same, in whatever order and files."""
    kept = f"SELECT id FROM {views.scan(ledgers)} WHERE fate = 'kept' AND split = '{split}'"
    return not views.query(f"SELECT count(*) FROM (({kept}) EXCEPT ALL (SELECT id FROM {views.scan(shards)}))").item()


def _stores(views: Views) -> Iterator[Check]:
    kept = views.query(
        "SELECT source, split, count(*), sum(tokens_out)::BIGINT FROM ledger WHERE fate = 'kept' GROUP BY source, split"
    )
    counted = {(source, split): (documents, tokens) for source, split, documents, tokens in kept.iter_rows()}
    for (source, split), folder in token_stores(views.workspace).items():

        def claim(source: str = source, split: str = split, folder: Path = folder) -> str:
            store = TokenStore.open(folder)
            documents, tokens = counted.get((source, split), (0, 0))
            flat = sum(len(shard) for shard in store.shards)
            rows = scan_parquet(folder / "documents.parquet", ["tokens"], rows=65_536)
            listed = sum(pc.sum(batch["tokens"]).as_py() or 0 for batch in rows)
            _require(
                flat == listed == store.tokens == tokens + documents,
                "the store's tokens are not the ledger's plus one EOS per document",
                folder.relative_to(views.workspace),
                f"{flat:,} in shards, {listed:,} in documents.parquet, {store.tokens:,} in the manifest, "
                f"{tokens:,} + {documents:,} in the ledger",
            )
            return f"{flat:,} = {tokens:,} tokens + {documents:,} EOS"

        yield _checked(f"token store {source}/{split}", claim)


def _plans(workspace: Path) -> Iterator[Check]:
    for plan in plans(workspace):
        name = plan.folder.relative_to(workspace).as_posix()
        yield _checked(f"quotas of {name}/", partial(_quotas_add_up, plan))
        yield _checked(f"stores of {name}/", partial(_stores_are_those_planned, workspace, plan))


def _quotas_add_up(plan: Plan) -> str:
    quotas = plan.quotas.sort("source", "step")
    batch, steps = int(plan.settings["global_batch"]), int(plan.settings["steps"])
    per_step = quotas.group_by("step").agg(pl.col("sequences").sum()).sort("step")
    _require(per_step["step"].to_list() == list(range(steps)), "steps are missing", plan.folder, f"{per_step.height:,}")
    uneven = per_step.filter(pl.col("sequences") != batch)
    _require(not uneven.height, f"steps do not hold {batch} sequences", plan.folder, f"{uneven.height:,} steps")
    running = pl.col("sequences").cum_sum().over("source")
    off = quotas.filter(pl.col("cumulative") != running)
    _require(not off.height, "`cumulative` is not the sum of `sequences` so far", plan.folder, f"{off.height:,} rows")
    tokens = int(quotas["sequences"].sum()) * plan.sequence_length
    said = int(plan.settings.get("tokens", tokens))
    _require(
        tokens == said, "the quotas and plan.json differ", plan.folder, f"{tokens:,} tokens, {said:,} in plan.json"
    )
    return f"{steps:,} steps of {batch:,} sequences, {tokens:,} tokens"


def _stores_are_those_planned(workspace: Path, plan: Plan) -> str:
    here = token_stores(workspace)
    for source, entry in plan.sources.items():
        store = training_store(workspace, source)
        # Those of the workspace are hashed with its other artefacts, fetched and adopted ones when they are opened.
        if (source, "train") not in here and store.locate is None and (Path(store.folder) / MANIFEST).exists():
            store.manifest.verify(Path(store.folder))
        there = _planned_manifest(workspace, plan, source, store.manifest)
        _require(
            there.fingerprint == entry["store"],
            "the plan was made for another token store",
            source,
            f"{there.fingerprint[:12]}, not {entry['store'][:12]}",
        )
        _require(
            there.totals["tokens"] == entry["tokens"],
            "the plan counts other tokens than the store",
            source,
            f"{entry['tokens']:,} in the plan, {there.totals['tokens']:,} in the store",
        )
    return f"{len(plan.sources)} fingerprints and token counts are those of the stores"


def _planned_manifest(workspace: Path, plan: Plan, source: str, store: Manifest) -> Manifest:
    """Of the run's packing of the source, which must be one of this very store, or of the store itself."""
    packing = workspace / "packings" / plan.run / source
    if not (packing / "manifest.json").exists():
        return store
    there, fingerprint = Manifest.read(packing), store.fingerprint
    packed = there.function["store"]
    _require(packed == fingerprint, "another store was packed", source, f"{packed[:12]}, not {fingerprint[:12]}")
    return there


def _runs(workspace: Path) -> Iterator[Check]:
    known = plans(workspace)
    mixture = training_questions.mixture(workspace)
    for run in runs(workspace):

        def claim(run: Run = run) -> str:
            plan = plan_of(run, known)
            _require(plan is not None, "the plan it followed is not here", run.name, f"plan {run.start.get('plan')}")
            rows = mixture.filter(pl.col("run") == run.name)
            off = rows.filter(pl.col("difference") != 0)
            found = [f"{source} {difference:+,}" for source, difference in off.select("source", "difference").rows()]
            _require(not off.height, "tokens seen are not those planned", run.name, "; ".join(found))
            seen = dict(rows.select("source", "realised_tokens").iter_rows())
            said = sum(event["tokens"] for event in run.of("step"))
            _require(sum(seen.values()) == said, "tokens by source and in all differ", run.name, f"{seen}, {said:,}")
            for end in run.of("end")[-1:]:
                total = {source: count for source, count in end["source_tokens"].items() if count}
                _require(total == seen, "the run's totals are not the sum of its steps", run.name, f"{total}, {seen}")
            listed = ", ".join(f"{source} {count:,}" for source, count in seen.items())
            return f"{said:,} tokens seen = planned, by source: {listed}"

        yield _checked(f"tokens of run {run.name}", claim)


def _evaluations(workspace: Path) -> Iterator[Check]:
    frame = training_questions.evaluations(workspace).drop_nulls(["nats", "bytes", "bits_per_byte"])
    for (run,), rows in frame.group_by("run", maintain_order=True):

        def claim(run: object = run, rows: pl.DataFrame = rows) -> str:
            bits = pl.col("nats") / (pl.col("bytes") * math.log(2))
            off = rows.filter((bits - pl.col("bits_per_byte")).abs() > 1e-9 * bits.abs() + 1e-9)
            _require(not off.height, "bits per byte are not nats over bytes", run, f"{off.height} figures differ")
            return f"{rows.height:,} figures of bits per byte recomputed from nats and bytes"

        yield _checked(f"evaluations of run {run}", claim)
