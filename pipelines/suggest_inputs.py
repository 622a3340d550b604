"""What `provender mix suggest` was asked, as runs and a question: tables, declared columns, a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.errors import ConfigError, ProvenderError
from mixing.laws.runs import Columns, Runs, read_published, read_sweep
from mixing.laws.suggestion import Question, Suggestion, suggest

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

UNITS = ("loss", "bits_per_byte")


@dataclass(frozen=True)
class Asked:
    """The options of the command, as they were given."""

    tables: Sequence[Path]
    recipe: "Recipe | None"
    domain: Sequence[str]
    general: Sequence[str]
    epsilon: float
    relative: bool
    unit: str
    law: str
    level: float
    share: Sequence[str]
    loss: Sequence[str]
    rest: str | None
    base: Sequence[str]
    where: Sequence[str]
    key: str | None
    tokens_column: str | None
    parameters_column: str | None
    have: Sequence[str]
    run_tokens: int | None
    parameters: int | None


def answer(asked: Asked) -> Suggestion:
    """Read the runs and answer. Raises ConfigError when the options do not fit together or the table."""
    runs = _runs(asked)
    known = [name for name, role in runs.roles.items() if role == "domain"]
    values: dict[str, Any] = {
        "domain": tuple(asked.domain) or tuple(known),
        "general": tuple(asked.general),
        "epsilon": asked.epsilon,
        "relative": asked.relative,
        "base": {name: _number(value, "--base") for name, value in pairs(asked.base, "--base").items()},
        "law": asked.law,
        "level": asked.level,
        "tokens": asked.run_tokens,
        "parameters": asked.parameters,
        "supply": _supply(asked),
        "mix": asked.recipe.mix if asked.recipe is not None else None,
    }
    if not values["domain"]:
        raise ConfigError("which sources are learned is not known", todo="name them: --domain NAME")
    for name, value, least, most in (("epsilon", asked.epsilon, 0.0, None), ("level", asked.level, 0.0, 1.0)):
        if value <= least or (most is not None and value >= most):
            raise ConfigError(
                f"{name} is out of range", where=f"--{name}", found=value, todo="for example 0.05 and 0.9"
            )
    return suggest(runs, Question.model_validate(values))


def _runs(asked: Asked) -> Runs:
    if asked.unit not in UNITS:
        raise ConfigError("no such unit", where="--unit", found=asked.unit, todo=f"one of {', '.join(UNITS)}")
    if not asked.tables and asked.recipe is None:
        raise ConfigError("there is no table of runs", todo="name one, or give --recipe with a finished sweep")
    if asked.share or asked.loss:
        if not (asked.share and asked.loss and asked.tables):
            raise ConfigError(
                "a published table needs --share and --loss", todo="--share NAME=COLUMN --loss NAME=COLUMN"
            )
        columns = Columns(
            shares=pairs(asked.share, "--share"),
            losses=pairs(asked.loss, "--loss"),
            rest=asked.rest,
            tokens=asked.tokens_column,
            parameters=asked.parameters_column,
            key=asked.key,
            where=pairs(asked.where, "--where"),
        )
        return read_published(asked.tables, columns)
    if len(asked.tables) > 1:
        raise ConfigError("one sweep at a time", todo="declare the columns of published tables: --share, --loss, --key")
    return read_sweep(asked.tables[0] if asked.tables else sweep_table(asked.recipe), asked.unit)


def sweep_table(recipe: "Recipe | None") -> Path:
    """Where the recipe's sweep has its table. Raises ConfigError when there is none yet."""
    if recipe is None:
        raise ConfigError("there is no table of runs", todo="name one")
    path = recipe.folder / "sweeps" / recipe.run / "sweep.parquet"
    if not path.is_file():
        raise ConfigError("the recipe has no sweep yet", where=path, todo="run `provender mix sweep` with it first")
    return path


def _supply(asked: Asked) -> dict[str, int]:
    """Different tokens by source: as stated, else those of the recipe's token stores where they are made."""
    stated = {name: int(_number(value, "--have")) for name, value in pairs(asked.have, "--have").items()}
    if asked.recipe is None or asked.recipe.mix is None:
        return stated
    from pipelines.stages import token_stores

    try:
        stores = token_stores(asked.recipe)
    except ProvenderError:
        return stated  # the corpus is not made yet: the sweep's own figures serve
    length = asked.recipe.mix.sequence_length
    return {name: store.tokens // length * length for name, store in stores.items()} | stated


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` options as a mapping. Raises ConfigError for one without its sign."""
    found = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not (sign and name and value):
            raise ConfigError("an option has the form NAME=VALUE", where=f"{option} {each}")
        found[name] = value
    return found


def _number(text: str, option: str) -> float:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        raise ConfigError("not a number", where=option, found=text) from None
