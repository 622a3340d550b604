"""Found of planted: what the line made of every fault whose truth is known.

    duplicates          the pair was measured to be one cluster, and not both of it stayed (an edit that broke a file's
                        syntax lets the code rule drop it first)
    foreign language    dropped by the step "language"
    identity            the value stands in no text that was published, kept or dropped, and something was removed
    mojibake            the broken words can be read again, and their broken forms are gone
    broken record       quarantined
    empty text          dropped at reading
    gibberish           dropped, and not as empty or duplicate

A false alarm is a document without any plant that met the same fate, where the demo's text is known to hold no such
fault; where real text may hold it (a real duplicate, a real e-mail address) the count is null.
"""

import unicodedata
from pathlib import Path

import polars as pl

from corpus.artifact import read_parquet, write_parquet
from corpus.ledger import Ledger

PLACE = ["source", "file", "position"]
NEVER_REAL = ("SSN", "CREDIT_CARD", "RECORD_NUMBER")
_DUPLICATES = {"exact duplicate", "near-duplicate"}
_SCHEMA = pl.Schema({"kind": pl.String, "planted": pl.Int64, "found": pl.Int64, "false_alarms": pl.Int64})


def score_planted(truth: Path, workspace: Path) -> pl.DataFrame:
    """(kind, planted, found, false_alarms) by kind; also written to `<workspace>/planted.parquet`.

    Reads the ledger and the published texts of `<workspace>/corpus`. Raises ArtifactError when they are not there.
    """
    corpus = workspace / "corpus"
    ledger = Ledger.read(*sorted((corpus / "ledger").rglob("*.parquet"))).frame
    planted = pl.DataFrame(pl.from_arrow(read_parquet(truth)))
    judged = judge(planted, ledger, _texts(corpus, planted.join(ledger, on=PLACE)["id"]))
    scores = judged.group_by("kind").agg(pl.len().cast(pl.Int64).alias("planted"), pl.col("found").cast(pl.Int64).sum())
    alarms = false_alarms(planted, ledger)
    table = scores.with_columns(
        pl.col("kind").replace_strict(alarms, default=None, return_dtype=pl.Int64).alias("false_alarms")
    ).sort("kind")
    table = table.cast(_SCHEMA).select(_SCHEMA.names())
    write_parquet(workspace / "planted.parquet", table.to_arrow())
    return table


def judge(planted: pl.DataFrame, ledger: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """(kind, found) of every planted fault. `texts` has id and text, a row for each published text of a document."""
    fates = ledger.select(*PLACE, "id", "fate", "step", "cluster", "pii")
    partners = fates.select(
        "source",
        pl.col("file").alias("partner_file"),
        pl.col("position").alias("partner_position"),
        *(pl.col(name).alias(f"partner_{name}") for name in ("fate", "cluster")),
    )
    published = texts.group_by("id").agg(pl.col("text").str.join("\n"))
    rows = (
        planted.join(fates, on=PLACE, how="left")
        .join(partners, on=["source", "partner_file", "partner_position"], how="left")
        .join(published, on="id", how="left")
    )
    kinds, found = [], []
    for row in rows.iter_rows(named=True):
        kinds.append(f"{row['kind']}: {row['detail']}" if row["kind"] in {"identity", "gibberish"} else row["kind"])
        found.append(row["fate"] is not None and _was_found(row))
    return pl.DataFrame({"kind": kinds, "found": found}, schema={"kind": pl.String, "found": pl.Boolean})


def _was_found(row: dict) -> bool:
    kind = row["kind"]
    if kind in _DUPLICATES:
        together = row["cluster"] is not None and row["cluster"] == row["partner_cluster"]
        return together and {row["fate"], row["partner_fate"]} != {"kept"}
    if kind == "foreign language":
        return row["step"] == "language"
    if kind == "identity":
        return bool(row["pii"]) and row["value"] not in (row["text"] or "")
    if kind == "mojibake":
        return row["text"] is not None and _is_repaired(row["text"], row["value"].split("\n"))
    if kind == "broken record":
        return row["fate"] == "quarantined"
    if kind == "empty text":
        return row["fate"] == "dropped" and row["step"] == "read"
    if kind == "gibberish":
        return row["fate"] == "dropped" and row["step"] not in {"read", "duplicates"}
    raise ValueError(f"no rule for planted {kind}")


def _is_repaired(text: str, words: list[str]) -> bool:
    text = unicodedata.normalize("NFC", text)
    return all(word in text and word.encode().decode("cp1252", "ignore") not in text for word in words)


def false_alarms(planted: pl.DataFrame, ledger: pl.DataFrame) -> dict[str, int]:
    """False alarms by kind, for the kinds that the demo's text holds no case of but the planted ones."""
    clean = ledger.join(planted, on=PLACE, how="anti")
    judged_gibberish = clean.filter(pl.col("step") == "perplexity").height
    alarms = {
        "foreign language": clean.filter(pl.col("step") == "language").height,
        "broken record": clean.filter(pl.col("fate") == "quarantined").height,
        "empty text": clean.filter((pl.col("fate") == "dropped") & (pl.col("step") == "read")).height,
        "gibberish: words in random order": judged_gibberish,
    }
    removed = ledger.select(*PLACE, pl.col("pii").alias("entry")).explode("entry").drop_nulls("entry").unnest("entry")
    put_in = planted.filter(pl.col("kind") == "identity").group_by(*PLACE, pl.col("detail").alias("key")).len("planted")
    surplus = removed.join(put_in, on=[*PLACE, "key"], how="left").with_columns(
        (pl.col("value").cast(pl.Int64) - pl.col("planted").fill_null(0).cast(pl.Int64))
        .clip(lower_bound=0)
        .alias("surplus")
    )
    for type in NEVER_REAL:
        alarms[f"identity: {type}"] = int(surplus.filter(pl.col("key") == type)["surplus"].sum())
    return alarms


def _texts(corpus: Path, ids: pl.Series) -> pl.DataFrame:
    """id and text of the documents `ids` in the kept shards and in those of dropped documents, where there are any."""
    shards = [path for part in ("data", "dropped") for path in sorted((corpus / part).rglob("*.parquet"))]
    wanted = pl.DataFrame({"id": ids.unique()})
    frames = [pl.DataFrame(pl.from_arrow(read_parquet(path, columns=["id", "text"]))) for path in shards]
    empty = pl.DataFrame(schema={"id": pl.String, "text": pl.String})
    return pl.concat([empty, *(frame.join(wanted, on="id", how="semi").cast(empty.schema) for frame in frames)])
