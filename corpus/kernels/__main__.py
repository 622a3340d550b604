"""Compile every kernel into the cache (`python -m corpus.kernels`), so that the first documents need not wait."""

from corpus.dedup.signature import Signature
from corpus.document import Batch, Document
from corpus.quality import C4ParagraphSettings, C4Settings, CodeQualitySettings, FineWebSettings, QualitySettings


def compile_kernels() -> None:
    """Run each step that has kernels on one small document."""
    text = "A few words, and a few words more. That is all."
    batch = Batch.of([Document("compile", "", 0, text, len(text))])
    steps = (
        QualitySettings(kind="quality").build(),
        C4ParagraphSettings(kind="c4_paragraphs").build(),
        C4Settings(kind="c4", unit="sentence", edit=False).build(),
        C4Settings(kind="c4").build(),
        FineWebSettings(kind="fineweb").build(),
        CodeQualitySettings(kind="code_quality").build(),
        Signature(),
    )
    for step in steps:
        batch = step.process(batch)


if __name__ == "__main__":
    compile_kernels()
