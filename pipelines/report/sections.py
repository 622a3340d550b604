"""What the report says, section by section: plain values and charts made from an audit's frames.

A section without anything to say is left out. The template only lays out what is here; the frames themselves are
published beside the page as parquet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl
from markupsafe import Markup

from pipelines.audit import Audit
from pipelines.report import charts
from pipelines.report.charts import Line
from pipelines.report.numbers import change, compact, count, decimal, share, signed, size

QUARANTINED, KEPT = "quarantined", "kept"
OTHER_STEPS = "other steps"
FOLDERS_LISTED = 40
ROLE_ORDER = pl.col("role").fill_null("~")  # domain, replay, sets that no plan names


@dataclass(frozen=True)
class Cell:
    """What a table shows, and the value it sorts by."""

    text: str | Markup
    value: str | float | int | None = None
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """`columns` are (heading, is a number); the first column heads its row."""

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]
    total: list[Cell] | None = None


@dataclass(frozen=True)
class Figure:
    caption: str
    chart: Markup


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    lead: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Headline:
    label: str
    value: str
    note: str


def headlines(audit: Audit) -> list[Headline]:
    """The figures one looks for first."""
    found = []
    totals = audit.frames["totals"]
    if totals.height:
        came, kept = int(totals["documents_in"].sum()), int(totals["documents_kept"].sum())
        found.append(Headline("documents kept", count(kept), f"of {count(came)} read, {share(kept, came)}"))
        nbytes = int(totals["bytes_out"].sum())
        tokens = int(totals["tokens_out"].sum())
        found.append(Headline("tokens of text", compact(tokens), f"{count(tokens)} in {size(nbytes)}"))
    seen = audit.frames["mixture"].group_by("run", maintain_order=True).agg(pl.col("realised_tokens").sum()).rows()
    if seen:
        note = ", ".join(f"{run} {count(tokens)}" for run, tokens in seen)
        found.append(Headline("tokens trained", compact(max(tokens for _, tokens in seen)), note))
    changes = audit.frames["forgetting"].drop_nulls(["before", "after"])
    for name, rows in _by(changes.sort(ROLE_ORDER, "set", "run"), "set"):
        # The first run stands large; the others are compared with it underneath.
        (run, before, after), *others = rows.select("run", "before", "after").rows()
        label = f"bits per byte, {name}" if changes["run"].n_unique() == 1 else f"bits per byte, {name}, {run}"
        note = f"{decimal(before, 3)} before, {change(after - before, digits=3)}"
        note += "".join(f"; {other} {change(late - early, digits=3)}" for other, early, late in others)
        found.append(Headline(label, decimal(after, 3), note))
    return found


def sections(audit: Audit) -> list[Section]:
    """The sections that have something to show, in the order in which data flows."""
    made = (
        _funnel, _edits, _pii, _duplicates, _tokens, _mixture, _losses, _forgetting, _planted, _provenance,
    )  # fmt: skip
    return [section for make in made if (section := make(audit)) is not None]


def _planted(audit: Audit) -> Section | None:
    frame = audit.frames["planted"]
    if not frame.height:
        return None
    rows = [
        [_name(kind), _count(planted), _count(found), Cell(share(found, planted), found / planted if planted else 0),
         _count(alarms)]
        for kind, planted, found, alarms in frame.iter_rows()
    ]  # fmt: skip
    columns = [("kind", False), ("planted", True), ("found", True), ("share", True), ("false alarms", True)]
    lead = "What was hidden in the input on purpose, and how much of it the line found."
    return Section("planted", "Planted and found", lead, tables=[Table("Planted and found", columns, rows)])


def _funnel(audit: Audit) -> Section | None:
    totals, funnel = audit.frames["totals"], audit.frames["funnel"]
    if not totals.height:
        return None
    classes = _step_classes(funnel)
    rows = []
    for row in totals.iter_rows(named=True):
        own = funnel.filter(pl.col("source") == row["source"])
        cells = [_name(row["source"])]
        cells.append(Cell(charts.bar(_funnel_parts(own, classes)), row["documents_kept"] / row["documents_in"], "wide"))
        cells.append(
            Cell(share(row["documents_kept"], row["documents_in"]), row["documents_kept"] / row["documents_in"])
        )
        names = ("documents_in", "documents_kept", "documents_dropped", "documents_quarantined")
        cells += [_count(row[name]) for name in names]
        cells += [_size(row["bytes_in"]), _size(row["bytes_out"]), _count(row["tokens_in"]), _count(row["tokens_out"])]
        rows.append(cells)
    sums = {name: int(totals[name].sum()) for name in totals.columns if name != "source"}
    all_parts = charts.bar(_funnel_parts(funnel, classes))
    total = [
        Cell("all sources"), Cell(all_parts), Cell(share(sums["documents_kept"], sums["documents_in"])),
        *[_count(sums[f"documents_{name}"]) for name in ("in", KEPT, "dropped", QUARANTINED)],
        _size(sums["bytes_in"]), _size(sums["bytes_out"]), _count(sums["tokens_in"]), _count(sums["tokens_out"]),
    ]  # fmt: skip
    columns = [("source", False), ("documents", False), ("kept", True), ("in", True), ("kept", True), ("dropped", True)]
    columns += [("quarantined", True), ("bytes in", True), ("out", True), ("tokens in", True), ("out", True)]
    gone = funnel.filter(pl.col("fate") != KEPT).sort("documents", "source", "reason", descending=[True, False, False])
    reasons = [
        [_name(row["reason"] or "–"), _count(row["documents"]), _size(row["bytes"]), _count(row["tokens"]),
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


def _edits(audit: Audit) -> Section | None:
    frame = audit.frames["edits"]
    if not frame.height:
        return None
    rows = [
        [_name(kind), Cell(source), _count(documents), _size(removed), _size(added), Cell(signed(net), net)]
        for source, kind, documents, removed, added, net in frame.iter_rows()
    ]
    columns = [("edit", False), ("source", False), ("documents changed", True), ("removed", True), ("added", True)]
    columns.append(("net bytes", True))
    lead = "What changed inside the documents that were kept. Bytes out = bytes in + the net of all edits."
    return Section("edits", "Edits", lead, tables=[Table("Bytes by kind of edit", columns, rows)])


def _pii(audit: Audit) -> Section | None:
    frame = audit.frames["pii"]
    if not frame.height:
        return None
    largest = int(frame.group_by("type").agg(pl.col("values").sum())["values"].max())  # type: ignore[arg-type]
    colours = _colours(audit)
    rows = []
    for kind, own in _by(frame.sort("type"), "type"):
        values = int(own["values"].sum())
        parts = [
            (source, float(number), f"s{colours[source]}") for source, number in own.select("source", "values").rows()
        ]
        by_source = ", ".join(f"{source} {count(number)}" for source, number in own.select("source", "values").rows())
        rows.append(
            [_name(kind), Cell(charts.bar(parts, whole=largest), values, "wide"), _count(values),
             _count(int(own["documents"].sum())), Cell(by_source)]
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


def _duplicates(audit: Audit) -> Section | None:
    frame = audit.frames["duplicates"]
    if not frame.height:
        return None
    rows = [
        [_name(source), Cell(keeper or "–"), Cell(kind), _count(documents), _size(nbytes), _count(tokens)]
        for source, keeper, kind, documents, nbytes, tokens in frame.iter_rows()
    ]
    columns = [("repeats in", False), ("of a document in", False), ("kind", False), ("documents", True)]
    columns += [("bytes", True), ("tokens", True)]
    largest = [
        [Cell(cluster, cluster, "id"), _count(documents), _count(kept), Cell(sources), _size(nbytes)]
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


def _tokens(audit: Audit) -> Section | None:
    frame = audit.frames["tokens"]
    if not frame.height:
        return None
    rows = [
        [_name(source), Cell(split), Cell(language), _count(documents), _count(tokens), _size(nbytes),
         Cell(decimal(nbytes / tokens, 2) if tokens else "–", nbytes / tokens if tokens else 0),
         _count(median), _count(p95), _count(longest)]
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


def _mixture(audit: Audit) -> Section | None:
    frame, planned = audit.frames["mixture"], audit.frames["planned"]
    if not frame.height and not planned.height:
        return None
    colours = _colours(audit)
    figures = []
    for run, own in _by(audit.frames["mixture_steps"], "run"):
        chart = charts.areas(_shares(own, colours), title=f"Mixture of {run}", x="step", y="share of tokens")
        figures.append(Figure(f"{run}: share of each source in the tokens trained", chart))
    tables = []
    if planned.height:
        rows = [
            [
                _name(source),
                Cell(plan),
                Cell(role or "–"),
                _count(sequences),
                _count(tokens),
                Cell(share(part), part),
                Cell(decimal(epochs, 2), epochs),
            ]
            for plan, source, role, sequences, tokens, epochs, part in planned.iter_rows()
        ]
        columns = [("source", False), ("plan", False), ("role", False), ("sequences", True), ("tokens", True)]
        tables.append(Table("Planned over the whole plan", [*columns, ("share", True), ("epochs", True)], rows))
    if frame.height:
        rows = [
            [_name(row["source"]), Cell(row["run"]), Cell(row["role"] or "–"), _count(row["planned_tokens"]),
             _count(row["realised_tokens"]), Cell(signed(row["difference"]), row["difference"],
             "" if row["difference"] == 0 else "bad"), Cell(share(row["share"]), row["share"])]
            for row in frame.iter_rows(named=True)
        ]  # fmt: skip
        columns = [("source", False), ("run", False), ("role", False), ("planned", True), ("realised", True)]
        columns += [("difference", True), ("share", True)]
        tables.append(Table("Planned and realised tokens, over the steps that were finished", columns, rows))
    lead = "The mixture is compiled, not sampled: what was trained is what was planned, to the token."
    return Section("mixture", "Mixture", lead, figures, tables)


def _shares(own: pl.DataFrame, colours: dict[str, int]) -> list[Line]:
    """The share of each source in the tokens of every step, a source that a step leaves out being 0."""
    seen = {(step, source): tokens for step, source, tokens in own.select("step", "source", "realised_tokens").rows()}
    whole = dict(own.group_by("step").agg(pl.col("realised_tokens").sum()).sort("step").iter_rows())
    return [
        Line(source, [(step, seen.get((step, source), 0) / (tokens or 1)) for step, tokens in whole.items()],
             colours[source])
        for source in own["source"].unique().sort()
    ]  # fmt: skip


def _losses(audit: Audit) -> Section | None:
    if not audit.frames["losses"].height:
        return None
    colours = _colours(audit)
    figures = []
    for run, own in _by(audit.frames["losses"], "run"):
        series = [Line(source, _points(part, "loss"), colours[source]) for source, part in _by(own, "source")]
        chart = charts.lines(series, title=f"Training loss of {run}", x="step", y="nats per token")
        figures.append(Figure(f"{run}: training loss by source", chart))
    rates = [
        Line(run, _points(own, "lr", 1e6), index) for index, (run, own) in enumerate(_by(audit.frames["steps"], "run"))
    ]
    chart = charts.lines(rates, title="Learning rate", x="step", y="learning rate × 1,000,000", zero=True)
    figures.append(Figure("Learning rate", chart))
    lead = "Loss of the batches as they were trained, in nats per predicted token."
    return Section("training", "Training", lead, figures)


def _forgetting(audit: Audit) -> Section | None:
    frame = audit.frames["forgetting"]
    if not frame.height:
        return None
    runs = frame["run"].unique().sort().to_list()
    colour = {run: index for index, run in enumerate(runs)}
    ordered = frame.sort(ROLE_ORDER, "set", "run")
    points = [
        (name, run, delta, error or 0.0, colour[run])
        for name, run, delta, error in ordered.select("set", "run", "delta", "delta_se").iter_rows()
        if delta is not None
    ]
    figures = [
        Figure(
            "Change of bits per byte at the last evaluation, with a 95% interval paired by document; left is better",
            charts.intervals(
                points, title="Change of bits per byte against the base model", x="bits per byte against step 0"
            ),
        )
    ]
    for name, own in _by(audit.frames["evaluations"].sort("set", "run", "step"), "set"):
        series = [Line(run, _points(part, "bits_per_byte"), colour[run]) for run, part in _by(own, "run")]
        chart = charts.lines(series, title=f"Bits per byte on {name}", x="step", y="bits per byte")
        figures.append(Figure(f"{name}: bits per byte", chart))
    rows = [
        [_name(row["set"]), Cell(row["role"] or "–"), Cell(row["run"]), _decimal(row["before"]), _decimal(row["after"]),
         Cell(change(row["delta"], row["delta_se"]), row["delta"]), Cell(change(row["highest"]), row["highest"]),
         _count(row["documents"])]
        for row in ordered.iter_rows(named=True)
    ]  # fmt: skip
    columns = [
        ("set", False),
        ("role", False),
        ("run", False),
        ("before", True),
        ("after", True),
        ("change ± se", True),
    ]
    columns += [("highest on the way", True), ("documents", True)]
    tables = [Table("Bits per byte before and after", columns, rows)]
    gates = audit.frames["gates"]
    if gates.height:
        rows = [
            [_name(run), Cell(count(step), step), Cell(name), Cell(change(rise), rise), _decimal(epsilon),
             Cell(action, action, "" if action == "pass" else "bad"), _count(best)]
            for run, step, name, rise, epsilon, action, best in gates.iter_rows()
        ]  # fmt: skip
        columns = [("run", False), ("step", True), ("set", False), ("rise", True), ("bound", True), ("gate", False)]
        tables.append(Table("The forgetting gate", [*columns, ("best step", True)], rows))
    lead = "Held-out text of every source, before training and after. A positive change is knowledge lost."
    legend = [(run, f"s{index}") for run, index in colour.items()]
    return Section("forgetting", "Learned and forgotten", lead, figures, tables, legend)


def _provenance(audit: Audit) -> Section | None:
    frame = audit.frames["provenance"]
    tables = []
    if frame.height:
        top = pl.col("artefact").str.split("/")
        grouped = frame.height > FOLDERS_LISTED
        folded = pl.when(grouped & (top.list.len() > 2)).then(pl.format("{}/…", top.list.head(2).list.join("/")))
        shown = (
            frame.with_columns(folded.otherwise("artefact").alias("artefact"))
            .group_by("artefact", "kind", maintain_order=True)
            .agg(pl.len(), pl.col("files").sum(), pl.col("bytes").sum(), pl.col("fingerprint").first())
        )
        rows = [
            [_name(folder), Cell(kind), _count(units), _count(files), _size(nbytes),
             Cell(fingerprint[:16] if units == 1 and fingerprint else "–", fingerprint, "id")]
            for folder, kind, units, files, nbytes, fingerprint in shown.iter_rows()
        ]  # fmt: skip
        columns = [("artefact", False), ("kind", False), ("folders", True), ("files", True), ("bytes", True)]
        tables.append(Table("What was published", [*columns, ("fingerprint", False)], rows))
    if audit.frames["run_settings"].height:
        rows = [[_name(run), Cell(key), Cell(value)] for run, key, value in audit.frames["run_settings"].iter_rows()]
        tables.append(Table("How the runs were started", [("run", False), ("setting", False), ("value", False)], rows))
    rows = [[_name(package), Cell(version)] for package, version in audit.frames["packages"].iter_rows()]
    tables.append(Table("Packages where this report was made", [("package", False), ("version", False)], rows))
    lead = "An artefact is a function of its inputs, settings, models and code; the fingerprint says which."
    return Section("provenance", "Provenance", lead, tables=tables)


def _colours(audit: Audit) -> dict[str, int]:
    """One colour per source throughout the page."""
    names: set[str] = set()
    for frame, column in (("totals", "source"), ("planned", "source"), ("mixture", "source"), ("losses", "source")):
        names |= set(audit.frames[frame][column].to_list())
    return {name: index % charts.COLOURS for index, name in enumerate(sorted(names))}


def _by(frame: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    for (key,), rows in frame.group_by(column, maintain_order=True):
        yield str(key), rows


def _points(frame: pl.DataFrame, column: str, scale: float = 1.0) -> list[tuple[float, float]]:
    rows = frame.select("step", column).drop_nulls().sort("step").iter_rows()
    return [(float(step), value * scale) for step, value in rows]


def _name(text: str) -> Cell:
    return Cell(text, text)


def _count(value: int | None) -> Cell:
    return Cell(count(value), value)


def _size(value: int | None) -> Cell:
    return Cell(size(value), value)


def _decimal(value: float | None) -> Cell:
    return Cell(decimal(value), value)
