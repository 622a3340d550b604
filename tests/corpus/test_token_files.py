"""Token stores on remote file systems and stores that datatrove's DocumentTokenizer wrote."""

import os
import pickle
import resource
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from datatrove.data import Document
from datatrove.pipeline.tokens import DocumentTokenizer
from tokenizers import models, pre_tokenizers

from corpus.artifact import content_hash, publish
from corpus.errors import ArtifactError, ConfigError
from corpus.tokens.store import TokenizerIdentity, TokenStore, TokenStoreWriter

IDENTITY = TokenizerIdentity("1" * 64, 500, 0)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    draws = np.random.default_rng(1)
    function = {"name": "s"}
    with (
        publish(tmp_path / "store", kind="corpus.tokens", function=function) as draft,
        TokenStoreWriter(draft, IDENTITY) as writer,
    ):
        for shard in range(3):
            writer.start_shard()
            lengths = draws.integers(0, 30, 7)
            ids = pa.array([f"{shard}-{row}" for row in range(7)])
            writer.add(ids, "s", lengths, draws.integers(1, 500, int(lengths.sum())), lengths * 4)
    return TokenStore.open(tmp_path / "store")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVENDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _upload(folder: Path, url: str, **options) -> None:
    system, path = fsspec.core.url_to_fs(url, **options)
    system.makedirs(path, exist_ok=True)
    for file in folder.iterdir():
        system.pipe_file(f"{path}/{file.name}", file.read_bytes())


def test_a_store_of_more_shards_than_a_process_may_have_files_is_opened_and_read(tmp_path: Path) -> None:
    with (
        publish(tmp_path / "many", kind="corpus.tokens", function={"name": "many"}) as draft,
        TokenStoreWriter(draft, IDENTITY) as writer,
    ):
        for shard in range(200):
            writer.start_shard()
            writer.add(pa.array([str(shard)]), "many", np.array([3]), np.array([shard, 1, 2]), np.array([9]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (held + 40, hard))
    try:
        store = TokenStore.open(tmp_path / "many")
        assert store.read(0, store.tokens).reshape(200, 4)[:, 0].tolist() == list(range(200))
        assert len(os.listdir("/proc/self/fd")) == held
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _same(one: TokenStore, other: TokenStore) -> bool:
    tokens = (one.read(0, one.tokens) == other.read(0, other.tokens)).all()
    return bool(tokens) and one.documents.equals(other.documents) and (one.ends == other.ends).all()


def test_documents_are_found_by_place_and_places_by_document(store: TokenStore) -> None:
    ends = store.ends.tolist()
    owners = [next(d for d, end in enumerate(ends) if place < end) for place in range(store.tokens)]
    assert store.documents_at(np.arange(store.tokens)).tolist() == owners
    for document in range(store.document_count):
        assert store.span_of(document) == (ends[document - 1] if document else 0, ends[document])


def test_a_remote_store_is_read_through_a_checked_cache(store: TokenStore, cache: Path) -> None:
    _upload(Path(store.folder), "memory://bucket/store")
    remote = TokenStore.open("memory://bucket/store")
    assert _same(remote, store)
    assert remote.manifest.fingerprint == store.manifest.fingerprint
    held = [path for path in (cache / "files").rglob("*") if path.is_file()]
    assert all(content_hash(path) == path.name for path in held)
    # The shards are not fetched again: without them on the remote side the store opens all the same.
    for file in Path(store.folder).glob("*.ds*"):
        fsspec.filesystem("memory").rm(f"/bucket/store/{file.name}")
    assert _same(TokenStore.open("memory://bucket/store"), store)
    assert _same(pickle.loads(pickle.dumps(remote)), store)  # noqa: S301


def test_a_file_that_is_not_its_manifests_is_refused_and_not_kept(store: TokenStore, cache: Path) -> None:
    _upload(Path(store.folder), "memory://bucket/damaged")
    data = bytearray((Path(store.folder) / "00001.ds").read_bytes())
    data[3] ^= 1
    fsspec.filesystem("memory").pipe_file("/bucket/damaged/00001.ds", bytes(data))
    with pytest.raises(ArtifactError, match="differs from its manifest") as refusal:
        TokenStore.open("memory://bucket/damaged")
    assert "00001.ds" in str(refusal.value.where)
    assert not list((cache / "files").rglob(".*"))
    with pytest.raises(ArtifactError, match="no token store can be read there"):
        TokenStore.open("memory://bucket/nothing")
    with pytest.raises(ArtifactError, match="no token store can be read there"):
        TokenStore.open("nosuchprotocol://x")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that speaks S3, in this process."""
    server_of = pytest.importorskip("moto.server", reason="moto[server] is not installed").ThreadedMotoServer
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = server_of(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_store_on_s3_is_the_store(store: TokenStore, s3: str) -> None:
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
    _upload(Path(store.folder), "s3://bucket/tokens/store")
    assert _same(TokenStore.open("s3://bucket/tokens/store"), store)


@pytest.fixture
def datatrove_folder(tmp_path: Path) -> Path:
    """Two ranks of datatrove's DocumentTokenizer over a word-level tokenizer."""
    vocabulary = {"<eos>": 0, "<unk>": 1} | {f"w{i}": i + 2 for i in range(90)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<eos>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    draws = np.random.default_rng(3)
    for rank in range(2):
        texts = [" ".join(f"w{i}" for i in draws.integers(0, 90, draws.integers(1, 30))) for _ in range(9)]
        step = DocumentTokenizer(
            str(tmp_path / "ds"), str(tmp_path / "tokenizer.json"), eos_token="<eos>", shuffle_documents=False
        )
        step.run((Document(text, f"{rank}-{i}") for i, text in enumerate(texts)), rank, 2)
    assert os.environ.get("PROVENDER_CACHE")
    return tmp_path / "ds"


def test_a_store_of_datatrove_is_accepted_as_it_is(datatrove_folder: Path) -> None:
    store = TokenStore.open(datatrove_folder, TokenizerIdentity("2" * 64, 92, 0))
    assert store.document_count == 18
    shards = sorted(datatrove_folder.glob("*.ds"))
    raw = np.concatenate([np.fromfile(path, "<u2") for path in shards])
    assert (store.read(0, store.tokens) == raw).all()
    assert (np.asarray(store.ends) == np.flatnonzero(raw == 0) + 1).all()
    assert store.documents["id"][9].as_py() == f"{shards[1].name}:0"
    again = TokenStore.open(datatrove_folder, TokenizerIdentity("2" * 64, 92, 0))
    assert again.manifest.fingerprint == store.manifest.fingerprint
    data = bytearray(shards[0].read_bytes())
    data[0] ^= 1
    shards[0].write_bytes(bytes(data))
    changed = TokenStore.open(datatrove_folder, TokenizerIdentity("2" * 64, 92, 0))
    assert changed.manifest.fingerprint != store.manifest.fingerprint


def test_what_is_no_store_of_datatrove_is_refused(datatrove_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no tokenizer"):
        TokenStore.open(datatrove_folder)
    shard = sorted(datatrove_folder.glob("*.ds"))[0]
    shard.write_bytes(shard.read_bytes() + b"\0")
    with pytest.raises(ArtifactError, match="index disagree"):
        TokenStore.open(datatrove_folder, IDENTITY)
    shard.with_name(f"{shard.name}.index").unlink()
    with pytest.raises(ArtifactError, match="no index"):
        TokenStore.open(datatrove_folder, IDENTITY)
