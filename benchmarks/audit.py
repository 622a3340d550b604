"""The audit of a generated workspace: seconds and memory of the questions that must not keep anyone waiting.

    python -m benchmarks.audit [documents] [folder]      10,000,000 documents, generated into the folder once

Each question is asked in a process of its own: seconds are those after its imports, memory the most it ever held, with
them; seconds of all processors are given beside, which a busy machine changes less. `where` is the look-up of an id in
an opened index.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.measure import Asked, Row, alone, figure
from corpus.memory import peak_bytes

DOCUMENTS = 10_000_000
BARS = {"funnel": 2.0, "why": 0.2, "where": 0.005, "report": 10.0}  # seconds
IDEAS = {"report": "bands, copies and lengths of one scan of the ledger: together they are two thirds of it"}
REPEATS = {"funnel": 3, "why": 20, "where": 200, "report": 1}


def measure(question: str, workspace: Path) -> dict[str, Any]:
    """Seconds of a question in this process, those of all its processors (preparations included), and
    megabytes: of memory, and of the page for the report."""
    works = {"funnel": _funnel, "why": _why, "where": _where, "report": _report}
    started = process_time()
    seconds, size = works[question](workspace, REPEATS[question])
    busy = (process_time() - started) / len(seconds)
    return {"seconds": seconds, "memory": peak_bytes() / 1e6, "page": size, "busy": busy}


def _funnel(workspace: Path, repeats: int) -> tuple[list[float], float]:
    from pipelines.audit.corpus_questions import funnel
    from pipelines.audit.views import Views

    def ask() -> None:
        with Views(workspace) as views:
            funnel(views)

    return [_timed(ask) for _ in range(repeats)], 0.0


def _why(workspace: Path, repeats: int) -> tuple[list[float], float]:
    from pipelines.audit.document import life_of
    from pipelines.audit.identities import publish_index

    publish_index(workspace)
    ids = _some_ids(workspace, repeats + 1)
    life_of(workspace, ids[0])  # the first one compiles what the plan's order needs
    return [_timed(lambda id=id: life_of(workspace, id)) for id in ids[1:]], 0.0  # type: ignore[misc]


def _where(workspace: Path, repeats: int) -> tuple[list[float], float]:
    from pipelines.audit.identities import IdIndex

    index, ids = IdIndex.open(workspace), _some_ids(workspace, repeats + 1)
    index.find(ids[0])
    return [_timed(lambda id=id: index.place_of(id)) for id in ids[1:]], 0.0  # type: ignore[misc]


def _report(workspace: Path, repeats: int) -> tuple[list[float], float]:
    from pipelines.audit.everything import ask
    from pipelines.report.publish import write_report

    seconds = [_timed(lambda: write_report(workspace, ask(workspace))) for _ in range(repeats)]
    return seconds, (workspace / "report" / "report.html").stat().st_size / 1e6


def _timed(work) -> float:  # type: ignore[no-untyped-def]
    started = perf_counter()
    work()
    return perf_counter() - started


def _some_ids(workspace: Path, count: int) -> list[str]:
    from pipelines.audit.views import Views

    with Views(workspace) as views:
        # Ids are hashes: the least of them are a random sample.
        return views.query("SELECT unnest(min(id, $1)) AS id FROM ledger WHERE fate = 'kept'", count)["id"].to_list()


def rows(documents: int = DOCUMENTS, folder: str | None = None) -> Iterator[Row]:
    """Generate where there is nothing, ask."""
    from benchmarks.generated_workspace import generate

    workspace = Path(folder or os.environ.get("PROVENDER_AUDIT_WORKSPACE") or f"work/audit-{documents}")
    if not (workspace / "runs").is_dir():
        generate(workspace, documents)
    for question, bar in BARS.items():
        found = json.loads(alone("benchmarks.audit", "--ask", question, str(workspace.absolute())).splitlines()[-1])
        work = f"{question}, {documents:,} documents"
        yield figure(work, "s", found["seconds"], Asked(9, bar, "ours", most=True, idea=IDEAS.get(question, "")))
        yield figure(f"{work}: of all processors", "s", found["busy"])
        yield figure(f"{work}: peak memory", "MB", found["memory"], Asked(9, 2000, "ours", most=True))
        if found["page"]:
            yield figure(f"{work}: size of the page", "MB", found["page"], Asked(9, 3, "ours", most=True))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS, *sys.argv[2:3]):
            print(row, flush=True)
