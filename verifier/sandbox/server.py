"""The fork server: a single-threaded process, started by exec, that forks one fresh child per run.

    start      load modules → give up everything else (namespaces, root, files) → say which walls stand
    RUN        fork; the child gets its end of the supervisor's socket pair, reads its program there and replies there
    KILL       the run's child
    DEMOTE     lower its priority: it has run for long, the others should not wait for it → its process id to the supervisor
    a child's end → its process group is killed → its wait status to the supervisor
    end of the socket (the supervisor died or is done) → every child is killed → exit

It holds no secret: an empty environment, no descriptor but its socket and /dev/null. One hash seed, one clock for all of
its children; another server has others.
"""

import gc
import importlib
import io
import json
import os
import resource
import select
import signal
import socket
import sys

from verifier.sandbox import kernel
from verifier.sandbox.child import ANY_DESCRIPTOR, run_child
from verifier.sandbox.clock import shift_clock
from verifier.sandbox.protocol import (
    DEMOTE,
    KILL,
    NOT_RUN,
    REPORT,
    REQUEST,
    RESULT_FD,
    RUN,
    RUNS,
    Settings,
    receive_block,
    send_block,
)

MAX_DESCRIPTORS = 16  # its own, and the one that it receives and hands on
NICE = 10
# Loaded by the interpreter or by us; taken out of the reach of `import`, as there is no use for them in a program.
HIDDEN = (
    *("os", "posix", "posixpath", "resource", "select", "signal", "_signal", "socket", "_socket", "ctypes", "_ctypes"),
    *("gc", "importlib", "_thread", "threading", "selectors", "stat", "_stat", "site", "zipimport"),
)


class Nowhere(io.TextIOBase):
    """What programs print, goes nowhere and takes no memory."""

    def write(self, text: str) -> int:
        return len(text)

    def writable(self) -> bool:
        return True


class ForkServer:
    """Serves one supervisor until its socket ends."""

    def __init__(self, sock: socket.socket, settings: Settings) -> None:
        self._socket = sock
        self._settings = settings
        self._walls = kernel.seccomp_program(bytes.fromhex(settings.filter_hex))
        self._pid = os.getpid()
        self._children: dict[int, int] = {}  # run by process id
        self._pids: dict[int, int] = {}  # and the other way round
        self._woken, waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll()}
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    self._reap()
                if self._socket.fileno() in ready:
                    self._obey()
        except (EOFError, ConnectionError):
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)

    def _obey(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._socket, REQUEST.size, 1, socket.MSG_WAITALL)
        if len(data) < REQUEST.size:
            raise EOFError
        operation, run = REQUEST.unpack(data)
        if operation == RUN:
            self._fork(run, descriptors[0])
        elif run in self._pids:
            _order(operation, self._pids[run])
            if operation == DEMOTE:
                self._socket.sendall(REPORT.pack(run, self._pids[run], RUNS))

    def _fork(self, run: int, descriptor: int) -> None:
        try:
            pid = os.fork()
        except OSError:  # no process or memory to be had: not the program's fault
            os.close(descriptor)
            self._socket.sendall(REPORT.pack(run, 0, NOT_RUN))
            return
        if pid == 0:
            run_child(self._pid, descriptor, self._settings, self._walls)
        os.close(descriptor)
        self._children[pid], self._pids[run] = run, pid

    def _reap(self) -> None:
        while self._children:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            pid = ended.si_pid
            _kill_group(pid)  # before its number can be another's
            status = os.waitpid(pid, 0)[1]
            run = self._children.pop(pid)
            del self._pids[run]
            self._socket.sendall(REPORT.pack(run, pid, status))


def _order(operation: int, pid: int) -> None:
    """A refusal by the kernel (a niceness that is higher already) must not end the server."""
    try:
        if operation == KILL:
            os.kill(pid, signal.SIGKILL)
        elif operation == DEMOTE:
            os.setpriority(os.PRIO_PROCESS, pid, NICE)
    except OSError:
        return


def _kill_group(pid: int) -> None:
    """Whatever a program may have left in its group; a child that ended before `setsid` has none."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _load(modules: tuple[str, ...]) -> None:
    """Everything that a program may import is here from now on; nothing else can be found."""
    sys.modules["_hashlib"] = None  # type: ignore[assignment]  # OpenSSL: large to fork, and hashlib does without
    for name in modules:
        importlib.import_module(name)
    for name in HIDDEN:
        sys.modules.pop(name, None)
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.argv = sys.orig_argv = [""]
    sys.executable = sys._base_executable = ""  # type: ignore[attr-defined]
    for name in set(os.environ) - {"TZ"}:
        del os.environ[name]


def _silence() -> None:
    """Until here errors were for the supervisor; from here on descriptors 1 and 2 are /dev/null, and nothing can be read."""
    os.dup2(1, 2)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Nowhere()  # type: ignore[assignment,misc]
    sys.stdin = sys.__stdin__ = io.StringIO()  # type: ignore[assignment,misc]


def _give_up_everything(memory_bytes: int) -> dict[str, bool]:
    """Puts up the walls that stand for the server and all of its children; True for each that the kernel gave."""
    _offer_to_the_oom_killer()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_MSGQUEUE, 0)
    _limit(resource.RLIMIT_NOFILE, MAX_DESCRIPTORS)
    _limit(resource.RLIMIT_AS, memory_bytes)
    walls = {"namespaces": kernel.leave_namespaces()}
    is_nobody = kernel.drop_root()
    walls["unprivileged"] = kernel.drop_capabilities() and is_nobody
    walls["no_new_privileges"] = kernel.forbid_new_privileges()
    walls["landlock"] = kernel.forbid_files()
    return walls


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _offer_to_the_oom_killer() -> None:
    try:
        with open("/proc/self/oom_score_adj", "wb") as file:
            file.write(b"1000")
    except OSError:  # no /proc here: the order of the killer's choice is all that is lost
        return


def main() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # what our starter blocks or ignores comes with exec
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    os.dup2(int(sys.argv[1]), RESULT_FD)  # where a child's own socket takes its place
    os.closerange(RESULT_FD + 1, ANY_DESCRIPTOR)
    sock = socket.socket(fileno=RESULT_FD)
    settings = Settings.from_bytes(receive_block(sock))
    if settings.clock_offset_s:
        shift_clock(settings.clock_offset_s)
    _load(settings.modules)
    walls = _give_up_everything(settings.memory_bytes)
    gc.collect()
    gc.freeze()
    gc.disable()
    _silence()
    send_block(sock, json.dumps(walls).encode())
    ForkServer(sock, settings).serve()
    os._exit(0)
