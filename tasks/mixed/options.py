"""Options of the mixed family: those of the arithmetic family, and how its lists are drawn."""

from dataclasses import dataclass, fields

from tasks.arithmetic.expression import VARIABLES
from tasks.arithmetic.options import ArithmeticOptions
from tasks.options import require

_ARITHMETIC = ArithmeticOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedOptions:
    """The bounds of operands hold for the numbers of lists too."""

    counting_share: float = 0.25  # of generated drafts; what the two shares leave is arithmetic
    comparison_share: float = 0.25
    max_items: int = 6  # of a list

    # As in ArithmeticOptions
    max_operand: int = _ARITHMETIC.max_operand
    abduction_min: int = _ARITHMETIC.abduction_min
    max_operators: int = _ARITHMETIC.max_operators
    easy_max: int = _ARITHMETIC.easy_max
    easy_share: float = _ARITHMETIC.easy_share
    num_pairs: int = _ARITHMETIC.num_pairs
    instructions: bool = _ARITHMETIC.instructions

    def __post_init__(self) -> None:
        require(0 <= self.counting_share <= 1, "counting_share", "from 0 to 1", self.counting_share)
        room = round(1 - self.counting_share, 6)
        require(0 <= self.comparison_share <= room, "comparison_share", f"from 0 to {room:g}", self.comparison_share)
        require(3 <= self.max_items <= len(VARIABLES), "max_items", f"from 3 to {len(VARIABLES)}", self.max_items)
        _ = self.arithmetic  # checks their bounds
        smallest = (min(self.easy_max, 9) + 1) ** 2  # inputs of two small operands
        require(self.num_pairs <= smallest // 2, "num_pairs", f"at most {smallest // 2} with this easy_max", self.num_pairs)

    @property
    def arithmetic(self) -> ArithmeticOptions:
        return ArithmeticOptions(**{field.name: getattr(self, field.name) for field in fields(ArithmeticOptions)})
