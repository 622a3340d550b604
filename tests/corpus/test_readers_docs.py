"""docs/readers.md tells the truth: its recipes parse, its table has every reader."""

import re
from pathlib import Path

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from corpus.readers import READERS
from corpus.recipe import SourceSettings

PAGE = (Path(__file__).parents[2] / "docs/readers.md").read_text()


def test_every_recipe_of_the_page_parses_and_every_reader_has_one() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    sources = [source for block in blocks for source in YAML(typ="safe").load(block)]
    parsed = TypeAdapter(list[SourceSettings]).validate_python(sources)
    assert {source.reader.kind for source in parsed} == set(READERS)


def test_the_table_has_every_reader_with_the_extensions_it_takes() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", PAGE, re.MULTILINE))
    del rows["kind"]
    assert set(rows) == set(READERS)
    for kind, reader in READERS.items():
        named = set(re.findall(r"\.\w+", rows[kind]))
        if kind == "textbooks":
            named |= {".htm", ".xhtml"}
        if kind not in ("code", "hugging_face"):
            assert named == set(reader.suffixes), kind
