"""From id to row: the index against a dictionary, on ids whose hashes are made to collide."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import id_index
from corpus.errors import ArtifactError
from corpus.id_index import IdIndex, write_index


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=6), max_size=40), st.integers(1, 64), st.integers(1, 9))
def test_every_id_is_found_in_its_first_row_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], buckets: int, rows: int
) -> None:
    path = tmp_path_factory.mktemp("index") / id_index.NAME
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_index, "hash_of", lambda entry: sum(entry.encode()) % buckets)
        patch.setattr(id_index, "ROWS", rows)  # equal hashes lie across borders of batches
        write_index(path, [pa.array(ids[:7], pa.string()), pa.array(ids[7:], pa.string())])
        index = IdIndex(path)
        for entry in ids:
            assert index.find(entry) == ids.index(entry)
        for absent in ("absent!", *(entry + "x" for entry in ids if entry + "x" not in ids)):
            assert index.find(absent) is None


def test_equal_ids_give_equal_bytes_and_a_damaged_index_is_named(tmp_path: Path) -> None:
    ids = [pa.array([f"d{n}" for n in range(1000)])]
    write_index(tmp_path / "one", ids)
    write_index(tmp_path / "two", ids)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    (tmp_path / "two").write_bytes((tmp_path / "one").read_bytes()[:900])
    with pytest.raises(ArtifactError, match="index of document ids is damaged"):
        IdIndex(tmp_path / "two").find("d3")
