"""Inputs, artefacts and token stores on S3 (moto's server) and on fsspec's memory file system."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from small_corpus import digests, prepare, write_inputs

from corpus import object_store
from corpus.artifact import FileEntry, Manifest, publish
from corpus.engine import LocalSettings
from corpus.errors import ArtifactError, ConfigError
from corpus.object_store import RemoteArtefact, artefacts, inside
from corpus.tokens.store import TokenStore

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'provender[s3]'")
server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a bucket."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    address = "http://{}:{}".format(*running.get_host_and_port())
    names = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (names | {"AWS_ENDPOINT_URL": address, "NO_PROXY": "127.0.0.1"}).items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir("s3://provender-tests")
        yield "s3://provender-tests"
        fsspec.filesystem("s3").clear_instance_cache()
    running.stop()


@pytest.fixture(params=["s3", "memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    roots = {"memory": "memory://store", "file": f"file://{tmp_path.parent}/store"}
    root = request.getfixturevalue("s3") if request.param == "s3" else roots[request.param]
    return f"{root}/{tmp_path.name}"


def artefact(folder: Path, text: str) -> Manifest:
    with publish(folder, kind="test", function={"kind": "test", "text": text}) as draft:
        (draft.path / "deep").mkdir()
        (draft.path / "deep/text.txt").write_text(text)
        (draft.path / "same.bin").write_bytes(bytes(10_000))
    return Manifest.read(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_was_pushed_is_pulled_byte_for_byte_and_only_when_it_changed(url: str, tmp_path: Path) -> None:
    artefact(tmp_path / "a", "one")
    remote = RemoteArtefact(url)
    remote.push(tmp_path / "a")
    assert remote.pull(tmp_path / "b") and files(tmp_path / "b") == files(tmp_path / "a")
    assert not remote.pull(tmp_path / "b")
    artefact(tmp_path / "a", "two")
    remote.push(tmp_path / "a")
    assert remote.pull(tmp_path / "b") and (tmp_path / "b/deep/text.txt").read_text() == "two"


def test_a_push_that_dies_anywhere_leaves_the_old_version_standing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact(tmp_path / "a", "one")
    remote = RemoteArtefact(url)
    remote.push(tmp_path / "a")
    artefact(tmp_path / "a", "two")
    writes = 0

    class DiedError(Exception):
        pass

    def dies_after(allowed: int) -> None:
        def count(name: str):
            original = getattr(type(remote), name)

            def call(self, *words, **named):
                nonlocal writes
                if writes >= allowed:  # several files are on their way at once
                    raise DiedError
                writes += 1
                return original(self, *words, **named)

            return call

        for name in ("_send", "_put"):
            monkeypatch.setattr(RemoteArtefact, name, count(name))

    for allowed in range(4):  # two files, the version's manifest, the standing one
        writes = 0
        with monkeypatch.context():
            dies_after(allowed)
            with pytest.raises(DiedError):
                remote.push(tmp_path / "a")
        monkeypatch.undo()
        remote.pull(tmp_path / "b")
        assert (tmp_path / "b/deep/text.txt").read_text() == "one"
    remote.push(tmp_path / "a")
    remote.pull(tmp_path / "b")
    assert (tmp_path / "b/deep/text.txt").read_text() == "two"


def test_a_second_push_sends_nothing_again_and_a_new_version_all_of_its_own(s3: str, tmp_path: Path) -> None:
    artefact(tmp_path / "a", "one")
    remote = RemoteArtefact(f"{s3}/again")
    assert remote.push(tmp_path / "a") == object_store.Pushed(sent=2, there=0)
    assert remote.push(tmp_path / "a") == object_store.Pushed(sent=0, there=2)


@pytest.mark.parametrize("before", [False, True])
def test_of_two_pushes_at_once_one_stands_and_the_other_is_told(before: bool, url: str, tmp_path: Path) -> None:
    """The second comes in between the first's look at what stands and its switch."""
    for name in ("old", "first", "second"):
        artefact(tmp_path / name, name)

    class Overtaken(RemoteArtefact):
        def _switch(self, head: bytes, before: str | None) -> None:
            RemoteArtefact(url).push(tmp_path / "second")
            super()._switch(head, before)

    if before:
        RemoteArtefact(url).push(tmp_path / "old")
    with pytest.raises(ArtifactError, match="another push"):
        Overtaken(url).push(tmp_path / "first")
    RemoteArtefact(url).pull(tmp_path / "stands")
    assert (tmp_path / "stands/deep/text.txt").read_text() == "second"


def test_a_damaged_object_is_found_and_nothing_is_published(url: str, tmp_path: Path) -> None:
    artefact(tmp_path / "a", "one")
    remote = RemoteArtefact(url)
    remote.push(tmp_path / "a")
    version = remote.manifest()[2]
    remote.filesystem.pipe_file(f"{remote.path}/{version}/deep/text.txt", b"0ne")
    with pytest.raises(ArtifactError, match="differs from its manifest"):
        remote.pull(tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_damaged_folder_is_not_pushed(url: str, tmp_path: Path) -> None:
    artefact(tmp_path / "a", "one")
    (tmp_path / "a/deep/text.txt").write_text("0ne")
    with pytest.raises(ArtifactError, match="nothing was published"):
        RemoteArtefact(url).push(tmp_path / "a")
    with pytest.raises(ArtifactError, match="nothing is published there"):
        RemoteArtefact(url).pull(tmp_path / "b")


def test_names_in_a_manifest_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    for name in ("../x", "/etc/passwd", "a/../../x"):
        with pytest.raises(ArtifactError, match="outside its folder"):
            inside(tmp_path, FileEntry(name, 1, "").path)
    assert inside(tmp_path, "a/b") == tmp_path / "a/b"


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        RemoteArtefact("s4://bucket/x")


@pytest.mark.slow
@pytest.mark.distributed
def test_a_corpus_from_inputs_on_s3_is_that_of_local_ones_and_its_tokens_are_read_from_s3(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = write_inputs(tmp_path / "inputs", documents=30)
    fsspec.filesystem("s3").put(str(inputs), f"{s3}/inputs", recursive=True)
    for name, where, workers in (("local", str(inputs), 1), ("remote", f"{s3}/inputs", 2)):
        executor = LocalSettings(workers=workers)
        prepare(where, tmp_path / name, executor, local=inputs, unit_bytes=15_000)
    local, remote = tmp_path / "local", tmp_path / "remote"
    assert digests(remote) == digests(local)
    names = artefacts(remote)
    assert "corpus" in names and "tokens/news/train" in names
    for name in names:
        RemoteArtefact(f"{s3}/work/{name}").push(remote / name)
    monkeypatch.setenv("PROVENDER_CACHE", str(tmp_path / "cache"))
    here = TokenStore.open(remote / "tokens/news/train")
    there = TokenStore.open(f"{s3}/work/tokens/news/train")
    assert there.manifest == here.manifest
    assert here.tokens > 1000 and (there.read(0, there.tokens) == here.read(0, here.tokens)).all()
    assert os.listdir(tmp_path / "cache" / "files")
