"""What a recipe asks against forgetting; docs/forgetting.md says which helps when. No torch here: recipes are read
without it."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from corpus.artifact import Manifest
from corpus.settings import Settings

Direction = Literal["forward", "reverse"]  # forward: KL(base‖model); reverse: KL(model‖base)


def _fingerprint_of(path: Path | None) -> str | None:
    return Manifest.read(path).fingerprint if path is not None else None


class KlSettings(Settings):
    """KL to the frozen base model, mean over the tokens it is taken on."""

    weight: float = Field(0.1, gt=0, description="factor of the mean KL (nats per token) in the loss")
    on: Literal["replay", "all"] = Field("replay", description="the rows of replay sources, or every row")
    sample: float = Field(
        1.0, gt=0, le=1, description="share of these rows, drawn anew at every step; the base runs on no others"
    )
    direction: Direction = Field("forward", description="forward: KL(base‖model); reverse: KL(model‖base)")
    reference: Literal["frozen", "lora_off", "cached"] = Field(
        "frozen",
        description="a frozen copy of the base; the model itself without its LoRA; or a cache of the base's likeliest "
        "tokens, made by `provender train cache-reference`",
    )
    top_k: int = Field(
        32, gt=0, le=4096, description="tokens kept per position in a cache, beside the mass of all others"
    )
    path: Path | None = Field(None, description="the folder of the cache; `reference` in the run folder if absent")

    def identity(self) -> dict[str, Any]:
        """Without the place of the cache: it is a function of the base, the plan and `top_k`, and refused otherwise."""
        plain = super().identity()
        del plain["path"]
        if self.reference != "cached":
            del plain["top_k"]
        return plain


class EwcSettings(Settings):
    """Elastic weight consolidation: λ/2 Σ F (θ − θ*)², F the diagonal Fisher information of the base model."""

    weight: float = Field(1.0, gt=0, description="λ")
    apply: Literal["prox", "loss"] = Field(
        "prox", description="in closed form after the optimizer's step, or as part of the loss"
    )
    fisher_tokens: int = Field(20_000, gt=0, description="tokens of general text to estimate F on")
    path: Path | None = Field(None, description="a folder with a Fisher made before; made in the run folder if absent")
    previous: Path | None = Field(None, description="online EWC: the Fisher folder of the stage before this one")
    decay: float = Field(0.95, ge=0, le=1, description="online EWC: γ of F ← γ F_previous + F_new")

    def identity(self) -> dict[str, Any]:
        plain = super().identity() | {"path": _fingerprint_of(self.path), "previous": _fingerprint_of(self.previous)}
        if self.previous is None:
            del plain["decay"]
        return plain


class DasSettings(Settings):
    """Soft-masking after Ke et al. 2023: attention heads and neurons that general text needs are changed less."""

    apply: Literal["update", "gradient"] = Field(
        "update",
        description="(1 − I) scales the step that a weight takes, or its gradient as the paper has it, which AdamW's "
        "normalisation largely undoes",
    )
    importance_tokens: int = Field(20_000, gt=0, description="tokens of general text to estimate I on")
    contrast: float = Field(
        0.0, ge=0, description="factor of the contrastive term; 0 leaves its extra forward pass out"
    )
    temperature: float = Field(0.05, gt=0, description="of the contrastive term")
    path: Path | None = Field(None, description="a folder with an importance made before")
    previous: Path | None = Field(None, description="the importance folder of the stage before: the larger counts")

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"path": _fingerprint_of(self.path), "previous": _fingerprint_of(self.previous)}


class FreezeSettings(Settings):
    """Weights that are not trained. The optimizer keeps no state for them."""

    embeddings: bool = Field(False, description="the input embedding, and with it a head that is tied to it")
    layers: int = Field(0, ge=0, description="the first so many layers of the decoder")
    parameters: tuple[str, ...] = Field((), description="patterns of parameter names, such as '*.mlp.*'")


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2021) by peft; the base weights stay as they are. Checkpoints are merged models."""

    rank: int = Field(
        16,
        gt=0,
        description="r of the adapters: 2·r·width weights for each square matrix; more learns more and forgets more",
    )
    alpha: float = Field(32.0, gt=0, description="the adapters' sum is scaled by alpha/rank")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="of the adapters' inputs; 0, since text is seen a few times at most"
    )
    targets: tuple[str, ...] = Field((), description="ends of module names; every linear map of the decoder if empty")
    rank_stabilized: bool = Field(False, description="scale by alpha/√rank instead (Kalajdzievski 2023)")


class EmaSettings(Settings):
    """An exponential moving average of the weights, which is what is evaluated and exported."""

    decay: float = Field(0.999, gt=0, lt=1, description="θ̄ ← decay · θ̄ + (1 − decay) · θ after each step")


class MergeSettings(Settings):
    """`provender train merge`: between base and trained weights, the share chosen by evaluation."""

    method: Literal["lerp", "slerp"] = Field(
        "lerp", description="lerp: a straight line between the weights; slerp: an arc, which keeps their length"
    )
    alphas: tuple[float, ...] = Field(
        (0.2, 0.4, 0.6, 0.8, 1.0), min_length=1, description="shares of the trained model to try, each in (0, 1]"
    )

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if not all(0 < alpha <= 1 for alpha in self.alphas):
            raise ValueError("alphas must lie in (0, 1]")
        return self
