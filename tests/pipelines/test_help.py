"""Every command says what it does, every option what it is for, and quickly."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from pipelines.cli import app

CHECKOUT = Path(__file__).parents[2]


def commands(group, path=()):
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


ALL = dict(commands(get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_option_has_its_help(path):
    command = ALL[path]
    assert command.help and command.help.strip().endswith(".")
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(path)}: {parameter.name}"


def test_the_commands_the_issue_names_are_there():
    names = {path[0] for path in ALL}
    assert {"setup-check", "corpus", "mix", "train", "audit", "demo"} <= names


def test_help_imports_neither_torch_nor_datatrove_nor_numba():
    code = (
        "import sys; sys.argv = ['provender', 'corpus', '--help']\n"
        "from pipelines.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datatrove', 'numba', 'polars', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
