"""Readers: every framed record is one document, whatever state the input is in."""

import bz2
import gzip
import json
import lzma
import random
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from corpus.document import Document
from corpus.errors import DataError
from corpus.readers import (
    CodeSettings,
    CsvSettings,
    HtmlSettings,
    JsonlSettings,
    ParquetSettings,
    PubmedSettings,
    ReaderSettings,
    Tally,
    TextSettings,
    files,
    make_reader,
)

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": partial(lzma.compress, preset=0),
    ".zst": zstandard.compress,
}
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)


def read(configured: ReaderSettings) -> tuple[list[Document], Tally]:
    reader = make_reader(configured, "source")
    tally = Tally()
    documents = [document for file in reader.files() for document in reader.read(file, tally)]
    assert tally.records == len(documents)
    assert len({document.id for document in documents}) == len(documents)
    for document in documents:
        assert (document.step is None) == (document.reason is None)
        if document.step is None:
            assert document.bytes_in == len(document.text.encode()) > 0
    return documents, tally


def check(configured: ReaderSettings) -> None:
    reader = make_reader(configured, "source")
    reader.check(reader.files())


def fates(documents: list[Document]) -> list[tuple[str, str | None]]:
    return [(document.text, document.reason) for document in documents]


def test_each_kind_of_unreadable_json_line_has_its_own_reason(tmp_path: Path) -> None:
    lines = {
        b'{"text": "good", "id": 7, "year": 2020, "x": NaN}': None,
        b'{"text": ""}': "empty text",
        b'{"text": " \\n "}': "empty text",
        b'{"other": 1}': "text field missing",
        b'{"text": 5}': "text is not a string",
        b'{"text": null}': "text is null",
        b'{"text": "\\ud800"}': "lone surrogate",
        b'{"text": "\xff"}': "not UTF-8",
        b'{"text": "cut': "malformed JSON",
        b"[1, 2]": "not a JSON object",
        b"[" * 100_000: "malformed JSON",
    }
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n \r\n".join(lines))
    documents, tally = read(JsonlSettings(path=str(tmp_path), id_field="id", metadata=("year", "x")))
    assert [document.reason for document in documents] == list(lines.values())
    assert tally.blank == len(lines) - 1
    assert documents[0].record_id == "7"
    assert json.loads(documents[0].metadata or "") == {"year": 2020, "x": None}
    quarantined = [(document, line) for document, line in zip(documents, lines, strict=True) if document.text == ""]
    for document, line in quarantined:
        assert document.bytes_in == (0 if document.step == "read" else len(line))


@quickly
@given(st.lists(words, max_size=20), st.binary(max_size=6), st.integers(0, 10_000), st.sampled_from(sorted(COMPRESS)))
def test_json_lines_are_conserved_under_corruption(
    tmp_path: Path, texts: list[str], noise: bytes, at: int, extension: str
) -> None:
    raw = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
    at %= len(raw) + 1
    raw = raw[:at] + noise + raw[at + len(noise) :]
    path = tmp_path / f"a.jsonl{extension}"
    path.write_bytes(COMPRESS[extension](raw))
    documents, tally = read(JsonlSettings(path=str(path)))
    without_mark = raw.removeprefix(b"\xef\xbb\xbf")
    framed = [line for line in without_mark.split(b"\n") if line.strip(b" \t\r\x0b\x0c")]
    assert len(documents) == len(framed)
    assert tally.bytes == sum(map(len, framed))


@quickly
@given(st.lists(words, min_size=1, max_size=20), st.integers(0, 10_000), st.integers(0, 255))
def test_csv_rows_are_conserved_under_corruption(tmp_path: Path, texts: list[str], at: int, byte: int) -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    raw = bytearray("".join(f"{index},{text}\n" for index, text in enumerate(quoted)).encode())
    raw[at % len(raw)] = byte
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n" + bytes(raw))
    documents, tally = read(CsvSettings(path=str(path), id_field="id"))
    # Every byte after the header is in a record, between two records (their line ends) or in a blank line.
    assert tally.bytes + tally.records + tally.blank == len(raw) + (not raw.endswith(b"\n"))
    assert documents or tally.blank


def test_csv_fields_may_span_lines_and_hold_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,"two\nlines, ""quoted"""\n\n2,"open\n3,lost\n')
    (tmp_path / "b.tsv").write_text("id\ttext\n4\tfive\n5\n")
    documents, tally = read(CsvSettings(path=str(tmp_path / "a.csv")))
    assert fates(documents) == [('two\nlines, "quoted"', None), ("", "malformed CSV")]
    assert tally.blank == 1
    documents, _ = read(CsvSettings(path=str(tmp_path / "b.tsv"), delimiter="\t"))
    assert fates(documents) == [("five", None), ("", "wrong number of fields")]


def test_a_csv_header_error_does_not_show_the_line_which_may_be_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Jane Doe was seen today,3\n")
    with pytest.raises(DataError, match="the header line has no column 'text'") as caught:
        check(CsvSettings(path=str(tmp_path)))
    assert "Jane" not in str(caught.value)
    assert fates(read(CsvSettings(path=str(tmp_path)))[0]) == [("", "the header line has no column 'text'")]
    assert fates(read(CsvSettings(path=str(tmp_path), columns=("text", "n")))[0]) == [("Jane Doe was seen today", None)]


def test_an_unclosed_csv_quote_takes_no_more_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text\n"open\n' + "x" * 50 + "\nafter\n")
    documents, _ = read(CsvSettings(path=str(tmp_path), max_bytes=40))
    assert fates(documents) == [("", "record above 40 bytes"), ("after", None)]


@pytest.mark.parametrize("extension", sorted(COMPRESS))
def test_a_compressed_file_reads_as_the_plain_one_even_in_several_members(tmp_path: Path, extension: str) -> None:
    parts = [b'{"text": "one"}\n{"te', b'xt": "two"}\n']
    (tmp_path / f"a.jsonl{extension}").write_bytes(b"".join(COMPRESS[extension](part) for part in parts))
    assert fates(read(JsonlSettings(path=str(tmp_path)))[0]) == [("one", None), ("two", None)]


@pytest.mark.parametrize("extension", sorted(set(COMPRESS) - {""}))
def test_a_truncated_file_keeps_what_comes_before_and_says_that_it_is_damaged(tmp_path: Path, extension: str) -> None:
    noise = random.Random(1)
    texts = [noise.randbytes(500).hex() for _ in range(2000)]
    whole = COMPRESS[extension](b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts))
    (tmp_path / f"a.jsonl{extension}").write_bytes(whole[: len(whole) * 2 // 3])
    documents, _ = read(JsonlSettings(path=str(tmp_path)))
    *before, last = documents
    assert (last.step, last.reason, last.position) == ("quarantine", "damaged file", len(before))
    assert [document.text for document in before] == texts[: len(before)]
    # bzip2 decodes blocks of 900 kB, xz holds back a little; nothing sound beyond that is lost.
    assert len(before) >= (400 if extension == ".bz2" else 1200)


def test_a_line_far_above_the_limit_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    with zstandard.open(path, "wb") as handle:
        handle.write(b'{"text": "before"}\n')
        for _ in range(70):
            handle.write(b"x" * (1 << 20))
        handle.write(b'\n{"text": "after"}\n')
    configured = JsonlSettings(path=str(path), max_bytes=2 << 20)
    tracemalloc.start()
    documents, tally = read(configured)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fates(documents) == [("before", None), ("", "record above 2 MB"), ("after", None)]
    assert documents[1].bytes_in == 70 << 20
    assert tally.bytes > 70 << 20
    assert peak < 12 << 20


def test_parquet_reads_only_what_is_asked_and_quarantines_what_is_not_text(tmp_path: Path) -> None:
    text = pa.array([b"good", None, b"", b"\xff\xfe"], pa.binary()).view(pa.string())
    table = pa.table({"body": text, "id": [1, 2, 3, 4], "other": [[1]] * 4})
    pq.write_table(table, tmp_path / "a.parquet")
    documents, _ = read(ParquetSettings(path=str(tmp_path), text_field="body", id_field="id", metadata=("other",)))
    assert fates(documents) == [("good", None), ("", "text is null"), ("", "empty text"), ("", "not UTF-8")]
    assert [document.record_id for document in documents] == ["1", "2", "3", "4"]
    assert documents[0].metadata == '{"other":[1]}'
    with pytest.raises(DataError, match="did you mean 'body'"):
        check(ParquetSettings(path=str(tmp_path), text_field="bod"))


def test_parquet_cells_above_the_limit_and_other_types_are_quarantined(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(["x" * 100, "y"]).dictionary_encode()}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [1]}), tmp_path / "b.parquet")
    assert fates(read(ParquetSettings(path=str(tmp_path), max_bytes=10))[0]) == [
        ("", "record above 10 bytes"),
        ("y", None),
        ("", "text is not a string"),
    ]


def damaged_parquet(path: Path, at: int, flip: int) -> tuple[list[str], list[Document]]:
    texts = [f"document {index} " * 20 for index in range(600)]
    pq.write_table(pa.table({"text": texts}), path, write_page_checksum=True, row_group_size=200)
    raw = bytearray(path.read_bytes())
    footer = int.from_bytes(raw[-8:-4], "little") + 8
    raw[at % (len(raw) - footer)] ^= flip
    path.write_bytes(raw)
    return texts, read(ParquetSettings(path=str(path)))[0]


@quickly
@given(st.integers(0, 1 << 30), st.integers(1, 255))
def test_a_flipped_byte_in_a_parquet_page_never_passes_unnoticed(tmp_path: Path, at: int, flip: int) -> None:
    texts, documents = damaged_parquet(tmp_path / "a.parquet", at, flip)
    readable = [document.text for document in documents if document.reason is None]
    assert readable == texts[: len(readable)]
    if len(readable) < len(texts):
        assert documents[-1].reason == "damaged file"


def test_a_parquet_footer_that_counts_fewer_rows_is_damage(tmp_path: Path) -> None:
    # The footer has no checksum. The last row group's count of 200 (the zigzag varint 0x90 0x03 before the header of
    # the Thrift field `file_offset`) becomes 199.
    sound, _ = damaged_parquet(tmp_path / "a.parquet", 0, 0)
    raw = (tmp_path / "a.parquet").read_bytes()
    at = raw.rindex(b"\x90\x03\x26")
    (tmp_path / "a.parquet").write_bytes(raw[:at] + b"\x8e" + raw[at + 1 :])
    documents, _ = read(ParquetSettings(path=str(tmp_path)))
    assert len(sound) == 600
    assert fates(documents) == [*((text, None) for text in sound[:599]), ("", "damaged file")]


def test_text_files_are_one_document_each(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_bytes("naïve".encode("cp1252"))
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbfwith a mark")
    (tmp_path / "sub/c.txt.gz").write_bytes(gzip.compress(b"deep"))
    (tmp_path / ".hidden.txt").write_text("not seen")
    (tmp_path / "large.txt").write_text("x" * 100)
    documents, _ = read(TextSettings(path=str(tmp_path), max_bytes=50))
    assert [(document.file, document.text, document.reason) for document in documents] == [
        ("a.md", "\ufeffwith a mark", None),
        ("b.txt", "", "not UTF-8"),
        ("large.txt", "", "record above 50 bytes"),
        ("sub/c.txt.gz", "deep", None),
    ]
    assert fates(read(TextSettings(path=str(tmp_path), glob="b.*", encoding="cp1252"))[0]) == [("naïve", None)]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>é".encode(), "<p>é"),
        ('<meta charset="utf-8"><p>é'.encode("utf-16"), '<meta charset="utf-8"><p>é'),
        ("<meta charset=iso-8859-1><p>“é”".encode("cp1252"), "<meta charset=iso-8859-1><p>“é”"),
        ("<meta charset=latin1><p>é".encode(), "<meta charset=latin1><p>é"),
    ],
)
def test_pages_are_decoded_as_browsers_do(tmp_path: Path, page: bytes, text: str) -> None:
    (tmp_path / "a.html").write_bytes(page)
    documents, _ = read(HtmlSettings(path=str(tmp_path)))
    assert fates(documents) == [(text, None)]
    assert documents[0].bytes_in == len(text.encode())


def test_source_files_carry_their_language(tmp_path: Path) -> None:
    for folder in ("src", "node_modules", ".git"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src/a.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    (tmp_path / "src/run").write_text("#!/usr/bin/env -S python3.11 -u\nprint()\n")
    (tmp_path / "src/LICENSE").write_text("Permission is granted\n")
    (tmp_path / "src/b.rs").write_bytes(b"fn main() {}\0")
    (tmp_path / "node_modules/c.js").write_text("var x")
    (tmp_path / ".git/d.py").write_text("pass")
    documents, _ = read(CodeSettings(path=str(tmp_path)))
    languages = [json.loads(document.metadata)["language"] if document.metadata else None for document in documents]
    assert [(d.file, d.reason, language) for d, language in zip(documents, languages, strict=True)] == [
        ("src/LICENSE", "not in a language asked for", None),
        ("src/a.py", None, "python"),
        ("src/b.rs", "binary file", None),
        ("src/run", None, "python"),
    ]
    assert documents[1].text == "# -*- coding: latin-1 -*-\nx = 'é'\n"
    only = make_reader(CodeSettings(path=str(tmp_path), languages=("rust",)), "source").files()
    assert [file.path for file in only] == ["src/LICENSE", "src/b.rs", "src/run"]


CITATION = """<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID><Article>
<Journal><Title>J</Title></Journal>
<ArticleTitle>On <i>E. coli</i>.</ArticleTitle><Abstract><AbstractText Label="AIM">To see.</AbstractText>
<AbstractText>CO<sub>2</sub> &amp; more.</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>
"""


def test_pubmed_citations_are_title_and_abstract_by_pmid(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
    empty = "<PubmedArticle><MedlineCitation><PMID>9</PMID></MedlineCitation></PubmedArticle>"
    entity = CITATION.format(pmid=3).replace("To see", "&a;&b;")
    body = CITATION.format(pmid=1) + empty + entity
    path = tmp_path / "pubmed.xml.gz"
    path.write_bytes(gzip.compress(f"{bomb}<PubmedArticleSet>{body}</PubmedArticleSet>".encode()))
    documents, _ = read(PubmedSettings(path=str(tmp_path), metadata=("journal",)))
    assert [(d.record_id, d.reason) for d in documents] == [("1", None), ("9", "empty text"), ("3", None)]
    assert documents[0].text == "On E. coli.\n\nAIM: To see.\n\nCO2 & more."
    assert documents[0].metadata == '{"journal":"J"}'
    assert "boom" not in documents[2].text
    assert "root:" not in documents[2].text


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_cut_pubmed_file_keeps_its_whole_citations(tmp_path: Path, share: float) -> None:
    raw = "<PubmedArticleSet>" + "".join(CITATION.format(pmid=i) for i in range(1000)) + "</PubmedArticleSet>"
    cut = raw.encode()[: int(len(raw) * share)]
    (tmp_path / "a.xml").write_bytes(cut)
    documents, tally = read(PubmedSettings(path=str(tmp_path)))
    assert [d.record_id for d in documents[:-1]] == [str(i) for i in range(cut.count(b"</PubmedArticle>"))]
    assert documents[-1].reason == "damaged file"
    assert tally.bytes == len(cut)


def test_a_path_that_matches_nothing_is_told_with_what_is_nearby(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.csv").write_text("text\n")
    with pytest.raises(DataError, match="notes") as missing:
        make_reader(JsonlSettings(path=str(tmp_path / "nots/2020")), "s").files()
    assert str(tmp_path / "nots/2020") in str(missing.value)
    with pytest.raises(DataError, match=r"files of other kinds, such as a\.csv"):
        make_reader(JsonlSettings(path=str(tmp_path / "notes")), "s").files()
    with pytest.raises(DataError, match=r"a\.csv"):
        make_reader(JsonlSettings(path=str(tmp_path / "notes/*.jsonl")), "s").files()


def test_files_are_relative_to_the_folder_the_glob_starts_in(tmp_path: Path) -> None:
    for name in ("x/b/2.jsonl", "x/a/1.jsonl", "x/a/1.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"text": "t"}\n')
    for path in ("x", "x/", "x/**/*.jsonl", "x/*/*.jsonl"):
        files = make_reader(JsonlSettings(path=f"{tmp_path}/{path}"), "s").files()
        assert [file.path for file in files] == ["a/1.jsonl", "b/2.jsonl"], path
    assert make_reader(JsonlSettings(path=f"{tmp_path}/x/a/1.txt"), "s").files()[0].path == "1.txt"


def test_any_fsspec_url_is_read() -> None:
    with fsspec.open("memory://bucket/notes/a.jsonl", "wb") as handle:
        handle.write(b'{"text": "remote"}\n')
    documents, _ = read(JsonlSettings(path="memory://bucket/notes"))
    assert [(d.file, d.text) for d in documents] == [("a.jsonl", "remote")]


def test_a_failing_storage_stops_the_run_instead_of_quarantining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: files.Stored, size: int = -1) -> bytes:
        raise DataError("the file cannot be read")

    monkeypatch.setattr(files.Stored, "read", fail)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    for extension, compress in COMPRESS.items():
        (tmp_path / f"a.jsonl{extension}").write_bytes(compress(b'{"text": "a"}\n'))
        with pytest.raises(DataError, match="cannot be read"):
            read(JsonlSettings(path=str(tmp_path / f"a.jsonl{extension}")))
    with pytest.raises(DataError, match="cannot be read"):
        read(ParquetSettings(path=str(tmp_path)))


def test_settings_are_told_apart_by_kind_and_identity_holds_no_location() -> None:
    parsed = TypeAdapter(ReaderSettings).validate_python({"kind": "csv", "path": "/somewhere", "delimiter": "\t"})
    assert isinstance(parsed, CsvSettings)
    assert "path" not in parsed.identity()
    assert parsed.identity()["delimiter"] == "\t"
    for wrong in ({"encoding": "nonsense"}, {"encoding": "utf-16"}):
        with pytest.raises(ValidationError):
            JsonlSettings(path="x", **wrong)
