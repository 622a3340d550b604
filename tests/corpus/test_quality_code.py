"""Measures of source code against values counted by hand, and what they are for: telling code from what is none."""

import base64
import hashlib
import json
import warnings

import polars as pl
import pytest

from corpus.decide import apply_rules
from corpus.document import Batch, Document
from corpus.quality import CodeQualityRule, CodeQualitySettings
from corpus.quality.code import CodeQuality

CODE = '''"""Sums."""

import sys


def total(values, start=0):
    # add them up
    for value in values:
        start += value
    return start


print(total(map(int, sys.argv[1:])))
'''


def decided(*files: tuple[str, str], step: CodeQuality | None = None, **rule: object) -> pl.DataFrame:
    documents = [Document("s", name, row, text, len(text.encode())) for row, (name, text) in enumerate(files)]
    step = step or CodeQualitySettings(kind="code_quality").build()
    (batch,) = step.run([Batch.of(documents)])
    return apply_rules(pl.DataFrame(pl.from_arrow(batch.data)), CodeQualityRule(rule="code_quality", **rule).rules())


def value(text: str, name: str, file: str = "a.py") -> object:
    return decided((file, text))[f"code.{name}"][0]


@pytest.mark.parametrize(
    ("file", "text", "name", "expected"),
    [
        ("a.py", "# é\nx = 12\n", "comment_share", 3 / 11),
        ("a.py", "x = '# no'\n", "comment_share", 0),
        ("a.py", 'def f():\n    """Doc."""\n', "comment_share", 10 / 24),
        ("a.py", 'def f():\n    r"""Doc."""\n', "comment_share", 11 / 25),
        ("a.py", 'x = """no\n# comment"""\n', "comment_share", 0),
        ("a.c", "/* a\n b */ int x; // y\n", "comment_share", 14 / 23),
        ("a.sql", "-- all\nselect 1;\n", "comment_share", 6 / 17),
        ("a.html", "<!-- x --><p>\n", "comment_share", 10 / 14),
        ("a.lua", "--[[ x\n]] y()\n-- z", "comment_share", 13 / 18),
        # Of an unknown language only what begins a line is a comment.
        ("a.xyz", "# one\na # two\n", "comment_share", 5 / 14),
        ("a.py", "ab\nabcd\n", "line_max", 4),
        ("a.py", "ab\nabcd\n", "line_mean", 6 / 3),
        ("a.py", "é1 +_\n", "alphanumeric_share", 2 / 6),
        # 'ab', 1 and 2 and the signs between: 10 of the 12 bytes that are no blanks.
        ("a.py", "x = ['ab', 1, 2]\n", "literal_share", 10 / 12),
        ("a.py", "x1 = y2\n", "literal_share", 0),
        ("a.py", "'a\\'b' + c\n", "literal_share", 6 / 8),
        ("a.c", "char *it's = 0x1F;\n", "literal_share", 4 / 15),
        ("a.csv", "a,b,c\n1,2,3\n\n4,5,6\nx\n", "table_share", 2 / 4),
        ("a.csv", "a\tb\tc\n1\t2\t3\n", "table_share", 1 / 2),
        ("a.py", "a, b\nc, d\n", "table_share", 0),
        ("a.py", "", "line_max", 0),
    ],
)
def test_measures_are_those_counted_by_hand(file: str, text: str, name: str, expected: float) -> None:
    assert value(text, name, file) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("b = '" + base64.b64encode(hashlib.sha512(b"x").digest()).decode() + "'\n", 88),
        ("h = '" + hashlib.sha512(b"x").hexdigest() + "'\n", 128),
        ("b = b'" + r"\x1f" * 9 + "'\n", 36),
        ("b = {" + "0x1f, " * 8 + "}\n", 8 * 6 - 2),
        ("b = {" + "0x1f, " * 7 + "}\n", 0),
        ("s = '" + r"\u4e00" * 8 + "'\n", 48),
        ("#" + "=" * 100 + "\n" + "x" * 100 + "\n", 0),
        ("from some/very/long/path/of/folders/that/goes/on/and/on/without/an/end import x\n", 0),
    ],
)
def test_encoded_data_is_found_by_its_runs(text: str, longest: int) -> None:
    frame = decided(("a.py", text))
    assert frame["code.encoded_max"][0] == longest
    assert frame["code.encoded_share"][0] == pytest.approx(longest / len(text))


MINIFIED = "".join(f"function f{n}(a,b){{return a?b:g(a,{n})}};" for n in range(40)) + "\n"
ROWS = "\n".join(f"Ann Lee;{n};Oslo;high" for n in range(40)) + "\n"
BLOB = base64.b64encode(b"".join(hashlib.sha512(bytes([n])).digest() for n in range(20))).decode()


@pytest.mark.parametrize(
    ("file", "text", "reason", "detail"),
    [
        ("a.py", CODE, None, None),
        ("a.js", MINIFIED, "minified", None),
        ("a.js", "/*! licence\n" * 3 + "*/\n" + MINIFIED, "minified", None),
        ("lib.min.js", "var x = 1;\n", "minified", "named so"),
        ("a.json", json.dumps([{"name": "x", "at": n} for n in range(90)], indent=1), "data: literals", "1 > 0.9"),
        ("a.py", f"TABLE = {[n * 7919 for n in range(99)]}\n", "data: literals", None),
        ("a.c", "int t[] = {\n" + "0, 12, 7, 99, 18,\n" * 20 + "};\n", "data: literals", None),
        ("a.txt", ROWS, "data: a table", None),
        ("a.rb", f"x = y\nkey {BLOB}\n", "data: encoded", None),
        ("a.rb", CODE.replace('"""', "") * 20 + f"key {BLOB}\n", "data: an encoded run", "1708 > 1024"),
        ("a.py", "x = f(" + "an_argument + " * 90 + "b)\n", "long line", "1268 > 1000"),
        ("a.rb", ("call some_thing with this and that and all of those " * 3 + "\n") * 3, "long lines", None),
        ("a.rb", "+-*/ <> != == => && || ! x\n" * 4, "few letters", None),
        ("a.py", "# a comment alone\n" * 9 + "x = 1\n", "mostly comments", None),
    ],
)
def test_each_code_rule_drops_its_case(file: str, text: str, reason: str | None, detail: str | None) -> None:
    frame = decided((file, text))
    assert frame["reason"][0] == reason
    assert detail is None or frame["detail"][0] == detail


def test_too_few_comments_can_be_a_rule() -> None:
    frame = decided(("a.py", "x = 1\n"), min_comment_share=0.01)
    assert (frame["reason"][0], frame["detail"][0]) == ("few comments", "0 < 0.01")


def test_every_code_rule_can_be_left_out() -> None:
    bounds = [name for name in CodeQualityRule.model_fields if name.startswith(("max_", "min_"))]
    off = dict.fromkeys(bounds) | {"must_parse": False, "drop_generated": False}
    rule = CodeQualityRule.model_validate({"rule": "code_quality"} | off)
    assert rule.rules() == []


@pytest.mark.parametrize(
    ("file", "head", "generated"),
    [
        ("a.py", "# Generated by the protocol buffer compiler.  DO NOT EDIT!\n", True),
        ("a.go", "// Code generated by protoc-gen-go. DO NOT EDIT.\n", True),
        ("a.py", "# Generated by Django 4.2 on 2024-01-01 10:00\n", True),
        ("a.c", "/* This file was automatically generated by bison. */\n", True),
        ("a.java", "/**\n * @generated\n */\n", True),
        ("a.cs", "// <auto-generated>\n", True),
        ("a.js", "// This is an auto-generated file, do not edit it by hand.\n", True),
        ("a.c", "/* A lexical scanner generated by flex */\n", True),
        ("a_pb2.py", "x = 1\n", True),
        ("package-lock.json", "{}\n", True),
        ("a.py", '"""Pages are generated by the server on request."""\n', False),
        ("a.py", '"""The ids are auto-generated; do not edit entries of other users."""\n', False),
        ("a.py", "__version__ = '1'  # DO NOT EDIT THIS LINE\n", False),
        ("a.py", "# A long comment on what is\n# generated with some care\n", False),
        ("generated_names.py", "x = 1\n", False),
    ],
)
def test_a_generators_mark_is_told_from_prose(file: str, head: str, generated: bool) -> None:
    assert decided((file, head))["code.generated"][0] == generated


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = 1\n", None),
        ("x = '\\d'\n", None),
        ("x = 1\nprint 'secret'\n", "syntax error in line 2"),
        ("-" * 20_000 + "1", "nested too deeply"),
        ("a" + "+a" * 60_000, "nested too deeply"),
    ],
)
def test_a_fault_names_the_line_and_nothing_of_the_text(text: str, fault: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = decided(("a.py", text))
    assert (frame["code.parses"][0], frame["code.fault"][0]) == (fault is None, fault)
    assert fault is None or (frame["reason"][0], frame["detail"][0]) == ("does not parse", fault)


def test_a_parse_that_takes_too_long_is_ended_and_the_next_file_goes_on() -> None:
    step = CodeQualitySettings(kind="code_quality", parse_seconds=0.05).build()
    slow = "x = [" + "1, " * 300_000 + "]\n"
    frame = decided(("a.py", slow), ("b.py", "y = 2\n"), ("c.py", "# z\n" * 15_000), step=step)
    assert frame["code.fault"].to_list() == ["timed out", None, None]
    assert frame["code.parses"].to_list() == [False, True, True]


def test_a_file_too_long_to_parse_is_not_judged() -> None:
    step = CodeQualitySettings(kind="code_quality", parse_characters=10).build()
    assert decided(("a.py", "x = = 1 + 1\n"), step=step)["code.parses"][0] is None
    assert decided(("run", "#!/usr/bin/env python3\nx = = 1\n"))["code.parses"][0] is False
