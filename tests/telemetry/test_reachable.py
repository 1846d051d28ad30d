import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from telemetry.reachable import why_unreachable


class NotFound(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    made = HTTPServer(("127.0.0.1", 0), NotFound)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join(10)
    made.server_close()


def test_a_server_that_answers_with_an_error_is_there(server: str) -> None:
    assert why_unreachable(server, 30.0) == ""


def test_a_closed_port_is_told_at_once() -> None:
    begun = time.monotonic()
    assert "refused" in why_unreachable("http://127.0.0.1:9", 30.0)
    assert time.monotonic() - begun < 20


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        assert why_unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.3)
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("url", ["", "api.wandb.ai", "http://no-such-host.invalid"])
def test_what_cannot_be_asked_is_told(url: str) -> None:
    assert why_unreachable(url, 20.0)
