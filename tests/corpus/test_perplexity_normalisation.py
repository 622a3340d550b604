"""The compiled writing of texts is that of the expressions, character by character."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.perplexity.normalisation import DEFAULT, Normalisation, _by_expressions, normalised_column

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\r\t\x0b\x1c\x85\xa0Aa9.ΣςßİⒶ'é"), max_size=30
)
ways = st.builds(
    Normalisation,
    case=st.sampled_from(["lower", "keep"]),
    digits=st.sampled_from(["zero", "keep"]),
    punctuation=st.sampled_from(["apart", "drop"]),
)


def lines(column: pa.LargeStringArray) -> list[list[str]]:
    return [[line for line in document.split("\n") if line] for document in column.to_pylist()]


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, max_size=4), ways)
def test_the_lines_are_those_of_the_expressions(documents: list[str], how: Normalisation) -> None:
    array = pa.array(["before", *documents], pa.string()).slice(1)
    assert lines(normalised_column(array, how)) == lines(_by_expressions(array, how))


@pytest.mark.parametrize("how", [DEFAULT, Normalisation(case="keep", digits="keep", punctuation="drop")])
def test_every_character_of_the_basic_plane_is_written_as_the_expressions_do(how: Normalisation) -> None:
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    array = pa.array([f"a{c}B {c}{c}\n" for c in characters], pa.string())
    found, expected = lines(normalised_column(array, how)), lines(_by_expressions(array, how))
    assert [c for c, one, other in zip(characters, found, expected, strict=True) if one != other] == []
