"""Files as arrays that are mapped and not read, and that hold no file open.

    map_file(path, "<u2")     the numbers of a file
    map_npy(path)             the array of a .npy file

Python's mmap keeps a descriptor as long as it lives (`trackfd` is of Python 3.13): a store of a thousand shards, two
files each, would take twice the 1,024 that a process may have. So the file is laid over an anonymous map of the same
size, which has no descriptor; Python takes both away when the last array over them is gone.
"""

import ctypes
import mmap
import os
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike

_OVER = 0x10  # MAP_FIXED: in the place of what is mapped there
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]


def map_file(file: Path | IO[bytes], dtype: DTypeLike, *, writable: bool = False) -> np.ndarray:
    """The numbers of a file, read-only; `writable`: what is written stays in this process. Raises OSError when it
    cannot be mapped, ValueError when it ends within a number."""
    if isinstance(file, Path):
        with open(file, "rb") as handle:
            return map_file(handle, dtype, writable=writable)
    file.flush()
    size = os.fstat(file.fileno()).st_size
    if not size:  # nothing cannot be mapped
        nothing = np.zeros(0, dtype)
        nothing.flags.writeable = writable
        return nothing
    access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    place = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=access)
    address = np.frombuffer(place, np.uint8).ctypes.data
    shared = mmap.MAP_PRIVATE if writable else mmap.MAP_SHARED
    if _LIBC.mmap(address, size, access, shared | _OVER, file.fileno(), 0) != address:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), file.name)
    return np.frombuffer(place, dtype)


def map_npy(path: Path, *, writable: bool = False) -> np.ndarray:
    """The array of a .npy file, as `map_file` maps it. Raises ValueError when it is none or shorter than it says."""
    with open(path, "rb") as handle:
        version = npy.read_magic(handle)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(handle)
        every, start = map_file(handle, np.uint8, writable=writable), handle.tell()
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(every) < start + size:
        raise ValueError(f"{path}: {len(every)} bytes, an array of {start + size}")
    return every[start : start + size].view(dtype).reshape(shape, order="F" if fortran else "C")
