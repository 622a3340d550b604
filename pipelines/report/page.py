"""The report as one HTML file that asks nothing of any network.

Style and script are inline and named by their hashes in a content-security policy that allows nothing else, so a
hostile name that slipped through escaping could still neither run nor load anything.
"""

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipelines.audit.everything import Audit
from pipelines.report.charts import tag
from pipelines.report.parts import Cell, Table
from pipelines.report.sections import headlines, sections


def render_html(audit: Audit) -> str:
    """The whole page. Pure: the same audit gives the same bytes."""
    style, script = inline("pipelines.report", "report.css"), inline("pipelines.report", "report.js")
    environment = Environment(
        loader=PackageLoader("pipelines.report"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["prose"] = prose
    return environment.get_template("report.html.j2").render(
        audit=audit,
        failed=[check for check in audit.checks if not check.passed],
        headlines=headlines(audit),
        sections=sections(audit),
        checks=_check_table(audit),
        policy=policy(style, script),
        style=style,
        script=script,
    )


def policy(style: str, script: str) -> str:
    """A content-security policy that allows this style, this script and data: images."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def prose(text: str) -> Markup:
    """Text in which what stands between backticks is code, escaped."""
    return Markup("").join(tag("code", part) if at % 2 else escape(part) for at, part in enumerate(text.split("`")))


def _check_table(audit: Audit) -> Table:
    verdicts = {True: Cell("passed", 1, "good"), False: Cell("failed", 0, "bad")}
    rows = [[Cell(check.name, check.name), verdicts[check.passed], Cell(check.detail)] for check in audit.checks]
    return Table("Checks", [("claim", False), ("verdict", False), ("figures", False)], rows)


def inline(package: str, name: str) -> Markup:
    """One of our own files, from a package's templates: nothing of the data gets in here."""
    return Markup(files(package).joinpath("templates", name).read_text(encoding="utf-8"))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
