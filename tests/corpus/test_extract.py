"""Extraction: readable text from pages, and a verdict for a page that breaks or stalls the parser."""

import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_walk import walked

from corpus.document import Batch, Document
from corpus.extract import Extract, ExtractSettings
from corpus.extract import guard as guard_module
from corpus.extract.content import main_content, plain_texts
from corpus.extract.guard import Failure, Guard
from corpus.extract.page_text import body, resiliparse, written

DOCS = Path("/usr/share/doc/python3.11/html/library/bisect.html")


def batch(*pages: str) -> Batch:
    return Batch.of([Document("s", "f", i, page, len(page.encode())) for i, page in enumerate(pages)])


@pytest.fixture(params=["resiliparse", "plain"])
def extract(request: pytest.FixtureRequest) -> Iterator[Extract]:
    step = ExtractSettings(engine=request.param).build()
    yield step
    step.guard.close()


@pytest.fixture
def treacherous(monkeypatch: pytest.MonkeyPatch) -> Iterator[Extract]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    step = Extract(ExtractSettings(timeout_seconds=0.3), engine="extract_engines:treacherous")
    yield step
    step.guard.close()


def test_words_are_never_glued_together(extract: Extract) -> None:
    page = (
        "<html><body><main><h1>Head</h1><p>one<br>two<br/>three</p><p>four</p>five<div>six</div>seven"
        "<table><tr><th>eight</th><th>nine</th></tr><tr><td>ten</td><td>eleven</td></tr></table>"
        "<ul><li>twelve is a list item of some length, so that it counts as content</li>"
        "<li>thirteen is another list item of some length, as content has it</li></ul>"
        "<dl><dt>fourteen</dt><dd>fifteen</dd></dl></main></body></html>"
    )
    text = extract.process(batch(page)).text[0].as_py()
    expected = "Head one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    found = set(text.split())
    assert set(expected.split(" ")) <= found


SEPARATED = ("p", "div", "li", "td", "th", "h2", "blockquote", "dt", "dd", "pre", "section")
JOINED = ("b", "i", "sub", "span", "code", "a")


@pytest.fixture(scope="module")
def guards() -> Iterator[dict[str, Guard]]:
    """One child for each engine, for many pages."""
    opened = {name: Guard(name, 10) for name in ("resiliparse", "plain")}
    yield opened
    for guard in opened.values():
        guard.close()


@st.composite
def pages(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A page and its words: neighbours in blocks of their own or with a <br> between are two, in inline tags one."""
    number, words, content = 0, [], []
    for _ in range(draw(st.integers(1, 8))):
        tag, parts, marked = draw(st.sampled_from(SEPARATED)), draw(st.integers(1, 4)), []
        for _ in range(parts):
            number += 1
            inline = draw(st.sampled_from(("", "<br>", *JOINED)))
            if inline in JOINED:
                words.append(f"w{number}x")
                marked.append(f" w{number}<{inline}>x</{inline}>")
            else:
                words += [f"w{number}", f"v{number}"]
                marked.append(f" w{number}{inline or ' '}v{number}")
        cell = f"<{tag}>{''.join(marked)}</{tag}>"
        around = {"li": "<ul>{}</ul>", "td": "<table><tr>{}</tr></table>", "th": "<table><tr>{}<td>c</td></tr></table>"}
        around |= {"dt": "<dl>{}</dl>", "dd": "<dl>{}</dl>"}
        content.append(around.get(tag, "{}").format(cell))
    return f"<html><body><main>{''.join(content)}</main></body></html>", words


@pytest.mark.parametrize("engine", ["resiliparse", "plain"])
@settings(max_examples=100, deadline=None)
@given(page=pages())
def test_blocks_part_words_and_inline_tags_do_not(
    guards: dict[str, Guard], engine: str, page: tuple[str, list[str]]
) -> None:
    (text,) = guards[engine].map([page[0]])
    assert isinstance(text, str)
    assert set(page[1]) <= set(text.split()), text


def test_the_content_is_told_from_what_stands_around_it(guards: dict[str, Guard]) -> None:
    sentence = "The hospital opened a second ward for patients who need care around the clock. "
    teaser = (
        "<div class='teaser-list related'><h3><a href='/x'>Other news</a></h3><p>A new bridge is to be built.</p></div>"
    )
    page = (
        f"<body><div class='top'><ul><li><a href='/'>Home</a></li></ul></div><p>Lead: {sentence}</p>"
        f"<div id='story'>{f'<p>{sentence}</p>' * 6}<table><tr><td>beds</td><td>40</td></tr></table>"
        f"<div class='post-share'>Share this with friends</div></div>{teaser}"
        f"<div class='comments'><p>{sentence.replace('hospital', 'troll')}</p></div></body>"
    )
    (text,) = guards["resiliparse"].map([page])
    assert isinstance(text, str)
    assert text.count("The hospital opened") == 7
    assert "Lead:" in text and "beds" in text and "40" in text
    assert not {"Home", "Share", "Other", "bridge", "troll"} & set(text.split())


def test_a_part_that_holds_most_of_the_text_is_content_whatever_its_name(guards: dict[str, Guard]) -> None:
    thread = "".join(f"<p>Reply {i}: this is what a forum is made of, one comment after another.</p>" for i in range(9))
    (text,) = guards["resiliparse"].map([f"<body><div class='comments'>{thread}</div></body>"])
    assert isinstance(text, str)
    assert all(f"Reply {i}" in text for i in range(9))


def test_a_deep_page_is_read_without_recursion(guards: dict[str, Guard]) -> None:
    deep = "<div class='widget'>" * 3000 + "at the bottom" + "</div>" * 3000
    (text,) = guards["resiliparse"].map([f"<body>{deep}</body>"])
    assert isinstance(text, str) and "at the bottom" in text


def test_trafilatura_is_a_choice() -> None:
    step = ExtractSettings(engine="trafilatura").build()
    body = "".join(f"<p>Paragraph {i} says something about the matter at some length.</p>" for i in range(6))
    try:
        done = step.process(
            batch(f"<html><body><nav><a href='/'>Home</a></nav><article>{body}</article></body></html>")
        )
    finally:
        step.guard.close()
    text = done.text[0].as_py()
    assert "Paragraph 5 says" in text and "Home" not in text


@pytest.mark.parametrize("depth", [0, 1, 2, 6])
def test_lists_of_prose_stay_and_menus_go(depth: int) -> None:
    prose = "<p>Call a doctor when any of the following occurs, as it may be serious and need treatment at once:</p>"
    menu = "<ul><li><a href='/'>Homepage</a></li><li><a href='/n'>News</a></li></ul>"
    page = f"{menu}<nav>Sections {menu}</nav>{prose}<ul><li>chest pain</li><li>fever for days</li></ul>{prose}"
    step = ExtractSettings().build()
    try:
        text = step.process(batch(f"<body>{'<div>' * depth}{page}{'</div>' * depth}</body>")).text[0].as_py()
    finally:
        step.guard.close()
    assert "• chest pain\n" in text
    assert "• fever for days\n" in text
    assert "Homepage" not in text
    assert "Sections" not in text


# What a word may be followed by, and whether that ends the word.
SEPARATORS = {
    "<br>": True,
    "<hr>": True,
    "</p><p>": True,
    "</p><div>one</div><p>": True,
    "</p><ul><li>two</li><li>three</li></ul><p>": True,
    "</p><table><tr><td>four</td><td>five</td></tr><tr><td>six</td></tr></table><p>": True,
    "</p><pre>seven\neight</pre><p>": True,
    "</p><h2>nine</h2><blockquote>ten</blockquote><p>": True,
    "</p><dl><dt>eleven</dt><dd>twelve</dd></dl><p>": True,
    "<b></b>": False,
    "<span> </span>": True,
    "<!-- -->": False,
}
pieces = st.lists(
    st.tuples(st.text("abcdef", min_size=1, max_size=6), st.sampled_from(sorted(SEPARATORS))), max_size=12
)


@pytest.fixture(scope="module", params=["resiliparse", "trafilatura", "plain"])
def guard(request: pytest.FixtureRequest) -> Iterator[Guard]:
    engine = Guard(request.param, 10)
    yield engine
    engine.close()


@settings(max_examples=150, deadline=None)
@given(pieces)
def test_words_with_a_boundary_between_them_stay_words(guard: Guard, parts: list[tuple[str, str]]) -> None:
    prose = "<p>This is a paragraph of ordinary prose, which is long enough to count as content of the page.</p>"
    page = prose + "<p>" + "".join(word + separator for word, separator in parts) + "</p>" + prose
    # The words of the page by the table above: tags that bound a word are a space, the others nothing.
    bounded = page
    for separator, ends in SEPARATORS.items():
        if not ends:
            bounded = bounded.replace(separator, "")
    words = set(re.sub(r"<[^>]*>", " ", bounded).split())
    (text,) = guard.map([f"<html><body><main>{page}</main></body></html>"])
    assert isinstance(text, str)
    assert set(text.replace("|", " ").split()) - {"•", "-"} <= words
    assert "ordinary prose" in text


def test_inline_tags_do_not_split_words_and_code_keeps_its_indentation(extract: Extract) -> None:
    page = "<main><p>H<sub>2</sub>O and un<b>believ</b>able</p><pre>def f():\n    return 1\n\n    # end</pre></main>"
    text = extract.process(batch(page)).text[0].as_py()
    assert "H2O and unbelievable" in text
    assert "def f():\n    return 1\n\n    # end" in text


@pytest.mark.skipif(not DOCS.exists(), reason="needs Debian's python3.11-doc")
def test_sphinx_pages_come_without_link_marks_and_navigation() -> None:
    step = ExtractSettings().build()
    try:
        text = step.process(batch(DOCS.read_text())).text[0].as_py()
    finally:
        step.guard.close()
    assert "¶" not in text
    assert "bisect.bisect_left(a, x, lo=0, hi=len(a), *, key=None)" in text
    assert "    i = bisect_left(a, x)\n" in text
    assert "Quick search" not in text


@pytest.mark.parametrize(
    "head", ["", "<html><head><title>logo</title></head>", "<body onload='a>b'>", "<BODY class=x>"]
)
def test_main_content_has_no_alternative_texts_whatever_the_body_tag(head: str) -> None:
    prose = "<p>Call a doctor when any of the following occurs, as it may be serious and need treatment at once.</p>"
    guard = Guard("resiliparse", 5)
    try:
        (text,) = guard.map([f"{head}{prose}<p><img src=x alt='logo of the hospital'></p>{prose}"])
    finally:
        guard.close()
    assert isinstance(text, str)
    assert text.count("Call a doctor") == 2
    assert "logo" not in text


def test_pages_without_text_or_too_large_are_dropped_and_the_edit_is_booked() -> None:
    step = ExtractSettings(max_bytes=1000).build()
    done = list(step.run([batch("<p>some words</p>", "<p> </p>", "<p>x</p>" + " " * 1000)]))
    assert done[0]["reason"].to_pylist() == [None, "no text", "page above 1000 bytes"]
    assert done[0].text[0].as_py().strip() == "some words"
    assert len(done[0].unbalanced()) == 0
    assert done[0]["edit.extract"].to_pylist()[1:] == [0, 0]


PROSE = "A sentence of ordinary prose, which is long enough to count as content of a page &amp; more. "
leaves = st.sampled_from(
    [
        *(
            f"<p>{PROSE}</p>",
            f"<p class='lead'>{PROSE * 3}</p>",
            "<a href='/'>Home</a>",
            "<p>short</p>",
            "&nbsp;x &lt; y",
        ),
        *(
            "<!-- <p>no</p> -->",
            "<script>if (a < b) '</p>'</script>",
            "<br>",
            "<img src=x alt='a>b'>",
            "text",
            '<p a"b=1>odd',
        ),
        *(
            "<span class=byline>by</span>",
            f"<td>{PROSE}",
            "<svg><title>t</title><path d='m'/></svg>",
            "<template><p>t</template>",
        ),
    ]
)
containers = st.sampled_from(
    [
        "div",
        "div class='comments'",
        "div id=sidebar",
        "section",
        "article",
        "nav",
        "ul",
        "li",
        "footer",
        "a href='/x'",
        "table",
    ]
)
bodies = st.recursive(
    leaves,
    lambda inner: st.tuples(containers, st.lists(inner, max_size=5)).map(
        lambda part: f"<{part[0]}>{''.join(part[1])}</{part[0].split()[0]}>"
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(bodies, min_size=1, max_size=4).map("".join))
def test_the_content_read_off_the_writing_is_that_of_the_tree(inside: str) -> None:
    page = f"<body class='home'>{inside}</body>"
    assert resiliparse(page) == walked(page)


inner = st.sampled_from(
    ["x", " ", "  y ", "a b", "\n", "&amp;lt;", "&nbsp;", "é ", "<!-- c -->", "q&gt;", "\f", "<br>", "<hr>"]
)
tags = st.sampled_from(
    [
        *("p", "div", "ul", "ol", "li", "b", "i", "span", "h1", "h5", "blockquote", "a class=headerlink"),
        *("a href=/link/x", "td", "pre", "label", "custom"),
    ]
)
soup = st.recursive(
    inner,
    lambda parts: st.tuples(tags, st.lists(parts, max_size=4)).map(
        lambda made: f"<{made[0]}>{''.join(made[1])}</{made[0].split()[0]}>"
    ),
    max_leaves=30,
)


@settings(max_examples=500, deadline=None)
@given(st.lists(soup, min_size=1, max_size=4).map("".join))
def test_a_text_is_written_as_resiliparse_writes_it_or_left_to_it(soup: str) -> None:
    page = body(f"<body>{soup}</body>")
    (text,) = plain_texts([memoryview(page.encode())])
    assert text is None or bytes(text).decode() == written(page)


def test_plain_pages_are_not_left() -> None:
    page = "<h1>a</h1><p>b <b>c</b><br>d</p><ul><li><a href='x'>e</a></li></ul>1 < 2<hr><ol><li>f<li>g</ol>"
    (text,) = plain_texts([memoryview(body(page).encode())])
    assert text is not None
    assert bytes(text).decode() == "a\n\nb c\nd\n\n  • e\n1 < 2\n  1. f\n  2. g"


def test_a_page_that_no_parser_wrote_is_taken_whole() -> None:
    pages = [
        b"",
        b"text",
        b"<p>a</p>",
        b"<body><p>a</body>",
        b"<body a=b></body>",
        b"<body></p></body>",
        b"<body",
        b"</",
    ]
    assert [bytes(content) for content in main_content(pages)] == pages


def test_a_child_serves_unit_after_unit_and_one_that_died_between_them_is_no_page_s_fault() -> None:
    step = ExtractSettings(timeout_seconds=7).build()
    list(step.run([batch("<p>some words</p>")]))
    child = step.guard._child
    assert child is not None
    again = pickle.loads(pickle.dumps(step))  # noqa: S301
    list(again.run([batch("<p>some words</p>")]))
    assert again.guard._child is child
    child.kill()
    child.wait()
    (done,) = again.run([batch("<p>other words</p>")])
    assert done["reason"].to_pylist() == [None] and done.text[0].as_py().strip() == "other words"


def test_a_child_that_has_had_its_share_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard("plain", 5)
    monkeypatch.setattr(guard_module, "RENEWED", 10)
    assert guard.map(["<p>a", "<p>b", "<p>c"]) == ["a", "b", "c"]
    first = guard._child
    assert guard.map(["<p>d"]) == ["d"]
    assert guard._child is not first
    guard.close()


def test_a_page_that_stalls_or_crashes_the_parser_is_a_verdict_and_the_others_go_on(treacherous: Extract) -> None:
    pages = ["a", "spin", "b", "crash", "crash", "raise", "c"]
    done = treacherous.process(batch(*pages))
    reasons = [None, "timed out", None, "parser crashed", "parser crashed", "parser error", None]
    assert done["reason"].to_pylist() == reasons
    assert done.text.to_pylist() == ["A", "spin", "B", "crash", "crash", "raise", "C"]
    assert len(done.unbalanced()) == 0


def test_a_page_that_sleeps_is_caught_by_the_clock(treacherous: Extract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "PATIENCE", 3.0)
    assert treacherous.guard.map(["sleep", "a"]) == [Failure.TIMED_OUT, "A"]


def test_pages_already_dropped_are_not_parsed(treacherous: Extract) -> None:
    documents = [
        Document("s", "f", 0, "", 9, step="quarantine", reason="malformed JSON"),
        Document("s", "f", 1, "a", 1),
    ]
    done = treacherous.process(Batch.of(documents))
    assert done.text.to_pylist() == ["", "A"]
    assert done["reason"].to_pylist() == ["malformed JSON", None]


def test_a_guard_pickles_without_its_child_and_closes_it() -> None:
    guard = Guard("plain", 5)
    assert guard.map(["<p>a"]) == guard.map(["<p>a"])
    assert guard._child is not None
    child = guard._child.pid
    copy = pickle.loads(pickle.dumps(guard))  # noqa: S301
    assert copy._child is None
    guard.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
