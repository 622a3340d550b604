"""The audit of a generated workspace: seconds and memory of the questions that must not keep anyone waiting.

    python -m benchmarks.audit [documents] [folder]      10,000,000 documents, generated into the folder once

Each question is asked in a process of its own: seconds are those after its imports, memory the most it ever held, with
them; seconds of all processors are given beside, which a busy machine changes less. `where` is the look-up of an id in
an opened index.
"""

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time

DOCUMENTS = 10_000_000
BARS = {"funnel": 2.0, "why": 0.2, "where": 0.005, "report": 10.0}  # seconds
REPEATS = {"funnel": 3, "why": 20, "where": 200, "report": 1}


def measure(question: str, workspace: Path) -> dict[str, float]:
    """Median seconds of a question in this process, those of all its processors (preparations included), and
    megabytes: of memory, and of the page for the report."""
    import resource
    from statistics import median

    works = {"funnel": _funnel, "why": _why, "where": _where, "report": _report}
    started = process_time()
    seconds, size = works[question](workspace, REPEATS[question])
    busy = (process_time() - started) / len(seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"seconds": median(seconds), "most": max(seconds), "memory": memory, "page": size, "busy": busy}


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


def main() -> None:
    """Generate where there is nothing, ask, print each figure beside its bar."""
    from benchmarks.generated_workspace import generate

    documents = int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS
    workspace = Path(sys.argv[2] if len(sys.argv) > 2 else f"work/audit-{documents}")
    if not (workspace / "runs").is_dir():
        generate(workspace, documents)
    for question, bar in BARS.items():
        code = f"import json; from pathlib import Path; from benchmarks.audit import measure; " \
               f"print(json.dumps(measure({question!r}, Path({str(workspace)!r}))))"  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        page = f", page {found['page']:.2f} MB (bar 3)" if found["page"] else ""
        median, most, least = found["seconds"] * 1e3, found["most"] * 1e3, bar * 1e3
        print(
            f"{question}, {documents:,} documents: {median:,.3f} ms (bar {least:,.0f}; slowest {most:,.3f}), "
            f"{found['busy']:,.2f} s of processors, memory {found['memory']:,.0f} MB (bar 2,000){page}",
            flush=True,
        )


if __name__ == "__main__":
    main()
