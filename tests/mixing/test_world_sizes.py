"""The global batch and where a run is resumed do not depend on the ranks: laws over random plans and layouts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.tokens.store import TokenStore
from mixing.budget import MixSettings, SourceBudget, UniMax
from mixing.compile import append_segment, compile_plan
from mixing.loader import Loader
from mixing.packing import PackingSettings, pack
from mixing.plan import MixturePlan
from mixing.schedule import Annealing, Constant, Cosine, Linear
from mixing.sequences import Sequences, Stores

ARRAYS = ("input_ids", "labels", "position_ids", "document_ids", "source_ids")
LENGTHS = (2, 7, 16, 33)

schedules = st.sampled_from([Constant(share=0.3), Linear(), Cosine(start=0.0, end=1.0), Annealing(at=0.5)])


@pytest.fixture(scope="module")
def layouts(
    stores: dict[str, TokenStore], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int, str], TokenStore | Sequences]:
    """Every store as every packing gives it."""
    folder = tmp_path_factory.mktemp("layouts")
    found: dict[tuple[str, int, str], TokenStore | Sequences] = {}
    for name, store in stores.items():
        for length in LENGTHS:
            for method in ("concatenate", "best_fit", "bucketed"):
                packing = PackingSettings.model_validate({"method": method})
                place = folder / f"{name}-{length}-{method}"
                found[name, length, method] = pack(store, packing, length, place, source=name)
    return found


@st.composite
def runs(draw: st.DrawFn, layouts: dict[tuple[str, int, str], TokenStore | Sequences]) -> tuple[MixturePlan, Stores]:
    length = draw(st.sampled_from(LENGTHS))
    names = draw(st.lists(st.sampled_from(["books", "notes", "web"]), min_size=1, max_size=3, unique=True))
    stores = {
        name: layouts[name, length, draw(st.sampled_from(["concatenate", "best_fit", "bucketed"]))] for name in names
    }
    role, weight = st.sampled_from(["domain", "replay"]), st.sampled_from([1e-6, 0.5, 1.0, 40.0])
    sources = {name: SourceBudget(role=draw(role), weight=draw(weight), max_epochs=10_000) for name in names}
    mix = MixSettings(
        sequence_length=length,
        global_batch=draw(st.integers(1, 19)),
        steps=draw(st.integers(1, 12)),
        schedule=draw(schedules),
        sources=sources,
        seed=draw(st.integers(0, 1 << 31)),
    )
    plan = compile_plan(stores, mix)
    if draw(st.booleans()):  # a change of mix within the run
        later = mix.model_copy(update={"steps": draw(st.integers(1, 8)), "schedule": draw(schedules)})
        plan = append_segment(plan, draw(st.integers(1, plan.steps)), later)
    return plan, stores


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_ranks_slices_are_the_global_batch_for_any_world_size(
    layouts: dict[tuple[str, int, str], TokenStore | Sequences], data: st.DataObject
) -> None:
    plan, stores = data.draw(runs(layouts))
    step = data.draw(st.integers(0, plan.steps - 1))
    whole = Loader(plan, stores).batch(step)
    assert len(whole) == plan.global_batch
    for world_size in sorted({1, 2, 3, 8, data.draw(st.integers(1, 40))}):
        parts = [Loader(plan, stores, rank, world_size).batch(step) for rank in range(world_size)]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        for name in ARRAYS:
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert joined.tobytes() == getattr(whole, name).tobytes()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_run_resumed_at_any_step_by_any_number_of_ranks_goes_on_as_it_would_have(
    layouts: dict[tuple[str, int, str], TokenStore | Sequences], data: st.DataObject
) -> None:
    plan, stores = data.draw(runs(layouts))
    step = data.draw(st.integers(0, plan.steps))
    state = Loader(plan, stores, 0, data.draw(st.sampled_from([1, 2, 3, 8]))).state(step)
    unbroken = list(Loader(plan, stores).iterate())[step:]
    world_size = data.draw(st.sampled_from([1, 2, 3, 8]))
    ranks = [Loader(plan, stores, rank, world_size) for rank in range(world_size)]
    resumed = zip(*(loader.iterate(loader.step_of(state)) for loader in ranks), strict=True)
    for wanted, parts in zip(unbroken, resumed, strict=True):
        assert {part.step for part in parts} == {wanted.step}
        for name in ARRAYS:
            assert np.concatenate([getattr(p, name) for p in parts]).tobytes() == getattr(wanted, name).tobytes()


def test_a_plan_saved_and_loaded_gives_the_same_batches(stores: dict[str, TokenStore], tmp_path: Path) -> None:
    mix = MixSettings(sequence_length=16, global_batch=5, steps=9, sharing=UniMax())
    compile_plan(stores, mix).save(tmp_path / "plan")
    loaded = Loader(MixturePlan.load(tmp_path / "plan"), stores).batch(8)
    assert loaded.input_ids.tobytes() == Loader(compile_plan(stores, mix), stores).batch(8).input_ids.tobytes()
