"""One run per workspace, on one machine or on many that share a file system.

    .lock        {token, pid, host, boot}   whose run it is; held by flock while the run lives, emptied when it ends
    .lock.beat   token and a count          written every few seconds where the file system is shared

On one machine the kernel frees the flock when its holder dies, whatever the death, and that decides. On a shared file
system flock may be kept by the server (NFS, most), by each client for itself (Lustre with localflock) or not at all,
and a holder on another machine cannot be asked. So a holder beats there, and who finds the lock of another machine
free but not emptied watches the beat: while it counts on, the run lives, and the newcomer is refused. Only counts are
compared, no clocks. Workers know the token and ask for it before they publish, so a run that lost its lock in spite of
all this (a machine that slept) publishes nothing more.
"""

import errno
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any, Self

from corpus.errors import ArtifactError, storage_error

BEAT = 4.0  # seconds between two beats
LEASE = 3.5 * BEAT  # seconds without a beat after which a run on another machine counts as dead
NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
# File systems of one machine; of any other kind another machine may see the workspace.
LOCAL = frozenset(
    ("apfs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs")
)

_HELD: set[int] = set()  # descriptors of the locks this process holds


def _forget_locks() -> None:
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


# A forked helper (such as the manager of a pool) shares the parent's lock by its descriptor and would go on holding it
# after the parent was killed.
os.register_at_fork(after_in_child=_forget_locks)


class RunLock:
    """The lock of a workspace: a context manager, and a token that workers receive by pickling and `check()` before
    they publish. Raises ArtifactError, naming the holder, where another run is at work."""

    def __init__(self, workspace: Path, shared: bool | None = None) -> None:
        """`shared`: whether other machines may work in the folder; by default, whether its file system allows it."""
        self.path = Path(workspace) / ".lock"
        self.token = secrets.token_hex(16)
        self.shared = shared
        self._descriptor: int | None = None
        self._beating: _Beat | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(error, self.path.parent) or error from None
        shared = on_shared_storage(self.path.parent) if self.shared is None else self.shared
        try:
            try:
                alone = _flock(descriptor)
            except BlockingIOError:
                raise self._refusal() from None
            holder = self._read()
            unsure = not alone or (shared and (holder or {}).get("boot") != boot_id())
            if holder and unsure and self._lives(holder["token"]):
                raise self._refusal()
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _HELD.add(descriptor)
        os.ftruncate(descriptor, 0)
        named = {"token": self.token, "pid": os.getpid(), "host": socket.gethostname(), "boot": boot_id()}
        os.pwrite(descriptor, json.dumps(named, sort_keys=True, separators=(",", ":")).encode(), 0)
        os.fsync(descriptor)
        if shared or not alone:
            self._beating = _Beat(self.path.with_name(".lock.beat"), self.token)
        if not alone:  # no flock: of two that begin at one moment the last to write stays, when both have written
            time.sleep(BEAT)
            self._stays_or_leaves()
        return self

    def __exit__(self, *_: object) -> None:
        if self._beating is not None:
            self._beating.stop()
        if self._descriptor is not None:
            if (self._read() or {}).get("token") == self.token:
                os.ftruncate(self._descriptor, 0)
            _HELD.discard(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "token": self.token, "shared": False, "_descriptor": None, "_beating": None}

    def check(self) -> None:
        """Raise ArtifactError unless this run still holds the workspace."""
        if (self._read() or {}).get("token") != self.token:
            raise ArtifactError(
                "this worker's run has ended; its output is discarded", where=self.path.parent, found=self._holder()
            )

    def _stays_or_leaves(self) -> None:
        try:
            self.check()
        except ArtifactError:
            self.__exit__()
            raise self._refusal() from None

    def _read(self) -> dict[str, Any] | None:
        # Opened anew: that is when a network file system looks whether another machine has written.
        try:
            holder = json.loads(self.path.read_bytes())
            return holder if isinstance(holder, dict) and "token" in holder else None
        except (OSError, ValueError):
            return None

    def _lives(self, token: str) -> bool:
        """Whether the beat of a run on another machine goes on; watches for as long as a lease."""
        beat = self.path.with_name(".lock.beat")
        first, until = _count(beat, token), time.monotonic() + LEASE
        while time.monotonic() < until:
            time.sleep(BEAT / 8)
            if _count(beat, token) != first:
                return True
        return False

    def _holder(self) -> str:
        holder = self._read() or {}
        return (
            f"process {holder['pid']} on {holder['host']}" if {"pid", "host"} <= set(holder) else "an unnamed process"
        )

    def _refusal(self) -> ArtifactError:
        return ArtifactError(
            "another run is working in this folder",
            where=self.path.parent,
            found=self._holder(),
            todo="wait for it, stop it, or choose another folder with --set workspace=…",
        )


class JoinedLock(RunLock):
    """For the other processes of a run whose first one holds the lock: it is asked once, by the first, for all."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was taken."""

    def check(self) -> None:
        """The first process looks before it publishes; the others publish nothing that it does not."""


class _Beat:
    """A thread that counts in a file, for other machines to see."""

    def __init__(self, path: Path, token: str) -> None:
        self.path, self.token = path, token
        self._stop = threading.Event()
        self._count = 0
        self._write()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(BEAT):
            self._write()

    def _write(self) -> None:
        self._count += 1
        # A failing disk must not end the run here; without a beat another machine may take over, and `check` notices.
        try:
            self.path.write_text(f"{self.token} {self._count}")
        except OSError:
            return

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)


def _count(path: Path, token: str) -> str:
    try:
        said = path.read_text()
    except OSError:
        return ""
    return said if said.startswith(token) else ""


def _flock(descriptor: int) -> bool:
    """Take the flock; False where the file system has none. Raises BlockingIOError where another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_FLOCK:
            return False
        raise
    return True


def boot_id() -> str:
    """Names this machine since it was started: two containers with one name on two machines differ in it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def on_shared_storage(folder: Path) -> bool:
    """Whether other machines may see the folder: its file system is none of those that belong to one."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False  # no Linux: flock decides alone
    where = str(folder.resolve()) + "/"
    over = [(len(point), kind) for _, point, kind, *_ in mounts if where.startswith(point.rstrip("/") + "/")]
    return bool(over) and max(over)[1] not in LOCAL
