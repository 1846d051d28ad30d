"""As much of a W&B server as an online run needs to begin, in this process; it can fall silent, like a network that goes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROJECT = {"id": "cA==", "name": "p", "entity": {"id": "ZQ==", "name": "e"}}
BUCKET = {"id": "aWQ=", "name": "r", "displayName": "r", "config": "{}", "historyLineCount": 0, "project": PROJECT}


class FakeWandbServer:
    def __init__(self) -> None:
        self._silent, self._closed = threading.Event(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def fall_silent(self) -> None:
        """Connections are taken and nothing is answered any more."""
        self._silent.set()

    def hold(self) -> None:
        if self._silent.is_set():
            self._closed.wait()

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            return {"upsertBucket": {"bucket": BUCKET, "inserted": True}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "aWQ=", "uploadHeaders": [], "files": files}}
        if "RunResumeStatus" in query:
            return {"model": {**PROJECT, "bucket": None}}
        return {}

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def _handler(server: FakeWandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.hold()
            asked = json.loads(body) if self.path == "/graphql" else {}
            answer = {"data": server.answer(asked["query"], asked.get("variables") or {})} if asked else {}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST

        def log_message(self, *_: object) -> None: ...

    return Handler
