"""How languages write comments and strings: what a scanner must know to tell code, comment and literal apart."""

from dataclasses import dataclass
from functools import cache

import numpy as np

_MARK = 4  # bytes of the longest comment mark
SYNTAX_WIDTH = 4 * _MARK + 4 + 5
_QUOTES = "'\"`"


@dataclass(frozen=True)
class Syntax:
    """`comments` run to the end of the line, `block` from its first mark to its second; each of `quotes` opens a string
    that ends on the same line. `docstrings`: three quotes make a long string, a comment where they begin a line.
    `line_start_only`: a mark counts only where a line begins."""

    comments: tuple[str, ...] = ()
    block: tuple[str, str] = ("", "")
    quotes: str = "'\""
    docstrings: bool = False
    line_start_only: bool = False

    def packed(self) -> np.ndarray:
        """uint8[SYNTAX_WIDTH]: two line marks, block open and close (each _MARK bytes), the four lengths, then whether
        each of ' " ` quotes, docstrings, line_start_only."""
        marks = [mark.encode() for mark in (*self.comments, "", "")[:2]] + [mark.encode() for mark in self.block]
        flags = [*(quote in self.quotes for quote in _QUOTES), self.docstrings, self.line_start_only]
        row = b"".join(mark.ljust(_MARK, b"\0") for mark in marks) + bytes(map(len, marks)) + bytes(flags)
        return np.frombuffer(row, np.uint8)


UNKNOWN = Syntax(("#", "//"), ("/*", "*/"), line_start_only=True)
_C_LIKE = (
    "c, c++, c#, java, javascript, typescript, go, rust, swift, kotlin, scala, dart, cuda, d, groovy, solidity, zig, "
    "verilog, systemverilog, scss, sas, stata, vue, json, protocol buffer"
)
_SYNTAXES: tuple[tuple[str, Syntax], ...] = (
    ("python, cython", Syntax(("#",), docstrings=True)),
    (
        "shell, ruby, perl, r, yaml, toml, makefile, cmake, dockerfile, julia, elixir, nim, tcl, awk, hcl, nix",
        Syntax(("#",)),
    ),
    ("powershell", Syntax(("#",), ("<#", "#>"))),
    ("php", Syntax(("//", "#"), ("/*", "*/"), "'\"`")),
    (_C_LIKE, Syntax(("//",), ("/*", "*/"), "'\"`")),
    ("f#", Syntax(("//",), ("(*", "*)"), '"')),
    ("css", Syntax((), ("/*", "*/"))),
    ("sql", Syntax(("--",), ("/*", "*/"))),
    ("haskell", Syntax(("--",), ("{-", "-}"), '"')),
    ("lua", Syntax(("--",), ("--[[", "]]"))),
    ("ada, vhdl", Syntax(("--",), quotes='"')),
    ("clojure, scheme, emacs lisp, assembly", Syntax((";",), quotes='"')),
    ("common lisp", Syntax((";",), ("#|", "|#"), '"')),
    ("tex, erlang, prolog, matlab", Syntax(("%",), quotes='"')),
    ("ocaml", Syntax((), ("(*", "*)"), '"')),
    ("pascal", Syntax(("//",), ("{", "}"), "'")),
    ("html, xml, markdown", Syntax((), ("<!--", "-->"), '"')),
    ("fortran", Syntax(("!",))),
    ("visual basic", Syntax(("'",), quotes='"')),
    ("vim script", Syntax(('"',), quotes="'")),
    ("batchfile", Syntax(("rem ", "::"), quotes='"')),
)


@cache
def syntax_table() -> tuple[np.ndarray, dict[str, int]]:
    """(uint8[syntaxes, SYNTAX_WIDTH], the row of each language); row 0 is for a language that is not here."""
    rows = [UNKNOWN.packed(), *(syntax.packed() for _, syntax in _SYNTAXES)]
    places = {name: row for row, (names, _) in enumerate(_SYNTAXES, start=1) for name in names.split(", ")}
    return np.stack(rows), places
