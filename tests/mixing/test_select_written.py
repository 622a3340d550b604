"""The compiled writing of texts is the general one's, character by character."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.perplexity.normalisation import normalised_documents
from mixing.select.written import lines_of

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\r\t\x0b\x1c\x85\xa0Aa9.Σςßİ'é"), max_size=30
)


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, max_size=4))
def test_the_lines_are_those_of_the_general_way(documents: list[str]) -> None:
    array = pa.array(["before", *documents], pa.string()).slice(1)
    assert list(lines_of(array)) == list(normalised_documents(array))


def test_every_character_of_the_basic_plane_is_written_as_the_general_way_does() -> None:
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    array = pa.array([f"a{c}B {c}{c}\n" for c in characters], pa.string())
    wrong = [
        c
        for c, one, other in zip(characters, lines_of(array), normalised_documents(array), strict=True)
        if one != other
    ]
    assert not wrong
