"""docs/reliability.md: every test that it names exists, and every test marked `faults` is named there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/reliability.md").read_text()


def marked(node: ast.expr) -> bool:
    return "pytest.mark.faults" in ast.unparse(node)


def found_in(path: Path) -> Iterator[tuple[str, bool]]:
    """(name, marked `faults`) of the tests of a file, by decorators or for the whole file."""
    tree = ast.parse(path.read_text())
    whole = any(
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" and marked(node.value)
        for node in tree.body
    )
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, whole or any(marked(decorator) for decorator in node.decorator_list)


def everything() -> dict[str, bool]:
    return {
        f"tests/{path.relative_to(TESTS)}::{name}": own
        for path in sorted(TESTS.rglob("test_*.py"))
        for name, own in found_in(path)
    }


def test_every_named_test_exists_and_every_test_of_a_fault_is_named() -> None:
    named = set(re.findall(r"tests/\w+/\w+\.py::\w+", PAGE))
    tests = everything()
    helpers = {"tests/faults/test_poison.py::test_anonymous_memory_is_counted"}
    assert sorted(named - set(tests)) == []
    assert sorted({name for name, fault in tests.items() if fault} - named - helpers) == []


def test_every_row_of_the_table_has_a_test() -> None:
    rows = [line for line in PAGE.partition("## Poisonous")[0].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 25 and all("::test_" in row for row in rows)


def test_the_defaults_of_the_page_are_the_defaults() -> None:
    from corpus.engine.limits import GuardSettings

    said = re.search(r"guard: \{seconds: (\d+), memory_gb: (\d+)\}", PAGE)
    assert said is not None
    assert GuardSettings() == GuardSettings(seconds=float(said[1]), memory_gb=float(said[2]))
