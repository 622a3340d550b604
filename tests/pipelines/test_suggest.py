"""`provender mix suggest` from a published table and from a sweep's, through the command line."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from corpus.errors import ConfigError, DataError, ProvenderError
from mixing.laws.runs import SWEEP, Columns, read_published, read_sweep
from mixing.laws.suggestion import Question, suggest
from pipelines.cli import app

RUNNER = CliRunner()
SHARES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
DECLARED = ["--share", "medical=medical", "--rest", "web", "--loss", "web=general", "--loss", "medical=target"]


def general(share):
    return 2.5 + 0.02 * np.exp(3.0 * np.asarray(share))


def target(share):
    return 1.5 + 0.6 * np.exp(-2.0 * np.asarray(share))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    pl.DataFrame({"medical": SHARES, "general": general(SHARES), "target": target(SHARES)}).write_csv(path)
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A table as `provender mix sweep` writes it, of two domain sources and one replay source."""
    rows = []
    for number, share in enumerate(SHARES):
        for source, role, part in (
            ("notes", "domain", share * 0.25), ("papers", "domain", share * 0.75), ("web", "replay", 1 - share)
        ):  # fmt: skip
            loss = float(general(share) if source == "web" else target(share))
            rows.append(
                {
                    "run": f"r{number}", "model": "tiny", "parameters": 1000, "steps": 10, "tokens": 20_000,
                    "sequence_length": 64, "global_batch": 4, "seed": 0, "source": source, "role": role,
                    "asked_share": part, "share": part, "source_tokens": int(part * 20_000),
                    "unique_tokens": {"notes": 2_000, "papers": 6_000, "web": 50_000}[source], "loss": loss,
                    "bits_per_byte": loss / 3, "base_loss": 2.6 if source == "web" else 2.2,
                    "base_bits_per_byte": 0.86, "delta_se": 0.01, "measured_tokens": 500, "measured_bytes": 1_500,
                }
            )  # fmt: skip
    path = tmp_path / "sweep.parquet"
    pl.DataFrame(rows).select(SWEEP.names).write_parquet(path)
    return path


def asked(path: Path, *options: str):
    done = RUNNER.invoke(app, ["mix", "suggest", str(path), *options, "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def test_a_published_table_gives_the_share_where_its_curve_crosses(published: Path) -> None:
    found = asked(published, *DECLARED, "--domain", "medical", "--base", "web=2.6", "--epsilon", "0.05")
    wanted = np.log(0.15 / 0.02) / 3
    assert found["critical"]["share"] == pytest.approx(wanted, abs=2e-3)
    assert found["critical"]["low"] - 1e-6 <= found["critical"]["share"] <= found["critical"]["high"] + 1e-6
    assert found["laws"]["web"]["used"] in ("exponential", "power")
    assert "trees" in found["laws"]["web"]["refused"]
    by_name = {each["name"]: each for each in found["proposals"]}
    assert by_name["25% replay"]["shares"] == pytest.approx({"medical": 0.75, "web": 0.25})
    assert by_name["25% replay"]["losses"]["medical"][0] == pytest.approx(float(target(0.75)), abs=0.01)
    assert not by_name["5% replay"]["within"]
    assert by_name["5% replay"]["beyond"]
    assert by_name["UniMax"]["problem"]
    assert found["budget"] == []
    relative = asked(
        published, *DECLARED, "--domain", "medical", "--base", "web=2.6", "--epsilon", "0.02", "--relative"
    )
    assert relative["epsilon"]["web"] == pytest.approx(0.052)


def test_a_budget_and_baselines_when_the_sources_are_known(published: Path, tmp_path: Path) -> None:
    picture = tmp_path / "frontier.svg"
    options = [*DECLARED, "--domain", "medical", "--base", "web=2.6", "--run-tokens", "40_960_000".replace("_", "")]
    have = ["--have", "medical=5_120_000", "--have", "web=102_400_000"]
    found = asked(published, *options, *have, "--picture", str(picture))
    assert found["critical"]["share"] == pytest.approx(0.5, abs=1e-6)  # 4 epochs of what there is
    assert found["critical"]["broken"] is None
    given = {each["source"]: each for each in found["budget"]}
    assert given["medical"]["epochs"] == pytest.approx(4)
    assert sum(each["tokens"] for each in given.values()) == 40_960_000
    assert given["medical"]["worth"] < given["medical"]["tokens"] == given["web"]["tokens"]
    by_name = {each["name"]: each for each in found["proposals"]}
    assert by_name["UniMax"]["shares"] == pytest.approx({"medical": 0.5, "web": 0.5})
    ratio = (102.4 / 5.12) ** (1 / 3.33)
    assert by_name["temperature"]["shares"]["web"] == pytest.approx(ratio / (1 + ratio), abs=1e-3)
    root = ElementTree.parse(picture).getroot()
    drawn = [mark.get("class") for mark in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert drawn.count("run") == len(SHARES)
    assert len(drawn) - len(SHARES) == sum(each["problem"] is None for each in found["proposals"])


def test_a_sweep_knows_its_own_columns_roles_and_sources(sweep: Path) -> None:
    found = asked(sweep, "--epsilon", "0.05")
    assert list(found["epsilon"]) == ["web"]
    assert found["base"]["web"] == pytest.approx(2.6)
    assert found["critical"]["share"] == pytest.approx(np.log(0.15 / 0.02) / 3, abs=2e-3)
    suggested = found["proposals"][0]["shares"]
    assert suggested["papers"] == pytest.approx(3 * suggested["notes"])
    assert sum(each["tokens"] for each in found["budget"]) == 20_000 // 256 * 256
    bits = asked(sweep, "--epsilon", "0.02", "--unit", "bits_per_byte")
    assert bits["base"]["web"] == pytest.approx(0.86)
    text = RUNNER.invoke(app, ["mix", "suggest", str(sweep)]).stdout
    for word in ("Largest share of the domain", "UniMax", "25% replay", "left-out MAE", "worth in fresh tokens"):
        assert word in text


def test_no_share_within_epsilon_is_said_not_hidden(published: Path) -> None:
    found = asked(published, *DECLARED, "--domain", "medical", "--base", "web=2.0", "--epsilon", "0.01")
    assert found["critical"]["share"] is None
    assert found["critical"]["broken"] == "web"
    assert "breaks epsilon" in found["proposals"][0]["problem"]
    assert found["budget_problem"] == "no share of the domain is within epsilon"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--share", "medical=nix", *DECLARED[2:]], "no column nix"),
        (["--share", "medical", *DECLARED[2:]], "NAME=VALUE"),
        ([*DECLARED, "--law", "forest", "--base", "web=2.6"], "no such law"),
        ([*DECLARED, "--epsilon", "0"], "out of range"),
        ([*DECLARED, "--domain", "none"], "no such source"),
        ([*DECLARED, "--domain", "medical"], "before training is not known"),
        ([*DECLARED, "--domain", "medical", "--where", "general=9"], "no such runs"),
        ([], "not a table of a sweep"),
        (["--share", "medical=medical"], "needs --share and --loss"),
    ],
)
def test_mistakes_are_named(published: Path, options, words) -> None:
    named = options if "--domain" in options else [*options, "--domain", "medical"]
    with pytest.raises(ProvenderError, match=words):
        asked(published, *named)


def test_too_few_runs_for_every_law_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("medical,general,target\n0.5,2.0,1.0\n")
    columns = Columns(shares={"medical": "medical"}, rest="web", losses={"web": "general", "medical": "target"})
    with pytest.raises(DataError, match="no law can be fitted") as caught:
        suggest(read_published([path], columns), Question(domain=("medical",), base={"web": 2.0}))
    assert "1 runs, 2 parameters" in caught.value.found


def test_a_pattern_declares_many_columns_and_files_join_by_a_key(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("index,train_a,train_b\n1,0.2,0.8\n2,0.6,0.4\n")
    (tmp_path / "l.csv").write_text("index,a_loss\n2,1.0\n1,2.0\n")
    columns = Columns(shares={"*": "train_*"}, losses={"a": "a_loss"}, key="index")
    runs = read_published([tmp_path / "m.csv", tmp_path / "l.csv"], columns)
    assert runs.at.sources == ("a", "b")
    assert runs.losses["a"].tolist() == [2.0, 1.0]
    with pytest.raises(ConfigError, match="need a key"):
        read_published([tmp_path / "m.csv", tmp_path / "l.csv"], columns.model_copy(update={"key": None}))
    with pytest.raises(DataError, match="of this pattern"):
        read_published([tmp_path / "m.csv"], Columns(shares={"*": "x_*"}, losses={"a": "train_a"}))


def test_a_sweep_without_some_losses_is_refused(sweep: Path) -> None:
    frame = pl.read_parquet(sweep).with_columns(
        loss=pl.when((pl.col("run") == "r2") & (pl.col("source") == "web")).then(None).otherwise("loss")
    )
    frame.write_parquet(sweep)
    with pytest.raises(DataError, match="lack a loss"):
        read_sweep(sweep)
