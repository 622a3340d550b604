"""docs/study.md: the rows of a grid as tables, the verdicts, and how each row is made again.

Written from whatever rows are there; those that are not are named.
"""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from corpus.artifact import write_atomic
from pipelines.study import pictures
from pipelines.study.grid import GENERAL_TESTS, LINE, SHIFTS, SMOLLM2, TESTS, Cell
from pipelines.study.results import Estimate, Row, Term, estimate
from pipelines.study.sizes import StudySize
from pipelines.study.texts import DOMAINS
from pipelines.study.verdicts import BASE, COUNTED, Rows, Verdict, verdicts

TITLES = {
    "replay": "Replay alone",
    "methods": "Methods against forgetting",
    "matrix": "Domain by model",
    "selection": "Selected against random data",
    "schedule": "Learning-rate schedules",
    "curriculum": "Curriculum against a constant mix",
    "SmolLM2-135M": "SmolLM2-135M",
}


@dataclass(frozen=True)
class Findings:
    """What the page is written from. `rows` are those of our own base, `smollm2` those of SmolLM2-135M; `codes` the
    hash of the trainer's code by run; `command` makes the whole study."""

    size: StudySize
    cells: Sequence[Cell]
    rows: Rows
    smollm2: Rows
    codes: Mapping[str, str]
    command: str
    root: Path

    def of(self, cell: Cell) -> Rows:
        return self.smollm2 if cell.workspace == SMOLLM2 else self.rows


def write_page(found: Findings, path: Path) -> list[Path]:
    """Write the page and its pictures beside it; what was written."""
    drawn = {
        f"{path.stem}-frontier-{domain}": pictures.frontier(found.rows, list(found.cells), domain) for domain in SHIFTS
    }
    drawn[f"{path.stem}-replay"] = pictures.replay_curve(found.rows)
    written = [path]
    for name, picture in drawn.items():
        if picture is not None:
            written.append(path.with_name(f"{name}.svg"))
            write_atomic(written[-1], picture.encode())
    names = [each.name for each in written[1:]]
    write_atomic(path, ("\n".join(page(found, names, machine())) + "\n").encode())
    return written


def machine() -> dict[str, str]:
    """Where and with what the page is written."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "numpy"))
    return {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} × {model or platform.machine()}",
        "versions": f"Python {platform.python_version()}, {packages}",
    }


def page(found: Findings, figures: Sequence[str], where: Mapping[str, str]) -> Iterator[str]:
    """The lines of the page."""
    yield "# The study"
    yield ""
    yield "Written by the study itself (`pipelines/study/`); nothing on it is typed in."
    yield f"This is the **{found.size.name} grid**: `{found.command}`."
    yield ""
    yield f"Written on {where['date']}. Machine: {where['machine']}. Versions: {where['versions']}."
    yield f"Trainer code of the rows: {', '.join(sorted({code[:12] for code in found.codes.values()})) or 'none'}."
    yield ""
    yield from _setting(found)
    yield from _missing(found)
    yield "## Frontier"
    yield ""
    yield "Lower left is better: less forgotten, more learned. The dashed line is the gate's default epsilon."
    yield ""
    for figure in figures:
        yield f"![{Path(figure).stem.replace('-', ' ')}]({figure})"
        yield ""
    yield from _verdicts(verdicts(found.rows, found.cells))
    yield from _advice(found)
    for part, title in TITLES.items():
        cells = [cell for cell in found.cells if cell.part == part and cell.name in found.of(cell)]
        if cells:
            yield f"## {title}"
            yield ""
            yield from (_matrix(found) if part == "matrix" else _table(found, cells))
    yield from _regenerating(found)


def _setting(found: Findings) -> Iterator[str]:
    size = found.size
    model, length = size.model, size.sequence_length
    base, cell = (
        steps * batch * length for steps, batch in ((size.base_steps, size.batch.base), (size.steps, size.batch.cell))
    )
    yield (
        f"A Llama of {model.layers} layers, {model.hidden_size} wide, with a vocabulary of {size.vocabulary:,} of its "
        f"own, is pre-trained on {base:,} tokens of general English (Wikipedia and essays) and goes "
        f"on with {cell:,} tokens a cell: every cell has as many tokens, replay is part of them. The weak "
        "shift is Python's documentation, the strong one Python's standard library; `pipelines/study/texts.py` says "
        "where each text is from. Losses are bits per byte on files that no run trains on; *general* is both general "
        "kinds together."
    )
    yield ""
    yield (
        "± is one standard error: over seeds (s) where a row has several, else paired by document (d), which leaves "
        "out the noise of training."
    )
    yield ""
    if {BASE, *COUNTED} <= set(found.rows):
        yield "The base against counting (Witten–Bell) on the same training text and test documents, in bits per byte:"
        yield ""
        models = (BASE, *reversed(COUNTED))
        yield f"| | {' | '.join(models)} |"
        yield "|---" * (len(models) + 1) + "|"
        for name in GENERAL_TESTS:
            yield f"| {name} | {' | '.join(f'{found.rows[each].bits((name,)):.3f}' for each in models)} |"
        yield ""


def _missing(found: Findings) -> Iterator[str]:
    absent = [
        f"`{cell.name}`" + (f" (seeds {', '.join(map(str, lacking))})" if len(lacking) < len(cell.seeds) else "")
        for cell in found.cells
        if (lacking := _lacking(found, cell))
    ]
    if absent:
        yield f"**Not finished: {len(absent)} of {len(found.cells)} rows are missing** ({', '.join(absent)})."
        yield ""


def _lacking(found: Findings, cell: Cell) -> list[int]:
    row = found.of(cell).get(cell.name)
    return [seed for seed in cell.seeds if row is None or seed not in row.runs]


def _verdicts(found: Sequence[Verdict]) -> Iterator[str]:
    yield "## Verdicts"
    yield ""
    yield "| claim | verdict |"
    yield "|---|---|"
    for verdict in found:
        yield f"| {verdict.claim} | **{verdict.outcome}** |"
    yield ""
    yield (
        "*Shown*: every part is clear of its error (one-sided t test, 5% shared over the parts; of a *somewhere* one "
        "part). *Refuted*: clearly the other way. *Undecided*: within the noise. The parts, each above 0 where the "
        "claim holds:"
    )
    yield ""
    yield "| part | bits per byte |"
    yield "|---|---|"
    for verdict in found:
        for each in verdict.evidence:
            yield f"| {each.what} | {spelled(each.estimate)} |"
        if verdict.missing:
            yield f"| {verdict.claim} | missing: {', '.join(f'`{name}`' for name in verdict.missing)} |"
    yield ""


def _advice(found: Findings) -> Iterator[str]:
    """The cell with the lowest domain loss among those that keep general text within epsilon, for each shift."""
    if BASE not in found.rows:
        return
    yield "## What the frontier advises"
    yield ""
    base = found.rows[BASE]
    for domain, shift in SHIFTS.items():
        cells = [
            each for each in found.cells if each.domain == domain and each.name in found.rows and each.select is None
        ]
        rises = {cell.name: found.rows[cell.name].bits(GENERAL_TESTS) - base.bits(GENERAL_TESTS) for cell in cells}
        kept = [name for name, rise in rises.items() if rise <= pictures.EPSILON]
        if not cells:
            continue
        within = f"- {shift} shift ({domain}): {len(kept)} of {len(cells)} cells keep the general loss within"
        yield f"{within} {pictures.EPSILON} of the base's;"
        if kept:
            best = min(kept, key=lambda name: found.rows[name].bits((TESTS[domain],)))
            yield f"  the best of these on {domain} is `{best}` (general {rises[best]:+.4f})."
        else:
            least = min(rises, key=lambda name: rises[name])
            yield f"  the nearest is `{least}` (general {rises[least]:+.4f})."
    yield ""


def _table(found: Findings, cells: Sequence[Cell]) -> Iterator[str]:
    yield "| cell | method | replay | general | over the base | domain | under the base | seeds |"
    yield "|---|---|---|---|---|---|---|---|"
    for workspace, domain in dict.fromkeys((cell.workspace, cell.domain) for cell in cells):
        rows = found.smollm2 if workspace == SMOLLM2 else found.rows
        test = next(cell for cell in cells if cell.domain == domain).target
        if BASE in rows and test in _sets(rows[BASE]):
            yield f"| base | | | {rows[BASE].bits(GENERAL_TESTS):.4f} | | {rows[BASE].bits((test,)):.4f} | | |"
        for cell in cells:
            if cell.domain == domain and cell.workspace == workspace:
                yield _row(rows, cell)
    yield ""


def _row(rows: Rows, cell: Cell) -> str:
    row, columns = rows[cell.name], []
    for sets, sign in ((GENERAL_TESTS, 1), ((cell.target,), -1)):
        change = ""
        if BASE in rows and set(sets) <= _sets(rows[BASE]):
            change = spelled(estimate([Term(sign, row, sets), Term(-sign, rows[BASE], sets)]))
        columns += [f"{row.bits(sets):.4f}", change]
    shown = [f"`{cell.name}`", cell.method, f"{cell.replay:.0%}", *columns, str(len(row.runs))]
    return f"| {' | '.join(shown)} |"


def _sets(row: Row) -> set[str]:
    return set.intersection(*(set(run.sets) for run in row.runs.values()))


def _matrix(found: Findings) -> Iterator[str]:
    """Every model without replay on every test set."""
    models = [BASE, *(f"{domain}-r00" for domain in DOMAINS)]
    yield "Bits per byte of each model (rows, trained on its domain without replay) on each kind of text."
    yield ""
    yield f"| model | {' | '.join(TESTS)} |"
    yield "|---" * (len(TESTS) + 1) + "|"
    for model in models:
        if model in found.rows:
            row = found.rows[model]
            yield f"| {model} | {' | '.join(f'{row.bits((name,)):.3f}' for name in TESTS.values())} |"
    yield ""


def _regenerating(found: Findings) -> Iterator[str]:
    """How each row is made again, and where its record is."""
    yield "## Every row again"
    yield ""
    yield (
        f"A row by itself: `{found.command} --cell NAME`. The ledger of its documents is `corpus/ledger` of the "
        f"workspace (`{found.root}/{LINE}`, of SmolLM2 `{found.root}/{SMOLLM2}`), the run's own record "
        "`runs/RUN/metrics.jsonl`, its mixture `plans/RUN`; `provender mix show`, `mix where` and `provender audit` "
        "answer questions about them."
    )
    yield ""
    yield "| cell | plan | tokens by source | run |"
    yield "|---|---|---|---|"
    for cell in found.cells:
        row = found.of(cell).get(cell.name)
        for seed, run in sorted(row.runs.items()) if row is not None else ():
            yield _record(cell, seed, run.facts)
    yield ""


def _record(cell: Cell, seed: int, facts: Mapping[str, Any]) -> str:
    tokens = ", ".join(f"{name} {count:,}" for name, count in facts["tokens"].items())
    run = f"{facts['workspace']}/runs/{facts['run']}"
    return f"| `{cell.name}` seed {seed} | `{facts['plan'][:12]}` | {tokens} | `{run}` |"


def spelled(value: Estimate) -> str:
    """`+0.0123 ± 0.0040 (s)`."""
    return f"{value.value:+.4f} ± {value.error:.4f} ({value.over[0]})".replace("-", "−")
