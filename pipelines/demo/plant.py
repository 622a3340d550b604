"""The demo's input folder: real text in several formats, with faults planted under a seed, and their truth.

    <input>/code/**.py  docs/**.html  handbook/*.html  wikipedia/part-*.jsonl.gz  notes/part-*.jsonl

A document carries at most one kind of plant, so that what became of it can be attributed. The truth is one row per
planted fault, and one per value for identities; it is kept outside of the input, readable by its owner alone.
"""

import gzip
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pyarrow as pa

from pipelines.demo.identities import Identity, commented, note
from pipelines.demo.texts import Texts
from pipelines.demo.translated import is_translated, page_text

TRUTH = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("detail", pa.string()),  # identity type, language, form of the fault
        pa.field("value", pa.string()),  # an identity's value; for mojibake the words to be read again
        pa.field("partner_file", pa.string()),  # of duplicates: the other document, in the same source
        pa.field("partner_position", pa.int64()),
    ]
)
NOTES = 240
COUNTS: dict[str, dict[str, int]] = {
    "exact duplicate": {"code": 20, "docs": 10, "wikipedia": 20},
    "near-duplicate": {"code": 20, "wikipedia": 20},
    "foreign language": {"handbook": 40},
    "identity": {"code": 30},
    "mojibake": {"wikipedia": 30},
    "broken record": {"wikipedia": 12, "notes": 12},
    "empty text": {"wikipedia": 10, "code": 6},
    "gibberish": {"wikipedia": 30},
}
FAST_SHARE = 4  # a fast demo plants a quarter
WORDS_PER_EDIT = 150  # near-duplicates: one word in so many is another, a 5-gram Jaccard of about 0.93


@dataclass(eq=False)
class Record:
    """One record of the input to be; `position` is known when its file is written."""

    source: str
    text: str
    file: str = ""
    raw: bytes | None = None  # the line as it is written, for a record that is not the JSON of its text
    position: int = 0
    plants: list["Plant"] = field(default_factory=list)


@dataclass(frozen=True)
class Plant:
    kind: str
    detail: str | None = None
    value: str | None = None
    partner: Record | None = None


class Pool:
    """The untouched records of one source, in a seeded order; each is taken for one purpose at most."""

    def __init__(self, records: list[Record], random: Random) -> None:
        self._free = list(records)
        random.shuffle(self._free)

    def take(self, count: int, suits: Callable[[Record], bool] = lambda record: True) -> list[Record]:
        """Up to `count` records that suit; fewer when there are no more."""
        taken = [record for record in self._free if suits(record)][:count]
        gone = {id(record) for record in taken}
        self._free = [record for record in self._free if id(record) not in gone]
        return taken


def plant(texts: Texts, folder: Path, seed: int, fast: bool) -> pa.Table:
    """Write the input folder; returns the truth (`TRUTH`). The same texts and seed give the same bytes."""
    random = Random(f"provender demo {seed}")
    share = FAST_SHARE if fast else 1
    records = {
        "code": [Record("code", text, file) for file, text in texts.code],
        "docs": [Record("docs", text, file) for file, text in texts.docs],
        "handbook": [Record("handbook", text, file) for file, text in texts.handbook],
        "wikipedia": [Record("wikipedia", _article(section)) for section in texts.wikipedia],
        "notes": [_note_record(random) for _ in range(NOTES // share)],
    }
    pools = {source: Pool(found, random) for source, found in records.items()}
    for kind, add in _PLANTERS.items():
        for source, count in COUNTS[kind].items():
            records[source] += add(pools[source], source, max(1, count // share), random)
    records["handbook"] += _translations(texts, max(1, COUNTS["foreign language"]["handbook"] // share), random)

    for source in ("code", "docs", "handbook"):
        for record in records[source]:
            path = folder / source / record.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.text.encode())
    for source, compressed in (("wikipedia", True), ("notes", False)):
        random.shuffle(records[source])
        _write_lines(records[source], folder / source, compressed)
    return truth_table([record for source in sorted(records) for record in records[source]])


def truth_table(records: list[Record]) -> pa.Table:
    rows = [
        {
            "kind": planted.kind,
            "source": record.source,
            "file": record.file,
            "position": record.position,
            "detail": planted.detail,
            "value": planted.value,
            "partner_file": planted.partner.file if planted.partner else None,
            "partner_position": planted.partner.position if planted.partner else None,
        }
        for record in records
        for planted in record.plants
    ]
    return pa.Table.from_pylist(rows, schema=TRUTH).sort_by(
        [(name, "ascending") for name in ("kind", "source", "file", "position")]
    )


def _article(section) -> str:  # type: ignore[no-untyped-def]
    title = f"{section.title}: {section.heading}" if section.heading else section.title
    return f"{title}\n\n{section.text}"


def _note_record(random: Random) -> Record:
    text, identities = note(random)
    return Record("notes", text, plants=_identity_plants(identities))


def _identity_plants(identities: list[Identity]) -> list[Plant]:
    return [Plant("identity", identity.type, identity.value) for identity in identities]


def _write_lines(records: list[Record], folder: Path, compressed: bool, per_file: int = 500) -> None:
    folder.mkdir(parents=True)
    for start in range(0, len(records), per_file):
        name = f"part-{start // per_file:04d}.jsonl" + (".gz" if compressed else "")
        lines = []
        for position, record in enumerate(records[start : start + per_file]):
            record.file, record.position = name, position
            lines.append(record.raw if record.raw is not None else _line(record.text))
        body = b"\n".join(lines) + b"\n"
        (folder / name).write_bytes(gzip.compress(body, mtime=0) if compressed else body)


def _line(text: object) -> bytes:
    return json.dumps({"text": text}, ensure_ascii=False).encode()


def _beside(record: Record, what: str) -> str:
    """A file name next to that of `record`, for a copy."""
    path = Path(record.file)
    return path.with_name(f"{path.stem}_{what}{path.suffix}").as_posix() if record.file else ""


def _exact_duplicates(pool: Pool, source: str, count: int, random: Random) -> list[Record]:
    originals = pool.take(count, lambda record: len(record.text) > 1000)
    return [
        Record(source, original.text, _beside(original, "copy"), plants=[Plant("exact duplicate", partner=original)])
        for original in originals
    ]


def _near_duplicates(pool: Pool, source: str, count: int, random: Random) -> list[Record]:
    originals = pool.take(count, lambda record: len(record.text) > 3000)
    return [
        Record(
            source,
            edited(original.text, random),
            _beside(original, "edited"),
            plants=[Plant("near-duplicate", partner=original)],
        )
        for original in originals
    ]


def edited(text: str, random: Random) -> str:
    """One word in WORDS_PER_EDIT replaced by another word of the text."""
    spans = [match.span() for match in re.finditer(r"[A-Za-z]{3,}", text)]
    words = sorted({text[start:end] for start, end in spans})
    for start, end in sorted(random.sample(spans, max(1, len(spans) // WORDS_PER_EDIT)), reverse=True):
        text = text[:start] + random.choice([word for word in words if word != text[start:end]]) + text[end:]
    return text


def _code_identities(pool: Pool, source: str, count: int, random: Random) -> list[Record]:
    for record in pool.take(
        count, lambda record: not record.text.startswith("#!") and "coding" not in record.text[:200]
    ):
        record.text, identities = commented(record.text, random)
        record.plants = _identity_plants(identities)
    return []


def _mojibake(pool: Pool, source: str, count: int, random: Random) -> list[Record]:
    for record in pool.take(count, lambda record: bool(broken_words(record.text))):
        words = broken_words(record.text)
        record.text = record.text.encode().decode("cp1252")
        record.plants = [Plant("mojibake", "UTF-8 read as cp1252", "\n".join(words))]
    return []


def broken_words(text: str) -> list[str]:
    """Words that show whether mojibake was repaired: not ASCII, and readable as cp1252 with the whole text.

    Words whose broken form holds a no-break space are passed over: other steps turn that into a plain one.
    """
    try:
        text.encode().decode("cp1252")
    except UnicodeDecodeError:
        return []
    words = sorted(
        {unicodedata.normalize("NFC", word) for word in re.findall(r"[^\W\d_]{4,}", text) if not word.isascii()}
    )
    return [word for word in words if "\xa0" not in word.encode().decode("cp1252", "ignore")][:5]


def _broken_records(pool: Pool, source: str, count: int, random: Random) -> list[Record]:
    forms: dict[str, Callable[[str], bytes]] = {
        "cut in the middle": lambda text: _line(text)[: len(text) // 2],
        "text is a number": lambda text: _line(len(text)),
        "text is null": lambda text: _line(None),
        "no text field": lambda text: json.dumps({"body": text}).encode(),
        "a list": lambda text: json.dumps([text]).encode(),
        "not UTF-8": lambda text: b'{"text": "caf\xe9 ' + str(len(text)).encode() + b'"}',
    }
    broken = []
    names = list(forms)
    for index in range(count):
        form = names[index % len(names)]
        text = " ".join(random.choices(("fluid", "chart", "ward", "river", "station", "valley"), k=40))
        broken.append(Record(source, "", raw=forms[form](text), plants=[Plant("broken record", form)]))
    return broken


def _empty_texts(pool: Pool, source: str, count: int, random: Random) -> list[Record]:
    texts = ("", " ", "\n\n\t\n")
    return [
        Record(source, texts[i % 3], f"vendored/empty_{i}.py" if source == "code" else "", plants=[Plant("empty text")])
        for i in range(count)
    ]


def _gibberish(pool: Pool, source: str, count: int, random: Random) -> list[Record]:
    """Half of it real words in random order, half words of random letters: both of a document's length."""
    planted = []
    for index, record in enumerate(pool.take(count, lambda record: len(record.text) > 1500)):
        words = record.text.split()
        form = "words in random order" if index % 2 == 0 else "random letters"
        if index % 2 == 0:
            random.shuffle(words)
        else:
            words = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=max(1, len(word)))) for word in words]
        planted.append(Record(source, " ".join(words), plants=[Plant("gibberish", form)]))
    return planted


_PLANTERS: dict[str, Callable[[Pool, str, int, Random], list[Record]]] = {
    "exact duplicate": _exact_duplicates,
    "near-duplicate": _near_duplicates,
    "identity": _code_identities,
    "mojibake": _mojibake,
    "broken record": _broken_records,
    "empty text": _empty_texts,
    "gibberish": _gibberish,
}


def _translations(texts: Texts, count: int, random: Random) -> list[Record]:
    candidates = [
        (language, file, html)
        for language, files in sorted(texts.translations.items())
        for file, html in files
        if len(page := page_text(html)) > 1500 and is_translated(page, language.split("-")[0])
    ]
    random.shuffle(candidates)
    return [
        Record(
            "handbook",
            html,
            f"{Path(file).stem}.{language}.html",
            plants=[Plant("foreign language", language.split("-")[0])],
        )
        for language, file, html in candidates[:count]
    ]
