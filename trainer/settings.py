"""What a training run is asked to do."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from corpus.artifact import content_hash
from corpus.settings import Settings
from trainer.evaluation.gate import GateSettings, RaiseKl
from trainer.peak import BaseTraining
from trainer.regularizers.settings import (
    DasSettings,
    EmaSettings,
    EwcSettings,
    FreezeSettings,
    KlSettings,
    LoraSettings,
    MergeSettings,
)
from trainer.schedules import CosineDecay, FromMinimum, RateSchedule, learning_rate
from trainer.spikes import SpikeSettings

Tracker = Literal["tensorboard", "trackio", "wandb"]


class DdpSettings(Settings):
    """A whole copy of the model on each process."""

    kind: Literal["ddp"] = "ddp"


class Fsdp2Settings(Settings):
    """Weights, gradients and optimizer state in shards over the processes (Zhao et al. 2023; torch's fully_shard)."""

    kind: Literal["fsdp2"] = "fsdp2"
    reshard_after_forward: bool = Field(True, description="free gathered layers between forward and backward")
    cpu_offload: bool = Field(False, description="keep shards in the host's memory")


class DeepSpeedSettings(Settings):
    """DeepSpeed's ZeRO through accelerate; needs the package deepspeed."""

    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Literal[0, 1, 2, 3] = Field(
        2,
        description="in shards: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too; the more, the slower",
    )
    offload: Literal["none", "cpu"] = Field("none", description="where the optimizer state lies")
    config: Path | None = Field(None, description="a DeepSpeed configuration in JSON, merged under ours")


ParallelSettings = Annotated[DdpSettings | Fsdp2Settings | DeepSpeedSettings, Field(discriminator="kind")]


class TaskSettings(Settings):
    """One task: a JSON-lines file with a question, its choices and the index of the right one on each line."""

    path: Path = Field(description="the file, a question a line")
    question: str = Field("question", description="key of the question")
    choices: str = Field("choices", description="key of the list of choices")
    answer: str = Field("answer", description="key of the right choice: its index from 0, or the choice itself")
    prefix: str = Field("", description="text before every question")
    separator: str = Field(" ", description="text between question and choice")
    limit: int | None = Field(None, gt=0, description="questions to ask, from the start of the file")

    def identity(self) -> dict[str, Any]:
        plain = super().identity()
        return plain | {"path": content_hash(self.path) if self.path.is_file() else None}


class LmEvalSettings(Settings):
    """Tasks of lm-eval to run at step 0 and with every evaluation."""

    tasks: tuple[str, ...] = Field(min_length=1, description="names as `lm_eval --tasks list` prints them")
    limit: int | None = Field(None, gt=0, description="questions of each task")
    shots: int | None = Field(None, ge=0, description="examples before each question; default: the task's")


class TrainSettings(Settings):
    """Continued pre-training of one model on one plan."""

    model: str = Field(description="a folder in Hugging Face layout, or the name of a model on the hub")
    learning_rate: float = Field(1e-4, gt=0, description="peak of the schedule")
    schedule: RateSchedule = Field(
        default_factory=lambda: CosineDecay(), description="how the rate falls from the peak; `kind` names it"
    )
    min_ratio: float | None = Field(
        None, ge=0, le=1, description="last learning rate over the peak; default: the schedule's, mostly 0.1"
    )
    warmup_steps: int | None = Field(
        None, ge=0, description="linear rise to the peak; default: the schedule's, mostly 10"
    )
    base: BaseTraining | None = Field(
        None, description="how the base model was trained: a recommended peak is printed, and not applied"
    )
    weight_decay: float = Field(0.1, ge=0, description="of matrices; norms and biases have none")
    betas: tuple[float, float] = Field(
        (0.9, 0.95),
        description="AdamW's memory of gradients and of their squares; 0.95 is usual for language models",
    )
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    micro_batch: int = Field(4, gt=0, description="sequences in one forward pass on one device")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the processor computes in it, fp32 elsewhere; weights stay fp32"
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        "sdpa",
        description="sdpa is torch's own and runs everywhere; flash_attention_2 needs its package and a GPU",
    )
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
    gate: GateSettings = Field(
        default_factory=lambda: GateSettings.model_validate({}),
        description="how far general text may get worse, and what happens then",
    )
    checkpoint_every: int = Field(100, gt=0, description="steps between checkpoints")
    keep_last: int = Field(2, gt=0, description="checkpoints to keep besides the best one")
    save_in_background: bool = Field(
        True, description="write checkpoints while training goes on; needs a copy of weights and moments in memory"
    )
    verify_tokens: bool = Field(
        True, description="hash the token stores and the plan before the first step: about a second a gigabyte"
    )
    max_skipped: int = Field(5, gt=0, description="steps passed over in a row before the run gives up")
    spikes: SpikeSettings | None = Field(
        default_factory=lambda: SpikeSettings.model_validate({}), description="steps with such a loss are passed over"
    )
    tasks: dict[str, TaskSettings] = Field(
        default_factory=dict, description="multiple-choice tasks from local files, with every evaluation"
    )
    lm_eval: LmEvalSettings | None = Field(None, description="tasks of lm-eval, with every evaluation")
    parallel: ParallelSettings = Field(
        default_factory=lambda: DdpSettings(), description="how several processes share the model"
    )
    trackers: tuple[Tracker, ...] = Field((), description="beside metrics.jsonl, which is always written")
    peak_flops: float | None = Field(
        None, gt=0, description="operations a second of one device, for MFU; default: known or measured"
    )
    extended_tokenizer: Path | None = Field(
        None, description="a tokenizer that adds tokens to the model's: the embeddings are resized to it"
    )
    seed: int = Field(
        0, ge=0, description="of dropout, adapters and tokens drawn at random; the order of the data is `mix.seed`'s"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "TrainSettings":
        if isinstance(self.gate.action, RaiseKl) and (self.kl is None or self.kl.weight > self.gate.action.most):
            weight = "is off" if self.kl is None else f"has weight {self.kl.weight}"
            raise ValueError(f"the gate is to raise KL up to {self.gate.action.most}, but train.kl {weight}")
        if isinstance(self.schedule, FromMinimum) and self.warmup_steps:
            raise ValueError("schedule from_minimum starts at the base model's last rate: leave warmup_steps out")
        held = [name for name in ("kl", "ewc", "l2sp", "das") if getattr(self, name) is not None]
        if self.extended_tokenizer is not None and held:
            raise ValueError(f"extended_tokenizer makes another model than the base that {held[0]} holds to")
        on_weights = [name for name in ("ewc", "l2sp", "das", "ema") if getattr(self, name) is not None]
        if self.parallel.kind == "deepspeed" and on_weights:
            raise ValueError(f"{on_weights[0]} acts on weights that DeepSpeed keeps in partitions: use parallel fsdp2")
        if self.parallel.kind != "ddp" and self.lm_eval is not None:
            raise ValueError(f"lm_eval runs on a whole model, which parallel {self.parallel.kind} does not have")
        return self

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of 0-based `step` of `steps`."""
        return learning_rate(
            step,
            steps=steps,
            peak=self.learning_rate,
            shape=self.schedule,
            warmup=self.warmup_steps,
            min_ratio=self.min_ratio,
        )

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
        if self.ema is not None and self.lora is not None:
            raise ValueError("ema averages whole weights, which lora does not train: leave one of them out")
        return self

    def identity(self) -> dict[str, Any]:
        """Without what changes no weight: how often and how the run is saved, shared out and watched, and what is made
        of it later. The model goes by its content, added by the run; files go by theirs."""
        plain = super().identity()
        for key in ("model", "base", "checkpoint_every", "keep_last", "save_in_background", "merge"):
            del plain[key]
        for key in ("parallel", "trackers", "peak_flops", "lm_eval", "verify_tokens"):
            del plain[key]
        parts = {key: getattr(self, key) for key in ("kl", "ewc", "das")}
        tokenizer = self.extended_tokenizer
        return (
            plain
            | {key: part.identity() if part is not None else None for key, part in parts.items()}
            | {
                "tasks": {name: task.identity() for name, task in sorted(self.tasks.items())},
                "extended_tokenizer": content_hash(tokenizer / "tokenizer.json") if tokenizer is not None else None,
            }
        )
