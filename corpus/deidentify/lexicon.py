"""The words by which names, organisations and places are told from the rest: a table from word to class.

The class of a word depends on how it is written: lower case, Capitalised or UPPER. Roles (titles, relatives, streets …)
come from words/roles.txt, ordinary words from words/common.txt, first and last names from the lists of the package
Faker (MIT; 60,000 names of 70 countries, read once per process in about half a second). A name that is an ordinary
word or a place too ("Rose", "Paris") has a class of its own, which counts less.
"""

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corpus.kernels.hashing import hashes_of, slot_of, slots_for

# Classes of words and signs, each one character of a document's class string (wordclass.py).
FIRST, LAST, BOTH = "F", "L", "B"  # names; in lower case: names that are ordinary words or places too
UNKNOWN, UNKNOWN_UPPER, COMMON, LOWER, MIXED = "C", "U", "W", "w", "k"
INITIAL, NUMBER, CODE, MASKED = "I", "N", "K", "Z"  # "J", "J.R."; 12; H1234; [PERSON] or a surrogate
LINE, PARAGRAPH, GAP, HYPHEN, DASH, SIGN = "|", "=", "_", "-", "~", "*"
BREAK = "\n"  # before and between documents; a rule may begin with it

# Section of roles.txt → (class in lower case, Capitalised, UPPER).
_ROLES = {
    "title": "TTT",
    "credential": "wDD",
    "generation": "wJJ",
    "human": "rrr",
    "label": "ppp",
    "naming": "nnn",
    "recorded": "VVV",
    "reporting": "tWW",
    "meeting": "mmm",
    "capital meeting": "wmm",
    "by": "yyy",
    "greeting": "ggg",
    "self": "jjj",
    "being": "iWW",
    "possessive": "sss",
    "eponymous noun": "eee",
    "organisation": "wOO",
    "company": "wXX",
    "general": "wGG",
    "of": "oWW",
    "and": "&W&",
    "the": "hhh",
    "street": "wQQ",
    "streetlike": "wqq",
    "street before": "wxx",
    "unit": "HHH",
    "compass": "wRR",
    "district": "wcc",
    "settlement": "vvv",
    "at": "aaa",
    "residing": "PPP",
    "zip": "zzz",
    "weekday": "wdd",
    "month": "wMM",
    "particle": "AAA",
    "state": "wSS",
    "eponym": "wEE",
    "drug or brand": "wWW",
    "capital word": "wWW",
}
_WORDS = Path(__file__).parent / "words"


class Lexicon(NamedTuple):
    """Open-addressing tables: keys uint64[slots], 0 where empty, and classes uint8[slots]. Words in lower case have a
    small one of their own, since most words are, few of them have a role, and it stays in the nearest cache."""

    keys: np.ndarray
    classes: np.ndarray  # uint8[slots, 2]: Capitalised, UPPER
    lower_keys: np.ndarray
    lower_classes: np.ndarray


def _lines(file: str) -> list[str]:
    lines = (_WORDS / file).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _roles() -> tuple[dict[str, str], set[str]]:
    """(word → its three classes, names that are ambiguous). The first section that lists a word has it."""
    roles: dict[str, str] = {}
    ambiguous: set[str] = set()
    section = ""
    for line in _lines("roles.txt"):
        if line.startswith("["):
            section = line.strip("[]").partition("|")[0].strip()
        elif section == "ambiguous name":
            ambiguous.update(line.split())
        else:
            for word in line.split():
                roles.setdefault(word, _ROLES[section])
    return roles, ambiguous


def _names() -> tuple[set[str], set[str]]:
    """(first, last) names in lower case, of every list that Faker has."""
    package = importlib.import_module("faker.providers.person")
    found: tuple[set[str], set[str]] = (set(), set())
    for module in pkgutil.iter_modules(package.__path__):
        provider = importlib.import_module(f"{package.__name__}.{module.name}").Provider
        for attribute in dir(provider):
            for names, prefix in zip(found, ("first_names", "last_names"), strict=True):
                listed = getattr(provider, attribute)
                if attribute.startswith(prefix) and isinstance(listed, list | tuple | dict):
                    names.update(part for name in listed for part in str(name).lower().split() if len(part) > 2)
    return found


@cache
def lexicon() -> Lexicon:
    """The table, built once per process."""
    roles, ambiguous = _roles()
    common = {word for line in _lines("common.txt") for word in line.split()}
    first, last = _names()
    classes = dict.fromkeys(common, LOWER + COMMON + COMMON)
    for word in first | last:
        name = (BOTH if word in last else FIRST) if word in first else LAST
        name = name.lower() if word in common or word in ambiguous else name
        classes[word] = LOWER + name + name
    classes |= roles
    capital = {word: three[1:] for word, three in classes.items()}
    lower = {word: three[0] for word, three in classes.items() if three[0] != LOWER}
    keys, values = _hashed(capital)
    lower_keys, lower_values = _hashed(lower)
    return Lexicon(keys, values, lower_keys, lower_values[:, 0].copy())


def _hashed(classes: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """(keys uint64[slots], classes uint8[slots, n]) of words and their n classes."""
    keys = np.zeros(slots_for(len(classes)), np.uint64)
    values = np.zeros((len(keys), len(next(iter(classes.values())))), np.uint8)
    for key, own in zip(hashes_of(tuple(classes)), classes.values(), strict=True):
        slot = slot_of(keys, key)
        keys[slot] = key
        values[slot] = np.frombuffer(own.encode(), np.uint8)
    return keys, values
