import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_training import VOCABULARY, FakeLoader, FakePlan, make_store  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_training import events, run_plan, settings, stop_at, weights  # noqa: E402
from tokenizers import Tokenizer, models  # noqa: E402

from corpus.artifact import content_hash  # noqa: E402
from corpus.errors import ArtifactError, ConfigError, TrainingError  # noqa: E402
from corpus.tokens.store import TokenizerIdentity, TokenStore  # noqa: E402
from mixing.batch import TokenBatch  # noqa: E402
from trainer.batches.first_batch import check_leak, check_rows  # noqa: E402
from trainer.checkpoints.checkpoint import TrainState, checkpoint_steps, prune  # noqa: E402
from trainer.checkpoints.writer import CheckpointWriter  # noqa: E402
from trainer.evaluation.gate import Best  # noqa: E402
from trainer.loop import train  # noqa: E402
from trainer.model.packed import PackedModel, load_causal  # noqa: E402
from trainer.model.vocabulary import extend_vocabulary  # noqa: E402
from trainer.record.throughput import flops_per_token, measured_flops  # noqa: E402
from trainer.spikes import SpikeSettings, spike_bound  # noqa: E402
from trainer.stopping import resume_command  # noqa: E402

SPIKES = SpikeSettings(window=16, deviations=6.0, least=0.5)


@given(st.lists(st.floats(0, 20), min_size=4, max_size=40))
def test_the_bound_of_a_spike_is_median_and_mad(losses: list[float]) -> None:
    bound = spike_bound(losses, SPIKES)
    recent = np.array(losses[-16:])
    spread = 1.4826 * np.median(np.abs(recent - np.median(recent)))
    assert bound == pytest.approx(float(np.median(recent) + max(6 * spread, 0.5)))


def test_before_a_quarter_of_the_window_nothing_is_a_spike() -> None:
    assert spike_bound([1.0, 1.0, 1.0], SPIKES) is None


class Spiky(FakeLoader):
    """The steps in `spikes` hold text without any pattern."""

    spikes: tuple[int, ...] = (24,)

    def batch(self, step: int) -> TokenBatch:
        plain = super().batch(step)
        if step not in self.spikes:
            return plain
        random = np.random.default_rng(step)
        ids = random.integers(0, VOCABULARY, plain.input_ids.shape)
        labels = np.where(plain.labels >= 0, np.concatenate([ids[:, 1:], ids[:, :1]], axis=1), plain.labels)
        return replace(plain, input_ids=ids, labels=labels)


@pytest.mark.slow
def test_a_loss_spike_is_passed_over_and_counted_and_one_that_stays_ends_the_run(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    plan = FakePlan(steps=28)
    changes: dict[str, Any] = {"spikes": {"window": 16, "deviations": 3, "least": 0.4}, "evaluate_every": 100}
    asked = settings(model_folder, checkpoint_every=100, learning_rate=0.02, **changes)
    loader = Spiky(plan)
    train(asked, plan, loader, evaluation, {"general"}, tmp_path / "once")
    skips = [line for line in events(tmp_path / "once") if line["event"] == "skip"]
    assert [(line["step"], line["skipped"]) for line in skips] == [(25, 1)]
    assert "above" in skips[0]["reason"]
    # Stopped in front of the spike and gone on, the run passes over the same step.
    halved = train(asked, plan, loader, evaluation, {"general"}, tmp_path / "halved", on_progress=stop_at(23))
    assert halved.reason == "signal"
    train(asked, plan, loader, evaluation, {"general"}, tmp_path / "halved")
    one, other = (weights(tmp_path / name / "model") for name in ("once", "halved"))
    assert all(torch.equal(one[key], other[key]) for key in one)

    class Turned(Spiky):
        spikes = tuple(range(24, 28))

    with pytest.raises(TrainingError, match="stays above what went before"):
        train(
            asked.model_copy(update={"max_skipped": 2}),
            plan,
            Turned(plan),
            evaluation,
            {"general"},
            tmp_path / "for-ever",
        )


def test_rows_whose_documents_leak_are_refused() -> None:
    batch = FakeLoader(FakePlan()).batch(0)
    check_rows(batch)
    cut = int(np.argmax(batch.document_ids[0] == 1))
    crossing, shifted, continued = batch.labels.copy(), batch.labels.copy(), batch.position_ids.copy()
    crossing[0, cut - 1] = batch.input_ids[0, cut]
    shifted[0, 0] = (batch.labels[0, 0] + 1) % VOCABULARY
    continued[0, cut:] += cut
    for changed, found in (
        ({"labels": crossing}, "another document"),
        ({"labels": shifted}, "not the next token"),
        ({"position_ids": continued}, "positions go on"),
    ):
        with pytest.raises(TrainingError, match=found):
            check_rows(replace(batch, **changed))


@pytest.mark.slow
def test_attention_across_documents_is_caught_on_the_first_batch(model_folder: Path) -> None:
    model = PackedModel(load_causal(model_folder, "sdpa"), precision="fp32", chunk=7).eval()
    batch, device = FakeLoader(FakePlan()).batch(0), torch.device("cpu")
    assert check_leak(model, batch, device) == 0
    alone = replace(batch, position_ids=np.tile(np.arange(16), (5, 1)), document_ids=np.zeros((5, 16), int))
    assert check_leak(model, alone, device) is None

    from leaking_model import Leaking

    with pytest.raises(TrainingError, match="see each other"):
        check_leak(Leaking(model.causal, precision="fp32", chunk=7), batch, device)


def tokenizer_of(folder: Path, words: int, moved: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    ids = {f"w{index}": index for index in range(words)}
    if moved:
        ids["w0"], ids["w1"] = 1, 0
    Tokenizer(models.WordLevel(ids, unk_token="w0")).save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.slow
def test_embeddings_grow_on_request_only_and_the_run_resumes(tmp_path: Path, model_folder: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(model_folder, base)
    tokenizer_of(base, VOCABULARY)
    wider = tokenizer_of(tmp_path / "wider", VOCABULARY + 3)
    identity = TokenizerIdentity(content_hash(wider / "tokenizer.json"), VOCABULARY + 3, 0)
    stores = {name: make_store(tmp_path / "tokens" / name, identity, 1, 3) for name in ("domain", "general")}
    with pytest.raises(TrainingError, match="do not fit the model's vocabulary"):
        run_plan(tmp_path / "refused", settings(base), stores)
    asked = settings(base, extended_tokenizer=str(wider))
    run_plan(tmp_path / "straight", asked, stores)
    run_plan(tmp_path / "halved", asked, stores, on_progress=stop_at(3))
    run_plan(tmp_path / "halved", asked, stores)
    one, other = (weights(tmp_path / name / "model") for name in ("straight", "halved"))
    assert one["model.embed_tokens.weight"].shape[0] == VOCABULARY + 3
    assert all(torch.equal(one[key], other[key]) for key in one)
    written = tmp_path / "straight" / "model" / "tokenizer.json"
    assert written.read_bytes() == (wider / "tokenizer.json").read_bytes()


@pytest.mark.slow
def test_new_rows_start_as_the_mean_and_a_moved_token_is_refused(tmp_path: Path, model_folder: Path) -> None:
    model = PackedModel(load_causal(model_folder, "sdpa"), precision="fp32", chunk=7)
    old = tokenizer_of(tmp_path / "old", VOCABULARY)
    before = model.causal.get_input_embeddings().weight.detach().clone()
    extend_vocabulary(model, old, tokenizer_of(tmp_path / "new", VOCABULARY + 2))
    after = model.causal.get_input_embeddings().weight
    assert torch.equal(after[:VOCABULARY], before)
    assert torch.allclose(after[VOCABULARY:], before.mean(0).expand(2, -1), atol=1e-7)
    with pytest.raises(ConfigError, match="2 tokens with another id"):
        extend_vocabulary(model, old, tokenizer_of(tmp_path / "moved", VOCABULARY + 2, moved=True))


def test_a_writer_raises_what_its_job_raised_once() -> None:
    writer = CheckpointWriter(background=True)

    def full() -> None:
        raise OSError(28, "No space left on device", "/runs/x")

    writer.submit(full)
    with pytest.raises(ArtifactError, match="No space left"):
        writer.wait()
    writer.wait()
    done = threading.Event()
    writer.submit(done.set)
    writer.wait()
    assert done.is_set()


def test_training_goes_on_while_a_checkpoint_is_written_and_the_second_waits() -> None:
    writer, may, order = CheckpointWriter(background=True), threading.Event(), []

    def first() -> None:
        may.wait(10)
        order.append("first")

    writer.submit(first)
    order.append("trained on")
    may.set()
    writer.submit(lambda: order.append("second"))
    writer.wait()
    assert order == ["trained on", "first", "second"]


def published(run: Path, step: int, whole: bool = True) -> None:
    from corpus.artifact import publish

    with publish(run / f"step-{step:06d}", kind="k", function={"step": step}) as draft:
        (draft.path / "x").write_text("content")
    if not whole:
        (run / f"step-{step:06d}" / "x").write_text("cut")


def test_pruning_counts_whole_checkpoints_only_and_never_takes_the_best_or_the_last_whole_one(tmp_path: Path) -> None:
    for step, whole in ((1, True), (2, True), (3, True), (4, False), (5, False)):
        published(tmp_path, step, whole)
    prune(tmp_path, keep_last=1, best=Best(1, 0.5))
    assert checkpoint_steps(tmp_path) == [1, 3, 4, 5]  # 4 and 5 are damaged, newer, and not for pruning to judge
    published(tmp_path, 6)
    prune(tmp_path, keep_last=1, best=None)
    assert checkpoint_steps(tmp_path) == [6]
    published(tmp_path, 6, whole=False)
    prune(tmp_path, keep_last=1, best=None)
    assert checkpoint_steps(tmp_path) == [6]


def test_a_state_survives_its_file() -> None:
    state = TrainState(3, {"a": 5}, Best(2, 0.5), {"a": [1.0]}, 1, 0, [2.0, 3.0], 0.4, [(2, 0.3)], False)
    assert TrainState.from_json(state.to_json(plan="p")) == state


def test_the_resume_command_is_the_command_without_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(
        sys, "argv", ["/x/.venv/bin/provender", "train", "my recipe.yaml", "--restart", "--set", "seed=3"]
    )
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=None))
    assert resume_command() == "provender train 'my recipe.yaml' --set seed=3"
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name="pipelines.__main__")))
    assert resume_command() == "python -m pipelines train 'my recipe.yaml' --set seed=3"
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert resume_command().startswith(
        "torchrun --nnodes 2 --rdzv-endpoint '<host:port>' --nproc-per-node 2 -m pipelines"
    )


@pytest.mark.slow
def test_flops_are_six_per_weight_and_the_causal_half_of_attention(model_folder: Path) -> None:
    causal = load_causal(model_folder, "sdpa")
    config = json.loads((model_folder / "config.json").read_text())
    layers, width = config["num_hidden_layers"], config["hidden_size"]
    every = sum(parameter.numel() for parameter in causal.parameters())
    # Tied: the embedding is the head and counts once.
    assert flops_per_token(causal, 16) == 6 * every + 6 * layers * width * 16
    assert measured_flops(torch.device("cpu"), torch.float32) > 1e8
