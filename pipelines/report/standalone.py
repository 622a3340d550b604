"""Charts as files of their own: the colours and lines that the report's page gives to the charts' classes go along."""

from markupsafe import Markup

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#9c6b4e")
STYLE = (
    "text{font:12px sans-serif;fill:#222}.end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#ddd;fill:none}"
    ".bound{stroke:#222;fill:none;stroke-dasharray:4 3}.line{fill:none;stroke-width:2}.run{fill:#999}"
    + "".join(
        f".area.s{i}{{fill:{c};fill-opacity:.8}}.line.s{i}{{stroke:{c}}}.label.s{i}{{fill:{c}}}"
        for i, c in enumerate(COLOURS)
    )
)


def standing_alone(chart: Markup) -> str:
    """The chart as an SVG document with its own style."""
    return (
        str(chart)
        .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        .replace("</title>", f"</title><style>{STYLE}</style>", 1)
    )
