"""Repair: what it mends, what it leaves alone, and that once is enough."""

import re

import ftfy
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Batch, Document
from corpus.kernels.layout import plain_layout
from corpus.repair import CONCERNS, Repair, RepairSettings, decoded, found_in


def batch(*texts: str) -> Batch:
    return Batch.of([Document("s", "f", i, text, len(text.encode())) for i, text in enumerate(texts)])


def repaired(text: str, **options: bool) -> str:
    done = RepairSettings(**options).build().process(batch(text))
    assert len(done.unbalanced()) == 0
    return done.text[0].as_py()


@pytest.mark.parametrize("original", ["schön", "l’humanité", "naïve café — “quoted”", "Привет, мир", "5 µg ± 2 °C"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_utf8_read_as_another_encoding_is_undone(original: str, encoding: str) -> None:
    # As real programs decode: the five bytes cp1252 leaves undefined come through as C1 controls.
    broken = "".join(
        bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in f"sound line\n{original}".encode()
    )
    assert repaired(broken) == f"sound line\n{original}"


@pytest.mark.parametrize(
    "text",
    [
        "“curly” ‘quotes’ – dashes…",
        "ﬁne ligature, Ａ full width, x² and ½",
        "&amp; &lt;b&gt; stays an entity",
        "def f():\n\tif x:\n\t    return 1\n",
        "می‌خواهم 👩‍⚕️",
        "Съешь же ещё этих мягких французских булок",
        "東京都は日本の首都である。",
        "one\n\n\ntwo",
        "name\tdose\tnote\nAspirin\t100\t\nIbuprofen\t\t\n\t\t\nall\t\tdaily\n",
        "See:\n\n```python\na = 1\n\n\n\n\n\nb = 2\n\n\n\n\n```\n\nEnd.",
        "~~~~\n```\n\n\n\n\nx\n~~~~",
    ],
)
def test_what_the_text_says_is_left_alone(text: str) -> None:
    assert repaired(text) == text


@pytest.mark.parametrize(
    ("text", "expected", "kind"),
    [
        ("e\u0301", "é", "unicode"),
        ("\ufeffa\u200bb\x00\x07c\x1b[0m", "abc[0m", "controls"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd", "whitespace"),
        ("  a \t\nb  ", "  a\nb", "whitespace"),
        ("\n\na\n\n\n\n\nb\n\n\n", "a\n\nb\n", "whitespace"),
    ],
)
def test_each_edit_is_booked_under_its_own_kind(text: str, expected: str, kind: str) -> None:
    done = RepairSettings().build().process(batch(text))
    assert done.text[0].as_py() == expected
    booked = {name: done[f"edit.{name}"][0].as_py() for name in done.edit_kinds}
    assert {name: value for name, value in booked.items() if value} == {
        kind: len(expected.encode()) - len(text.encode())
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\t \nc\td\t\t  \n", "a\tb\t\nc\td\t\t\n"),  # spaces behind the last cell are none
        ("\tindented\t\nword\t\n", "\tindented\nword\n"),  # no row, and not beside one
        ("a\tb\nc\t\t\n", "a\tb\nc\n"),  # beside a row of other tabs
        ("```\na\n\n\n\n\nb", "```\na\n\nb"),  # never closed
        ("x ```y``` z\n\n\n\n\nb\n```", "x ```y``` z\n\nb\n```"),
        ("```a`b\n\n\n\n\nb\n```", "```a`b\n\nb\n```"),  # inline code
        ("    ```\n\n\n\n\n    ```", "    ```\n\n    ```"),  # indented too far
        (
            "````\n```\n\n\n\n\na\n```` x\n\n\n\n\n`````  \n\n\n\n\nb",
            "````\n```\n\n\n\n\na\n```` x\n\n\n\n\n`````\n\nb",
        ),
        ("```  \na \n\n\n\n\n b\n```\n\n\n", "```\na\n\n\n\n\n b\n```\n"),
    ],
)
def test_tables_keep_their_cells_and_fenced_code_its_empty_lines_and_nothing_else_does(
    text: str, expected: str
) -> None:
    assert repaired(text) == expected


def by_expressions(text: str) -> str:
    """The layout of a text without tabs and fences, as regular expressions say it."""
    for pattern, replacement in (
        (r" +\n", "\n"),
        (r" +\Z", ""),
        (r"\n{4,}", "\n\n"),
        (r"\A\n+", ""),
        (r"\n{2,}\Z", "\n"),
    ):
        text = re.sub(pattern, replacement, text)
    return text


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "é", "`", " ", "\n", "\n\n", "\n\n\n"]), max_size=30).map("".join))
def test_the_layout_is_that_of_expressions(text: str) -> None:
    assert plain_layout(pa.array([text, "x", text], pa.string())).to_pylist() == [
        by_expressions(t) for t in (text, "x", text)
    ]


def test_fences_that_are_never_closed_cost_no_more_than_their_text() -> None:
    fences = "".join("`" * length + "\n" + "line\n" * 50 for _ in range(400) for length in (40, 9, 8, 7, 6, 5, 4, 3))
    text = fences[: fences.rindex("`\n")] + "\n" * 5
    # Quadratic, it would take minutes, and the test run would show it.
    (laid_out,) = plain_layout(pa.array([text], pa.string())).to_pylist()
    assert laid_out == text.rstrip("\n") + "\n"


def test_code_keeps_its_literals_and_form_feeds() -> None:
    code = 'x = "schÃ¶n"\n\x0c\ny = "e\u0301\u200b"\t# end  \n'
    assert repaired(code, code=True) == 'x = "schÃ¶n"\n\x0c\ny = "e\u0301\u200b"\t# end\n'
    assert RepairSettings(code=True).build().edits == ("controls", "whitespace")


def test_edits_that_are_switched_off_are_not_made() -> None:
    text = "schÃ¶n e\u0301\x07 \r\n"
    assert repaired(text, mojibake=False, nfc=False, controls=False, whitespace=False) == text


def test_a_text_of_which_nothing_is_left_is_dropped_and_verdicts_stand() -> None:
    documents = [
        Document("s", "f", 0, "\u200b \n", 5),
        Document("s", "f", 1, " kept as it is ", 15, step="read", reason="empty text"),
        Document("s", "f", 2, "fine", 4),
    ]
    done = RepairSettings().build().process(Batch.of(documents))
    assert done["step"].to_pylist() == ["repair", "read", None]
    assert done["reason"].to_pylist() == ["empty text", "empty text", None]
    assert done.text.to_pylist() == ["", " kept as it is ", "fine"]


PIECES = [
    "```",
    "\n~~~\n",
    "Ã",
    "¶",
    "â€™",
    "Ã\xa0",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\x00",
    "\u200b",
    "\ufeff",
    "\x92",
    "e",
    "\u0301",
    "é",
    "Р",
    "џ",
]
messy = st.lists(st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec="utf-8"), max_size=3)), max_size=20)


@settings(max_examples=300, deadline=None)
@given(st.lists(messy.map("".join), min_size=1, max_size=4), st.booleans())
def test_repairing_twice_is_repairing_once_and_bytes_add_up(texts: list[str], code: bool) -> None:
    step: Repair = RepairSettings(code=code).build()
    once = step.process(batch(*texts))
    assert len(once.unbalanced()) == 0
    assert step.process(batch(*once.text.to_pylist())).text.equals(once.text)
    alone = [step.process(batch(text)).text[0].as_py() for text in texts]
    assert once.text.to_pylist() == alone


def test_the_pass_over_the_bytes_misses_nothing_that_an_edit_would_change() -> None:
    around = ("", "a", "é", "“", " ", "\n", "Ã")
    characters = [chr(code) for code in (*range(0x3000), *range(0xFB00, 0xFFFE), 0x1F600, 0x1D15E) if code]
    texts = [f"{before}{character}{after}" for character in characters for before in around for after in ("", "a", "é")]
    step = RepairSettings().build()
    column = batch(*texts).text
    marks = found_in(column)
    for kind, edit in step._edits().items():
        changed = [a != b for a, b in zip(edit(column).to_pylist(), texts, strict=True)]
        missed = [
            texts[row] for row, (c, m) in enumerate(zip(changed, marks, strict=True)) if c and not m & CONCERNS[kind]
        ]
        assert not missed, (kind, missed[:10])


# Words, and what UTF-8 of them looks like in an encoding of one byte; far apart and close together.
sound = st.sampled_from(
    ["word ", "plain text goes on ", "é", "’", "“so”", "Ã", "â", "€", " ", "?", "\0", "Ж", "東京", "× ²", "œ"]
)
broken = st.builds(
    lambda text, encoding: text.encode().decode(encoding, "replace"),
    st.sampled_from(["l’humanité", "naïve", "“quoted”", "Привет", "5 µg", "à la", "Ångström", "日本"]),
    st.sampled_from(["latin-1", "cp1252", "cp1251", "cp1253", "mac-roman"]),
)


@settings(max_examples=300)
@given(st.lists(sound | broken, max_size=9).map("".join))
def test_a_line_is_decoded_as_ftfy_decodes_all_of_it(line: str) -> None:
    assert decoded(line) == ftfy.fix_encoding(line, ftfy.TextFixerConfig(unescape_html=False, explain=False))
