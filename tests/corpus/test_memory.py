"""What a process holds: its peak is counted anew where that is asked, and what was freed goes back to the system."""

import ctypes
import subprocess
import sys

import numpy as np

from corpus.memory import anonymous_bytes, forget_peak, give_back, peak_bytes

MB = 1 << 20


def test_a_peak_is_that_of_what_followed() -> None:
    held = np.ones(100 * MB, np.uint8)
    most = peak_bytes()
    assert most > 100 * MB and held[-1] == 1
    del held
    assert abs(peak_bytes() - most) < MB  # the kernel counts pages in lots
    forget_peak()
    assert peak_bytes() < most - 90 * MB


def test_what_was_freed_is_given_back() -> None:
    blocks = [ctypes.create_string_buffer(16 * 1024) for _ in range(6_000)]  # too small to be mapped by themselves
    kept = blocks[-1]  # at the end of the heap, which without being trimmed stays as it is
    full = anonymous_bytes()
    del blocks
    give_back()
    assert anonymous_bytes() < full - 60 * MB and len(kept) == 16 * 1024


def test_asking_for_a_peak_imports_nothing_large() -> None:
    asked = "import sys, corpus.memory; sys.exit('pyarrow' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
