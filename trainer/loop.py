"""The training loop: a consumer of `plan[step]`.

    order ─► finished already? ─► session: newest whole checkpoint, or step 0: evaluate
          ─► step ─► log ─► evaluate ─► gate ─► save ─┐ ─► export
               ▲──────────────────────────────────────┘

Everything a step does follows from its number, the plan and the weights, so N steps, a stop of any kind and M more are
N+M steps straight, bitwise. What the gate changes on the way (KL weight, replay) is part of the state.
"""

import shutil
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from corpus.artifact import Manifest, RunLock, canonical_json, code_version, current, write_atomic
from corpus.errors import ConfigError, TrainingError
from corpus.tokens.store import TokenStore
from mixing.batch import TokenBatch
from trainer.batches.planned import Loader, Plan, Replanner, rank_and_world_size
from trainer.checkpoints.checkpoint import capture, checkpoint_folder, checkpoint_steps, prune, write_checkpoint
from trainer.checkpoints.export import export_model
from trainer.checkpoints.writer import CheckpointWriter
from trainer.evaluation.evaluate import pooled_bits_per_byte
from trainer.evaluation.gate import Change, Verdict, better, change_of, judge
from trainer.evaluation.scoring import Evaluator
from trainer.evaluation.transfer import evaluation_matrix, transfer
from trainer.model.packed import check_batch, deterministic, quiet
from trainer.processes.parallel import make_accelerator
from trainer.record.metrics import MetricsLog, read_metrics
from trainer.record.progress import Progress, Reason, Report, TrainResult
from trainer.record.throughput import memory_bytes, peak_flops
from trainer.record.tracking import Tracking, check_installed
from trainer.session import Order, Session, take_order
from trainer.settings import TrainSettings
from trainer.spikes import spike_bound
from trainer.step import NOT_FINITE, StepOutcome
from trainer.stopping import resume_command, stop_on_signal

__all__ = ["rank_and_world_size", "train"]

AMENDED = "plan"  # the folder in a run with the plan that is followed since the gate raised replay


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
    replanner: Replanner | None = None,
) -> TrainResult:
    """Train `settings.model` on the plan in the folder `run`, or go on where it stopped, or return at once when done.

    `evaluation` are validation stores by set name; `general` names those the gate guards, the others are the target.
    `replanner` is how the gate raises replay (trainer/batches/replan.py). The result is the best step's model under the
    gate, or the last one's when the gate passed none. Raises ConfigError and TrainingError when model, tokens, plan and
    run do not fit, or the loss stays without value.
    """
    check_installed(settings.trackers)
    accelerator = make_accelerator(settings.parallel)
    order = take_order(settings, plan, loader, evaluation, general, run, accelerator, replanner, lock)
    if resume and (manifest := current(order.run / "model", order.identity)) is not None:
        return _result_of(manifest, order.run)
    if not resume and accelerator.is_main_process:
        _start_over(order.run)
    accelerator.wait_for_everyone()
    order.run.mkdir(parents=True, exist_ok=True)
    report = on_progress if on_progress is not None and accelerator.is_main_process else _unheard
    with quiet(), deterministic(), stop_on_signal() as stop:
        return _Loop(order, accelerator, report, stop).train()


def _unheard(progress: Progress) -> None:
    pass


def _result_of(manifest: Manifest, run: Path) -> TrainResult:
    ended = manifest.totals
    return TrainResult(ended["step"], ended["reason"], ended["best_step"], run / "model", ended["tokens_by_source"])


def _start_over(run: Path) -> None:
    for step in checkpoint_steps(run):
        shutil.rmtree(checkpoint_folder(run, step))
    for name in ("model", AMENDED):
        shutil.rmtree(run / name, ignore_errors=True)


class _Loop:
    """The steps that are left of a run, and what happens between them."""

    def __init__(self, order: Order, accelerator: Accelerator, report: Report, stop: threading.Event) -> None:
        self.order, self.accelerator, self.report, self.stop = order, accelerator, report, stop
        self.settings, self.run, self.main = order.settings, order.run, accelerator.is_main_process
        self.plan, self.loader, self.steps = order.plan, order.loader, order.plan.steps
        self.metrics = MetricsLog(order.run / "metrics.jsonl")
        self.writer = CheckpointWriter(self.settings.save_in_background)
        self.session = Session(order, accelerator, report)
        self.state = self.session.state
        self.evaluator = Evaluator(
            self.settings, order.stores, order.tokenizer, self.session.length, accelerator, report
        )
        self.peak = self.settings.peak_flops or (
            peak_flops(accelerator.device, order.base.precision) if self.main else 1.0
        )
        self.tracking = Tracking(accelerator, self.settings.trackers, order.run, order.identity["settings"])

    def train(self) -> TrainResult:
        if self.session.saved is None:
            self._begin()
        elif self.main:
            self.metrics.cut_back(self.session.saved)
        if self.state.raises:
            self._follow_raises()
        try:
            self._train()
            return self._end()
        finally:
            self.writer.wait()

    def _train(self) -> None:
        began, first, trained = time.monotonic(), self.state.step, 0
        while not self._done():
            followed = self.plan
            with closing(self.loader.iterate(self.state.step)) as batches:  # a prefetching thread ends with it
                while self.plan is followed and not self._done():
                    outcome, rate, mfu = self._step(next(batches))
                    step, trained = self.state.step, trained + outcome.tokens
                    best = self.state.best
                    if step % self.settings.evaluate_every == 0 or step == self.steps:
                        self._evaluate()
                    if self.state.best != best or step % self.settings.checkpoint_every == 0:
                        self._save()
                    elapsed = time.monotonic() - began
                    eta = elapsed / (step - first) * (self.steps - step)
                    losses, speed = outcome.source_loss, trained / elapsed
                    self.report(Progress("train", step, self.steps, speed, eta, losses, rate, mfu))

    def _done(self) -> bool:
        return self.state.step == self.steps or self.state.gated or self._stop_requested()

    def _stop_requested(self) -> bool:
        if self.accelerator.num_processes == 1:
            return self.stop.is_set()
        asked = torch.tensor(int(self.stop.is_set()), device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, reduction="sum"))

    def _log(self, event: str, **fields: Any) -> None:
        """A line of metrics.jsonl, and its numbers for the trackers."""
        if self.main:
            self.metrics.write(event, self.state.step, **fields)
            self.tracking.log(event, self.state.step, fields)

    def _begin(self) -> None:
        """Step 0: the run's record and the evaluation everything is measured against."""
        if self.main:
            shutil.rmtree(self.run / AMENDED, ignore_errors=True)
            record = self.order.identity | {"steps": self.steps, "code": code_version("mixing", "trainer")}
            write_atomic(self.run / "run.json", canonical_json(record) + b"\n")
            self.metrics.start_over()
        self._log(
            "start",
            plan=self.plan.fingerprint,
            model=self.order.base.hash,
            parameters=self.session.parameters,
            world_size=self.accelerator.num_processes,
            guards=self.session.guards,
            precision=self.order.base.precision,
        )
        self._evaluate()

    def _step(self, batch: TokenBatch) -> tuple[StepOutcome, float, float]:
        """Take one step and book it; also its learning rate and MFU."""
        state, settings = self.state, self.settings
        check_batch(self.session.packed, self.order.base.folder, batch, state.step)
        rate = settings.rate(state.step, self.steps)
        bound = spike_bound(state.recent, settings.spikes) if settings.spikes is not None else None
        clock = time.monotonic()
        outcome = self.session.take(batch, rate, bound)
        seconds = time.monotonic() - clock
        mfu = self.session.flops * outcome.tokens / (seconds * self.peak * self.accelerator.num_processes)
        state.step += 1
        for name, tokens in outcome.source_tokens.items():
            state.tokens_by_source[name] += tokens
        if outcome.skipped is None:
            state.skipped_in_a_row = 0
            if settings.spikes is not None:
                state.recent = [*state.recent, outcome.loss][-settings.spikes.window :]
        else:
            state.skipped_in_a_row, state.skipped = state.skipped_in_a_row + 1, state.skipped + 1
        figures = asdict(outcome)
        del figures["skipped"]
        machine = {"seconds": seconds, "tokens_per_second": outcome.tokens / seconds, "mfu": mfu}
        machine["memory"] = memory_bytes(self.accelerator.device)
        self._log("step", lr=rate, **figures, **machine)
        if outcome.skipped is not None:
            self._log("skip", reason=outcome.skipped, skipped=state.skipped)
        if state.skipped_in_a_row > settings.max_skipped:
            self._give_up(outcome.skipped)
        return outcome, rate, mfu

    def _give_up(self, reason: str | None) -> None:
        found = f"{self.state.skipped_in_a_row} steps in a row up to step {self.state.step}, the last one: {reason}"
        if reason == NOT_FINITE:
            raise TrainingError(
                "the loss or its gradient stays without a finite value",
                where=self.run,
                found=found,
                todo="lower train.learning_rate, raise train.warmup_steps, or try train.precision fp32",
            )
        raise TrainingError(
            "the loss stays above what went before",
            where=self.run,
            found=found,
            todo="lower train.learning_rate; if the text did change, raise train.spikes.least or set train.spikes null",
        )

    def _evaluate(self) -> None:
        """Score every set against step 0, let the gate judge, keep the best, and change what the gate may change."""
        with self.session.take.averaged(), self.session.sharing.evaluating(self.session.model) as model:
            measured = self.evaluator.measure(model, self.session.packed)
        scores, state, guarded = measured.sets, self.state, self.order.general
        if state.step == 0:
            state.baseline = {name: list(map(float, each.nats)) for name, each in scores.items()}
        baseline = {name: np.array(nats) for name, nats in state.baseline.items()}
        self._log("eval", sets={name: each.against(baseline[name]) for name, each in scores.items()})
        if measured.tasks:
            self._log("tasks", tasks=measured.tasks)
        before = {name: replace(each, nats=baseline[name]).bits_per_byte for name, each in scores.items()}
        general = {name: each.bits_per_byte for name, each in scores.items() if name in guarded}
        target = [each for name, each in scores.items() if name not in guarded]
        verdict = judge(general, before, self.settings.gate)
        state.best = better(state.best, state.step, pooled_bits_per_byte(target) if target else None, verdict)
        if state.step == 0:
            return
        change = self._change(verdict)
        verdict = self._settled(verdict, change)
        state.gated = verdict.action == "stop"
        self._log(
            "gate",
            set=verdict.name,
            rise=verdict.rise,
            epsilon=self.settings.gate.epsilon,
            action=verdict.action,
            best_step=self._best_step,
        )
        if change is not None:
            self._apply(change)

    def _settled(self, verdict: Verdict, change: Change | None) -> Verdict:
        """A verdict that asks for a raise which is no longer to be had becomes what the recipe says for then."""
        action = self.settings.gate.action
        if isinstance(action, str) or verdict.action == "pass" or change is not None:
            return verdict
        return replace(verdict, action=action.at_bound)

    def _change(self, verdict: Verdict) -> Change | None:
        """What a raise changes from the next step on; None when nothing may or can be raised."""
        action, state = self.settings.gate.action, self.state
        if isinstance(action, str) or verdict.action == "pass" or state.step == self.steps:
            return None
        if action.kind == "raise_kl":
            assert self.settings.kl is not None  # the settings say so
            return change_of(action, self.session.take.kl_weight or self.settings.kl.weight)
        assert self.order.replanner is not None  # take_order saw to it
        change = change_of(action, self.order.replanner.share(state.raises, state.step))
        if change is not None:
            try:
                self.order.replanner.raised([*state.raises, (state.step, change.after)])
            except ConfigError:
                return None  # the replay sources have not so much within their epochs
        return change

    def _apply(self, change: Change) -> None:
        plan = None
        if change.what == "kl":
            self.state.kl_weight = self.session.take.kl_weight = change.after
        else:
            self.state.raises.append((self.state.step, change.after))
            self._follow_raises()
            plan = self.plan.fingerprint
        self._log("raise", what=change.what, before=change.before, after=change.after, plan=plan)

    def _follow_raises(self) -> None:
        """Go on with the plan that the raises so far make of the run's, and leave it in the run for the audit."""
        assert self.order.replanner is not None
        self.plan, self.loader = self.order.replanner.raised(self.state.raises)
        if self.main:
            self.order.replanner.publish(self.state.raises, self.run / AMENDED, self.order.lock)

    @property
    def _best_step(self) -> int | None:
        return self.state.best.step if self.state.best is not None else None

    def _save(self) -> None:
        """Copy the run as it stands and hand it to the writer, which lets older checkpoints go when the new one is
        whole. The line in the metrics says that it was handed over: what is whole, manifests say."""
        session, state = self.session, self.state
        if session.saved == state.step:
            return
        session.saved = state.step
        self.writer.wait()  # one copy at a time
        snapshot = capture(
            session.sharing,
            session.model,
            session.packed,
            session.optimizer,
            state,
            session.take.state_tensors(),
            run=self.run,
            identity=self.order.identity,
            world_size=self.accelerator.num_processes,
        )
        if not self.main:
            return
        best = state.best

        def write() -> None:
            write_checkpoint(
                self.run,
                snapshot,
                session.packed,
                base=self.order.tokenizer,
                identity=self.order.identity,
                lock=self.order.lock,
            )
            prune(self.run, keep_last=self.settings.keep_last, best=best)

        self.writer.submit(write)
        self._log("checkpoint", path=checkpoint_folder(self.run, state.step).name)

    def _end(self) -> TrainResult:
        """Save, and export the model unless a signal cut the run short."""
        self._save()
        self.writer.wait()
        state = self.state
        reason: Reason = "gate" if state.gated else "finished" if state.step == self.steps else "signal"
        ended = {"step": state.step, "reason": reason, "best_step": self._best_step}
        tokens = dict(state.tokens_by_source)
        if self.main:
            if reason != "signal":
                matrix = evaluation_matrix(read_metrics(self.metrics.path))
                self._log("transfer", **transfer(matrix, self.order.general))
                chosen = checkpoint_folder(self.run, state.best.step if state.best is not None else state.step)
                totals = ended | {"tokens_by_source": tokens}
                export_model(self.run, chosen, identity=self.order.identity, totals=totals, lock=self.order.lock)
            self._log(
                "end",
                reason=reason,
                best_step=self._best_step,
                tokens=sum(tokens.values()),
                source_tokens=tokens,
            )
        self.tracking.close()
        self.accelerator.wait_for_everyone()
        if reason == "signal":
            return TrainResult(state.step, reason, self._best_step, None, tokens, resume_command())
        return TrainResult(state.step, reason, self._best_step, self.run / "model", tokens)
