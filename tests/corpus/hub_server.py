"""A Hugging Face hub of one data set, `me/set`, on this machine: what `datasets` asks of the real one, and no more."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c" * 40
NAME = "me/set"


class Hub(BaseHTTPRequestHandler):
    """GET and HEAD of the files, at a revision and in ranges, and of the API's list of them."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith(f"/api/datasets/{NAME}"):
            tree = path.partition("/tree/")[2].partition("/")[2]
            self.answer_json(self.entries(tree, "recursive=true" in query.lower()) if "/tree/" in path else self.info())
        elif path.startswith(f"/datasets/{NAME}/resolve/"):
            name = path.partition("/resolve/")[2].partition("/")[2]
            self.answer_file(self.files.get(name))
        else:
            self.answer(b"", 404)

    def info(self) -> dict[str, Any]:
        names = [{"rfilename": name} for name in self.files]
        return {"id": NAME, "sha": COMMIT, "private": False, "gated": False, "tags": [], "siblings": names}

    def entries(self, folder: str, recursive: bool) -> list[dict[str, Any]]:
        inside = {name: name.removeprefix(f"{folder}/" if folder else "") for name in self.files}
        below = {name: rest for name, rest in inside.items() if not folder or rest != name}
        found = [
            {"type": "file", "path": name, "size": len(self.files[name]), "oid": "0" * 40}
            for name, rest in below.items()
            if recursive or "/" not in rest
        ]
        folders = {name[: len(name) - len(rest)] + rest.split("/")[0] for name, rest in below.items() if "/" in rest}
        return found + [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(folders)]

    def answer_json(self, body: Any) -> None:
        self.answer(json.dumps(body).encode(), 200, {"Content-Type": "application/json"})

    def answer_file(self, content: bytes | None) -> None:
        if content is None:
            self.answer(b"", 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked is None:
            self.answer(content, 200, headers)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1 if last else None]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        self.answer(part, 206, headers)

    def answer(self, body: bytes, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def hub(files: dict[str, bytes]) -> Iterator[str]:
    """A running hub with these files in its data set; its address, for HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Filled", (Hub,), {"files": files}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
