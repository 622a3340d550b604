"""A mixture that is packed, compiled, saved and changed, in a process that dies after so many calls that change the
disk."""

from pathlib import Path

from killed_preparation import die_after

from corpus.artifact import RunLock, current
from corpus.tokens.store import TokenStore
from mixing.amend import with_more_replay
from mixing.budget import MixSettings
from mixing.compile import compile_plan, plan_function
from mixing.packing import PackingSettings, pack
from mixing.plan import MixturePlan

PACKINGS = {"books": "best_fit", "notes": "bucketed", "web": "concatenate"}
SETTINGS = MixSettings.model_validate(
    {
        "sequence_length": 16,
        "global_batch": 4,
        "steps": 12,
        "seed": 3,
        "sources": {
            "books": {"role": "domain", "max_epochs": 50},
            "notes": {"role": "replay", "max_epochs": 50},
            "web": {"role": "replay", "max_epochs": 50},
        },
    }
)


def mix(tokens: Path, workspace: Path) -> None:
    """Pack the stores, compile a plan and save it, and save it again with more replay; what stands is left alone."""
    with RunLock(workspace) as lock:
        stores = {
            name: pack(
                TokenStore.open(tokens / name),
                PackingSettings.model_validate({"method": method}),
                SETTINGS.sequence_length,
                workspace / "packings" / name,
                source=name,
                lock=lock,
            )
            for name, method in PACKINGS.items()
        }
        function = plan_function(stores, SETTINGS)
        if current(workspace / "plans/main", function) is None:
            compile_plan(stores, SETTINGS).save(workspace / "plans/main", lock=lock, function=function)
        plan = MixturePlan.load(workspace / "plans/main")
        raised = {**function, "raised": [5, 0.6]}
        if current(workspace / "plans/raised", raised) is None:
            with_more_replay(plan, 5, 0.6).save(workspace / "plans/raised", lock=lock, function=raised)
        MixturePlan.load(workspace / "plans/raised").check_stores(stores)


def mix_and_die(tokens: Path, workspace: Path, calls: int) -> None:
    die_after(calls)
    mix(tokens, workspace)
