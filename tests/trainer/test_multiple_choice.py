import json
import math
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_training import VOCABULARY, FakeLoader, FakePlan  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

from corpus.errors import ConfigError, DataError  # noqa: E402
from trainer.evaluation.evaluate import score  # noqa: E402
from trainer.evaluation.lm_eval_hook import check_lm_eval, lm_eval_scores  # noqa: E402
from trainer.evaluation.multiple_choice import Task, answered, load_task  # noqa: E402
from trainer.model.packed import PackedModel, load_causal  # noqa: E402
from trainer.settings import LmEvalSettings, TaskSettings  # noqa: E402

QUESTIONS = [
    {"question": "w1 w2 w3", "choices": ["w4", "w9 w9"], "answer": 0},
    {"question": "w5", "choices": ["w6 w7", "w8", "w1 w2 w3"], "answer": 2},
    {"question": "w10 w11 " * 30, "choices": ["w12", "w13"], "answer": "w13"},
]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    words.save(str(path))
    return path


def write(path: Path, questions: list[Any]) -> TaskSettings:
    path.write_text("".join(json.dumps(each) + "\n" for each in questions))
    return TaskSettings(path=path)


def test_the_nats_of_a_choice_are_those_of_its_tokens_after_the_question(
    tmp_path: Path, tokenizer: Path, model_folder: Path
) -> None:
    task = load_task("t", write(tmp_path / "t.jsonl", QUESTIONS[:2]), tokenizer, 16)
    model = PackedModel(load_causal(model_folder, "sdpa"), precision="fp32", chunk=7).eval()
    nats = score(model, task.rows, batch=2, device=torch.device("cpu")).nats
    pairs = [([1, 2, 3], [4]), ([1, 2, 3], [9, 9]), ([5], [6, 7]), ([5], [8]), ([5], [1, 2, 3])]
    for found, (question, choice) in zip(nats, pairs, strict=True):
        with torch.no_grad():
            logits = model.causal(input_ids=torch.tensor([question + choice]), use_cache=False).logits[0]
        mine = logits.log_softmax(-1)[len(question) - 1 : -1].gather(1, torch.tensor(choice)[:, None])
        assert found == pytest.approx(-float(mine.sum()), rel=1e-5)
    assert task.right.tolist() == [0, 4] and task.question.tolist() == [0, 0, 1, 1, 1]


def test_a_question_too_long_for_a_row_loses_its_beginning(tmp_path: Path, tokenizer: Path) -> None:
    task = load_task("t", write(tmp_path / "t.jsonl", QUESTIONS), tokenizer, 16)
    assert task.rows.input_ids.shape[1] == 16
    assert task.rows.tokens == 1 + 2 + 2 + 1 + 3 + 1 + 1
    assert task.right.tolist() == [0, 4, 6]


def test_figures_of_a_task_by_hand() -> None:
    rows = types.SimpleNamespace(document_bytes=np.array([1, 10, 1, 1]))
    task = Task(rows, np.array([0, 0, 1, 1]), np.array([1, 2]))  # type: ignore[arg-type]
    found = answered(task, np.array([2.0, 3.0, 1.0, 1.0 + math.log(3)]))
    assert found["accuracy"] == 0.5 and found["accuracy_per_byte"] == 1.0
    first = math.exp(-3) / (math.exp(-2) + math.exp(-3))
    assert found["right_probability"] == pytest.approx((first + 0.75) / 2)
    assert found["accuracy_se"] == pytest.approx(0.5)
    one = answered(Task(rows, np.zeros(4, int), np.array([0])), np.ones(4))  # type: ignore[arg-type]
    assert one["accuracy_se"] is None


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"question": "q"}',
        '{"question": "q", "choices": ["a"], "answer": 0}',
        '{"question": "q", "choices": ["a", "b"], "answer": 2}',
        '{"question": "q", "choices": ["a", "b"], "answer": "c"}',
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, tokenizer: Path, line: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(QUESTIONS[0]) + "\n" + line + "\n")
    with pytest.raises(DataError, match=r"t\.jsonl:2"):
        load_task("t", TaskSettings(path=path), tokenizer, 16)


def test_no_file_and_no_tokenizer_are_said(tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.tasks\.mcq\.path"):
        load_task("mcq", TaskSettings(path=tmp_path / "none"), tokenizer, 16)
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        load_task("mcq", write(tmp_path / "t.jsonl", QUESTIONS), tmp_path / "nowhere" / "tokenizer.json", 16)


def test_lm_eval_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}
    harness, models_, hf = (
        types.ModuleType(name) for name in ("lm_eval", "lm_eval.models", "lm_eval.models.huggingface")
    )

    def simple_evaluate(**options: Any) -> dict[str, Any]:
        asked.update(options)
        return {"results": {"arc": {"alias": "arc", "acc,none": 0.25, "acc_norm,none": 0.5}}}

    harness.simple_evaluate = simple_evaluate  # type: ignore[attr-defined]
    hf.HFLM = lambda **options: options  # type: ignore[attr-defined]
    for module in (harness, models_, hf):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda folder: str(folder))
    settings = LmEvalSettings(tasks=("arc",), limit=3)
    found = lm_eval_scores("model", tmp_path, settings, batch=2)
    assert found == {"arc": {"acc": 0.25, "acc_norm": 0.5}}
    assert asked["tasks"] == ["arc"] and asked["limit"] == 3 and asked["model"]["pretrained"] == "model"


def test_lm_eval_that_is_not_installed_is_named() -> None:
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="pip install lm-eval"):
            check_lm_eval()


def test_tasks_are_evaluated_with_every_evaluation(
    tmp_path: Path, model_folder: Path, tokenizer: Path, evaluation: dict[str, Any]
) -> None:
    from test_training import events, run_plan, settings

    # The stores of these tests are made with the stand-in tokenizer, so the task brings the words' one by hand.
    task = write(tmp_path / "t.jsonl", QUESTIONS)
    import trainer.evaluation.scoring

    original = trainer.evaluation.scoring.load_task

    def with_words(name: str, asked: TaskSettings, path: Path, length: int) -> Task:
        return original(name, asked, tokenizer, length)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.evaluation.scoring, "load_task", with_words)
        asked = settings(model_folder, tasks={"words": task.model_dump()}, evaluate_every=2)
        run_plan(tmp_path / "run", asked, evaluation, plan=FakePlan(steps=4))
    found = [line for line in events(tmp_path / "run") if line["event"] == "tasks"]
    assert [line["step"] for line in found] == [0, 2, 4]
    assert all(line["tasks"]["words"]["questions"] == 3 for line in found)
    assert FakeLoader(FakePlan()).batch(0).input_ids.shape[1] == 16
