import gzip
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.artifact import content_hash
from pipelines.demo.identities import card, luhn_digit, note
from pipelines.demo.plant import broken_words, edited, plant
from pipelines.demo.texts import Texts
from pipelines.demo.translated import is_translated
from pipelines.demo.wikitext import Section


@pytest.fixture(scope="module")
def texts() -> Texts:
    """Small documents, all different: words of a seeded vocabulary."""
    random = Random(3)
    words = ["".join(random.choices("abcdefghijklmnop", k=random.randrange(3, 9))) for _ in range(800)]

    def prose(length: int) -> str:
        return " ".join(random.choices(words, k=length))

    german = "<html><body><p>" + "Der Rechner ist nicht mit dem Netz verbunden und wird von der Karte. " * 40
    return Texts(
        code=tuple((f"pkg/m{i}.py", f"# {prose(900)}\n") for i in range(60)),
        docs=tuple((f"library/p{i}.html", f"<html><body><p>{prose(300)}</p></body></html>") for i in range(20)),
        handbook=(("apt.html", f"<html><body><p>{prose(300)}</p></body></html>"),),
        translations={"de-DE": (("apt.html", german), ("left.html", f"<p>{prose(400)}</p>"))},
        wikipedia=tuple(Section(f"T{i}", "", f"Café Zürich naïve {prose(900)}") for i in range(80)),
    )


def _payload(folder: Path, row: dict) -> bytes:
    """What lies in the input at the place the truth names, read as plain files."""
    path = folder / row["source"] / row["file"]
    body = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return body.split(b"\n")[row["position"]] if ".jsonl" in path.name else body


def test_the_same_seed_plants_the_same_bytes_and_another_seed_others(texts: Texts, tmp_path: Path) -> None:
    truths = [plant(texts, tmp_path / name, seed, fast=True) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert truths[0].equals(truths[1])
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") != content_hash(tmp_path / "c")


def test_every_plant_is_where_the_truth_says(texts: Texts, tmp_path: Path) -> None:
    rows = plant(texts, tmp_path, 1, fast=True).to_pylist()
    assert {row["kind"] for row in rows} == {
        "exact duplicate",
        "near-duplicate",
        "foreign language",
        "identity",
        "mojibake",
        "broken record",
        "empty text",
        "gibberish",
    }
    for row in rows:
        payload = _payload(tmp_path, row)
        match row["kind"]:
            case "identity":
                assert row["value"].encode() in payload
            case "mojibake":
                text = json.loads(payload)["text"]
                assert not any(word in text for word in row["value"].split("\n"))
                assert all(word in text.encode("cp1252").decode() for word in row["value"].split("\n"))
            case "broken record":
                try:
                    record = json.loads(payload)
                except ValueError:
                    continue
                assert not isinstance(record, dict) or not isinstance(record.get("text"), str)
            case "empty text":
                text = payload.decode() if row["source"] == "code" else json.loads(payload)["text"]
                assert not text.strip()
            case "foreign language":
                assert b"Rechner" in payload
            case "exact duplicate" | "near-duplicate":
                partner = row | {"file": row["partner_file"], "position": row["partner_position"]}
                assert (_payload(tmp_path, partner) == payload) is (row["kind"] == "exact duplicate")


def test_no_document_carries_two_kinds_of_plant(texts: Texts, tmp_path: Path) -> None:
    rows = plant(texts, tmp_path, 1, fast=True).to_pylist()
    kinds: dict[tuple, set[str]] = {}
    for row in rows:
        kinds.setdefault((row["source"], row["file"], row["position"]), set()).add(row["kind"])
        if row["partner_file"] is not None:
            kinds.setdefault((row["source"], row["partner_file"], row["partner_position"]), set()).add(row["kind"])
    assert all(len(found) == 1 for found in kinds.values())


def test_a_near_duplicate_keeps_nearly_all_of_its_five_grams() -> None:
    random = Random(0)
    text = " ".join("".join(random.choices("abcdefgh", k=6)) for _ in range(1500))

    def grams(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    one, two = grams(text.split()), grams(edited(text, random).split())
    assert 0.85 < len(one & two) / len(one | two) < 1


@given(st.integers(0, 10**15 - 1))
def test_a_luhn_digit_makes_the_weighted_sum_a_multiple_of_ten(number: int) -> None:
    digits = f"{number:015d}" + str(luhn_digit(f"{number:015d}"))
    total = sum(sum(map(int, str(int(d) * (1 + i % 2)))) for i, d in enumerate(reversed(digits)))
    assert total % 10 == 0


def test_luhn_digit_of_the_textbook_example() -> None:
    assert luhn_digit("7992739871") == 3


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_notes_hold_what_they_say_they_hold(seed: int) -> None:
    text, identities = note(Random(seed))
    assert identities
    assert all(text.count(identity.value) == 1 for identity in identities)
    assert len("".join(c for c in card(Random(seed)) if c.isdigit())) == 16


def test_mojibake_is_only_planted_where_cp1252_can_spell_it() -> None:
    assert broken_words("plain words only") == []
    assert broken_words("Málaga naïve") == ["Málaga", "naïve"]
    assert broken_words("Ásgeir naïve") == []  # 0xC3 0x81: 0x81 is no character of cp1252


@pytest.mark.parametrize(
    ("text", "language", "translated"),
    [
        ("Der Rechner ist nicht mit dem Netz verbunden, und die Karte wird von der Platine getrennt.", "de", True),
        ("The machine is not connected to the network, and the card is on the board.", "de", False),
        ("Le paquet est dans la liste des paquets qui sont sur le disque.", "fr", True),
        ("Пакет установлен на диск командой apt install", "ru", True),
        ("This chapter has been left in English with один word", "ru", False),
        ("このパッケージはディスクにインストールされています apt", "ja", True),
    ],
)
def test_translated_pages_are_told_from_pages_left_in_english(text: str, language: str, translated: bool) -> None:
    assert is_translated(text, language) is translated
