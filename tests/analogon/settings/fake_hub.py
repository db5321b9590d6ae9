"""A model hub on the loopback interface: the few answers that huggingface_hub needs, from folders, well or badly."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMIT = "a" * 40


@dataclass
class Hub:
    """``models`` are folders by name; ``manner`` is "well", "silent" (accepts, never answers), "drips" or "refuses"."""

    models: dict[str, Path]
    manner: str = "well"
    files_fail: bool = False
    asked: list[str] = field(default_factory=list)
    address: str = ""


@contextmanager
def serving(models: dict[str, Path], manner: str = "well", *, files_fail: bool = False) -> Iterator[Hub]:
    """A running hub; it is gone when the block ends."""
    hub = Hub(models, manner, files_fail)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, body: bool = True) -> None:
            path = urlsplit(self.path).path
            hub.asked.append(f"{self.command} {path}")
            if hub.manner == "silent":
                over.wait(60)
            elif hub.manner == "drips":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                while not over.wait(0.5):
                    self.wfile.write(b" ")
                    self.wfile.flush()
            elif path.startswith("/api/models/"):
                self._api(path.removeprefix("/api/models/"))
            else:
                name, _, file = path.strip("/").partition("/resolve/")
                self._file(name, file.partition("/")[2], body)

        def _api(self, rest: str) -> None:
            name = "/".join(rest.split("/")[:2])
            if name not in hub.models:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            files = sorted(p for p in hub.models[name].rglob("*") if p.is_file())
            entries = [(p.relative_to(hub.models[name]).as_posix(), p.stat().st_size) for p in files]
            told: Any = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": n, "size": s} for n, s in entries]}
            if "/tree/" in rest:
                told = [{"type": "file", "path": n, "size": s, "oid": "0" * 40} for n, s in entries]
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

        def _file(self, name: str, file: str, body: bool) -> None:
            path = hub.models.get(name, Path("/nowhere")) / file
            if not path.is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            if hub.files_fail:
                self._send(403, b"", {})
                return
            content = path.read_bytes()
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, content, headers, body)

        def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool = True) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    if manner == "refuses":
        server.server_close()
        yield hub
        return
    thread.start()
    try:
        yield hub
    finally:
        over.set()
        server.shutdown()
        server.server_close()
