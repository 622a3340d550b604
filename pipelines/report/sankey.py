"""The funnel as a Sankey diagram: sources, what became of them, and why, as bands as thick as what they carry.

Inline SVG under the same rules as the charts: no style, no script, every name escaped, and a description that says in
words what the bands show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipelines.report.charts import clipped, svg, tag

WIDTH, BAR, GAP = 960, 10, 15
COLUMNS = (130, 395, 645)  # left edges of the bars of each column
TALL = 360  # height that the whole flow takes, gaps aside
LEAST = 1.0  # a node is drawn at least so high, so that a rare reason can be seen


@dataclass(frozen=True)
class Flow:
    """So much of one node (column, name) goes to one of the next column; `kind` is the CSS class of its colour."""

    start: str
    end: str
    amount: int
    kind: str


@dataclass
class _Node:
    name: str
    column: int
    amount: int
    kind: str
    top: float = 0.0
    height: float = 0.0
    out: float = 0.0  # height of the bands that already leave it
    into: float = 0.0


def sankey(first: Sequence[Flow], second: Sequence[Flow], *, title: str, unit: str) -> Markup:
    """Flows from the first column to the second, and from the second to the third. Nodes stand in the order in which
    the flows name them, sources by the first flows, reasons by the second."""
    total = sum(flow.amount for flow in first)
    if not total:
        return Markup("")
    columns: list[dict[str, _Node]] = [{}, {}, {}]
    for flow in first:
        _add(columns[0], flow.start, 0, flow.amount, "kept")
        _add(columns[1], flow.end, 1, flow.amount, flow.kind)
    for flow in second:
        _add(columns[2], flow.end, 2, flow.amount, flow.kind)
    tall = max(_place(list(column.values()), total, GAP / 2) for column in columns[:2])
    # Reasons stand beside the steps they belong to, which are below what was kept.
    needed = _place(list(columns[2].values()), total, 0.0)
    height = max(tall, _place(list(columns[2].values()), total, max(GAP / 2, tall - needed))) + GAP
    drawn = [_band(columns[0][f.start], columns[1][f.end], f, total, unit) for f in first]
    drawn += [_band(columns[1][f.start], columns[2][f.end], f, total, unit) for f in second]
    drawn += [part for column in columns for node in column.values() for part in _label(node, total)]
    described = [f"{flow.start} to {flow.end} {flow.amount:,}" for flow in first]
    described += [f"{flow.start}, {flow.end}: {flow.amount:,}" for flow in second]
    return svg(
        title, f"{unit}: " + "; ".join(described), *drawn, width=WIDTH, height=round(height), kind="chart sankey"
    )


def _add(column: dict[str, _Node], name: str, number: int, amount: int, kind: str) -> None:
    node = column.setdefault(name, _Node(name, number, 0, kind))
    node.amount += amount


def _place(nodes: list[_Node], total: int, top: float) -> float:
    """Stack the nodes of a column from `top`, labels never nearer than a line; where it ends."""
    for node in nodes:
        node.height = max(node.amount / total * TALL, LEAST)
        node.top = top
        top += max(node.height, 13.0) + 6.0
    return top


def _band(start: _Node, end: _Node, flow: Flow, total: int, unit: str) -> Markup:
    thick = flow.amount / total * TALL
    left, right = COLUMNS[start.column] + BAR, COLUMNS[end.column]
    y0, y1 = start.top + start.out, end.top + end.into
    start.out += thick
    end.into += thick
    middle = (left + right) / 2
    outline = (
        f"M{left} {y0:.1f}C{middle} {y0:.1f} {middle} {y1:.1f} {right} {y1:.1f}v{max(thick, 0.3):.1f}"
        f"C{middle} {y1 + thick:.1f} {middle} {y0 + thick:.1f} {left} {y0 + thick:.1f}Z"
    )
    hover = tag("title", f"{flow.start} → {flow.end}: {flow.amount:,} {unit}, {flow.amount / total:.1%}")
    return tag("path", hover, d=outline, class_=f"band area {flow.kind}")


def _label(node: _Node, total: int) -> list[Markup]:
    x = COLUMNS[node.column]
    bar = tag("rect", x=x, y=node.top, width=BAR, height=node.height, class_=f"area {node.kind}")
    middle = node.top + max(node.height, 13.0) / 2 + 4
    end = node.column == 0
    at = x - 8 if end else x + BAR + 8
    share = f"{node.amount / total:.1%}" if node.amount / total >= 0.001 else "<0.1%"
    words = [
        tag("tspan", clipped(node.name, 14 if end else 26), class_="strong"),
        tag("tspan", f" {node.amount:,}" + ("" if end else f" · {share}")),
    ]
    return [bar, tag("text", *words, x=at, y=middle, class_="label end" if end else "label")]
