"""A whole study in seconds: texts made here, a tiny base, a few cells, the page; resuming; texts and grid."""

import json
import shutil
from pathlib import Path
from random import Random

import pytest
from generated_text import WORDS, document
from hypothesis import given
from hypothesis import strategies as st

from corpus.artifact import Manifest
from corpus.errors import ArtifactError, ConfigError
from pipelines.study import whole
from pipelines.study.grid import TESTS, grid
from pipelines.study.results import FILE, read_result
from pipelines.study.sizes import Batch, StudySize, TextSize
from pipelines.study.texts import DOMAINS, GENERAL, StudyFile, pieces, publish_texts
from pipelines.study.whole import chosen, findings, publish_page
from trainer.model.fresh import FreshModel

TINY = StudySize(
    name="tiny",
    texts=TextSize(train=dict.fromkeys((*GENERAL, *DOMAINS), 8_000), test=1500, pool=4000, piece=700),
    vocabulary=400,
    model=FreshModel(layers=1, hidden_size=16, heads=2),
    sequence_length=32,
    batch=Batch(base=4, cell=4),
    base_steps=8,
    steps=4,
    seeds=(0,),
    test_tokens=400,
    smollm2=None,
)
CELLS = ["code-r00", "code-r05-kl", "code-r00-merge50", "select-dsir", "select-random"]


def files() -> dict[str, list[StudyFile]]:
    """Each kind has words of its own besides those that all have."""
    made = {}
    for number, kind in enumerate((*GENERAL, *DOMAINS)):
        random = Random(kind)
        own = WORDS[number * 12 : number * 12 + 12]
        texts = [document(random) + "\n\n" + " ".join(random.choices(own, k=90)) for _ in range(40)]
        made[kind] = [StudyFile(f"{place:03d}", text) for place, text in enumerate(texts)]
    return made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    publish_texts(files(), folder / "tiny" / "texts", TINY.texts, {"texts": "made here"})
    return folder


@pytest.fixture(scope="module")
def made(root: Path) -> Path:
    """The folder with a study of some cells."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.study.run.study_texts", lambda cache, folder, size, progress: folder)
        whole.run_study(TINY, root, CELLS)
    torch.set_num_threads(before)
    return root


@pytest.fixture
def again(made: Path, monkeypatch: pytest.MonkeyPatch):
    """Run cells of the study once more."""
    monkeypatch.setattr("pipelines.study.run.study_texts", lambda cache, folder, size, progress: folder)
    return lambda *names: whole.run_study(TINY, made, names)


def results(folder: Path) -> dict[str, int]:
    return {
        each.name: (each / "manifest.json").stat().st_ino
        for each in (folder / "tiny" / "cells").iterdir()
        if each.is_dir()
    }


@pytest.mark.slow
def test_every_cell_has_a_result_of_its_plan_and_its_sets(made: Path) -> None:
    cells = {cell.name: cell for cell in grid(TINY)}
    for name in CELLS:
        function, run = read_result(made / "tiny" / "cells" / f"{name}-s0")
        assert function["cell"] == cells[name].identity()
        assert set(run.sets) == set(cells[name].measured)
        workspace = made / "tiny" / "line"
        plan = Manifest.read(workspace / "plans" / run.facts["run"])
        assert json.loads((workspace / "plans" / run.facts["run"] / "plan.json").read_text())
        assert plan.files and run.facts["plan"] == function["plan"]
        assert (workspace / "runs" / run.facts["run"] / "metrics.jsonl").is_file()
    tokens = read_result(made / "tiny" / "cells" / "code-r05-kl-s0")[1].facts["tokens"]
    assert sum(tokens.values()) == 4 * 4 * 32 and tokens["code"] == 15 * 32


@pytest.mark.slow
def test_a_second_run_makes_nothing_and_a_lost_result_is_made_again_the_same(made: Path, again) -> None:
    before = results(made)
    again(*CELLS)
    assert results(made) == before
    folder = made / "tiny" / "cells" / "code-r05-kl-s0"
    bytes_before = (folder / FILE).read_bytes()
    shutil.rmtree(folder)
    shutil.rmtree(made / "tiny" / "line" / "runs" / "code-r05-kl-s0")
    again("code-r05-kl")
    assert (folder / FILE).read_bytes() == bytes_before
    assert {name: ino for name, ino in results(made).items() if name != folder.name} == {
        name: ino for name, ino in before.items() if name != folder.name
    }


@pytest.mark.slow
def test_the_page_of_a_partial_grid_names_what_is_missing_and_claims_nothing_of_it(made: Path, tmp_path: Path) -> None:
    page = publish_page(TINY, made, tmp_path / "study.md")[0].read_text()
    cells = grid(TINY)
    assert f"{len(cells) - len(CELLS)} of {len(cells)} rows are missing" in page
    assert "`code-r50`" in page.split("## Frontier")[0]
    verdicts = [line for line in page.splitlines() if line.startswith("| strong shift") and "**" in line]
    assert verdicts and all("**missing**" in line for line in verdicts)
    for name in CELLS:
        assert f"| `{name}` seed 0 |" in page
    assert "tiny grid" in page and "Witten" in page


@pytest.mark.slow
def test_a_damaged_result_is_refused_and_not_read(made: Path) -> None:
    path = made / "tiny" / "cells" / "select-random-s0" / FILE
    good = path.read_bytes()
    path.write_bytes(good.replace(b"0", b"1", 1))
    with pytest.raises(ArtifactError):
        findings(TINY, made, "provender study")
    path.write_bytes(good)
    assert "select-random" in findings(TINY, made, "provender study").rows


def test_no_file_is_in_two_sources_and_every_kind_is_held_out(root: Path) -> None:
    seen: dict[str, str] = {}
    for folder in sorted((root / "tiny" / "texts").iterdir()):
        if folder.is_dir():
            texts = [json.loads(line)["text"] for line in (folder / "texts.jsonl").read_text().splitlines()]
            assert texts, folder.name
            for text in texts:
                assert seen.setdefault(text, folder.name) == folder.name
    assert set(TESTS.values()) <= set(seen.values())


@given(st.text(alphabet="ab \n", max_size=400), st.integers(1, 50))
def test_pieces_are_short_and_lose_nothing_but_blank_lines(text: str, length: int) -> None:
    found = pieces(text, length)
    assert all(0 < len(piece) <= length and piece.strip() for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_an_unknown_cell_is_refused_with_the_nearest_name_and_a_merge_brings_its_parent() -> None:
    cells = grid(TINY)
    with pytest.raises(ConfigError, match="code-r05"):
        chosen(cells, ["code-r05-kk"])
    assert [cell.name for cell in chosen(cells, ["code-r00-merge50"])] == ["code-r00", "code-r00-merge50"]
    assert chosen(cells, []) == cells
