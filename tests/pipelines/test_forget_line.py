"""Forgetting a patient after a whole run: gone from every artefact, exposures named, a second time nothing to do."""

import json
from pathlib import Path
from random import Random

import polars as pl
import pytest
from as_a_user import provender
from generated_text import document

from corpus.forget import REGISTER, find_subject
from corpus.tokens.store import TokenStore
from pipelines.audit.verify import verify

pytestmark = pytest.mark.slow
WORD = "marmalade"  # stands in the notes of the patient and nowhere else


@pytest.fixture
def finished(tmp_path: Path, tiny_model: Path) -> Path:
    """A corpus of notes about six patients and of general texts, and a plan; checkpoints as a run leaves them."""
    draw = Random(11)
    (tmp_path / "in").mkdir()
    for part in range(3):
        rows = [
            {"text": f"{WORD if who == 4 else 'bread'} {document(draw)}", "subject": f"P-{who}"}
            for who in range(6)
            for _ in range(3)
        ]
        (tmp_path / "in" / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = tmp_path / "w.yaml"
    recipe.write_text(f"""\
name: forgetting
workspace: {tmp_path / "w"}
tokenizer: {{path: {tiny_model}}}
corpus:
  validation: 0.1
  unit_bytes: 20000
  sources:
    - name: notes
      reader: {{kind: jsonl, path: {tmp_path / "in"}, metadata: [subject]}}
      steps: [{{kind: deidentify, profile: hipaa_safe_harbor, replace: tag}}]
mix:
  sequence_length: 64
  global_batch: 4
  steps: 12
  sources: {{notes: {{role: domain}}}}
""")
    provender("corpus", recipe)
    provender("mix", recipe)
    [plan] = (tmp_path / "w" / "plans").iterdir()
    for step in (1, 6, 12):
        (tmp_path / "w" / "runs" / plan.name / f"step-{step:06d}").mkdir(parents=True)
    return recipe


def everything(folder: Path) -> dict[str, bytes]:
    made = ("annotate", "decisions", "selected", "corpus", "tokens")
    return {
        str(p.relative_to(folder)): p.read_bytes() for name in made for p in folder.glob(f"{name}/**/*") if p.is_file()
    }


def ids_with_the_word(folder: Path) -> set[str]:
    rows = pl.concat([pl.read_parquet(path) for path in folder.glob("corpus/data/notes/*.parquet")])
    return set(rows.filter(pl.col("text").str.contains(WORD))["id"])


def test_a_forgotten_patient_is_nowhere_and_their_exposure_is_named(finished):
    folder = finished.with_suffix("")
    there = ids_with_the_word(folder)
    documents = {document.id for document in find_subject(folder, "P-4", "subject")}
    assert len(documents) == 9 and there and there <= documents
    said = provender("corpus", "forget", finished, "--subject", "P-4").stdout
    assert "step-000012" in said and "first" in said and WORD not in said

    assert ids_with_the_word(folder) == set()
    ledger = pl.concat([pl.read_parquet(path) for path in folder.glob("corpus/ledger/**/*.parquet")])
    gone = ledger.filter(pl.col("id").is_in(list(documents)))
    assert gone.height == 9 and set(gone["step"]) == {"forget"}
    for split in folder.glob("tokens/notes/*"):
        assert documents.isdisjoint(TokenStore.open(split).documents["id"].to_pylist())
    for name, content in everything(folder).items():
        assert WORD.encode() not in content, name
    assert "P-4" not in (folder / REGISTER).read_text()
    assert [check for check in verify(folder) if not check.passed and "plan" not in check.name] == []

    before = everything(folder)
    again = provender("corpus", "forget", finished, "--subject", "P-4", check=False)
    assert again.returncode != 0 and "no document names this subject" in again.stderr
    provender("corpus", finished)
    assert everything(folder) == before
    assert find_subject(folder, "P-4", "subject") == []
