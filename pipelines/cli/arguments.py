"""What the commands share: the arguments of a recipe, a group with a default command, loading and printing."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the recipe: --set seed=3.")
]
SettingOverrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: --set seed=3.")
]
RecipeName = Annotated[str, typer.Argument(help="A recipe file, or demo, medical or code.")]
Workspace = Annotated[str, typer.Argument(help="A workspace's folder, or the recipe that names it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the recipe and say what would be done.")]
Resume = Annotated[bool, typer.Option("--resume/--restart", help="Go on from the last checkpoint, or begin again.")]


class DefaultRun(TyperGroup):
    """A group whose `run` command may be left out: `provender corpus demo` is `provender corpus run demo`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asks_help = any(argument in ("--help", "-h") for argument in args[:1])
        if args and not asks_help and args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


def group(text: str) -> typer.Typer:
    """A group of commands, `run` among them."""
    return typer.Typer(cls=DefaultRun, help=text, no_args_is_help=True, rich_markup_mode=None)


def load(recipe: str, overrides: list[str] | None) -> Any:
    """The recipe with its overrides. Raises ConfigError."""
    from pipelines.recipe import load_recipe

    return load_recipe(recipe, overrides)


def load_to_run(recipe: str, overrides: list[str] | None, part: str, dry_run: bool) -> Any:
    """The recipe whose stage `part` is to run; a dry run says what the stage would do and ends here."""
    loaded = load(recipe, overrides)
    if dry_run:
        from pipelines.outline import outline

        show(outline(loaded, part))
        raise typer.Exit
    return loaded


def show(renderable: Any) -> None:
    """Print a text or a table."""
    from pipelines.progress import table_console

    table_console().print(renderable, markup=False, soft_wrap=isinstance(renderable, str))


def workspace_folder(workspace: str) -> Path:
    """The folder of a workspace that is there, or of a recipe's. Raises ConfigError or ArtifactError."""
    from pipelines.audit.workspace import existing

    if Path(workspace).is_dir():
        return existing(Path(workspace))
    from pipelines.recipe_file import recipe_file

    return existing(recipe_file(workspace).workspace)
