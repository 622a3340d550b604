"""Texts that may be slow to scan, made of what the recognisers look for, and a search for the slowest of them.

    pattern of a recogniser ─ random walk through its automaton ─► pieces: matches, what is almost one, its prefix
    a text = some kinds of pieces, each drawn anew, with a sign between them, over and over

Each form is a gene, a text a few genes and a glue. The search keeps what costs most and changes it (seeded). What a
text costs is told by the caller: seconds in the benchmark, what was looked at in the test, which no load changes.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np

import corpus.deidentify.lexicon
from corpus.deidentify.automaton import Automaton
from corpus.deidentify.grammar import GrammarFinder
from corpus.deidentify.recogniser import Recogniser, Shape
from corpus.deidentify.scanner import Scanner
from corpus.deidentify.wordclass import classified

GLUES = (" ", "", "\n", ",", ", ", "-", ".", "/", ":", "_", " (", "@", "é", "\t")
_LONGEST = 48  # bytes of a piece
_POOL = 256  # pieces of a gene in one text: windows of a validator hold several, so few are alike
_ADDRESSES = {
    "email": r"[a-z0-9.]{1,12}@[a-z0-9-]{1,9}\.(?:com|org|de)",
    "url": r"(?:https?|ftp)://(?:[a-z]{1,8}\.){1,2}(?:com|org)/[a-z0-9/?=&-]{0,16}",
}


@dataclass(frozen=True)
class Form:
    """What a recogniser looks for: a pattern of bytes, or of word classes, and the words that speak for it."""

    name: str
    pattern: str
    words: tuple[str, ...] = ()
    of_classes: bool = False

    @cached_property
    def _automaton(self) -> Automaton:
        return Automaton([self.pattern])

    def piece(self, draw: random.Random) -> str:
        """A walk through the automaton, to an end of the pattern or cut before it."""
        own, state, out = self._automaton, 1, bytearray()
        stop = draw.randint(1, _LONGEST)
        while len(out) < stop:
            if own.table[state].min() < 0:
                own.explore(state)
            following = np.flatnonzero(own.table[state])
            if len(following) == 0 or (own.first[state + 1] > own.first[state] and draw.random() < 0.3):
                break
            kind = draw.choice(following.tolist())
            bytes_of = np.flatnonzero(own.classes == kind)
            usual = bytes_of[(bytes_of > 32) & (bytes_of < 127)]
            out.append(int(draw.choice((usual if len(usual) else bytes_of).tolist())))
            state = own.table[state, kind]
        return _written(out.decode("latin-1"), draw) if self.of_classes else out.decode(errors="ignore")

    def word(self, draw: random.Random) -> str:
        """One of the words that speak for it, or nothing."""
        return Form(self.name, draw.choice(self.words)).piece(draw) + " " if self.words else ""


@dataclass(frozen=True)
class Gene:
    """Pieces of a form, cut after `cut` characters (0: whole), behind a word that speaks for them."""

    form: Form
    cut: int = 0
    spoken: bool = False

    def pieces(self, draw: random.Random, number: int) -> list[str]:
        made = [self.form.piece(draw) for _ in range(number)]
        made = [piece[: self.cut] if self.cut else piece for piece in made]
        return [self.form.word(draw) + piece for piece in made] if self.spoken else made


@dataclass(frozen=True)
class Recipe:
    """How a text is made; `name` tells it from others. `fresh`: pieces are drawn anew, and not one piece repeated."""

    genes: tuple[Gene, ...]
    glue: str = " "
    fresh: bool = True
    seed: int = 1

    def text(self, size: int) -> bytes:
        """A text of `size` bytes."""
        draw = random.Random(self.seed)
        pools = [gene.pieces(draw, min(_POOL, size // 8) if self.fresh else 1) for gene in self.genes]
        out, length = [], 0
        while length < size:
            for pool in pools:
                out.append(draw.choice(pool) + self.glue)
                length += len(out[-1]) or 1
        return "".join(out).encode()[:size].decode(errors="ignore").encode().ljust(size)

    @property
    def name(self) -> str:
        genes = " + ".join(
            gene.form.name + (f"[:{gene.cut}]" if gene.cut else "") + (" spoken for" if gene.spoken else "")
            for gene in self.genes
        )
        return f"{genes}, glue {self.glue!r}" + ("" if self.fresh else ", repeated")


def forms(scan: Scanner) -> list[Form]:
    """What each recogniser of the scanner looks for."""
    found = []
    for own in scan.recognisers:
        if isinstance(own, Shape):
            found.append(Form(own.name, own.pattern, own.words))
        elif isinstance(own, Recogniser):
            found.append(Form(own.name, _plain(own.pattern)))
        elif isinstance(own, GrammarFinder):
            found += [
                Form(f"{own.type.lower()}.{rule.name}", rule.pattern.replace("}?", "}"), (), True) for rule in own.rules
            ]
        else:
            found.append(Form(own.name, _ADDRESSES.get(own.name.partition(".")[0], "a")))
    return found


def _plain(pattern: str) -> str:
    """A pattern of re2 in the automaton's syntax, as far as drawing pieces needs it."""
    fold = "(?i)" if "(?i)" in pattern else ""
    plain = pattern.replace("(?i)", "").replace(r"\b", "").replace("(?:^|", "(?:").replace("}?", "}")
    plain = re.sub(r"\\p\{Lu?\}(?=[^\[\]]*\])", "a-z", plain)
    return fold + re.sub(r"\\p\{Lu?\}", "[A-Z]", plain)


def search(
    known: Sequence[Form],
    cost: Callable[[bytes], float],
    *,
    size: int,
    rounds: int,
    seed: int = 1,
    kept: int = 12,
) -> list[tuple[float, Recipe]]:
    """The most costly texts that were met, the worst first: each form by itself, whole and cut, then `rounds` changed
    ones of the best. The same for the same seed, as far as `cost` is."""
    draw = random.Random(seed)
    first = [
        Recipe((Gene(form, cut, spoken),), glue, fresh) for form in known for cut, spoken, glue, fresh in _OPENINGS
    ]
    met = {recipe: cost(recipe.text(size)) for recipe in first}
    for _ in range(rounds):
        best = sorted(met, key=met.__getitem__, reverse=True)[:kept]
        changed = _changed(draw.choice(best), known, draw)
        if changed not in met:
            met[changed] = cost(changed.text(size))
    return [(met[recipe], recipe) for recipe in sorted(met, key=met.__getitem__, reverse=True)]


_OPENINGS = ((0, False, " ", True), (0, True, "\n", True), (3, False, "-", False))


def _changed(recipe: Recipe, known: Sequence[Form], draw: random.Random) -> Recipe:
    """A recipe with one thing changed."""
    genes = list(recipe.genes)
    place = draw.randrange(len(genes))
    match draw.randrange(6):
        case 0:
            genes[place] = replace(genes[place], cut=draw.choice((0, 1, 2, 3, 5, 8, 13, 21)))
        case 1:
            genes[place] = replace(genes[place], spoken=not genes[place].spoken)
        case 2:
            genes.insert(place, Gene(draw.choice(known)))
        case 3 if len(genes) > 1:
            del genes[place]
        case 4:
            return replace(recipe, glue=draw.choice(GLUES))
        case _:
            return replace(recipe, fresh=not recipe.fresh, seed=draw.randrange(1000))
    return replace(recipe, genes=tuple(genes[:3]))


_SIGNS = {"|": "\n", "=": "\n\n", "_": "\t", "-": "-", "~": " - ", "I": "J", "Z": "[PERSON]", "\n": "\n\n", "s": "'s"}
_TIGHT = set(".,:;()/\"'@[]&>#-\n\t")


@cache
def _words_of() -> dict[str, list[str]]:
    """Words by their class: of the lists of the recognisers, of names, and invented ones."""
    folder = Path(corpus.deidentify.lexicon.__file__).parent / "words"
    listed = [w for file in sorted(folder.glob("*.txt")) for w in re.findall(r"^[a-z' ]+$", file.read_text(), re.M)]
    words = sorted({word for line in listed for word in line.split() if word.isalpha()})
    names = ["anna", "tobias", "maria", "james", "smith", "garcia", "nguyen", "patel", "hale", "rose", "hill"]
    invented = [a + b + c for a in ("Bor", "Vel", "Thor") for b in ("o", "a") for c in ("mirx", "gaardt", "wixk")]
    every = [*words[::7], *words[-400:], *names, *invented]
    every = [form for word in every for form in (word, word.capitalize(), word.upper())]
    text = classified("\n".join(every).encode())
    found: dict[str, list[str]] = {}
    for start, end, kind in zip(text.starts, text.ends, text.classes, strict=True):
        if end > start:
            found.setdefault(chr(kind), []).append(text.data[start:end].decode())
    return found


def _written(classes: str, draw: random.Random) -> str:
    """A text of these classes, about."""
    out: list[str] = []
    for own in classes:
        if own in "NK":
            piece = str(draw.randint(1, 99_999)) if own == "N" else f"H{draw.randint(1, 9999)}"
        elif own in _SIGNS or not own.isalnum():
            piece = _SIGNS.get(own, own)
        else:
            piece = draw.choice(_words_of().get(own, ["x"]))
        tight = not out or piece[0] in _TIGHT or out[-1][-1] in "-/(@#'\n\t"
        out.append(piece if tight else " " + piece)
    return "".join(out)
