"""The functions of mixing/order.py compiled: the same source, read by numba.

A compiled function can call compiled ones only, so each is made again over a namespace in which those that it calls
have been replaced. Loading it takes half a second, which is why mixing/order.py asks for it late.
"""

from types import FunctionType
from typing import Any

from numba import njit

from mixing import order

# Those that are called before those that call them.
NAMES = (
    "_mix", "_round", "_sides", "_epoch_key", "_forward", "_backward",
    "_sequences", "_indices", "_interleave", "_rows_of",
)  # fmt: skip


def _compiled() -> dict[str, Any]:
    scope = vars(order) | {"__name__": __name__}
    for name in NAMES:
        function = FunctionType(scope[name].__code__, scope, name)
        scope[name] = njit(cache=True, nogil=True)(function)
    return {name: scope[name] for name in NAMES}


COMPILED = _compiled()
