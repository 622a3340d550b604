"""Which columns of the stages are measurements, where they lie, and what they are called beside the ledger."""

import pyarrow as pa

from corpus.document import BASE, EDIT

FOLDERS = ("annotate", "perplexity")  # whose files lie beside the ledger, row by row
UNSHOWN = ("dedup.", "cuts.spans", EDIT)  # columns that serve a stage; edits are in the ledger


def column_of(measurement: str) -> str:
    """`language.score` → `language_score`, as the annotations of a shard are called."""
    return measurement.replace(".", "_")


def is_shown(field: pa.Field) -> bool:
    """Whether a column of a unit is a measurement to show: no text, no edit, nothing that serves a stage alone."""
    plain = field.name in BASE.names or field.name == "token_count" or field.name.startswith(UNSHOWN)
    nested = pa.types.is_nested(field.type) and field.name != "deidentify.spans"
    return not (plain or nested)
