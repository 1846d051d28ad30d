"""Ground truth for the mixed family: integer expressions, and one call of count, max or min over them; never `eval`.

The arguments of a call are computed by the arithmetic executor, whose bounds on text and digits hold for each of them, so
that no deadline is needed.
"""

from collections.abc import Callable, Sequence

from configs.system_sections import VerifiersSection
from tasks.arithmetic.expression import render
from tasks.mixed.programs import parse_call
from verifier.arithmetic import ArithmeticExecutor
from verifier.execution import Call, Outcome

_FUNCTIONS: dict[str, Callable[[list[int]], int]] = {
    "count": lambda values: values[1:].count(values[0]),
    "max": max,
    "min": min,
}


class MixedExecutor:
    """Executor of the mixed family; the limits of the sandbox do not concern it."""

    def __init__(self, section: VerifiersSection) -> None:
        self._arithmetic = ArithmeticExecutor(section)

    def run(self, calls: Sequence[Call]) -> list[Outcome]:
        return [self._run(call) for call in calls]

    def _run(self, call: Call) -> Outcome:
        tree = parse_call(call.program)
        if tree is None:
            return self._arithmetic.run([call])[0]
        arguments = self._arithmetic.run([Call(program=render(argument), input=call.input) for argument in tree.arguments])
        failed = next((outcome for outcome in arguments if outcome.status != "ok"), None)
        values = [int(outcome.output) for outcome in arguments if outcome.status == "ok"]
        return failed or Outcome("ok", str(_FUNCTIONS[tree.function](values)))

    def same(self, left: str, right: str) -> bool:
        return left == right

    def close(self) -> None:
        """Holds nothing."""
