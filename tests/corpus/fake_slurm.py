"""A Slurm of one machine for tests: sbatch, squeue, scancel and srun that run array tasks for real, in processes.

    install(folder)     the commands in folder/bin, jobs in folder/jobs; put folder/bin first on PATH

A job is a folder with its script, what was asked of it and a file per task: pending, running, or its exit code. Its
tasks begin when its dependencies allow, as many at a time as the array says, each with Slurm's variables.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path


def install(folder: Path) -> Path:
    """Write the commands; the folder to put on PATH."""
    (folder / "bin").mkdir(parents=True)
    (folder / "jobs").mkdir()
    for command in ("sbatch", "squeue", "scancel", "srun"):
        path = folder / "bin" / command
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{folder}" {command} "$@"\n')
        path.chmod(0o755)
    return folder / "bin"


def options_of(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """--key=value options and the other words."""
    named = dict((*word[2:].split("=", 1), "")[:2] for word in words if word.startswith("--"))
    return named, [word for word in words if not word.startswith("--")]


def sbatch(root: Path, words: list[str]) -> None:
    given, (script,) = options_of(words)
    text = Path(script).read_text()
    options = options_of(re.findall(r"^#SBATCH (\S+)$", text, re.M))[0] | given
    if options["partition"] == "closed":
        sys.exit("sbatch: error: Batch job submission failed: Invalid partition name specified")
    number = len(list((root / "jobs").iterdir())) + 100
    job = root / "jobs" / str(number)
    job.mkdir()
    (job / "script").write_text(text)
    (job / "options.json").write_text(json.dumps(options))
    first, last, limit = re.fullmatch(r"(\d+)-(\d+)(?:%(\d+))?", options["array"]).groups()
    for task in range(int(first), int(last) + 1):
        (job / f"{task}.task").write_text("pending")
    exported = dict(pair.split("=", 1) for pair in options.get("export", "ALL").split(",") if "=" in pair)
    command = [sys.executable, __file__, str(root), "schedule", str(number), limit or "1000"]
    subprocess.Popen(
        command, env=os.environ | exported, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    print(f"Submitted batch job {number}")


def tasks(job: Path) -> dict[int, str]:
    return {int(path.stem): path.read_text() for path in job.glob("*.task")}


def unfinished(job: Path) -> list[int]:
    return sorted(task for task, state in tasks(job).items() if state.startswith(("pending", "running")))


def schedule(root: Path, words: list[str]) -> None:
    """The life of a job: wait for what it depends on, run its tasks."""
    number, limit = words
    job = root / "jobs" / number
    options = json.loads((job / "options.json").read_text())
    for kind, other in re.findall(r"(after\w+):(\d+)", options.get("dependency", "")):
        while unfinished(root / "jobs" / other):
            time.sleep(0.02)
        if kind == "afterok" and any(state != "0" for state in tasks(root / "jobs" / other).values()):
            return  # it stays pending for ever, as in Slurm
    running: dict[int, subprocess.Popen] = {}
    while True:
        for task, process in list(running.items()):
            if process.poll() is not None:
                (job / f"{task}.task").write_text(str(process.returncode))
                del running[task]
        waiting = sorted(task for task, state in tasks(job).items() if state == "pending")
        if not waiting and not running:
            return
        if waiting and len(running) < int(limit):
            running[waiting[0]] = start(job, number, waiting[0], options)
        time.sleep(0.02)


def start(job: Path, number: str, task: int, options: dict[str, str]) -> subprocess.Popen:
    variables = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_JOB_ID": number, "SLURM_JOB_ID": f"{number}{task:04d}"}
    with open(options["output"].replace("%A", number).replace("%a", str(task)), "wb") as log:
        process = subprocess.Popen(
            ["bash", str(job / "script")],
            env=os.environ | variables | {"SLURM_JOB_NODELIST": "localhost"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (job / f"{task}.task").write_text(f"running {process.pid}")
    return process


def squeue(root: Path, words: list[str]) -> None:
    for number in options_of(words)[0]["jobs"].split(","):
        job = root / "jobs" / number
        if not job.is_dir():
            sys.exit("slurm_load_jobs error: Invalid job id specified")
        failed = [
            other
            for kind, other in re.findall(
                r"(after\w+):(\d+)", json.loads((job / "options.json").read_text()).get("dependency", "")
            )
            if kind == "afterok" and any(s not in "0" for s in tasks(root / "jobs" / other).values())
        ]
        for task in unfinished(job):
            print(f"{number}_{task} {'DependencyNeverSatisfied' if failed else 'None'}")


def scancel(root: Path, words: list[str]) -> None:
    options, numbers = options_of(words)
    for number in numbers:
        for path in (root / "jobs" / number).glob("*.task"):
            state = path.read_text()
            if state == "pending":
                path.write_text("cancelled")
            elif state.startswith("running") and options.get("state") != "PENDING":
                os.killpg(int(state.split()[1]), signal.SIGKILL)


def srun(root: Path, words: list[str]) -> None:
    assert words[:3] == ["-l", "-n", "1"]
    os.execvp(words[3], words[3:])


if __name__ == "__main__":
    {"sbatch": sbatch, "schedule": schedule, "squeue": squeue, "scancel": scancel, "srun": srun}[sys.argv[2]](
        Path(sys.argv[1]), sys.argv[3:]
    )
