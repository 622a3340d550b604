"""What a run works with, set up once: the model on its devices, what holds it near the base, the state to go on from.

newest whole checkpoint, or the base ─► model ─► checks ─► shared out ─► optimizer ─► terms against forgetting
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from corpus.artifact import RunLock
from corpus.errors import ConfigError
from corpus.tokens.store import TokenStore
from trainer.batches.first_batch import check_leak, check_rows
from trainer.batches.planned import Loader, Plan, Replanner
from trainer.checkpoints.checkpoint import TrainState, load_optimizer, load_regularizers, newest_valid
from trainer.evaluation.gate import RaiseReplay
from trainer.model.packed import (
    build_model,
    check_head,
    check_isolation,
    check_vocabulary,
    model_hash,
    resolve_model,
    resolve_precision,
    tokenizer_hash,
)
from trainer.processes.parallel import sharing
from trainer.record.progress import Report
from trainer.record.throughput import flops_per_token
from trainer.regularizers.assemble import Ground, assemble
from trainer.regularizers.measured import BaseModel
from trainer.settings import TrainSettings
from trainer.step import TrainStep, make_optimizer


@dataclass(frozen=True)
class Order:
    """What a run was asked to do: arguments of `trainer.loop.train`, and the identity a checkpoint must have to be
    resumed. `tokenizer` is the folder the tokenizer files come from."""

    settings: TrainSettings
    plan: Plan
    loader: Loader
    stores: Mapping[str, TokenStore]
    general: frozenset[str]
    run: Path
    base: BaseModel
    tokenizer: Path
    identity: dict[str, Any]
    replanner: Replanner | None
    lock: RunLock | None


def take_order(
    settings: TrainSettings,
    plan: Plan,
    loader: Loader,
    stores: Mapping[str, TokenStore],
    general: Collection[str],
    run: Path,
    accelerator: Accelerator,
    replanner: Replanner | None,
    lock: RunLock | None,
) -> Order:
    """Resolve the model and the precision and say what the run is a function of. Raises ConfigError when the parts
    do not fit together."""
    if unknown := sorted(set(general) - set(stores)):
        raise ConfigError(
            "the gate is to guard a set that is not evaluated",
            found=", ".join(unknown),
            todo=f"the evaluation sets are {', '.join(sorted(stores)) or 'none'}",
        )
    if isinstance(settings.gate.action, RaiseReplay) and (
        replanner is None or not any(source.role == "replay" for source in plan.sources)
    ):
        raise ConfigError(
            "the gate is to raise replay, but the plan replays nothing",
            where="train.gate.action",
            todo="give a source of mix.sources the role replay, or choose another action",
        )
    folder = resolve_model(settings.model)
    precision = resolve_precision(settings.precision, accelerator.device)
    base = BaseModel(folder, model_hash(folder), precision, accelerator.device)
    tokenizer = settings.extended_tokenizer or folder
    identity = {
        "settings": settings.identity() | {"precision": precision},
        "plan": plan.fingerprint,
        "model": base.hash,
        "tokenizer": tokenizer_hash(tokenizer),
        "evaluation": {name: store.manifest.fingerprint for name, store in sorted(stores.items())},
        "general": sorted(general),
    }
    return Order(
        settings, plan, loader, stores, frozenset(general), Path(run), base, tokenizer, identity, replanner, lock
    )


class Session:
    """One process's part in a run: the model on its device, the state, and the step."""

    def __init__(self, order: Order, accelerator: Accelerator, report: Report) -> None:
        """Load the newest whole checkpoint or the base model, check that it fits, set up what a step needs."""
        settings, base, device = order.settings, order.base, accelerator.device
        first = order.loader.batch(0)
        self.length = int(first.input_ids.shape[1])
        self.sources = [source.name for source in order.plan.sources]
        self.sharing = sharing(accelerator, settings.parallel, settings.clip)
        checkpoint = newest_valid(order.run, order.identity)
        self.packed = build_model(base.folder, settings, base.precision, checkpoint)
        if settings.extended_tokenizer is not None:
            from trainer.model.vocabulary import extend_vocabulary

            extend_vocabulary(self.packed, base.folder, settings.extended_tokenizer)
        check_vocabulary(self.packed, order.tokenizer, [store.tokenizer for store in order.stores.values()])
        # A model that is shared out may be too large for one device: it is looked at where it was loaded.
        look = torch.device("cpu") if self.sharing.sharded else device
        self.packed.eval().to(look)
        check_rows(first)
        self.guards = {
            "isolation": check_isolation(self.packed, look),
            "head": check_head(self.packed, look),
            "first_batch": check_leak(self.packed, first, look),
        }
        self.flops = flops_per_token(self.packed.causal, self.length)
        self.parameters = sum(parameter.numel() for parameter in self.packed.parameters())
        self.model, self.optimizer = self.sharing.wrap(self.packed, lambda: make_optimizer(self.packed, settings))
        self.state = TrainState(tokens_by_source=dict.fromkeys(self.sources, 0))
        self.saved: int | None = None
        if checkpoint is not None:
            self._resume(checkpoint)
        general = {name: store for name, store in order.stores.items() if name in order.general}
        roles = [source.role for source in order.plan.sources]
        tokenizer = order.identity["tokenizer"]
        ground = Ground(
            base, tokenizer, order.plan.fingerprint, roles, general, self.length, order.run, report, order.lock
        )
        held = assemble(settings, ground, accelerator, self.model)
        self.take = TrainStep(accelerator, self.model, self.optimizer, settings, self.sources, held, self.sharing)
        if checkpoint is not None:
            self.take.load_state_tensors(load_regularizers(checkpoint))
        if self.state.kl_weight is not None:
            self.take.kl_weight = self.state.kl_weight

    def _resume(self, checkpoint: Path) -> None:
        if (checkpoint / "deepspeed").is_dir():
            self.sharing.load_optimizer_files(self.model, checkpoint)
        else:
            load_optimizer(self.optimizer, self.packed, checkpoint)
        self.state = TrainState.from_json((checkpoint / "state.json").read_bytes())
        self.saved = self.state.step
