"""The examples of a guide: each command or program is run, and the page must show what it answers.

An example is a fenced block of `sh` (one `provender …` command) or `python`, followed by a block of `text` with all
that it prints.
"""

import contextlib
import io
import re
import shlex

EXAMPLE = re.compile(r"```(?P<language>sh|python)\n(?P<code>.*?)```\n\n```text\n(?P<shown>.*?)```", re.DOTALL)


def answered(page: str) -> str:
    """The page with the answers that its examples give now, run one after another in the current folder."""
    names: dict[str, object] = {}

    def run(example: re.Match[str]) -> str:
        language, code = example["language"], example["code"]
        said = _command(code) if language == "sh" else _program(code, names)
        return f"```{language}\n{code}```\n\n```text\n{said}```"

    return EXAMPLE.sub(run, page)


def _command(code: str) -> str:
    from typer.testing import CliRunner

    from pipelines.cli import app

    name, *words = shlex.split(code)
    if name != "provender":
        raise ValueError(f"an example of a guide is a provender command, not {name}")
    done = CliRunner().invoke(app, words, env={"COLUMNS": "120"}, catch_exceptions=False)
    if done.exit_code:
        raise ValueError(f"{code.strip()}: exit code {done.exit_code}\n{done.output}")
    return _trimmed(done.stdout)


def _program(code: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "example", "exec"), names)
    return _trimmed(printed.getvalue())


def _trimmed(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())
