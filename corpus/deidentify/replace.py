"""Replacing the findings of one document until nothing is left to find.

A surrogate can meet its neighbours in a way that looks like a finding again. So the result is scanned, a surrogate
that was found becomes a tag, and what only now appears is replaced too; after that a second pass finds nothing, by
construction. Only documents with findings pay for it.
"""

from collections.abc import Callable

from corpus.deidentify.recogniser import Scanner, Span

Replacement = Callable[[str, str], str]  # type, value → what stands for it


def tag(type: str) -> str:
    return f"[{type}]"


def deidentify(
    data: bytes, scanner: Scanner, replacement: Replacement, recurring: frozenset[str] = frozenset()
) -> tuple[list[Span], bytes]:
    """The spans removed from `data` (UTF-8), in bytes of it, and the text without them.

    `recurring`: types whose replacements are themselves findings (a shifted date), which are left alone.
    """
    found = scanner.find(data)
    chosen = {span: replacement(span.type, data[span.start : span.end].decode()) for span in found}
    while True:
        spans = sorted(chosen)
        result, places = _apply(data, spans, chosen)
        again = [span for span in scanner.find(result) if span.type not in recurring]
        if not again or not spans:
            return spans, result
        for finding in again:
            touched = [span for span, (start, end) in places.items() if start < finding.end and finding.start < end]
            alive = [span for span in touched if chosen.get(span, tag(span.type)) != tag(span.type)]
            if alive:
                chosen.update((span, tag(span.type)) for span in alive)
                continue
            start, end = _origin(finding.start, places, first=True), _origin(finding.end, places, first=False)
            whole = Span(
                min([start, *(span.start for span in touched)]),
                max([end, *(span.end for span in touched)]),
                finding.type,
            )
            overlapped = [span for span in chosen if span.start < whole.end and whole.start < span.end]
            whole = Span(
                min([whole.start, *(span.start for span in overlapped)]),
                max([whole.end, *(span.end for span in overlapped)]),
                finding.type,
            )
            for span in overlapped:
                del chosen[span]
            chosen[whole] = tag(whole.type)


def _apply(data: bytes, spans: list[Span], chosen: dict[Span, str]) -> tuple[bytes, dict[Span, tuple[int, int]]]:
    """The edited text and where in it each replacement stands."""
    pieces, places = [], {}
    at = length = 0
    for span in spans:
        new = chosen[span].encode()
        pieces += [data[at : span.start], new]
        length += span.start - at
        places[span] = (length, length + len(new))
        length += len(new)
        at = span.end
    pieces.append(data[at:])
    return b"".join(pieces), places


def _origin(offset: int, places: dict[Span, tuple[int, int]], *, first: bool) -> int:
    """The offset in the original of an offset in the result that lies outside the replacements (or at an edge)."""
    shift = 0
    for span, (start, end) in places.items():
        if start < offset < end:
            return span.start if first else span.end
        if end <= offset and (end < offset or first or end > start):
            shift += (span.end - span.start) - (end - start)
    return offset + shift
