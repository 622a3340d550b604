"""The sections about the corpus: funnel, edits, identifiers, duplicates, tokens."""

import polars as pl
from markupsafe import Markup

from corpus.deidentify.evaluate import Share
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
from pipelines.report.sankey import Flow, sankey

QUARANTINED, KEPT = "quarantined", "kept"
OTHER_STEPS = "other steps"
REASONS_DRAWN = 24


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
    columns = [
        ("source", False),
        ("documents", False),
        ("share kept", True),
        ("in", True),
        ("kept", True),
        ("dropped", True),
    ]
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
    figures = [
        Figure(f"From sources to what became of them, and why, in {unit}", chart, wide=True)
        for unit in ("documents", "tokens")
        if (chart := _flows(funnel, classes, unit))
    ]
    return Section("funnel", "The funnel", lead, figures, tables, legend)


def _flows(funnel: pl.DataFrame, classes: dict[str, str], unit: str) -> Markup:
    """Sources → kept or the step that dropped → the rule of that step, the rarest rules of a long list together."""
    kept, gone = pl.col("fate") == KEPT, pl.col("fate") == "dropped"
    outcome = pl.when(gone).then("step").otherwise("fate").alias("outcome")
    rows = funnel.filter(pl.col(unit) > 0).with_columns(outcome)
    rank = {name: number for number, name in enumerate([KEPT, *classes])}
    place = pl.col("outcome").replace_strict(rank, default=len(rank), return_dtype=pl.Int64)
    order = [place, pl.col("outcome")]
    first = rows.group_by("source", "outcome").agg(pl.col(unit).sum()).sort(pl.col("source"), *order)
    why = rows.filter(~kept).group_by("outcome", "reason").agg(pl.col(unit).sum())
    shown = set(why.sort(unit, descending=True).head(REASONS_DRAWN)["reason"])
    named = pl.when(pl.col("reason").is_in(shown)).then("reason").otherwise(pl.lit("other reasons")).alias("reason")
    second = why.with_columns(named).group_by("outcome", "reason").agg(pl.col(unit).sum())
    second = second.sort(*order, pl.col(unit), pl.col("reason"), descending=[False, False, True, False])

    def kind(outcome: str) -> str:
        return KEPT if outcome == KEPT else classes.get(outcome, classes.get(OTHER_STEPS, QUARANTINED))

    return sankey(
        [Flow(source, outcome, amount, kind(outcome)) for source, outcome, amount in first.iter_rows()],
        [Flow(outcome, reason or "–", amount, kind(outcome)) for outcome, reason, amount in second.iter_rows()],
        title=f"The funnel in {unit}",
        unit=unit,
    )


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
             count_cell(int(own["documents"].sum())), Cell(by_source, kind="list")]
        )  # fmt: skip
    rows.sort(key=lambda row: -int(row[2].value or 0))
    columns = [("type", False), ("values", False), ("removed", True), ("documents", True), ("by source", False)]
    sources = frame["source"].unique().sort().to_list()
    lead = (
        "Values found and replaced. These are counts of what the recognisers found; the values themselves are kept "
        "nowhere. " + _recall(audit)
    )
    tables = [Table("Removed values by type", columns, rows)]
    if audit.frames["recognisers"].height:
        rows = [
            [name_cell(kind), Cell(name or "found in the text after the first removals"), count_cell(values),
             Cell(decimal(score, 2), score)]
            for kind, name, values, score in audit.frames["recognisers"].iter_rows()
        ]  # fmt: skip
        columns = [("type", False), ("recogniser", False), ("values", True), ("mean score", True)]
        tables.append(Table("What found them", columns, rows))
    known = identities_planted(audit)
    if known.height:
        rows = [
            [name_cell(kind), count_cell(planted), count_cell(found), Cell(str(Share(found, planted)))]
            for kind, planted, found in known.iter_rows()
        ]
        columns = [("type", False), ("planted", True), ("removed", True), ("recall [95% interval]", False)]
        tables.append(Table("Recall on identities that were planted", columns, rows))
    return Section(
        "pii", "Personal identifiers", lead, tables=tables,
        legend=[(source, f"s{colours[source]}") for source in sources],
    )  # fmt: skip


def identities_planted(audit: Audit) -> pl.DataFrame:
    """type → planted, found, of the identities hidden in the input on purpose."""
    prefix = "identity: "
    known = audit.frames["planted"].filter(pl.col("kind").str.starts_with(prefix) & (pl.col("planted") > 0))
    return known.select(pl.col("kind").str.strip_prefix(prefix), "planted", "found")


def _recall(audit: Audit) -> str:
    known = identities_planted(audit)
    if not known.height:
        return (
            "How many were missed is not known from the corpus itself: `provender corpus deid-eval` measures recall on "
            "labelled text of the same kind, and what no recogniser looks for is never found."
        )
    recall = Share(int(known["found"].sum()), int(known["planted"].sum()))
    low, high = recall.interval or (0.0, 1.0)
    return (
        f"Of {count(recall.total)} identities planted in the input {count(recall.hits)} were removed: an estimated "
        f"recall of {share(recall.value)} (95% interval {share(low)} to {share(high)}), for identities of the planted "
        "kinds. It says nothing of what no recogniser looks for."
    )


def duplicates(audit: Audit) -> Section | None:
    frame = audit.frames["duplicates"]
    repeated, contamination = audit.frames["most_repeated"], audit.frames["contamination"]
    if not (frame.height or repeated.height or contamination.height):
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
    sizes = _sizes(audit.frames["cluster_sizes"])
    if sizes:
        chart = charts.columns(sizes, title="Clusters by size", x="documents in the cluster", y="clusters")
        figures.append(Figure("Duplicate clusters by number of documents", chart))
    shape = [("cluster", False), ("documents", True), ("kept", True), ("sources", False), ("bytes", True)]
    lead = "Documents that repeat another one, and text that stands in many. A cluster has the name of its smallest id."
    tables = [Table("Duplicates by source and keeper", columns, rows), Table("The largest clusters", shape, largest)]
    tables = [table for table in tables if table.rows]
    if repeated.height:
        rows = [
            [Cell(text or "–", text, "text"), Cell(kind.replace("_", " ")), Cell(scope), count_cell(documents),
             count_cell(keep)]
            for scope, kind, documents, keep, text in repeated.iter_rows()
        ]  # fmt: skip
        columns = [("beginning, masked", False), ("kind", False), ("counted in", False), ("documents", True)]
        tables.append(Table("The most repeated lines and paragraphs", [*columns, ("kept in", True)], rows))
    if contamination.height:
        rows = [
            [name_cell(name), *[count_cell(value) for value in counts], Cell(share(coverage), coverage)]
            for name, *counts, coverage in contamination.iter_rows()
        ]
        columns = [("evaluation set", False), ("items", True), ("too short to look for", True)]
        columns += [("sharing an n-gram", True), ("contaminated", True), ("largest share of an item", True)]
        tables.append(Table("Items of evaluation sets found in the corpus", columns, rows))
    return Section("duplicates", "Duplicates", lead, figures, tables)


def _sizes(frame: pl.DataFrame, shown: int = 12) -> list[tuple[str, int]]:
    """Clusters by size; the sizes beyond the first are one bin."""
    bins = [(str(size), clusters) for size, clusters in frame.head(shown).iter_rows()]
    if frame.height > shown:
        bins.append((f"≥ {frame['size'][shown]}", int(frame["clusters"][shown:].sum())))
    return bins
