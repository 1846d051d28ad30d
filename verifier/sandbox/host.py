"""The supervisor's end of one fork server: starts it, tells it what to run, hears what ended, ends it."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from configs.errors import UserError
from verifier.sandbox.protocol import (
    DEMOTE,
    KILL,
    NOT_RUN,
    REPORT,
    REQUEST,
    RUN,
    RUNS,
    Settings,
    receive_block,
    send_block,
    text_bytes,
)

ROOT = Path(__file__).resolve().parents[2]
BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from verifier.sandbox.server import main; main()"
# Finds this project's own `os` in the frames below it, and makes a harmless system call that the filter does not allow.
FORBIDDEN_CALL = """
import sys
def f():
    frame = sys._getframe()
    while "os" not in frame.f_globals:
        frame = frame.f_back
    frame.f_globals["os"].getppid()
"""
START_TIMEOUT_S = 60.0
SEND_TIMEOUT_S = 5.0


class ServerLost(Exception):
    """The server's process ended, or does not answer."""


@dataclass(slots=True, kw_only=True)
class Running:
    """One run in progress."""

    token: int  # its random name at the server: a number that counts runs would tell a program which one it is
    socket: socket.socket  # our end of its pair
    started: float
    due: float  # when the pool looks after it next
    process: int = 0  # its number; known, and not 0, once the server has lowered its priority
    demoted: bool = False
    killed: bool = False

    def waited_s(self) -> float:
        """How long it was ready to run and had no processor, by the kernel's own count; 0 where it is not told."""
        try:
            return int(Path(f"/proc/{self.process}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):  # another kernel; or the run has just ended
            return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One run that ended: its wait status, what it wrote, and whether it was killed for its time."""

    job: int
    status: int
    data: bytes
    killed: bool
    wall_s: float


@dataclass(slots=True)
class Host:
    """One fork server with the runs that it has in progress, by job number."""

    hash_seed: int
    settings: Settings
    running: dict[int, Running] = field(default_factory=dict)
    walls: dict[str, bool] = field(default_factory=dict)
    _jobs: dict[int, int] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _socket: socket.socket | None = None

    def start(self) -> None:
        """Raises UserError when the server cannot start, with what it said."""
        try:
            ours = self._spawn()
            send_block(ours, self.settings.to_bytes())
            self.walls = json.loads(receive_block(ours))
            self._prove_the_wall()
            ours.settimeout(SEND_TIMEOUT_S)
        except (EOFError, OSError, ServerLost) as error:
            said = self._last_words()
            self.close()
            raise UserError(f"the sandbox's server did not start: {said or repr(error)}; see docs/verifier.md") from error
        assert self._process is not None
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _spawn(self) -> socket.socket:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(START_TIMEOUT_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-s", "-P", "-B", "-c", BOOT, str(ROOT), str(theirs.fileno())],
                env=_environment(self.hash_seed),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return self._socket

    @property
    def num_young(self) -> int:
        """Runs that the server has not said to be demoted: one that comes to nothing gets no further ones."""
        return sum(not run.process for run in self.running.values())

    def fileno(self) -> int:
        assert self._socket is not None, "the server has been started"
        return self._socket.fileno()

    def run(self, job: int, program: str, arguments: str) -> None:
        """Raises ServerLost, and OSError where this process can open no more sockets."""
        ours, theirs = socket.socketpair()
        token = secrets.randbits(63)
        now = monotonic()
        self.running[job] = Running(token=token, socket=ours, started=now, due=now)
        self._jobs[token] = job
        try:
            ours.settimeout(SEND_TIMEOUT_S)
            ours.sendall(text_bytes(program, arguments))
            ours.shutdown(socket.SHUT_WR)
            assert self._socket is not None
            socket.send_fds(self._socket, [REQUEST.pack(RUN, token)], [theirs.fileno()])
        except OSError as error:
            raise ServerLost(str(error)) from error
        finally:
            theirs.close()

    def kill(self, job: int) -> None:
        self.running[job].killed = True
        self._order(KILL, job)

    def demote(self, job: int) -> None:
        self.running[job].demoted = True
        self._order(DEMOTE, job)

    def _order(self, operation: int, job: int) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(REQUEST.pack(operation, self.running[job].token))
        except OSError as error:
            raise ServerLost(str(error)) from error

    def ended(self) -> list[Ended]:
        """The runs that ended since the last call; to be called when the descriptor is readable. Raises ServerLost."""
        assert self._socket is not None
        try:
            data = self._socket.recv(REPORT.size * 64)
            while data and len(data) % REPORT.size:
                data += self._socket.recv(REPORT.size - len(data) % REPORT.size)
        except OSError as error:
            raise ServerLost(str(error)) from error
        if not data:
            raise ServerLost("the server's process ended")
        told = list(REPORT.iter_unpack(data))
        if any(status == NOT_RUN for _, _, status in told):
            raise ServerLost("it cannot fork")
        for token, process, status in told:
            if status == RUNS:
                run = self.running[self._jobs[token]]
                run.process, run.due = process, run.started + self.settings.timeout_s
        return [self._finish(self._jobs.pop(token), status) for token, _, status in told if status != RUNS]

    def _finish(self, job: int, status: int) -> Ended:
        run = self.running.pop(job)
        wall_s = monotonic() - run.started
        data = _drain(run.socket, self.settings.output_bytes)
        return Ended(job=job, status=status, data=data, killed=run.killed, wall_s=wall_s)

    def hang_up(self) -> None:
        """The server ends its children and itself when it sees this; `close` waits for it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self, *, grace_s: float = 5.0) -> list[int]:
        """Ends the server, and with it its children. Returns the jobs that were in progress. Safe to call again.

        `grace_s`: how long it may take to end by itself; the kernel ends the children of one that is killed.
        """
        self.hang_up()
        lost = list(self.running)
        for run in self.running.values():
            run.socket.close()
        self.running.clear()
        self._jobs.clear()
        if self._process is not None:
            _end(self._process, grace_s)
            self._process = None
        return lost

    def _prove_the_wall(self) -> None:
        """Two runs at the start: one that must end well, and one that the filter must kill. Without it nothing is run."""
        for program, expected in (("def f(): return 1", 0), (FORBIDDEN_CALL, signal.SIGSYS)):
            self.run(0, program, "")
            status = self.ended()[0].status
            if status & 0x7F != expected:
                self.close()
                raise UserError(
                    f"the sandbox's wall does not stand (wait status {status} where {int(expected)} was due); the kernel must "
                    "allow seccomp filters (a container: do not run it with --security-opt seccomp=… that forbids them)"
                )

    def _last_words(self) -> str:
        self.hang_up()
        if self._process is None:
            return ""
        _kill(self._process)
        text = self._process.communicate()[1].decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else ""


def _environment(hash_seed: int) -> dict[str, str]:
    """Nothing of ours but where the interpreter's own libraries lie."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {"PYTHONHASHSEED": str(hash_seed), "TZ": "UTC0"}


def _drain(sock: socket.socket, limit: int) -> bytes:
    """What a child that has ended left behind; what is over the limit is cut, and is then no reply."""
    sock.setblocking(False)
    chunks, size = [], 0
    try:
        while size <= limit and (chunk := sock.recv(limit + 1)):
            chunks.append(chunk)
            size += len(chunk)
    except (BlockingIOError, ConnectionError):
        pass
    finally:
        sock.close()
    return b"".join(chunks)


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Its socket is closed already, so that it ends by itself; else it is killed."""
    try:
        process.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With its group: `sys.executable` may be a script that starts the interpreter."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
