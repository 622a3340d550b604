"""kill −9 at random instants inside a save: PROVENDER_KILLS that fell inside one (5; the bar of the project is 50).

The instant is drawn as a flush of the save and a fraction of the time one takes: a loaded machine moves none out of it.
"""

import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import train_process  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from corpus.artifact import Manifest  # noqa: E402
from corpus.errors import ArtifactError  # noqa: E402
from corpus.tokens.store import TokenStore  # noqa: E402
from trainer.checkpoints.checkpoint import checkpoint_folder, checkpoint_steps  # noqa: E402
from trainer.record.metrics import read_metrics  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.faults]
KILLS = int(os.environ.get("PROVENDER_KILLS", "5"))
SLOW = 0.01  # seconds a flush takes, so that a save is long enough to be hit
CLOCK = ("seconds", "tokens_per_second", "mfu", "memory")


def _train(folder: Path, steps: int, news: Connection | None, doom: tuple[int, float] | None = None) -> None:
    """In a process of its own: tells when a save begins and ends, and how many files it had flushed by then. `doom`: it
    dies so many seconds after that flush of its first save began."""
    import corpus.artifact
    import trainer.loop

    torch.set_num_threads(1)
    flush, write, prune = corpus.artifact.fsync, trainer.loop.write_checkpoint, trainer.loop.prune
    flushed, saving = 0, False

    def slow_flush(path: Path) -> None:
        nonlocal flushed
        flushed += saving
        if saving and doom is not None and flushed == doom[0]:
            threading.Timer(doom[1], os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(SLOW)
        flush(path)

    def told_write(*arguments: object, **options: object) -> Path:
        nonlocal flushed, saving
        flushed, saving = 0, True
        if news is not None:
            news.send(("begin", 0))
        return write(*arguments, **options)

    def told_prune(*arguments: object, **options: object) -> None:
        nonlocal saving
        prune(*arguments, **options)
        saving = False
        if news is not None:
            news.send(("end", flushed))

    corpus.artifact.fsync, trainer.loop.write_checkpoint, trainer.loop.prune = slow_flush, told_write, told_prune
    train_process.run(folder, steps, evaluate_every=1000, keep_last=1, kl=None)


def _said(heard: Connection) -> bool:
    """Whether anything more was told before the process died."""
    try:
        return bool(heard.recv())
    except EOFError:
        return False


def _whole_steps(run: Path) -> list[int]:
    found = []
    for step in checkpoint_steps(run):
        folder = checkpoint_folder(run, step)
        try:
            Manifest.read(folder).verify(folder)
        except ArtifactError:
            continue
        found.append(step)
    return found


def test_after_a_kill_at_any_instant_of_a_save_a_whole_checkpoint_is_found_and_the_run_ends_the_same(
    tmp_path: Path, model_folder: Path, evaluation: dict[str, TokenStore]
) -> None:
    from test_training_processes import workspace

    random.seed(20261124)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train_process", "trainer.loop", "transformers.models.llama.modeling_llama"])
    straight = workspace(tmp_path / "straight", model_folder, evaluation)
    killed = workspace(tmp_path / "killed", model_folder, evaluation)
    steps = 2 * KILLS + 3  # a life whose kill came after its save is a step further
    # The first process counts the flushes of a save.
    heard, news = context.Pipe()
    process = context.Process(target=_train, args=(straight, steps, news))
    process.start()
    news.close()
    flushes = []
    while True:
        try:
            word, count = heard.recv()
        except EOFError:
            break
        if word == "end":
            flushes.append(count)
    process.join()
    assert process.exitcode == 0 and len(flushes) == steps and min(flushes) > 3

    newest, inside, kill = 0, 0, 0
    while inside < KILLS:
        assert kill <= 2 * KILLS, "the kills do not fall into saves"
        heard, news = context.Pipe()
        doom = (random.randint(1, min(flushes)), random.uniform(0, SLOW)) if kill else None
        process = context.Process(target=_train, args=(killed, steps, news, doom))
        process.start()
        news.close()
        assert heard.recv()[0] == "begin"
        if kill == 0:
            assert heard.recv()[0] == "end"  # from here on there is a checkpoint to be lost
            os.kill(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        process.join()
        inside += bool(kill) and not _said(heard)
        assert process.exitcode == -signal.SIGKILL
        whole = _whole_steps(killed / "run")
        assert whole, f"kill {kill} left no whole checkpoint"
        assert checkpoint_steps(killed / "run") == whole, "a folder under a checkpoint's name is not whole"
        assert whole[-1] >= newest
        newest = whole[-1]
        kill += 1

    process = context.Process(target=_train, args=(killed, steps, None))
    process.start()
    process.join()
    assert process.exitcode == 0
    one, other = (load_file(folder / "run" / "model" / "model.safetensors") for folder in (straight, killed))
    assert all(torch.equal(one[key], other[key]) for key in one)
    logs = [read_metrics(folder / "run" / "metrics.jsonl") for folder in (straight, killed)]
    plain = [[{key: value for key, value in line.items() if key not in CLOCK} for line in log] for log in logs]
    assert plain[0] == plain[1]
    assert not [path for path in (killed / "run").glob(".*") if path.is_dir()]
    shutil.rmtree(killed)
