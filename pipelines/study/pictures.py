"""The study's pictures: the frontier of each shift, which is the headline, and the curve of replay."""

from pipelines.report import charts
from pipelines.report.standalone import standing_alone
from pipelines.study.grid import GENERAL_TESTS, LINE, SHARES, SHIFTS, TESTS, Cell, named
from pipelines.study.verdicts import BASE, Rows

EPSILON = 0.02  # bits per byte: the default of the trainer's gate
PARTS = ("methods", "schedule", "curriculum")


def frontier(rows: Rows, cells: list[Cell], domain: str) -> str | None:
    """Loss on the domain over the rise of the general loss: replay alone as a curve, every other cell as a mark. None
    when there is no base or no two shares of replay."""
    curve = [rows[name] for share in SHARES if (name := named(domain, share)) in rows]
    if BASE not in rows or len(curve) < 2:
        return None
    test, base = (TESTS[domain],), rows[BASE].bits(GENERAL_TESTS)
    marks = [
        charts.Mark(cell.name.removeprefix(f"{domain}-"), rows[cell.name].bits(GENERAL_TESTS) - base,
                    rows[cell.name].bits(test), index + 1)
        for index, cell in enumerate(
            cell for cell in cells
            if cell.domain == domain and cell.part in PARTS and cell.workspace == LINE and cell.name in rows
        )
    ]  # fmt: skip
    points = [(row.bits(GENERAL_TESTS) - base, row.bits(test)) for row in curve]
    return standing_alone(
        charts.frontier(
            charts.Line("replay", points, 0),
            marks,
            points,
            limit=EPSILON,
            title=f"{SHIFTS[domain]} shift: what is learned of {domain} against what is forgotten",
            x="rise of the general loss, bits per byte",
            y=f"loss on {domain}, bits per byte",
        )
    )


def replay_curve(rows: Rows) -> str | None:
    """The rise of the general loss and of the domain's over the share of replay. None when no shift has two shares."""
    lines = []
    for index, domain in enumerate(SHIFTS):
        for what, sets, baseline, colour in (
            ("general", GENERAL_TESTS, BASE, 2 * index),
            (domain, (TESTS[domain],), named(domain, 0.0), 2 * index + 1),
        ):
            if baseline not in rows:
                continue
            points = [
                (100 * share, rows[name].bits(sets) - rows[baseline].bits(sets))
                for share in SHARES
                if (name := named(domain, share)) in rows
            ]
            name = f"general ({domain})" if what == "general" else domain
            lines += [charts.Line(name, points, colour, dashed=what != "general")] if len(points) > 1 else []
    if not lines:
        return None
    title = "Replay: the general loss over the base's, the domain's over that without replay"
    return standing_alone(charts.lines(lines, title=title, x="replay, % of each batch", y="rise", zero=True))
