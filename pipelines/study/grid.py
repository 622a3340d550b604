"""The grid: which cells the study has, as settings that differ from recipes/study.yaml.

Not the full product. Replay is varied alone on both shifts, which gives the curve that every other method has to beat.
The methods are tried where forgetting is worst (the strong shift without replay) and on top of the little replay that
is usual (5%), KL and EWC with several strengths; a merge needs no training and is made of the run without replay. What
changes the schedule or the curriculum is compared at one share of replay. `weak` is general text → Python's
documentation, `strong` general text → Python code or German.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from pipelines.study.sizes import StudySize
from pipelines.study.texts import DOMAINS, GENERAL, POOL

SHARES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50)
SHIFTS = {"docs": "weak", "code": "strong"}
TESTS: dict[str, str] = {kind: f"{kind}-test" for kind in (*GENERAL, *DOMAINS)}
GENERAL_TESTS = tuple(TESTS[kind] for kind in GENERAL)
TASK = "handbook"  # what selection chooses for
LINE, SMOLLM2 = "line", "smollm2"


@dataclass(frozen=True)
class Cell:
    """One row of the study: a domain, a share of replay, and settings that differ from the recipe's.

    `part` is the table it stands in; `workspace` where it runs; `after` the cell whose model is merged with the base,
    at the share `alpha`; `select` how the documents of the pool are chosen: a measure, `random` or `all`.
    """

    name: str
    part: str
    domain: str
    replay: float
    method: str = "none"
    changes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    sets: tuple[str, ...] = ()
    workspace: str = LINE
    after: str | None = None
    alpha: float | None = None
    select: str | None = None

    @property
    def target(self) -> str:
        """The test set of what the cell is to learn."""
        return TESTS[TASK if self.domain == POOL else self.domain]

    @property
    def measured(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*GENERAL_TESTS, self.target, *self.sets)))

    def run(self, seed: int) -> str:
        """The name of its plan and run in the workspace."""
        return f"{self.name}-s{seed}"

    def identity(self) -> dict[str, Any]:
        """What the row is, without which seeds and in which table."""
        plain = asdict(self)
        del plain["part"], plain["seeds"]
        return plain | {"changes": list(self.changes), "sets": list(self.sets)}


@dataclass(frozen=True)
class Strength:
    """A method with its settings; `name` ends the cell's name."""

    name: str
    method: str
    changes: tuple[str, ...] = field(default=())


KL = Strength("kl", "KL", ("train.kl={weight: 1.0, on: all}",))
KL_WEAK = Strength("kl03", "KL", ("train.kl={weight: 0.3, on: all}",))
KL_REPLAY = Strength("klreplay", "KL on replay", ("train.kl={weight: 1.0, on: replay}",))
EWC = Strength("ewc", "EWC", ("train.ewc={weight: 3e4}",))
EWC_STRONG = Strength("ewc3e5", "EWC", ("train.ewc={weight: 3e5}",))
EWC_WEAK = Strength("ewc3e3", "EWC", ("train.ewc={weight: 3e3}",))
L2SP = Strength("l2sp", "L2-SP", ("train.l2sp=10",))
DAS = Strength("das", "DAS", ("train.das={}",))
LORA = Strength("lora", "LoRA", ("train.lora={rank: 16, alpha: 32}",))


def grid(size: StudySize) -> list[Cell]:
    """All cells of a size, the headline first: a study that is stopped has the most important rows."""
    quick = len(size.seeds) == 1
    cells = [
        *_replay_curves(size),
        *_methods(size, quick),
        *_matrix(size),
        *_selection(size),
        *_schedules(size),
        *(_smollm2(size, quick) if size.smollm2 is not None else ()),
    ]
    assert len({cell.name for cell in cells}) == len(cells)
    return cells


def named(domain: str, replay: float, ending: str = "") -> str:
    """The name of the cell of a domain, a share of replay and what else it has."""
    return f"{domain}-r{round(100 * replay):02d}" + (f"-{ending}" if ending else "")


def _replay_curves(size: StudySize) -> Iterator[Cell]:
    for replay in SHARES:
        for domain in SHIFTS:
            sets = tuple(TESTS.values()) if not replay else ()
            yield Cell(named(domain, replay), "replay", domain, replay, seeds=size.seeds, sets=sets)
    if len(size.seeds) > 1:
        for replay in (0.05, 0.25):
            yield Cell(named("german", replay), "replay", "german", replay)


def _methods(size: StudySize, quick: bool) -> Iterator[Cell]:
    headline = [("code", 0.0, KL), ("code", 0.0, EWC), ("code", 0.05, KL), ("code", 0.05, EWC)]
    headline += [("code", 0.25, KL_REPLAY), ("docs", 0.05, EWC), ("docs", 0.25, KL_REPLAY)]
    others = [("code", 0.0, KL_WEAK), ("code", 0.0, EWC_WEAK), ("code", 0.0, L2SP), ("code", 0.0, DAS)]
    others += [("code", 0.0, LORA), ("code", 0.05, KL_REPLAY), ("code", 0.0, EWC_STRONG)]
    if not quick:
        headline += [("docs", 0.0, KL), ("docs", 0.0, EWC), ("docs", 0.05, KL)]
        others += [("code", 0.10, KL_REPLAY), ("code", 0.50, KL_REPLAY)]
        others += [("code", 0.05, KL_WEAK), ("code", 0.05, EWC_WEAK), ("code", 0.05, L2SP), ("code", 0.05, DAS)]
        others += [
            ("code", 0.05, LORA),
            ("code", 0.25, KL),
            ("code", 0.25, EWC),
            ("docs", 0.0, DAS),
            ("docs", 0.0, LORA),
        ]
    for seeds, cells in ((size.seeds, headline), (size.seeds[:1], others)):
        for domain, replay, how in cells:
            yield Cell(named(domain, replay, how.name), "methods", domain, replay, how.method, how.changes, seeds)
    for domain in ("code",) if quick else SHIFTS:
        for alpha in (0.25, 0.5, 0.75):
            name = named(domain, 0.0, f"merge{round(100 * alpha)}")
            yield Cell(name, "methods", domain, 0.0, "merge", seeds=size.seeds, after=named(domain, 0.0), alpha=alpha)


def _matrix(size: StudySize) -> Iterator[Cell]:
    for domain in DOMAINS:
        if domain not in SHIFTS:
            yield Cell(named(domain, 0.0), "matrix", domain, 0.0, seeds=size.seeds, sets=tuple(TESTS.values()))


def _selection(size: StudySize) -> Iterator[Cell]:
    for select in ("dsir", "moore_lewis", "random", "all"):
        name = f"select-{select.replace('_', '-')}"
        seeds = size.seeds[:1] if select == "all" else size.seeds  # ten times as long as the others
        yield Cell(name, "selection", POOL, 0.0, select, seeds=seeds, select=select)


def _schedules(size: StudySize) -> Iterator[Cell]:
    minimum = size.base_rate / 10
    rates = {
        "infinite": ("schedule: infinite", "train.schedule={kind: infinite}"),
        "nowarmup": ("no warm-up, same peak", "train.warmup_steps=0"),
        "minimum": (
            "from the base's last rate",
            "train.schedule={kind: from_minimum}",
            "train.warmup_steps=null",
            f"train.learning_rate={minimum}",
        ),
    }
    for name, (method, *changes) in rates.items():
        yield Cell(named("code", 0.05, name), "schedule", "code", 0.05, method, tuple(changes), size.seeds)
    courses = {
        "more": ("domain 50% to 100%", "mix.schedule={kind: linear, start: 0.5, end: 1.0}"),
        "less": ("domain 100% to 50%", "mix.schedule={kind: linear, start: 1.0, end: 0.5}"),
    }
    for name, (method, change) in courses.items():
        yield Cell(named("code", 0.25, name), "curriculum", "code", 0.25, method, (change,), size.seeds)


def _smollm2(size: StudySize, quick: bool) -> Iterator[Cell]:
    cells = [(0.0, None), (0.1, None)] if quick else [(0.0, None), (0.05, None), (0.25, None), (0.0, KL), (0.05, KL)]
    for replay, how in cells:
        name = f"smollm2-{named('code', replay, how.name if how else '')}"
        method, changes = (how.method, how.changes) if how else ("none", ())
        yield Cell(name, "SmolLM2-135M", "code", replay, method, changes, workspace=SMOLLM2)
