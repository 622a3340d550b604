"""Forgetting a subject: their text is nowhere in the units, and reading again does not bring it back."""

import json
from pathlib import Path

import pytest

from corpus.annotate import SourceLine, annotate_pipeline, cut_units
from corpus.artifact import RunLock, read_parquet
from corpus.deidentify import DeidentifySettings
from corpus.document import DOCUMENTS
from corpus.engine import LocalSettings, run_units
from corpus.errors import ArtifactError, DataError
from corpus.forget import KEY, REGISTER, find_subject, forget
from corpus.readers import make_reader
from corpus.readers.json_lines import JsonlSettings

SECRET = "the patient of the red house"


@pytest.fixture
def notes(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for part in range(2):
        rows = [
            {"text": f"{SECRET if who == 'P-7' else 'somebody'} {part}", "subject": who}
            for who in ("P-1", "P-7", "P-9")
        ]
        (folder / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "2.jsonl").write_text(json.dumps({"text": "nobody's note", "subject": None}))
    return folder


def annotate(folder: Path, workspace: Path, lock: RunLock) -> list:
    settings = JsonlSettings(kind="jsonl", path=str(folder), metadata=("subject",))
    step = DeidentifySettings(profile="hipaa_safe_harbor", types=("SSN",), replace="tag").build()
    line = SourceLine("notes", make_reader(settings, "notes"), (step,))
    units = cut_units(line, workspace / "annotate", unit_bytes=1)
    run_units(
        "annotate",
        units,
        lambda todo, beat: annotate_pipeline(todo, beat, {"notes": line}, lock),
        executor=LocalSettings(workers=1),
        logs=workspace / "logs",
        progress=lambda *_: None,
    )
    return units


def contents(workspace: Path) -> dict[str, bytes]:
    return {str(p.relative_to(workspace)): p.read_bytes() for p in sorted(workspace.glob("annotate/*/*/*"))}


def test_a_forgotten_subject_is_gone_and_stays_gone(notes, tmp_path):
    workspace = tmp_path / "w"
    with RunLock(workspace) as lock:
        annotate(notes, workspace, lock)
        assert len(find_subject(workspace, "P-7", "subject")) == 2
        gone = forget(workspace, "P-7", field="subject", lock=lock)
        assert [(d.source, d.file, d.position) for d in gone] == [("notes", "0.jsonl", 1), ("notes", "1.jsonl", 1)]
        for path in workspace.rglob("*"):
            assert not path.is_file() or (SECRET.encode() not in path.read_bytes() and b"P-7" not in path.read_bytes())
        rows = read_parquet(workspace / "annotate" / "notes" / "00000" / DOCUMENTS).to_pylist()
        assert [row["text"] for row in rows] == ["somebody 0", "", "somebody 0"]
        assert (rows[1]["step"], rows[1]["reason"], rows[1]["metadata"]) == ("forget", "forgotten on request", None)
        assert rows[1]["bytes_in"] == len(f"{SECRET} 0") and rows[1]["deidentify.spans"] is None

        before = contents(workspace)
        annotate(notes, workspace, lock)  # nothing to do: the units stand
        assert contents(workspace) == before
        for unit in (workspace / "annotate" / "notes").glob("0*"):
            (unit / "manifest.json").unlink()
        annotate(notes, workspace, lock)  # from the raw files, byte by byte the same
        assert contents(workspace) == before

        first = notes / "0.jsonl"
        moved = json.dumps({"text": "new first note", "subject": "P-2"}) + "\n" + first.read_text()
        first.write_text(moved)
        annotate(notes, workspace, lock)
        texts = read_parquet(workspace / "annotate" / "notes" / "00000" / DOCUMENTS)["text"].to_pylist()
        assert texts == ["new first note", "somebody 0", "", "somebody 0"]
        assert find_subject(workspace, "P-7", "subject") == []


def test_units_without_the_subject_are_not_published_again(notes, tmp_path):
    workspace = tmp_path / "w"
    with RunLock(workspace) as lock:
        annotate(notes, workspace, lock)
        other = workspace / "annotate" / "notes" / "00002" / DOCUMENTS
        untouched = other.stat().st_ino
        forget(workspace, "P-7", field="subject", lock=lock)
        assert other.stat().st_ino == untouched


def test_two_subjects_are_both_forgotten(notes, tmp_path):
    workspace = tmp_path / "w"
    with RunLock(workspace) as lock:
        annotate(notes, workspace, lock)
        forget(workspace, "P-7", field="subject", lock=lock)
        forget(workspace, "P-9", field="subject", lock=lock)
        rows = read_parquet(workspace / "annotate" / "notes" / "00000" / DOCUMENTS)["text"].to_pylist()
        assert rows == ["somebody 0", "", ""]
        with pytest.raises(DataError, match="no document names this subject"):
            forget(workspace, "P-9", field="subject", lock=lock)


def test_a_lost_key_is_refused_and_the_register_tells_no_subject(notes, tmp_path):
    workspace = tmp_path / "w"
    with RunLock(workspace) as lock:
        annotate(notes, workspace, lock)
        forget(workspace, "P-7", field="subject", lock=lock)
        assert (workspace / KEY).stat().st_mode & 0o077 == 0
        assert "P-7" not in (workspace / REGISTER).read_text()
        (workspace / KEY).unlink()
        with pytest.raises(ArtifactError, match="key of the register"):
            annotate(notes, workspace, lock)
