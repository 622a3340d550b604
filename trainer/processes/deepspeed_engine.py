"""DeepSpeed's ZeRO as a way to share the model. The engine owns the optimizer's step, clipping and its own files.

What it cannot do is said when a run starts: pulls on the weights (EWC, L2-SP) act on whole weights that the engine
keeps in partitions of its own. Moments are saved in DeepSpeed's files and go on with the same number of processes only.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from accelerate import DeepSpeedPlugin
from torch import Tensor, nn

from corpus.errors import ConfigError
from trainer.processes.parallel import MakeOptimizer, Replicas
from trainer.settings import DeepSpeedSettings

FOLDER = "deepspeed"


def engine_config(settings: DeepSpeedSettings) -> dict[str, Any]:
    """The engine's configuration: the user's file, with what the loop relies on put over it.

    Accumulation is the loop's (weighted by tokens), so the engine sees one micro-batch a step of its own. Raises
    ConfigError when the file cannot be read.
    """
    given: dict[str, Any] = {}
    if settings.config is not None:
        try:
            given = json.loads(settings.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                "the DeepSpeed configuration cannot be read", where=settings.config, found=error, todo="give JSON"
            ) from None
    zero = given.get("zero_optimization", {}) | {"stage": settings.zero_stage}
    if settings.offload == "cpu":
        zero["offload_optimizer"] = {"device": "cpu"}
    if settings.zero_stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
    return given | {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


def plugin_of(settings: DeepSpeedSettings) -> DeepSpeedPlugin:
    """accelerate's plug-in. Raises ConfigError when DeepSpeed is not installed."""
    if find_spec("deepspeed") is None:
        raise ConfigError(
            "DeepSpeed is not installed",
            where="train.parallel",
            todo="pip install deepspeed, or set train.parallel.kind to fsdp2, which needs nothing more",
        )
    return DeepSpeedPlugin(hf_ds_config=engine_config(settings))


class Engine(Replicas):
    """The engine behind the loop's calls."""

    even_rounds = True
    engine: Any

    def wrap(self, packed: nn.Module, make_optimizer: MakeOptimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        config: dict[str, Any] = self.accelerator.state.deepspeed_plugin.deepspeed_config  # type: ignore[union-attr]
        config["gradient_clipping"] = self.clip
        self.engine, optimizer = self.accelerator.prepare(packed, make_optimizer())
        return self.engine, optimizer

    @contextmanager
    def evaluating(self, model: nn.Module) -> Iterator[nn.Module]:
        model.eval()
        yield model

    def accumulate(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        self.engine.set_gradient_accumulation_boundary(is_boundary=last)
        return nullcontext()

    def backward(self, loss: Tensor, last: bool) -> None:
        self.engine.backward(loss)  # without accelerate's wrapper, which would take the step at once

    def clipped_norm(self, model: nn.Module) -> float:
        norm = self.engine.get_global_grad_norm()  # known after the step only: until then that of the step before
        return float(norm) if norm is not None else 0.0

    def update(self, optimizer: torch.optim.Optimizer) -> None:
        self.engine.step()

    def clear(self, optimizer: torch.optim.Optimizer) -> None:
        self.engine.zero_grad()

    def whole_weights(self, model: nn.Module) -> Mapping[str, Tensor] | None:
        return self.accelerator.get_state_dict(model)

    def optimizer_files(self, model: nn.Module, run: Path) -> Path | None:
        folder = run / f".{FOLDER}"
        if self.accelerator.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.engine.save_checkpoint(str(folder), tag="engine", exclude_frozen_parameters=True)
        self.accelerator.wait_for_everyone()
        return folder

    def load_optimizer_files(self, model: nn.Module, folder: Path) -> None:
        self.engine.load_checkpoint(str(folder / FOLDER), tag="engine", load_module_only=False)
