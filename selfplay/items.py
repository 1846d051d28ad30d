"""What evaluation is made of: items to ask, completions, and the results of a suite.

An item says what judges it: a task of the family (the verifier), a program with tests (an executor), or a rule for plain
answers. Records only: nothing is asked, judged or read from a file here.
"""

from collections import Counter
from dataclasses import dataclass, field

from selfplay.answers import RIGHT, Rule
from selfplay.programs import ProgramTest
from tasks.records import Kind, Role, Task
from telemetry.intervals import wilson
from telemetry.records import EvalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a suite, with what judges its answer, what is expected, and a completion that is right."""

    id: str
    prompt: str
    expected: str
    judged_by: Task | ProgramTest | Rule
    kind: Kind = Kind.DEDUCTION
    group: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What was answered, by which weights; a recorded answer has version 0."""

    text: str
    truncated: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """`reason` is "ok" exactly when the completion is right."""

    item: Item
    completion: Completion
    reason: str

    @property
    def right(self) -> bool:
        return self.reason == RIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """Greedy accuracy of one suite; `step` is the loop's."""

    name: str
    results: tuple[ItemResult, ...] = field(repr=False)
    step: int = 0

    @property
    def right(self) -> int:
        return sum(result.right for result in self.results)

    @property
    def total(self) -> int:
        return len(self.results)

    @property
    def groups(self) -> dict[str, tuple[int, int]]:
        """(right, total) of each group, in the order of the items."""
        totals = Counter(result.item.group for result in self.results if result.item.group)
        rights = Counter(result.item.group for result in self.results if result.right)
        return {group: (rights[group], total) for group, total in totals.items()}

    @property
    def reasons(self) -> dict[str, int]:
        """How many items ended with each reason, the most frequent first."""
        return dict(Counter(result.reason for result in self.results).most_common())

    @property
    def rows(self) -> tuple[EvalRow, ...]:
        return tuple(_row(self, number, result) for number, result in enumerate(self.results))

    def scalars(self) -> dict[str, float]:
        low, high = wilson(self.right, self.total)
        accuracy = self.right / self.total if self.total else 0.0
        named = {f"eval/{self.name}/accuracy": accuracy, f"eval/{self.name}/low": low, f"eval/{self.name}/high": high}
        return named | {f"eval/{self.name}/{group}": right / total for group, (right, total) in self.groups.items()}


def _row(suite: SuiteResult, number: int, result: ItemResult) -> EvalRow:
    return EvalRow(
        step=suite.step,
        version=result.completion.version,
        kind=result.item.kind.value,
        role=Role.SOLVE.value,
        suite=suite.name,
        item=number,
        prompt=result.item.prompt,
        text=result.completion.text,
        expected=result.item.expected,
        right=result.right,
    )
