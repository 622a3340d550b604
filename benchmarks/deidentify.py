"""De-identification beside datatrove's PIIFormatter and, where installed, presidio; and what hostile texts cost.

The prose is wikitext of the shared data where it is there, else the standard library's sources. `hostile`
repeats a unit that leads one recogniser on until it is 1 MB long, and gives its time as a multiple of as much prose's.
"""

import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.data import Document as StockDocument
from datatrove.pipeline.formatters import PIIFormatter

from benchmarks.measure import Row, interleaved
from benchmarks.shared import DATA
from corpus.deidentify import DeidentifySettings
from corpus.deidentify.profiles import DEFAULT_TYPES, Profile, Search, scanner
from corpus.document import Batch, Document, batches

MEGABYTES = 1.0
PROSE = DATA / "eval/wikitext2_valid_test.parquet"
DOCUMENT = 5000  # bytes, about
HOSTILE = 1_000_000  # bytes

# What leads a recogniser on: its sign repeated, its form almost, its form densely.
UNITS = (
    *("a", "a.", "a1", "aB", "A1B2C3 ", "_", "1", "1 ", "12 ", "1.", "1-", "0-0-", "/1", "(", "(1) ", "é", "患 "),
    *(
        "@",
        "a@",
        "@a.",
        "a@b.co ",
        "x at ",
        "[at]",
        "http://",
        "http://a.bc ",
        "://a:b@",
        "https://user:passw0rd@h.com ",
    ),
    *("::", ":1", "1.2.3.4 ", "2001:db8:1::1 ", "00:11:22:33:44:55 ", "+1 ", "+44 20 7946 0958 ", "212-736-5000 "),
    *("0000000000 ", "call 5551234567 ", "123-45-6789 ", "123456789 ", "ssn 123456789 ", "123 456 789 "),
    *("4111111111111111 ", "4111 1111 1111 1111 ", "GB82 WEST 1234 5698 7654 32 ", "routing 322271627 "),
    *("BIC DEUTDEFF500 ", "account 12345678 ", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ ", "bc1q"),
    *("mrn ", "mrn 12345 ", "1EG4-TE5-MK73 ", "S/N 77997424 ", "insurance member id HPX-70-71936 "),
    *("fingerprint id 123 ", "IMG_1234.jpg ", "license number A1234567 ", "passport A12803456 ", "npi 1234567893 "),
    *("1HGBH41JXMN109186 ", "plate AB51 ABC ", "SW1A 1AA ", "nhs 9434765919 ", "960121-1234567 ", "010594Y9032 "),
    *("AAAAAA00B11C333Y ", "user: ab ", "skype a.b ", "tweet @abc ", "password: abc123 "),
    *(
        "sk-sk-",
        "xoxb-1-",
        "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1 ",
        "eyJhbGciOi.eyJhbGci.",
        "token=",
        "curl -u a:b12345 ",
    ),
    *("token=a1b2c3d4e5f6g7h8 ", "-----BEGIN PRIVATE KEY-----", "May 1 ", "1/1 ", "01/01/2001 ", "90 years old "),
    *(
        "Mr. ",
        "Mr. Smith ",
        "Smith ",
        "Smith, John ",
        "J. ",
        "Dr. A",
        "Springfield, MA ",
        "12 Main Street ",
        "Acme Inc. ",
    ),
)


def prose() -> list[str]:
    """About MEGABYTES of ordinary prose in documents of about DOCUMENT bytes."""
    if PROSE.is_file():
        paragraphs = pq.read_table(PROSE)["text"].to_pylist()
    else:
        paragraphs = [path.read_text() for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]
    texts, held, size = [], "", 0
    for paragraph in "\n".join(paragraphs).splitlines(keepends=True):
        held += paragraph
        if len(held) >= DOCUMENT:
            texts.append(held)
            size += len(held.encode())
            held = ""
        if size >= MEGABYTES * 1e6:
            break
    return texts


def rows() -> Iterator[Row]:
    texts = prose()
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    profiles: tuple[Profile, ...] = ("hipaa_safe_harbor", "web", "code")
    ours = [_ours(profile, texts) for profile in profiles]
    rates = interleaved(megabytes, *ours, lambda: _theirs(texts), repeats=3)
    for profile, rate in zip(profiles, rates, strict=False):
        work = f"de-identification, {profile}: {len(DEFAULT_TYPES[profile])} types, found and replaced"
        yield Row(work, "MB/s", rate, "datatrove PIIFormatter, 2 types", rates[-1])
    find = scanner(Search("hipaa_safe_harbor"), frozenset(DEFAULT_TYPES["hipaa_safe_harbor"])).find
    encoded = [text.encode() for text in texts]
    pair = interleaved(megabytes, lambda: [find(data) for data in encoded], lambda: _theirs(texts), repeats=3)
    yield Row("de-identification, hipaa_safe_harbor: found", "MB/s", pair[0], "datatrove PIIFormatter", pair[1])
    analyzer = presidio()
    if analyzer is None:
        print("presidio is not installed here: no row for it")
        return
    few = texts[:4]
    size = sum(len(text.encode()) for text in few) / 1e6
    pair = interleaved(size, _ours("hipaa_safe_harbor", few), lambda: [analyzer(text) for text in few], repeats=3)
    yield Row("de-identification, hipaa_safe_harbor", "MB/s", pair[0], "presidio-analyzer, all", pair[1])


def _ours(profile: Profile, texts: list[str]) -> Any:
    step = DeidentifySettings(profile=profile, replace="tag", key_env=None).build()
    made: list[Batch] = list(batches(iter([Document("s", "f", i, t, len(t.encode())) for i, t in enumerate(texts)])))
    return lambda: [step.process(batch) for batch in made]


def _theirs(texts: list[str]) -> list[Any]:
    documents = iter([StockDocument(text=text, id=str(i)) for i, text in enumerate(texts)])
    return list(PIIFormatter().run(documents))


def presidio() -> Any:
    """text → findings of presidio's analyzer with spaCy's small English model; None where either is not installed."""
    if not find_spec("presidio_analyzer") or not find_spec("en_core_web_sm"):
        return None
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": "en_core_web_sm"}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    engine = AnalyzerEngine(nlp_engine=provider.create_engine())
    return lambda text: engine.analyze(text=text, language="en")


def hostile(profile: Profile = "hipaa_safe_harbor", size: int = HOSTILE) -> list[tuple[float, str, int]]:
    """(multiple of the time of as much prose, unit, findings), the worst first."""
    scan = scanner(Search(profile), frozenset(DEFAULT_TYPES[profile]))
    words = "\n".join(prose()).encode()[:size]
    texts = [(unit * (size // len(unit.encode()) + 1)).encode()[:size] for unit in UNITS]
    rates = interleaved(1.0, lambda: scan.find(words), *(_find(scan, text) for text in texts), repeats=3)
    scale = len(words) / size
    costs = [rates[0].median / rate.median * scale for rate in rates[1:]]
    found = [len(scan.find(text)) for text in texts]
    return sorted(zip(costs, map(repr, UNITS), found, strict=True), reverse=True)


def _find(scan: Any, text: bytes) -> Any:
    return lambda: scan.find(text)


if __name__ == "__main__":
    for row in rows():
        print(f"{row.work}: {row.ours} {row.unit}, {row.peer} {row.theirs}, {row.ratio:,.3g}×", flush=True)
    print(f"\nhostile texts of {HOSTILE:,} bytes, as multiples of the time of prose")
    for cost, unit, findings in hostile():
        print(f"  {cost:6.2f}×  {unit:34} {findings:,} findings")
