"""The live view: what corpus and train are doing, in the terminal or on a page of this machine alone.

    state = look(workspace)       .progress.json, .lock and the end of metrics.jsonl, nothing else
    show_terminal(workspace)      rich, redrawn
    show_page(workspace, port)    127.0.0.1 only

A view reads; it takes no lock and leaves nothing behind.
"""

from pipelines.watch.page import show_page
from pipelines.watch.state import look
from pipelines.watch.terminal import show_terminal

__all__ = ["look", "show_page", "show_terminal"]
