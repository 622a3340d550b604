"""Expectations: each check against figures counted by hand, and a recipe that fails a stage."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter
from synthetic_workspace import Written, write_all
from typer.testing import CliRunner

from corpus.errors import DataError, TrainingError
from pipelines.cli import app
from pipelines.expect import AnyExpectation, hold


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_all(tmp_path_factory.mktemp("expect") / "w")


def expectation(**fields: object) -> AnyExpectation:
    return TypeAdapter(AnyExpectation).validate_python(fields)


def figures(written: Written) -> list[tuple[dict, float]]:
    """A check without its bound, the name of the bound, and the figure counted from the raw rows."""
    rows = written.rows
    kept = [row for row in rows if row["fate"] == "kept"]
    notes = [row for row in rows if row["source"] == "notes"]
    tokens = sum(row["tokens_out"] for row in kept)
    return [
        ({"check": "tokens_at_least", "bound": "tokens"}, tokens),
        ({"check": "documents_at_least", "bound": "documents", "source": "notes"}, sum(r in kept for r in notes)),
        ({"check": "max_drop_rate", "bound": "rate"}, 1 - len(kept) / len(rows)),
        ({"check": "max_drop_rate", "bound": "rate", "source": "notes", "reason": "near duplicate"},
         sum(row["reason"] == "near duplicate" for row in notes) / len(notes)),
        ({"check": "language_share", "bound": "at_least", "language": "en"},
         sum(row["tokens_out"] for row in kept if row["language"] == "en") / tokens),
        ({"check": "duplicate_rate_max", "bound": "rate"}, sum(bool(r["duplicate_of"]) for r in rows) / len(rows)),
        ({"check": "general_bpb_rise_max", "bound": "rise", "run": "no-replay"}, 0.19),
        ({"check": "pii_residual_max", "bound": "per_million"}, 0.0),
    ]  # fmt: skip


def test_every_check_measures_what_counting_by_hand_gives(whole: Written) -> None:
    for fields, figure in figures(whole):
        name = str(fields.pop("bound"))
        bound = int(figure) if name in ("tokens", "documents") else min(figure, 1.0)
        found = expectation(**fields, **{name: bound}).judge(whole.folder)
        assert found.figure == pytest.approx(figure), fields


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"check": "tokens_at_least", "tokens": 10**9}, DataError),
        ({"check": "max_drop_rate", "rate": 0.0}, DataError),
        ({"check": "language_share", "language": "fr", "at_least": 0.5}, DataError),
        ({"check": "general_bpb_rise_max", "rise": 0.1, "run": "no-replay"}, TrainingError),
        ({"check": "general_bpb_rise_max", "rise": 9.0, "run": "no-such-run"}, TrainingError),
    ],
)
def test_a_bound_that_is_not_met_fails_with_figure_bound_and_a_query_that_shows_it(
    whole: Written, fields: dict, error: type[Exception]
) -> None:
    own = expectation(**fields)
    with pytest.raises(error) as caught:
        hold([own], own.stage, whole.folder, "guarded")
    said = str(caught.value)
    assert "1 of 1 expectations do not hold" in said and fields["check"] in said
    query = said.split("query: ")[1].split("\n")[0]
    done = CliRunner().invoke(app, ["audit", "sql", str(whole.folder), query, "--json"])
    assert done.exit_code == 0, done.output
    figure = own.judge(whole.folder).figure
    assert (f"{figure:,.6g}" if figure is not None else "nothing to measure") in said


def test_other_stages_are_not_judged_and_the_recipes_run_is_meant(whole: Written) -> None:
    rise = expectation(check="general_bpb_rise_max", rise=0.1)
    assert hold([rise], "corpus", whole.folder, "no-replay") == []
    assert hold([rise], "train", whole.folder, "guarded")[0].figure == pytest.approx(0.02)
    with pytest.raises(TrainingError):
        hold([rise], "train", whole.folder, "no-replay")


@pytest.mark.slow
def test_a_recipe_whose_expectation_fails_fails_the_stage_and_keeps_what_was_made(write_recipe) -> None:
    recipe: Path = write_recipe()
    bound = "expect=[{check: tokens_at_least, tokens: 5}, {check: max_drop_rate, rate: 0.001}]"
    done = CliRunner().invoke(app, ["corpus", str(recipe), "--set", bound])
    assert isinstance(done.exception, DataError)
    assert "1 of 2 expectations" in str(done.exception) and "max_drop_rate" in str(done.exception)
    workspace = recipe.with_suffix("")
    assert (workspace / "corpus" / "manifest.json").is_file() and (workspace / "cards" / "croissant.json").is_file()
    assert (workspace / "index" / "prefixes.u64").is_file() and (workspace / ".progress.json").is_file()
