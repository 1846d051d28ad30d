"""Random drafts over lists: counting and comparison. Arithmetic drafts are the arithmetic family's.

Everything is drawn from the `random.Random` that is handed in; nothing here computes a result.
"""

import random

from tasks.arithmetic.expression import format_operands
from tasks.mixed.options import MixedOptions
from tasks.mixed.programs import COUNT, HEADS, Sort, list_program
from tasks.records import Draft, Kind

TARGET_SHARE = 0.4  # of a counting list's items are the number that is counted; the others are drawn
EASY_ITEMS = {Sort.COUNTING: (3, 5), Sort.COMPARISON: (2, 2)}  # least and most


def random_sort(options: MixedOptions, rng: random.Random) -> Sort:
    drawn = rng.random()
    if drawn < options.counting_share:
        return Sort.COUNTING
    return Sort.COMPARISON if drawn < options.counting_share + options.comparison_share else Sort.ARITHMETIC


def random_list_draft(kind: Kind, sort: Sort, options: MixedOptions, rng: random.Random) -> Draft:
    """Within the bounds that proposals have: a short list of easy numbers, or a longer one of numbers up to any size."""
    easy = rng.random() < options.easy_share
    low = options.abduction_min if kind is Kind.ABDUCTION else 0
    top = options.easy_max if easy else min(options.max_operand, 10 ** rng.randint(1, len(str(options.max_operand))) - 1)
    top = max(low, top)
    shortest, longest = EASY_ITEMS[sort]
    num_items = rng.randint(shortest, min(longest, options.max_items) if easy else options.max_items)
    function = COUNT if sort is Sort.COUNTING else rng.choice(list(HEADS))
    target = rng.randint(low, top) if sort is Sort.COUNTING else None

    def item() -> int:
        return target if target is not None and rng.random() < TARGET_SHARE else rng.randint(low, top)

    inputs: dict[str, None] = {}
    while len(inputs) < (options.num_pairs if kind is Kind.INDUCTION else 1):
        inputs[format_operands([item() for _ in range(num_items)])] = None
    return Draft(kind=kind, program=list_program(function, target, num_items), inputs=tuple(inputs))
