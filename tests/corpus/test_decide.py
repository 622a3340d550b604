from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.artifact import write_parquet
from corpus.decide import DECISIONS, apply_rules, decisions_of, drop_duplicates, split_documents
from corpus.rules import Rule, at_least, at_most

RULES = [at_least("length", "short", "x.words", 10), at_most("lines", "long", "x.line", 5.5)]


def frame(words: list[int | None], lines: list[float | None], verdicts: list[str | None]) -> pl.DataFrame:
    columns = {"x.words": words, "x.line": lines, "step": verdicts, "reason": [v and "why" for v in verdicts]}
    schema = {"x.words": pl.Int32, "x.line": pl.Float32, "step": pl.String, "reason": pl.String}
    return pl.DataFrame(columns, schema=schema).with_columns(pl.int_range(pl.len()).cast(pl.String).alias("id"))


rows = st.lists(
    st.tuples(
        st.none() | st.integers(0, 20),
        st.none() | st.floats(0, 10, width=32),
        st.sampled_from([None, "quarantine", "read"]),
    ),
    max_size=30,
)


@given(rows)
def test_the_first_failing_rule_names_the_drop_and_every_row_has_one_fate(values):
    words, lines, verdicts = (list(column) for column in zip(*values, strict=True)) if values else ([], [], [])
    decided = apply_rules(frame(words, lines, verdicts), RULES)
    assert decided.height == len(values)
    for (word, line, verdict), row in zip(values, decided.iter_rows(named=True), strict=True):
        if verdict is not None:
            expected = ("quarantined" if verdict == "quarantine" else "dropped", verdict, "why")
        elif word is not None and word < 10:
            expected = ("dropped", "length", "short")
        elif line is not None and line > 5.5:
            expected = ("dropped", "lines", "long")
        else:
            expected = ("kept", None, None)
        assert (row["fate"], row["step"], row["reason"]) == expected


def test_the_detail_gives_value_and_bound():
    decided = apply_rules(frame([3, 12], [1.0, 7.25], [None, None]), RULES)
    assert decided["detail"].to_list() == ["3 < 10", "7.25 > 5.5"]


def test_without_rules_everything_readable_is_kept():
    assert apply_rules(frame([1], [9.0], [None]), [])["fate"].to_list() == ["kept"]


def test_a_rule_over_the_population_sees_all_rows_of_the_source():
    top = Rule("p", "top half", pl.col("x.words") > pl.col("x.words").median(), pl.lit("above the median"))
    decided = apply_rules(frame([1, 2, 3, 4], [0.0] * 4, [None] * 4), [top])
    assert decided["fate"].to_list() == ["kept", "kept", "dropped", "dropped"]


def test_a_copy_is_booked_with_its_keeper_and_a_dropped_document_keeps_its_own_reason():
    decided = apply_rules(frame([20, 20, 5], [1.0] * 3, [None] * 3), RULES)
    removals = pl.DataFrame(
        {"id": ["1"], "duplicate_of": ["0"], "kind": ["near"], "similarity": [0.91]},
        schema_overrides={"similarity": pl.Float32},
    )
    clusters = pl.DataFrame({"id": ["0", "1", "2"], "cluster": ["0", "0", "0"]})
    booked = drop_duplicates(decided, removals, clusters)
    assert booked["fate"].to_list() == ["kept", "dropped", "dropped"]
    assert booked["reason"].to_list() == [None, "near copy", "short"]
    assert booked["detail"].to_list() == [None, "similarity 0.91", "5 < 10"]
    assert booked["cluster"].to_list() == ["0", "0", "0"]


@given(st.integers(0, 5), st.floats(0, 0.9))
def test_the_members_of_a_cluster_fall_on_one_side_of_the_split(seed, share):
    ids = [f"{index:032x}" for index in range(60)]
    table = pl.DataFrame(
        {"id": ids, "cluster": [ids[i - i % 3] if i < 30 else None for i in range(60)], "source": "s", "fate": "kept"}
    )
    split = split_documents(table, {"s": share}, seed)
    sides = split.filter(pl.col("cluster").is_not_null()).group_by("cluster").agg(pl.col("split").n_unique())
    assert sides["split"].max() == 1
    assert share > 0 or split["split"].to_list() == ["train"] * 60


def test_the_held_out_share_is_near_the_asked_one_and_drops_have_no_split():
    ids = [f"{index:032x}" for index in range(4000)]
    fates = ["kept" if index % 2 else "dropped" for index in range(4000)]
    table = pl.DataFrame(
        {"id": ids, "cluster": None, "source": "s", "fate": fates}, schema_overrides={"cluster": pl.String}
    )
    split = split_documents(table, {"s": 0.1}, seed=3)
    held_out = (split["split"] == "validation").sum()
    assert 150 < held_out < 250  # 200 expected, standard deviation 13
    assert split.filter(pl.col("fate") == "dropped")["split"].null_count() == 2000


@settings(deadline=None)  # it writes files
@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=12), group=st.integers(1, 9))
def test_the_decisions_of_a_unit_are_those_of_its_rows(sizes: list[int], group: int) -> None:
    units = [unit for unit, size in enumerate(sizes) for _ in range(size)]
    rows = {"id": [str(row) for row in range(len(units))], "unit": units, "fate": ["kept"] * len(units)}
    table = pa.table([rows.get(field.name, [None] * len(units)) for field in DECISIONS], schema=DECISIONS)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "source.parquet"
        write_parquet(path, table.to_batches(max_chunksize=group), DECISIONS)
        for unit in range(len(sizes)):
            assert decisions_of(path, unit)["id"].to_pylist() == [str(r) for r, of in enumerate(units) if of == unit]
