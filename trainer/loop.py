"""The training loop: a consumer of `plan[step]`.

    resolve ─► finished already? ─► newest valid checkpoint, or step 0: evaluate
            ─► step ─► log ─► evaluate ─► gate ─► save ─┐ ─► export
                 ▲──────────────────────────────────────┘

Everything a step does follows from its number, the plan and the weights, so N steps, a stop of any kind and M more are
N+M steps straight, bitwise.
"""

import shutil
import threading
import time
from collections.abc import Collection, Generator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator, PartialState

from corpus.artifact import Manifest, RunLock, canonical_json, code_version, current, write_atomic
from corpus.errors import ConfigError, TrainingError
from corpus.tokens import TokenStore
from mixing.batch import TokenBatch
from trainer.checkpoint import (
    TrainState,
    checkpoint_folder,
    checkpoint_steps,
    load_optimizer,
    load_regularizers,
    newest_valid,
    prune,
    save_checkpoint,
)
from trainer.evaluate import SetScore, pack_evaluation, pooled_bits_per_byte, score
from trainer.export import export_model
from trainer.gate import better, judge
from trainer.metrics import MetricsLog
from trainer.model import (
    PackedModel,
    build_model,
    check_batch,
    check_head,
    check_isolation,
    check_vocabulary,
    deterministic,
    model_hash,
    quiet,
    resolve_model,
    resolve_precision,
    tokenizer_hash,
)
from trainer.progress import Progress, Reason, Report, TrainResult
from trainer.regularizers.assemble import Ground, assemble
from trainer.regularizers.measured import BaseModel
from trainer.schedules import warmup_cosine
from trainer.settings import TrainSettings
from trainer.step import StepOutcome, TrainStep, make_optimizer
from trainer.stopping import resume_command, stop_on_signal


class PlanSource(Protocol):
    """`role` is "domain" or "replay"."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


class Plan(Protocol):
    """What the loop asks of a `mixing.plan.MixturePlan`."""

    @property
    def steps(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def sources(self) -> Collection[Any]: ...


class Loader(Protocol):
    """What the loop asks of a `mixing.loader.Loader`: this rank's rows of a step, and a generator of those of every
    step from one on. `rank_and_world_size` says which rows are this process's."""

    def batch(self, step: int) -> TokenBatch: ...
    def iterate(self, start_step: int) -> Generator[TokenBatch, None, None]: ...


def rank_and_world_size() -> tuple[int, int]:
    """This process's rank and how many processes train, as the launcher (torchrun, accelerate) said; (0, 1) alone."""
    state = PartialState()
    return state.process_index, state.num_processes


def train(
    settings: TrainSettings,
    plan: Plan,
    loader: Loader,
    evaluation: Mapping[str, TokenStore],
    general: Collection[str],
    run: Path,
    *,
    resume: bool = True,
    on_progress: Report | None = None,
    lock: RunLock | None = None,
) -> TrainResult:
    """Train `settings.model` on the plan in the folder `run`, or go on where it stopped, or return at once when done.

    `evaluation` are validation stores by set name; `general` names those the gate guards, the others are the target.
    The result is the best step's model under the gate, or the last one's when the gate passed none.
    Raises ConfigError and TrainingError when model, tokens, plan and run do not fit, or the loss stays without value.
    """
    if unknown := sorted(set(general) - set(evaluation)):
        raise ConfigError(
            "the gate is to guard a set that is not evaluated",
            found=", ".join(unknown),
            todo=f"the evaluation sets are {', '.join(sorted(evaluation)) or 'none'}",
        )
    folder = resolve_model(settings.model)
    accelerator = Accelerator()
    precision = resolve_precision(settings.precision, accelerator.device)
    base = BaseModel(folder, model_hash(folder), precision, accelerator.device)
    identity = {
        "settings": settings.identity() | {"precision": precision},
        "plan": plan.fingerprint,
        "model": base.hash,
        "tokenizer": tokenizer_hash(folder),
        "evaluation": {name: store.manifest.fingerprint for name, store in sorted(evaluation.items())},
        "general": sorted(general),
    }
    run = Path(run)
    if resume and (manifest := current(run / "model", identity)) is not None:
        return _result_of(manifest, run)
    if not resume and accelerator.is_main_process:
        _start_over(run)
    accelerator.wait_for_everyone()
    run.mkdir(parents=True, exist_ok=True)
    report = on_progress if on_progress is not None and accelerator.is_main_process else _unheard
    with quiet(), deterministic(), stop_on_signal() as stop:
        session = _Session(accelerator, settings, plan, loader, evaluation, set(general), run, base, identity, lock)
        session.report, session.stop = report, stop
        session.prepare()
        return session.train()


def _unheard(progress: Progress) -> None:
    pass


def _result_of(manifest: Manifest, run: Path) -> TrainResult:
    ended = manifest.totals
    return TrainResult(ended["step"], ended["reason"], ended["best_step"], run / "model", ended["tokens_by_source"])


def _start_over(run: Path) -> None:
    for step in checkpoint_steps(run):
        shutil.rmtree(checkpoint_folder(run, step))
    shutil.rmtree(run / "model", ignore_errors=True)


class _Session:
    """One process's part in a run: the model on its device, the state, and the loop over the steps that are left."""

    report: Report
    stop: threading.Event

    def __init__(
        self,
        accelerator: Accelerator,
        settings: TrainSettings,
        plan: Plan,
        loader: Loader,
        stores: Mapping[str, TokenStore],
        general: set[str],
        run: Path,
        base: BaseModel,
        identity: dict[str, Any],
        lock: RunLock | None,
    ) -> None:
        self.accelerator, self.settings, self.plan, self.loader = accelerator, settings, plan, loader
        self.stores, self.general, self.run, self.base = stores, general, run, base
        self.identity, self.lock = identity, lock
        self.metrics = MetricsLog(run / "metrics.jsonl")
        self.sources = [source.name for source in plan.sources]

    def prepare(self) -> None:
        """Load the newest valid checkpoint or the base model, check that it fits, set up what a step needs."""
        self.length = self.loader.batch(0).input_ids.shape[1]
        self.sets = {
            name: pack_evaluation(name, store, self.settings.evaluation_tokens, self.length)
            for name, store in self.stores.items()
        }
        checkpoint = newest_valid(self.run, self.identity)
        packed = build_model(self.base.folder, self.settings, self.base.precision, checkpoint)
        check_vocabulary(packed, self.base.folder, [store.tokenizer for store in self.stores.values()])
        self.model = self.accelerator.prepare_model(packed)
        self.packed: PackedModel = self.accelerator.unwrap_model(self.model)
        self.packed.eval()
        device = self.accelerator.device
        self.guards = {"isolation": check_isolation(self.packed, device), "head": check_head(self.packed, device)}
        self.optimizer = make_optimizer(self.packed, self.settings)
        self.saved: int | None = None
        self.state = TrainState(tokens_by_source=dict.fromkeys(self.sources, 0))
        if checkpoint is not None:
            load_optimizer(self.optimizer, self.packed, checkpoint, device)
            self.state = TrainState.from_json((checkpoint / "state.json").read_bytes())
            self.saved = self.state.step
        general = {name: store for name, store in self.stores.items() if name in self.general}
        roles = [source.role for source in self.plan.sources]
        ground = Ground(
            self.base,
            self.identity["tokenizer"],
            self.plan.fingerprint,
            roles,
            general,
            self.length,
            self.run,
            self.report,
            self.lock,
        )
        held = assemble(self.settings, ground, self.accelerator, self.model)
        self.take = TrainStep(self.accelerator, self.model, self.optimizer, self.settings, self.sources, held)
        if checkpoint is not None:
            self.take.load_state_tensors(load_regularizers(checkpoint))

    def train(self) -> TrainResult:
        if self.saved is None:
            self._begin()
        elif self.accelerator.is_main_process:
            self.metrics.cut_back(self.saved)
        began, first, trained = time.monotonic(), self.state.step, 0
        with closing(self.loader.iterate(first)) as batches:  # a prefetching loader's thread ends with it
            while not (self.state.step == self.plan.steps or self.state.gated or self._stop_requested()):
                outcome, rate = self._step(next(batches))
                step, trained = self.state.step, trained + outcome.tokens
                best = self.state.best
                if step % self.settings.evaluate_every == 0 or step == self.plan.steps:
                    self._evaluate()
                if self.state.best != best or step % self.settings.checkpoint_every == 0:
                    self._save()
                elapsed = time.monotonic() - began
                eta = elapsed / (step - first) * (self.plan.steps - step)
                losses = outcome.source_loss
                self.report(Progress("train", step, self.plan.steps, trained / elapsed, eta, losses, rate))
        return self._end()

    def _stop_requested(self) -> bool:
        if self.accelerator.num_processes == 1:
            return self.stop.is_set()
        asked = torch.tensor(int(self.stop.is_set()), device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, reduction="sum"))

    def _begin(self) -> None:
        """Step 0: the run's record and the evaluation everything is measured against."""
        if self.accelerator.is_main_process:
            record = self.identity | {"steps": self.plan.steps, "code": code_version("mixing", "trainer")}
            write_atomic(self.run / "run.json", canonical_json(record) + b"\n")
            self.metrics.start_over()
            self.metrics.write(
                "start",
                0,
                plan=self.plan.fingerprint,
                model=self.base.hash,
                parameters=sum(parameter.numel() for parameter in self.packed.parameters()),
                world_size=self.accelerator.num_processes,
                guards=self.guards,
                precision=self.base.precision,
            )
        self._evaluate()

    def _step(self, batch: TokenBatch) -> tuple[StepOutcome, float]:
        """Take one step and book it."""
        check_batch(self.packed, self.base.folder, batch, self.state.step)
        rate = warmup_cosine(
            self.state.step,
            steps=self.plan.steps,
            peak=self.settings.learning_rate,
            warmup=self.settings.warmup_steps,
            min_ratio=self.settings.min_ratio,
        )
        clock = time.monotonic()
        outcome = self.take(batch, rate)
        seconds = time.monotonic() - clock
        state = self.state
        state.step += 1
        for name, tokens in outcome.source_tokens.items():
            state.tokens_by_source[name] += tokens
        state.skipped_in_a_row = 0 if outcome.finite else state.skipped_in_a_row + 1
        state.skipped += not outcome.finite
        if self.accelerator.is_main_process:
            figures = asdict(outcome)
            del figures["finite"]
            timing = {"seconds": seconds, "tokens_per_second": outcome.tokens / seconds}
            self.metrics.write("step", state.step, lr=rate, **figures, **timing)
            if not outcome.finite:
                self.metrics.write("skip", state.step, reason="loss or gradient not finite", skipped=state.skipped)
        if state.skipped_in_a_row > self.settings.max_skipped:
            raise TrainingError(
                "the loss or its gradient stays without a finite value",
                where=self.run,
                found=f"{state.skipped_in_a_row} steps in a row up to step {state.step}",
                todo="lower train.learning_rate, raise train.warmup_steps, or try train.precision fp32",
            )
        return outcome, rate

    def _evaluate(self) -> None:
        """Score every set against step 0, let the gate judge, and keep the best."""
        with self.take.averaged():
            scores = self._scores()
        state = self.state
        if state.step == 0:
            state.baseline = {name: list(map(float, each.nats)) for name, each in scores.items()}
        baseline = {name: np.array(nats) for name, nats in state.baseline.items()}
        before = {name: replace(each, nats=baseline[name]).bits_per_byte for name, each in scores.items()}
        general = {name: each.bits_per_byte for name, each in scores.items() if name in self.general}
        target = [each for name, each in scores.items() if name not in self.general]
        verdict = judge(general, before, self.settings.gate)
        state.best = better(state.best, state.step, pooled_bits_per_byte(target) if target else None, verdict)
        state.gated = verdict.action == "stop"
        if self.accelerator.is_main_process:
            sets = {name: each.against(baseline[name]) for name, each in scores.items()}
            self.metrics.write("eval", state.step, sets=sets)
            if state.step:
                self.metrics.write(
                    "gate",
                    state.step,
                    set=verdict.name,
                    rise=verdict.rise,
                    epsilon=self.settings.gate.epsilon,
                    action=verdict.action,
                    best_step=self._best_step,
                )

    def _scores(self) -> dict[str, SetScore]:
        self.model.eval()
        total = sum(int((rows.documents >= 0).sum()) for rows in self.sets.values())
        done = 0

        def heard(tokens: int) -> None:
            nonlocal done
            done += tokens
            self.report(Progress("evaluate", done, total))

        return {
            name: score(
                self.packed,
                rows,
                batch=self.settings.micro_batch,
                device=self.accelerator.device,
                rank=self.accelerator.process_index,
                world_size=self.accelerator.num_processes,
                add=lambda sums: self.accelerator.reduce(sums, reduction="sum"),
                on_batch=heard,
            )
            for name, rows in self.sets.items()
        }

    @property
    def _best_step(self) -> int | None:
        return self.state.best.step if self.state.best is not None else None

    def _save(self) -> None:
        """Publish a checkpoint of the step at hand, then let older ones go."""
        if self.saved == self.state.step:
            return
        self.saved = self.state.step
        regularizers = self.take.state_tensors()
        if self.accelerator.is_main_process:
            folder = save_checkpoint(
                self.run,
                self.packed,
                self.optimizer,
                self.state,
                base=self.base.folder,
                identity=self.identity,
                world_size=self.accelerator.num_processes,
                regularizers=regularizers,
                lock=self.lock,
            )
            self.metrics.write("checkpoint", self.state.step, path=folder.name)
            prune(self.run, keep_last=self.settings.keep_last, best=self.state.best)
        self.accelerator.wait_for_everyone()

    def _end(self) -> TrainResult:
        """Save, and export the model unless a signal cut the run short."""
        self._save()
        state = self.state
        reason: Reason = "gate" if state.gated else "finished" if state.step == self.plan.steps else "signal"
        ended = {"step": state.step, "reason": reason, "best_step": self._best_step}
        tokens = dict(state.tokens_by_source)
        if self.accelerator.is_main_process:
            if reason != "signal":
                chosen = checkpoint_folder(self.run, state.best.step if state.best is not None else state.step)
                totals = ended | {"tokens_by_source": tokens}
                export_model(self.run, chosen, identity=self.identity, totals=totals, lock=self.lock)
            self.metrics.write(
                "end",
                state.step,
                reason=reason,
                best_step=self._best_step,
                tokens=sum(tokens.values()),
                source_tokens=tokens,
            )
        self.accelerator.wait_for_everyone()
        if reason == "signal":
            return TrainResult(state.step, reason, self._best_step, None, tokens, resume_command())
        return TrainResult(state.step, reason, self._best_step, self.run / "model", tokens)
