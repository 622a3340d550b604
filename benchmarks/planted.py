"""A corpus of any size with known copies: documents put together of real lines, some of them copied with edits.

Lines are those of the standard library's modules; a document of 12 to 24 random ones is like no other but its copies.
A copy is exact, re-cased and re-spaced (equal once normalised), or has 1 to 12 of its words replaced, which takes it to
either side of the usual threshold. A document is a function of the seed and of its number.
"""

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

BLOCK = 10_000  # documents made, and kept for copying, at a time
COPIES = 0.2
EDITS = 12  # words replaced at most


@dataclass(frozen=True)
class Planted:
    """A document; `base` numbers the one it was copied from."""

    number: int
    text: str
    base: int | None = None


@cache
def real_lines() -> tuple[str, ...]:
    """Lines of five words or more in the standard library, each once, ascending."""
    lines = set()
    for path in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        text = path.read_text(encoding="utf-8", errors="replace")
        lines |= {line.strip() for line in text.splitlines() if len(line.split()) >= 5}
    return tuple(sorted(lines))


def planted(documents: int, seed: int = 7) -> Iterator[Planted]:
    """So many documents, a share COPIES of them copies of earlier ones. Memory: the originals of one block."""
    lines = real_lines()
    rng = Random(seed)
    earlier: list[Planted] = []
    held: list[Planted] = []
    for number in range(documents):
        if earlier and rng.random() < COPIES:
            base = rng.choice(earlier)
            yield Planted(number, _copied(base.text, rng, lines), base.number)
            continue
        document = Planted(number, "\n".join(rng.choices(lines, k=rng.randint(12, 24))))
        held.append(document)
        if len(held) == BLOCK // 10 or not earlier:
            earlier = [*earlier[-BLOCK:], *held]
            held = []
        yield document


def _copied(text: str, rng: Random, lines: tuple[str, ...]) -> str:
    kind = rng.random()
    if kind < 0.2:
        return text
    if kind < 0.4:
        return text.upper().replace("\n", " \n\n ")
    words = text.split(" ")
    for _ in range(rng.randint(1, EDITS)):
        words[rng.randrange(len(words))] = rng.choice(rng.choice(lines).split())
    return " ".join(words)
