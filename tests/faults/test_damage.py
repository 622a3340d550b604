"""Flipped bits in what we wrote: found before anything is made of it, or harmless."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from seeds import EVERY
from small_corpus import prepare, write_inputs
from small_mixture import mixture_of

from corpus.artifact import MANIFEST, Manifest, read_parquet, scan_parquet
from corpus.engine import LocalSettings
from corpus.errors import ArtifactError
from corpus.tokens.store import TokenStore
from mixing.packing import PackingSettings, pack
from mixing.plan import MixturePlan
from mixing.sequences import Sequences

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    write_inputs(folder / "inputs", documents=12)
    prepare(folder / "inputs", folder / "work", LocalSettings(workers=1), guard=None)
    return folder / "work"


def flips(size: int, seed: int, few: int) -> list[tuple[int, int]]:
    """(byte, bit) in a file of `size` bytes: a few drawn ones, or with PROVENDER_FAULTS=all twenty times as many, and
    always many of the last 2,000 bytes, where a parquet file has its footer."""
    random = Random(seed)
    count = few * 20 if EVERY else few
    anywhere = [(random.randrange(size), random.randrange(8)) for _ in range(count)]
    return anywhere + [(random.randrange(max(0, size - 2000), size), random.randrange(8)) for _ in range(count)]


def flipped(path: Path, data: bytes, byte: int, bit: int) -> None:
    damaged = bytearray(data)
    damaged[byte] ^= 1 << bit
    path.write_bytes(damaged)


def whole(path: Path) -> pa.Table:
    return read_parquet(path)


def streamed(path: Path) -> pa.Table:
    batches = list(scan_parquet(path))
    return pa.Table.from_batches(batches) if batches else whole(path)


@pytest.mark.parametrize("read", [whole, streamed])
@pytest.mark.parametrize(
    "pattern",
    [
        "annotate/news/00000/documents.parquet",
        "corpus/data/news/train-*.parquet",
        "corpus/ledger/news/*.parquet",
        "decisions/news.parquet",
        "tokens/news/train/documents.parquet",
    ],
)
def test_a_flipped_bit_of_a_parquet_file_never_changes_what_is_read(
    pattern: str, read: Callable[[Path], pa.Table], workspace: Path, tmp_path: Path
) -> None:
    source = sorted(workspace.glob(pattern))[0]
    data, before, path = source.read_bytes(), read(source), tmp_path / "damaged.parquet"
    refused = 0
    for byte, bit in flips(len(data), 7, 60):
        flipped(path, data, byte, bit)
        try:
            after = read(path)
        except ArtifactError:
            refused += 1
            continue
        assert after.schema.equals(before.schema) and after.equals(before), (byte, bit)
    assert refused > 40  # the others lie in statistics and the like, which nobody reads


def test_every_bit_of_the_names_and_types_of_columns_counts(tmp_path: Path) -> None:
    """Parquet has no checksum over its footer: names and types stand in it twice and are compared."""
    from corpus.artifact import write_parquet

    table = pa.table({"edit.cut": pa.array([1, 2]), "text": ["a", "b"], "step": pa.array([None, "x"])})
    path = tmp_path / "small.parquet"
    write_parquet(path, table)
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for byte in range(start, len(data), 1 if EVERY else 9):
        for bit in range(8):
            flipped(path, data, byte, bit)
            try:
                after = read_parquet(path)
            except ArtifactError:
                continue
            assert after.equals(table) and after.schema.equals(table.schema), (byte, bit)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, its packing and a plan of it."""
    return mixture_of(tmp_path_factory.mktemp("mixture"))


def read_all(folder: Path) -> None:
    """What a training does before its first step."""
    packed = Sequences.open(TokenStore.open(folder / "tokens/books"), folder / "packing")
    packed.verify()
    MixturePlan.load(folder / "plan").check_stores({"books": packed})


def test_a_flipped_bit_in_any_file_of_a_mixture_is_found_before_training_reads_it(
    mixture: Path, tmp_path: Path
) -> None:
    read_all(mixture)
    folder = tmp_path / "copy"
    shutil.copytree(mixture, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert {path.suffix for path in files} >= {".ds", ".index", ".arrow", ".i64", ".json", ".parquet"}
    for path in files:
        data = path.read_bytes()
        for byte, bit in flips(len(data), 11, 15):
            flipped(path, data, byte, bit)
            try:
                read_all(folder)
            except ArtifactError:
                continue
            # Harmless where it says the same: the name of the manifest's own hash.
            assert path.name == MANIFEST and Manifest.read(path.parent) == Manifest.parse(data, path)
        path.write_bytes(data[:-2])
        with pytest.raises(ArtifactError):
            read_all(folder)
        path.write_bytes(data)
    read_all(folder)


def test_a_packing_is_not_made_of_damaged_document_ends(mixture: Path, tmp_path: Path) -> None:
    shutil.copytree(mixture / "tokens", tmp_path / "tokens")
    index = next((tmp_path / "tokens/books").glob("*.index"))
    flipped(index, index.read_bytes(), 8, 0)
    with pytest.raises(ArtifactError, match="differs from its manifest"):
        pack(
            TokenStore.open(tmp_path / "tokens/books"),
            PackingSettings(method="best_fit"),
            16,
            tmp_path / "packing",
            source="books",
        )
    assert not (tmp_path / "packing").exists()


def test_a_flipped_digit_of_a_manifest_is_found_whichever_it_is(mixture: Path, tmp_path: Path) -> None:
    before, data = Manifest.read(mixture / "packing"), (mixture / "packing" / MANIFEST).read_bytes()
    path, refused = tmp_path / MANIFEST, 0
    for byte in [at for at, value in enumerate(data) if chr(value).isdigit()]:
        flipped(path, data, byte, 0)
        try:
            assert Manifest.read(tmp_path) == before  # a digit of the name of the hash itself
        except ArtifactError:
            refused += 1
    assert refused > 100
