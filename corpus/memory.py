"""What a process holds of the machine's memory, as the kernel counts it."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path


def anonymous_bytes(process: int | str = "self") -> int:
    """Resident memory of a process without files it has mapped, which the kernel takes back when it wants; 0 where the
    system does not say."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")


def peak_bytes(process: int | str = "self") -> int:
    """The largest resident memory of a process since `forget_peak`, or ever; 0 where the system does not say.

    VmHWM and not getrusage's ru_maxrss, which over an exec keeps the peak of the process that started this one.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def forget_peak() -> None:
    """Count the peak of this process from now on, so that it is that of what follows; not everywhere possible."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def give_back() -> None:
    """Return to the system what this process has freed and its allocators keep.

    From then on Arrow takes its memory from the C library: its own allocator keeps a heap for each of its threads,
    which made the peaks of equal units differ by 60 MB. Some 20 ms, and as much again for the pages that the next work
    takes: worth it where another kind of work begins, whose needs would come on top, and not from unit to unit of one
    kind, which use the same memory again.
    """
    import pyarrow as pa  # here, for a process that only asks how much it has

    pa.default_memory_pool().release_unused()
    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
