"""What a training run is asked to do."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from corpus.artifact import Manifest
from corpus.settings import Settings
from trainer.schedules import warmup_cosine

Direction = Literal["forward", "reverse"]  # forward: KL(base‖model); reverse: KL(model‖base)


class KlSettings(Settings):
    """KL to the frozen base model, mean over the tokens it is taken on."""

    weight: float = Field(0.1, gt=0, description="factor of the mean KL (nats per token) in the loss")
    on: Literal["replay", "all"] = Field("replay", description="the rows of replay sources, or every row")
    direction: Direction = Field("forward", description="forward: KL(base‖model); reverse: KL(model‖base)")


class EwcSettings(Settings):
    """Elastic weight consolidation: λ/2 Σ F (θ − θ*)², F the diagonal Fisher information of the base model."""

    weight: float = Field(1.0, gt=0, description="λ")
    fisher_tokens: int = Field(20_000, gt=0, description="tokens of general text to estimate F on")
    path: Path | None = Field(None, description="a folder with a Fisher made before; made in the run folder if absent")

    def identity(self) -> dict[str, Any]:
        plain = super().identity()
        return plain | {"path": Manifest.read(self.path).fingerprint if self.path is not None else None}


class GateSettings(Settings):
    """How much worse general text may get, and what happens when it does."""

    epsilon: float = Field(0.05, ge=0, description="largest rise of a general set against step 0")
    unit: Literal["bits_per_byte", "relative"] = Field("bits_per_byte", description="of `epsilon`; 0.05 relative is 5%")
    action: Literal["warn", "stop"] = Field("warn", description="what a rise beyond epsilon does")


class TrainSettings(Settings):
    """Continued pre-training of one model on one plan."""

    model: str = Field(description="a folder in Hugging Face layout, or the name of a model on the hub")
    learning_rate: float = Field(1e-4, gt=0, description="peak of the schedule")
    min_ratio: float = Field(0.1, ge=0, le=1, description="last learning rate over the peak")
    warmup_steps: int = Field(10, ge=0)
    weight_decay: float = Field(0.1, ge=0, description="of matrices; norms and biases have none")
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    micro_batch: int = Field(4, gt=0, description="sequences in one forward pass on one device")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the processor computes in it, fp32 elsewhere; weights stay fp32"
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    gradient_checkpointing: bool = Field(
        False, description="recompute activations: less memory, about 1.3 times slower"
    )
    compile: bool = Field(False, description="torch.compile the decoder")
    chunk: int = Field(1024, gt=0, description="tokens whose logits exist at one time")
    kl: KlSettings | None = Field(None, description="keep the model's distribution near the base model's")
    ewc: EwcSettings | None = Field(None, description="keep the weights near the base model's where they mattered")
    l2sp: float | None = Field(None, gt=0, description="λ of λ/2 ‖θ − θ*‖² to the base model's weights")
    evaluate_every: int = Field(50, gt=0, description="steps between evaluations; step 0 and the last are always there")
    evaluation_tokens: int = Field(20_000, gt=0, description="per evaluation set, whole documents from its start")
    gate: GateSettings = Field(default_factory=lambda: GateSettings.model_validate({}))
    checkpoint_every: int = Field(100, gt=0, description="steps between checkpoints")
    keep_last: int = Field(2, gt=0, description="checkpoints to keep besides the best one")
    max_skipped: int = Field(5, gt=0, description="steps in a row without a finite loss before the run gives up")
    seed: int = Field(0, ge=0)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of 0-based `step` of `steps`."""
        return warmup_cosine(
            step, steps=steps, peak=self.learning_rate, warmup=self.warmup_steps, min_ratio=self.min_ratio
        )

    @model_validator(mode="after")
    def _betas_below_one(self) -> "TrainSettings":
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas must be in [0, 1)")
        return self

    def identity(self) -> dict[str, Any]:
        """Without what only decides how often the run is saved; the model goes by its content, added by the run."""
        plain = super().identity()
        for key in ("model", "checkpoint_every", "keep_last"):
            del plain[key]
        return plain | {"ewc": self.ewc.identity() if self.ewc is not None else None}
