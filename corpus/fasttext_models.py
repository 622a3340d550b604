"""Loading fastText models, once a process."""

from functools import cache
from typing import Any

from corpus.errors import ConfigError


@cache
def load_fasttext(path: str, todo: str) -> Any:
    """The model in a .bin or .ftz file. Raises ConfigError, with `todo` as the remedy, where it is none."""
    import fasttext

    try:
        return fasttext.load_model(path)
    except (ValueError, MemoryError) as error:
        raise ConfigError("this is not a fastText model", where=path, found=error, todo=todo) from None
