"""Compile every kernel into the cache (`python -m corpus.kernels`), so that the first documents need not wait."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.artifact import publish, write_parquet
from corpus.cuts.kept import KeptDocuments, KeptUnit
from corpus.cuts.spans import Cuts
from corpus.decontaminate import DecontaminateSettings, HeldOutSettings, find_contamination
from corpus.dedup.cluster import DedupSettings, find_clusters
from corpus.dedup.repeated import RepeatedSettings, RepeatSettings, find_repeated
from corpus.dedup.signature import Signature
from corpus.dedup.substring import SubstringSettings, find_substrings
from corpus.deidentify.profiles import DEFAULT_TYPES, Search, scanner
from corpus.document import DOCUMENTS, Batch, Document
from corpus.engine import Workplace
from corpus.extract.content import main_content, plain_texts
from corpus.kernels.join import greedy_cover
from corpus.kernels.layout import plain_layout
from corpus.perplexity.probing import ProbingModel
from corpus.quality import C4ParagraphSettings, C4Settings, CodeQualitySettings, FineWebSettings, QualitySettings
from corpus.repair import RepairSettings

TEXTS = ("A few words, and a few words more. That is all.", "A few words, and a few words more; that is all.")
# As many of a kind as are judged together.
NUMBERS = (
    "Call +44 20 7946 0958, id 4111111111111111, 93 years old, aged 94, on 3/4/2024 and 5/6, from 81.2.69.142 and"
    " 2a00:1450::20; Ann (165-72-15), mrn H12345, password: aK3x9Q, bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 . "
)


def compile_kernels() -> None:
    """Run each step that has kernels, the search for duplicates and an n-gram model on two small documents."""
    batch = Batch.of([Document("compile", str(row), 0, text, len(text)) for row, text in enumerate(TEXTS)])
    steps = (
        RepairSettings().build(),
        QualitySettings(kind="quality").build(),
        C4ParagraphSettings(kind="c4_paragraphs").build(),
        C4Settings(kind="c4", unit="sentence", edit=False).build(),
        C4Settings(kind="c4").build(),
        FineWebSettings(kind="fineweb").build(),
        CodeQualitySettings(kind="code_quality").build(),
        Signature(),
    )
    plain_texts(main_content([b"<body><p>text</p></body>"]))
    plain_layout(batch.text)  # repair calls it for texts that need it only
    for step in steps:
        batch = step.process(batch)
    finding = scanner(Search("hipaa_safe_harbor"), frozenset(DEFAULT_TYPES["hipaa_safe_harbor"]))
    for text in (TEXTS[0], NUMBERS * 40):
        finding.find(text.encode())
    with TemporaryDirectory() as folder:
        with publish(Path(folder) / "unit", kind="corpus.annotated", function={}) as draft:
            write_parquet(draft.path / DOCUMENTS, pa.Table.from_batches([batch.data]))
        for verify in (True, False):
            find_clusters({"compile": [Path(folder) / "unit"]}, DedupSettings(verify=verify), Workplace(Path(folder)))
        across_documents(Path(folder))
    tables = np.frombuffer(bytes(64), np.uint8)
    nothing = ProbingModel(tables, np.array([0, 16, 32]), np.ones(3, np.int64), begin_word=0, end_word=0)
    nothing.score(pa.array(TEXTS, pa.large_string()))
    nobody = np.zeros(0, np.int64)
    greedy_cover(nobody, np.zeros(1, np.int64), nobody, nobody)


def across_documents(folder: Path) -> None:
    """The kernels of repeated lines, substrings and decontamination, on a document and its copy."""
    documents = folder / "unit/documents.parquet"
    rows = pq.read_metadata(documents).num_rows
    numbers = np.arange(rows)
    unit = KeptUnit.write(
        0, 0, documents, folder / "kept.npy", rank=numbers, held_out=numbers == 0, text_bytes=documents.stat().st_size
    )
    kept = KeptDocuments((unit,))
    once = RepeatSettings(min_documents=2, share=0, min_characters=1)
    lines = RepeatedSettings(lines=once, paragraphs=None)
    cuts = Cuts(passes=find_repeated(kept, ("compile",), lines, Workplace(folder / "repeated")).passes)
    for partition in (1 << 10, 256 << 20):
        substrings = SubstringSettings(tokens=2, partition=partition)
        find_substrings(kept, Cuts(), substrings, Workplace(folder / f"substring-{partition}"))
    items = DecontaminateSettings(ngram=2, held_out=HeldOutSettings(action="span", coverage=0))
    find_contamination(kept, cuts, items, Workplace(folder / "contamination"))


if __name__ == "__main__":
    compile_kernels()
