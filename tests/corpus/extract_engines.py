"""Engines that misbehave on command, for the guard's tests; loaded by the guard's child process."""

import ctypes
import time


def treacherous(page: str) -> str:
    """Does what the page says."""
    if page == "spin":
        while True:
            pass
    if page == "sleep":
        time.sleep(3600)
    if page == "crash":
        ctypes.string_at(0)
    if page == "raise":
        raise ValueError
    return page.upper()
