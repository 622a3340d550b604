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
from corpus.document import DOCUMENTS, QUARANTINE, Batch, Document
from corpus.engine import LocalSettings, run_units
from corpus.errors import DataError
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


# kind → (settings, file name, content, records when nothing is damaged)
INPUTS: dict[str, tuple[dict[str, Any], str, bytes, int]] = {
    "jsonl": ({}, "a.jsonl", b"".join(json.dumps({"text": t}).encode() + b"\n" for t in TEXTS), 12),
    "csv": ({}, "a.csv", b"id,subject_id,text\n" + notes(TEXTS), 12),
    "parquet": ({}, "a.parquet", table(text=TEXTS), 12),
    "hugging_face": ({}, "train.parquet", table(text=TEXTS), 12),
    "clinical_notes": ({"id": "id"}, "a.csv", b"id,subject_id,text\n" + notes(TEXTS), 12),
    "text": ({}, "a.txt", "\n".join(TEXTS).encode(), 1),
    "html": ({}, "a.html", xhtml("".join(f"<p>{t}</p>" for t in TEXTS)).encode(), 1),
    "warc": ({}, "a.warc", b"".join(warc(TEXTS)), 12),
    "pdf": ({}, "a.pdf", pdf([TEXTS[i : i + 3] for i in range(0, 12, 3)]), 1),
    "textbooks": (
        {},
        "a.epub",
        epub(
            [xhtml(f"<h1>{i}</h1><p>{t}</p>") for i, t in enumerate(PROSE)],
            [(t, f"c{i}.xhtml") for i, t in enumerate("abc")],
        ),
        3,
    ),
    "pubmed": ({}, "a.xml", citations(TEXTS), 12),
    "pmc": ({}, "a.xml", ARTICLE.format(pmid=1, pmc=1, text=TEXTS[0]).encode(), 1),
    "code": ({}, "a.zip", zipped({f"src/{i}.py": f"# {t}\n".encode() for i, t in enumerate(TEXTS)}), 12),
    "stack": (
        {"language_field": None, "file_field": "path", "repository_field": None, "license_field": None},
        "a.parquet",
        table(content=TEXTS, path=[f"{i}.py" for i in range(12)]),
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
    **{name: (kind, INPUTS[kind][0], file, content, records) for name, (kind, file, content, records) in FORMS.items()},
}
# Those whose files say at their head or foot what is in them.
TABLES = ("parquet", "hugging_face", "stack", "notes in parquet", "csv", "clinical_notes")
corruption = st.tuples(
    st.integers(0, 1 << 20), st.binary(max_size=8), st.sampled_from(["overwrite", "insert", "cut", "drop"])
)


def configured(kind: str, path: Path, **more: Any) -> ReaderSettings:
    own = INPUTS[kind][0]
    return TypeAdapter(ReaderSettings).validate_python({"kind": kind, "path": str(path), **own, **more})


def read(reader: Reader) -> list[Document]:
    """The documents of all files, each of which must be numbered from 0 without a gap."""
    tally = Tally()
    documents = []
    for file in reader.files():
        own = list(reader.read(file, tally))
        assert [(d.file, d.position) for d in own] == [(file.path, position) for position in range(len(own))]
        documents += own
    assert tally.records == len(documents)
    for document in documents:
        assert (document.step is None) == (document.reason is None)
        assert document.step is not None or not document.text.isspace()
    assert len(Batch.of(documents).unbalanced()) == 0
    return documents


def corrupted(content: bytes, at: int, noise: bytes, how: str) -> bytes:
    at %= len(content) + 1
    if how == "cut":
        return content[:at]
    after = {"overwrite": at + len(noise), "insert": at, "drop": at + 5}[how]
    return content[:at] + (b"" if how == "drop" else noise) + content[after:]


@pytest.mark.parametrize("name", CASES)
def test_sound_input_gives_its_records(tmp_path: Path, name: str) -> None:
    kind, _, file, content, records = CASES[name]
    (tmp_path / file).write_bytes(content)
    reader = make_reader(configured(kind, tmp_path / file if kind != "hugging_face" else tmp_path), "source")
    documents = read(reader)
    reader.close()
    assert [document.reason for document in documents] == [None] * records


@pytest.mark.parametrize("name", CASES)
def test_no_record_of_corrupted_input_is_lost_or_made_up(tmp_path: Path, name: str) -> None:
    kind, _, file, content, records = CASES[name]
    folder = tmp_path / "in"
    folder.mkdir()
    reader = make_reader(
        configured(kind, folder if kind == "hugging_face" else folder / file, max_bytes=1 << 20), "source"
    )

    @settings(max_examples=12 if kind in ("pdf", "textbooks", "hugging_face") else 40, deadline=None)
    @given(corruption)
    def check(damage: tuple[int, bytes, str]) -> None:
        at, noise, how = damage
        (folder / file).write_bytes(corrupted(content, at, noise, how))
        documents = read(reader)
        if how != "cut":
            assert documents or not noise
        elif at % (len(content) + 1):
            assert documents
        assert sum(document.reason is None for document in documents) <= records + 8

    try:
        check()
    finally:
        reader.close()


@pytest.mark.parametrize("name", TABLES)
def test_a_broken_head_or_foot_costs_its_own_file_and_is_counted(tmp_path: Path, name: str) -> None:
    kind, _, file, content, records = CASES[name]
    foot = 8 + int.from_bytes(content[-8:-4], "little") if file.endswith(".parquet") else 0
    head = content.index(b"\n") + 1 if not foot else 0
    sound, broken = f"a-{file}", f"b-{file}"
    (tmp_path / sound).write_bytes(content)

    @settings(max_examples=15 if kind == "hugging_face" else 60, deadline=None)
    @given(corruption)
    def check(damage: tuple[int, bytes, str]) -> None:
        at, noise, how = damage
        at = len(content) - foot + at % foot if foot else at % head
        (tmp_path / broken).write_bytes(corrupted(content, at, noise, how))
        reader = make_reader(configured(kind, tmp_path, glob=f"*-{file}"), "source")
        reader.check(reader.files())
        documents = read(reader)
        assert [d.text for d in documents if d.file == sound] == TEXTS
        rest = [d for d in documents if d.file == broken]
        # Nothing is passed over in silence: all records are there, or a row says what became of the file.
        whole = (tmp_path / broken).read_bytes().rstrip() in (b"", content[:head].rstrip())  # with no record to lose
        assert whole or len(rest) >= records or any(d.step == QUARANTINE for d in rest)

    check()


def test_a_source_of_which_no_file_can_be_read_is_refused(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.parquet").write_bytes(CASES["parquet"][3][: -4 - number])
    reader = make_reader(configured("parquet", tmp_path), "source")
    with pytest.raises(DataError, match="no file of the source can be read") as refused:
        reader.check(reader.files())
    assert "damaged file; so it is with all 3 files" in str(refused.value) and "0.parquet" in str(refused.value)
    for number in range(3):
        (tmp_path / f"{number}.csv").write_bytes(b"id,txt\n1,a\n")
    reader = make_reader(configured("csv", tmp_path), "source")
    with pytest.raises(DataError, match="the header line has no column 'text'"):
        reader.check(reader.files())
    (tmp_path / "3.csv").write_bytes(b"id,text\n1,a\n")
    reader.check(reader.files())
    reasons = {document.file: document.reason for document in read(reader)}
    assert reasons == dict.fromkeys(["0.csv", "1.csv", "2.csv"], "the header line has no column 'text'") | {
        "3.csv": None
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["jsonl", "csv", "text", "html", "warc", "pubmed", "pmc", "code in tar"]),
    st.sampled_from([extension for extension in COMPRESS if extension]),
    corruption,
)
def test_damage_to_a_compressed_file_costs_what_follows_it_only(
    tmp_path: Path, name: str, extension: str, damage: tuple[int, bytes, str]
) -> None:
    kind, _, file, content, _ = CASES[name]
    path = tmp_path / f"{file}{extension}"
    path.write_bytes(corrupted(COMPRESS[extension](content), *damage))
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
    kind, _, file, content, records = CASES[name]
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
    for source, (_, file, content, _) in INPUTS.items():
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
