"""A token store, its packing and a plan of it, to be damaged."""

from pathlib import Path

from small_stores import make_store

from mixing.budget import MixSettings
from mixing.compile import compile_plan
from mixing.packing import PackingSettings, pack


def mixture_of(folder: Path) -> Path:
    """The same in every folder: tokens/books, packing, plan."""
    store = make_store(folder / "tokens", "books", 60, 2)
    packed = pack(store, PackingSettings(method="best_fit"), 16, folder / "packing", source="books")
    asked = {"sequence_length": 16, "global_batch": 4, "steps": 8, "sources": {"books": {"max_epochs": 50}}}
    compile_plan({"books": packed}, MixSettings.model_validate(asked)).save(folder / "plan")
    return folder
