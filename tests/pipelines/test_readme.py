"""The README tells the truth: its commands exist, its links and files are there."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text()


def test_every_make_target_of_the_readme_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"demo", "test", "corpus", "mix", "train", "audit"} <= named <= targets


def test_every_provender_command_of_the_readme_exists():
    from typer.main import get_command

    from pipelines.cli import app

    commands = get_command(app).commands
    named = set(re.findall(r"`?provender ([a-z-]+)", README))
    assert named and named <= set(commands)


def test_every_local_link_of_the_documents_leads_somewhere():
    for document in (*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert "://" in link or (document.parent / link).exists(), f"{document.name}: {link}"


def test_ci_runs_the_readmes_test_command():
    assert "make test" in README and "make test" in (CHECKOUT / ".ci" / "run").read_text()
