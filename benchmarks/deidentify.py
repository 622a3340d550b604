"""De-identification beside datatrove's PIIFormatter and, where installed, presidio; and what hostile texts cost.

All figures are processor time, of repeats that take turns. The prose is of the shared data where it is there (wikitext,
speeches, MedQuAD), else the standard library's sources. `hostile` gives the time of texts of 1 MB as a multiple of as
much prose's: units that lead one recogniser on, and what a seeded search (hostile.py) finds for each recogniser's form.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from time import process_time
from typing import Any

import pyarrow.parquet as pq
from datatrove.data import Document as StockDocument
from datatrove.pipeline.formatters import PIIFormatter

from benchmarks.hostile import forms, search
from benchmarks.measure import Asked, Rate, Row, figure, interleaved
from benchmarks.shared import DATA
from corpus.deidentify import DeidentifySettings
from corpus.deidentify.joined import Joined
from corpus.deidentify.profiles import DEFAULT_TYPES, Profile, Search, scanner
from corpus.document import Batch, Document, batches

MEGABYTES = 1.0
PROSE = {
    "wikitext": DATA / "eval/wikitext2_valid_test.parquet",
    "speeches": DATA / "general/us_presidential_speeches.parquet",
    "MedQuAD": DATA / "medical/medquad.parquet",
}
DEFAULT: Profile = "hipaa_safe_harbor"
FEWER = "a finding every 600 bytes is judged and spliced by Python: as columns, like the candidates"
DOCUMENT = 5000  # bytes, about
HOSTILE = 1_000_000  # bytes
SEARCHED, ROUNDS, WORST = 16_000, 400, 24  # bytes of a text that is tried, how many are changed, how many are kept
REPEATS = 5

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


def prose(kind: str = "wikitext") -> list[str]:
    """About MEGABYTES of ordinary prose in documents of about DOCUMENT bytes."""
    if PROSE[kind].is_file():
        paragraphs = pq.read_table(PROSE[kind])["text"].to_pylist()
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
    timed = partial(interleaved, repeats=REPEATS, clock=process_time)
    for kind in PROSE:
        texts = prose(kind)
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        profiles: tuple[Profile, ...] = (
            ("hipaa_safe_harbor", "web", "code") if kind == "wikitext" else ("hipaa_safe_harbor",)
        )
        find = scanner(Search("hipaa_safe_harbor"), frozenset(DEFAULT_TYPES["hipaa_safe_harbor"])).scan
        joined = Joined([text.encode() for text in texts])
        ours = [_ours(profile, texts) for profile in profiles]
        *rates, found, theirs = timed(megabytes, *ours, partial(find, joined), partial(_theirs, texts))
        for profile, rate in zip(profiles, rates, strict=True):
            work = f"de-identification of {kind}, {profile}: {len(DEFAULT_TYPES[profile])} types, found and replaced"
            asked = (Asked(4, 15, "ours", idea=FEWER), Asked(4, 3, idea=FEWER)) if profile == DEFAULT else ()
            yield Row(work, "MB/s", rate, "datatrove PIIFormatter, 2 types", theirs, asked)
        yield Row(f"de-identification of {kind}, hipaa_safe_harbor: found", "MB/s", found, "datatrove", theirs)
    few = prose()[:4]
    seconds = presidio(few)
    if seconds is None:
        print("presidio is not there: no row for it (set PROVENDER_PEERS to a Python that has presidio-analyzer)")
        return
    size = sum(len(text.encode()) for text in few) / 1e6
    [ours_few] = timed(size, _ours("hipaa_safe_harbor", few))
    peer = Rate(size / seconds, size / seconds, size / seconds)
    yield Row("de-identification, hipaa_safe_harbor", "MB/s", ours_few, "presidio-analyzer, all", peer)


def hostile_rows() -> Iterator[Row]:
    """The worst texts, as multiples of what as much prose costs."""
    for cost, text, findings in hostile()[:WORST]:
        asked = Asked(4, 10, "ours", most=True, idea="the validator of this form in the compiled loop")
        yield figure(f"hostile text of 1 MB: {text} ({findings:,} findings)", "× prose", cost, asked)


def _ours(profile: Profile, texts: list[str]) -> Callable[[], object]:
    step = DeidentifySettings(profile=profile, replace="tag", key_env=None).build()
    made: list[Batch] = list(batches(iter([Document("s", "f", i, t, len(t.encode())) for i, t in enumerate(texts)])))
    return lambda: [step.process(batch) for batch in made]


def _theirs(texts: list[str]) -> list[Any]:
    documents = iter([StockDocument(text=text, id=str(i)) for i, text in enumerate(texts)])
    return list(PIIFormatter().run(documents))


def presidio(texts: list[str]) -> float | None:
    """Processor seconds of presidio's analyzer with a small English model of spaCy's ($PROVENDER_PEERS_SPACY names it),
    in the interpreter that $PROVENDER_PEERS names; None where it is not installed."""
    model = os.environ.get("PROVENDER_PEERS_SPACY", "en_core_web_sm")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        script = Path(__file__).with_name("deidentify_peers.py")
        command = [os.environ.get("PROVENDER_PEERS", sys.executable), str(script), file.name, model]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1])["seconds"] if done.returncode == 0 else None


def hostile(profile: Profile = "hipaa_safe_harbor", rounds: int = ROUNDS) -> list[tuple[float, str, int]]:
    """(multiple of the time of as much prose, what the text is made of, findings), the worst first: every unit, and
    the worst that the search meets in texts of SEARCHED bytes, made again in HOSTILE bytes."""
    scan = scanner(Search(profile), frozenset(DEFAULT_TYPES[profile]))
    words = "\n".join(prose()).encode()[:HOSTILE]

    def seconds(text: bytes) -> float:
        begun = process_time()
        scan.scan(Joined([text]))
        return process_time() - begun

    def twice(text: bytes) -> float:
        return min(seconds(text), seconds(text))

    met = search(forms(scan), twice, size=SEARCHED, rounds=rounds)
    texts = {repr(unit): (unit * (HOSTILE // len(unit.encode()) + 1)).encode()[:HOSTILE] for unit in UNITS}
    texts |= {recipe.name: recipe.text(HOSTILE) for _, recipe in met[:WORST]}
    rates = interleaved(
        1.0, *(partial(scan.scan, Joined([text])) for text in (words, *texts.values())), repeats=3, clock=process_time
    )
    scale = len(words) / HOSTILE
    costs = [rates[0].median / rate.median * scale for rate in rates[1:]]
    found = [len(scan.find(text)) for text in texts.values()]
    return sorted(zip(costs, texts, found, strict=True), reverse=True)


if __name__ == "__main__":
    for row in chain(rows(), hostile_rows()):
        print(row, flush=True)
