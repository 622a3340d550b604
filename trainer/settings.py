"""What a training run is asked to do."""

from typing import Any, Literal

from pydantic import Field, model_validator

from corpus.settings import Settings
from trainer.regularizers.settings import (
    DasSettings,
    EmaSettings,
    EwcSettings,
    FreezeSettings,
    KlSettings,
    LoraSettings,
    MergeSettings,
)


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
    chunk: int = Field(256, gt=0, description="tokens whose logits exist at one time")
    z_loss: float = Field(0.0, ge=0, description="ζ of ζ·log²Z, which keeps logits from drifting; 1e-4 is usual")
    kl: KlSettings | None = Field(None, description="keep the model's distribution near the base model's")
    ewc: EwcSettings | None = Field(None, description="keep the weights near the base model's where they mattered")
    l2sp: float | None = Field(None, gt=0, description="λ of λ/2 ‖θ − θ*‖² to the base model's weights")
    das: DasSettings | None = Field(None, description="change least what general text needs most")
    freeze: FreezeSettings | None = Field(None, description="leave some weights as they are")
    lora: LoraSettings | None = Field(None, description="train low-rank adapters instead of the weights")
    ema: EmaSettings | None = Field(None, description="evaluate and export averaged weights")
    merge: MergeSettings = Field(
        default_factory=lambda: MergeSettings.model_validate({}), description="what `provender train merge` tries"
    )
    evaluate_every: int = Field(50, gt=0, description="steps between evaluations; step 0 and the last are always there")
    evaluation_tokens: int = Field(20_000, gt=0, description="per evaluation set, whole documents from its start")
    gate: GateSettings = Field(default_factory=lambda: GateSettings.model_validate({}))
    checkpoint_every: int = Field(100, gt=0, description="steps between checkpoints")
    keep_last: int = Field(2, gt=0, description="checkpoints to keep besides the best one")
    max_skipped: int = Field(5, gt=0, description="steps in a row without a finite loss before the run gives up")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _betas_below_one(self) -> "TrainSettings":
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas must be in [0, 1)")
        return self

    @model_validator(mode="after")
    def _lora_alone(self) -> "TrainSettings":
        on_weights = [key for key in ("ewc", "l2sp", "das", "freeze") if getattr(self, key) is not None]
        if self.lora is not None and on_weights:
            raise ValueError(f"LoRA leaves the base weights as they are, so {on_weights[0]} has nothing to hold")
        if self.kl is not None and self.kl.reference == "lora_off" and self.lora is None:
            raise ValueError("kl.reference lora_off needs lora: the reference is the model without its adapters")
        return self

    def identity(self) -> dict[str, Any]:
        """Without what only decides how often the run is saved, or what is made of it later; the model goes by its
        content, added by the run."""
        plain = super().identity()
        for key in ("model", "checkpoint_every", "keep_last", "merge"):
            del plain[key]
        parts = {key: getattr(self, key) for key in ("kl", "ewc", "das")}
        return plain | {key: part.identity() if part is not None else None for key, part in parts.items()}
