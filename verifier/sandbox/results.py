"""What became of a run: its end, as the server and the kernel tell it, and its reply, as the program may have forged it."""

import builtins
import os
import signal
from dataclasses import dataclass

from tasks.python.literals import LiteralError, render, same_text
from verifier.execution import Status
from verifier.sandbox.encoding import decode
from verifier.sandbox.host import Ended
from verifier.sandbox.protocol import Reply

_BY_SIGNAL: dict[int, tuple[Status, str]] = {
    signal.SIGSYS: ("forbidden", "system_call"),
    signal.SIGXCPU: ("timeout", "cpu_time"),
    signal.SIGKILL: ("memory", "killed"),  # not by us: the kernel's out-of-memory killer
}
# The reasons that a reply may give: a program that forges one invents no code of its own.
_EXCEPTIONS = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
REASONS = _EXCEPTIONS | {
    "syntax",
    "input_syntax",
    "no_function",
    "output_type",
    "size",
    "depth",
    "memory",
    "import",
    "file",
    "exception",
}


@dataclass(frozen=True, slots=True)
class Result:
    """`output`: the canonical literal of the value where the status is ok. `wall_s`: over all of a job's runs."""

    status: Status
    output: str = ""
    reason: str = ""
    detail: str = ""
    wall_s: float = 0.0


def read_result(ended: Ended, wall_s: float) -> Result:
    """`wall_s`: of the job so far."""
    if os.WIFSIGNALED(ended.status):
        number = os.WTERMSIG(ended.status)
        if ended.killed:
            return Result("timeout", reason="timeout", wall_s=wall_s)
        status, reason = _BY_SIGNAL.get(number, ("error", "crash"))
        return Result(status, reason=reason, detail=_signal_name(number), wall_s=wall_s)
    reply = Reply.from_bytes(ended.data)
    if reply is None:
        return Result("error", reason="no_result", detail=f"exit status {os.WEXITSTATUS(ended.status)}", wall_s=wall_s)
    if reply.status != "ok":
        reason = reply.reason if reply.reason in REASONS else "exception"
        return Result(reply.status, reason=reason, detail=_plain(reply.detail), wall_s=wall_s)
    try:
        return Result("ok", render(decode(reply.value)), wall_s=wall_s)
    except LiteralError as error:
        return Result("too_large_output", reason="depth" if error.reason == "too_deep" else "size", wall_s=wall_s)
    except ValueError:
        return Result("error", reason="no_result", detail="the reply holds no value", wall_s=wall_s)


def agree(before: Result, now: Result) -> bool:
    return now.status == "ok" and (before.output == now.output or same_text(before.output, now.output))


def disagreement(now: Result) -> Result:
    """A run that took too long or too much in a further world is told as that; any other difference is not determinism."""
    if now.status in ("timeout", "memory"):
        return now
    return Result("nondeterministic", reason="nondeterministic", wall_s=now.wall_s)


def _signal_name(number: int) -> str:
    """The real-time signals have no name of their own."""
    return next((known.name for known in signal.Signals if known == number), f"signal {number}")


def _plain(text: str) -> str:
    """Printable ASCII: what a program says of itself goes to terminals and logs."""
    return "".join(char if char.isprintable() else " " for char in text.encode("ascii", "backslashreplace").decode())
