"""What the optional parts of the rewards look at: rarity and traits of each proposal, the nearness of each wrong answer. Pure.

Measures only what is switched on. Invariant: rarity and nearness lie from 0 to 1, and nothing changes a solve rate. Does
not: say what they are worth (selfplay.rewards), compare proposals (learner.levels).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buffers.census import ALL, Census, family_traits
from selfplay.diversity import rarity_among
from selfplay.propose import Proposed
from selfplay.rewards import RewardTable
from selfplay.solve import Attempt, Solved
from tasks.family import Family
from tasks.records import Kind, Task, VerdictStatus

_INTEGER = re.compile(r"-?[0-9]{1,1000}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """rarities, traits: one per proposal; nearness: one per attempt, task by task. None: switched off.

    `traits`: all of a task's traits in one word; empty for a proposal that was not admitted.
    """

    rarities: tuple[float, ...] | None = None
    nearness: tuple[float, ...] | None = None
    traits: tuple[str, ...] | None = None


UNSHAPED = Shaping()


def measure(
    table: RewardTable, family: Family, proposed: Sequence[Proposed], solved: Sequence[Solved], census: Mapping[Kind, Census]
) -> Shaping:
    """`census` is from before the proposals came."""
    return Shaping(
        rarities=_rarities(family, proposed, census) if table.novelty else None,
        nearness=_nearness(family, solved) if table.partial else None,
        traits=_traits(family, proposed) if table.level else None,
    )


def nearness(truth: str, answer: str) -> float:
    """How near one integer comes to another: 1 − |answer − truth| / max(1, |truth|), not below 0; 0 for other text."""
    if not _INTEGER.fullmatch(truth) or not _INTEGER.fullmatch(answer):
        return 0.0
    error, scale = abs(int(answer) - int(truth)), max(1, abs(int(truth)))
    return 1.0 - error / scale if error < scale else 0.0


def _rarities(family: Family, proposed: Sequence[Proposed], census: Mapping[Kind, Census]) -> tuple[float, ...]:
    traits = family_traits(family)
    tasks = [item.admission.task for item in proposed]
    return tuple(rarity_among(traits(task), census[task.kind]) if task else 0.0 for task in tasks)


def _traits(family: Family, proposed: Sequence[Proposed]) -> tuple[str, ...]:
    traits = family_traits(family)
    tasks = [item.admission.task for item in proposed]
    return tuple(traits(task)[ALL] if task else "" for task in tasks)


def _nearness(family: Family, solved: Sequence[Solved]) -> tuple[float, ...]:
    return tuple(_attempt_nearness(family, item.task, attempt) for item in solved for attempt in item.attempts)


def _attempt_nearness(family: Family, task: Task, attempt: Attempt) -> float:
    """Of deduction only: what another input or program gives is the verifier's to compute."""
    if task.kind is not Kind.DEDUCTION or attempt.verdict.status is not VerdictStatus.WRONG:
        return 0.0
    answer = family.parse_answer(task, attempt.rollout.text)
    return nearness(task.pairs[0].output, answer) if isinstance(answer, str) else 0.0
