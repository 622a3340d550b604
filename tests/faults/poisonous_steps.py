"""A step that some documents kill, as a fault in a compiled parser would; run in worker processes."""

import os
import signal
import time

HELD: list[bytearray] = []


def poisonous(text: str) -> bool:
    """Keep the document, unless it is poison."""
    if "POISON crash" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "POISON spin" in text:
        while True:
            pass
    if "POISON eat" in text:
        while True:
            HELD.append(bytearray(os.urandom(1 << 20)) * 16)
            time.sleep(0.005)
    if "POISON full" in text:
        raise MemoryError
    return True
