"""The live view as a page of this machine: a server on 127.0.0.1 that answers two addresses and no others.

The page asks `/state` every two seconds for a fragment that the server has rendered with every name escaped; its
content-security policy lets it ask nobody else and run nothing but its own script. A request under another host's name
is refused, so that no web page can read the view by pointing a name of its own at 127.0.0.1.
"""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from corpus.errors import ConfigError
from pipelines.progress import table_console
from pipelines.report.charts import COLOURS, Line, lines
from pipelines.report.page import inline, policy
from pipelines.watch.state import State, look

HOST = "127.0.0.1"
_ENVIRONMENT = Environment(loader=PackageLoader("pipelines.watch"), autoescape=True, undefined=StrictUndefined)


def show_page(workspace: Path, port: int) -> None:
    """Serve until Ctrl-C. Raises ConfigError when the port is taken."""
    with server(workspace, port) as serving:
        table_console().print(f"http://{HOST}:{serving.server_port}/ (Ctrl-C ends it)", markup=False)
        serving.serve_forever()


def server(workspace: Path, port: int) -> ThreadingHTTPServer:
    """The server, bound and not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {f"{HOST}:{self.server.server_port}", f"localhost:{self.server.server_port}"}  # type: ignore[attr-defined]
            if self.headers.get("Host") not in known:
                self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            elif self.path == "/":
                self._answer(render_page(look(workspace)), f"{live_policy()}; frame-ancestors 'none'")
            elif self.path == "/state":
                self._answer(render_state(look(workspace)), "default-src 'none'")
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def _answer(self, body: str, allowed: str) -> None:
            data = body.encode()
            self.send_response(HTTPStatus.OK)
            headers = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(data))}
            headers |= {"Content-Security-Policy": allowed, "X-Content-Type-Options": "nosniff"}
            headers |= {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Requests of one's own browser are no news."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise ConfigError(
            "the page cannot be served", where=f"{HOST}:{port}", found=error.strerror, todo="choose another --port"
        ) from None


def live_policy() -> str:
    """The report's policy, and the right to ask this server."""
    return policy(_style(), _script()) + "; connect-src 'self'"


def render_page(state: State) -> str:
    """The whole page."""
    template = _ENVIRONMENT.get_template("watch.html.j2")
    return template.render(state=state, content=render_state(state), style=_style(), script=_script())


def render_state(state: State) -> str:
    """The part of the page that changes."""
    curves = ""
    if state.training is not None and state.training.losses:
        series = [
            Line(name, [(float(step), loss) for step, loss in points], number % COLOURS)
            for number, (name, points) in enumerate(state.training.losses.items())
        ]
        curves = lines(series, title="Training loss by source", x="step", y="nats per token")
    return _ENVIRONMENT.get_template("state.html.j2").render(state=state, curves=curves)


def _style() -> str:
    return inline("pipelines.report", "report.css")


def _script() -> str:
    return inline("pipelines.watch", "watch.js")
