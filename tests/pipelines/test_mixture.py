"""`provender mix` on packed sources: plan, questions, simulation and picture, over token stores made here."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus.artifact import Manifest, publish
from corpus.errors import ArtifactError, ConfigError
from corpus.tokens.store import TokenizerIdentity, TokenStoreWriter
from mixing.loader import Loader
from mixing.plan import MixturePlan
from mixing.sequences import Sequences
from mixing.simulate import tokens_by_step
from pipelines.audit.verify import verify
from pipelines.mixture import packings, simulate
from pipelines.outline import where_table
from pipelines.planned import Planned
from pipelines.progress import table_console
from pipelines.recipe import load_recipe
from pipelines.stages import compile_mixture, plan_folder, training_stores

pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(write_recipe):
    """The small recipe with best-fit papers and bucketed notes, and a token store of each source."""
    changes = ["mix.sources.papers.packing.method=best_fit", "mix.sources.notes.packing.method=bucketed"]
    loaded = load_recipe(str(write_recipe()), changes)
    for seed, name in enumerate(("papers", "notes", "general")):
        draws = np.random.default_rng(seed)
        lengths = draws.integers(3, 100, 60)
        folder = loaded.folder / "tokens" / name / "train"
        with (
            publish(folder, kind="corpus.tokens", function={"name": name}) as draft,
            TokenStoreWriter(draft, TokenizerIdentity("0" * 64, 512, 0)) as writer,
        ):
            ids = pa.array([f"{name}-{row}" for row in range(60)])
            writer.add(ids, name, lengths, draws.integers(1, 512, int(lengths.sum())), lengths)
    return loaded


def _text(renderable: object) -> str:
    console = table_console()
    console.width = 200
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_packed_sources_go_through_plan_loader_and_questions(recipe) -> None:
    plan = compile_mixture(recipe)
    assert plan.fingerprint == compile_mixture(recipe).fingerprint == MixturePlan.load(plan_folder(recipe)).fingerprint
    stores = training_stores(recipe)
    owners = np.concatenate([batch.document_ids.ravel() for batch in Loader(plan, stores).iterate()])
    assert (owners == -1).any()
    for index, source in enumerate(plan.sources):
        assert (source.padding_tokens > 0) == (source.name != "general")
        cut = Sequences.of(stores[source.name], plan.sequence_length)
        batches = list(Loader(plan, stores).iterate())
        seen = [int((batch.document_ids[batch.source_ids == index] >= 0).sum()) for batch in batches]
        assert tokens_by_step(plan, source.name, cut, plan.steps).tolist() == seen
    frame = plan.show(3, stores)
    document = frame["first_document"][0]
    assert "step" in _text(where_table(Planned(recipe.folder, recipe.model_dump(mode="json")), document))
    checks = [check for check in verify(recipe.folder) if check.name.startswith(("quotas", "stores of"))]
    assert checks
    assert all(check.passed for check in checks), checks


def test_simulation_says_time_and_cost_and_draws(recipe, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        simulate(recipe)
    plan = compile_mixture(recipe)
    picture = tmp_path / "mix.svg"
    text = _text(simulate(recipe, plan.tokens / 7200, 3.0, picture))
    assert "2:00:00" in text
    assert "6.00" in text
    root = ElementTree.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    drawn = [path.get("class") for path in root.iter("{http://www.w3.org/2000/svg}path")]
    assert sum("area" in (kind or "") for kind in drawn) == len(plan.sources)
    with pytest.raises(ConfigError, match="SVG"):
        simulate(recipe, picture=tmp_path / "mix.png")


def test_the_ways_of_packing_are_compared(recipe) -> None:
    text = _text(packings(recipe))
    for word in ("concatenate", "best_fit", "bucketed", "papers", "padding share"):
        assert word in text


def test_a_packing_of_another_store_is_noticed(recipe) -> None:
    compile_mixture(recipe)
    folder = recipe.folder / "tokens" / "papers" / "train"
    with (
        publish(folder, kind="corpus.tokens", function={"name": "other"}) as draft,
        TokenStoreWriter(draft, TokenizerIdentity("0" * 64, 512, 0)) as writer,
    ):
        writer.add(pa.array(["x"]), "papers", np.array([90]), np.arange(1, 91), np.array([90]))
    assert Manifest.read(folder).totals["documents"] == 1
    with pytest.raises(ArtifactError, match="no packing of the token store"):
        training_stores(recipe)
    failed = [check.name for check in verify(recipe.folder) if not check.passed]
    assert any(name.startswith("stores of") for name in failed)
