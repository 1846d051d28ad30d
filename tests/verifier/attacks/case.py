"""What an attack is: a hostile program, and what must hold of its outcome. Data only; `arena.py` runs it.

Also the openings that many attacks share: how a program finds the modules that are kept from it, and libc.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from textwrap import dedent

from verifier.execution import Call, Outcome

MARK = "azr_left_behind"  # part of the name of every file that an attack tries to make

# Modules that are out of the reach of `import`: built into the interpreter, or held by a module that is not.
REACH = """
import sys

def reach(name):
    if name in sys.builtin_module_names:
        return sys.modules["_frozen_importlib"].BuiltinImporter.load_module(name)
    seen, waiting = set(), list(sys.modules.values())
    while waiting:
        module = waiting.pop()
        if type(module) is not type(sys) or id(module) in seen:
            continue
        if module.__name__ == name:
            return module
        seen.add(id(module))
        waiting.extend(vars(module).values())
    raise LookupError(name)

posix = reach("posix")
"""
LIBC = f"""{REACH}
ctypes = reach("ctypes")
libc = ctypes.pythonapi  # finds the symbols of all that is loaded
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """`statuses`: the allowed ones. `output`, `reason`: what they must be, where given; `waits`: takes the whole time limit.

    `chance`: run it as a proposal is, in all worlds.
    """

    name: str
    group: str
    program: str
    statuses: frozenset[str]
    input: str = ""
    output: str | None = None
    reason: str | None = None
    waits: bool = False
    chance: bool = False

    @property
    def title(self) -> str:
        return f"{self.group}: {self.name}"

    @property
    def call(self) -> Call:
        return Call(program=self.program, input=self.input, deterministic=self.chance)

    def complaint(self, outcome: Outcome) -> str | None:
        """What does not hold; None when all does."""
        wrong = (
            outcome.status not in self.statuses
            or (self.output is not None and outcome.status == "ok" and outcome.output != self.output)
            or (self.reason is not None and outcome.reason != self.reason)
        )
        due = f"{'|'.join(sorted(self.statuses))} {self.output or ''} {self.reason or ''}".strip()
        return f"{self.title}: {outcome} where {due} is due" if wrong else None


def attacks(
    group: str, statuses: str, programs: Mapping[str, str], *, before: str = "", reason: str | None = None
) -> list[Attack]:
    """Programs by name, of which the same must hold; `before` stands before each, `a|b` are two statuses."""
    allowed = frozenset(statuses.split("|"))
    return [
        Attack(name=name, group=group, program=before + dedent(program), statuses=allowed, reason=reason)
        for name, program in programs.items()
    ]


def waiting(found: list[Attack]) -> list[Attack]:
    return [replace(attack, waits=True) for attack in found]


def answers(group: str, programs: Mapping[str, tuple[str, str, str]], *, before: str = "") -> list[Attack]:
    """(program, input, output) by name: what runs all the same, and gives exactly that."""
    return [
        Attack(name=name, group=group, program=before + dedent(program), input=given, output=output, statuses=frozenset({"ok"}))
        for name, (program, given, output) in programs.items()
    ]


def inputs(group: str, program: str, texts: Mapping[str, str], statuses: str, *, reason: str | None = None) -> list[Attack]:
    """One program on hostile inputs by name."""
    allowed = frozenset(statuses.split("|"))
    return [
        Attack(name=name, group=group, program=dedent(program), input=text, statuses=allowed, reason=reason)
        for name, text in texts.items()
    ]
