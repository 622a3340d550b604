"""A page for every file of the checkout that a page links to, so that the site shows it without a network.

A page writes `[text](../tests/corpus/test_ledger.py#test_name)`, which a reader of the Markdown can follow in the
checkout. On the site the link leads to `source/tests/corpus/test_ledger.py.md`, where each function that is linked has
a heading of its own.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]+)\]\((?P<path>\.\./[^)#\s]+)(?:#(?P<name>[^)\s]+))?\)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash", ".json": "json", ".ipynb": "json"}


class MissingLink(Exception):  # noqa: N818
    """A page links to a file or a function that is not there."""


def outgoing_links(text: str) -> list[tuple[str, str | None]]:
    """(path from the root of the checkout, name after `#` or None) of every link that leaves docs/."""
    return [(link["path"].removeprefix("../"), link["name"]) for link in LINK.finditer(text)]


def with_source_links(text: str, page: str) -> str:
    """Markdown of `page`, its links out of docs/ turned into links to the pages of this module."""
    up = "../" * (len(PurePosixPath(page).parts) - 1)

    def on_site(link: re.Match[str]) -> str:
        name = f"#{link['name']}" if link["name"] else ""
        return f"[{link['text']}]({up}{page_of(link['path'].removeprefix('../'))}{name})"

    return LINK.sub(on_site, text)


def page_of(path: str) -> str:
    """The page of the site that shows a file or folder of the checkout."""
    return f"source/{path.rstrip('/')}.md"


def source_pages(checkout: Path, texts: Iterable[str]) -> dict[str, str]:
    """Page → Markdown of everything the texts link to. Raises MissingLink for what is not there."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for text in texts:
        for path, name in outgoing_links(text):
            wanted[path] |= {name} if name else set()
    return {page_of(path): _page(checkout, path, names) for path, names in sorted(wanted.items())}


def functions(path: Path) -> dict[str, int]:
    """name → first line, decorators included, of each function and class at the top of a Python file."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return found


def _page(checkout: Path, path: str, names: set[str]) -> str:
    file = checkout / path
    head = f"---\nsearch:\n  exclude: true\n---\n# {path}\n"
    if file.is_dir():
        return f"{head}\n{_listing(file)}"
    if not file.is_file():
        raise MissingLink(f"{path}: a page links to it, and it is not there")
    lines = file.read_text().splitlines()
    starts = functions(file) if names else {}
    if unknown := sorted(names - set(starts)):
        raise MissingLink(f"{path}: a page links to {', '.join(unknown)}, which it does not define")
    cuts = sorted((starts[name], name) for name in names)
    ends = [line for line, _ in cuts[1:]] + [len(lines) + 1]
    first = cuts[0][0] if cuts else len(lines) + 1
    parts = [_code(path, lines, 1, first)]
    for (start, name), end in zip(cuts, ends, strict=True) if cuts else ():
        parts += [f"## {name} {{ #{name} }}\n", _code(path, lines, start, end)]
    return "\n".join((head, *parts))


def _code(path: str, lines: list[str], start: int, end: int) -> str:
    if start == end:
        return ""
    language = LANGUAGES.get(PurePosixPath(path).suffix, "text")
    return "\n".join((f'``````{language} linenums="{start}"', *lines[start - 1 : end - 1], "``````\n"))


def _listing(folder: Path) -> str:
    """The modules of a folder, each with the first sentence of its docstring."""
    rows = []
    for file in sorted(folder.glob("*.py")):
        docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
        rows.append(f"- `{file.name}`: {docstring.split(chr(10) * 2)[0]}".replace("\n", " "))
    folders = sorted(one.name for one in folder.iterdir() if one.is_dir() and any(one.glob("*.py")))
    return "\n".join((*rows, *(f"- `{name}/`" for name in folders))) + "\n"
