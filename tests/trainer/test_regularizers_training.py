"""Runs with each regularizer on: bitwise resume, and what each is for."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from fake_training import FakeLoader, FakePlan, OnlyDomain  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from test_training import events, run_plan, settings, stop_at, weights  # noqa: E402

from corpus.artifact import Manifest, content_hash  # noqa: E402
from corpus.errors import ConfigError, TrainingError  # noqa: E402
from corpus.tokens.store import TokenStore  # noqa: E402
from trainer.loop import train  # noqa: E402
from trainer.regularizers.assemble import cache_reference  # noqa: E402
from trainer.settings import TrainSettings  # noqa: E402

pytestmark = pytest.mark.slow

REGULARIZERS: dict[str, dict[str, Any]] = {
    "kl-sampled": {"kl": {"weight": 0.5, "on": "all", "sample": 0.4}},
    "kl-cached-forward": {"kl": {"weight": 0.5, "reference": "cached", "top_k": 8}},
    "kl-cached-reverse": {"kl": {"weight": 0.5, "reference": "cached", "top_k": 8, "direction": "reverse"}},
    "lora-kl-off": {"lora": {"rank": 4, "dropout": 0.1}, "kl": {"weight": 0.5, "on": "all", "reference": "lora_off"}},
    "ewc-loss": {"ewc": {"weight": 5.0, "fisher_tokens": 60, "apply": "loss"}},
    "das": {"das": {"importance_tokens": 60, "contrast": 0.1}},
    "das-gradient": {"das": {"importance_tokens": 60, "apply": "gradient"}},
    "freeze": {"freeze": {"embeddings": True, "layers": 1}},
    "ema-z": {"ema": {"decay": 0.7}, "z_loss": 1e-2},
    "all": {
        "kl": {"weight": 0.5, "on": "all", "direction": "reverse", "sample": 0.5},
        "ewc": {"weight": 5.0, "fisher_tokens": 60},
        "l2sp": 0.1,
        "das": {"importance_tokens": 60, "contrast": 0.1},
        "freeze": {"layers": 1},
        "ema": {"decay": 0.7},
        "z_loss": 1e-3,
    },
}


def prepare(asked: TrainSettings, run: Path) -> None:
    if asked.kl is not None and asked.kl.reference == "cached":
        plan = FakePlan()
        cache_reference(asked, plan, FakeLoader(plan), run, report=lambda progress: None)


@pytest.mark.parametrize("extra", REGULARIZERS.values(), ids=REGULARIZERS.keys())
def test_a_stopped_and_resumed_run_is_the_straight_run_bitwise(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore], extra: dict[str, Any]
) -> None:
    same_when_resumed(tmp_path, settings(model_folder, **extra), evaluation)


def test_so_is_the_run_of_a_stage_that_goes_on_from_what_the_stage_before_measured(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    """Online EWC, and the larger importance of DAS."""
    measured: dict[str, dict[str, Any]] = {
        "ewc": {"weight": 5.0, "fisher_tokens": 60},
        "das": {"importance_tokens": 60},
    }
    before = tmp_path / "before"
    run_plan(before, settings(model_folder, **measured), evaluation)
    measured["ewc"] |= {"previous": str(before / "fisher"), "decay": 0.5}
    measured["das"] |= {"previous": str(before / "importance")}
    same_when_resumed(tmp_path, settings(before / "model", **measured), evaluation)


def same_when_resumed(tmp_path: Path, asked: TrainSettings, evaluation: dict[str, TokenStore]) -> None:
    straight, halved = tmp_path / "straight", tmp_path / "halved"
    for run in (straight, halved):
        prepare(asked, run)
    run_plan(straight, asked, evaluation)
    assert run_plan(halved, asked, evaluation, on_progress=stop_at(3)).reason == "signal"
    run_plan(halved, asked, evaluation)
    for path in ("model/model.safetensors", "step-000006/model.safetensors", "step-000006/optimizer.safetensors"):
        one, other = load_file(straight / path), load_file(halved / path)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), path
    assert events(straight, without="checkpoint") == events(halved, without="checkpoint")


def test_a_lora_checkpoint_loads_as_a_plain_merged_model(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    from transformers import AutoModelForCausalLM

    from trainer.model.packed import build_model

    asked = settings(model_folder, lora={"rank": 4, "targets": ["q_proj", "down_proj"]})
    run_plan(tmp_path, asked, evaluation)
    folder = tmp_path / "step-000006"
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    adapted = build_model(model_folder, asked, "fp32", folder).eval()
    ids, positions = torch.arange(12)[None], torch.arange(12)[None]
    with torch.no_grad():
        ours = adapted.decode(ids, positions) @ adapted.head_weight.T
        theirs = plain(input_ids=ids, use_cache=False).logits
    assert float((ours - theirs).abs().max()) < 1e-5
    base, merged = weights(model_folder), weights(folder)
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert changed and all(name.endswith(("q_proj.weight", "down_proj.weight")) for name in changed)
    assert not list((tmp_path / "model").glob("adapter*"))
    trained = [name for name, weight in adapted.weights().items() if weight.requires_grad]
    assert trained and all(".lora_" in name for name in trained)


def test_the_model_without_its_adapters_is_the_frozen_copy(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    lines = []
    for reference in ("frozen", "lora_off"):
        kl = {"weight": 0.5, "on": "all", "reference": reference}
        run_plan(tmp_path / reference, settings(model_folder, lora={"rank": 4}, kl=kl), evaluation)
        lines.append([entry["kl"] for entry in events(tmp_path / reference) if entry["event"] == "step"])
    assert lines[0] == pytest.approx(lines[1], rel=1e-5, abs=1e-7)
    assert lines[0][-1] > 1e-4


def test_a_cache_of_every_token_is_the_frozen_copy_and_a_small_one_is_below_it(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    found = {}
    for name, extra in {
        "frozen": {},
        "whole": {"reference": "cached", "top_k": 63},
        "small": {"reference": "cached", "top_k": 4},
    }.items():
        asked = settings(model_folder, kl={"weight": 1e-6, "on": "all", **extra})
        prepare(asked, tmp_path / name)
        run_plan(tmp_path / name, asked, evaluation)
        found[name] = [entry["kl"] for entry in events(tmp_path / name) if entry["event"] == "step"]
    assert found["whole"] == pytest.approx(found["frozen"], rel=2e-2, abs=1e-5)
    assert all(small <= whole + 1e-5 for small, whole in zip(found["small"], found["whole"], strict=True))
    assert found["small"][-1] > 0.2 * found["frozen"][-1]


def test_a_reference_of_another_plan_model_or_k_is_refused(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    asked = settings(model_folder, kl={"weight": 0.5, "reference": "cached", "top_k": 4})
    prepare(asked, tmp_path)
    before = content_hash(tmp_path / "reference")
    prepare(asked, tmp_path)
    assert content_hash(tmp_path / "reference") == before
    manifest = Manifest.read(tmp_path / "reference")
    assert manifest.totals["rows"] == FakePlan().steps  # one replay row a step
    with pytest.raises(TrainingError, match=r"another plan[\s\S]*cache-reference"):
        run_plan(tmp_path, asked, evaluation, plan=FakePlan(fingerprint="another"))
    with pytest.raises(TrainingError, match="another top_k"):
        run_plan(tmp_path, settings(model_folder, kl={"reference": "cached", "top_k": 5}), evaluation)
    with pytest.raises(TrainingError, match="rows of this step are not in the cached reference"):
        run_plan(tmp_path, asked, evaluation, plan=FakePlan(steps=9))


def test_frozen_weights_stay_and_the_optimizer_keeps_nothing_for_them(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    freeze = {"embeddings": True, "layers": 1, "parameters": ["*.layers.1.mlp.*"]}
    run_plan(tmp_path, settings(model_folder, freeze=freeze), evaluation)
    base, trained = weights(model_folder), weights(tmp_path / "step-000006")
    changed = {name for name in base if not torch.equal(base[name], trained[name])}
    assert changed == {name for name in base if ".layers.1." in name and ".mlp." not in name} | {"model.norm.weight"}
    moments = load_file(tmp_path / "step-000006" / "optimizer.safetensors")
    assert {name.rpartition("/")[0] for name in moments} == changed
    for wrong, message in (
        ({"parameters": ["*.attention.*"]}, "no parameter has such a name"),
        ({"layers": 3}, "more layers"),
        ({"parameters": ["*"]}, "every weight is frozen"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_plan(tmp_path / "wrong", settings(model_folder, freeze=wrong), evaluation)


def test_the_average_is_what_is_evaluated_and_exported(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    plan = FakePlan(steps=3)
    asked = settings(model_folder, ema={"decay": 0.5}, checkpoint_every=1)
    run_plan(tmp_path, asked, evaluation, plan=plan)
    mean = weights(model_folder)
    for step in (1, 2, 3):
        now = weights(tmp_path / f"step-{step:06d}")
        mean = {name: 0.5 * mean[name] + 0.5 * now[name] for name in mean}
    exported = weights(tmp_path / "model")
    assert all(torch.allclose(exported[name], mean[name], atol=1e-6) for name in mean)
    assert not all(torch.allclose(exported[name], now[name], atol=1e-4) for name in mean)
    scored = [entry["sets"] for entry in events(tmp_path) if entry["event"] == "eval"][-1]
    again = settings(tmp_path / "model", evaluate_every=9)
    run_plan(tmp_path / "again", again, evaluation, plan=FakePlan(steps=1))
    first = next(entry["sets"] for entry in events(tmp_path / "again") if entry["event"] == "eval")
    for name, each in scored.items():
        assert first[name]["nats"] == pytest.approx(each["nats"], rel=1e-5)


def test_a_masked_unit_does_not_move_and_a_free_one_does(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    run_plan(tmp_path / "free", settings(model_folder, weight_decay=0), evaluation)
    run_plan(tmp_path / "held", settings(model_folder, weight_decay=0, das={"importance_tokens": 200}), evaluation)
    scores = load_file(tmp_path / "held" / "importance" / "importance.safetensors")
    base, free, held = (
        weights(folder) for folder in (model_folder, *(tmp_path / n / "model" for n in ("free", "held")))
    )
    unit = scores["model.layers.0.mlp.down_proj"]
    name = "model.layers.0.mlp.up_proj.weight"
    moved = [(trained[name] - base[name]).norm(dim=1) for trained in (free, held)]
    ratio = moved[1] / moved[0]
    most, least = unit.argmax(), unit.argmin()
    assert float(unit[most]) > 0.9
    assert float(ratio[most]) < 0.2 < 0.7 < float(ratio[least])


def test_online_ewc_adds_the_stage_before_with_its_decay(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    def fisher(run: str, **extra: Any) -> dict[str, "torch.Tensor"]:
        plan = FakePlan(steps=1)
        run_plan(tmp_path / run, settings(model_folder, ewc={"fisher_tokens": 60, **extra}), evaluation, plan=plan)
        return load_file(tmp_path / run / "fisher" / "fisher.safetensors")

    first = fisher("first")
    second = fisher("second", previous=str(tmp_path / "first" / "fisher"), decay=0.25)
    assert all(torch.allclose(second[name], 1.25 * first[name], rtol=1e-5) for name in first)
    manifest = Manifest.read(tmp_path / "second" / "fisher")
    assert manifest.function["previous"] == Manifest.read(tmp_path / "first" / "fisher").fingerprint


def test_a_capped_or_scaled_head_trains_on_its_own_logits(
    tmp_path: Path, evaluation: dict[str, TokenStore], model_folder: Path
) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    from trainer.model.packed import build_model

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        final_logit_softcapping=3.0,
        attn_logit_softcapping=None,
        initializer_range=0.1,
    )
    folder = tmp_path / "capped"
    Gemma2ForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((model_folder / "tokenizer.json").read_bytes())
    asked = settings(folder, kl={"weight": 0.5, "on": "all"}, ewc={"fisher_tokens": 60}, z_loss=1e-3, attention="eager")
    model = build_model(folder, asked, "fp32")
    assert not model.linear_head
    assert build_model(model_folder, settings(model_folder), "fp32").linear_head
    batch = FakeLoader(FakePlan()).batch(0)
    ids, positions, labels = (torch.from_numpy(getattr(batch, n)) for n in ("input_ids", "position_ids", "labels"))
    result = model(ids, positions, labels, torch.ones(labels.shape))
    logits = model.causal(input_ids=ids, position_ids=positions, use_cache=False).logits.flatten(0, 1)
    wanted = torch.nn.functional.cross_entropy(logits, labels.flatten(), ignore_index=-100, reduction="none")
    assert torch.allclose(result.ce, wanted, atol=1e-5)
    run_plan(tmp_path / "run", asked, evaluation)
    kls = [entry["kl"] for entry in events(tmp_path / "run") if entry["event"] == "step"]
    assert abs(kls[0]) < 1e-6 < kls[-1]


def test_merging_takes_the_lowest_target_loss_that_the_gate_lets_pass(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    from transformers import AutoModelForCausalLM

    from trainer.checkpoints.merge import merge

    plan = FakePlan(steps=20)
    train(settings(model_folder), plan, OnlyDomain(plan), evaluation, {"general"}, tmp_path / "run")
    trained = tmp_path / "run" / "model"

    def merged(name: str, epsilon: float, method: str = "lerp") -> Manifest:
        merge_settings = {"method": method, "alphas": [0.25, 0.5, 1.0]}
        asked = settings(model_folder, gate={"epsilon": epsilon}, merge=merge_settings)
        options = {"length": 16, "report": lambda progress: None}
        return merge(asked, trained, evaluation, {"general"}, tmp_path / name, **options)

    free = merged("free", 1e9)
    tried = {entry["alpha"]: entry for entry in free.totals["tried"]}
    assert free.totals["alpha"] == min((0.25, 0.5, 1.0), key=lambda alpha: tried[alpha]["target"])
    assert tried[0.0]["rise"] == 0
    rises = [tried[alpha]["rise"] for alpha in (0.25, 0.5, 1.0)]
    assert rises[0] < rises[1] < rises[2] and rises[2] > 0, "training forgot nothing: the test needs other data"
    bound = merged("bound", max(0, (rises[1] + rises[2]) / 2))
    assert bound.totals["alpha"] in (0.25, 0.5)
    if rises[0] > 0:
        with pytest.raises(TrainingError, match="no share of the trained model"):
            merged("none", 0.0)
    base, end, half = (weights(folder) for folder in (model_folder, trained, tmp_path / "free"))
    alpha = free.totals["alpha"]
    assert all(torch.allclose(half[n], base[n] + alpha * (end[n] - base[n]), atol=1e-6) for n in base)
    AutoModelForCausalLM.from_pretrained(tmp_path / "free")
    round_ = merged("round", 1e9, "slerp")
    assert {entry["alpha"] for entry in round_.totals["tried"]} == {0.0, 0.25, 0.5, 1.0}
