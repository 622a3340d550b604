"""Conservation: whatever happens to its input, every reader gives a row for every record, and no exception."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from readers_inputs import ARTICLE, PROSE, epub, gzipped_members, pdf, tarred, warc, xhtml, zipped

from corpus.annotate import SourceLine, annotate_pipeline, cut_units
from corpus.artifact import RunLock
from corpus.document import DOCUMENTS, Batch, Document
from corpus.engine import LocalSettings, run_units
from corpus.readers import Reader, ReaderSettings, Tally, make_reader

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": partial(gzip.compress, mtime=0),
    ".bz2": bz2.compress,
    ".xz": partial(lzma.compress, preset=0),
    ".zst": zstandard.compress,
}
CITATION = (
    "<PubmedArticle><MedlineCitation><PMID>{}</PMID><Article><ArticleTitle>{}</ArticleTitle></Article>"
    "</MedlineCitation></PubmedArticle>"
)
TEXTS = [f"{text} ({number})" for number in range(4) for text in PROSE]


def table(**columns: list[Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, write_page_checksum=True, compression="snappy")
    return sink.getvalue().to_pybytes()


def citations(texts: list[str]) -> bytes:
    body = "".join(CITATION.format(number, text) for number, text in enumerate(texts))
    return f"<PubmedArticleSet>{body}</PubmedArticleSet>".encode()


def notes(texts: list[str]) -> bytes:
    return "".join(f'{number},{number % 3},"{text}"\n' for number, text in enumerate(texts)).encode()


# kind → (settings, file name, content, bytes at the start that stay, records when nothing is damaged)
INPUTS: dict[str, tuple[dict[str, Any], str, bytes, int, int]] = {
    "jsonl": ({}, "a.jsonl", b"".join(json.dumps({"text": t}).encode() + b"\n" for t in TEXTS), 0, 12),
    "csv": ({}, "a.csv", b"id,subject_id,text\n" + notes(TEXTS), 19, 12),
    "parquet": ({}, "a.parquet", table(text=TEXTS), 0, 12),
    "hugging_face": ({}, "train.parquet", table(text=TEXTS), 0, 12),
    "clinical_notes": ({"id": "id"}, "a.csv", b"id,subject_id,text\n" + notes(TEXTS), 19, 12),
    "text": ({}, "a.txt", "\n".join(TEXTS).encode(), 0, 1),
    "html": ({}, "a.html", xhtml("".join(f"<p>{t}</p>" for t in TEXTS)).encode(), 0, 1),
    "warc": ({}, "a.warc", b"".join(warc(TEXTS)), 0, 12),
    "pdf": ({}, "a.pdf", pdf([TEXTS[i : i + 3] for i in range(0, 12, 3)]), 0, 1),
    "textbooks": (
        {},
        "a.epub",
        epub(
            [xhtml(f"<h1>{i}</h1><p>{t}</p>") for i, t in enumerate(PROSE)],
            [(t, f"c{i}.xhtml") for i, t in enumerate("abc")],
        ),
        0,
        3,
    ),
    "pubmed": ({}, "a.xml", citations(TEXTS), 0, 12),
    "pmc": ({}, "a.xml", ARTICLE.format(pmid=1, pmc=1, text=TEXTS[0]).encode(), 0, 1),
    "code": ({}, "a.zip", zipped({f"src/{i}.py": f"# {t}\n".encode() for i, t in enumerate(TEXTS)}), 0, 12),
    "stack": (
        {"language_field": None, "file_field": "path", "repository_field": None, "license_field": None},
        "a.parquet",
        table(content=TEXTS, path=[f"{i}.py" for i in range(12)]),
        0,
        12,
    ),
}
# More forms of the same kinds.
FORMS: dict[str, tuple[str, str, bytes, int]] = {
    "pdf book": ("textbooks", "a.pdf", pdf([[t] for t in TEXTS], [(f"C{i}", i) for i in range(12)]), 12),
    "html book": ("textbooks", "a.html", "".join(f"<h1>{i}</h1><p>{t}</p>" for i, t in enumerate(TEXTS)).encode(), 12),
    "warc members": ("warc", "a.warc.gz", gzipped_members(warc(TEXTS)), 12),
    "notes in parquet": (
        "clinical_notes",
        "a.parquet",
        table(id=[*map(str, range(12))], subject_id=[1] * 12, text=TEXTS),
        12,
    ),
    "code in tar": ("code", "a.tar", tarred({f"src/{i}.py": f"# {t}\n".encode() for i, t in enumerate(TEXTS)}), 12),
    "articles in tar.gz": (
        "pmc",
        "a.tar.gz",
        gzip.compress(
            tarred({f"{i}.xml": ARTICLE.format(pmid=i, pmc=i, text=t).encode() for i, t in enumerate(PROSE)})
        ),
        3,
    ),
    "lines in zip": (
        "jsonl",
        "a.zip",
        zipped({f"{i}.jsonl": json.dumps({"text": t}).encode() for i, t in enumerate(PROSE)}),
        3,
    ),
}
CASES = {
    **{kind: (kind, *rest) for kind, rest in INPUTS.items()},
    **{
        name: (kind, INPUTS[kind][0], file, content, 0, records)
        for name, (kind, file, content, records) in FORMS.items()
    },
}
PARQUET = {"parquet", "hugging_face", "stack", "notes in parquet"}
corruption = st.tuples(
    st.integers(0, 1 << 20), st.binary(max_size=8), st.sampled_from(["overwrite", "insert", "cut", "drop"])
)


def configured(kind: str, path: Path, **more: Any) -> ReaderSettings:
    own = INPUTS[kind][0]
    return TypeAdapter(ReaderSettings).validate_python({"kind": kind, "path": str(path), **own, **more})


def read(reader: Reader) -> list[Document]:
    tally = Tally()
    documents = [document for file in reader.files() for document in reader.read(file, tally)]
    assert tally.records == len(documents)
    assert [d.position for d in documents] == list(range(len(documents)))
    for document in documents:
        assert (document.step is None) == (document.reason is None)
        assert document.step is not None or not document.text.isspace()
    assert len(Batch.of(documents).unbalanced()) == 0
    return documents


def corrupted(content: bytes, kept: int, at: int, noise: bytes, how: str) -> bytes:
    at = kept + at % (len(content) - kept + 1)
    if how == "cut":
        return content[:at]
    after = {"overwrite": at + len(noise), "insert": at, "drop": at + 5}[how]
    return content[:at] + (b"" if how == "drop" else noise) + content[after:]


@pytest.mark.parametrize("name", CASES)
def test_sound_input_gives_its_records(tmp_path: Path, name: str) -> None:
    kind, _, file, content, _, records = CASES[name]
    (tmp_path / file).write_bytes(content)
    reader = make_reader(configured(kind, tmp_path / file if kind != "hugging_face" else tmp_path), "source")
    documents = read(reader)
    reader.close()
    assert [document.reason for document in documents] == [None] * records


@pytest.mark.parametrize("name", CASES)
def test_no_record_of_corrupted_input_is_lost_or_made_up(tmp_path: Path, name: str) -> None:
    kind, _, file, content, kept, records = CASES[name]
    folder = tmp_path / "in"
    folder.mkdir()
    reader = make_reader(
        configured(kind, folder if kind == "hugging_face" else folder / file, max_bytes=1 << 20), "source"
    )

    @settings(max_examples=12 if kind in ("pdf", "textbooks", "hugging_face") else 40, deadline=None)
    @given(corruption)
    def check(damage: tuple[int, bytes, str]) -> None:
        at, noise, how = damage
        if name in PARQUET and how != "cut":  # a flipped byte in a footer can end the process inside Arrow
            at %= len(content) - int.from_bytes(content[-8:-4], "little") - 20
            how = "overwrite"
        (folder / file).write_bytes(corrupted(content, kept, at, noise, how))
        documents = read(reader)
        if how != "cut":
            assert documents or not noise
        elif kept + at % (len(content) - kept + 1) > kept:
            assert documents
        assert sum(document.reason is None for document in documents) <= records + 8

    try:
        check()
    finally:
        reader.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["jsonl", "csv", "text", "html", "warc", "pubmed", "pmc", "code in tar"]),
    st.sampled_from([extension for extension in COMPRESS if extension]),
    corruption,
)
def test_damage_to_a_compressed_file_costs_what_follows_it_only(
    tmp_path: Path, name: str, extension: str, damage: tuple[int, bytes, str]
) -> None:
    kind, _, file, content, _, _ = CASES[name]
    path = tmp_path / f"{file}{extension}"
    path.write_bytes(corrupted(COMPRESS[extension](content), 0, *damage))
    reader = make_reader(configured(kind, path), "source")
    documents = read(reader)
    whole = tmp_path / f"whole.{file}"
    whole.write_bytes(content)
    texts = {document.text for document in read(make_reader(configured(kind, whole), "source"))}
    if extension != ".zst":  # zstd checks its frames only where they carry a checksum
        assert {document.text for document in documents if document.reason is None} <= texts
    path.unlink()


@pytest.mark.parametrize("name", CASES)
def test_every_reader_reads_through_every_compression(tmp_path: Path, name: str) -> None:
    kind, _, file, content, _, records = CASES[name]
    if kind == "hugging_face" or file.endswith(".gz"):
        pytest.skip("its files are opened by `datasets`" if kind == "hugging_face" else "compressed as it is")
    for extension, compress in COMPRESS.items():
        (tmp_path / f"{file}{extension}").write_bytes(compress(content))
    reader = make_reader(configured(kind, tmp_path), "source")
    documents = read_all(reader)
    reader.close()
    assert [(d.file, d.reason) for d in documents if d.reason] == []
    assert len(documents) == records * len(COMPRESS)
    first = [d.text for d in documents[:records]]
    assert [d.text for d in documents] == first * len(COMPRESS)


def read_all(reader: Reader) -> list[Document]:
    tally = Tally()
    return [document for file in reader.files() for document in reader.read(file, tally)]


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_documents(tmp_path: Path) -> None:
    lines: dict[str, SourceLine] = {}
    for source, (_, file, content, *_) in INPUTS.items():
        folder = tmp_path / "in" / source
        folder.mkdir(parents=True)
        names = [f"{copy}-{file}" for copy in "ab"]
        if source == "hugging_face":
            names = [f"train-0000{number}-of-00002.parquet" for number in range(2)]
        (folder / names[0]).write_bytes(content)
        (folder / names[1]).write_bytes(content[: len(content) * 3 // 4])
        lines[source] = SourceLine(source, make_reader(configured(source, folder), source), ())
    written = []
    for workers in (1, 2, 3):
        workspace = tmp_path / str(workers)
        units = [unit for line in lines.values() for unit in cut_units(line, workspace / "annotate", 1)]
        with RunLock(workspace) as lock:
            run_units(
                "annotate",
                units,
                lambda todo, beat, lock=lock: annotate_pipeline(todo, beat, lines, lock),
                executor=LocalSettings(workers=workers),
                logs=workspace / "logs",
            )
        written.append([(unit.folder / DOCUMENTS).read_bytes() for unit in units])
    assert written[0] == written[1] == written[2]
    assert len(written[0]) == 2 * len(INPUTS)
