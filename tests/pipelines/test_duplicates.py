"""Duplicates through the whole preparation: a source more, the policy of a column, a cluster on the terminal."""

import json
import re
import shutil
from pathlib import Path
from random import Random

import polars as pl
import pytest
from as_a_user import provender
from generated_text import document

from corpus.dedup.cluster import DedupSettings
from corpus.dedup.curve import curve_of
from corpus.dedup.members import cluster_of
from corpus.errors import DataError
from pipelines.duplicates import differences

SOURCE = (
    "    - {{name: {name}, priority: {priority}, reader: {{kind: jsonl, path: {inputs}/{name}, metadata: [score]}}}}\n"
)
RECIPE = """\
name: copies
workspace: {workspace}
executor: {{workers: 1}}
tokenizer: {{path: {model}}}
corpus:
  unit_bytes: 4000
  sources:
{sources}  steps: [{{kind: repair}}, {{kind: quality}}]
  decide: []
"""


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources first, second, third: every third document of the later two is an exact or a near copy of the first's."""
    root = tmp_path_factory.mktemp("copies")
    random = Random(9)
    base = [document(random) for _ in range(24)]
    for shift, name in enumerate(("first", "second", "third")):
        texts = list(base) if not shift else [document(random) for _ in range(24)]
        if shift:
            texts[0::3] = base[0::3]
            texts[1::3] = [text.replace("the", "that", shift) for text in base[1::3]]
        (root / name).mkdir()
        for part in range(2):
            lines = [json.dumps({"text": text, "score": str(shift)}) for text in texts[12 * part : 12 * part + 12]]
            (root / name / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def write(copies: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("recipes")

    def recipe(name: str, *sources: str) -> Path:
        lines = (SOURCE.format(name=source, inputs=copies, priority=len(source)) for source in sources)
        path = root / f"{name}.yaml"
        path.write_text(RECIPE.format(workspace=root / name, model=tiny_model, sources="".join(lines)))
        return path

    return recipe


@pytest.fixture(scope="module")
def finished(write) -> Path:
    """The recipe of all three sources, prepared."""
    recipe = write("whole", "first", "second", "third")
    provender("corpus", recipe)
    return recipe


def decisions(workspace: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((workspace / "decisions").glob("*.parquet"))]).sort("id")


@pytest.mark.slow
def test_a_source_more_gives_what_a_full_run_gives_and_re_uses_the_signatures(finished: Path, write) -> None:
    recipe = write("grown", "first", "third")
    provender("corpus", recipe)
    workspace = recipe.with_suffix("")
    stored = [*workspace.glob("annotate/*/*/manifest.json"), *workspace.glob("dedup/keys/*/*/manifest.json")]
    before = {path: path.stat().st_mtime_ns for path in stored}
    assert len({path.parts[-4:-2] for path in before}) >= 4
    write("grown", "first", "second", "third")
    provender("corpus", recipe)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole = finished.with_suffix("")
    for name in ("clusters", "pairs"):
        paths = [folder / "duplicates" / f"{name}.parquet" for folder in (workspace, whole)]
        assert pl.read_parquet(paths[0]).equals(pl.read_parquet(paths[1]))
    assert decisions(workspace).equals(decisions(whole))
    assert decisions(whole).filter(pl.col("step") == "duplicates").height >= 30


@pytest.mark.slow
def test_a_cluster_is_shown_side_by_side(finished: Path) -> None:
    workspace = finished.with_suffix("")
    removed = decisions(workspace).filter(pl.col("duplicate_kind") == "near").row(0, named=True)
    cluster = cluster_of(workspace, removed["id"])
    by_id = {member.id: member for member in cluster.members}
    member = by_id[removed["id"]]
    assert (member.keeper, member.similarity) == (removed["duplicate_of"], removed["similarity"])
    assert cluster.members[0].id == removed["duplicate_of"] and cluster.members[0].fate == "kept"
    assert by_id[member.keeper].text != member.text
    shown = provender("corpus", "duplicates", finished, "--of", removed["id"][:12]).stdout
    assert removed["id"] in shown and removed["duplicate_of"] in shown
    assert f"near copy, similarity {removed['similarity']:.3f}" in shown
    assert re.search(r"\{[-+]\w*that", shown, re.I) and re.search(r"\{[-+]\w*the", shown, re.I)


@pytest.mark.slow
def test_a_document_without_a_cluster_says_so(finished: Path) -> None:
    workspace = finished.with_suffix("")
    alone = decisions(workspace).filter(pl.col("cluster").is_null())["id"][0]
    with pytest.raises(DataError, match="has no duplicate"):
        cluster_of(workspace, alone)
    unknown = provender("corpus", "duplicates", finished, "--of", "zzzz", check=False)
    assert unknown.returncode == 3 and "no document has this id" in unknown.stderr
    with pytest.raises(DataError, match="several documents"):
        cluster_of(workspace, "")


@pytest.mark.slow
def test_the_keep_policy_may_ask_a_column(finished: Path, write, tmp_path: Path) -> None:
    """Many lines beat few, in whatever source they are; nothing is measured again."""
    recipe = write("column", "first", "second", "third")
    shutil.copytree(finished.with_suffix(""), recipe.with_suffix(""))
    keep = "{order: [quality], quality: {column: quality.words, best: lowest}}"
    said = provender("corpus", recipe, "--set", f"corpus.keep={keep}").stderr
    assert re.search(r"duplicates +unchanged", said)
    frame = decisions(recipe.with_suffix(""))
    words = pl.concat(
        [
            pl.read_parquet(path, columns=["id", "quality.words"])
            for path in recipe.with_suffix("").glob("annotate/*/*/*.parquet")
        ]
    )
    removed = frame.filter(pl.col("step") == "duplicates").select("id", "duplicate_of").join(words, on="id")
    pairs = removed.join(words, left_on="duplicate_of", right_on="id")
    assert pairs.height >= 30 and (pairs["quality.words"] >= pairs["quality.words_right"]).all()
    wrong = provender("corpus", recipe, "--set", "corpus.keep.quality.column=quality.beauty", check=False)
    assert wrong.returncode == 2 and "quality.beauty" in wrong.stderr


def test_the_curve_is_printed_with_the_threshold(capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.duplicates import curve_table
    from pipelines.progress import table_console

    table_console().print(curve_table(curve_of(DedupSettings())))
    printed = capsys.readouterr().out
    assert "14 bands of 8 rows" in printed
    assert re.search(r"0\.80 .*0\.9235.*← threshold", printed)


def test_differences_show_both_sides_of_each_change() -> None:
    left = " ".join(f"w{number}" for number in range(100))
    right = left.replace("w50", "other").upper()
    (one, other), *more = differences(left, right)
    assert not more
    assert one.plain.split()[8] == "{-w50-}" and other.plain.split()[8] == "{+OTHER+}"
    assert len(one.plain.split()) == 17
    assert not list(differences(left, left.upper()))
