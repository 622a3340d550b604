"""A small recipe on generated text, for tests of whole stages."""

import json
from pathlib import Path
from random import Random

import pytest
from generated_text import document


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """papers/ (three jsonl files with copies, a broken and an empty line), notes/ (csv) and general/ (text files)."""
    root = tmp_path_factory.mktemp("inputs")
    random = Random(5)
    for name in ("papers", "notes", "general"):
        (root / name).mkdir()
    documents = [document(random) for _ in range(90)]
    documents[40] = documents[3]
    documents[70] = documents[4].replace("the", "that", 1)
    for part in range(3):
        lines = [json.dumps({"text": text, "doi": f"10.1/{part}"}) for text in documents[part * 30 : part * 30 + 30]]
        lines.insert(7, '{"text": "cut off')
        lines.insert(9, '{"text": ""}')
        (root / "papers" / f"part-{part}.jsonl").write_text("\n".join(lines) + "\n")
    rows = "".join(f'{i},"Seen on 3/4/1987. Call 212-736-5001. {document(random)}"\n' for i in range(30))
    (root / "notes" / "notes.csv").write_text("id,note\n" + rows)
    for index in range(40):
        (root / "general" / f"{index:02d}.txt").write_text(document(random))
    return root


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of a few thousand weights with a tokenizer of its own."""
    from pipelines.demo.model import tiny_model as make

    random = Random(6)
    return make(tmp_path_factory.mktemp("model"), [document(random) for _ in range(60)], seed=1, vocabulary=512)


RECIPE = """\
name: small
workspace: {workspace}
executor: {{workers: {workers}}}
tokenizer: {{path: {model}}}
corpus:
  validation: 0.1
  unit_bytes: 20000
  sources:
    - name: papers
      reader: {{kind: jsonl, path: {inputs}/papers, metadata: [doi]}}
      license: CC-BY-4.0
    - name: notes
      reader: {{kind: csv, path: {inputs}/notes/notes.csv, text_field: note, id_field: id}}
      priority: 1
      steps: [{{kind: repair}}, {{kind: deidentify, profile: hipaa_safe_harbor, replace: tag}}, {{kind: quality}}]
    - name: general
      reader: {{kind: text, path: {inputs}/general}}
      priority: 2
  steps: [{{kind: repair}}, {{kind: quality}}]
  decide: [{{rule: length, min_words: 60}}]
mix:
  sequence_length: 64
  global_batch: 4
  steps: 12
  sources: {{papers: {{role: domain}}, notes: {{role: domain}}, general: {{role: replay}}}}
train:
  model: {model}
  precision: fp32
  learning_rate: 1e-3
  warmup_steps: 2
  micro_batch: 2
  kl: {{weight: 0.1, on: replay}}
  evaluate_every: 6
  evaluation_tokens: 600
  checkpoint_every: 4
"""


@pytest.fixture(scope="session")
def recipe_text(inputs: Path, tiny_model: Path):
    """The small recipe for a workspace."""

    def text(workspace: Path, workers: int = 1) -> str:
        return RECIPE.format(workspace=workspace, workers=workers, inputs=inputs, model=tiny_model)

    return text


@pytest.fixture
def write_recipe(tmp_path: Path, recipe_text):
    """Write the small recipe with a workspace of its own beside it."""

    def write(name: str = "w", workers: int = 1) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(recipe_text(tmp_path / name, workers))
        return path

    return write
