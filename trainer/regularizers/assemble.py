"""The regularizers a recipe asks for, on one frozen copy of the base model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from corpus.artifact import RunLock
from corpus.errors import TrainingError
from corpus.tokens import TokenStore
from trainer.evaluate import batches, pack_evaluation
from trainer.model import PackedModel, Precision, build_model, load_causal
from trainer.progress import Progress, Report
from trainer.regularizers.anchor import Anchor
from trainer.regularizers.ewc import diagonal_fisher, fisher_losses, load_fisher, stored_fisher
from trainer.regularizers.kl import KlToBase
from trainer.settings import EwcSettings, TrainSettings


@dataclass(frozen=True)
class BaseModel:
    """The model a run starts from: its folder and hash, and how it is computed with."""

    folder: Path
    hash: str
    precision: Precision
    device: torch.device


def kl_to_base(settings: TrainSettings, frozen: PackedModel, roles: Sequence[str]) -> KlToBase | None:
    """KL on the sources of role replay, or on all. Raises TrainingError when that is none of them."""
    if settings.kl is None:
        return None
    held = [settings.kl.on == "all" or role == "replay" for role in roles]
    if not any(held):
        raise TrainingError(
            "KL on replay rows, but the plan replays nothing",
            where="train.kl",
            todo="give a source the role replay, or set train.kl.on to all",
        )
    sources = torch.tensor(held, device=frozen.head_weight.device)
    return KlToBase(frozen, sources, settings.kl.weight, settings.kl.direction)


def anchors_to_base(
    settings: TrainSettings, frozen: PackedModel, fisher: Callable[[EwcSettings], Mapping[str, torch.Tensor]]
) -> list[Anchor]:
    """The pulls on the weights; `fisher` is asked for F by parameter name when EWC is on."""
    start = dict(frozen.causal.named_parameters())
    anchors = [] if settings.l2sp is None else [Anchor(settings.l2sp, start, None)]
    if settings.ewc is not None:
        device = frozen.head_weight.device
        importance = {name: values.to(device) for name, values in fisher(settings.ewc).items()}
        anchors.append(Anchor(settings.ewc.weight, start, importance))
    return anchors


def load_frozen(settings: TrainSettings, base: BaseModel) -> PackedModel:
    """A frozen copy of the base model, in the precision of the trained one."""
    causal = load_causal(base.folder, settings.attention).requires_grad_(False)
    frozen = PackedModel(causal, precision=base.precision, chunk=settings.chunk)
    return frozen.eval().to(base.device)


def fisher_of(
    settings: TrainSettings,
    ewc: EwcSettings,
    base: BaseModel,
    texts: Mapping[str, TokenStore],
    *,
    length: int,
    folder: Path,
    report: Report,
    lock: RunLock | None,
) -> dict[str, torch.Tensor]:
    """The base model's Fisher, read from `ewc.path` or made on the sets `texts` and kept in `folder`.

    The general evaluation sets serve as text: a plan without replay has no other, and as labels are drawn from the
    model nothing is learnt of how these texts go on.
    """
    if ewc.path is not None:
        return load_fisher(ewc.path, base.hash)
    function = {
        "model": base.hash,
        "stores": {name: store.manifest.fingerprint for name, store in sorted(texts.items())},
        "tokens": ewc.fisher_tokens,
        "sequence_length": length,
        "precision": base.precision,
        "seed": settings.seed,
    }

    def compute() -> dict[str, torch.Tensor]:
        share = ewc.fisher_tokens // max(len(texts), 1)
        packed = [pack_evaluation(name, store, share, length) for name, store in sorted(texts.items())]
        model = build_model(base.folder, settings, base.precision).to(base.device)
        # One row a backward pass: the smaller the batch, the more squares are averaged for the same work.
        rows = [
            (input_ids, position_ids, labels)
            for each in packed
            for _, input_ids, position_ids, labels in batches(each, 1, base.device)
        ]
        total = sum(each.tokens for each in packed)

        def reported() -> Iterator[tuple[Callable[[], torch.Tensor], int]]:
            done = 0
            for loss, tokens in fisher_losses(model, rows, settings.seed):
                yield loss, tokens
                done += tokens
                report(Progress("fisher", done, total))

        return diagonal_fisher(model, reported(), list(model.causal.named_parameters()))

    return stored_fisher(folder, function, compute, lock)
