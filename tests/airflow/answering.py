"""A small server that answers what it is told to, as no real Airflow can be made to."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answers:
    """What the server is to say, one after the other; the last one for ever."""

    url: str = ""
    to_come: list[tuple[int, object]] = field(default_factory=list[tuple[int, object]])
    asked: list[str] = field(default_factory=list[str])

    def next(self, what: str) -> tuple[int, object]:
        self.asked.append(what)
        return self.to_come.pop(0) if len(self.to_come) > 1 else self.to_come[0]


@contextmanager
def answering() -> Generator[Answers]:
    """A server that says what it is told to say."""
    said = Answers()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content = said.next(f"{self.command} {self.path}")
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", "https://elsewhere.example.org/")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        said.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield said
        finally:
            server.shutdown()
            thread.join()
