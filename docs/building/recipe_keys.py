"""The page of recipe keys: every model below `Recipe`, every key with its type, default and description.

Read from the pydantic models rather than from the JSON Schema, because the models know in which module they stand and
in what order a recipe names them.
"""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

DISCRIMINATORS = ("kind", "rule", "check")
BOUNDS = {
    Ge: "≥ {0.ge}",
    Gt: "> {0.gt}",
    Le: "≤ {0.le}",
    Lt: "< {0.lt}",
    MinLen: "at least {0.min_length}",
    MaxLen: "at most {0.max_length}",
}


def models_below(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and every model its keys can hold, each once, in the order in which a recipe comes to them."""
    found: dict[type[BaseModel], None] = {}

    def visit(one: type[BaseModel]) -> None:
        if one not in found:
            found[one] = None
            for field in one.model_fields.values():
                for below in _models_in(field.annotation):
                    visit(below)

    visit(model)
    return list(found)


def kinds_below(model: type[BaseModel]) -> dict[tuple[str, str], type[BaseModel]]:
    """(discriminating key, its value) → the model it chooses, for every model below that has one."""
    kinds: dict[tuple[str, str], type[BaseModel]] = {}
    for one in models_below(model):
        for key in DISCRIMINATORS:
            if key in one.model_fields:
                for value in get_args(one.model_fields[key].annotation):
                    kinds[key, value] = one
    return kinds


def recipe_page() -> str:
    """The whole page in Markdown."""
    from pipelines.recipe import Recipe

    models = models_below(Recipe)
    title = {one: _title(one, models) for one in models}
    parts = [
        "# Recipe keys\n",
        "One YAML file says what a person wants, from raw files to a model. Unknown keys are errors.\n"
        "`provender schema` prints the same as JSON Schema for an editor. A key without a default must be given.\n",
    ]
    for one in models:
        parts.append(f"## {title[one]} {{ #{anchor(one)} }}\n")
        parts.append(_escaped(inspect.getdoc(one) or "") + "\n")
        parts.append("| key | type | default | what it is |\n|---|---|---|---|")
        parts.append("\n".join(_row(name, field, title) for name, field in one.model_fields.items()) + "\n")
        parts.append(f"Defined in `{one.__module__}.{one.__qualname__}`.\n")
    return "\n".join(parts)


def anchor(model: type[BaseModel]) -> str:
    """The anchor of a model's section; two classes of one name differ by their module."""
    return f"{model.__module__}.{model.__qualname__}".replace(".", "-").lower()


def _title(model: type[BaseModel], models: list[type[BaseModel]]) -> str:
    for key in DISCRIMINATORS:
        if key in model.model_fields:
            return f"{key}: {', '.join(map(str, get_args(model.model_fields[key].annotation)))}"
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", model.__name__.removesuffix("Settings")).lower()
    same = [one for one in models if one.__name__ == model.__name__]
    return f"{words} ({model.__module__.split('.')[-2]})" if len(same) > 1 else words


def _row(name: str, field: FieldInfo, title: dict[type[BaseModel], str]) -> str:
    cells = (f"`{name}`", _type(field, title), _default(field), _escaped(field.description or ""))
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _type(field: FieldInfo, title: dict[type[BaseModel], str]) -> str:
    bounds = [form.format(one) for one in field.metadata for kind, form in BOUNDS.items() if isinstance(one, kind)]
    return ", ".join((_named(field.annotation, title), *bounds))


def _named(annotation: Any, title: dict[type[BaseModel], str]) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _named(inner[0], title)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_named(one, title) for one in inner)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (tuple, list, set, frozenset):
        if len(inner) == 1 or inner[1:] == (...,):
            return f"list of {_named(inner[0], title)}"
        return f"[{', '.join(_named(one, title) for one in inner)}]"
    if origin is dict:
        return f"{_named(inner[0], title)} → {_named(inner[1], title)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{title[annotation]}](#{anchor(annotation)})"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{one.value}`" for one in annotation)
    plain = {type(None): "null", str: "text", bool: "true or false", int: "whole number", float: "number", Path: "path"}
    return plain.get(annotation, "anything" if annotation is Any else str(getattr(annotation, "__name__", annotation)))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "must be given"
    if field.default_factory is not None and isinstance(value, int):
        return "computed"  # such as the number of cores: the value of this machine would mislead
    if isinstance(value, BaseModel):
        given = value.model_dump(mode="json", exclude_defaults=True)
        return f"`{given}`" if given else "its own defaults"
    if value is None or value is True or value is False:
        return f"`{str(value).lower() if value is not None else 'null'}`"
    if value in ((), "", [], {}):
        return "empty"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _escaped(text: str) -> str:
    return re.sub(r"([*_<\[])", r"\\\1", text)
