"""The live view, Croissant metadata and the push to the Hub."""

import http.client
import io
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic_workspace import Written, write_all

from corpus.artifact import RunLock, publish
from corpus.errors import ArtifactError, ConfigError, DataError
from pipelines.croissant import croissant, publish_croissant
from pipelines.hub import push_corpus, push_model
from pipelines.progress import Record
from pipelines.watch import look
from pipelines.watch.page import HOST, server
from pipelines.watch.terminal import show_terminal, spark


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_all(tmp_path_factory.mktemp("watch") / "w")


def test_the_state_names_who_works_what_is_done_and_where_training_is(whole: Written) -> None:
    record = Record()
    record.start(whole.folder)
    record.say("annotate <b>", at_once=True, done=5, total=20, note="5 of 20 MB")
    with RunLock(whole.folder):
        state = look(whole.folder)
    assert state.holder and "process" in state.holder and look(whole.folder).holder is None
    assert [(stage.title, stage.share) for stage in state.stages] == [("annotate <b>", 0.25)]
    events = [json.loads(line) for line in (whole.folder / "runs/no-replay/metrics.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "step"][-1]
    assert state.training and state.training.step == last["step"]
    assert {name: points[-1][1] for name, points in state.training.losses.items()} == last["source_loss"]
    out = io.StringIO()
    show_terminal(whole.folder, once=True, console=Console(file=out, width=140))
    assert "annotate <b>" in out.getvalue() and "step 40" in out.getvalue()


def test_half_written_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".progress.json").write_text('{"stages": [{"ti')
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "metrics.jsonl").write_text('{"event": "start", "step": 0}\n{"event": "st')
    state = look(tmp_path)
    assert state.stages == [] and state.training is not None and state.training.step == 0
    assert spark([]) == "" and spark([1.0, 1.0]) == "▁▁" and len(spark(list(map(float, range(999))))) <= 40


def test_the_page_is_of_this_machine_alone_and_escapes_every_name(whole: Written) -> None:
    Record.start(record := Record(), whole.folder)
    record.say("<script>alert(1)</script>", at_once=True)
    with server(whole.folder, 0) as serving:
        assert serving.server_address[0] == "127.0.0.1"
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()

        def get(path: str, host: str | None = None) -> tuple[int, str, str]:
            connection = http.client.HTTPConnection(HOST, serving.server_port, timeout=10)
            connection.request("GET", path, headers={"Host": host} if host else {})
            answer = connection.getresponse()
            found = answer.status, answer.headers.get("Content-Security-Policy", ""), answer.read().decode()
            connection.close()
            return found

        status, policy, page = get("/")
        assert status == 200 and policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert page.count("<script>") == 1 and "&lt;script&gt;alert(1)" in page
        status, _, state = get("/state")
        assert status == 200 and "<script" not in state
        assert get("/../recipe.json")[0] == 404
        assert get("/state", "evil.example")[0] == 421
        with pytest.raises(ConfigError, match="cannot be served"):
            server(whole.folder, serving.server_port)
        serving.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_croissant_validates_and_its_record_sets_are_the_splits(
    whole: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed: the extra `dev` has it")
    published = publish_croissant(whole.folder)
    assert publish_croissant(whole.folder).stat().st_ino == published.stat().st_ino
    shutil.copytree(whole.folder / "corpus", tmp_path / "c")
    shutil.copy(published, tmp_path / "c")
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    loaded = mlcroissant.Dataset(jsonld=str(tmp_path / "c" / "croissant.json"))
    assert not loaded.metadata.issues.errors
    for split in ("train", "validation"):
        ids = {row[f"{split}_documents/id"].decode() for row in loaded.records(f"{split}_documents")}
        assert ids == {row["id"] for row in whole.rows if row["split"] == split}
    hashes = {entry["@id"]: entry["sha256"] for entry in croissant(whole.folder / "corpus")["distribution"][1:]
              if entry["@type"] == "cr:FileObject"}  # fmt: skip
    manifest = json.loads((whole.folder / "corpus" / "manifest.json").read_text())
    assert hashes == {
        entry["path"]: entry["sha256"] for entry in manifest["files"] if entry["path"].startswith("data/")
    }


class Hub:
    """Takes what is pushed."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*words: object, **named: Any) -> None:
            self.calls.append((name, named | {"words": words}))

        return call


def test_a_push_takes_the_whole_folder_with_its_metadata_and_is_private(whole: Written) -> None:
    (whole.folder / "recipe.json").write_text('{"phi": false}')
    hub = Hub()
    assert push_corpus(whole.folder, "me/corpus", api=hub).endswith("datasets/me/corpus")
    made, metadata, uploaded = hub.calls
    assert made[0] == "create_repo" and made[1]["private"] is True and made[1]["repo_type"] == "dataset"
    assert json.loads(metadata[1]["path_or_fileobj"])["distribution"][0]["contentUrl"].endswith("datasets/me/corpus")
    assert uploaded[1]["folder_path"] == whole.folder / "corpus"


@pytest.mark.parametrize("marks", ['{"phi": true}', "{}", "broken"])
def test_what_may_hold_health_information_is_pushed_by_nothing(whole: Written, tmp_path: Path, marks: str) -> None:
    folder = tmp_path / "w"
    shutil.copytree(whole.folder, folder)
    (folder / "recipe.json").write_text(marks)
    model = folder / "export" / "main"
    with publish(model, kind="pipelines.model", function={}) as draft:
        (draft.path / "config.json").write_text("{}")
    hub = Hub()
    for push in (lambda: push_corpus(folder, "me/x", api=hub), lambda: push_model(folder, "me/x", model, api=hub)):
        with pytest.raises(DataError, match="not pushed"):
            push()
    assert hub.calls == []


def test_an_exported_model_goes_without_its_manifest_and_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"phi": false}')
    model = tmp_path / "export" / "main"
    with pytest.raises(ArtifactError, match="no exported model"):
        push_model(tmp_path, "me/model", model, api=Hub())
    with publish(model, kind="pipelines.model", function={}) as draft:
        (draft.path / "config.json").write_text("{}")
    hub = Hub()
    assert push_model(tmp_path, "me/model", model, api=hub).endswith("me/model")
    assert hub.calls[0][1]["private"] is True
    assert hub.calls[1][1]["folder_path"] == model and hub.calls[1][1]["ignore_patterns"] == ["manifest.json"]

    class Closed(Hub):
        def create_repo(self, *words: object, **named: Any) -> None:
            raise OSError("401 Unauthorized")

    with pytest.raises(ConfigError, match="did not take it") as caught:
        push_model(tmp_path, "me/model", model, api=Closed())
    assert "hf auth" in str(caught.value)


def test_a_damaged_corpus_is_not_pushed(whole: Written, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    shutil.copytree(whole.folder, folder)
    (folder / "recipe.json").write_text('{"phi": false}')
    next((folder / "corpus" / "data" / "notes").iterdir()).write_bytes(b"")
    with pytest.raises(ArtifactError, match="differs from its manifest"):
        push_corpus(folder, "me/x", api=(hub := Hub()))
    assert hub.calls == []
