"""Cards: the front matter loads the folder, the figures are those given."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from synthetic_workspace import Written, write_corpus

from corpus.ledger import Ledger
from pipelines.cards import CardSource, dataset_card, model_card

STRANGE = "general-web"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_corpus(tmp_path_factory.mktemp("cards") / "w", sources=("notes", STRANGE), documents=40)


def card_sources(folder: Path) -> list[CardSource]:
    ledgers = {path.name: Ledger.read(*path.glob("*.parquet")) for path in sorted((folder / "ledger").iterdir())}
    licences = {"notes": "cc-by-4.0", STRANGE: "own terms, ask us"}
    return [CardSource(name, ledger.totals(), license=licences[name]) for name, ledger in ledgers.items()]


def front_matter(card: str) -> dict:
    match = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert match is not None
    return YAML(typ="safe").load(match.group(1))


@pytest.mark.slow
def test_load_dataset_reads_the_folder_by_its_card(
    corpus: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    folder = corpus.folder / "corpus"
    (folder / "README.md").write_text(dataset_card("A corpus", card_sources(folder), dropped=True))

    def rows(configuration: str | None, split: str) -> list[dict]:
        return datasets.load_dataset(str(folder), configuration, split=split, cache_dir=str(tmp_path)).to_list()

    for configuration, names in ((None, {"notes", STRANGE}), ("notes", {"notes"}), (STRANGE, {STRANGE})):
        for split in ("train", "validation"):
            wanted = {row["id"] for row in corpus.rows if row["source"] in names and row["split"] == split}
            assert {row["id"] for row in rows(configuration, split)} == wanted
    gone = {row["id"] for row in corpus.rows if row["fate"] == "dropped"}
    assert {row["id"] for row in rows("dropped", "train")} == gone


def test_the_cards_figures_are_the_ledgers(corpus: Written) -> None:
    card = dataset_card("A corpus", card_sources(corpus.folder / "corpus"))
    for source in ("notes", STRANGE):
        own = [row for row in corpus.rows if row["source"] == source]
        kept = [row for row in own if row["fate"] == "kept"]
        line = next(line for line in card.splitlines() if line.startswith(f"| {source} | {len(own)}"))
        assert f"| {len(kept)} |" in line and f"| {sum(row['tokens_out'] for row in kept):,} |" in line
    for reason in {row["reason"] for row in corpus.rows if row["reason"]}:
        assert reason in card


def test_only_an_identifier_goes_into_the_front_matter_as_a_licence(corpus: Written) -> None:
    card = dataset_card("A corpus", card_sources(corpus.folder / "corpus"))
    assert front_matter(card)["license"] == ["cc-by-4.0"]
    assert "own terms, ask us" in card


def test_the_dropped_documents_are_a_configuration_only_when_they_are_there(corpus: Written) -> None:
    sources = card_sources(corpus.folder / "corpus")
    names = [entry["config_name"] for entry in front_matter(dataset_card("A", sources))["configs"]]
    assert names == ["default", STRANGE, "notes"]
    names = [entry["config_name"] for entry in front_matter(dataset_card("A", sources, dropped=True))["configs"]]
    assert names == ["default", STRANGE, "notes", "dropped"]


def test_hostile_names_break_neither_yaml_nor_tables() -> None:
    totals = {
        "documents_in": 1, "kept": {"documents": 1, "bytes_out": 3, "tokens": 1},
        "reasons": [{"step": "s", "reason": "a | b\n# c", "documents": 1, "bytes": 1}],
    }  # fmt: skip
    name = 'no: "yes" | <script>\n---'
    card = dataset_card(name, [CardSource(name, totals)], steps=["<b>bold</b>"])
    assert front_matter(card)["pretty_name"] == name
    assert front_matter(card)["configs"][1]["config_name"] == name
    body = re.sub(r"```.*?```", "", card.split("\n---\n", 1)[1], flags=re.DOTALL)
    assert "<script>" not in body and "<b>" not in body
    assert re.search(r"\| s \| a \\\| b # c \| 1 \|", body)


def test_the_model_card_says_what_it_was_trained_on_and_what_changed() -> None:
    mixture = [
        {"source": "notes", "role": "domain", "realised_tokens": 3000},
        {"source": "general", "role": "replay", "realised_tokens": 1000},
    ]
    evaluation = [
        {"set": "notes", "role": "domain", "before": 1.0, "after": 0.875, "delta": -0.125, "delta_se": 0.01},
    ]
    card = model_card(
        "tiny", base_model="org/base", mixture=mixture, evaluation=evaluation, licences={"notes": "mit"},
        base_license="Apache-2.0", settings={"steps": 10},
    )  # fmt: skip
    assert front_matter(card)["license"] == "apache-2.0" and front_matter(card)["base_model"] == "org/base"
    assert "on 4,000 tokens" in card
    assert "| notes | domain | 3,000 | 75.0% | mit |" in card
    assert "| general | replay | 1,000 | 25.0% | not stated |" in card
    assert "| notes | domain | 1.0000 | 0.8750 | −0.1250 ± 0.0100 |" in card
