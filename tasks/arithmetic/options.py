"""Bounds of the arithmetic family: how large its tasks may get, and how its generator draws them."""

from dataclasses import dataclass

from tasks.options import require


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
        require(self.easy_max >= 1, "easy_max", "at least 1", self.easy_max)
        require(self.max_operand >= self.easy_max, "max_operand", f"at least easy_max ({self.easy_max})", self.max_operand)
        require(0 <= self.abduction_min < self.max_operand, "abduction_min", "from 0 to below max_operand", self.abduction_min)
        require(1 <= self.max_operators <= 7, "max_operators", "from 1 to 7", self.max_operators)
        require(0 <= self.easy_share <= 1, "easy_share", "from 0 to 1", self.easy_share)
        require(self.num_pairs >= 2, "num_pairs", "at least 2", self.num_pairs)
