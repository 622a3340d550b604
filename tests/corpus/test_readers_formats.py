"""WARC, PDF, JATS, EPUB, clinical notes, The Stack and Hugging Face: what each record becomes."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from readers_inputs import (
    ARTICLE,
    PROSE,
    epub,
    gzipped_members,
    http,
    pdf,
    tarred,
    warc,
    warc_record,
    xhtml,
    zipped,
)

from corpus.document import Document
from corpus.errors import DataError
from corpus.readers import (
    ClinicalNotesSettings,
    CodeSettings,
    HuggingFaceSettings,
    JsonlSettings,
    PdfSettings,
    PmcSettings,
    Reader,
    ReaderSettings,
    StackSettings,
    Tally,
    TextbookSettings,
    WarcSettings,
    make_reader,
)
from corpus.readers.hugging_face import _folder
from corpus.readers.pdf_layout import Line, mended, paragraphs, survey
from corpus.readers.textbooks import chapter_starts


def read(configured: ReaderSettings) -> list[Document]:
    reader: Reader = make_reader(configured, "source")
    tally = Tally()
    try:
        documents = [document for file in reader.files() for document in reader.read(file, tally)]
    finally:
        reader.close()
    assert tally.records == len(documents)
    return documents


def check(configured: ReaderSettings) -> None:
    reader = make_reader(configured, "source")
    reader.check(reader.files())


def fates(documents: list[Document]) -> list[tuple[str, str | None]]:
    return [(document.text, document.reason) for document in documents]


def carried(document: Document) -> dict[str, Any]:
    return json.loads(document.metadata or "{}")


def test_pages_of_a_warc_become_documents_and_every_other_record_has_its_reason(tmp_path: Path) -> None:
    page = "<p>é ü</p>"
    records = {
        warc_record("warcinfo", b"software: x", 0, "application/warc-fields"): "warcinfo record",
        warc_record("request", b"GET / HTTP/1.1\r\n\r\n", 1): "request record",
        warc_record("response", http(page.encode()), 2): None,
        warc_record("response", http(page.encode("latin-1"), "text/html; charset=ISO-8859-1"), 3): None,
        warc_record(
            "response", http(gzip.compress(page.encode()), "text/html", "200 OK", "Content-Encoding: gzip"), 4
        ): None,
        warc_record("response", http(b"\x89PNG", "image/png"), 5): "content type not asked for",
        warc_record("response", http(b"<p>gone", "text/html", "404 Not Found"), 6): "HTTP status 404",
        warc_record("conversion", page.encode(), 7, "text/html"): None,
        warc_record("response", http(b"  "), 8): "empty text",
        warc_record("response", b"no http at all", 9): "payload cannot be decoded",
        warc_record("response", http(b"\xff\xfe\xfa", "text/html; charset=utf-8"), 10): "unknown encoding",
        warc_record("response", http(b"x" * 5000), 11): "record above 4096 bytes",
        warc_record(
            "response", http(gzip.compress(b"x" * 9999), "text/html", "200 OK", "Content-Encoding: gzip"), 12
        ): ("record above 4096 bytes"),
    }
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    (tmp_path / "b.warc.gz").write_bytes(gzipped_members(list(records)))
    (tmp_path / "c.warc.zst").write_bytes(b"".join(zstandard.compress(record) for record in records))
    documents = read(WarcSettings(path=str(tmp_path), max_bytes=4096))
    assert [document.reason for document in documents] == 3 * list(records.values())
    assert {document.text for document in documents if document.reason is None} == {page}
    assert carried(documents[2]) == {"url": "https://example.org/2", "date": "2024-05-01T00:00:00Z"}
    assert documents[2].record_id == "<urn:uuid:2>"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_warc_record_costs_itself_only(tmp_path: Path, compressed: bool) -> None:
    records = warc([f"{text} {i}" for i in range(40) for text in PROSE])
    hurt = 17
    before = b"".join(gzip.compress(r) if compressed else r for r in records[:hurt])
    middle = bytearray(gzip.compress(records[hurt]) if compressed else records[hurt])
    if compressed:
        middle[len(middle) // 2 : len(middle) // 2 + 8] = b"\0" * 8
    else:
        middle = bytearray(records[hurt].replace(b"Content-Length: ", b"Content-Length: 9"))
    after = b"".join(gzip.compress(r) if compressed else r for r in records[hurt + 1 :])
    (tmp_path / f"a.warc{'.gz' if compressed else ''}").write_bytes(before + middle + after)
    documents = read(WarcSettings(path=str(tmp_path)))
    assert len(documents) == len(records)
    assert [i for i, document in enumerate(documents) if document.reason] == [hurt]
    assert documents[hurt].step == "quarantine"


def test_a_warc_cut_within_a_record_says_so(tmp_path: Path) -> None:
    raw = b"".join(warc(PROSE))
    (tmp_path / "a.warc").write_bytes(raw[:-60])
    assert [d.reason for d in read(WarcSettings(path=str(tmp_path)))] == [None, None, "record cut off"]


def test_pdf_lines_become_paragraphs_and_broken_words_are_mended(tmp_path: Path) -> None:
    page = [
        "The inflam-",
        "mation of the lower leg was treated with a well-known drug that had been",
        "in use for long and that everybody took for safe. It was a well-",
        "known case.",
        "",
        "",
        "Another paragraph that begins after a gap and runs over to the next page of this",
    ]
    (tmp_path / "a.pdf").write_bytes(pdf([page, ["very document, where it ends.", "", "", "Third."]]))
    (document,) = read(PdfSettings(path=str(tmp_path)))
    assert document.text.split("\n\n") == [
        "The inflammation of the lower leg was treated with a well-known drug that had been in use for long and that "
        "everybody took for safe. It was a well-known case.",
        "Another paragraph that begins after a gap and runs over to the next page of this very document, where it "
        "ends.",
        "Third.",
    ]
    assert carried(document)["pages"] == 2
    assert document.bytes_in == len(document.text.encode())


def test_pdfs_without_text_encrypted_or_broken_each_have_their_reason(tmp_path: Path) -> None:
    sound = pdf([PROSE])
    contents = {
        "a.pdf": (sound, None),
        "b.pdf": (pdf([[]]), "no text in the PDF (scanned)"),
        "c.pdf": (pdf([PROSE], encrypted=True), "encrypted"),
        "d.pdf": (b"no PDF at all", "damaged file"),
        "e.pdf": (b"", "damaged file"),
        "f.pdf": (sound + b"%" * 5000, "record above 4096 bytes"),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    documents = read(PdfSettings(path=str(tmp_path), max_bytes=4096))
    assert [d.reason for d in documents] == [reason for _, reason in contents.values()]
    assert documents[1].step == "read"


def test_running_heads_and_page_numbers_are_left_out() -> None:
    bodies = [
        f"{word} is what this page tells of, at the length of a whole line of it."
        for word in ("Wax", "Oak", "Tin", "Hay")
    ]
    pages = [
        [
            Line(f"Journal of Tests {n}", 72, 740, 200, 752),
            Line(body, 72, 700, 500, 712),
            Line(f"{n}", 300, 30, 310, 42),
        ]
        for n, body in enumerate(bodies, start=9)
    ]
    assert paragraphs(pages, survey(pages)) == bodies


@pytest.mark.parametrize(
    ("text", "line", "result"),
    [
        ("the treat-", "ment of", "the treatment of"),
        ("the treat\u00ad", "ment of", "the treatment of"),
        ("non-", "invasive", "non-invasive"),
        ("Smith-", "Jones said", "Smith-Jones said"),
        ("pages 3-", "5 of", "pages 3-5 of"),
        ("well -", "known", "well - known"),
        ("plain", "line", "plain line"),
    ],
)
def test_hyphens_at_line_ends(text: str, line: str, result: str) -> None:
    from collections import Counter

    assert mended(text, line, Counter({"non-invasive": 2})) == result


def test_jats_articles_give_title_abstract_sections_ids_and_licence(tmp_path: Path) -> None:
    (tmp_path / "a.nxml").write_text(ARTICLE.format(pmid=1, pmc="11", text="The sample"))
    bundle = {f"PMC{i}/a{i}.xml": ARTICLE.format(pmid=i, pmc=f"PMC{i}", text="It").encode() for i in (21, 22)}
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(tarred(bundle | {"PMC21/fig.jpg": b"\xff\xd8"})))
    both = "<pmc-articleset>" + "".join(ARTICLE.format(pmid=i, pmc=i, text="x") for i in (31, 32)) + "</pmc-articleset>"
    (tmp_path / "c.xml").write_text(both)
    documents = read(PmcSettings(path=str(tmp_path), metadata=("pmid", "pmcid", "doi", "license", "journal", "year")))
    assert [d.record_id for d in documents] == ["PMC11", "PMC21", "PMC22", "PMC31", "PMC32"]
    assert [d.position for d in documents] == [0, 0, 1, 0, 1]
    assert documents[0].text.split("\n\n") == [
        "On E. coli in milk",
        "Aim",
        "To see.",
        "1 Methods",
        "The sample was CO2 [5].",
        "- one\n- two",
        "Where $a^2$ holds.",
        "Table 1 Counts",
        "drug | n\naspirin | 4",
        "After.",
    ]
    assert carried(documents[0]) == {
        "pmid": "1",
        "pmcid": "PMC11",
        "doi": "10.1/1",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "journal": "J Tests",
        "year": "2021",
    }


def test_xml_bombs_cost_no_more_than_their_bytes(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    laughs = f'<!DOCTYPE article [<!ENTITY e0 "ha">{entities}]>'
    (tmp_path / "a.xml").write_text(laughs + ARTICLE.format(pmid=1, pmc=1, text="&e11;"))
    (tmp_path / "b.xml").write_text("<article><body>" + "<sec>" * 100_000)
    tracemalloc.start()
    documents = read(PmcSettings(path=str(tmp_path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "haha" not in documents[0].text
    assert documents[1].reason == "damaged file"
    assert peak < 8 << 20


CHAPTERS = [xhtml(f"<h1 id='s{i}'>Chapter {i}</h1><p>{text}</p>") for i, text in enumerate(PROSE)]
TEXTS = [f"Chapter {i}\n\n{text}" for i, text in enumerate(PROSE)]


@pytest.mark.parametrize("ncx", [False, True])
def test_an_epub_is_cut_by_its_table_of_contents(tmp_path: Path, ncx: bool) -> None:
    documents = [xhtml("<p>Cover</p>"), CHAPTERS[0], xhtml("<p>more of it</p>"), CHAPTERS[1], CHAPTERS[2]]
    toc = [("First", "c1.xhtml"), ("Second", "c3.xhtml#s1"), ("Third", "c4.xhtml")]
    (tmp_path / "a.epub").write_bytes(epub(documents, toc, ncx))
    read_documents = read(TextbookSettings(path=str(tmp_path)))
    assert [d.text for d in read_documents] == ["Cover", TEXTS[0] + "\n\nmore of it", TEXTS[1], TEXTS[2]]
    assert [carried(d)["chapter"] for d in read_documents] == [None, "First", "Second", "Third"]
    assert {carried(d)["title"] for d in read_documents} == {"A Book"}


def test_an_epub_without_contents_is_cut_by_its_spine_and_one_without_package_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.epub").write_bytes(epub(CHAPTERS))
    (tmp_path / "b.epub").write_bytes(zipped({"mimetype": b"application/epub+zip"}))
    one = xhtml("".join(f"<div id='k{i}'><h2>K{i}</h2><p>{text}</p></div>" for i, text in enumerate(PROSE)))
    (tmp_path / "c.epub").write_bytes(epub([one], [(f"K {i}", f"c0.xhtml#k{i}") for i in range(3)]))
    documents = read(TextbookSettings(path=str(tmp_path)))
    assert [d.text for d in documents[:3]] == TEXTS
    assert documents[3].reason == "EPUB without a file it names"
    assert [carried(d)["chapter"] for d in documents[4:]] == ["K 0", "K 1", "K 2"]


def test_html_and_pdf_books_are_cut_into_chapters(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<h1>Book</h1><p>Preface</p><nav>menu</nav><h2>A</h2><p>x</p><h2>B</h2><p>y</p>")
    (tmp_path / "b.pdf").write_bytes(
        pdf([["Cover"], [PROSE[0]], ["More."], [PROSE[1]], []], [("One", 1), ("Two", 3), ("Three", 4)])
    )
    (tmp_path / "c.html").write_text("<p>No chapters</p>")
    (tmp_path / "d.html").write_text("")
    documents = read(TextbookSettings(path=str(tmp_path)))
    assert [(d.file[0], carried(d).get("chapter"), d.text, d.reason) for d in documents] == [
        ("a", "Book", "Book\n\nPreface", None),
        ("a", "A", "A\n\nx", None),
        ("a", "B", "B\n\ny", None),
        ("b", None, "Cover", None),
        ("b", "One", f"{PROSE[0]}\n\nMore.", None),
        ("b", "Two", PROSE[1], None),
        ("b", "Three", "", "empty text"),
        ("c", None, "No chapters", None),
        ("d", None, "", "empty text"),
    ]


def test_chapters_are_the_first_level_with_several_entries_and_those_below_parts() -> None:
    entries = [
        (0, "The book", 0),
        (1, "Preface", 1),
        (1, "Part I", 2),
        (2, "Ch 1", 3),
        (3, "1.1", 4),
        (1, "Notes", 5),
        (2, "n", 6),
    ]
    assert chapter_starts(entries) == [("Preface", 1), ("Part I", 2), ("Ch 1", 3), ("Notes", 5)]
    assert chapter_starts([]) == []


@pytest.fixture
def notes() -> dict[str, list[Any]]:
    return {
        "subject_id": [10, None, 12],
        "hadm_id": [7.0, 8.0, None],
        "charttime": ["2130-01-02", "2130-01-03", "2130-01-04"],
        "note_type": ["DS", "DS", "RR"],
        "text": ["He was well.", "Nobody's.", " "],
    }


def test_clinical_notes_carry_the_patient_as_subject_from_csv_and_parquet_alike(
    tmp_path: Path, notes: dict[str, list[Any]]
) -> None:
    pq.write_table(pa.table(notes), tmp_path / "a.parquet")
    rows = zip(*notes.values(), strict=True)
    for name, delimiter in (("b.csv", ","), ("c.tsv", "\t")):
        lines = [delimiter.join(notes)] + [delimiter.join("" if v is None else str(v) for v in row) for row in rows]
        (tmp_path / name).write_text("\n".join(lines))
        rows = zip(*notes.values(), strict=True)
    columns = {"encounter": "hadm_id", "date": "charttime", "type": "note_type"}
    documents = read(ClinicalNotesSettings(path=str(tmp_path), **columns))
    assert fates(documents) == 3 * [("He was well.", None), ("", "no patient"), (" ", "empty text")]
    assert carried(documents[0]) == {"subject": "10", "encounter": "7", "date": "2130-01-02", "type": "DS"}
    assert carried(documents[3])["subject"] == carried(documents[6])["subject"] == "10"
    with pytest.raises(DataError, match="no column 'patient'"):
        check(ClinicalNotesSettings(path=str(tmp_path), patient="patient"))


def test_the_stack_has_language_path_and_licences(tmp_path: Path) -> None:
    table = {
        "content": ["print()", "#!/bin/sh\nls", "x", "", "body {}"],
        "lang": ["Python", None, None, "C", "CSS"],
        "max_stars_repo_path": ["a.py", "run", "b.unknown", "c.c", "d.css"],
        "max_stars_repo_name": ["o/r"] * 5,
        "max_stars_repo_licenses": [["MIT"]] * 5,
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    documents = read(StackSettings(path=str(tmp_path), languages=("python", "shell")))
    asked = "not in a language asked for"
    assert [d.reason for d in documents] == [None, None, asked, "empty text", asked]
    assert carried(documents[0]) == {"language": "python", "path": "a.py", "repository": "o/r", "license": ["MIT"]}
    assert carried(documents[1])["language"] == "shell"


def test_a_hugging_face_folder_is_streamed_by_split_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    for split, numbers in {"train": (0, 1), "test": (2,)}.items():
        for number in numbers:
            (folder / "data").mkdir(parents=True, exist_ok=True)
            table = pa.table({"body": [f"text {number} {i}" for i in range(300)], "n": list(range(300))})
            pq.write_table(table, folder / f"data/{split}-0000{number}-of-00002.parquet")
    documents = read(HuggingFaceSettings(path=str(folder), text_field="body", metadata=("n",)))
    assert [(d.file, d.position) for d in documents[298:302]] == [
        ("data/train-00000-of-00002.parquet", 298),
        ("data/train-00000-of-00002.parquet", 299),
        ("data/train-00001-of-00002.parquet", 0),
        ("data/train-00001-of-00002.parquet", 1),
    ]
    assert documents[301].text == "text 1 1"
    assert carried(documents[301]) == {"n": 1}
    assert len(read(HuggingFaceSettings(path=str(folder), split="test", text_field="body"))) == 300
    with pytest.raises(DataError, match="no split 'dev'"):
        read(HuggingFaceSettings(path=str(folder), split="dev", text_field="body"))
    with pytest.raises(DataError, match="did you mean 'body'"):
        check(HuggingFaceSettings(path=str(folder), text_field="bod"))
    with pytest.raises(DataError, match="cannot be found"):
        read(HuggingFaceSettings(path=str(tmp_path / "nowhere")))


def test_paths_of_a_hub_data_set_are_relative_to_it_at_its_commit() -> None:
    locations = [f"datasets/owner/name@abc/{path}" for path in ("data/en/0.parquet", "data/no/0.parquet")]
    assert _folder("owner/name", locations) == "datasets/owner/name@abc"


def test_json_lines_of_a_hugging_face_folder_end_at_the_malformed_one(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n{"text": ""}\n')
    (tmp_path / "train-b.jsonl").write_text('{"text": "three"}\n{"text": \n')
    documents = read(HuggingFaceSettings(path=str(tmp_path)))
    assert [(d.text, d.reason) for d in documents if d.file == "train.jsonl"] == [
        ("one", None),
        ("two", None),
        ("", "empty text"),
    ]
    assert [d.reason for d in documents if d.file == "train-b.jsonl"][-1] == "damaged file"


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tgz", "tar.zst"])
def test_code_in_an_archive_is_that_of_the_folder_and_touches_no_disk(tmp_path: Path, form: str) -> None:
    long = "deep/" * 40 + "e.py"
    files = {
        "repo/a.py": b"x = 1\n",
        "repo/node_modules/b.js": b"var y",
        "../../evil.py": b"import os\n",
        "/etc/c.rs": b"fn main() {}\n",
        "repo/run": b"#!/bin/bash\nls\n",
        "repo/d.png": b"\x89PNG",
        "repo/.git/f.py": b"pass",
        long: b"y = 2\n",
    }
    pack = {"zip": zipped, "tar": tarred}.get(form[:3] if form != "tgz" else "tar", tarred)
    raw = pack(files)
    raw = gzip.compress(raw) if form in ("tar.gz", "tgz") else zstandard.compress(raw) if form == "tar.zst" else raw
    (tmp_path / "in").mkdir()
    (tmp_path / f"in/repo.{form}").write_bytes(raw)
    documents = read(CodeSettings(path=str(tmp_path / "in")))
    assert {(d.record_id, carried(d)["language"]) for d in documents} == {
        ("repo/a.py", "python"),
        ("evil.py", "python"),
        ("etc/c.rs", "rust"),
        ("repo/run", "shell"),
        (long, "python"),
    }
    assert [d.position for d in documents] == list(range(5))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", f"repo.{form}"]
    only = read(CodeSettings(path=str(tmp_path / "in" / f"repo.{form}"), glob="repo/*.py"))
    assert [d.record_id for d in only] == ["repo/a.py"]


def test_archive_bombs_stop_at_their_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.readers import base

    monkeypatch.setattr(base, "EXPANSION_FLOOR", 4 << 20)
    zeros = {f"{i}.py": b" " * (2 << 20) for i in range(20)}
    (tmp_path / "a.zip").write_bytes(zipped(zeros))
    (tmp_path / "b.tar.zst").write_bytes(zstandard.compress(tarred(zeros)))
    for name in ("a.zip", "b.tar.zst"):
        documents = read(CodeSettings(path=str(tmp_path / name), max_expansion=1))
        assert documents[-1].reason == "expands beyond its bound"
        assert len(documents) <= 4


def test_a_zip_whose_directory_lost_files_is_damaged_and_trailing_bytes_are_not(tmp_path: Path) -> None:
    raw = zipped({f"{name}.py": b"pass\n" for name in "abc"})
    (tmp_path / "a.zip").write_bytes(raw + b"\0" * 40)
    (tmp_path / "b.zip").write_bytes(raw[:-10] + b"\0\0\0\0" + raw[-6:])  # the size of the directory is now 0
    (tmp_path / "c.zip").write_bytes(raw.replace(b"a.py", b"a.xx", 1))
    documents = read(CodeSettings(path=str(tmp_path)))
    assert [(d.file, d.reason) for d in documents] == [
        *[("a.zip", None)] * 3,
        ("b.zip", "damaged file"),
        ("c.zip", "damaged file"),
        *[("c.zip", None)] * 2,
    ]


def test_a_damaged_member_of_a_zip_leaves_the_others(tmp_path: Path) -> None:
    import random

    noise = random.Random(1)
    files = {f"{name}.py": f"# {noise.randbytes(300).hex()}\n".encode() for name in "abc"}
    raw = bytearray(zipped(files))
    at = raw.index(b"b.py") + 100
    raw[at] ^= 255
    (tmp_path / "a.zip").write_bytes(raw)
    documents = read(CodeSettings(path=str(tmp_path)))
    assert [(d.record_id, d.reason) for d in documents] == [("a.py", None), ("b.py", "damaged file"), ("c.py", None)]


@pytest.fixture(autouse=True)
def _quiet_datasets() -> Iterator[None]:
    import datasets

    datasets.disable_progress_bars()
    yield


@pytest.mark.parametrize("records", [99, 100])
def test_a_misspelt_text_field_is_refused_where_enough_records_lack_it(tmp_path: Path, records: int) -> None:
    (tmp_path / "a.jsonl").write_text('{"title": "t", "texts": "one"}\n\n5\n' * records)
    reader = make_reader(JsonlSettings(path=str(tmp_path)), "s")
    if records < 100:
        reader.check(reader.files())
        return
    with pytest.raises(DataError, match=r"no record has the text field 'text'") as refused:
        reader.check(reader.files())
    assert "title, texts" in str(refused.value) and "did you mean 'texts'?" in str(refused.value)


def test_one_record_with_the_text_field_is_enough(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"texts": "one"}\n' * 99 + '{"text": "one"}\n' * 10)
    reader = make_reader(JsonlSettings(path=str(tmp_path)), "s")
    reader.check(reader.files())


def test_a_text_field_that_no_file_has_is_refused_though_each_has_few_records(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").write_text("")
    for name in range(1, 11):
        (tmp_path / f"{name}.jsonl").write_text('{"texts": "one"}\n' * 10)
    reader = make_reader(JsonlSettings(path=str(tmp_path)), "s")
    with pytest.raises(DataError, match="did you mean 'texts'"):
        reader.check(reader.files())


def test_files_that_lack_the_text_field_among_others_are_named_and_their_records_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, field in (("a", "text"), ("b", "texts"), ("c", "text"), ("d", "body")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"{field}": "one"}}\n' * 300)
    documents = read(JsonlSettings(path=str(tmp_path)))
    assert [d.reason for d in documents] == ([None] * 300 + ["text field missing"] * 300) * 2
    reader = make_reader(JsonlSettings(path=str(tmp_path)), "s")
    with caplog.at_level("WARNING"):
        reader.check(reader.files())
    assert len(caplog.messages) == 1 and "of 2 of 4 files, such as b.jsonl" in caplog.text
    assert "texts, body" in caplog.text and "did you mean 'texts'?" in caplog.text
