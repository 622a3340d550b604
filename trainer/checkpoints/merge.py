"""Merging after training: between the base's weights and the trained ones, as far as evaluation bears it out.

    base, trained ─► for each α: θ(α) ─► evaluate ─► the lowest target loss that the gate lets pass ─► a model folder

LERP is θ(α) = θ_base + α (θ_trained − θ_base) (Wortsman et al. 2022, WiSE-FT). SLERP goes along the arc between two
tensors taken as vectors, θ(α) = (sin((1−α)ω) θ_base + sin(αω) θ_trained) / sin ω, ω being their angle (Shoemake 1985),
and is LERP where they are nearly parallel. α = 1 is the trained model. Costs an evaluation for each α and one of the
base; nothing is trained.
"""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor

from corpus.artifact import Manifest, RunLock, current, publish
from corpus.errors import TrainingError
from corpus.tokens.store import TokenStore
from trainer.checkpoints.checkpoint import write_model
from trainer.evaluation.evaluate import SetScore, pooled_bits_per_byte
from trainer.evaluation.gate import judge
from trainer.evaluation.scoring import Evaluator
from trainer.model.packed import (
    PackedModel,
    build_model,
    deterministic,
    model_hash,
    quiet,
    resolve_model,
    resolve_precision,
)
from trainer.record.progress import Progress, Report
from trainer.settings import TrainSettings

KIND = "trainer.merged"
PARALLEL = 0.9995  # cosine from which the arc is as good as the chord, and sin ω too small to divide by

Method = Literal["lerp", "slerp"]


def interpolate(base: Tensor, trained: Tensor, alpha: float, method: Method) -> Tensor:
    """θ(α) of one weight; a tensor that training left as it was comes out as it was."""
    if method == "slerp":
        one, other = base.double().flatten(), trained.double().flatten()
        cosine = float(one @ other / (one.norm() * other.norm()).clamp(min=1e-300))
        if abs(cosine) < PARALLEL:
            angle = math.acos(cosine)
            along = (math.sin((1 - alpha) * angle) * one + math.sin(alpha * angle) * other) / math.sin(angle)
            return along.view_as(base).to(base.dtype)
    return torch.lerp(base, trained, alpha)


def merge(
    settings: TrainSettings,
    trained: Path,
    evaluation: Mapping[str, TokenStore],
    general: Collection[str],
    folder: Path,
    *,
    length: int,
    report: Report,
    lock: RunLock | None = None,
) -> Manifest:
    """Publish in `folder` the best model between the base and `trained`, a model folder of the same architecture, with
    the scores of every share in its manifest's totals; at once when that is done already.

    Raises TrainingError when the two do not fit, or when the gate lets no share pass.
    """
    base = resolve_model(settings.model)
    accelerator = Accelerator()
    precision = resolve_precision(settings.precision, accelerator.device)
    function = {
        "base": model_hash(base),
        "trained": model_hash(trained),
        "merge": settings.merge.identity(),
        "gate": {"epsilon": settings.gate.epsilon, "unit": settings.gate.unit},
        "evaluation": {name: store.manifest.fingerprint for name, store in sorted(evaluation.items())},
        "evaluation_tokens": settings.evaluation_tokens,
        "general": sorted(general),
        "precision": precision,
        "sequence_length": length,
    }
    if (ready := current(folder, function)) is not None:
        return ready
    with quiet(), deterministic():
        plain = settings.model_copy(update={"lora": None, "freeze": None})
        model, other = (build_model(place, plain, precision).to(accelerator.device).eval() for place in (base, trained))
        ends = _ends(model, other, trained)
        evaluator = Evaluator(settings, evaluation, base, length, accelerator, lambda progress: None)
        scores = {0.0: evaluator.measure(model, model).sets}
        for count, alpha in enumerate(settings.merge.alphas):
            _set(model, ends, alpha, settings.merge.method)
            scores[alpha] = evaluator.measure(model, model).sets
            report(Progress("merge", count + 1, len(settings.merge.alphas)))
        tried = _judged(settings, scores, set(general))
        chosen = _choose(tried, folder)
        _set(model, ends, chosen, settings.merge.method)
        with publish(folder, kind=KIND, function=function, lock=lock) as draft:
            write_model(draft.path, model, base)
            draft.totals |= {"alpha": chosen, "method": settings.merge.method, "tried": tried}
    return Manifest.read(folder)


Ends = dict[str, tuple[Tensor, Tensor]]


def _ends(model: PackedModel, other: PackedModel, trained: Path) -> Ends:
    """Copies of the base's and the trained weights, by name."""
    one = {name: weight.detach().clone() for name, weight in model.weights().items()}
    two = {name: weight.detach() for name, weight in other.weights().items()}
    strange = [
        name for name in {**one, **two} if name not in one or name not in two or one[name].shape != two[name].shape
    ]
    if strange:
        raise TrainingError(
            "the trained model is not of the base's architecture",
            where=trained,
            found=f"{len(strange)} weights without a match, {strange[0]} the first",
            todo="merge a model with the one it was trained from, without new tokens",
        )
    return {name: (one[name], two[name]) for name in one}


@torch.no_grad()
def _set(model: PackedModel, ends: Ends, alpha: float, method: Method) -> None:
    for name, weight in model.weights().items():
        weight.copy_(interpolate(*ends[name], alpha, method))


def _judged(
    settings: TrainSettings, scores: Mapping[float, Mapping[str, SetScore]], general: set[str]
) -> list[dict[str, Any]]:
    """For every share: the sets' bits per byte and the target's, the worst rise of a general set, and the verdict."""
    before = scores[0.0]
    baseline = {name: score.bits_per_byte for name, score in before.items()}
    tried = []
    for alpha, sets in scores.items():
        found = {name: score.bits_per_byte for name, score in sets.items()}
        verdict = judge({name: value for name, value in found.items() if name in general}, baseline, settings.gate)
        target = [score for name, score in sets.items() if name not in general]
        tried.append(
            {
                "alpha": alpha,
                "bits_per_byte": found,
                "target": pooled_bits_per_byte(target) if target else None,
                "rise": verdict.rise,
                "passed": verdict.action == "pass",
            }
        )
    return tried


def _choose(tried: list[dict[str, Any]], folder: Path) -> float:
    """The share of the lowest target loss among those that passed; without target sets the largest that passed."""
    shares = [entry for entry in tried if entry["alpha"] > 0 and entry["passed"]]
    if not shares:
        raise TrainingError(
            "no share of the trained model keeps general text within the gate's epsilon",
            where=folder,
            found=", ".join(f"α {entry['alpha']}: {entry['rise']:+.4f}" for entry in tried if entry["alpha"] > 0),
            todo="try smaller train.merge.alphas, or raise train.gate.epsilon",
        )
    if shares[0]["target"] is None:
        return max(entry["alpha"] for entry in shares)
    return min(shares, key=lambda entry: (entry["target"], -entry["alpha"]))["alpha"]
