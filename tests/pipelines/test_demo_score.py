from pathlib import Path

import polars as pl
import pyarrow as pa

from corpus.artifact import write_parquet
from corpus.document import document_id
from corpus.ledger import LEDGER
from pipelines.demo.plant import TRUTH
from pipelines.demo.score import score_planted


def _ledger_row(position: int, fate: str = "kept", **columns: object) -> dict:
    row = dict.fromkeys(LEDGER.names) | {"source": "s", "file": "f", "position": position, "fate": fate}
    row |= {"id": document_id("s", "f", position), "bytes_in": 1, "bytes_out": 0, "tokens_out": 0}
    return row | columns


def _truth_row(kind: str, position: int, **columns: object) -> dict:
    return dict.fromkeys(TRUTH.names) | {"kind": kind, "source": "s", "file": "f", "position": position} | columns


def _score(workspace: Path, truth: list[dict], ledger: list[dict], texts: dict[int, str]) -> dict[str, tuple]:
    corpus = workspace / "corpus"
    for folder in (corpus / "ledger/s", corpus / "data/s"):
        folder.mkdir(parents=True)
    write_parquet(corpus / "ledger/s/00000.parquet", pa.Table.from_pylist(ledger, schema=LEDGER))
    ids = [document_id("s", "f", position) for position in texts]
    shard = pa.table({"id": pa.array(ids, pa.string()), "text": pa.array(texts.values(), pa.string())})
    write_parquet(corpus / "data/s/train-00000-of-00001.parquet", shard)
    write_parquet(workspace / "truth.parquet", pa.Table.from_pylist(truth, schema=TRUTH))
    table = score_planted(workspace / "truth.parquet", workspace)
    assert table.equals(pl.read_parquet(workspace / "planted.parquet"))
    return {kind: rest for kind, *rest in ((row[0], *row[1:]) for row in table.iter_rows())}  # type: ignore[misc]


def test_duplicates_are_found_when_either_of_the_pair_was_dropped_for_it(tmp_path: Path) -> None:
    dropped = {"fate": "dropped", "step": "duplicates", "reason": "exact", "duplicate_kind": "exact"}
    scores = _score(
        tmp_path,
        [
            _truth_row("exact duplicate", 1, partner_file="f", partner_position=0),
            _truth_row("exact duplicate", 2, partner_file="f", partner_position=3),
            _truth_row("exact duplicate", 4, partner_file="f", partner_position=5),
            _truth_row("near-duplicate", 6, partner_file="f", partner_position=7),
        ],
        [
            _ledger_row(0, cluster="a") | dropped,
            _ledger_row(1, cluster="a"),
            _ledger_row(2, cluster="b") | dropped,
            _ledger_row(3, cluster="b"),
            _ledger_row(4),  # missed
            _ledger_row(5),
            _ledger_row(6, cluster="c") | dropped | {"duplicate_kind": "near"},
            _ledger_row(7, cluster="c"),
        ],
        {},
    )
    assert scores == {"exact duplicate": [3, 2, None], "near-duplicate": [1, 1, None]}


def test_an_identity_is_found_when_no_published_text_holds_its_value(tmp_path: Path) -> None:
    pii = [{"key": "SSN", "value": 1}, {"key": "EMAIL", "value": 1}]
    scores = _score(
        tmp_path,
        [
            _truth_row("identity", 0, detail="SSN", value="751-22-3333"),
            _truth_row("identity", 0, detail="EMAIL", value="a@example.org"),
            _truth_row("identity", 1, detail="EMAIL", value="b@example.org"),
        ],
        [_ledger_row(0, pii=pii), _ledger_row(1, pii=[]), _ledger_row(2, pii=[{"key": "SSN", "value": 2}])],
        {0: "her number is 751-22-3333, her mail <EMAIL>", 1: "b@example.org", 2: "clean"},
    )
    assert scores == {"identity: SSN": [1, 0, 2], "identity: EMAIL": [2, 1, None]}


def test_mojibake_is_found_when_its_words_can_be_read_again(tmp_path: Path) -> None:
    scores = _score(
        tmp_path,
        [_truth_row("mojibake", position, value="Málaga\nnaïve") for position in range(3)],
        [_ledger_row(position) for position in range(3)],
        {0: "naïve in Málaga", 1: "naïve in MÃ¡laga", 2: "all of it is gone"},
    )
    assert scores["mojibake"] == [3, 1, None]


def test_fates_are_attributed_and_what_met_them_unplanted_is_a_false_alarm(tmp_path: Path) -> None:
    scores = _score(
        tmp_path,
        [
            _truth_row("broken record", 0),
            _truth_row("empty text", 1),
            _truth_row("foreign language", 2),
            _truth_row("foreign language", 3),
            _truth_row("gibberish", 4, detail="random letters"),
            _truth_row("gibberish", 5, detail="words in random order"),
            _truth_row("broken record", 99),  # not in the ledger at all
        ],
        [
            _ledger_row(0, "quarantined", step="quarantine", reason="malformed JSON"),
            _ledger_row(1, "dropped", step="read", reason="empty text"),
            _ledger_row(2, "dropped", step="language", reason="language"),
            _ledger_row(3),
            _ledger_row(4, "dropped", step="language", reason="language"),
            _ledger_row(5, "dropped", step="duplicates", reason="near"),
            _ledger_row(6, "dropped", step="language", reason="language"),
            _ledger_row(7, "dropped", step="perplexity", reason="perplexity"),
        ],
        {},
    )
    assert scores == {
        "broken record": [2, 1, 0],
        "empty text": [1, 1, 0],
        "foreign language": [2, 1, 1],
        "gibberish: random letters": [1, 1, None],
        "gibberish: words in random order": [1, 0, 1],
    }
