"""Run the benchmarks, keep what they measured in docs/benchmarks.json and write docs/benchmarks.md from it.

python -m benchmarks                    all rooms, one after the other: about an hour and a half
python -m benchmarks mixing trainer     only these; the others keep what was measured before
python -m benchmarks --page             the page again, from what was measured before

Peers whose pins clash with ours, and data that is no part of the project, are found by environment variables:
PROVENDER_PEERS, PROVENDER_PEERS_SPACY, PROVENDER_EXTRACTION_BENCHMARK, PROVENDER_SHARED, PROVENDER_AUDIT_WORKSPACE.
"""

import os
import sys
from collections.abc import Callable, Iterator

from benchmarks import (
    agreement,
    audit,
    corpus,
    cuts,
    dedup,
    deidentify,
    extraction,
    growth,
    limits,
    line,
    loop,
    mixing,
    quality,
    results,
    scale_out,
    scaling,
    selection,
    shell,
    trainer,
)
from benchmarks.measure import Row
from benchmarks.page import PAGE, page

ROOMS: dict[str, tuple[str, Callable[[], Iterator[Row]]]] = {
    "limits": ("What this machine can do", limits.rows),
    "shell": ("At the shell", shell.rows),
    "line": ("The whole line of a corpus", line.rows),
    "extraction": ("Extraction", extraction.rows),
    "quality": ("Quality filters", quality.rows),
    "agreement": ("Quality decisions beside datatrove's", agreement.rows),
    "corpus": ("Steps of a corpus", corpus.rows),
    "deidentify": ("De-identification", deidentify.rows),
    "hostile": ("De-identification of hostile texts", deidentify.hostile_rows),
    "dedup": ("Deduplication", dedup.rows),
    "dedup_right": ("Deduplication: what it finds", dedup.right_rows),
    "dedup_scale": ("Deduplication of a million documents", dedup.scale_rows),
    "cuts": ("Finders of cuts", cuts.rows),
    "mixing": ("Mixing", mixing.rows),
    "selection": ("Selection", selection.rows),
    "trainer": ("Training steps", trainer.rows),
    "loop": ("The training loop", loop.rows),
    "audit": ("Audit of ten million documents", audit.rows),
    "scale_out": ("Other engines and stores", scale_out.rows),
    "prediction": ("Predictions of plan-cluster", scale_out.prediction_rows),
    "growth": ("What grows with a corpus", growth.rows),
    "scaling": ("Scaling", scaling.rows),
}


def main(chosen: list[str]) -> None:
    """Measure room by room, print each row as it comes, keep each room as soon as it is done."""
    if unknown := set(chosen) - set(ROOMS) - {"--page"}:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(ROOMS)}")
    rooms = results.load()
    for name, (_, rows) in ROOMS.items():
        if chosen and name not in chosen:
            continue
        load, found = os.getloadavg()[0], []
        for row in rows():
            print(row, flush=True)
            found.append(row)
        if found:
            rooms[name] = results.measured_now(found, load)
            results.save(rooms)
    PAGE.write_text(page(rooms, {name: title for name, (title, _) in ROOMS.items()}), encoding="utf-8")
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main(sys.argv[1:])
