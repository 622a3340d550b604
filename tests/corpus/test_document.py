import datatrove.data
import numpy as np
import pyarrow as pa
from datatrove.pipeline.filters import LambdaFilter
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import Batch, Document, batches, document_id
from corpus.step import Stock


def documents(texts: list[str]) -> list[Document]:
    return [Document("s", "a.txt", i, text, len(text.encode())) for i, text in enumerate(texts)]


texts = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=20)


@given(texts)
def test_every_change_of_the_text_is_booked_under_its_edit(values):
    batch = Batch.of(documents(values))
    upper = [value.upper() for value in values]
    batch = batch.with_text(pa.array(upper, pa.string()), edit="upper")
    batch = batch.with_text(pa.array([value[:3] for value in upper], pa.string()), edit="cut")
    batch = batch.with_text(pa.array([value[:1] for value in upper], pa.string()), edit="cut")
    assert len(batch.unbalanced()) == 0
    booked = np.asarray(batch["edit.upper"]) + np.asarray(batch["edit.cut"])
    assert booked.tolist() == [len(u[:1].encode()) - len(v.encode()) for u, v in zip(upper, values, strict=True)]


def test_a_text_replaced_behind_the_ledgers_back_is_found():
    batch = Batch.of(documents(["one", "two", "three"]))
    forged = Batch(batch.data.set_column(5, "text", pa.array(["one", "two!", "three"])))
    assert forged.unbalanced().tolist() == [1]


@given(texts, st.integers(1, 5), st.integers(1, 60))
def test_batching_keeps_every_document_in_order(values, rows, size):
    ids = [i for batch in batches(iter(documents(values)), rows=rows, size=size) for i in batch["id"].to_pylist()]
    assert ids == [document.id for document in documents(values)]


def test_ids_differ_by_source_file_and_position():
    ids = {document_id(s, f, p) for s in ("a", "b") for f in ("x", "y") for p in range(10)}
    assert len(ids) == 40 and all(len(i) == 32 for i in ids)


def test_a_verdict_stands_and_the_first_one_wins():
    batch = Batch.of(documents(["a", "bb", "ccc"]))
    batch = batch.with_verdicts(np.array([False, True, False]), "first", "reason 1")
    batch = batch.with_verdicts(np.array([True, True, False]), "second", "reason 2")
    assert batch["step"].to_pylist() == ["second", "first", None]
    assert batch["reason"].to_pylist() == ["reason 2", "reason 1", None]
    assert batch.readable.tolist() == [False, False, True]


def test_what_is_memoised_of_a_text_is_forgotten_with_the_text():
    batch = Batch.of(documents(["a", "bb"]))
    assert batch.memo("size", lambda b: b.text.to_pylist()) == ["a", "bb"]
    assert batch.with_columns({"x.y": pa.array([1, 2])}).memo("size", lambda _: None) == ["a", "bb"]
    assert batch.with_text(pa.array(["c", "d"]), "e").memo("size", lambda b: b.text.to_pylist()) == ["c", "d"]


def test_a_stock_datatrove_filter_drops_into_rows_with_a_reason():
    batch = Batch.of(
        [*documents(["short", "long enough"]), Document("s", "b", 0, "", 9, step="quarantine", reason="x")]
    )
    batch = Stock(LambdaFilter(lambda document: len(document.text) > 6)).process(batch)
    assert batch["step"].to_pylist() == ["LambdaFilter", None, "quarantine"]
    assert len(batch) == 3


def test_a_stock_datatrove_formatter_is_booked_as_an_edit():
    class Shout(LambdaFilter):
        def run(self, data, rank=0, world_size=1):
            for document in data:
                yield datatrove.data.Document(text=document.text + "!", id=document.id)

    batch = Stock(Shout(lambda _: True), name="shout").process(Batch.of(documents(["a", "b"])))
    assert batch.text.to_pylist() == ["a!", "b!"]
    assert batch["edit.shout"].to_pylist() == [1, 1]
    assert len(batch.unbalanced()) == 0
