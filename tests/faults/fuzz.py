"""`python -m tests.faults.fuzz --minutes 60`: damaged input for every reader, the plan and the token-store loader.

What must hold: no exception but ours, no hang (30 s a case), no crash of the process, and every row accounted for.
Cases are drawn by hypothesis, seeded by the round; a finding is printed, shrunk, and counts in the exit code. The work
is done in a child, so that a crash of a parser is a finding, too, and the next round goes on.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / room) for room in ("corpus", "mixing", "faults")]

from hypothesis import HealthCheck, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from small_mixture import mixture_of  # noqa: E402
from test_readers_conservation import CASES, COMPRESS, configured, read  # noqa: E402

from corpus.artifact import MANIFEST, Manifest, content_hash  # noqa: E402
from corpus.errors import ProvenderError  # noqa: E402
from corpus.readers import make_reader  # noqa: E402
from corpus.tokens.store import TokenStore  # noqa: E402
from mixing.plan import MixturePlan  # noqa: E402
from mixing.sequences import Sequences  # noqa: E402

EXAMPLES = 25  # of a target in a round
HANG = 30  # seconds of processor time of a case
PATIENCE = 20  # a case may wait so many times as long: for the processor, or for nothing
WORDS = (
    b"\x00", b"\xff" * 8, b"\xed\xa0\x80", b"\\ud800", b"\xef\xbb\xbf", b"\n\n", b"\r", b'"', b"[" * 500, b"{" * 500,
    b"<div>" * 500, b"<!ENTITY a '&a;&a;'>", b"PK\x05\x06", b"PK\x01\x02", b"1e999", b"-1",
    b"18446744073709551616", b"NaN", b"(\xb5/\xfd",
    b"WARC/1.0\r\n", b"Content-Length: 99999999999\r\n", b"PAR1", b"%PDF-1.7", b"]]>", b"&#0;", b"\x1f\x8b\x08",
)  # fmt: skip
damage = st.tuples(
    st.sampled_from(["overwrite", "insert", "cut", "drop", "flip", "repeat"]),
    st.integers(0, 1 << 20),
    st.one_of(st.binary(max_size=8), st.sampled_from(WORDS)),
    st.integers(1, 400),
)
damages = st.lists(damage, min_size=1, max_size=4)
Damage = tuple[str, int, bytes, int]


def damaged(content: bytes, changes: list[Damage]) -> bytes:
    """The content after all changes, one after another."""
    for how, at, noise, length in changes:
        at %= len(content) + 1
        match how:
            case "overwrite":
                content = content[:at] + noise + content[at + len(noise) :]
            case "insert":
                content = content[:at] + noise + content[at:]
            case "cut":
                content = content[:at]
            case "drop":
                content = content[:at] + content[at + length :]
            case "repeat":
                content = content[:at] + content[at : at + length] * 3 + content[at + length :]
            case "flip" if at < len(content):
                content = content[:at] + bytes([content[at] ^ 1 << length % 8]) + content[at + 1 :]
    return content


class HangError(BaseException):
    """No OSError, as TimeoutError is one: readers take those for damage, and go on in a process in which whatever was
    being imported is half there. Torch imported a second time ends it."""


@contextmanager
def no_hang() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise HangError(f"a case took more than {HANG} seconds")

    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, ring)
    signal.setitimer(signal.ITIMER_PROF, HANG)
    signal.setitimer(signal.ITIMER_REAL, HANG * PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def reader_target(name: str, extension: str, folder: Path) -> Callable[[list[Damage]], None]:
    """A case of the readers, damaged before or, where there is a compression, after it."""
    kind, _, file, content, _ = CASES[name]
    place = folder / f"{name.replace(' ', '-')}{extension}"
    place.mkdir()
    path = place / f"{file}{extension}"
    reader = make_reader(configured(kind, place if kind == "hugging_face" else path, max_bytes=1 << 20), "source")

    def check(changes: list[Damage]) -> None:
        inside = changes[0][1] % 2 == 0
        plain = damaged(content, changes) if inside else content
        stored = COMPRESS[extension](plain)
        path.write_bytes(stored if inside else damaged(stored, changes))
        with no_hang():
            read(reader)

    return check


def signed_again(folder: Path) -> None:
    """A manifest that agrees with damaged files, so that what reads them is reached."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for entry in manifest["files"]:
        path = folder / entry["path"]
        entry |= {"bytes": path.stat().st_size, "sha256": content_hash(path)}
    manifest.pop("sha256", None)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def loader_target(part: str, name: str, sign: bool, folder: Path) -> Callable[[list[Damage]], None]:
    """A file of a store, a packing or a plan, damaged, found out by its hash or, where `sign`, by what reads it."""
    mixture = mixture_of(folder / f"{part.replace('/', '-')}-{name}-{sign}")
    path = mixture / part / name
    content, manifest = path.read_bytes(), (mixture / part / MANIFEST).read_bytes()

    def check(changes: list[Damage]) -> None:
        (mixture / part / MANIFEST).write_bytes(manifest)
        path.write_bytes(damaged(content, changes))
        same = path.read_bytes() == content
        if sign and name != MANIFEST:
            signed_again(mixture / part)
        try:
            with no_hang():
                store = TokenStore.open(mixture / "tokens/books")
                packed = Sequences.open(store, mixture / "packing")
                packed.verify()
                plan = MixturePlan.load(mixture / "plan")
                plan.check_stores({"books": packed})
                if sign:
                    use(store, packed, plan)
        except ProvenderError:
            return
        harmless = sign or same or Manifest.read(mixture / part) == Manifest.parse(manifest, "")
        assert harmless, "damage was not noticed"

    return check


def use(store: TokenStore, packed: Sequences, plan: MixturePlan) -> None:
    """Everything that training and the audit ask of them, but for the compiled gathering, which believes the hashes."""
    assert sum(len(store.read(*store.span_of(row))) for row in range(store.document_count)) == len(
        store.read(0, int(store.shard_starts[-1]))
    )
    assert store.documents.num_rows == store.document_count
    store.row_of(store.documents["id"][0].as_py())
    for step in range(plan.steps):
        assert len(plan.batch(step).source) == plan.global_batch
    for sequence in range(packed.sequences):
        packed.pieces(sequence)


def targets(folder: Path) -> dict[str, Callable[[list[Damage]], None]]:
    made = {
        f"reader {name}{extension}": reader_target(name, extension, folder)
        for name in CASES
        for extension in (COMPRESS if name in ("jsonl", "csv", "warc", "text") else ("", ".gz"))
        if not (extension and CASES[name][2].endswith((".gz", ".parquet")))
    }
    files = {
        "tokens/books": (MANIFEST, "00000.ds", "00000.ds.index", "documents.parquet", "ids.arrow"),
        "packing": (MANIFEST, "rows.i64", "pieces.i64", "by_document.i64"),
        "plan": (MANIFEST, "plan.json", "plan.parquet"),
    }
    for part, names in files.items():
        for name in names:
            for sign in (False, True):
                made[f"{part}/{name}{' signed' if sign else ''}"] = loader_target(part, name, sign, folder)
    return made


class Count:
    """A check that counts its cases."""

    def __init__(self, check: Callable[[list[Damage]], None]) -> None:
        self.check, self.cases = check, 0

    def wrapped(self) -> Callable[[list[Damage]], None]:
        def one(changes: list[Damage]) -> None:
            self.cases += 1
            self.check(changes)

        return one


def run_round(number: int, news: Connection, until: float, only: str) -> None:
    """Every target once with `EXAMPLES` cases; tells what it does, and what it found."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for name, check in targets(Path(folder)).items():
            if only not in name or time.time() > until:
                continue
            count = Count(check)
            news.send(("at", name))
            drawn = settings(
                max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )(given(damages)(count.wrapped()))
            try:
                seed(number)(drawn)()
            except BaseException:
                news.send(("finding", traceback.format_exc(limit=-8)))
            news.send(("cases", count.cases))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    asked = parser.parse_args()
    began, number, cases, findings = time.time(), asked.seed, 0, 0
    until = began + 60 * asked.minutes
    while time.time() < until:
        heard, news = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=run_round, args=(number, news, until, asked.only))
        child.start()
        news.close()
        at = "start"
        while True:
            try:
                word, said = heard.recv()
            except EOFError:
                break
            if word == "at":
                at = said
            elif word == "cases":
                cases += said
            else:
                findings += 1
                print(f"finding, round {number}, {at}:\n{said}", flush=True)
        child.join()
        if child.exitcode:
            findings += 1
            print(f"crash, round {number}, {at}: exit code {child.exitcode}", flush=True)
        number += 1
    minutes = (time.time() - began) / 60
    print(f"{cases:,} cases in {number - asked.seed} rounds, {minutes:.1f} minutes: {findings} findings", flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
