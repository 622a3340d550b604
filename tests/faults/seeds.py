"""How many of the seeded faults a run takes: a few, or with PROVENDER_FAULTS=all every one."""

import os

EVERY = os.environ.get("PROVENDER_FAULTS", "") == "all"


def chosen(few: int, every: int) -> range:
    """The seeds of a test: `few` of them, or `every` one."""
    return range(every if EVERY else few)
