"""Questions about the mixture and the training, answered from the plan and metrics.jsonl.

Every function takes a workspace and returns one polars frame over all of its runs. `step` counts finished optimizer
steps: the quotas of plan step 0 are those of step 1 here.
"""

from pathlib import Path
from typing import Any

import polars as pl

from pipelines.audit.workspace import Plan, Run, plan_of, plans, runs, training_store

Schema = dict[str, type[pl.DataType]]
EVALUATION: Schema = {
    "nats": pl.Float64,
    "tokens": pl.Int64,
    "bytes": pl.Int64,
    "documents": pl.Int64,
    "perplexity": pl.Float64,
    "bits_per_byte": pl.Float64,
    "delta": pl.Float64,
    "delta_se": pl.Float64,
}
STEP: Schema = {
    "lr": pl.Float64,
    "loss": pl.Float64,
    "kl": pl.Float64,
    "penalty": pl.Float64,
    "grad_norm": pl.Float64,
    "tokens": pl.Int64,
    "predicted": pl.Int64,
    "seconds": pl.Float64,
    "tokens_per_second": pl.Float64,
    "mfu": pl.Float64,
    "memory": pl.Int64,
}
GATE: Schema = {
    "set": pl.String,
    "rise": pl.Float64,
    "epsilon": pl.Float64,
    "action": pl.String,
    "best_step": pl.Int64,
}


def planned(workspace: Path) -> pl.DataFrame:
    """plan (its folder), source, role → sequences, tokens, epochs of the store over the whole plan; share of tokens."""
    rows = []
    for plan in plans(workspace):
        name = plan.folder.relative_to(workspace).as_posix()
        for source, sequences in plan.quotas.group_by("source").agg(pl.col("sequences").sum()).sort("source").rows():
            entry = plan.sources[source]
            epochs = sequences / entry["sequences"]
            rows.append((name, source, entry["role"], sequences, sequences * plan.sequence_length, epochs))
    schema = {
        "plan": pl.String, "source": pl.String, "role": pl.String, "sequences": pl.Int64, "tokens": pl.Int64,
        "epochs": pl.Float64,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema, orient="row")
    return frame.with_columns((pl.col("tokens") / pl.col("tokens").sum().over("plan")).alias("share"))


def plan_steps(workspace: Path) -> pl.DataFrame:
    """plan (its folder), step, source, role → sequences of the step, and cumulative after it."""
    schema = {"plan": pl.String, "step": pl.Int64, "source": pl.String, "role": pl.String}
    frames = [pl.DataFrame(schema=schema | {"sequences": pl.Int64, "cumulative": pl.Int64})]
    for plan in plans(workspace):
        roles = {name: entry.get("role") for name, entry in plan.sources.items()}
        frames.append(
            plan.quotas.select(
                pl.lit(plan.folder.relative_to(workspace).as_posix()).alias("plan"),
                pl.col("step") + 1,
                "source",
                pl.col("source").replace_strict(roles, return_dtype=pl.String).alias("role"),
                "sequences",
                "cumulative",
            )
        )
    return pl.concat(frames)


def mixture_steps(workspace: Path) -> pl.DataFrame:
    """run, step, source → sequences and tokens planned and realised, for the steps the run has finished."""
    frames = []
    known = plans(workspace)
    for run in runs(workspace):
        realised = _realised(run)
        plan = plan_of(run, known)
        if plan is None:
            wanted = realised.select("run", "step", "source").with_columns(
                pl.lit(None, pl.Int64).alias("planned_sequences"), pl.lit(None, pl.Int64).alias("planned_tokens")
            )
        else:
            finished = max((event["step"] for event in run.of("step")), default=0)
            wanted = plan.quotas.filter(pl.col("step") < finished).select(
                pl.lit(run.name).alias("run"),
                (pl.col("step") + 1).alias("step"),
                "source",
                pl.col("sequences").alias("planned_sequences"),
                (pl.col("sequences") * plan.sequence_length).alias("planned_tokens"),
            )
            for source in (name for name, entry in plan.sources.items() if entry.get("padding_tokens")):
                dense = _dense_tokens(workspace, plan, source, finished)
                wanted = (
                    wanted.join(dense, on=["step", "source"], how="left")
                    .with_columns(pl.coalesce("dense", "planned_tokens").alias("planned_tokens"))
                    .drop("dense")
                )
        joined = wanted.join(realised, on=["run", "step", "source"], how="full", coalesce=True)
        known_zero = ["realised_sequences", "realised_tokens"]
        if plan is not None:  # without its plan, what was planned is unknown, not zero
            known_zero += ["planned_sequences", "planned_tokens"]
        frames.append(joined.with_columns(pl.col(known_zero).fill_null(0)).sort("step", "source"))
    schema = {"run": pl.String, "step": pl.Int64, "source": pl.String}
    schema |= {f"{when}_{what}": pl.Int64 for when in ("planned", "realised") for what in ("sequences", "tokens")}
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _dense_tokens(workspace: Path, plan: Plan, source: str, steps: int) -> pl.DataFrame:
    """step, source → dense: the planned tokens of a packed source, whose sequences are padded to their length."""
    from mixing.plan import MixturePlan
    from mixing.sequences import Sequences
    from mixing.simulate import tokens_by_step

    packed = Sequences.open(training_store(workspace, source), workspace / "packings" / plan.run / source)
    dense = tokens_by_step(MixturePlan.load(plan.folder), source, packed, steps)
    return pl.DataFrame({"step": range(1, steps + 1), "source": [source] * steps, "dense": dense})


def mixture(workspace: Path) -> pl.DataFrame:
    """run, source, role → sequences and tokens planned and realised over the finished steps, their difference in
    tokens (0 when training is what the plan says), the share of the realised tokens, passes over the source's store
    (`epochs`), and the tokens of sequences that had been trained before."""
    roles = _roles(workspace)
    return (
        mixture_steps(workspace)
        .group_by("run", "source")
        .agg(
            # A run without its plan has nothing planned, which is not the same as a plan of zero.
            *[
                pl.when(pl.col(name).is_null().all()).then(None).otherwise(pl.col(name).sum()).alias(name)
                for name in ("planned_sequences", "planned_tokens")
            ],
            pl.col("realised_sequences", "realised_tokens").sum(),
        )
        .join(_passes(workspace), on=["run", "source"], how="left")
        .with_columns((pl.col("realised_sequences") / pl.col("per_epoch")).alias("epochs"))
        .with_columns(
            # Tokens of the sequences that had been given before.
            (pl.col("realised_tokens") * (1 - 1 / pl.col("epochs").clip(lower_bound=1)))
            .round()
            .cast(pl.Int64)
            .alias("repeated_tokens"),
            (pl.col("realised_tokens") - pl.col("planned_tokens")).alias("difference"),
            (pl.col("realised_tokens") / pl.col("realised_tokens").sum().over("run")).alias("share"),
        )
        .join(roles, on=["run", "source"], how="left")
        .select("run", "source", "role", pl.exclude("run", "source", "role", "per_epoch"))
        .sort("run", "source")
    )


def losses(workspace: Path) -> pl.DataFrame:
    """run, step, source → training loss (nats per predicted token) and input tokens."""
    rows = [
        (run.name, event["step"], source, loss, event.get("source_tokens", {}).get(source))
        for run in runs(workspace)
        for event in run.of("step")
        for source, loss in sorted(event.get("source_loss", {}).items())
    ]
    schema = {"run": pl.String, "step": pl.Int64, "source": pl.String, "loss": pl.Float64, "tokens": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


def steps(workspace: Path) -> pl.DataFrame:
    """run, step → learning rate, loss, KL, penalty, gradient norm, tokens, seconds, tokens per second, share of the
    processors' arithmetic that the model used, bytes of memory at the most; null where a run did not log it."""
    rows = [(run.name, event["step"], *_numbers(event, STEP)) for run in runs(workspace) for event in run.of("step")]
    return pl.DataFrame(rows, {"run": pl.String, "step": pl.Int64} | STEP, orient="row")


def evaluations(workspace: Path) -> pl.DataFrame:
    """run, step, set → nats, tokens, bytes, documents, perplexity, bits per byte, delta to step 0 and its standard
    error."""
    rows = [
        (run.name, event["step"], name, *_numbers(values, EVALUATION))
        for run in runs(workspace)
        for event in run.of("eval")
        for name, values in sorted(event["sets"].items())
    ]
    return pl.DataFrame(rows, {"run": pl.String, "step": pl.Int64, "set": pl.String} | EVALUATION, orient="row")


def forgetting(workspace: Path) -> pl.DataFrame:
    """run, set, role → bits per byte before (step 0) and after (last evaluation), the change with its standard error,
    and the highest change on the way. A positive change is loss of what the model knew."""
    frame = evaluations(workspace).sort("run", "set", "step")
    value, step = pl.col("bits_per_byte"), pl.col("step")
    return (
        frame.group_by("run", "set", maintain_order=True)
        .agg(
            value.filter(step == 0).first().alias("before"),
            value.last().alias("after"),
            step.last().alias("step"),
            pl.col("delta_se").last(),
            (value - value.filter(step == 0).first()).max().alias("highest"),
            pl.col("documents").last(),
        )
        .with_columns((pl.col("after") - pl.col("before")).alias("delta"))
        .join(_roles(workspace).rename({"source": "set"}), on=["run", "set"], how="left")
        .select("run", "set", "role", "step", "before", "after", "delta", "delta_se", "highest", "documents")
    )


def gates(workspace: Path) -> pl.DataFrame:
    """run, step, set → rise in bits per byte, the bound, what the gate did, the best step so far."""
    rows = [
        (run.name, event["step"], *(event.get(name) for name in GATE))
        for run in runs(workspace)
        for event in run.of("gate")
    ]
    return pl.DataFrame(rows, {"run": pl.String, "step": pl.Int64} | GATE, orient="row")


def _realised(run: Run) -> pl.DataFrame:
    rows = [
        (run.name, event["step"], source, event.get("source_sequences", {}).get(source), tokens)
        for event in run.of("step")
        for source, tokens in sorted(event["source_tokens"].items())
        if tokens or event.get("source_sequences", {}).get(source)
    ]
    schema = {
        "run": pl.String, "step": pl.Int64, "source": pl.String,
        "realised_sequences": pl.Int64, "realised_tokens": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")


def _passes(workspace: Path) -> pl.DataFrame:
    """run, source → per_epoch: sequences of one pass over the source's store."""
    known = plans(workspace)
    rows = [
        (run.name, name, entry["sequences"])
        for run in runs(workspace)
        if (plan := plan_of(run, known)) is not None
        for name, entry in plan.sources.items()
    ]
    return pl.DataFrame(rows, {"run": pl.String, "source": pl.String, "per_epoch": pl.Int64}, orient="row")


def _roles(workspace: Path) -> pl.DataFrame:
    """run, source, role: as the run's own plan has it, else as any plan of the workspace has (a run without replay is
    still evaluated on the replay sources)."""
    known = plans(workspace)
    rows = []
    for run in runs(workspace):
        own = plan_of(run, known)
        roles = {name: entry.get("role") for plan in known for name, entry in plan.sources.items()}
        roles |= {name: entry.get("role") for name, entry in (own.sources if own else {}).items()}
        rows += [(run.name, name, role) for name, role in roles.items()]
    return pl.DataFrame(rows, {"run": pl.String, "source": pl.String, "role": pl.String}, orient="row")


def _numbers(event: dict[str, Any], schema: dict[str, Any]) -> list[float | int | None]:
    whole = {name for name, kind in schema.items() if kind == pl.Int64}
    return [
        None if event.get(name) is None else int(event[name]) if name in whole else float(event[name])
        for name in schema
    ]
