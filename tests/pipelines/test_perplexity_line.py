"""A recipe whose documents are measured by a causal transformer: through the whole line, buckets and all."""

import hashlib
import json
import math
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from generated_text import document
from typer.testing import CliRunner

from pipelines.cli import app

pytestmark = [pytest.mark.slow, pytest.mark.distributed]
CONTEXT, STRIDE = 24, 10
RECIPE = """\
name: measured
workspace: {workspace}
executor: {{workers: {workers}}}
tokenizer: {{path: {model}}}
corpus:
  validation: 0.1
  unit_bytes: 6000
  sources:
    - name: notes
      reader: {{kind: jsonl, path: {inputs}/notes}}
      perplexity: &own {{kind: causal_lm, model: {model}, context: 24, stride: 10}}
    - name: web
      reader: {{kind: jsonl, path: {inputs}/web}}
      perplexity: *own
  steps: [{{kind: repair}}, {{kind: language}}]
  perplexity_buckets: {{head: 0.25, middle: 0.75, over: corpus, per_language: false}}
  decide: [{{rule: perplexity, keep: [head, middle]}}]
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """Short documents of two sources in six files; a third of the words of every other one is scrambled."""
    root, random = tmp_path_factory.mktemp("texts"), Random(3)
    for source in ("notes", "web"):
        (root / source).mkdir()
        for part in range(3):
            lines = []
            for number in range(8):
                words = document(random).split()[:40]
                if number % 2:
                    words[::3] = ["".join(random.sample(word, len(word))) for word in words[::3]]
                lines.append(json.dumps({"text": " ".join(words)}) + "\n")
            (root / source / f"{part}.jsonl").write_text("".join(lines))
    return root


def prepare(stage: str, recipe: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["corpus", stage, str(recipe), *words])
    assert done.exit_code == 0, done.output
    return done.output


def written(folder: Path, texts: Path, model: Path, workers: int) -> Path:
    recipe = folder / "measured.yaml"
    recipe.write_text(RECIPE.format(workspace=folder / "w", inputs=texts, model=model, workers=workers))
    return recipe


@pytest.fixture(scope="module")
def finished(tmp_path_factory, texts, tiny_model) -> Path:
    recipe = written(tmp_path_factory.mktemp("one"), texts, tiny_model, 1)
    prepare("run", recipe)
    return recipe


def parts(recipe: Path, pattern: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((recipe.parent / "w").glob(pattern))])


def direct(model: Path, text: str) -> tuple[float, int]:
    """Perplexity by transformers alone: one forward pass a window, as its documentation of fixed-length models has it
    (labels outside of the new tokens are -100), weighted by the tokens each pass scored."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    ids = torch.tensor([[start, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
    total, scored, known, end = 0.0, 0, 1, min(CONTEXT, ids.shape[1])
    while known < ids.shape[1]:
        window = ids[:, max(0, end - CONTEXT) : end]
        labels = window.clone()
        labels[:, : window.shape[1] - (end - known)] = -100
        with torch.no_grad():
            mean = network(window, labels=labels).loss.item()
        total, scored = total + mean * (end - known), scored + end - known
        known, end = end, min(end + STRIDE, ids.shape[1])
    return math.exp(total / scored), scored


def test_values_are_those_of_transformers_weighted_by_tokens(finished, tiny_model):
    documents = parts(finished, "annotate/*/*/documents.parquet").select("id", "text", "source")
    measured = parts(finished, "perplexity/*/*/columns.parquet").join(documents, on="id").sort("id")
    assert measured.height == 48 and set(measured["source"]) == {"notes", "web"}
    for row in measured.gather_every(6).iter_rows(named=True):
        value, tokens = direct(tiny_model, row["text"])
        assert row["perplexity.tokens"] == tokens > CONTEXT
        assert row["perplexity.value"] == pytest.approx(value, rel=1e-4)


def expected(finished: Path, head: float, middle: float) -> dict[str, str]:
    measured = parts(finished, "perplexity/*/*/columns.parquet")
    ends = np.percentile(measured["perplexity.value"].to_numpy().astype(float), [100 * head, 100 * middle])
    places = np.searchsorted(ends, measured["perplexity.value"].to_numpy().astype(float), side="left")
    return dict(zip(measured["id"], np.array(["head", "middle", "tail"])[places], strict=True))


def test_buckets_are_stored_with_decisions_ledger_and_shards_and_decide_what_stays(finished):
    buckets = expected(finished, 0.25, 0.75)
    assert set(buckets.values()) == {"head", "middle", "tail"}
    for name in ("decisions/*.parquet", "corpus/ledger/*/*.parquet"):
        stored = parts(finished, name)
        assert dict(stored.select("id", "perplexity_bucket").iter_rows()) == buckets
    ledger = parts(finished, "corpus/ledger/*/*.parquet")
    tail = ledger.filter(pl.col("perplexity_bucket") == "tail")
    assert set(tail["reason"]) == {"perplexity tail"} and tail["detail"].str.contains(" > ").all()
    assert not ledger.filter(pl.col("perplexity_bucket") != "tail")["step"].is_in(["perplexity"]).any()
    assert ledger["language"].is_not_null().all()
    for shards in ("corpus/data/*/*.parquet", "corpus/dropped/*/*.parquet"):
        rows = parts(finished, shards).select("id", "annotations").unnest("annotations")
        assert rows.height and {row["id"]: row["perplexity_bucket"] for row in rows.iter_rows(named=True)} == {
            key: buckets[key] for key in rows["id"]
        }


def test_other_ends_are_decided_on_from_the_stored_columns(finished, texts, tmp_path):
    before = digests(finished)
    other = ("--set", "corpus.perplexity_buckets={head: 0.5, middle: 0.9, over: corpus, per_language: false}")
    raw = texts.rename(tmp_path / "away")
    try:
        prepare("decide", finished, *other)
        stored = parts(finished, "corpus/ledger/*/*.parquet")
        assert dict(stored.select("id", "perplexity_bucket").iter_rows()) == expected(finished, 0.5, 0.9)
        prepare("decide", finished)
    finally:
        raw.rename(texts)
    assert digests(finished) == before


def test_two_workers_give_the_same_bytes(finished, tmp_path, texts, tiny_model):
    recipe = written(tmp_path, texts, tiny_model, 2)
    prepare("run", recipe)
    assert digests(recipe) == digests(finished)


def digests(recipe: Path) -> dict[str, str]:
    root = recipe.parent / "w"
    paths = [path for stage in ("perplexity", "decisions", "corpus/data", "corpus/ledger") for path in
             sorted((root / stage).rglob("*.parquet"))]  # fmt: skip
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
