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
import re
import resource
import runpy
import signal
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

Engine = Callable[[bytes], bytes]
TextEngine = Callable[[str], str]
FILES = ("pdf_pages", "book_sections")  # engines in files beside this one, whose `extract` is from bytes to bytes
# Sphinx's and Markdown's "link to this heading" marks, which are visible text to a parser.
MARKS = ["a.headerlink", "a.anchor-link", "a.heading-anchor", "a.hash-link"]


# Resiliparse takes every list fewer than this many levels below <body> for a menu and drops it.
LIST_DEPTH = 3
BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)


def resiliparse(main_content: bool) -> TextEngine:
    """Resiliparse's text extraction (Bevendorff et al. 2018), with or without its main-content rules.

    The body's content is set deeper before the main-content rules see it, so that lists of prose in plainly built pages
    stay; lists of links still go. It is done in the source where that has the tag, as moving nodes is ten times as
    slow. The main content has no alternative texts of images, which are seldom sentences.
    """
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    def extract(page: str) -> str:
        return extract_plain_text(
            deepened(page) if main_content else HTMLTree.parse(page),
            preserve_formatting=True,
            main_content=main_content,
            alt_texts=not main_content,
            skip_elements=MARKS,
        )

    return extract


def deepened(page: str) -> Any:
    """The page's tree with LIST_DEPTH more levels around what is in its <body>."""
    from resiliparse.parse.html import HTMLTree

    page, found = BODY.subn(lambda tag: tag[0] + "<div>" * LIST_DEPTH, page, count=1)
    tree = HTMLTree.parse(page)
    if not found and tree.body is not None:  # where its body starts only the parser knows
        content = list(tree.body.child_nodes)
        inner: Any = tree.body
        for _ in range(LIST_DEPTH):
            inner = inner.append_child(tree.create_element("div"))
        for node in content:
            inner.append_child(node)
    return tree


def trafilatura() -> TextEngine:
    """Trafilatura's main content (Barbaresi 2021) without readers' comments; what it finds no content in is empty."""
    import logging

    from trafilatura import extract as main_text

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # its complaints would quote the page

    def extract(page: str) -> str:
        return main_text(page, include_comments=False) or ""

    return extract


def load(name: str) -> Engine:
    """The engine called `name`, or the function "module:function" from text to text."""
    if name in FILES:
        return runpy.run_path(str(Path(__file__).with_name(f"{name}.py")))["extract"]
    if ":" in name:
        module, _, function = name.partition(":")
        return over_text(getattr(import_module(module), function))
    if name == "trafilatura":
        return over_text(trafilatura())
    return over_text(resiliparse(main_content={"resiliparse": True, "plain": False}[name]))


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
