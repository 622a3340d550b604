"""Programming languages by file name and by shebang, in lower case as GitHub's Linguist names them."""

import posixpath
import re

BY_EXTENSION: dict[str, str] = {
    extension: language
    for language, extensions in {
        "ada": "adb ads",
        "assembly": "asm s",
        "batchfile": "bat cmd",
        "c": "c h",
        "c#": "cs csx",
        "c++": "cc cpp cxx c++ hh hpp hxx h++ inl ipp tpp",
        "clojure": "clj cljs cljc",
        "cmake": "cmake",
        "cobol": "cob cbl",
        "common lisp": "lisp lsp",
        "css": "css",
        "cuda": "cu cuh",
        "cython": "pyx pxd pxi",
        "d": "d",
        "dart": "dart",
        "elixir": "ex exs",
        "emacs lisp": "el",
        "erlang": "erl hrl",
        "f#": "fs fsi fsx",
        "fortran": "f f77 f90 f95 f03 f08 for",
        "go": "go",
        "groovy": "groovy gradle",
        "haskell": "hs lhs",
        "hcl": "tf tfvars hcl",
        "html": "html htm xhtml",
        "java": "java",
        "javascript": "js mjs cjs jsx",
        "json": "json",
        "julia": "jl",
        "kotlin": "kt kts",
        "lua": "lua",
        "makefile": "mk mak",
        "markdown": "md markdown",
        "matlab": "m",
        "nim": "nim",
        "nix": "nix",
        "ocaml": "ml mli",
        "pascal": "pas pp dpr",
        "perl": "pl pm t",
        "php": "php phtml",
        "powershell": "ps1 psm1 psd1",
        "prolog": "pro prolog",
        "protocol buffer": "proto",
        "python": "py pyi pyw",
        "r": "r rmd",
        "restructuredtext": "rst",
        "ruby": "rb rake gemspec",
        "rust": "rs",
        "sas": "sas",
        "scala": "scala sc",
        "scheme": "scm ss",
        "scss": "scss sass",
        "shell": "sh bash zsh ksh",
        "solidity": "sol",
        "sql": "sql",
        "stata": "do ado",
        "swift": "swift",
        "systemverilog": "sv svh",
        "tcl": "tcl",
        "tex": "tex sty cls",
        "toml": "toml",
        "typescript": "ts tsx mts cts",
        "verilog": "v vh",
        "vhdl": "vhd vhdl",
        "vim script": "vim",
        "visual basic": "vb bas",
        "vue": "vue",
        "xml": "xml xsd xsl",
        "yaml": "yaml yml",
        "zig": "zig",
    }.items()
    for extension in extensions.split()
}
BY_NAME = {
    "dockerfile": "dockerfile",
    "makefile": "makefile",
    "gnumakefile": "makefile",
    "cmakelists.txt": "cmake",
    "rakefile": "ruby",
    "gemfile": "ruby",
    "jenkinsfile": "groovy",
    "sconstruct": "python",
    "sconscript": "python",
}
BY_INTERPRETER = {
    "awk": "awk",
    "bash": "shell",
    "dash": "shell",
    "gawk": "awk",
    "ksh": "shell",
    "lua": "lua",
    "node": "javascript",
    "nodejs": "javascript",
    "perl": "perl",
    "php": "php",
    "python": "python",
    "pypy": "python",
    "rscript": "r",
    "ruby": "ruby",
    "sh": "shell",
    "tclsh": "tcl",
    "wish": "tcl",
    "zsh": "shell",
}
LANGUAGES = frozenset([*BY_EXTENSION.values(), *BY_NAME.values(), *BY_INTERPRETER.values()])
VERSION = re.compile(r"[\d.]+$")


def language_by_name(path: str) -> str | None:
    """The language a file's name tells, or None."""
    name = posixpath.basename(path).lower()
    return BY_NAME.get(name) or BY_EXTENSION.get(posixpath.splitext(name)[1].lstrip("."))


def language_by_shebang(content: bytes) -> str | None:
    """The language of the interpreter named in the first line, `/usr/bin/env` looked through, or None."""
    line = content[:256].split(b"\n", 1)[0].decode("latin-1")
    if not line.startswith("#!"):
        return None
    programs = [posixpath.basename(word) for word in line[2:].split() if not word.startswith("-") and "=" not in word]
    program = next((name for name in programs if name != "env"), "")
    return BY_INTERPRETER.get(VERSION.sub("", program.lower()))
