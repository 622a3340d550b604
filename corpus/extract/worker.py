"""The child process that parses pages for corpus.extract.guard; run as a script, imports nothing of ours.

    argv      engine, seconds of processor time one page may take, bytes of memory it may take
    out       one byte once the engine is loaded
    in        uint64 count, then for each page uint64 length and its bytes
    out       for each page, as soon as it is done, int64 length and the result's bytes; length -1 if the engine raised,
              -2 if it ran out of memory

The limit is on the processor time of the page, so a busy machine does not change what is dropped. The kernel ends the
process (SIGPROF, default action), which works inside C code too; the parent then knows which page it was.
"""

import contextlib
import gc
import resource
import signal
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

Engine = Callable[[bytes], bytes]
TextEngine = Callable[[str], str]
GARBAGE = 20_000  # objects of a page's that wait for the collector; at its own 700 it takes a tenth of the time
FILES = ("pdf_pages", "book_sections")  # engines in files beside this one, whose `extract` is from bytes to bytes


def load(name: str) -> Engine:
    """The engine called `name`, or the function "module:function" from text to text."""
    if name in FILES:
        return beside(name).extract
    if ":" in name:
        module, _, function = name.partition(":")
        return over_text(getattr(import_module(module), function))
    engine = beside("page_text").ENGINES[name]
    engine("<p>page</p>")  # imports its packages now, on no page's time
    return over_text(engine)


def beside(module: str) -> Any:
    """A module of this folder, imported without the package's own __init__, which would import the readers."""
    package = ModuleType("corpus.extract")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules[package.__name__] = package
    return import_module(f"{package.__name__}.{module}")


def over_text(engine: TextEngine) -> Engine:
    """The engine from UTF-8 to UTF-8."""
    return lambda page: engine(page.decode()).encode("utf-8", "replace")


def limit_memory(size: int) -> None:
    """Let this process take `size` bytes more than it has now; where the system cannot say, there is no limit."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size,) * 2)


def serve(engine: Engine, seconds: float, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until the parent closes the pipe."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    sink.write(b"\x01")
    sink.flush()
    while header := source.read(8):
        pages = [source.read(*struct.unpack("<Q", source.read(8))) for _ in range(*struct.unpack("<Q", header))]
        for page in pages:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                result = engine(page)
            except MemoryError:
                sink.write(struct.pack("<q", -2))
            except Exception:
                sink.write(struct.pack("<q", -1))
            else:
                sink.write(struct.pack("<q", len(result)) + result)
            signal.setitimer(signal.ITIMER_PROF, 0)
            sink.flush()


if __name__ == "__main__":
    loaded = load(sys.argv[1])
    limit_memory(int(sys.argv[3]))
    serve(loaded, float(sys.argv[2]), sys.stdin.buffer, sys.stdout.buffer)
