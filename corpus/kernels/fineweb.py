"""FineWeb's measures of lines (Penedo et al. 2024), from the lines and words that other steps have split already."""

import numba
import numpy as np

from corpus.kernels.characters import SPACE, class_at, class_table, decode
from corpus.kernels.hashing import add, contains, hash_bytes, set_of, slots_for
from corpus.kernels.lines import Lines
from corpus.kernels.words import Words

# Column order of `fineweb_measures`.
MEASURES = (
    "lines",  # that are not blank; the measures but the last are of these
    "punctuated_line_share",  # lines that end in a stop character
    "short_line_share",  # lines of at most `short` characters
    "duplicate_char_share",  # characters of lines seen before / characters of the text without line feeds
    "newline_share",  # line feeds / tokens
)


def fineweb_measures(lines: Lines, words: Words, stops: tuple[str, ...], short: int) -> np.ndarray:
    """float64[documents, len(MEASURES)]; zeros for a document without a line that is not blank."""
    sizes = np.array(sorted({len(stop.encode()) for stop in stops}), np.int64)
    arguments = (lines.data, lines.starts, lines.ends, lines.chars, lines.hashes, lines.offsets, words.offsets)
    return _measures(*arguments, set_of(stops), sizes, short, class_table())


@numba.njit(cache=True, nogil=True)
def _measures(data, starts, ends, chars, hashes, offsets, word_offsets, stops, sizes, short, classes):
    out = np.zeros((len(offsets) - 1, 5), np.float64)
    for document in range(len(out)):
        first, last = offsets[document], offsets[document + 1]
        table = np.zeros(slots_for(last - first), np.uint64)
        lines = stopped = shorts = repeated = characters = 0
        for line in range(first, last):
            characters += chars[line]
            if _is_blank(data, starts[line], ends[line], classes):
                continue
            lines += 1
            shorts += chars[line] <= short
            for size in sizes:
                if ends[line] - size < starts[line]:
                    break
                if contains(stops, hash_bytes(data, ends[line] - size, ends[line])):
                    stopped += 1
                    break
            if add(table, hashes[line]):
                repeated += chars[line]
        if lines:
            tokens = word_offsets[document + 1] - word_offsets[document]
            out[document, 0], out[document, 1], out[document, 2] = lines, stopped / lines, shorts / lines
            out[document, 3], out[document, 4] = repeated / characters, (last - first - 1) / max(tokens, 1)
    return out


@numba.njit(cache=True, nogil=True)
def _is_blank(data, begin, stop, classes):
    while begin < stop:
        if not class_at(data, begin, classes) & SPACE:
            return False
        begin += 1 if data[begin] < 128 else decode(data, begin)[1]
    return True
