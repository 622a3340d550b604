import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.language_codes import TWO_LETTERS, best_match, language_of, matched, same_language

LABELS = ["en", "eng", "eng_Latn", "arb_Arab", "srp_Cyrl", "srp_Latn", "sr", "als", "als_Latn", "ceb", "zh", "cmn_Hani"]


def test_codes_are_those_of_unicodes_aliases():
    global_data = pytest.importorskip("babel.core", reason="babel, an independent table, is not installed").get_global
    aliases = global_data("language_aliases")
    # CLDR takes Tagalog for Filipino; lid.176 and GlotLID mean the same language by tl, tgl and fil.
    assert {k: v for k, v in TWO_LETTERS.items() if k not in ("tgl", "fil")} == {
        k: aliases[k] for k in TWO_LETTERS if k not in ("tgl", "fil")
    }


def test_a_label_with_a_script_is_the_language_itself():
    expected = ["en", "en", "en", "ar", "sr", "sr", "sr", "als", "sq", "ceb", "zh", "zh"]
    assert [language_of(label) for label in LABELS] == expected
    assert same_language("eng_Latn", "en") and same_language("en", "eng_Latn") and same_language("zh-Hans", "zh")
    assert same_language("srp_Latn", "sr") and not same_language("srp_Latn", "srp_Cyrl")
    assert not same_language("als", "sq")


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=4), st.lists(st.sampled_from([*LABELS, None])))
def test_the_expression_finds_what_the_function_finds(wanted, labels):
    frame = pl.DataFrame({"label": pl.Series(labels, dtype=pl.String)})
    found = frame.select(matched(pl.col("label"), tuple(wanted)))["label"].to_list()
    assert found == [None if label is None else best_match(label, tuple(wanted)) for label in labels]
