"""The sections about mixture, training, forgetting, the score of what was planted, and provenance."""

import math

import polars as pl

from pipelines.audit.everything import Audit
from pipelines.report import charts
from pipelines.report.charts import Line
from pipelines.report.numbers import change, count, decimal, paired, share, signed
from pipelines.report.parts import (
    Cell,
    Figure,
    Section,
    Table,
    by,
    count_cell,
    decimal_cell,
    name_cell,
    points_of,
    size_cell,
    source_colours,
)

FOLDERS_LISTED = 40
BLOCK = 64
ROLE_ORDER = pl.col("role").fill_null("~")  # domain, replay, sets that no plan names


def planted(audit: Audit) -> Section | None:
    frame = audit.frames["planted"]
    if not frame.height:
        return None
    rows = [
        [name_cell(kind), count_cell(planted), count_cell(found),
         Cell(share(found, planted), found / planted if planted else 0),
         count_cell(alarms)]
        for kind, planted, found, alarms in frame.iter_rows()
    ]  # fmt: skip
    columns = [("kind", False), ("planted", True), ("found", True), ("share", True), ("false alarms", True)]
    lead = "What was hidden in the input on purpose, and how much of it the line found."
    return Section("planted", "Planted and found", lead, tables=[Table("Planted and found", columns, rows)])


def mixture(audit: Audit) -> Section | None:
    frame, planned = audit.frames["mixture"], audit.frames["planned"]
    if not frame.height and not planned.height:
        return None
    colours = source_colours(audit)
    figures = []
    for run, own in by(audit.frames["mixture_steps"], "run"):
        realised = _shares(own, "realised_tokens", colours)
        planned_shares = _shares(own, "planned_tokens", colours) if own["planned_tokens"].null_count() == 0 else []
        chart = charts.areas(realised, bounds=planned_shares, title=f"Mixture of {run}", x="step", y="share of tokens")
        figures.append(Figure(f"{run}: tokens trained by source (areas) and as planned (dashed)", chart))
    tables = []
    if planned.height:
        rows = [
            [
                name_cell(source),
                Cell(plan),
                Cell(role or "–"),
                count_cell(sequences),
                count_cell(tokens),
                Cell(share(part), part),
                Cell(decimal(epochs, 2), epochs),
            ]
            for plan, source, role, sequences, tokens, epochs, part in planned.iter_rows()
        ]
        columns = [("source", False), ("plan", False), ("role", False), ("sequences", True), ("tokens", True)]
        tables.append(Table("Planned over the whole plan", [*columns, ("share", True), ("epochs", True)], rows))
    if frame.height:
        rows = [
            [name_cell(row["source"]), Cell(row["run"]), Cell(row["role"] or "–"), count_cell(row["planned_tokens"]),
             count_cell(row["realised_tokens"]), Cell(signed(row["difference"]), row["difference"],
             "" if row["difference"] == 0 else "bad"), Cell(share(row["share"]), row["share"]),
             Cell(decimal(row["epochs"], 2), row["epochs"]), count_cell(row["repeated_tokens"])]
            for row in frame.iter_rows(named=True)
        ]  # fmt: skip
        columns = [("source", False), ("run", False), ("role", False), ("planned", True), ("realised", True)]
        columns += [("difference", True), ("share", True), ("epochs", True), ("tokens seen before", True)]
        tables.append(Table("Planned and realised tokens, over the steps that were finished", columns, rows))
    lead = "The mixture is compiled, not sampled: what was trained is what was planned, to the token."
    return Section("mixture", "Mixture", lead, figures, tables)


def _shares(own: pl.DataFrame, column: str, colours: dict[str, int]) -> list[Line]:
    """The share of each source in the tokens of every block of steps. A block holds at least BLOCK sequences, or an
    eighth of a short run: quotas of a single small batch are whole sequences and jump by design."""
    steps = own["step"].n_unique()
    size = math.ceil(BLOCK * steps / max(int(own["realised_sequences"].sum()), 1))
    size = min(size, max(1, steps // 8))
    blocks = own.with_columns(((pl.col("step") - 1) // size).alias("block"))
    last = dict(blocks.group_by("block").agg(pl.col("step").max()).sort("block").iter_rows())
    whole = dict(blocks.group_by("block").agg(pl.col(column).sum()).iter_rows())
    sums = blocks.group_by("block", "source").agg(pl.col(column).sum())
    part = {(block, source): tokens for block, source, tokens in sums.iter_rows()}
    return [
        Line(source, [(step, part.get((block, source), 0) / (whole[block] or 1)) for block, step in last.items()],
             colours[source])
        for source in own["source"].unique().sort()
    ]  # fmt: skip


def losses(audit: Audit) -> Section | None:
    if not audit.frames["losses"].height:
        return None
    colours = source_colours(audit)
    figures = []
    for run, own in by(audit.frames["losses"], "run"):
        series = [Line(source, points_of(part, "loss"), colours[source]) for source, part in by(own, "source")]
        chart = charts.lines(series, title=f"Training loss of {run}", x="step", y="nats per token")
        figures.append(Figure(f"{run}: training loss by source", chart))
    rates = [
        Line(run, points_of(own, "lr", 1e6), index) for index, (run, own) in enumerate(by(audit.frames["steps"], "run"))
    ]
    chart = charts.lines(rates, title="Learning rate", x="step", y="learning rate × 1,000,000", zero=True)
    figures.append(Figure("Learning rate", chart))
    lead = "Loss of the batches as they were trained, in nats per predicted token."
    return Section("training", "Training", lead, figures)


def forgetting(audit: Audit) -> Section | None:
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
    for name, own in by(audit.frames["evaluations"].sort("set", "run", "step"), "set"):
        series = [Line(run, points_of(part, "bits_per_byte"), colour[run]) for run, part in by(own, "run")]
        chart = charts.lines(series, title=f"Bits per byte on {name}", x="step", y="bits per byte")
        figures.append(Figure(f"{name}: bits per byte", chart))
    rows = [
        [name_cell(row["set"]), Cell(row["role"] or "–"), Cell(row["run"]),
         decimal_cell(row["before"]), decimal_cell(row["after"]),
         Cell(paired(row["delta"], row["delta_se"]), row["delta"]), Cell(change(row["highest"]), row["highest"]),
         count_cell(row["documents"])]
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
            [name_cell(run), Cell(count(step), step), Cell(name), Cell(change(rise), rise), decimal_cell(epsilon),
             Cell(action, action, "" if action == "pass" else "bad"), count_cell(best)]
            for run, step, name, rise, epsilon, action, best in gates.iter_rows()
        ]  # fmt: skip
        columns = [("run", False), ("step", True), ("set", False), ("rise", True), ("bound", True), ("gate", False)]
        tables.append(Table("The forgetting gate", [*columns, ("best step", True)], rows))
    lead = "Held-out text of every source, before training and after. A positive change is knowledge lost."
    legend = [(run, f"s{index}") for run, index in colour.items()]
    return Section("forgetting", "Learned and forgotten", lead, figures, tables, legend)


def provenance(audit: Audit) -> Section | None:
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
            [name_cell(folder), Cell(kind), count_cell(units), count_cell(files), size_cell(nbytes),
             Cell(fingerprint[:16] if units == 1 and fingerprint else "–", fingerprint, "id")]
            for folder, kind, units, files, nbytes, fingerprint in shown.iter_rows()
        ]  # fmt: skip
        columns = [("artefact", False), ("kind", False), ("folders", True), ("files", True), ("bytes", True)]
        tables.append(Table("What was published", [*columns, ("fingerprint", False)], rows))
    if audit.frames["run_settings"].height:
        rows = [
            [name_cell(run), Cell(key), Cell(value)] for run, key, value in audit.frames["run_settings"].iter_rows()
        ]
        tables.append(Table("How the runs were started", [("run", False), ("setting", False), ("value", False)], rows))
    rows = [[name_cell(package), Cell(version)] for package, version in audit.frames["packages"].iter_rows()]
    tables.append(Table("Packages where this report was made", [("package", False), ("version", False)], rows))
    lead = "An artefact is a function of its inputs, settings, models and code; the fingerprint says which."
    return Section("provenance", "Provenance", lead, tables=tables)
