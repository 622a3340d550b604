"""Everything an evaluation looks at: sets of held-out text, local multiple-choice tasks, lm-eval."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from corpus.tokens.store import TokenStore
from trainer.evaluation.evaluate import EvaluationRows, SetScore, pack_evaluation, score
from trainer.evaluation.lm_eval_hook import check_lm_eval, lm_eval_scores
from trainer.evaluation.multiple_choice import answered, load_task
from trainer.model.packed import PackedModel
from trainer.record.progress import Progress, Report
from trainer.settings import TrainSettings


@dataclass(frozen=True)
class Measured:
    """Scores by set, and figures by task."""

    sets: dict[str, SetScore]
    tasks: dict[str, Mapping[str, Any]]


class Evaluator:
    """Packs what is evaluated once and measures it as often as asked, the rows shared out over the ranks."""

    def __init__(
        self,
        settings: TrainSettings,
        stores: Mapping[str, TokenStore],
        tokenizer: Path,
        length: int,
        accelerator: Accelerator,
        report: Report,
    ) -> None:
        self.settings, self.tokenizer, self.accelerator, self.report = settings, tokenizer, accelerator, report
        self.sets = {
            name: pack_evaluation(name, store, settings.evaluation_tokens, length) for name, store in stores.items()
        }
        path = tokenizer / "tokenizer.json"
        self.tasks = {name: load_task(name, task, path, length) for name, task in settings.tasks.items()}
        if settings.lm_eval is not None:
            check_lm_eval()

    def measure(self, model: nn.Module, packed: PackedModel) -> Measured:
        """All scores of `model`, which wraps `packed`."""
        self._done = 0
        everything = [*self.sets.values(), *(task.rows for task in self.tasks.values())]
        self._total = sum(int((rows.documents >= 0).sum()) for rows in everything)
        sets = {name: self._score(model, rows) for name, rows in self.sets.items()}
        tasks = {name: answered(task, self._score(model, task.rows).nats) for name, task in self.tasks.items()}
        return Measured(sets, {**tasks, **self._lm_eval(packed)})

    def _score(self, model: nn.Module, rows: EvaluationRows) -> SetScore:
        def heard(tokens: int) -> None:
            self._done += tokens
            self.report(Progress("evaluate", self._done, self._total))

        return score(
            model,
            rows,
            batch=self.settings.micro_batch,
            device=self.accelerator.device,
            rank=self.accelerator.process_index,
            world_size=self.accelerator.num_processes,
            add=lambda sums: self.accelerator.reduce(sums, reduction="sum"),
            on_batch=heard,
        )

    def _lm_eval(self, packed: PackedModel) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        if self.settings.lm_eval is not None and self.accelerator.is_main_process:
            found = dict(
                lm_eval_scores(packed.causal, self.tokenizer, self.settings.lm_eval, self.settings.micro_batch)
            )
        self.accelerator.wait_for_everyone()
        return found
