"""The sections about tokens: counts by what a document is and became, and distributions before and after the line."""

import polars as pl

from pipelines.audit.everything import Audit
from pipelines.audit.token_questions import before_and_after, by_decision
from pipelines.report import charts
from pipelines.report.numbers import compact, decimal, share, significant
from pipelines.report.parts import Cell, Column, Figure, Section, Table, by, count_cell, name_cell, size_cell

LANGUAGES_SHOWN = 40
MEASURES_SHOWN = 16
BEFORE_AFTER = [("before: all that could be read", "before"), ("after: kept", "s0")]


def tokens(audit: Audit) -> Section | None:
    frame, bands = audit.frames["tokens"], audit.frames["bands"]
    if not bands.height:
        return None
    tables = []
    if frame.height:
        rows = [
            [name_cell(source), Cell(split), Cell(language), count_cell(documents), count_cell(tokens),
             size_cell(nbytes), Cell(decimal(nbytes / tokens, 2) if tokens else "–", nbytes / tokens if tokens else 0),
             Cell(decimal(mean, 1), mean), *[count_cell(value) for value in percentiles]]
            for source, split, language, documents, tokens, nbytes, mean, *percentiles in frame.iter_rows()
        ]  # fmt: skip
        columns: list[Column] = [("source", False), ("split", False), ("language", False), ("documents", True)]
        columns += [("tokens", True), ("bytes", True), ("bytes per token", True)]
        columns += [(name, True) for name in frame.columns[6:]]
        tables.append(Table("Kept tokens by source, split and language; percentiles per document", columns, rows))
    decided = by_decision(bands)
    whole = dict(decided.group_by("source").agg(pl.col("tokens").sum()).iter_rows())
    rows = [
        [name_cell(source), Cell(decision or "–"), count_cell(documents), size_cell(nbytes), count_cell(tokens),
         Cell(share(tokens, whole[source]), tokens / whole[source] if whole[source] else 0)]
        for source, decision, documents, nbytes, tokens in decided.iter_rows()
    ]  # fmt: skip
    columns = [("source", False), ("decision", False), ("documents", True), ("bytes in", True), ("tokens in", True)]
    tables.append(Table("Tokens by source and decision, as they came in", [*columns, ("share", True)], rows))
    for key, title in (("length_band", "length band (tokens)"), ("perplexity_band", "perplexity band"),
                       ("perplexity_bucket", "perplexity bucket")):  # fmt: skip
        rows = [
            [_band_cell(band), count_cell(before), count_cell(after), count_cell(tokens_before),
             count_cell(tokens_after), Cell(share(tokens_after, tokens_before), tokens_after / max(tokens_before, 1))]
            for band, before, after, tokens_before, tokens_after in before_and_after(bands, key).iter_rows()
        ]  # fmt: skip
        if rows:
            columns = [(title, not isinstance(rows[0][0].value, str)), ("documents before", True), ("after", True)]
            columns += [("tokens before", True), ("after", True), ("kept", True)]
            tables.append(Table(f"Tokens by {title}", columns, rows))
    lead = "Tokens of the text, without the end-of-text token that a token store puts after each document."
    return Section("tokens", "Tokens", lead, tables=tables)


def distributions(audit: Audit) -> Section | None:
    bands = audit.frames["bands"]
    if not bands.height:
        return None
    figures = []
    for key, title in (("length_band", "tokens per document"), ("perplexity_band", "perplexity")):
        bins = before_and_after(bands, key).select(key, "documents_before", "documents_after").rows()
        chart = charts.before_after(
            [(compact(low), before, after) for low, before, after in bins],
            title=f"Documents by {title}", x=f"{title}, from (bins double)", y="documents",
        )  # fmt: skip
        if chart:
            figures.append(Figure(f"Documents by {title}, before and after", chart))
    for name, own in list(by(audit.frames["quality"], "measure"))[:MEASURES_SHOWN]:
        label = name.replace("_", " ")
        chart = charts.before_after(
            [(significant(low, 3), before, after) for _, low, _, before, after in own.iter_rows()],
            title=f"Documents by {label}", x=label, y="documents",
        )  # fmt: skip
        figures.append(Figure(f"{label}, before and after", chart))
    languages = before_and_after(bands, "language").sort("documents_before", descending=True)
    most = int(languages["documents_before"].max() or 0)  # type: ignore[arg-type]
    rows = [
        [name_cell(language),
         Cell(charts.bar([("after", after, "s0"), ("not kept", before - after, "before")], whole=most), before, "wide"),
         count_cell(before), count_cell(after), count_cell(tokens_before), count_cell(tokens_after)]
        for language, before, after, tokens_before, tokens_after in languages.head(LANGUAGES_SHOWN).iter_rows()
    ]  # fmt: skip
    columns: list[Column] = [("language", False), ("documents", False), ("before", True), ("after", True)]
    columns += [("tokens before", True), ("after", True)]
    lead = "What the line changed: every readable document as it came in, and what of them was kept."
    tables = [Table("Languages before and after", columns, rows)]
    return Section("distributions", "Distributions", lead, figures, tables, BEFORE_AFTER)


def samples(audit: Audit) -> Section | None:
    frame = audit.frames["samples"]
    if not frame.height:
        return None
    rows = [
        [name_cell(reason or "–"), Cell(text or "–", text, "text"), Cell(detail or "–"), Cell(step), Cell(source),
         Cell(f"{file}, {position}"), Cell(id, id, "id")]
        for id, source, file, position, step, reason, detail, _, _, text in frame.iter_rows()
    ]  # fmt: skip
    columns: list[Column] = [("reason", False), ("beginning, masked", False), ("measured", False), ("step", False)]
    columns += [("source", False), ("file and record", False), ("document", False)]
    lead = (
        "Some of what each rule dropped. What looks like personal data is masked here once more, under the strictest "
        "profile. `audit: {samples: off}` in the recipe leaves texts out."
    )
    return Section("samples", "Samples of what was dropped", lead, tables=[Table("Dropped documents", columns, rows)])


def _band_cell(band: int | str) -> Cell:
    return Cell(str(band), band) if isinstance(band, str) else Cell(f"{band:,}", band)
