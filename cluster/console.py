"""Where commands talk to the user: results on stdout, complaints on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import Enum, auto


class Show(Enum):
    """How much `azr train` says on stdout."""

    LINES = auto()  # everything that a person wants to see
    QUIET = auto()  # the last line
    JSON = auto()  # a JSON line per step, and the last line


def say(line: str, end: str = "\n") -> None:
    sys.stdout.write(line + end)
    sys.stdout.flush()


def complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def say_json(value: Mapping[str, object] | Sequence[object]) -> None:
    """One line, the last of a command's stdout: scripts read it."""
    say(json.dumps(value, allow_nan=False))
