"""C4's rules (Raffel et al. 2020; mC4, Xue et al. 2021), as in datatrove's C4QualityFilter and C4ParagraphFilter.

C4 takes lines out of a document and then judges what is left. Taking out is an edit: its bytes are booked as
`edit.c4_lines` and it cannot be undone by deciding anew; `edit: false` measures alone. Lorem ipsum, curly brackets and
the number of sentences are columns, and the rule decides on them.
"""

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpus.document import Batch, utf8_buffers
from corpus.kernels.c4 import COUNTS, LineTests, Rewritten, rewrite, split_pieces
from corpus.kernels.lines import lines_of, nth_longest
from corpus.kernels.sentences import sentence_starts
from corpus.kernels.words import Spans, carried_words, split_words, words_of
from corpus.rules import Rule, at_least, at_most
from corpus.settings import Settings
from corpus.step import Step

EDIT_KIND = "c4_lines"
POLICY_PHRASES = (
    *("terms of use", "privacy policy", "cookie policy"),
    *("uses cookies", "use of cookies", "use cookies"),
)


class C4Settings(Settings):
    """Take out the lines that C4 takes out, and measure what C4 decides on."""

    kind: Literal["c4"]
    edit: bool = Field(True, description="take the lines and citations out; else measure as if they were")
    unit: Literal["line", "sentence"] = Field("line", description="what is tested and taken out")
    citations: bool = Field(True, description="take out [1], [edit] and [citation needed]")
    punctuation: bool = Field(True, description="take out lines that do not end in . ? ! \" or '")
    min_words_per_line: int | None = Field(3, ge=0, description="words between white space")
    max_word_length: int | None = Field(1000, ge=1, description="characters; a line with a longer word goes")
    javascript: bool = Field(True, description="take out lines that speak of javascript")
    policy_phrases: tuple[str, ...] = Field(POLICY_PHRASES, description="take out lines with one of them, in any case")

    def build(self) -> "C4":
        return C4(self)

    def tests(self) -> LineTests:
        return LineTests(
            max_word_length=-1 if self.max_word_length is None else self.max_word_length,
            citations=self.citations,
            punctuation=self.punctuation,
            min_words=-1 if self.min_words_per_line is None else self.min_words_per_line,
            javascript=self.javascript,
            policy=tuple(phrase for phrase in self.policy_phrases if phrase),
        )


class C4(Step):
    """Adds the c4.* columns, about the lines as they came; `c4.sentences` is of the lines that are left. A document
    that has no line left keeps its text and is dropped."""

    name: ClassVar[str] = "c4"
    columns: ClassVar[dict[str, pa.DataType]] = {f"c4.{name}": pa.int32() for name in (*COUNTS, "sentences")}

    def __init__(self, settings: C4Settings) -> None:
        super().__init__()
        self.settings = settings
        self.edits = (EDIT_KIND,) if settings.edit else ()  # type: ignore[misc]

    def process(self, batch: Batch) -> Batch:
        left = self._rewritten(batch)
        offsets, data = pa.py_buffer(left.offsets.astype(np.int32)), pa.py_buffer(left.data)
        text = pa.StringArray.from_buffers(len(batch), offsets, data)
        empty = np.diff(left.offsets) == 0
        if self.settings.edit:
            before = batch
            batch = batch.with_text(pc.if_else(pa.array(empty), batch.text, text), EDIT_KIND)
            if self.settings.unit == "line" and before.remembers("words"):
                spans = _spans(before, batch, left)
                batch.memo("words", lambda edited: carried_words(words_of(before), edited.text, spans))
            batch = batch.with_verdicts(empty, step=self.name, reason="no line is left")
        if self.settings.unit == "sentence":
            sentences = left.counts[:, 1]
        else:
            words = words_of(batch) if self.settings.edit else split_words(text)
            sentences = np.where(empty, 0, np.diff(sentence_starts(words, within_lines=True)[1]))
        measured = dict(zip(COUNTS, left.counts.T, strict=True)) | {"sentences": sentences}
        return batch.with_columns(
            {f"c4.{name}": pa.array(values.astype(np.int32)) for name, values in measured.items()}
        )

    def _rewritten(self, batch: Batch) -> Rewritten:
        if self.settings.unit == "line":
            data, documents = utf8_buffers(batch.text)
            return rewrite(data, *split_pieces(data, documents), self.settings.tests(), "\n")
        words = words_of(batch)
        starts, offsets = sentence_starts(words, within_lines=False)
        ends = np.append(starts[1:], 0)
        last = offsets[1:][np.diff(offsets) > 0] - 1
        ends[last] = words.documents[1:][np.diff(offsets) > 0]
        return rewrite(words.data, starts, ends, offsets, self.settings.tests(), " ")


def _spans(before: Batch, edited: Batch, left: Rewritten) -> Spans:
    """What the texts after the edit are made of: what is left, or the whole text where nothing is."""
    old, new = (utf8_buffers(batch.text)[1] for batch in (before, edited))
    empty = np.diff(left.offsets) == 0
    counts = np.where(empty, 1, np.diff(left.spans.offsets))
    owners = np.repeat(np.arange(len(empty)), counts)
    whole = empty[owners]
    sources, begins, ends = old[:-1][owners], new[:-1][owners], new[1:][owners]
    kept = np.repeat(~empty, np.diff(left.spans.offsets))
    shift = (new - left.offsets)[owners][~whole]
    sources[~whole] = left.spans.sources[kept]
    begins[~whole] = left.spans.begins[kept] + shift
    ends[~whole] = left.spans.ends[kept] + shift
    return Spans(sources, begins, ends, np.append(0, np.cumsum(counts)))


class C4Rule(Settings):
    """What C4 drops a document for; None or false leaves a rule out."""

    rule: Literal["c4"]
    drop_lorem_ipsum: bool = Field(True, description="drop a document that has the words lorem ipsum")
    drop_curly_brackets: bool = Field(True, description="a { in a line that stays")
    min_sentences: int | None = Field(5, ge=0, description="in the lines that are left")

    def rules(self) -> list[Rule]:
        rules = []
        if self.drop_lorem_ipsum:
            rules.append(at_most("c4", "lorem ipsum", "c4.lorem_ipsum", 0))
        if self.drop_curly_brackets:
            rules.append(at_most("c4", "curly bracket", "c4.curly", 0))
        if self.min_sentences is not None:
            rules.append(at_least("c4", "too few sentences", "c4.sentences", self.min_sentences))
        return rules


class C4ParagraphSettings(Settings):
    """Measure whether a page has paragraphs, as mC4 does."""

    kind: Literal["c4_paragraphs"]
    paragraphs: int = Field(3, ge=1, description="the length of which longest line is measured")

    def build(self) -> "C4Paragraphs":
        return C4Paragraphs(self)


class C4Paragraphs(Step):
    """Adds c4.paragraph_length: characters of the third (or asked) longest line, 0 where there are fewer lines."""

    name: ClassVar[str] = "c4_paragraphs"
    columns: ClassVar[dict[str, pa.DataType]] = {"c4.paragraph_length": pa.int32()}

    def __init__(self, settings: C4ParagraphSettings) -> None:
        super().__init__()
        self.settings = settings

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(
            {"c4.paragraph_length": pa.array(nth_longest(lines_of(batch), self.settings.paragraphs))}
        )


class C4ParagraphRule(Settings):
    """Drop pages without three (or the measured number of) paragraphs of some length."""

    rule: Literal["c4_paragraphs"]
    min_paragraph_length: int = Field(200, ge=1, description="characters")

    def rules(self) -> list[Rule]:
        return [at_least("c4_paragraphs", "too few paragraphs", "c4.paragraph_length", self.min_paragraph_length)]
