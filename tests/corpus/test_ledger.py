import polars as pl
import pyarrow as pa
import pytest

from corpus.errors import ArtifactError
from corpus.ledger import LEDGER, Ledger, counts_by_key


def row(name: str, fate: str = "kept", **values) -> dict:
    kept = fate == "kept"
    base = {"id": name, "source": "s", "file": "f", "position": 0, "fate": fate, "bytes_in": 10, "tokens_in": 3}
    base |= {"bytes_out": 8 if kept else 0, "tokens_out": 3 if kept else 0, "split": "train" if kept else None}
    base |= {"step": None if kept else "q", "reason": None if kept else "too short", "pii": []}
    return base | {"edits": [{"key": "repair", "value": -2}]} | values


def ledger(*rows: dict) -> Ledger:
    return Ledger(pl.DataFrame(pl.from_arrow(pa.Table.from_pylist(list(rows), schema=LEDGER))))


def test_totals_are_those_counted_by_hand():
    totals = ledger(
        row("a", pii=[{"key": "EMAIL", "value": 2}]),
        row("b", "dropped", pii=[{"key": "EMAIL", "value": 1}, {"key": "PHONE", "value": 4}]),
        row("c", "quarantined", step="quarantine", reason="malformed JSON", tokens_in=None, bytes_in=7),
    ).totals()
    assert totals["documents_in"] == 3 and totals["bytes_in"] == 27 and totals["tokens_in"] == 6
    assert totals["kept"] == {"documents": 1, "bytes_in": 10, "bytes_out": 8, "tokens": 3}
    assert totals["dropped"] == {"documents": 1, "bytes_in": 10, "bytes_out": 0, "tokens": 3}
    assert totals["quarantined"] == {"documents": 1, "bytes_in": 7, "bytes_out": 0, "tokens": 0}
    assert totals["edits"] == {"repair": -2}
    assert totals["pii"] == {"EMAIL": 3, "PHONE": 4}
    assert [entry["reason"] for entry in totals["reasons"]] == ["too short", "malformed JSON"]


def test_a_ledger_that_adds_up_passes():
    ledger(row("a"), row("b", "dropped")).check(where="x", records=2, text_bytes=8, text_tokens=3)


@pytest.mark.parametrize(
    ("rows", "counts", "found"),
    [
        ([row("a")], {"records": 2}, "1 rows for 2 input records"),
        ([row("a"), row("a")], {"records": 2}, "repeated ids"),
        ([row("a", bytes_out=9)], {"records": 1}, "no edit explains"),
        ([row("a", "dropped", bytes_out=1)], {"records": 1}, "have output"),
        ([row("a", "dropped", reason=None)], {"records": 1}, "without a reason"),
        ([row("a", tokens_out=4)], {"records": 1}, "tokens in and out differ"),
        ([row("a")], {"records": 1, "text_bytes": 7}, "8 bytes in the ledger, 7 in the text"),
        ([row("a")], {"records": 1, "text_tokens": 5}, "3 tokens in the ledger, 5 in the text"),
    ],
)
def test_each_way_of_not_adding_up_is_refused(rows, counts, found):
    with pytest.raises(ArtifactError, match="does not add up") as raised:
        ledger(*rows).check(where="x", **counts)
    assert found in str(raised.value.found)


def test_counting_an_empty_ledger_gives_nothing():
    assert counts_by_key(ledger().frame, "pii") == {}
    assert ledger().totals()["documents_in"] == 0
