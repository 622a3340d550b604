"""`provender mix select` with what follows it: a model trained on the chosen documents, and the TAPT recipe."""

import json
from pathlib import Path
from random import Random

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread():
    """The models are tiny: threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def documents(words: str, count: int, seed: int) -> list[str]:
    """Texts of some 60 words in an order of their own: each word is followed by one of three."""
    random, known = Random(seed), words.split()
    follows = {word: Random(word).sample(known, 3) for word in known}
    made = []
    for _ in range(count):
        word, text = random.choice(known), []
        for _ in range(60):
            text.append(word)
            word = random.choice(follows[word])
        made.append(" ".join(text) + ".")
    return made


KINDS = {
    "medical": "patient heart blood pressure ward nurse fever dose therapy clinic lung renal acute chronic",
    "code": "def return self import class raise yield lambda while assert except finally global print",
    "general": "river harbour winter ship letter journey council market bridge evening shadow garden king army",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipelines.demo.model import tiny_model

    texts = [text for kind, words in KINDS.items() for text in documents(words, 20, 9)]
    return tiny_model(tmp_path_factory.mktemp("model"), texts, seed=1, vocabulary=400, hidden=32)


def test_training_on_the_selected_tenth_beats_a_random_tenth(model: Path, tmp_path: Path) -> None:
    """Three kinds of text that share no word, a task of one of them: the benchmark's own path must see it."""
    from benchmarks.selection import compare

    pool = {kind: documents(words, 200, seed) for seed, (kind, words) in enumerate(KINDS.items())}
    task = documents(KINDS["medical"], 60, 7)
    found = compare(tmp_path, task, pool, model, sequence_length=64, global_batch=4, learning_rate=3e-3, seeds=(0, 1))
    assert set(found) == {"random", "dsir", "moore_lewis"}
    assert 0.1 < found["random"].chosen["medical"] < 0.6
    for way in ("dsir", "moore_lewis"):
        assert found[way].chosen == {"medical": 1.0}
        gain, error = found[way].less_than(found["random"])
        assert gain > 3 * error > 0


def test_the_tapt_recipe_trains_on_the_task_and_what_is_nearest_to_it(model: Path, tmp_path: Path) -> None:
    from pipelines.recipe import load_recipe
    from pipelines.selection import select_documents
    from pipelines.stages import compile_mixture, prepare_corpus, train_model
    from trainer.record.metrics import read_metrics

    texts = {"task": documents(KINDS["medical"], 60, 7), "general": documents(KINDS["general"], 60, 8)}
    texts["pool"] = [text for seed, words in enumerate(KINDS.values()) for text in documents(words, 60, seed)]
    for name, held in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in held))
    chosen = tmp_path / "work/selection/main/chosen/pool.parquet"
    changes = {
        "workspace": tmp_path / "work",
        "tokenizer.path": model,
        **{
            f"corpus.sources.{place}.reader": f"{{kind: jsonl, path: {tmp_path / name}}}"
            for place, name in enumerate(("task", "pool", "general"))
        },
        "mix.sequence_length": 64,
        "mix.global_batch": 4,
        "corpus.validation": 0.2,  # of 60 texts
        "mix.steps": 90,
        "mix.sources.pool.packing.weights": chosen,
        "select.by.0.k": 3,
        "train.model": model,
        "train.learning_rate": 3e-3,
        "train.micro_batch": 4,
        "train.evaluation_tokens": 1000,
    }
    recipe = load_recipe("tapt", [f"{key}={value}" for key, value in changes.items()])
    prepare_corpus(recipe)
    select_documents(recipe)
    compile_mixture(recipe)
    result = train_model(recipe)
    assert result.reason == "finished"
    given = {source: tokens for source, tokens in result.tokens_by_source.items() if tokens}
    assert set(given) == {"task", "pool", "general"}
    evaluations = [e for e in read_metrics(tmp_path / "work/runs/main/metrics.jsonl") if e["event"] == "eval"]
    before, after = evaluations[0]["sets"]["task"], evaluations[-1]["sets"]["task"]
    assert after["perplexity"] < before["perplexity"]
