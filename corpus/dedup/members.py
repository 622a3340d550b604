"""One cluster of duplicates as it lies in a workspace: its members, who stays for whom and why, and their texts.

    duplicates/ ─ members, measured pairs     decisions/ ─ keepers, similarity     annotate/ ─ texts, as they are stored

Texts are those after every step of the source, so what de-identification removed is not there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from corpus.artifact import Manifest, read_parquet, scan_parquet
from corpus.errors import ArtifactError, DataError

DETAILS = ["id", "source", "file", "position", "text"]


@dataclass(frozen=True)
class Member:
    """A document of a cluster: where it came from, what was decided, and its text.

    `keeper` is the id of the document that stays for it, `kind` and `similarity` say how alike the two are; all three
    are None for one that stays, or was dropped by another rule, whose `reason` is given then.
    """

    id: str
    source: str
    file: str
    position: int
    text: str
    fate: str | None = None
    reason: str | None = None
    keeper: str | None = None
    kind: str | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class Pair:
    """A measured pair of the cluster."""

    a: str
    b: str
    kind: str
    similarity: float


@dataclass(frozen=True)
class Cluster:
    """Members with the keepers first, each followed by what it stays for, most alike first."""

    name: str
    members: tuple[Member, ...]
    pairs: tuple[Pair, ...]


def cluster_of(workspace: Path, id: str) -> Cluster:
    """The cluster of the document with this id, or with the only id that begins so.

    Raises ArtifactError when duplicates were not looked for in this workspace, DataError when the document is unknown,
    alone, or not the only one.
    """
    folder = workspace / "duplicates"
    Manifest.read(folder)
    clusters = _frame(folder / "clusters.parquet")
    name = clusters.filter(pl.col("id") == _only(id, clusters["id"], workspace))["cluster"].item()
    ids = clusters.filter(pl.col("cluster") == name)["id"]
    edges = _frame(folder / "pairs.parquet").filter(pl.col("id_a").is_in(ids.implode()))
    decided = _decided(workspace, ids)
    members = [
        Member(**details, **decided.get(details["id"], {}))
        for details in _details(workspace, ids).iter_rows(named=True)
    ]
    return Cluster(name, tuple(sorted(members, key=_order(members))), tuple(Pair(*row) for row in edges.iter_rows()))


def _frame(path: Path) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(read_parquet(path)))


def _only(asked: str, clustered: pl.Series, workspace: Path) -> str:
    """The id of a clustered document that `asked` names."""
    found = clustered.filter(clustered.str.starts_with(asked.lower()))
    if len(found) == 1:
        return str(found[0])
    if len(found):
        raise DataError(
            "several documents have an id that begins so",
            where=asked,
            found=", ".join(found.head(5)) + (", …" if len(found) > 5 else ""),
            todo="give more digits of the id",
        )
    known = any(
        pc.any(pc.starts_with(rows["id"], asked.lower())).as_py()
        for path in _shards(workspace)
        for rows in scan_parquet(path, ["id"], rows=1 << 16)
    )
    if known:
        raise DataError("this document has no duplicate", where=asked, todo="lower duplicates.threshold to see others")
    raise DataError(
        "no document has this id", where=asked, todo=f"ids are in the column `id` of {workspace / 'corpus' / 'ledger'}"
    )


def _shards(workspace: Path) -> list[Path]:
    return sorted((workspace / "annotate").glob("*/*/documents.parquet"))


def _details(workspace: Path, ids: pl.Series) -> pl.DataFrame:
    """DETAILS of the documents; units without one of them cost the reading of their ids."""
    wanted = pa.array(ids.to_list(), pa.string())
    found = []
    for path in _shards(workspace):
        present = (pc.any(pc.is_in(rows["id"], wanted)).as_py() for rows in scan_parquet(path, ["id"], rows=1 << 16))
        if any(present):
            batches = scan_parquet(path, DETAILS)
            found += [rows.filter(pc.is_in(rows["id"], wanted)) for rows in batches]
    table = pa.Table.from_batches(found) if found else pa.table({})
    if table.num_rows != len(ids):
        raise ArtifactError(
            "documents of this cluster are no longer in the workspace",
            where=workspace / "annotate",
            found=f"{table.num_rows} of {len(ids)}",
            todo="run `provender corpus` again",
        )
    return pl.DataFrame(pl.from_arrow(table))


def _decided(workspace: Path, ids: pl.Series) -> dict[str, dict[str, Any]]:
    """What was decided on each document; nothing before the decide stage ran."""
    decided: dict[str, dict[str, Any]] = {}
    for path in sorted((workspace / "decisions").glob("*.parquet")):
        columns = ["id", "fate", "reason", "duplicate_of", "duplicate_kind", "similarity"]
        frame = pl.DataFrame(pl.from_arrow(read_parquet(path, columns))).filter(pl.col("id").is_in(ids.implode()))
        renamed = frame.rename({"duplicate_of": "keeper", "duplicate_kind": "kind"})
        decided |= {row.pop("id"): row for row in renamed.iter_rows(named=True)}
    return decided


def _order(members: list[Member]) -> Callable[[Member], tuple[bool, str, bool, float, str]]:
    stays = {member.keeper for member in members}

    def key(member: Member) -> tuple[bool, str, bool, float, str]:
        """Groups of a keeper and its copies, those with copies first; the dropped for another reason last."""
        leader = member.keeper or member.id
        return leader not in stays, leader, member.keeper is not None, -(member.similarity or 0.0), member.id

    return key
