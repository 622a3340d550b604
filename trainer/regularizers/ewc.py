"""Elastic weight consolidation: the diagonal Fisher information of the base model on general text.

F_i = E_x E_{y∼p(y|x)} [(∂ log p(y|x) / ∂θ_i)²] per token (Kirkpatrick et al. 2017). Labels are drawn from the model,
independently at every position, and one backward pass of the *summed* loss gives Σ_t g_t; because E[g_s g_t] = 0 for
independently drawn labels, its square is an unbiased estimate of Σ_t g_t² at any batch size. (The square of the batch
mean is off by the batch's tokens; the text's own labels give the empirical Fisher, which is another thing.)
Costs a forward and a backward pass over the tokens, once: the result is an artefact beside the run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from corpus.errors import TrainingError
from mixing.batch import IGNORE
from trainer.model.packed import PackedModel

KIND = "trainer.fisher"


def diagonal_fisher(
    model: nn.Module, losses: Iterable[tuple[Callable[[], Tensor], int]], named: list[tuple[str, nn.Parameter]]
) -> dict[str, Tensor]:
    """F by parameter name. Each of `losses` gives the *summed* loss of its tokens under sampled labels, and their
    count."""
    fisher = {name: torch.zeros_like(weight) for name, weight in named}
    total = 0
    for loss, tokens in losses:
        model.zero_grad(set_to_none=True)
        loss().backward()
        total += tokens
        for name, weight in named:
            if weight.grad is not None:
                fisher[name].addcmul_(weight.grad, weight.grad)
    model.zero_grad(set_to_none=True)
    if total == 0:
        raise TrainingError(
            "no text to estimate the Fisher information on", todo="give a general evaluation set, or set train.ewc null"
        )
    return {name: values / total for name, values in fisher.items()}


def fisher_losses(
    model: PackedModel, batches: Iterable[tuple[Tensor, Tensor, Tensor]], seed: int
) -> Iterator[tuple[Callable[[], Tensor], int]]:
    """The losses of `diagonal_fisher` for packed (input_ids, position_ids, labels) [rows, sequence]: labels say where,
    the model draws what."""
    for index, (input_ids, position_ids, labels) in enumerate(batches):
        generator = torch.Generator(device=input_ids.device).manual_seed(seed + index)

        def loss(
            input_ids: Tensor = input_ids,
            position_ids: Tensor = position_ids,
            labels: Tensor = labels,
            generator: torch.Generator = generator,
        ) -> Tensor:
            drawn = model.sample_labels(input_ids, position_ids, generator)
            drawn = torch.where(labels == IGNORE, IGNORE, drawn)
            weights = torch.ones(labels.shape, device=labels.device)
            return model(input_ids, position_ids, drawn, weights).loss

        yield loss, int((labels != IGNORE).sum())


def consolidated(now: Mapping[str, Tensor], before: Mapping[str, Tensor], decay: float) -> dict[str, Tensor]:
    """Online EWC (Schwarz et al. 2018): γ F_before + F_now, F_before being that of the stage before."""
    return {name: values.add(before[name], alpha=decay) for name, values in now.items()}
