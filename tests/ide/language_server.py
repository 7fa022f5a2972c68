"""A language server, and as much of an editor as it takes to ask it things."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any

CURSOR = "<|>"
PATIENCE = 40.0


class LanguageServer:
    """Speaks JSON-RPC with a server over its standard input and output."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._ids = count()
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Send a request and wait for its answer; whatever else the server wants is declined."""
        asked = next(self._ids)
        self._send({"id": asked, "method": method, "params": params})
        while message := self._messages.get(timeout=PATIENCE):
            if "method" in message and "id" in message:
                self._send({"id": message["id"], "result": None})
            elif message.get("id") == asked:
                assert "error" not in message, message
                return message["result"]
        raise AssertionError(f"The language server closed instead of answering {method}.")

    def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def at(self, method: str, file: Path, program: str) -> Any:
        """Ask about the place in a program where the cursor is."""
        before, _, after = program.partition(CURSOR)
        document = {"uri": file.as_uri(), "languageId": "python", "version": 1}
        self.tell("textDocument/didOpen", {"textDocument": {**document, "text": before + after}})
        lines = before.split("\n")
        where = {"line": len(lines) - 1, "character": len(lines[-1])}
        try:
            return self.ask(
                f"textDocument/{method}",
                {"textDocument": {"uri": document["uri"]}, "position": where},
            )
        finally:
            self.tell("textDocument/didClose", {"textDocument": {"uri": document["uri"]}})

    def _send(self, message: Mapping[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stdin = pipe(self.process.stdin)
        stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        stdin.flush()

    def _read(self) -> None:
        stdout = pipe(self.process.stdout)
        while header := stdout.readline():
            if header.lower().startswith(b"content-length:"):
                size = int(header.split(b":")[1])
                while stdout.readline().strip():  # other headers, up to the empty line
                    pass
                self._messages.put(json.loads(stdout.read(size)))
        self._messages.put(None)

    def close(self) -> None:
        """Have the server end."""
        self.ask("shutdown")
        self.tell("exit")
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


@contextmanager
def language_server(
    *command: str, folder: Path, env: Mapping[str, str]
) -> Generator[LanguageServer]:
    """A server for the programs in a folder, which is gone afterwards with all it started."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=env,
        start_new_session=True,
    ) as process:
        try:
            server = LanguageServer(process)
            folders = [{"uri": folder.as_uri(), "name": folder.name}]
            server.ask(
                "initialize",
                {"processId": None, "capabilities": {}, "workspaceFolders": folders},
            )
            server.tell("initialized", {})
            yield server
            server.close()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
