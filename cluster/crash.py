"""What a user sees when a command fails: one line, an exit code, and for our own bugs where the traceback lies."""

import datetime
import errno
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import UserError
from configs.validation import one_line

LONGEST_REASON = 300


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C."""


class Crash(UserError):
    """An unexpected exception, after its traceback was written to a file."""


@contextmanager
def crash_log(folder: Path | None, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turns an exception that nobody foresaw into a Crash that names its type and the file with its traceback.

    `folder` gets `errors.log` (appended to); None: a temporary file. UserErrors, interrupts and those in `also` pass.
    """
    try:
        yield
    except Exception as failure:  # the process boundary: whatever was not foreseen ends here, in a file
        if isinstance(failure, (UserError, *also)):
            raise
        if isinstance(failure, OSError) and failure.errno == errno.ENOSPC:
            raise UserError(f"disk full: {one_line(str(failure))}; free some space and run the same command again") from failure
        where = write_traceback(failure, folder)
        raise Crash(
            f"{type(failure).__name__}: {reason(failure)}; the traceback is in {where} (or run with --debug)"
        ) from failure


def write_traceback(failure: BaseException, folder: Path | None) -> Path:
    text = "".join(traceback.format_exception(failure))
    stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if folder is None:
        with tempfile.NamedTemporaryFile("w", prefix="azr-error-", suffix=".log", delete=False) as file:
            file.write(f"{stamp}\n{text}")
        return Path(file.name)
    path = folder / "errors.log"
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{stamp}\n{text}\n")
    return path


def reason(failure: BaseException) -> str:
    """The last line of the message: Ray puts remote tracebacks before it."""
    lines = [line for line in str(failure).splitlines() if line.strip()]
    text = one_line(lines[-1]) if lines else "no message"
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def user_message(failure: UserError) -> str:
    """One line; an error that crossed from an actor carries the original as `cause`."""
    cause = getattr(failure, "cause", None)
    return one_line(str(cause if isinstance(cause, UserError) else failure))
