"""The whole suite of attacks, in the order of its files."""

from tests.verifier.attacks import (
    cases_chance,
    cases_exits,
    cases_files,
    cases_frames,
    cases_interpreter,
    cases_kernel,
    cases_limits,
    cases_processes,
    cases_replies,
    cases_text,
    cases_values,
)
from tests.verifier.attacks.case import Attack

_FILES = (
    *(cases_limits, cases_processes, cases_exits, cases_files, cases_kernel, cases_interpreter, cases_frames, cases_values),
    *(cases_replies, cases_text, cases_chance),
)
ATTACKS: tuple[Attack, ...] = tuple(attack for file in _FILES for attack in file.ATTACKS)
QUICK: tuple[Attack, ...] = tuple(attack for attack in ATTACKS if not attack.waits and not attack.chance)
_AT_THE_WALLS = {
    "fork",
    "thread",
    "signal",
    "file",
    "network",
    "system call",
    "ctypes",
    "environment",
    "forged reply",
    "memory",
}
AT_THE_WALLS: tuple[Attack, ...] = tuple(attack for attack in QUICK if attack.group in _AT_THE_WALLS)  # of the kernel
ENDLESS: tuple[Attack, ...] = tuple(attack for attack in ATTACKS if attack.waits)
CHANCE: tuple[Attack, ...] = tuple(attack for attack in ATTACKS if attack.chance)
