"""Bounds: what is huge or deep costs its bound in time and memory, and is counted."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from readers_inputs import greedy, http, warc, warc_record

from corpus.document import Batch, Document
from corpus.extract import ExtractSettings
from corpus.extract.guard import Failure, Guard
from corpus.readers import (
    CsvSettings,
    JsonlSettings,
    PubmedSettings,
    ReaderSettings,
    Tally,
    TextbookSettings,
    TextSettings,
    WarcSettings,
    make_reader,
)

MB = 1 << 20
LINE = 100  # MB


def read(configured: ReaderSettings) -> list[Document]:
    reader = make_reader(configured, "source")
    try:
        return [document for file in reader.files() for document in reader.read(file, Tally())]
    finally:
        reader.close()


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def write_huge(path: Path, before: bytes, after: bytes) -> None:
    with zstandard.open(path, "wb") as handle:
        handle.write(before)
        for _ in range(LINE):
            handle.write(b"x" * MB)
        handle.write(after)


@pytest.mark.parametrize(
    ("settings", "before", "after", "documents"),
    [
        (JsonlSettings, b'{"text": "a"}\n{"text": "', b'"}\n{"text": "b"}\n', 3),
        (CsvSettings, b"text\na\n", b"\nb\n", 3),
        (TextSettings, b"", b"", 1),
        (
            WarcSettings,
            b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 104857600\r\n\r\n",
            b"\r\n\r\n" + warc("b")[0],
            2,
        ),
        (PubmedSettings, b"<PubmedArticleSet><PubmedArticle><ArticleTitle>", b"</ArticleTitle>", 1),
    ],
)
def test_a_record_of_100_mb_is_counted_and_not_held(
    tmp_path: Path, traced: None, settings: type, before: bytes, after: bytes, documents: int
) -> None:
    path = tmp_path / "a.zst"
    write_huge(path, before, after)
    found = read(settings(path=str(path), max_bytes=4 * MB))
    peak = tracemalloc.get_traced_memory()[1]
    assert len(found) == documents
    assert [d.reason for d in found if d.bytes_in > MB] in (["record above 4 MB"], ["damaged file"])
    assert peak < 24 * MB


def test_deep_pages_end_as_text_or_as_a_verdict(tmp_path: Path) -> None:
    deep = "<div>" * 100_000 + "text"
    lists = "<ul><li>" * 50_000 + "text"
    step = ExtractSettings(timeout_seconds=1).build()
    pages = [deep, lists, "<b>" * 50_000 + "text", "<table><tr><td>" * 30_000, "<p>sound</p>"]
    batch = Batch.of([Document("s", "f", i, page, len(page)) for i, page in enumerate(pages)])
    try:
        done = step.process(batch)
    finally:
        step.guard.close()
    assert done.text[4].as_py().strip() == "sound"
    assert all(
        text != page or reason
        for text, page, reason in zip(done.text.to_pylist(), pages, done["reason"].to_pylist(), strict=True)
    )
    (tmp_path / "a.html").write_text("<h1>x</h1>" * 100_000)
    (document,) = read(TextbookSettings(path=str(tmp_path), timeout_seconds=1))
    assert document.reason == "timed out"


def test_an_engine_that_takes_too_much_memory_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    assert greedy("3") == "xxx"
    guard = Guard("readers_inputs:greedy", 10, memory=128 * MB)
    try:
        assert guard.map(["3", str(1 << 30), "2"]) == ["xxx", Failure.MEMORY, "xx"]
    finally:
        guard.close()


def test_a_page_compressed_within_a_warc_is_bounded(tmp_path: Path, traced: None) -> None:
    import gzip

    bomb = gzip.compress(bytes(64 * MB))
    (tmp_path / "a.warc").write_bytes(
        warc_record("response", http(bomb, "text/html", "200 OK", "Content-Encoding: gzip"))
    )
    tracemalloc.reset_peak()
    (document,) = read(WarcSettings(path=str(tmp_path), max_bytes=4 * MB))
    assert document.reason == "record above 4 MB"
    assert tracemalloc.get_traced_memory()[1] < 96 * MB
