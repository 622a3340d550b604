"""What a source has to give and what it is for: all that a plan that is only read needs of its budget."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["domain", "replay"]
ROLES: tuple[Role, ...] = ("domain", "replay")


@dataclass(frozen=True)
class Supply:
    """What a source has: `tokens` in its stream, `sequences` an epoch, in which `padding` places hold no token; `store`
    is the fingerprint of the token store or its packing ("" when there is none); `used` are the sequences given by
    earlier segments."""

    name: str
    tokens: int
    sequences: int
    store: str = ""
    padding: int = 0
    used: int = 0
