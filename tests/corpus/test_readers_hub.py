"""A data set by its name on the hub: streamed from a server on this machine that plays the hub, and what is said when
there is none. `datasets` reads its environment when it is imported, so each case runs in a process of its own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import COMMIT, NAME, hub

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]
CARD = b"""---
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*}
  - {split: test, path: data/test.parquet}
---
"""
READ = """
import json, sys
from corpus.errors import ProvenderError
from corpus.readers import HuggingFaceSettings, Tally, make_reader

try:
    reader = make_reader(HuggingFaceSettings(**json.loads(sys.argv[1])), "general")
    files = reader.files()
    reader.check(files)
    tally = Tally()
    documents = [document for file in files for document in reader.read(file, tally)]
except ProvenderError as error:
    print(json.dumps({"error": str(error)}))
else:
    rows = [[d.file, d.position, d.text, d.metadata, d.reason] for d in documents]
    said = {"rows": rows, "folder": reader.root.folder, "records": tally.records, "torch": "torch" in sys.modules}
    print(json.dumps(said))
"""


def parquet(texts: list[str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"body": texts, "n": range(len(texts))}), sink, write_page_checksum=True)
    return sink.getvalue().to_pybytes()


TRAIN = {f"data/train-0000{i}-of-00002.parquet": [f"text {i} {n}" for n in range(300 - 298 * i)] for i in range(2)}
FILES = {"README.md": CARD, "data/test.parquet": parquet(["a test"])} | {
    name: parquet(texts) for name, texts in TRAIN.items()
}


def read(home: Path, endpoint: str, environment: dict[str, str] | None = None, **settings: object) -> dict:
    names = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_ETAG_TIMEOUT": "5"}
    stated = json.dumps({"path": NAME, "text_field": "body", "metadata": ["n"]} | settings)
    done = subprocess.run(
        [sys.executable, "-c", READ, stated],
        env={**os.environ, **names, **(environment or {})},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_data_set_of_the_hub_is_streamed_by_its_name(tmp_path):
    with hub(FILES) as endpoint:
        found = read(tmp_path / "home", endpoint)
        assert found["folder"] == f"datasets/{NAME}@{COMMIT}" and found["records"] == 302
        expected = [
            [name, position, text, json.dumps({"n": position}, separators=(",", ":")), None]
            for name, texts in TRAIN.items()
            for position, text in enumerate(texts)
        ]
        assert found["rows"] == expected
        assert not found["torch"]  # which `datasets` would import for a base class
        test = read(tmp_path / "home", endpoint, split="test")
        assert test["rows"] == [["data/test.parquet", 0, "a test", '{"n":0}', None]]
        chosen = read(tmp_path / "home", endpoint, glob="data/train-00001-*")
        assert len(chosen["rows"]) == 2
        assert "no split 'dev'" in read(tmp_path / "home", endpoint, split="dev")["error"]
        assert "did you mean 'body'" in read(tmp_path / "home", endpoint, text_field="bod")["error"]
        assert "the data set cannot be found" in read(tmp_path / "home", endpoint, path="me/nothing")["error"]
    blobs = [path for path in (tmp_path / "home").rglob("*") if path.suffix == ".parquet"]
    assert not blobs  # streamed: nothing of the data is left on the disk


def test_a_damaged_file_of_the_hub_is_a_counted_row(tmp_path):
    first = "data/train-00000-of-00002.parquet"
    with hub(FILES | {first: FILES[first][:-30]}) as endpoint:
        rows = read(tmp_path / "home", endpoint)["rows"]
    assert rows[0] == [first, 0, "", None, "damaged file"]
    assert [row[2] for row in rows[1:]] == ["text 1 0", "text 1 1"]


@pytest.mark.parametrize("offline", [False, True])
def test_a_hub_that_cannot_be_reached_is_an_error_that_says_so(tmp_path, offline):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"  # bound, and nobody listens
        more = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} if offline else {}
        error = read(tmp_path / "home", endpoint, more)["error"]
    assert "the Hugging Face hub cannot be reached" in error and NAME in error
    assert ("HF_HUB_OFFLINE" if offline else endpoint) in error
    assert "local folder" in error  # the way out
