"""What the report says, section by section: plain values and charts made from an audit's frames.

A section without anything to say is left out. The template only lays out what is here; the frames themselves are
published beside the page as parquet.
"""

import polars as pl

from pipelines.audit.everything import Audit
from pipelines.report import corpus_sections, run_sections, token_sections, training_sections
from pipelines.report.numbers import change, compact, count, decimal, share, size
from pipelines.report.parts import Headline, Section, by
from pipelines.report.training_sections import ROLE_ORDER


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
    for name, rows in by(changes.sort(ROLE_ORDER, "set", "run"), "set"):
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
        corpus_sections.funnel, token_sections.tokens, token_sections.distributions, corpus_sections.edits,
        corpus_sections.pii, corpus_sections.duplicates, token_sections.samples, training_sections.mixture,
        training_sections.losses, training_sections.forgetting, run_sections.matrix, run_sections.system,
        training_sections.planted, training_sections.provenance,
    )  # fmt: skip
    return [section for make in made if (section := make(audit)) is not None]
