"""Mapped files: the numbers that were written, and no open file behind them."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from corpus.mapping import map_file, map_npy

TYPES = ["<u1", "<u2", "<u4", "<i8", "<u8", "<f4"]


def open_files() -> list[str]:
    return [os.readlink(f"/proc/self/fd/{entry}") for entry in os.listdir("/proc/self/fd") if _is_link(entry)]


def _is_link(entry: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{entry}")


def mapped_here(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


@settings(deadline=None)  # it writes files
@given(st.sampled_from(TYPES), st.one_of(st.integers(0, 70), st.sampled_from([512, 4096, 4097, 12_288])))
def test_a_mapped_file_has_the_numbers_that_were_written(kind: str, size: int) -> None:
    wanted = np.random.default_rng(size).integers(0, 256, size * np.dtype(kind).itemsize, np.uint8).view(kind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers"
        path.write_bytes(wanted.tobytes())
        found = map_file(path, kind)
        assert found.dtype == np.dtype(kind) and found.tobytes() == wanted.tobytes()
        assert type(found) is np.ndarray and not found.flags.writeable


@settings(deadline=None)
@given(
    st.sampled_from(TYPES).flatmap(lambda kind: arrays(kind, array_shapes(max_dims=3, min_side=0, max_side=9))),
    st.sampled_from("CF"),
)
def test_a_mapped_npy_is_what_numpy_loads(wanted: np.ndarray, order: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "array.npy"
        np.save(path, np.asarray(wanted, order=order))
        found, loaded = map_npy(path), np.load(path)
        assert found.dtype == loaded.dtype and found.shape == loaded.shape
        assert found.tobytes() == loaded.tobytes() and found.flags.f_contiguous == loaded.flags.f_contiguous


def test_a_map_holds_no_file_open_and_goes_with_its_last_array(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    np.arange(10_000).tofile(path)
    before = len(open_files())
    part = map_file(path, np.int64)[5_000:]
    assert mapped_here(path) and len(open_files()) == before and str(path) not in open_files()
    path.unlink()  # the pages stay
    assert part[0] == 5_000 and part[-1] == 9_999
    del part
    assert not mapped_here(path)


def test_what_is_written_to_a_writable_map_stays_in_the_process(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    np.arange(2_000).tofile(path)
    found = map_file(path, np.int64, writable=True)
    found[:] = -1
    assert (np.fromfile(path, np.int64) == np.arange(2_000)).all() and (found == -1).all()


def test_what_cannot_be_mapped_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        map_file(tmp_path / "none", np.uint8)
    with pytest.raises(IsADirectoryError):
        map_file(tmp_path, np.uint8)
    (tmp_path / "odd").write_bytes(b"123")
    with pytest.raises(ValueError):
        map_file(tmp_path / "odd", np.uint16)
    np.save(tmp_path / "array.npy", np.arange(10))
    (tmp_path / "array.npy").write_bytes((tmp_path / "array.npy").read_bytes()[:-1])
    with pytest.raises(ValueError, match="an array of"):
        map_npy(tmp_path / "array.npy")
    with open("/dev/null", "rb") as nothing:
        assert not len(map_file(nothing, np.uint8))
