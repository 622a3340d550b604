"""Filters and formatters in a file of the user's."""

import pickle
from pathlib import Path

import pytest

from corpus.document import Batch, Document
from corpus.errors import ConfigError, DataError
from corpus.own_steps import FilterSettings, FormatterSettings

CODE = """
def long_enough(text):
    return len(text) > 4

def open_only(text, metadata):
    return True if metadata.get("open") else "closed ticket"

def shouted(text):
    return text.upper() + "!"

def silent(text):
    return None

def broken(text):
    raise ValueError(text)

def three(a, b, c):
    return True

answer = 42
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return str(path)


def batch() -> Batch:
    return Batch.of(
        [
            Document("s", "f", 0, "a long text", 11, metadata='{"open": true}'),
            Document("s", "f", 1, "tiny", 4, metadata='{"open": false}'),
            Document("s", "f", 2, "", 9, step="quarantine", reason="not JSON"),
            Document("s", "f", 3, "größer", 8),
        ]
    )


def test_a_filter_drops_what_it_says_false_to_and_never_unreadable_rows(file):
    step = FilterSettings(kind="filter", file=file, function="long_enough").build()
    done = step.process(batch())
    assert done["step"].to_pylist() == [None, "long_enough", "quarantine", None]
    assert done["reason"].to_pylist() == [None, "not kept", "not JSON", None]


def test_a_filter_sees_the_metadata_and_may_say_why(file):
    step = FilterSettings(kind="filter", file=file, function="open_only", label="tickets").build()
    done = step.process(batch())
    assert done["step"].to_pylist() == [None, "tickets", "quarantine", "tickets"]
    assert done["reason"].to_pylist()[1] == "closed ticket"


def test_a_formatter_books_its_bytes_and_travels_to_a_worker(file):
    step = pickle.loads(pickle.dumps(FormatterSettings(kind="formatter", file=file, function="shouted").build()))  # noqa: S301
    done = step.process(batch())
    assert done.text.to_pylist() == ["A LONG TEXT!", "TINY!", "", "GRÖSSER!"]
    assert done["edit.shouted"].to_pylist() == [1, 1, 0, 1]
    assert not len(done.unbalanced())


def test_a_changed_file_is_another_function(file):
    settings = FormatterSettings(kind="formatter", file=file, function="shouted")
    before = settings.build().identity()
    Path(file).write_text(CODE.replace("!", "?"))
    assert settings.build().identity() != before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"function": "shoutd"}, "no function"),
        ({"function": "answer"}, "no function"),
        ({"function": "three"}, "3 arguments"),
        ({"file": "nowhere.py"}, "no such file"),
    ],
)
def test_a_mistake_is_told_before_any_work(file, change, said):
    with pytest.raises(ConfigError, match=said):
        FormatterSettings(**({"kind": "formatter", "file": file, "function": "shouted"} | change)).build()


def test_a_file_that_cannot_be_imported_is_told(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("import nothing_of_this_name")
    with pytest.raises(ConfigError, match="nothing_of_this_name"):
        FilterSettings(kind="filter", file=str(path), function="f").build()


@pytest.mark.parametrize("function", ["broken", "silent"])
def test_a_fault_names_the_document_and_not_its_text(file, function):
    step = FormatterSettings(kind="formatter", file=file, function=function).build()
    with pytest.raises(DataError) as error:
        step.process(batch())
    assert "f record 0" in str(error.value) and "a long text" not in str(error.value)


def test_a_filter_must_answer(file):
    with pytest.raises(DataError, match="NoneType"):
        FilterSettings(kind="filter", file=file, function="silent").build().process(batch())
