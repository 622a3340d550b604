"""How the processes of a run share its model: copies (DDP), shards (FSDP2), or DeepSpeed's engine.

    one process      the model as it is
    ddp              a copy on each process, gradients averaged with the last micro-batch of a step
    fsdp2            weights, gradients and moments in shards; a layer is gathered while it is computed
    deepspeed        trainer/processes/deepspeed_engine.py

accelerate starts the processes, picks the device and sums over the ranks. It leaves FSDP2 out where there is no GPU, so
the shards are made here with torch's `fully_shard`: what is tested on two CPU processes is what runs on GPUs.
Checkpoints hold whole tensors, so a run goes on under any of these and on any number of processes.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from corpus.errors import ConfigError
from trainer.processes.shards import whole
from trainer.settings import DeepSpeedSettings, Fsdp2Settings, ParallelSettings

MakeOptimizer = Callable[[], torch.optim.Optimizer]


class Replicas:
    """One process, or a copy of the model on each (DDP). The base of the other ways."""

    even_rounds = False  # whether every rank must run the model equally often
    sharded = False

    def __init__(self, accelerator: Accelerator, clip: float) -> None:
        self.accelerator, self.clip = accelerator, clip

    def wrap(self, packed: nn.Module, make_optimizer: MakeOptimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The model to call in training, and its optimizer."""
        return self.accelerator.prepare_model(packed), make_optimizer()

    def accumulate(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged with the last micro-batch of a step only."""
        return nullcontext() if last else self.accelerator.no_sync(model)

    def backward(self, loss: Tensor, last: bool) -> None:
        self.accelerator.backward(loss)

    def clipped_norm(self, model: nn.Module) -> float:
        """The norm of the gradient over all ranks, before it is clipped."""
        norm: Any = nn.utils.clip_grad_norm_(model.parameters(), self.clip)
        return float(whole(norm))

    def update(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.step()

    def clear(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def evaluating(self, model: nn.Module) -> Iterator[nn.Module]:
        """The model to call without gradients; called equally often on all ranks where `even_rounds`."""
        model.eval()
        yield self.accelerator.unwrap_model(model)

    def optimizer_files(self, model: nn.Module, run: Path) -> Path | None:
        """A folder with the optimizer's state in a form of its own, written by all ranks; None: whole tensors do."""
        return None

    def load_optimizer_files(self, model: nn.Module, folder: Path) -> None:
        raise NotImplementedError

    def whole_weights(self, model: nn.Module) -> Mapping[str, Tensor] | None:
        """The weights by name where only the engine can gather them; None: `whole` does."""
        return None


class Shards(Replicas):
    """FSDP2: a group of parameters per decoder layer, and one for embeddings, norm and head, which stay gathered from
    forward to backward as both need them."""

    even_rounds = True
    sharded = True

    def __init__(self, accelerator: Accelerator, clip: float, settings: Fsdp2Settings) -> None:
        super().__init__(accelerator, clip)
        self.settings = settings

    def wrap(self, packed: nn.Module, make_optimizer: MakeOptimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

        policy = CPUOffloadPolicy() if self.settings.cpu_offload else OffloadPolicy()
        packed.to(self.accelerator.device)
        for layer in decoder_layers(packed):
            fully_shard(layer, reshard_after_forward=self.settings.reshard_after_forward, offload_policy=policy)
        fully_shard(packed, reshard_after_forward=False, offload_policy=policy)
        return packed, make_optimizer()

    @contextmanager
    def accumulate(self, model: Any, last: bool) -> Iterator[None]:
        model.set_requires_gradient_sync(last)
        yield

    @contextmanager
    def evaluating(self, model: nn.Module) -> Iterator[nn.Module]:
        from torch.distributed.fsdp import FSDPModule

        model.eval()
        yield model
        for part in model.modules():
            if isinstance(part, FSDPModule):
                part.reshard()  # the root stays gathered after a forward pass without a backward one


def sharing(accelerator: Accelerator, settings: ParallelSettings, clip: float) -> Replicas:
    """The way of `settings`. Raises ConfigError when it cannot be used here."""
    if isinstance(settings, DeepSpeedSettings):
        from trainer.processes.deepspeed_engine import Engine

        return Engine(accelerator, clip)
    if isinstance(settings, Fsdp2Settings) and torch.distributed.is_initialized():
        return Shards(accelerator, clip, settings)
    return Replicas(accelerator, clip)  # a single process has nothing to shard


def make_accelerator(settings: ParallelSettings, **options: Any) -> Accelerator:
    """accelerate's view of the processes. Raises ConfigError when it does not see all that were launched."""
    if isinstance(settings, DeepSpeedSettings):
        from trainer.processes.deepspeed_engine import plugin_of

        accelerator = Accelerator(deepspeed_plugin=plugin_of(settings), **options)
    else:
        accelerator = Accelerator(**options)
    launched = int(os.environ.get("WORLD_SIZE", 1))
    if accelerator.num_processes != launched:
        # Each would take itself for the only one, train all rows and write the same files.
        raise ConfigError(
            "the processes of this run do not see one another",
            where=f"train.parallel: {settings.kind}",
            found=f"{launched} launched, accelerate knows {accelerator.num_processes}",
            todo="DeepSpeed needs accelerators (on CPUs use ddp or fsdp2); for the others set ACCELERATE_USE_CPU=true",
        )
    return accelerator


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The modules that transformers names as not to be split: the decoder's layers.

    Raises ConfigError when the model names none.
    """
    names = {
        name for part in model.modules() for name in getattr(part, "_no_split_modules", None) or () if part is not model
    }
    layers = [part for part in model.modules() if type(part).__name__ in names]
    if not layers:
        raise ConfigError(
            "the model does not say what its layers are",
            where="train.parallel",
            found="no _no_split_modules",
            todo="set train.parallel.kind to ddp",
        )
    return layers
