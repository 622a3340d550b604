"""The sections about the corpus: funnel, edits, identifiers, duplicates, tokens."""

import polars as pl

from pipelines.audit.everything import Audit
from pipelines.report import charts
from pipelines.report.numbers import count, decimal, share, signed
from pipelines.report.parts import (
    Cell,
    Figure,
    Section,
    Table,
    by,
    count_cell,
    name_cell,
    size_cell,
    source_colours,
)

QUARANTINED, KEPT = "quarantined", "kept"
OTHER_STEPS = "other steps"


def funnel(audit: Audit) -> Section | None:
    totals, funnel = audit.frames["totals"], audit.frames["funnel"]
    if not totals.height:
        return None
    classes = _step_classes(funnel)
    rows = []
    for row in totals.iter_rows(named=True):
        own = funnel.filter(pl.col("source") == row["source"])
        cells = [name_cell(row["source"])]
        cells.append(Cell(charts.bar(_funnel_parts(own, classes)), row["documents_kept"] / row["documents_in"], "wide"))
        cells.append(
            Cell(share(row["documents_kept"], row["documents_in"]), row["documents_kept"] / row["documents_in"])
        )
        names = ("documents_in", "documents_kept", "documents_dropped", "documents_quarantined")
        cells += [count_cell(row[name]) for name in names]
        cells += [
            size_cell(row["bytes_in"]),
            size_cell(row["bytes_out"]),
            count_cell(row["tokens_in"]),
            count_cell(row["tokens_out"]),
        ]
        rows.append(cells)
    sums = {name: int(totals[name].sum()) for name in totals.columns if name != "source"}
    all_parts = charts.bar(_funnel_parts(funnel, classes))
    total = [
        Cell("all sources"), Cell(all_parts), Cell(share(sums["documents_kept"], sums["documents_in"])),
        *[count_cell(sums[f"documents_{name}"]) for name in ("in", KEPT, "dropped", QUARANTINED)],
        size_cell(sums["bytes_in"]), size_cell(sums["bytes_out"]),
        count_cell(sums["tokens_in"]), count_cell(sums["tokens_out"]),
    ]  # fmt: skip
    columns = [("source", False), ("documents", False), ("kept", True), ("in", True), ("kept", True), ("dropped", True)]
    columns += [("quarantined", True), ("bytes in", True), ("out", True), ("tokens in", True), ("out", True)]
    gone = funnel.filter(pl.col("fate") != KEPT).sort("documents", "source", "reason", descending=[True, False, False])
    reasons = [
        [name_cell(row["reason"] or "–"), count_cell(row["documents"]), size_cell(row["bytes"]),
         count_cell(row["tokens"]),
         Cell(row["source"]), Cell(row["step"] or "–"), Cell(row["fate"])]
        for row in gone.iter_rows(named=True)
    ]  # fmt: skip
    why = [("reason", False), ("documents", True), ("bytes", True), ("tokens", True), ("source", False)]
    why += [("step", False), ("fate", False)]
    tables = [Table("From documents read to documents kept", columns, rows, total)]
    if reasons:
        tables.append(Table("Why documents were not kept", why, reasons))
    legend = [("kept", KEPT), *[(step, kind) for step, kind in classes.items()]]
    lead = "Every record that was read is kept, dropped by a named rule, or quarantined because it could not be read."
    return Section("funnel", "The funnel", lead, tables=tables, legend=legend)


def _step_classes(funnel: pl.DataFrame) -> dict[str, str]:
    """Colour class by dropping step: the six largest have their own, the rest share one."""
    gone = funnel.filter(pl.col("fate") == "dropped").group_by("step").agg(pl.col("documents").sum())
    ordered = gone.sort("documents", "step", descending=[True, False])["step"].to_list()
    classes = {step: f"s{index + 1}" for index, step in enumerate(ordered[:6])}
    if len(ordered) > 6:
        classes[OTHER_STEPS] = "s7"
    if funnel.filter(pl.col("fate") == QUARANTINED).height:
        classes[QUARANTINED] = QUARANTINED
    return classes


def _funnel_parts(funnel: pl.DataFrame, classes: dict[str, str]) -> list[tuple[str, float, str]]:
    counts = dict.fromkeys([KEPT, *classes], 0)
    for fate, step, documents in funnel.select("fate", "step", "documents").iter_rows():
        counts[fate if fate != "dropped" else step if step in classes else OTHER_STEPS] += documents
    return [(name, value, classes.get(name, KEPT)) for name, value in counts.items()]


def edits(audit: Audit) -> Section | None:
    frame = audit.frames["edits"]
    if not frame.height:
        return None
    rows = [
        [
            name_cell(kind),
            Cell(source),
            count_cell(documents),
            size_cell(removed),
            size_cell(added),
            Cell(signed(net), net),
        ]
        for source, kind, documents, removed, added, net in frame.iter_rows()
    ]
    columns = [("edit", False), ("source", False), ("documents changed", True), ("removed", True), ("added", True)]
    columns.append(("net bytes", True))
    lead = "What changed inside the documents that were kept. Bytes out = bytes in + the net of all edits."
    return Section("edits", "Edits", lead, tables=[Table("Bytes by kind of edit", columns, rows)])


def pii(audit: Audit) -> Section | None:
    frame = audit.frames["pii"]
    if not frame.height:
        return None
    largest = int(frame.group_by("type").agg(pl.col("values").sum())["values"].max())  # type: ignore[arg-type]
    colours = source_colours(audit)
    rows = []
    for kind, own in by(frame.sort("type"), "type"):
        values = int(own["values"].sum())
        parts = [
            (source, float(number), f"s{colours[source]}") for source, number in own.select("source", "values").rows()
        ]
        by_source = ", ".join(f"{source} {count(number)}" for source, number in own.select("source", "values").rows())
        rows.append(
            [name_cell(kind), Cell(charts.bar(parts, whole=largest), values, "wide"), count_cell(values),
             count_cell(int(own["documents"].sum())), Cell(by_source)]
        )  # fmt: skip
    rows.sort(key=lambda row: -int(row[2].value or 0))
    columns = [("type", False), ("values", False), ("removed", True), ("documents", True), ("by source", False)]
    sources = frame["source"].unique().sort().to_list()
    lead = (
        "Values found and replaced by keyed surrogates. These are counts of what the recognisers found: they say "
        "nothing of what no recogniser looks for, and the values themselves are kept nowhere."
    )
    return Section(
        "pii", "Personal identifiers", lead, tables=[Table("Removed values by type", columns, rows)],
        legend=[(source, f"s{colours[source]}") for source in sources],
    )  # fmt: skip


def duplicates(audit: Audit) -> Section | None:
    frame = audit.frames["duplicates"]
    if not frame.height:
        return None
    rows = [
        [
            name_cell(source),
            Cell(keeper or "–"),
            Cell(kind),
            count_cell(documents),
            size_cell(nbytes),
            count_cell(tokens),
        ]
        for source, keeper, kind, documents, nbytes, tokens in frame.iter_rows()
    ]
    columns = [("repeats in", False), ("of a document in", False), ("kind", False), ("documents", True)]
    columns += [("bytes", True), ("tokens", True)]
    largest = [
        [Cell(cluster, cluster, "id"), count_cell(documents), count_cell(kept), Cell(sources), size_cell(nbytes)]
        for cluster, documents, kept, sources, nbytes in audit.frames["clusters"].head(10).iter_rows()
    ]
    figures = []
    near = audit.frames["similarities"]
    if near["documents"].sum():
        bins = [(f"{low:.2f}", number) for low, _, number in near.iter_rows()]
        chart = charts.columns(
            bins, title="Near duplicates by similarity", x="similarity with the keeper", y="documents"
        )
        figures.append(Figure("Near duplicates by measured similarity with the document that was kept", chart))
    sizes = [(str(length), number) for length, number in audit.frames["cluster_sizes"].head(12).iter_rows()]
    if sizes:
        chart = charts.columns(sizes, title="Clusters by size", x="documents in the cluster", y="clusters")
        figures.append(Figure("Duplicate clusters by number of documents", chart))
    shape = [("cluster", False), ("documents", True), ("kept", True), ("sources", False), ("bytes", True)]
    lead = "Documents that repeat another one. A cluster is named by its smallest document id."
    tables = [Table("Duplicates by source and keeper", columns, rows), Table("The largest clusters", shape, largest)]
    return Section("duplicates", "Duplicates", lead, figures, tables)


def tokens(audit: Audit) -> Section | None:
    frame = audit.frames["tokens"]
    if not frame.height:
        return None
    rows = [
        [name_cell(source), Cell(split), Cell(language), count_cell(documents), count_cell(tokens), size_cell(nbytes),
         Cell(decimal(nbytes / tokens, 2) if tokens else "–", nbytes / tokens if tokens else 0),
         count_cell(median), count_cell(p95), count_cell(longest)]
        for source, split, language, documents, tokens, nbytes, median, p95, longest in frame.iter_rows()
    ]  # fmt: skip
    columns = [("source", False), ("split", False), ("language", False), ("documents", True), ("tokens", True)]
    columns += [
        ("bytes", True),
        ("bytes per token", True),
        ("median", True),
        ("95th percentile", True),
        ("longest", True),
    ]
    lead = "Tokens of the kept text, without the end-of-text token that a token store puts after each document."
    return Section("tokens", "Tokens", lead, tables=[Table("Tokens by source, split and language", columns, rows)])
