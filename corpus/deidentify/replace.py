"""Replacing the findings of documents until nothing is left to find.

A surrogate can meet its neighbours in a way that looks like a finding again. So the result is scanned, a surrogate
that was found becomes a tag, and what only now appears is replaced too; after that a second pass finds nothing, by
construction. Only what stands around replacements is scanned for it, and documents where something appears are taken
one by one, as a whole.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpus.deidentify.joined import SEPARATOR, Joined
from corpus.deidentify.recogniser import Span
from corpus.deidentify.scanner import Found, Label, Scanner
from corpus.kernels.distinct import distinct
from corpus.kernels.spans import spliced, surroundings

# What a replacement may bring to light touches it or stands near it: candidates of several words are shorter than this,
# with all that a validator looks at, and longer tokens are taken whole.
_MARGIN = 128
Replacement = Callable[[int, str, str], str]  # document, type, value → what stands for it


def tag(type: str) -> str:
    return f"[{type}]"


class Removed(NamedTuple):
    """The spans removed from documents, in order of document and start, in bytes of the joined documents."""

    joined: Joined
    documents: np.ndarray  # int64[spans]
    starts: np.ndarray  # int64[spans]
    ends: np.ndarray  # int64[spans]
    labels: np.ndarray  # int64[spans]: place in the scanner's `labels`
    texts: dict[int, bytes]  # the new text of each document that has some


@dataclass(frozen=True)
class Deidentifier:
    """How documents are scanned and what stands for a finding.

    recurring   types whose replacements are themselves findings (a shifted date), which are left alone
    individual  types whose replacement depends on the document, and not on the value alone
    constant    types whose replacement is the same for every value, as a tag is
    """

    scanner: Scanner
    replacement: Replacement
    recurring: Set[str] = frozenset()
    individual: Set[str] = frozenset()
    constant: Set[str] = frozenset()

    def run(self, texts: Sequence[bytes], shifted: Set[int] = frozenset()) -> Removed:
        """The spans removed from texts (UTF-8). `shifted`: documents whose recurring types an earlier pass replaced."""
        joined = Joined(texts)
        found = self.scanner.scan(joined)
        documents = joined.documents_of(found.starts)
        if shifted:
            kept = ~(self._of(self.recurring)[found.labels] & np.isin(documents, list(shifted)))
            found, documents = found.only(kept), documents[kept]
        which, pool = self._replacements(joined, found, documents)
        chosen = np.unique(documents)
        firsts = np.concatenate([[0], np.cumsum([len(new) for new in pool])]).astype(np.int64)
        written, begins, stops, starts, ends = spliced(
            *(joined.view, joined.begins, joined.stops, chosen, documents, found.starts, found.ends),
            *(np.frombuffer(b"".join(pool) or b"\0", np.uint8), firsts, which, SEPARATOR),
        )
        whole = written.tobytes()
        bounds = zip(chosen.tolist(), begins.tolist(), stops.tolist(), strict=True)
        edited = {document: whole[begin:stop] for document, begin, stop in bounds}
        rows = np.searchsorted(chosen, documents)
        lows, highs, rows = surroundings(written, begins, stops, rows, starts, ends, self._margin(len(written)))
        pieces = [whole[low:high] for low, high in zip(lows.tolist(), highs.tolist(), strict=True)]
        removed = Removed(joined, documents, found.starts, found.ends, found.labels, edited)
        doubtful = chosen[np.unique(rows[self._found_again(pieces)])]
        return self._settled(removed, doubtful) if len(doubtful) else removed

    def _margin(self, everything: int) -> int:
        """A model's findings depend on all the document."""
        return everything if self.scanner.contextual else _MARGIN

    def _of(self, types: Set[str]) -> np.ndarray:
        """bool[labels]: the label is of one of these types."""
        return np.array([label.type in types for label in self.scanner.labels] or [False], bool)

    def _found_again(self, texts: list[bytes]) -> np.ndarray:
        """The places of the texts in which there is something to find."""
        if not texts:
            return np.zeros(0, np.int64)
        joined = Joined(texts)
        found = self.scanner.scan(joined)
        return joined.documents_of(found.starts[~self._of(self.recurring)[found.labels]])

    def _replacements(self, joined: Joined, found: Found, documents: np.ndarray) -> tuple[np.ndarray, list[bytes]]:
        """(which int64[findings], replacements): asked once for each different value of a type."""
        numbers: dict[str, int] = {}
        types = np.array([numbers.setdefault(label.type, len(numbers)) for label in self.scanner.labels] or [0])
        kinds = types[found.labels]
        kinds = kinds + np.where(self._of(self.individual)[found.labels], (documents + 1) * len(numbers), 0)
        same = self._of(self.constant)[found.labels]
        starts, ends = np.where(same, 0, found.starts), np.where(same, 0, found.ends)
        which, examples = distinct(joined.view, starts, starts, ends, ends, kinds)
        columns = (documents, found.starts, found.ends, found.labels)
        asked = zip(*(column[examples].tolist() for column in columns), strict=True)
        pool = [
            self.replacement(document, self.scanner.labels[label].type, joined.data[start:end].decode()).encode()
            for document, start, end, label in asked
        ]
        return which, pool

    def _settled(self, removed: Removed, doubtful: np.ndarray) -> Removed:
        """`removed`, where the scanner finds nothing but recurring types in the new texts. The doubtful documents are
        scanned as a whole, and those that a finding changes are written and scanned again."""
        joined, documents, *columns, edited = removed
        own = np.isin(documents, doubtful)
        chosen: dict[int, dict[Span, str]] = {document: {} for document in doubtful.tolist()}
        for document, start, end, label in zip(*(c[own].tolist() for c in (documents, *columns)), strict=True):
            begin = int(joined.begins[document])
            value = joined.data[start:end].decode()
            span = Span(start - begin, end - begin, *self.scanner.labels[label])
            chosen[document][span] = self.replacement(document, span.type, value)
        open_, changed = list(chosen), False
        while open_:
            applied = [_apply(joined.texts[document], chosen[document]) for document in open_]
            findings = self._findings([text for text, _ in applied])
            edited |= {document: text for document, (text, _) in zip(open_, applied, strict=True)}
            rounds = zip(open_, applied, findings, strict=True)
            open_ = [document for document, (_, places), again in rounds if _settle(again, places, chosen[document])]
            changed |= bool(open_)
        return self._with_spans(removed, own, chosen) if changed else removed

    def _findings(self, texts: list[bytes]) -> list[list[Span]]:
        """What the scanner finds in each text, but for recurring types."""
        joined = Joined(texts)
        found = self.scanner.scan(joined)
        spans: list[list[Span]] = [[] for _ in texts]
        columns = (joined.documents_of(found.starts), *found)
        for document, start, end, label in zip(*(column.tolist() for column in columns), strict=True):
            said, begin = self.scanner.labels[label], int(joined.begins[document])
            if said.type not in self.recurring:
                spans[document].append(Span(start - begin, end - begin, *said))
        return spans

    def _with_spans(self, removed: Removed, own: np.ndarray, chosen: dict[int, dict[Span, str]]) -> Removed:
        """`removed` with the chosen spans in the place of its `own`, bool[spans]."""
        joined, *columns, edited = removed
        numbers = {label: number for number, label in enumerate(self.scanner.labels)}
        rows = [
            (document, begin + span.start, begin + span.end, numbers[Label(*span[2:])])
            for document, begin in ((document, int(joined.begins[document])) for document in chosen)
            for span in chosen[document]
        ]
        added = np.array(rows, np.int64).reshape(-1, 4).T
        columns = [np.concatenate([column[~own], new]) for column, new in zip(columns, added, strict=True)]
        order = np.argsort(columns[1], kind="stable")
        documents, starts, ends, labels = (column[order] for column in columns)
        return Removed(joined, documents, starts, ends, labels, edited)


def _settle(findings: list[Span], places: dict[Span, tuple[int, int]], chosen: dict[Span, str]) -> bool:
    """Change `chosen` so that findings, made in the result, are not made again; False where nothing changes."""
    before = dict(chosen)
    for finding in findings:
        _settle_one(finding, places, chosen)
    return chosen != before


def _settle_one(finding: Span, places: dict[Span, tuple[int, int]], chosen: dict[Span, str]) -> None:
    """Change `chosen` so that `finding`, made in the result, is not made again: surrogates it touches become tags;
    where it touches none, it is a finding of the original, together with the tags in it."""
    surrogates = [
        span
        for span, (start, end) in places.items()
        if start < finding.end and finding.start < end and chosen.get(span, tag(span.type)) != tag(span.type)
    ]
    if surrogates:
        chosen.update((span, tag(span.type)) for span in surrogates)
        return
    start, end = _origin(finding.start, places, first=True), _origin(finding.end, places, first=False)
    merged = [span for span in chosen if span.start < end and start < span.end]
    start = min([start, *(span.start for span in merged)])
    end = max([end, *(span.end for span in merged)])
    for span in merged:
        del chosen[span]
    chosen[Span(start, end, finding.type, finding.recogniser, finding.score)] = tag(finding.type)


def _apply(data: bytes, chosen: dict[Span, str]) -> tuple[bytes, dict[Span, tuple[int, int]]]:
    """The text with what was chosen for its spans, and where in it each replacement stands."""
    pieces, places = [], {}
    at = length = 0
    for span in sorted(chosen):
        new = chosen[span].encode()
        pieces += [data[at : span.start], new]
        length += span.start - at
        places[span] = (length, length + len(new))
        length += len(new)
        at = span.end
    pieces.append(data[at:])
    return b"".join(pieces), places


def _origin(offset: int, places: dict[Span, tuple[int, int]], *, first: bool) -> int:
    """The offset in the original of an offset in the result; inside a replacement, the edge of what it replaced."""
    shift = 0
    for span, (start, end) in places.items():
        if start < offset < end:
            return span.start if first else span.end
        if end <= offset:
            shift += (span.end - span.start) - (end - start)
    return offset + shift
