"""Ground truth for integer arithmetic: a tree evaluator with bounds, never `eval`.

Programs are expressions over the variables a, b, c…, inputs are comma-separated integers in that order. Work is bounded
by the length of the text (see `tasks.arithmetic.expression.MAX_CHARS`) and by `MAX_DIGITS` on every operand and every
intermediate value, so that no deadline is needed.
"""

import operator
import re
from collections.abc import Callable, Sequence

from configs.system_sections import VerifiersSection
from tasks.arithmetic.expression import VARIABLES, Expression, Leaf, leaves, parse
from verifier.execution import Call, Outcome

MAX_DIGITS = 40
_LIMIT = 10**MAX_DIGITS
_INPUT = re.compile(rf"-?\d{{1,{MAX_DIGITS}}}(?:\s*,\s*-?\d{{1,{MAX_DIGITS}}})*")
_OPERATORS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


class ArithmeticExecutor:
    """Executor of the families whose programs are integer expressions; the limits of the sandbox do not concern it."""

    def __init__(self, section: VerifiersSection) -> None:
        del section

    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        return [_run(parse(call.program), call.input) for call in calls]

    def same(self, left: str, right: str) -> bool:
        return left == right

    def close(self) -> None:
        """Holds nothing."""


def _run(tree: Expression | None, text: str) -> Outcome:
    if tree is None:
        return Outcome("error", reason="syntax")
    if not _INPUT.fullmatch(text.strip()):
        return Outcome("error", reason="input_syntax")
    values = dict(zip(VARIABLES, (int(part) for part in text.split(",")), strict=False))
    names = {leaf.text for leaf in leaves(tree) if not leaf.is_number}
    if names - values.keys():
        return Outcome("error", reason="unknown_variable")
    if len(text.split(",")) > len(VARIABLES):
        return Outcome("error", reason="too_many_operands")
    value = _evaluate(tree, values)
    return Outcome("ok", str(value)) if value is not None else Outcome("too_large_output", reason="digits")


def _evaluate(tree: Expression, values: dict[str, int]) -> int | None:
    if isinstance(tree, Leaf):
        value = int(tree.text) if tree.is_number else values[tree.text]
        return value if abs(value) < _LIMIT else None
    left, right = _evaluate(tree.left, values), _evaluate(tree.right, values)
    if left is None or right is None:
        return None
    value = _OPERATORS[tree.symbol](left, right)
    return value if abs(value) < _LIMIT else None
