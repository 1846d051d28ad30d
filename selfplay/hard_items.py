"""The hardest held-out tasks told apart: how many are answered wrongly, and by how much at worst. Pure.

They are the first N of each kind by difficulty, then by fingerprint: the same in every step and every run of a family with
the same options. They are asked once, with the suites that hold them. Does not: ask or judge anything.
"""

import re
from collections.abc import Sequence

from selfplay.evaluate import is_cut
from selfplay.items import ItemResult, SuiteResult
from tasks.family import Family
from tasks.records import Kind, Origin, Task

_INTEGER = re.compile(r"-?[0-9]{1,300}")  # the difference of two fits a float


def hard_scalars(family: Family, results: Sequence[SuiteResult], count: int) -> dict[str, float]:
    """`eval/hard/{kind}/…` of the hardest `count` held-out tasks of each kind that was asked; empty for 0.

    items, violations: how many there are, and how many of them were answered wrongly or not at all. from_difficulty: the
    easiest of them. worst_margin: the largest |answer − truth| over the deduction tasks whose truth and answer are integers
    (0: no such answer was wrong), left out where there is none. How wrong another kind's answer is has no such measure.
    """
    scalars: dict[str, float] = {}
    for kind, found in _hardest(results, count).items():
        scalars |= {
            f"eval/hard/{kind}/items": len(found),
            f"eval/hard/{kind}/violations": sum(not result.right for _, result in found),
            f"eval/hard/{kind}/from_difficulty": min(task.difficulty for task, _ in found),
        }
        margins = [margin for task, result in found if (margin := _margin(family, task, result)) is not None]
        if margins:
            scalars[f"eval/hard/{kind}/worst_margin"] = max(margins)
    return scalars


def _hardest(results: Sequence[SuiteResult], count: int) -> dict[Kind, list[tuple[Task, ItemResult]]]:
    """A task that several suites hold counts once."""
    asked: dict[Kind, dict[str, tuple[Task, ItemResult]]] = {}
    for result in (result for suite in results for result in suite.results):
        task = result.item.judged_by
        if isinstance(task, Task) and task.origin is Origin.HELDOUT:
            asked.setdefault(task.kind, {}).setdefault(task.fingerprint, (task, result))
    ordered = {kind: sorted(of.values(), key=_hardest_first)[:count] for kind, of in asked.items()}
    return {kind: found for kind, found in ordered.items() if found}


def _hardest_first(asked: tuple[Task, ItemResult]) -> tuple[float, str]:
    task, _ = asked
    return (-task.difficulty, task.fingerprint)


def _margin(family: Family, task: Task, result: ItemResult) -> float | None:
    if task.kind is not Kind.DEDUCTION or is_cut(result.item, result.completion):
        return None
    truth, answer = task.pairs[0].output, family.parse_answer(task, result.completion.text)
    if not isinstance(answer, str) or not _INTEGER.fullmatch(truth) or not _INTEGER.fullmatch(answer):
        return None
    return float(abs(int(answer) - int(truth)))
