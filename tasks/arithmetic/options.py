"""Bounds of the arithmetic family: how large its tasks may get, and how its generator draws them."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ArithmeticOptions:
    """Proposals outside these bounds are refused; the room above `easy_max` is where the curriculum can go."""

    max_operand: int = 99
    abduction_min: int = 2  # operands of abduction tasks and answers: 0 and 1 would make `? + ? = n` the same trick for all n
    max_operators: int = 2
    easy_max: int = 20  # the journals' problems: one operator, operands 0 to this
    easy_share: float = 0.6  # share of generated drafts that look like the journals' problems
    num_pairs: int = 6  # of an induction task; the first half is shown
    instructions: bool = False  # say in words what is asked; for pre-trained models, which have not seen the short forms

    def __post_init__(self) -> None:
        _require(self.easy_max >= 1, "easy_max", "at least 1", self.easy_max)
        _require(self.max_operand >= self.easy_max, "max_operand", f"at least easy_max ({self.easy_max})", self.max_operand)
        _require(0 <= self.abduction_min < self.max_operand, "abduction_min", "from 0 to below max_operand", self.abduction_min)
        _require(1 <= self.max_operators <= 7, "max_operators", "from 1 to 7", self.max_operators)
        _require(0 <= self.easy_share <= 1, "easy_share", "from 0 to 1", self.easy_share)
        _require(self.num_pairs >= 2, "num_pairs", "at least 2", self.num_pairs)


def read_options(given: Mapping[str, object]) -> ArithmeticOptions:
    """The options as a configuration gives them. ValueError naming the one that is unknown or of the wrong type."""
    defaults: dict[str, object] = {field.name: field.default for field in fields(ArithmeticOptions)}
    for name, value in given.items():
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(defaults)}"
            raise ValueError(f"unknown option {name}; {hint}")
        wanted = type(defaults[name])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            words = {int: "a whole number", float: "a number", bool: "true or false"}
            raise ValueError(f"{name} must be {words[wanted]}, got {value!r}")
    return ArithmeticOptions(**given)  # type: ignore[arg-type]  # checked above


def _require(holds: bool, name: str, rule: str, value: float) -> None:
    if not holds:
        raise ValueError(f"{name} must be {rule}, got {value}")
