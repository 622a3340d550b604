"""Reading a recipe: YAML 1.2 with line numbers, `--set` overrides, and errors that name the line and the nearest key.

    recipes/demo.yaml:14 corpus.sources.0.wieght: unknown key, did you mean "weight"?

ruamel.yaml is used because PyYAML reads `no` as False and `1e-4` as a string and swallows duplicate keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from corpus.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]


RECIPES = Path(__file__).parent / "recipes"


class RecipeFile:
    """The values of a recipe file and where each stands; `source` names a value's place in an error."""

    def __init__(self, path: Path | None, overrides: Iterable[str] = ()) -> None:
        """`path` None: nothing but the overrides."""
        self.path = path
        self.document = _parse(path) if path is not None else CommentedMap()
        self.overridden: dict[Location, str] = {}
        for override in overrides:
            self._override(override)

    @property
    def values(self) -> dict[str, Any]:
        return _plain(self.document)

    @property
    def workspace(self) -> Path:
        """The folder that the recipe names, whatever else it says. Raises ConfigError when it names none."""
        named = self.document.get("workspace")
        if not isinstance(named, str):
            raise ConfigError("the recipe names no workspace", where=self.path, todo="add `workspace: FOLDER`")
        return Path(named)

    def _override(self, override: str) -> None:
        """Apply `a.b.0.c=value`; the value is read as YAML, so `null`, numbers and `[lists]` work."""
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(
                "an override has the form key=value",
                where=f"--set {override}",
                todo="for example --set train.learning_rate=1e-4",
            )
        location: Location = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        node: Any = self.document
        for depth, part in enumerate(location[:-1]):
            try:
                if isinstance(node, CommentedMap) and (part not in node or node[part] is None):
                    node[part] = CommentedMap()
                node = node[part]
            except (KeyError, IndexError, TypeError):
                raise ConfigError(
                    "there is nothing to set here",
                    where=f"--set {override}",
                    found=f"no {'.'.join(map(str, location[: depth + 1]))} in {self.path}",
                ) from None
        try:
            node[location[-1]] = YAML(typ="safe").load(text)
        except (MarkedYAMLError, IndexError, TypeError) as error:
            raise ConfigError("unreadable value", where=f"--set {override}", found=str(error).split("\n")[0]) from None
        self.overridden[location] = override

    def source(self, location: Location) -> str:
        """`path:line key` of a value, or the override that set it; the line of its nearest ancestor if it is absent."""
        for length in range(len(location), 0, -1):
            if location[:length] in self.overridden:
                return f"--set {self.overridden[location[:length]]}"
        if self.path is None:
            return "--set"
        line, node = 0, self.document
        for part in location:
            if isinstance(node, CommentedMap) and part in node:
                line = node.lc.key(part)[0] if part in (node.lc.data or {}) else line
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line = node.lc.item(part)[0] if part in (node.lc.data or {}) else line
            else:
                break
            node = node[part]
        return f"{self.path}:{line + 1}"

    def validate(self, model: type[Model]) -> Model:
        """The recipe as a `model`. Raises ConfigError listing every fault with its file, line, key and remedy."""
        values = self.values
        try:
            return model.model_validate(values)
        except ValidationError as error:
            faults = [self._fault(dict(fault), model, values) for fault in error.errors(include_url=False)]
            raise ConfigError("\n".join(dict.fromkeys(faults))) from None

    def _fault(self, fault: dict[str, Any], model: type[BaseModel], values: dict[str, Any]) -> str:
        location = _real_location(fault["loc"], values)
        where = f"{self.source(location)} {'.'.join(map(str, location))}"
        if fault["type"] == "extra_forbidden":
            known = _known_keys(model, location[:-1], values)
            close = get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
            hint = f'did you mean "{close[0]}"?' if close else f"known keys: {', '.join(known)}"
            return f"{where}: unknown key, {hint}"
        if fault["type"] == "missing":
            return f'{where}: missing key "{location[-1]}"'
        if fault["type"] == "union_tag_invalid":
            tags = [tag.strip("' ") for tag in fault["ctx"]["expected_tags"].split(",")]
            close = get_close_matches(str(fault["ctx"]["tag"]), tags, n=1, cutoff=0.6)
            hint = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(tags)}"
            return f'{where}: unknown {fault["ctx"]["discriminator"].strip(chr(39))} "{fault["ctx"]["tag"]}", {hint}'
        message = fault["msg"].removeprefix("Value error, ")
        return f"{where}: {message[0].lower()}{message[1:]}, found {_short(fault['input'])}"


def recipe_file(name: str, overrides: Iterable[str] | None = None) -> RecipeFile:
    """The file of a recipe: by path, or by the name of one that comes with the toolkit."""
    shipped = RECIPES / f"{name}.yaml"
    path = shipped if shipped.is_file() and not Path(name).is_file() else Path(name)
    return RecipeFile(path, overrides or ())


def overridden(model: type[Model], overrides: Iterable[str] | None) -> Model:
    """The defaults of some settings with overrides. Raises ConfigError as for a recipe."""
    return RecipeFile(None, overrides or ()).validate(model)


def _parse(path: Path) -> CommentedMap:
    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("no such recipe", where=path, todo="name a YAML file; see pipelines/recipes/") from None
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise ConfigError("not a recipe", where=path, found=error) from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            f"not valid YAML: {str(error.problem).splitlines()[0]}", where=f"{path}:{line}", todo="mend this line"
        ) from None
    if not isinstance(document, CommentedMap):
        raise ConfigError("a recipe is a mapping of keys to values", where=path, found=type(document).__name__)
    return document


def _plain(node: Any) -> Any:
    """ruamel's commented, styled values as ordinary Python values."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool):
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _real_location(location: Sequence[str | int], values: Any) -> Location:
    """pydantic's location without the tags of unions, which name no key of the file."""
    real: list[str | int] = []
    node: Any = values
    for index, part in enumerate(location):
        if _has(node, part):
            node = node[part]
        elif index < len(location) - 1 or (
            isinstance(node, Mapping) and (part in (node.get("kind"), node.get("rule")))
        ):
            continue
        real.append(part)
    return tuple(real)


def _has(node: Any, part: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, Mapping) and part in node


def _known_keys(model: Any, location: Location, values: Any) -> list[str]:
    """The keys that the model accepts at a location, following the values' tags through unions."""
    candidates, node = [model], values
    for part in location:
        node = node[part]
        candidates = [inner for candidate in candidates for inner in _inner_models(candidate, part)]
    for tag in ("kind", "rule"):
        if isinstance(node, Mapping) and tag in node:
            candidates = [c for c in candidates if node[tag] in get_args(_annotation(c, tag))] or candidates
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _annotation(model: type[BaseModel], key: str) -> Any:
    field = model.model_fields.get(key)
    return field.annotation if field else None


def _inner_models(model: type[BaseModel], part: str | int) -> list[type[BaseModel]]:
    if isinstance(part, int) or part not in model.model_fields:
        return [model]  # an index into a list, or a key of a mapping: its models were collected one level above
    found: list[type[BaseModel]] = []

    def collect(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        for argument in get_args(annotation):
            collect(argument)

    collect(_annotation(model, part))
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
