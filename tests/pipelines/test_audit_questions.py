"""Questions about one document, one step, samples, differences and SQL, on a generated workspace with a real plan."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from benchmarks.generated_workspace import generate
from corpus.errors import ConfigError, DataError
from corpus.tokens.counts import count_tokens
from corpus.tokens.store import TokenStore
from mixing.plan import MixturePlan
from pipelines.audit import batch_questions, token_questions
from pipelines.audit.differences import differences, settings
from pipelines.audit.document import life_of
from pipelines.audit.identities import IdIndex, repeated_ids
from pipelines.audit.samples import dropped
from pipelines.audit.verify import verify
from pipelines.audit.views import Views
from pipelines.audit.workspace import ledger_files
from pipelines.cli import app
from pipelines.report.answers import as_csv

DOCUMENTS, STEPS = 3_000, 20
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions") / "w"
    generate(folder, DOCUMENTS, steps=STEPS)
    return folder


@pytest.fixture(scope="module")
def ledger(workspace: Path) -> pl.DataFrame:
    return pl.concat(
        [pl.read_parquet(p, hive_partitioning=False) for own in ledger_files(workspace).values() for p in own]
    )


@pytest.fixture
def views(workspace: Path) -> Iterator[Views]:
    with Views(workspace) as opened:
        yield opened


def test_the_generated_workspace_adds_up(workspace: Path) -> None:
    assert [check for check in verify(workspace) if not check.passed] == []


def test_a_documents_life_is_its_row_its_tokens_and_every_step_that_trained_it(
    workspace: Path, ledger: pl.DataFrame
) -> None:
    plan = MixturePlan.load(workspace / "plans" / "main")
    for row in ledger.filter(pl.col("fate") == "kept").gather_every(400).iter_rows(named=True):
        life = life_of(workspace, row["id"])
        assert {name: life.facts[name] for name in ("file", "position", "reason", "bytes_in", "tokens_out")} == {
            name: row[name] for name in ("file", "position", "reason", "bytes_in", "tokens_out")
        }
        assert life.measurements["language.label"] == row["language"]
        assert life.edits == {entry["key"]: entry["value"] for entry in row["edits"]}
        store = TokenStore.open(workspace / "tokens" / row["source"] / "train")
        place = store.documents["id"].to_pylist().index(row["id"])
        assert life.store["document"] == place
        visits = plan.steps_of(row["source"], place, store)
        found = life.trained.select("step", "row", "from", "to", "epoch").rows()
        assert found == [(v.step + 1, v.row, v.start, v.stop, v.epoch) for v in visits]
        assert life.trained["trained"].to_list() == [True] * len(visits)


def test_a_dropped_document_says_why_and_a_copy_names_its_keeper(workspace: Path, ledger: pl.DataFrame) -> None:
    copy = ledger.filter(pl.col("duplicate_of").is_not_null()).row(0, named=True)
    life = life_of(workspace, copy["id"][:14])
    assert life.facts["fate"] == "dropped" and life.facts["reason"] == copy["reason"]
    assert life.facts["duplicate_of"].startswith(copy["duplicate_of"])
    assert copy["file"] in life.facts["duplicate_of"] and life.trained.height == 0


def test_the_index_finds_every_id_and_refuses_what_is_none(workspace: Path, ledger: pl.DataFrame) -> None:
    index = IdIndex.open(workspace)
    for id in ledger["id"].gather_every(97):
        place = index.find(id)
        assert pl.read_parquet(workspace / place.file, hive_partitioning=False)["id"][place.row] == id
    with pytest.raises(DataError, match="no document has this id"):
        index.find("0" * 32)
    with pytest.raises(DataError, match="not an id"):
        index.find("../../etc")
    assert repeated_ids([p for own in ledger_files(workspace).values() for p in own]) == 0


def test_repeated_ids_are_counted_exactly(tmp_path: Path, workspace: Path) -> None:
    path = ledger_files(workspace)["web"][0]
    table = pl.read_parquet(path, hive_partitioning=False)
    near = table["id"][0][:16] + "f" * 16  # as many first digits in common as the index holds
    twice = pl.concat([table, table.head(3), table.head(1).with_columns(id=pl.lit(near))])
    twice.write_parquet(tmp_path / "l.parquet")
    assert repeated_ids([tmp_path / "l.parquet"]) == 3


def test_a_step_holds_the_documents_of_its_rows(workspace: Path) -> None:
    found = batch_questions.step(workspace, 7)
    plan = MixturePlan.load(workspace / "plans" / "main")
    rows = plan.batch(6)
    documents = found["documents"]
    assert documents["tokens"].sum() == 32 * 128
    assert documents.group_by("row").agg(pl.col("tokens").sum())["tokens"].unique().to_list() == [128]
    assert [plan.names[i] for i in rows.source] == documents.unique("row", maintain_order=True)["source"].to_list()
    quotas = dict(zip(plan.names, plan.quotas(6).tolist(), strict=True))
    assert dict(found["sources"].select("source", "sequences").iter_rows()) == quotas
    assert found["sources"]["loss"].to_list() == [3.0] * 3
    some = documents.row(5, named=True)
    lived = life_of(workspace, some["document"]).trained
    assert lived.filter((pl.col("step") == 7) & (pl.col("row") == some["row"])).height >= 1
    with pytest.raises(ConfigError, match="no such step"):
        batch_questions.step(workspace, STEPS + 1)


def test_token_counts_are_those_of_the_corpus_floor(workspace: Path, views: Views) -> None:
    paths = [p for own in ledger_files(workspace).values() for p in own]
    counted = count_tokens(paths, ("source", "split", "language", "fate"))
    kept = counted.totals.filter(pl.col("fate") == "kept")
    ours = token_questions.tokens(views)
    assert (
        ours.select("source", "split", "language", "documents", "tokens").rows()
        == kept.select("source", "split", "language", "documents", "tokens").rows()
    )
    exact = counted.percentiles("tokens", token_questions.AT).filter(pl.col("fate") == "kept")
    assert ours.select("p5", "p50", "p99").rows() == exact.select("p5", "p50", "p99").rows()
    bands = token_questions.bands(views)
    histogram = count_tokens(paths, ("source",)).histogram("tokens").group_by("low").agg(pl.col("documents").sum())
    ours = bands.drop_nulls("length_band").group_by("length_band").agg(pl.col("documents").sum())
    assert dict(ours.iter_rows()) == dict(histogram.iter_rows())


def test_a_sample_of_drops_is_the_same_every_time_and_of_the_asked_reason(views: Views) -> None:
    first, again = (dropped(views, "near duplicate", sample=5) for _ in range(2))
    assert first.equals(again) and first["reason"].unique().to_list() == ["near duplicate"]
    assert not first.equals(dropped(views, "near duplicate", sample=5, seed=1))
    assert set(dropped(views, "language", sample=50)["step"]) == {"language"}
    with pytest.raises(DataError, match="no document was dropped for this reason") as caught:
        dropped(views, "too tired")
    assert "near duplicate" in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY ledger TO '/tmp/stolen.csv'",
        "DROP VIEW ledger",
        "CREATE TABLE t AS SELECT 1",
        "ATTACH '/tmp/other.db'",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "SELECT nonsense FROM ledger",
        "",
    ],
)
def test_sql_reads_the_views_and_nothing_else(views: Views, query: str) -> None:
    with pytest.raises(DataError):
        views.ask(query)


def test_sql_answers_over_all_views(views: Views, ledger: pl.DataFrame) -> None:
    views.with_training()
    kept = views.ask("SELECT source, count(*) AS n FROM corpus GROUP BY source ORDER BY source")
    expected = ledger.filter(pl.col("fate") == "kept").group_by("source").len().sort("source")
    assert kept.rows() == expected.rows()
    for view in ("ledger", "documents", "tokens", "plan", "planned", "mixture", "steps", "losses", "evaluations"):
        assert views.ask(f"SELECT count(*) AS n FROM {view}").height == 1


def test_the_difference_of_two_workspaces_is_what_was_changed(workspace: Path, tmp_path: Path) -> None:
    assert all(not frame.height for frame in differences(workspace, workspace).values())
    other = tmp_path / "b"
    shutil.copytree(workspace, other)
    path = ledger_files(other)["notes"][0]
    table = pl.read_parquet(path, hive_partitioning=False)
    kept = table["fate"].to_list().index("kept")
    rows = table.with_row_index().with_columns(
        fate=pl.when(pl.col("index") == kept).then(pl.lit("dropped")).otherwise("fate"),
        step=pl.when(pl.col("index") == kept).then(pl.lit("quality")).otherwise("step"),
        reason=pl.when(pl.col("index") == kept).then(pl.lit("too few words")).otherwise("reason"),
    )
    rows.drop("index").write_parquet(path)
    (other / "recipe.json").write_text(json.dumps({"name": "b", "corpus": {"decide": [{"rule": "length", "min": 3}]}}))
    found = differences(workspace, other)
    assert found["documents"].select("source", "was", "is", "documents").rows() == [
        ("notes", "kept, train", "dropped, quality: too few words", 1)
    ]
    assert ("notes", "documents_kept") in found["totals"].select("source", "figure").rows()
    assert found["settings"].rows() == [
        ("corpus.decide.length.min", None, "3"),
        ("corpus.decide.length.rule", None, "length"),
    ]


def test_a_step_put_between_two_others_renames_neither() -> None:
    steps = [{"kind": "repair"}, {"kind": "quality", "words": 3}]
    a, b = {"steps": steps}, {"steps": [steps[0], {"kind": "language"}, steps[1]]}
    assert settings(a, b).rows() == [("steps.language.kind", None, "language")]


def test_csv_runs_no_formula() -> None:
    hostile = ['=HYPERLINK("http://x","y")', "+1", "-1", "@x", "\t=1", "plain", '"onload="', "<script>"]
    rows = list(csv.reader(io.StringIO(as_csv(pl.DataFrame({"name": hostile, "=n": range(8)})))))
    assert rows[0] == ["name", "'=n"]
    assert [row[0] for row in rows[1:]] == [f"'{text}" if text[0] in "=+-@\t" else text for text in hostile]


def test_the_command_line_answers_as_text_json_and_parquet(
    workspace: Path, tmp_path: Path, ledger: pl.DataFrame
) -> None:
    run = CliRunner().invoke
    answer = json.loads(run(app, ["audit", "funnel", str(workspace), "--json"]).stdout)
    assert sum(row["documents"] for row in answer) == ledger.height
    assert run(app, ["audit", "funnel", str(workspace), "--parquet", str(tmp_path / "f.parquet")]).exit_code == 0
    assert pl.read_parquet(tmp_path / "f.parquet").to_dicts() == answer
    assert run(app, ["audit", "duplicates", str(workspace), "--csv", str(tmp_path / "d")]).exit_code == 0
    assert (tmp_path / "d" / "cluster_sizes.csv").read_text().startswith("size,clusters\n")
    for words in (["tokens"], ["pii"], ["why", ledger["id"][0]], ["step", "3"], ["dropped"], ["verify"]):
        done = run(app, ["audit", words[0], str(workspace), *words[1:]])
        assert done.exit_code == 0 and done.stdout.strip(), words


LOOK_UPS = """
import sys
from typer.testing import CliRunner
from pipelines.cli import app
workspace, id = sys.argv[1:]
for words in (["why", workspace, id], ["funnel", workspace], ["tokens", workspace], ["step", workspace, "3"]):
    assert CliRunner().invoke(app, ["audit", *words]).exit_code == 0, words
assert CliRunner().invoke(app, ["mix", "where", workspace, id]).exit_code == 0
print(*{name.split(".")[0] for name in sys.modules})
"""


def test_a_look_up_loads_no_model_code_and_no_compiler(workspace: Path, ledger: pl.DataFrame) -> None:
    id = ledger.filter(pl.col("fate") == "kept")["id"][7]
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UPS, workspace, id], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    heavy = {"torch", "transformers", "datatrove", "datasets", "numba", "scipy", "pandas", "fsspec", "jinja2"}
    assert heavy & set(done.stdout.split()) == set()
