"""Fixed training sets of plain problems `a op b`, by name: the journals' 100, 500 and small ones.

Drawn with a fixed seed, so that they are the same for all runs and options. Of the same operands a smaller set is the
beginning of a larger one. What is held out is never drawn.
"""

import random

from tasks.arithmetic.generate import JOURNAL_MAX, plain_problems
from tasks.arithmetic.heldout import HeldOut
from tasks.records import Draft

DATASET_SEED = 20_250_506  # never a run's seed
SMALL_MAX = 10


def plain_set(count: int, max_operand: int, heldout: HeldOut) -> tuple[Draft, ...]:
    """The first `count` (or as many as there are) of the shuffled problems with operands 0 to `max_operand`."""
    free = [draft for draft in plain_problems(max_operand) if draft not in heldout]
    return tuple(random.Random(DATASET_SEED).sample(free, len(free))[:count])


def arithmetic_datasets(heldout: HeldOut) -> dict[str, tuple[Draft, ...]]:
    return {
        "arithmetic-100": plain_set(100, JOURNAL_MAX, heldout),
        "arithmetic-500": plain_set(500, JOURNAL_MAX, heldout),
        "arithmetic-small": plain_set(100, SMALL_MAX, heldout),
    }
