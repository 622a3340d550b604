"""Ranks of a training run as forks of one process that has imported torch and transformers before.

    a test ─ {"processes", "words"} ─► this script ─ fork ─► rank 0 … rank n-1 ─► {"codes", "out", "err"}

The imports take several times as long as the runs of these tests. What `torch.distributed.run` tells each rank in its
environment is told here; a launch by that command itself is tested beside it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Launch = dict[str, Any]
TIMEOUT = 400  # seconds after which a rank is ended


class RankServer:
    """The process that forks; ends when it is closed."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, processes: int, words: list[str]) -> Launch:
        """The exit codes, and what rank 0 printed and all ranks said on the standard error."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"processes": processes, "words": words}) + "\n")
        self._process.stdin.flush()
        answer: Launch = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(timeout=60)


@contextmanager
def rank_server(environment: dict[str, str]) -> Iterator[RankServer]:
    server = RankServer(environment)
    try:
        yield server
    finally:
        server.close()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _as_rank(rank: int, processes: int, port: int, words: list[str], folder: Path) -> None:
    """The child: its own files for what it prints, the variables of a launch, and the script."""
    signal.alarm(TIMEOUT)
    for descriptor, name in ((1, "out"), (2, "err")):
        opened = os.open(folder / f"{name}-{rank}", os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, descriptor)
    if processes > 1:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        os.environ |= {name: str(number) for name, number in numbers.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    import train_process

    sys.argv = [train_process.__file__, *words]
    train_process.main()


def _ended(children: list[int]) -> list[int]:
    """Exit codes in order of rank. Where one fails the others, which would wait for it, are ended too."""
    codes: dict[int, int] = {}
    while len(codes) < len(children):
        child, status = os.wait()
        codes[child] = os.waitstatus_to_exitcode(status)
        if codes[child]:
            for other in set(children) - set(codes):
                os.kill(other, signal.SIGKILL)
    return [codes[child] for child in children]


def _launch(processes: int, words: list[str]) -> Launch:
    port = _free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        children = []
        for rank in range(processes):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    _as_rank(rank, processes, port, words, folder)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            children.append(child)
        codes = _ended(children)
        said = [(folder / f"err-{rank}").read_text() for rank in range(processes)]
        return {"codes": codes, "out": (folder / "out-0").read_text(), "err": "".join(said)}


def main() -> None:
    import accelerate  # noqa: F401
    import train_process  # noqa: F401
    import transformers.models.llama.modeling_llama  # noqa: F401

    for line in sys.stdin:
        wanted = json.loads(line)
        print(json.dumps(_launch(wanted["processes"], wanted["words"])), flush=True)


if __name__ == "__main__":
    main()
