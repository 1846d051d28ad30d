"""Other privileges for the tests of the sandbox: a process of this one's making that has fewer, and fewer walls to put up."""

import ctypes
import errno
import json
import os
from collections.abc import Callable, Iterable
from struct import pack
from traceback import format_exc
from typing import Any

NOBODY = 65534
PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 47, 2
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
LANDLOCK_CREATE_RULESET = 444
_libc = ctypes.CDLL(None, use_errno=True)


def become_ordinary() -> None:
    """Another user, with one thing kept: to read the interpreter's files, which may lie in root's own folder."""
    os.chdir("/")
    _libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kept = 1 << CAP_DAC_READ_SEARCH
    assert _libc.capset(pack("<Ii", CAPABILITY_VERSION_3, 0), pack("<6I", kept, kept, kept, 0, 0, 0)) == 0
    assert _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0) == 0


def lose_walls() -> None:
    """As in a container that grants nothing: no namespace, no Landlock, no change of the user."""
    import pyseccomp

    refused = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for call in ("unshare", "setresuid", "setresgid", "setgroups", LANDLOCK_CREATE_RULESET):
        refused.add_rule(pyseccomp.ERRNO(errno.EPERM), call)
    refused.load()


def run_apart(prepare: Iterable[Callable[[], None]], work: Callable[[], object]) -> Any:
    """What `work` returns (as JSON) in a child of this process, after `prepare`; raises AssertionError with its traceback."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for step in prepare:
                step()
            told: dict[str, Any] = {"done": work()}
        except BaseException:  # noqa: BLE001 - told to the parent, which raises
            told = {"failed": format_exc()}
        with open(writer, "w", encoding="utf-8") as file:
            json.dump(told, file)
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        text = file.read()
    os.waitpid(pid, 0)
    told = json.loads(text)
    assert "failed" not in told, told["failed"]
    return told["done"]
